import {expect, test} from 'vitest';
import {parseTrace} from './trace.ts';

test.each([
	['12 openat(AT_FDCWD</work>, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3</etc/passwd>', '/etc/passwd', false],
	['12 openat(AT_FDCWD</work>, "../canary", O_RDONLY) = -1 ENOENT (No such file or directory)', '/canary', false],
	['12 openat(7</data>, "disk.img", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0660 <unfinished ...>', '/data/disk.img', true],
	['12 open("a\\"b", O_WRONLY) = 3', '/work/a\\"b', true],
	['12 mkdir("/tmp/x", 0700) = 0', '/tmp/x', true],
	['12 symlink("../../etc", "/data/link") = 0', '/data/link', true],
	['12 execve("/usr/bin/qemu-img", ["qemu-img", "info"], 0x7ffd /* 2 vars */) = 0', '/usr/bin/qemu-img', false],
	['12 connect(21, {sa_family=AF_UNIX, sun_path="/tmp/o/nbd.sock"}, 110) = 0', '/tmp/o/nbd.sock', false],
	[
		'12 connect(21, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("10.0.0.1")}, 16) = 0',
		'10.0.0.1:80',
		false,
	],
	['12 io_uring_setup(64, {flags=0}) = 9', 'a ring that hides calls', true],
])('%s', (line, what, isWritten) => {
	expect(parseTrace(line, '/work')).toEqual([expect.objectContaining({what, isWritten})]);
});

test('both names of a rename, and none of what is no call', () => {
	const text =
		'7 io_uring_setup(64, {flags=0}) = -1 ENOSYS (Function not implemented) (INJECTED)\n' +
		'7 renameat(AT_FDCWD</work>, "a", 5</data>, "b") = 0\n7 +++ exited with 0 +++\n7 <... openat resumed>) = 3</x>';
	expect(parseTrace(text, '/work').map(({what}) => what)).toEqual(['/work/a', '/data/b']);
});
