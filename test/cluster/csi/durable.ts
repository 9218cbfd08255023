import {open, rename, rm} from 'node:fs/promises';
import path from 'node:path';

/** Where a file is written before it gets its name. One fixed place per file, so that a retry cleans up after a crash. */
function temporaryPath(file: string): string {
	return `${file}.tmp`;
}

/**
 * Makes a file appear whole or not at all: `fill` writes it under a temporary name, then it is flushed, renamed, and the rename
 * is flushed. A crash at any point leaves either no file of this name or the finished one.
 */
export async function createDurably(file: string, fill: (temporary: string) => Promise<void>): Promise<void> {
	const temporary = temporaryPath(file);
	await rm(temporary, {force: true});
	await fill(temporary);
	await flush(temporary);
	await rename(temporary, file);
	await flush(path.dirname(file));
}

/** Removes a file and what an interrupted `createDurably` may have left of it; no file is fine too. */
export async function removeDurably(file: string): Promise<void> {
	await rm(temporaryPath(file), {force: true});
	await rm(file, {force: true});
	await flush(path.dirname(file));
}

/** fsync of a file or a folder. */
export async function flush(file: string): Promise<void> {
	const handle = await open(file, 'r');
	try {
		await handle.sync();
	} finally {
		await handle.close();
	}
}
