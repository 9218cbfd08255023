import {parseCapabilities} from './capabilities.ts';
import {newCapacity, satisfies} from './capacity.ts';
import type {RpcNotes} from './chain.ts';
import {CsiError} from './errors.ts';
import type {FaultSwitches} from './fault-switches.ts';
import {idOf} from './ids.ts';
import {cloneImage, createBlankImage, imageSize} from './images.ts';
import {flushLoops} from './loop.ts';
import type {CreateVolumeRequest, VolumeContentSource} from './messages.ts';
import type {Pool, SnapshotRecord, VolumeRecord} from './pool.ts';
import {existingVolume, required} from './request.ts';

/** An empty volume, or one with the content of a snapshot or of another volume; the same one when it is asked for again. */
export async function createVolume(
	pool: Pool,
	faults: FaultSwitches,
	request: CreateVolumeRequest,
	notes: RpcNotes,
): Promise<VolumeRecord> {
	const name = required(request.name, 'name');
	parseCapabilities(request.volume_capabilities);
	const id = idOf(name);
	const existing = await pool.volumes.read(id);
	if (existing) {
		requireCompatible(existing, request);
		notes.repeated = true;
		return existing;
	}
	const source = await findSource(pool, faults, request.volume_content_source, notes);
	const sourceBytes = source && (await imageSize(source.image));
	const capacityBytes = newCapacity(request.capacity_range, sourceBytes);
	const image = pool.volumeImage(id);
	if (source === undefined || sourceBytes === undefined) {
		await createBlankImage(image, capacityBytes);
	} else {
		faults.requireSize(source.volumeId, {wanted: capacityBytes, source: sourceBytes}, notes);
		const fill = async () => {
			await flushLoops(source.image);
			await cloneImage(source.image, image, capacityBytes);
		};
		await (source.snapshot ? faults.restoring(source.snapshot, notes, fill) : fill());
	}
	const contentSource = request.volume_content_source;
	const createdAt = new Date().toISOString();
	const volume = {id, name, capacityBytes, createdAt, ...(contentSource && {contentSource})};
	await pool.volumes.write(volume);
	return volume;
}

/** CSI: the same name with other wishes is another volume, and that cannot be. */
function requireCompatible(volume: VolumeRecord, request: CreateVolumeRequest): void {
	if (!satisfies(request.capacity_range, volume.capacityBytes)) {
		throw new CsiError('ALREADY_EXISTS', `volume ${volume.name} exists with ${volume.capacityBytes} bytes`);
	}
	if (sourceKey(volume.contentSource) !== sourceKey(request.volume_content_source)) {
		throw new CsiError('ALREADY_EXISTS', `volume ${volume.name} exists with another content source`);
	}
}

function sourceKey(source: VolumeContentSource | undefined): string {
	if (source?.snapshot) return `snapshot ${source.snapshot.snapshot_id}`;
	if (source?.volume) return `volume ${source.volume.volume_id}`;
	return 'nothing';
}

type Source = {
	readonly image: string;
	/** Whose content it is. */
	readonly volumeId: string;
	readonly snapshot?: SnapshotRecord;
};

/** What to start from; nothing for an empty volume. */
async function findSource(
	pool: Pool,
	faults: FaultSwitches,
	source: VolumeContentSource | undefined,
	notes: RpcNotes,
): Promise<Source | undefined> {
	if (!source) return undefined;
	if (source.volume) {
		const {id} = await existingVolume(pool, required(source.volume.volume_id, 'volume_id of the content source'));
		return {image: pool.volumeImage(id), volumeId: id};
	}
	const snapshotId = required(source.snapshot?.snapshot_id, 'snapshot_id of the content source');
	const snapshot = await faults.readSnapshot(snapshotId, notes);
	if (!snapshot) throw new CsiError('NOT_FOUND', `there is no snapshot ${snapshotId}`);
	faults.requireReady(snapshot, notes);
	return {image: pool.snapshotImage(snapshot.id), volumeId: snapshot.sourceVolumeId, snapshot};
}
