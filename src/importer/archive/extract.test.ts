import {execFile} from 'node:child_process';
import {
	link,
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	readlink,
	rm,
	stat,
	symlink,
	truncate,
	writeFile,
} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {Header, type HeaderData} from 'tar';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import {noise} from '../../../test/support/disk-images.ts';
import {emptyFolder} from './file-tree.ts';
import {extractArchive} from './extract.ts';

const run = promisify(execFile);
const MiB = 1024 * 1024;
let work = '';
let folder = '';

beforeEach(async () => {
	work = await mkdtemp(join(tmpdir(), 'onesnap-archive-'));
	folder = join(work, 'claim');
	await mkdir(folder);
});
afterEach(() => rm(work, {recursive: true}));

async function* inPieces(bytes: Buffer, pieceBytes = 100_000): AsyncGenerator<Buffer> {
	const memory = Buffer.alloc(pieceBytes);
	for (let at = 0; at < bytes.length; at += pieceBytes) {
		// As the network's memory is: the same for each piece.
		const copied = bytes.copy(memory, 0, at, at + pieceBytes);
		yield memory.subarray(0, copied);
		memory.fill(0xee);
	}
}

async function unpack(bytes: Buffer, {mostBytes = 64 * MiB, pieceBytes = 100_000} = {}) {
	const options = {shown: 'http://server/archive.tar', mostBytes, signal: AbortSignal.timeout(30_000)};
	return extractArchive(inPieces(bytes, pieceBytes), folder, options);
}

/** One entry as it lies in an archive. */
function entry(given: HeaderData, content = ''): Buffer {
	const header = Buffer.alloc(512);
	const size = given.size ?? content.length;
	new Header({type: 'File', mode: 0o644, mtime: new Date(0), ...given, size}).encode(header);
	const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
	body.write(content);
	return Buffer.concat([header, body]);
}

const end = Buffer.alloc(1024);
const archive = (...entries: Buffer[]) => Buffer.concat([...entries, end]);

describe('an archive', () => {
	async function makeTree(): Promise<string> {
		const tree = join(work, 'tree');
		await mkdir(join(tree, 'boot/deep/er'), {recursive: true});
		await writeFile(join(tree, 'boot/kernel'), noise(3 * MiB));
		await writeFile(join(tree, 'boot/deep/er/empty'), '');
		await writeFile(join(tree, 'script'), 'echo', {mode: 0o750});
		await writeFile(join(tree, 'ü'.repeat(90)), 'a long name');
		await writeFile(join(tree, 'holes'), 'data');
		await truncate(join(tree, 'holes'), 40 * MiB);
		await symlink('../kernel', join(tree, 'boot/deep/link'));
		await link(join(tree, 'script'), join(tree, 'boot/same'));
		return tree;
	}

	test.each([['gnu'], ['pax'], ['ustar']])('of format %s is unpacked as it was', async (format) => {
		const tree = await makeTree();
		if (format === 'ustar') await rm(join(tree, 'ü'.repeat(90)));
		await run('chmod', ['555', join(tree, 'boot/deep')]);
		const file = join(work, 'archive.tar');
		await run('tar', [`--format=${format}`, '--mtime=2020-02-02', '-cf', file, '-C', tree, '.']);
		await unpack(await readFile(file));
		// What tar itself finds no difference in. It looks at content, rights, times and links.
		await run('tar', ['--compare', '--file', file, '-C', folder]);
		expect((await stat(join(folder, 'holes'))).blocks * 512).toBeLessThan(MiB);
		expect((await stat(join(folder, 'boot/same'))).ino).toBe((await stat(join(folder, 'script'))).ino);
		await run('chmod', ['755', join(folder, 'boot/deep')]);
	});

	test.each([[511], [512], [513], [7 * MiB]])('comes in pieces of %i bytes', async (pieceBytes) => {
		const content = noise(2 * MiB);
		await writeFile(join(work, 'file'), content);
		await run('tar', ['-cf', join(work, 'archive.tar'), '-C', work, 'file']);
		await unpack(await readFile(join(work, 'archive.tar')), {pieceBytes});
		expect((await readFile(join(folder, 'file'))).equals(content)).toBe(true);
	});

	test('gives nobody more rights than its owner has', async () => {
		await unpack(archive(entry({path: 'setuid', mode: 0o6755}), entry({path: 'tmp', type: 'Directory', mode: 0o1777})));
		expect((await stat(join(folder, 'setuid'))).mode & 0o7777).toBe(0o755);
		expect((await stat(join(folder, 'tmp'))).mode & 0o7777).toBe(0o777);
	});

	test('may name a file twice: the later one counts, and does not change what was linked to', async () => {
		const twice = [
			entry({path: 'a'}, 'one'),
			entry({path: 'b', type: 'Link', linkpath: 'a'}),
			entry({path: 'a'}, 'two'),
		];
		expect(await unpack(archive(...twice))).toMatchObject({entries: 3});
		expect(await readFile(join(folder, 'a'), 'utf8')).toBe('two');
		expect(await readFile(join(folder, 'b'), 'utf8')).toBe('one');
	});

	test('with links that stay inside keeps them, and absolute paths are taken from its folder', async () => {
		const link = entry({path: 'a/link', type: 'SymbolicLink', linkpath: '../disk.img'});
		await unpack(archive(entry({path: '/disk.img'}, 'disk'), link));
		expect(await readlink(join(folder, 'a/link'))).toBe('../disk.img');
		expect(await readFile(join(folder, 'a/link'), 'utf8')).toBe('disk');
	});

	test.each<[string, Buffer[], RegExp]>([
		['a path that leads up', [entry({path: '../outside'}, 'x')], /"\.\.\/outside", which leads out/],
		['a path that leads up later', [entry({path: 'a/../../outside'}, 'x')], /leads out/],
		[
			'a link to elsewhere',
			[entry({path: 'l', type: 'SymbolicLink', linkpath: '/etc'})],
			/symbolic link "l" to "\/etc"/,
		],
		[
			'a file through a link',
			[entry({path: 'l', type: 'SymbolicLink', linkpath: '.'}), entry({path: 'l/outside'}, 'x')],
			/l is a folder in one entry and none in another/,
		],
		[
			'a folder in the place of a file',
			[entry({path: 'a'}, 'x'), entry({path: 'a', type: 'Directory'})],
			/a is a folder in one entry/,
		],
		[
			'a file in the place of a folder',
			[entry({path: 'a', type: 'Directory'}), entry({path: 'a'}, 'x')],
			/a is a folder in one entry/,
		],
		['a hard link up', [entry({path: 'l', type: 'Link', linkpath: '../../etc/passwd'})], /leads out/],
		['a hard link to nothing', [entry({path: 'l', type: 'Link', linkpath: 'etc/passwd'})], /no file that came before/],
		[
			'a hard link to a link',
			[entry({path: 'l', type: 'SymbolicLink', linkpath: 'x'}), entry({path: 'h', type: 'Link', linkpath: 'l'})],
			/no file that came before/,
		],
		['a device', [entry({path: 'sda', type: 'BlockDevice'})], /"sda", a BlockDevice/],
		['a character device', [entry({path: 'null', type: 'CharacterDevice'})], /a CharacterDevice/],
		['a pipe', [entry({path: 'p', type: 'FIFO'})], /a FIFO/],
		['a name of 2 MiB', [entry({path: 'L', type: 'NextFileHasLongPath', size: 2 * MiB})], /2097152 bytes/],
		['a file with holes', [entry({path: './GNUSparseFile.0/disk.img'}, 'x')], /--sparse/],
		['too much', [entry({path: 'bomb', size: 100 * MiB}, 'x')], /more than 67108864 bytes/],
		['an entry that is cut off', [entry({path: 'a', size: 5000}, 'x')], /Truncated/],
		['nothing in it', [], /no archive/],
		['a header that is damaged', [entry({path: 'a'}, 'x').fill(1, 0, 10)], /checksum/],
	])('with %s is refused', async (_, entries, message) => {
		const cutOff = message.source === 'Truncated';
		const bytes = cutOff ? Buffer.concat(entries) : archive(...entries);
		await expect(unpack(bytes)).rejects.toMatchObject({
			retryable: false,
			message: expect.stringMatching(message) as string,
		});
		expect(await readdir(work)).toEqual(['claim']);
	});

	test('with a million empty files does not fit a small claim', async () => {
		const many = Buffer.concat(Array.from({length: 3000}, (_, index) => entry({path: `f${index}`})));
		await expect(unpack(many, {mostBytes: MiB})).rejects.toMatchObject({reason: 'ImageTooLarge'});
	});

	test('with folders in folders does not fit a small claim either, however short their names are', async () => {
		const deep = Array.from({length: 40}, () => 'd').join('/');
		const many = Array.from({length: 10}, (_, index) => entry({path: `${index}/${deep}/f`}));
		await expect(unpack(archive(...many), {mostBytes: MiB})).rejects.toMatchObject({reason: 'ImageTooLarge'});
	});

	test('without an end does not fit, and takes no memory', async () => {
		async function* endless() {
			yield archive(entry({path: 'a'}, 'x'));
			const zeros = Buffer.alloc(MiB);
			for (;;) yield zeros;
		}
		const before = process.memoryUsage().arrayBuffers;
		const options = {shown: 'it', mostBytes: 512 * MiB, signal: AbortSignal.timeout(30_000)};
		await expect(extractArchive(endless(), folder, options)).rejects.toMatchObject({reason: 'ImageTooLarge'});
		expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(500 * MiB);
	});

	test('leaves nothing of an earlier one, but what the file system needs', async () => {
		await mkdir(join(folder, 'lost+found'));
		await unpack(archive(entry({path: 'a/b/c'}, 'x'), entry({path: 'lost+found', type: 'Directory', mode: 0o700})));
		await emptyFolder(folder);
		expect(await readdir(folder)).toEqual(['lost+found']);
	});
});
