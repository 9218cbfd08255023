/** Where on a target the journal of its copy lies. */
import {constants} from 'node:fs';
import {type FileHandle, open, stat} from 'node:fs/promises';
import {join} from 'node:path';
import type {WorkerVolume} from '../api/worker-contract.ts';
import {deviceBytes, diskPath, journalName} from '../importer/target/target.ts';
import {journalBytes, type JournalRecord, readJournal} from './journal.ts';

/** On a device this small it would be more trouble than the copy. */
const smallestDeviceBytes = 1024 * 1024;

/** Start of the last bytes of a device, which are kept for the journal; undefined where it lies in a file of its own, or nowhere. */
export function journalTail({volumeMode}: WorkerVolume, targetBytes: number): number | undefined {
	return volumeMode === 'Block' && targetBytes >= smallestDeviceBytes ? targetBytes - journalBytes : undefined;
}

export interface OpenJournal {
	readonly handle: FileHandle;
	readonly position: number;
}

export async function openJournal(target: WorkerVolume, targetBytes: number): Promise<OpenJournal | undefined> {
	if (target.volumeMode === 'Filesystem') {
		const flags = constants.O_RDWR | constants.O_CREAT;
		return {handle: await open(join(target.path, journalName), flags, 0o600), position: 0};
	}
	const position = journalTail(target, targetBytes);
	return position === undefined ? undefined : {handle: await open(target.path, constants.O_RDWR), position};
}

/** What an earlier try of this very copy left; undefined where there is none, or where its disk is not what it was. */
export async function findJournal(
	target: WorkerVolume,
	{content, signal}: {readonly content: string; readonly signal: AbortSignal},
): Promise<(JournalRecord & {readonly sequence: number}) | undefined> {
	const path = diskPath(target);
	const block = target.volumeMode === 'Block';
	const sizeBytes = block
		? await deviceBytes(path, signal)
		: await stat(path).then(
				({size}) => size,
				() => undefined,
			);
	if (sizeBytes === undefined) return undefined;
	const position = block ? journalTail(target, sizeBytes) : 0;
	if (position === undefined) return undefined;
	const file = block ? path : join(target.path, journalName);
	const handle = await open(file, constants.O_RDONLY).catch(() => undefined);
	if (!handle) return undefined;
	try {
		const found = await readJournal(handle, position);
		return found?.content === content && found.targetBytes === sizeBytes ? found : undefined;
	} finally {
		await handle.close();
	}
}
