/** Trees of files as a tar stream, with modes, times, links and holes; owners only where this user may give files away. */
import {type ChildProcessByStdio, spawn} from 'node:child_process';
import type {Readable, Writable} from 'node:stream';
import {CommandError} from '../importer/command.ts';
import {syncFileSystem, writeFailure} from '../importer/target/target.ts';
import {WorkerError} from '../importer/worker-error.ts';

const environment = {PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C'};

type Tar = ChildProcessByStdio<Writable, Readable, Readable>;

/** Dies with this process, and when the signal says so. */
function startTar(args: readonly string[], signal: AbortSignal): {tar: Tar; ended: Promise<void>} {
	const tar: Tar = spawn('setpriv', ['--pdeathsig', 'KILL', '--', 'tar', ...args], {
		stdio: ['pipe', 'pipe', 'pipe'],
		env: environment,
	});
	const kill = () => tar.kill('SIGKILL');
	signal.addEventListener('abort', kill, {once: true});
	let stderr = '';
	tar.stderr.setEncoding('utf8').on('data', (text: string) => {
		stderr = `${stderr}${text}`.slice(-2000);
	});
	// What it does not read any more is told by how it ends.
	tar.stdin.on('error', () => {});
	const ended = new Promise<void>((resolve, reject) => {
		tar.once('error', reject);
		tar.once('close', (exitCode, killedBy) => {
			signal.removeEventListener('abort', kill);
			if (exitCode === 0) resolve();
			else reject(new CommandError('tar', {exitCode, killedBy, stderr: stderr.trim()}));
		});
	});
	ended.catch(() => {});
	return {tar, ended};
}

export async function* packTree(
	folder: string,
	{entries, signal}: {readonly entries: readonly string[]; readonly signal: AbortSignal},
): AsyncGenerator<Buffer> {
	if (entries.length === 0) return;
	const names = entries.map((name) => `./${name}`);
	const args = ['--create', '--file=-', '--sparse', '--xattrs', '--numeric-owner', `--directory=${folder}`, '--'];
	const {tar, ended} = startTar([...args, ...names], signal);
	tar.stdin.end();
	try {
		for await (const part of tar.stdout) yield part as Buffer;
		await ended;
	} catch (error) {
		signal.throwIfAborted();
		const words = error instanceof Error ? error.message : String(error);
		throw new WorkerError('Internal', `Reading the source claim failed: ${words}. Look at its storage.`, {
			cause: error,
		});
	} finally {
		tar.kill('SIGKILL');
	}
}

/** All of it is on the disk when it resolves. */
export async function unpackTree(
	folder: string,
	{parts, signal}: {readonly parts: AsyncIterable<Buffer>; readonly signal: AbortSignal},
): Promise<void> {
	const owners = process.getuid?.() === 0 ? '--same-owner' : '--no-same-owner';
	const args = ['--extract', '--file=-', '--preserve-permissions', '--xattrs', '--numeric-owner', owners];
	const {tar, ended} = startTar([...args, `--directory=${folder}`], signal);
	try {
		for await (const part of parts) {
			if (!tar.stdin.write(part)) {
				await Promise.race([new Promise((resolve) => tar.stdin.once('drain', resolve)), ended]);
			}
		}
		tar.stdin.end();
		await ended;
		await syncFileSystem(folder, signal);
	} catch (error) {
		signal.throwIfAborted();
		throw error instanceof CommandError ? writeFailure(error) : error;
	} finally {
		tar.kill('SIGKILL');
	}
}
