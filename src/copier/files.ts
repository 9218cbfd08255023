import {readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {diskImageName} from '../api/worker-contract.ts';
import {CommandError, runCommand} from '../importer/command.ts';
import {journalName, lostAndFound, scratchName, syncFileSystem, writeFailure} from '../importer/target/target.ts';

const ofDisk: ReadonlySet<string> = new Set([diskImageName, scratchName, journalName]);

/** What lies at the root of a volume that holds files and no disk: a name that means something beside a disk means nothing. */
export async function allEntries(folder: string): Promise<string[]> {
	return (await readdir(folder)).filter((name) => name !== lostAndFound).sort();
}

/** What lies at the root of a volume beside the disk. */
export async function otherEntries(folder: string): Promise<string[]> {
	return (await allEntries(folder)).filter((name) => !ofDisk.has(name));
}

/** Removes what an earlier try left. */
export async function removeEntries(folder: string): Promise<void> {
	for (const name of await otherEntries(folder)) await rm(join(folder, name), {recursive: true, force: true});
}

/**
 * Whole trees, with modes, times, links and holes; owners only where this user may give files away.
 * GNU cp does it well and without holding a tree in memory.
 */
export async function copyEntries(
	from: string,
	to: string,
	{entries, signal}: {entries: readonly string[]; signal: AbortSignal},
): Promise<void> {
	const keep = process.getuid?.() === 0 ? 'all' : 'mode,timestamps,links,xattr';
	const args = ['--recursive', '--no-dereference', `--preserve=${keep}`, '--sparse=always', '--reflink=auto'];
	try {
		await runCommand('cp', [...args, '--', ...entries.map((name) => join(from, name)), to], {signal});
		await syncFileSystem(to, signal);
	} catch (error) {
		throw error instanceof CommandError ? writeFailure(error) : error;
	}
}
