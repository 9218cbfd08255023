/** What a process and those it started take while they run: memory, and room in a folder. */
import {readdirSync, readFileSync, statSync} from 'node:fs';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';

export interface Taken {
	/** Highest sum of what the processes had at their highest until then, in KiB, shared pages counted for each. */
	readonly peakRssKiB: number;
	/** Most that all files of the folder had together, and were allocated. */
	readonly mostBytes: number;
	readonly mostAllocatedBytes: number;
}

const periodMs = 20;

/** Looks until the signal. `ignore`: names of programs that are not part of it. Synchronous: a look is a few small files, and must not wait. */
export async function watchProcesses(
	pid: number,
	{folder, ignore, signal}: {readonly folder: string; readonly ignore: readonly string[]; readonly signal: AbortSignal},
): Promise<Taken> {
	const taken = {peakRssKiB: 0, mostBytes: 0, mostAllocatedBytes: 0};
	while (!signal.aborted) {
		const rss = withDescendants(pid).map((each) => highestRssKiB(each, ignore));
		taken.peakRssKiB = Math.max(
			taken.peakRssKiB,
			rss.reduce((sum, each) => sum + each, 0),
		);
		const {bytes, allocatedBytes} = sizeOf(folder);
		taken.mostBytes = Math.max(taken.mostBytes, bytes);
		taken.mostAllocatedBytes = Math.max(taken.mostAllocatedBytes, allocatedBytes);
		await sleep(periodMs, undefined, {signal}).catch(() => {});
	}
	return taken;
}

function withDescendants(pid: number): readonly number[] {
	const children = attempt(() => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'), '');
	return [pid, ...children.split(' ').filter(Boolean).map(Number).flatMap(withDescendants)];
}

function highestRssKiB(pid: number, ignore: readonly string[]): number {
	const status = attempt(() => readFileSync(`/proc/${pid}/status`, 'utf8'), '');
	const name = /^Name:\s+(.*)$/m.exec(status)?.[1];
	if (name === undefined || ignore.includes(name)) return 0;
	return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
}

/** Of the files right in it. */
function sizeOf(folder: string): {bytes: number; allocatedBytes: number} {
	const stats = attempt(() => readdirSync(folder), []).map((name) =>
		attempt(() => statSync(path.join(folder, name)), undefined),
	);
	return {
		bytes: stats.reduce((sum, each) => sum + (each?.size ?? 0), 0),
		allocatedBytes: stats.reduce((sum, each) => sum + (each?.blocks ?? 0) * 512, 0),
	};
}

/** What is looked at may be gone. */
function attempt<T>(look: () => T, otherwise: T): T {
	try {
		return look();
	} catch {
		return otherwise;
	}
}
