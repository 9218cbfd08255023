import type {Handlers, RpcNotes} from './chain.ts';
import {CsiError} from './errors.ts';
import type {FaultSwitches} from './fault-switches.ts';
import {idOf, isId} from './ids.ts';
import {cloneImage, imageSize} from './images.ts';
import {flushLoops} from './loop.ts';
import type {CreateSnapshotRequest, ListSnapshotsRequest, Snapshot, SnapshotRequest} from './messages.ts';
import {pageOf} from './paging.ts';
import type {Pool, SnapshotRecord} from './pool.ts';
import {existingVolume, required} from './request.ts';

export function snapshotCapabilities(faults: FaultSwitches): readonly string[] {
	return ['CREATE_DELETE_SNAPSHOT', ...(faults.canListSnapshots() ? ['LIST_SNAPSHOTS'] : []), 'CLONE_VOLUME'];
}

/** The RPCs of the Controller service that only a driver with snapshots has. */
export function snapshotHandlers(pool: Pool, faults: FaultSwitches): Handlers {
	return {
		CreateSnapshot: async (request: CreateSnapshotRequest, notes) => ({
			snapshot: toSnapshot(await createSnapshot(pool, faults, request, notes), faults, notes),
		}),
		DeleteSnapshot: (request: SnapshotRequest, notes) => deleteSnapshot(pool, faults, request, notes),
		ListSnapshots: (request: ListSnapshotsRequest, notes) => listSnapshots(pool, faults, request, notes),
	};
}

/** An image that shares the volume's blocks needs no time to become ready, and none of the volume's later life. */
function toSnapshot(record: SnapshotRecord, faults: FaultSwitches, notes: RpcNotes): Snapshot {
	const milliseconds = Date.parse(record.createdAt);
	const seconds = Math.floor(milliseconds / 1000);
	return {
		snapshot_id: record.id,
		source_volume_id: record.sourceVolumeId,
		size_bytes: faults.shownSize(record, notes),
		creation_time: {seconds, nanos: (milliseconds - seconds * 1000) * 1e6},
		ready_to_use: faults.isReady(record, notes),
	};
}

async function createSnapshot(
	pool: Pool,
	faults: FaultSwitches,
	request: CreateSnapshotRequest,
	notes: RpcNotes,
): Promise<SnapshotRecord> {
	const name = required(request.name, 'name');
	const sourceVolumeId = required(request.source_volume_id, 'source_volume_id');
	const id = idOf(name);
	const existing = await faults.readSnapshot(id, notes);
	if (existing) {
		if (existing.sourceVolumeId !== sourceVolumeId) {
			throw new CsiError('ALREADY_EXISTS', `snapshot ${name} exists of volume ${existing.sourceVolumeId}`);
		}
		notes.repeated = true;
		return existing;
	}
	await existingVolume(pool, sourceVolumeId);
	return faults.cutting(sourceVolumeId, notes, async () => {
		const source = pool.volumeImage(sourceVolumeId);
		await flushLoops(source);
		const createdAt = new Date().toISOString();
		await cloneImage(source, pool.snapshotImage(id));
		const sizeBytes = await imageSize(pool.snapshotImage(id));
		const snapshot = {id, name, sourceVolumeId, sizeBytes, createdAt};
		await pool.snapshots.write(snapshot);
		return snapshot;
	});
}

async function deleteSnapshot(
	pool: Pool,
	faults: FaultSwitches,
	request: SnapshotRequest,
	notes: RpcNotes,
): Promise<object> {
	const id = required(request.snapshot_id, 'snapshot_id');
	if (!isId(id)) return {};
	const snapshot = await faults.readSnapshot(id, notes);
	if (snapshot) await faults.beforeDelete(snapshot, notes);
	await pool.removeSnapshot(id);
	return {};
}

/** CSI: a filter that matches nothing is an empty list, not an error. */
async function listSnapshots(
	pool: Pool,
	faults: FaultSwitches,
	request: ListSnapshotsRequest,
	notes: RpcNotes,
): Promise<object> {
	if (!faults.canListSnapshots()) throw new CsiError('UNIMPLEMENTED', 'this driver has no ListSnapshots');
	const {snapshot_id: id, source_volume_id: source} = request;
	const candidates = id ? [await faults.readSnapshot(id, notes)] : await faults.listSnapshots();
	const matching = candidates.filter((record) => record !== undefined);
	const {items, nextToken} = pageOf(
		matching.filter((record) => !source || record.sourceVolumeId === source),
		request,
	);
	const entries = items.map((record) => ({snapshot: toSnapshot(record, faults, notes)}));
	return {entries, ...(nextToken && {next_token: nextToken})};
}
