/** What a process tree did with names of files and sockets, as strace tells it. */
import path from 'node:path';

/** Before the program and its arguments. Without rings, which take calls past strace: the kernel says that it has none, as most container runtimes do. */
export function straceCommand(output: string): readonly string[] {
	const calls = [
		...['open', 'openat', 'openat2', 'creat', 'truncate', 'execve', 'connect', 'bind'],
		...['rename', 'renameat', 'renameat2', 'link', 'linkat', 'symlink', 'symlinkat', 'unlink', 'unlinkat'],
		...['mkdir', 'mkdirat', 'rmdir', 'mknod', 'mknodat', 'chmod', 'fchmodat', 'chown', 'fchownat', 'io_uring_setup'],
	];
	const options = ['-f', '--seccomp-bpf', '-qq', '-y', '-e', `trace=${calls.join(',')}`, '-e', 'signal=none'];
	return ['strace', ...options, '-e', 'inject=io_uring_setup:error=ENOSYS', '-o', output];
}

export interface Touched {
	readonly call: string;
	/** Absolute. A socket of the Internet is `host:port`. */
	readonly what: string;
	readonly isWritten: boolean;
}

/** `folder`: where the program was started. */
export function parseTrace(text: string, folder: string): readonly Touched[] {
	return text.split('\n').flatMap((line) => parseLine(line, folder));
}

function parseLine(line: string, folder: string): readonly Touched[] {
	const [, call, args] = /^\d+\s+(\w+)\((.*)$/.exec(line) ?? [];
	if (call === undefined || args === undefined) return [];
	if (call === 'io_uring_setup')
		return args.includes('(INJECTED)') ? [] : [{call, what: 'a ring that hides calls', isWritten: true}];
	if (call === 'connect' || call === 'bind') return socketName(args).map((what) => ({call, what, isWritten: false}));
	const isOpen = call === 'open' || call === 'openat' || call === 'openat2';
	const isWritten = isOpen ? /O_(WRONLY|RDWR|CREAT|TRUNC|APPEND)/.test(args) : call !== 'execve';
	// Names come in pairs with the folder they are relative to, where the call takes one; execve has names in its arguments too.
	const names = call === 'execve' ? [...namesIn(args)].slice(0, 1) : namesIn(args);
	// The target of a link is what is written into it.
	const places = call.startsWith('symlink') ? names.slice(1) : names;
	return places.map(({name, base}) => ({call, what: path.resolve(folder, base, name), isWritten}));
}

function namesIn(args: string): Array<{name: string; base: string}> {
	const found = args.matchAll(/(?:(?:AT_FDCWD|\d+)(?:<([^>]*)>)?, )?"((?:[^"\\]|\\.)*)"/g);
	return [...found].map(([, base = '', name = '']) => ({name, base}));
}

function socketName(args: string): string[] {
	const unix = /sun_path=@?"((?:[^"\\]|\\.)*)"/.exec(args)?.[1];
	if (unix !== undefined) return [unix];
	const port = /sin6?_port=htons\((\d+)\)/.exec(args)?.[1];
	const host = /(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]*)"/.exec(args)?.[1];
	return port === undefined ? [] : [`${host}:${port}`];
}
