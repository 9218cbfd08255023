import {readFile} from 'node:fs/promises';
import {type CodeName, hasErrno} from './errors.ts';

/**
 * The journal is what the storage says about itself: a line for every RPC that did, or refused to do, something. Tests and the
 * demo count in it, because the API only shows what should have happened.
 */
export type JournalRecord = {
	/** When the call arrived, RFC 3339 with milliseconds. Lines are in the order in which calls ended. */
	readonly at: string;
	readonly rpc: string;
	readonly durationMs: number;
	/** The volume, snapshot or name the request is about. */
	readonly id?: string;
	/** The request as received, without secrets. */
	readonly request: Readonly<Record<string, unknown>>;
	readonly code: CodeName;
	/** Why not OK. */
	readonly message?: string;
	readonly result?: JournalResult;
	/** The call found its object made by an earlier one: OK, but nothing was created. */
	readonly repeated?: boolean;
	/** Fault switches that the call has met, by their names in the switch file (faults.ts). */
	readonly faults?: readonly string[];
};

/** The part of a response that is worth keeping. */
export type JournalResult = {
	readonly volumeId?: string;
	readonly snapshotId?: string;
	readonly sourceVolumeId?: string;
	readonly sourceSnapshotId?: string;
	readonly capacityBytes?: number;
	readonly sizeBytes?: number;
	readonly readyToUse?: boolean;
	/** How many entries a list had. */
	readonly entries?: number;
};

/** Reads a journal; none yet is an empty one. A line that was cut when the driver was killed is skipped. */
export async function readJournal(path: string): Promise<readonly JournalRecord[]> {
	try {
		return parseJournal(await readFile(path, 'utf8'));
	} catch (error) {
		if (hasErrno(error, 'ENOENT')) return [];
		throw error;
	}
}

export function parseJournal(text: string): readonly JournalRecord[] {
	return text
		.split('\n')
		.filter((line) => line.endsWith('}'))
		.flatMap((line) => parseLine(line));
}

function parseLine(line: string): readonly JournalRecord[] {
	try {
		const record: JournalRecord = JSON.parse(line);
		return [record];
	} catch {
		// A cut line may happen to end in a brace.
		return [];
	}
}

type LiveVolume = {
	readonly volumeId: string;
	readonly createdAt: string;
	readonly sourceVolumeId?: string;
	readonly sourceSnapshotId?: string;
};

type LiveSnapshot = {readonly snapshotId: string; readonly createdAt: string; readonly sourceVolumeId: string};

/** A path on the node where a volume is staged or published. */
type PathInUse = {readonly volumeId: string; readonly path: string};

/** What the storage still has after all calls in a journal: its side of a leak audit. */
export type LiveObjects = {
	readonly volumes: readonly LiveVolume[];
	readonly snapshots: readonly LiveSnapshot[];
	readonly staged: readonly PathInUse[];
	readonly published: readonly PathInUse[];
};

/** Replays a journal from its beginning. Only calls that ended OK count. */
export function liveObjects(records: readonly JournalRecord[]): LiveObjects {
	const done = records.filter(({code}) => code === 'OK');
	return {
		volumes: living(done, 'CreateVolume', 'DeleteVolume', {
			key: ({result, request}) => result?.volumeId ?? text(request['volume_id']),
			make: ({at, result: {volumeId = '', sourceVolumeId, sourceSnapshotId} = {}}) => ({
				volumeId,
				createdAt: at,
				...(sourceVolumeId !== undefined && {sourceVolumeId}),
				...(sourceSnapshotId !== undefined && {sourceSnapshotId}),
			}),
		}),
		snapshots: living(done, 'CreateSnapshot', 'DeleteSnapshot', {
			key: ({result, request}) => result?.snapshotId ?? text(request['snapshot_id']),
			make: ({at, result: {snapshotId = '', sourceVolumeId = ''} = {}}) => ({
				snapshotId,
				createdAt: at,
				sourceVolumeId,
			}),
		}),
		staged: living(done, 'NodeStageVolume', 'NodeUnstageVolume', pathIn('staging_target_path')),
		published: living(done, 'NodePublishVolume', 'NodeUnpublishVolume', pathIn('target_path')),
	};
}

/** How one kind of object is recognized in a record, and shown. */
type Kind<Item> = {
	readonly key: (record: JournalRecord) => string;
	readonly make: (record: JournalRecord) => Item;
};

function pathIn(field: string): Kind<PathInUse> {
	const make = ({request}: JournalRecord) => ({volumeId: text(request['volume_id']), path: text(request[field])});
	return {make, key: (record) => `${make(record).volumeId} ${make(record).path}`};
}

function living<Item>(
	records: readonly JournalRecord[],
	birth: string,
	death: string,
	{key, make}: Kind<Item>,
): readonly Item[] {
	const items = new Map<string, Item>();
	for (const record of records) {
		if (record.rpc === birth && !items.has(key(record))) items.set(key(record), make(record));
		if (record.rpc === death) items.delete(key(record));
	}
	return [...items.values()];
}

function text(value: unknown): string {
	return typeof value === 'string' ? value : '';
}
