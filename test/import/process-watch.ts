/** What a process and those it started take while they run: memory, and room in a folder. */
import {readdirSync, readFileSync, statSync} from 'node:fs';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';

export interface Taken {
	/** Highest sum of what the processes had at their highest until then, in KiB, shared pages counted for each. */
	readonly peakRssKiB: number;
	/** Most that a file of the folder had, by its name. */
	readonly mostBytes: ReadonlyMap<string, number>;
	/** Most that was allocated for all of them together. */
	readonly mostAllocatedBytes: number;
}

const periodMs = 20;

/** Looks until the signal. `ignore`: names of programs that are not part of it. Synchronous: a look is a few small files, and must not wait. */
export async function watchProcesses(
	pid: number,
	{folder, ignore, signal}: {readonly folder: string; readonly ignore: readonly string[]; readonly signal: AbortSignal},
): Promise<Taken> {
	const mostBytes = new Map<string, number>();
	const taken = {peakRssKiB: 0, mostBytes, mostAllocatedBytes: 0};
	while (!signal.aborted) {
		const rss = withDescendants(pid).map((each) => highestRssKiB(each, ignore));
		taken.peakRssKiB = Math.max(
			taken.peakRssKiB,
			rss.reduce((sum, each) => sum + each, 0),
		);
		const files = filesOf(folder);
		for (const {name, bytes} of files) mostBytes.set(name, Math.max(mostBytes.get(name) ?? 0, bytes));
		taken.mostAllocatedBytes = Math.max(
			taken.mostAllocatedBytes,
			files.reduce((sum, {allocatedBytes}) => sum + allocatedBytes, 0),
		);
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

/** Those right in it. */
function filesOf(folder: string): ReadonlyArray<{name: string; bytes: number; allocatedBytes: number}> {
	return attempt(() => readdirSync(folder), []).flatMap((name) => {
		const found = attempt(() => statSync(path.join(folder, name)), undefined);
		return found ? [{name, bytes: found.size, allocatedBytes: found.blocks * 512}] : [];
	});
}

/** What is looked at may be gone. */
function attempt<T>(look: () => T, otherwise: T): T {
	try {
		return look();
	} catch {
		return otherwise;
	}
}
