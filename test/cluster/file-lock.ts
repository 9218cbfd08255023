import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir} from 'node:fs/promises';
import path from 'node:path';
import {report} from './progress.ts';

/**
 * Runs `work` while no other process runs its own under the same lock file.
 *
 * The lock is the kernel's (flock), held by a child that lives as long as its standard input is open: it goes away with this process,
 * however this process ends, so a stale lock cannot exist and nobody has to judge whether a recorded pid is still the same process.
 */
export async function withFileLock<T>(lockFile: string, waitingFor: string, work: () => Promise<T>): Promise<T> {
	await mkdir(path.dirname(lockFile), {recursive: true});
	const holder = spawn('flock', [lockFile, 'sh', '-c', 'echo locked; exec cat'], {stdio: ['pipe', 'pipe', 'ignore']});
	const waiting = setInterval(() => report(`waiting for another process: ${waitingFor} ...`), 10_000);
	try {
		await Promise.race([
			once(holder.stdout, 'data'),
			once(holder, 'exit').then(() => Promise.reject(new Error(`flock could not lock ${lockFile}`))),
		]);
	} finally {
		clearInterval(waiting);
	}
	const released = once(holder, 'exit');
	try {
		return await work();
	} finally {
		holder.stdin.end();
		await released;
	}
}
