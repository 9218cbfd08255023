import type {Handlers, RpcNotes} from './chain.ts';
import {CsiError} from './errors.ts';
import {idOf, isId} from './ids.ts';
import {cloneImage, imageSize} from './images.ts';
import {flushLoops} from './loop.ts';
import type {CreateSnapshotRequest, ListSnapshotsRequest, Snapshot, SnapshotRequest} from './messages.ts';
import {pageOf} from './paging.ts';
import type {Pool, SnapshotRecord} from './pool.ts';
import {existingVolume, required} from './request.ts';

export const snapshotCapabilities: readonly string[] = ['CREATE_DELETE_SNAPSHOT', 'LIST_SNAPSHOTS', 'CLONE_VOLUME'];

/** The RPCs of the Controller service that only a driver with snapshots has. */
export function snapshotHandlers(pool: Pool): Handlers {
	return {
		CreateSnapshot: async (request: CreateSnapshotRequest, notes) => ({
			snapshot: toSnapshot(await createSnapshot(pool, request, notes)),
		}),
		DeleteSnapshot: (request: SnapshotRequest) => deleteSnapshot(pool, request),
		ListSnapshots: (request: ListSnapshotsRequest) => listSnapshots(pool, request),
	};
}

/** An image that shares the volume's blocks needs no time to become ready, and none of the volume's later life. */
function toSnapshot({id, sourceVolumeId, sizeBytes, createdAt}: SnapshotRecord): Snapshot {
	const milliseconds = Date.parse(createdAt);
	const seconds = Math.floor(milliseconds / 1000);
	return {
		snapshot_id: id,
		source_volume_id: sourceVolumeId,
		size_bytes: sizeBytes,
		creation_time: {seconds, nanos: (milliseconds - seconds * 1000) * 1e6},
		ready_to_use: true,
	};
}

async function createSnapshot(pool: Pool, request: CreateSnapshotRequest, notes: RpcNotes): Promise<SnapshotRecord> {
	const name = required(request.name, 'name');
	const sourceVolumeId = required(request.source_volume_id, 'source_volume_id');
	const id = idOf(name);
	const existing = await pool.snapshots.read(id);
	if (existing) {
		if (existing.sourceVolumeId !== sourceVolumeId) {
			throw new CsiError('ALREADY_EXISTS', `snapshot ${name} exists of volume ${existing.sourceVolumeId}`);
		}
		notes.repeated = true;
		return existing;
	}
	await existingVolume(pool, sourceVolumeId);
	const source = pool.volumeImage(sourceVolumeId);
	await flushLoops(source);
	const createdAt = new Date().toISOString();
	await cloneImage(source, pool.snapshotImage(id));
	const sizeBytes = await imageSize(pool.snapshotImage(id));
	const snapshot = {id, name, sourceVolumeId, sizeBytes, createdAt};
	await pool.snapshots.write(snapshot);
	return snapshot;
}

async function deleteSnapshot(pool: Pool, request: SnapshotRequest): Promise<object> {
	const id = required(request.snapshot_id, 'snapshot_id');
	if (isId(id)) await pool.removeSnapshot(id);
	return {};
}

/** CSI: a filter that matches nothing is an empty list, not an error. */
async function listSnapshots(pool: Pool, request: ListSnapshotsRequest): Promise<object> {
	const {snapshot_id: id, source_volume_id: source} = request;
	const candidates = id ? [await pool.snapshots.read(id)] : await pool.snapshots.list();
	const matching = candidates.filter((record) => record !== undefined);
	const {items, nextToken} = pageOf(
		matching.filter((record) => !source || record.sourceVolumeId === source),
		request,
	);
	return {entries: items.map((record) => ({snapshot: toSnapshot(record)})), ...(nextToken && {next_token: nextToken})};
}
