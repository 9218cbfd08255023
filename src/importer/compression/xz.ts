import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import type {Writable} from 'node:stream';
import type {PackedInput} from './packed-input.ts';

/** Enough for a dictionary of 64 MiB, which is the largest that xz's own levels use. */
const memoryLimit = '100MiB';
const keptErrorBytes = 2000;

/** The program itself failed: `code` tells whether it was the data, the memory they need, or that there is no such program. */
class XzError extends Error {
	override readonly name = 'XzError';
	readonly code: 'XZ_DATA' | 'XZ_MEMORY' | 'XZ_MISSING';

	constructor(stderr: string) {
		super(stderr.replaceAll(/^xz: (\(stdin\): )?/gm, '').trim());
		if (/memory usage limit/i.test(stderr)) this.code = 'XZ_MEMORY';
		else if (/failed to execute/i.test(stderr)) this.code = 'XZ_MISSING';
		else this.code = 'XZ_DATA';
	}
}

/** Through the program `xz`, which dies with this process. Rejects with an XzError, or as the input does. */
export async function* unpackXz(input: PackedInput, signal: AbortSignal): AsyncGenerator<Buffer> {
	const xz = ['xz', '--decompress', '--stdout', '--format=xz', '--threads=1', `--memlimit-decompress=${memoryLimit}`];
	const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...xz], {
		stdio: ['pipe', 'pipe', 'pipe'],
		env: {PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C'},
		signal,
		killSignal: 'SIGKILL',
	});
	let stderr = '';
	child.stderr.setEncoding('utf8').on('data', (text: string) => {
		stderr = `${stderr}${text}`.slice(-keptErrorBytes);
	});
	const ended = endOf(child);
	const feeding = feed(child.stdin, input).catch((error: unknown) => {
		child.kill('SIGKILL');
		return error;
	});
	try {
		for await (const piece of child.stdout as AsyncIterable<Buffer>) yield piece;
		const [code, failure] = await Promise.all([ended, feeding]);
		if (failure !== undefined) throw failure;
		if (code !== 0) throw new XzError(stderr);
	} finally {
		child.kill('SIGKILL');
	}
}

/** Its exit code. A program that cannot be started ends like one that fails. */
async function endOf(child: ChildProcess): Promise<number | null> {
	try {
		const [code]: unknown[] = await once(child, 'close');
		return typeof code === 'number' ? code : null;
	} catch {
		return null;
	}
}

/** Until the end, or until the program has gone: its exit code tells why. */
async function feed(stdin: Writable, input: PackedInput): Promise<undefined> {
	stdin.on('error', () => {});
	for (let piece = await input.next(); piece && stdin.writable; piece = await input.next()) {
		const bytes = piece;
		await new Promise<void>((resolve) => stdin.write(bytes, () => resolve()));
	}
	stdin.end();
	return undefined;
}
