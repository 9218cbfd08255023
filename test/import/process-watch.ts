/** What a process group takes while it runs: memory, and room in a folder. */
import {readdir, readFile, stat} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {processesOf} from './worker-process.ts';

export interface Taken {
	/** Highest sum of what the processes had at their highest until then, in KiB, shared pages counted for each. */
	readonly peakRssKiB: number;
	/** Most that all files of the folder had together, and were allocated. */
	readonly mostBytes: number;
	readonly mostAllocatedBytes: number;
}

const periodMs = 20;

/** Looks until the signal. `ignore`: names of programs that are not part of it. */
export async function watchProcesses(
	group: number,
	{folder, ignore, signal}: {readonly folder: string; readonly ignore: readonly string[]; readonly signal: AbortSignal},
): Promise<Taken> {
	const taken = {peakRssKiB: 0, mostBytes: 0, mostAllocatedBytes: 0};
	while (!signal.aborted) {
		const rss = await Promise.all((await processesOf(group)).map((pid) => highestRssKiB(pid, ignore)));
		taken.peakRssKiB = Math.max(
			taken.peakRssKiB,
			rss.reduce((sum, each) => sum + each, 0),
		);
		const {bytes, allocatedBytes} = await sizeOf(folder);
		taken.mostBytes = Math.max(taken.mostBytes, bytes);
		taken.mostAllocatedBytes = Math.max(taken.mostAllocatedBytes, allocatedBytes);
		await sleep(periodMs, undefined, {signal}).catch(() => {});
	}
	return taken;
}

async function highestRssKiB(pid: number, ignore: readonly string[]): Promise<number> {
	const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
	const name = /^Name:\s+(.*)$/m.exec(status)?.[1];
	if (name === undefined || ignore.includes(name)) return 0;
	return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
}

async function sizeOf(folder: string): Promise<{bytes: number; allocatedBytes: number}> {
	const names = await readdir(folder).catch(() => []);
	const stats = await Promise.all(names.map((name) => stat(path.join(folder, name)).catch(() => undefined)));
	return {
		bytes: stats.reduce((sum, each) => sum + (each?.size ?? 0), 0),
		allocatedBytes: stats.reduce((sum, each) => sum + (each?.blocks ?? 0) * 512, 0),
	};
}
