import {violationOf} from './capabilities.ts';
import {expandedCapacity} from './capacity.ts';
import type {Handlers} from './chain.ts';
import {createVolume} from './create-volume.ts';
import {CsiError} from './errors.ts';
import type {FaultSwitches} from './fault-switches.ts';
import {isId} from './ids.ts';
import {growImage} from './images.ts';
import {detachLoop, loopOf} from './loop.ts';
import type {
	ControllerExpandVolumeRequest,
	CreateVolumeRequest,
	ListRequest,
	ValidateVolumeCapabilitiesRequest,
	Volume,
	VolumeRequest,
} from './messages.ts';
import {mountsOfDevice} from './mounts.ts';
import {pageOf} from './paging.ts';
import type {Pool, VolumeRecord} from './pool.ts';
import {existingVolume, required} from './request.ts';
import {snapshotCapabilities, snapshotHandlers} from './snapshots.ts';

export type ControllerOptions = {
	/** Without: the driver neither snapshots nor clones, as many storages do not. */
	readonly snapshots: boolean;
};

/** The Controller service: volumes and snapshots as objects, whether or not a node uses them. */
export function controllerService(pool: Pool, {snapshots}: ControllerOptions, faults: FaultSwitches): Handlers {
	const ownCapabilities = ['CREATE_DELETE_VOLUME', 'EXPAND_VOLUME', 'LIST_VOLUMES', 'GET_CAPACITY'];
	return {
		ControllerGetCapabilities: () => {
			const capabilities = [...ownCapabilities, ...(snapshots ? snapshotCapabilities(faults) : [])];
			return {capabilities: capabilities.map((type) => ({rpc: {type}}))};
		},
		CreateVolume: async (request: CreateVolumeRequest, notes) => {
			if (!snapshots && request.volume_content_source) {
				throw new CsiError('INVALID_ARGUMENT', 'this driver makes empty volumes only');
			}
			return {volume: toVolume(await createVolume(pool, faults, request, notes))};
		},
		DeleteVolume: (request: VolumeRequest) => deleteVolume(pool, request),
		ValidateVolumeCapabilities: (request: ValidateVolumeCapabilitiesRequest) => validateCapabilities(pool, request),
		ListVolumes: (request: ListRequest) => listVolumes(pool, request),
		GetCapacity: async () => ({available_capacity: await pool.availableBytes()}),
		ControllerExpandVolume: (request: ControllerExpandVolumeRequest) => expandVolume(pool, request),
		...(snapshots ? snapshotHandlers(pool, faults) : {}),
	};
}

function toVolume({id, capacityBytes, contentSource}: VolumeRecord): Volume {
	return {volume_id: id, capacity_bytes: capacityBytes, ...(contentSource && {content_source: contentSource})};
}

async function deleteVolume(pool: Pool, request: VolumeRequest): Promise<object> {
	const id = required(request.volume_id, 'volume_id');
	if (!isId(id)) return {};
	// Snapshots and clones of the volume keep the blocks they share with it; only a node can stand in the way.
	const device = await loopOf(pool.volumeImage(id));
	if (device !== undefined) {
		const mounts = await mountsOfDevice(device);
		if (mounts.length > 0) throw new CsiError('FAILED_PRECONDITION', `volume ${id} is in use at ${mounts[0]?.path}`);
		await detachLoop(device);
	}
	await pool.removeVolume(id);
	return {};
}

async function validateCapabilities(pool: Pool, request: ValidateVolumeCapabilitiesRequest): Promise<object> {
	const id = required(request.volume_id, 'volume_id');
	const {volume_capabilities = [], volume_context, parameters} = request;
	if (volume_capabilities.length === 0) throw new CsiError('INVALID_ARGUMENT', 'volume_capabilities are missing');
	await existingVolume(pool, id);
	const message = volume_capabilities.map(violationOf).find((violation) => violation !== undefined);
	if (message) return {message};
	return {confirmed: {volume_capabilities, ...(volume_context && {volume_context}), ...(parameters && {parameters})}};
}

async function listVolumes(pool: Pool, request: ListRequest): Promise<object> {
	const {items, nextToken} = pageOf(await pool.volumes.list(), request);
	return {entries: items.map((record) => ({volume: toVolume(record)})), ...(nextToken && {next_token: nextToken})};
}

async function expandVolume(pool: Pool, request: ControllerExpandVolumeRequest): Promise<object> {
	const id = required(request.volume_id, 'volume_id');
	if (!request.capacity_range) throw new CsiError('INVALID_ARGUMENT', 'capacity_range is missing');
	const volume = await existingVolume(pool, id);
	const capacityBytes = expandedCapacity(request.capacity_range, volume.capacityBytes);
	// Image before record, as at creation: a crash in between leaves a larger image that the retry finds large enough.
	await growImage(pool.volumeImage(id), capacityBytes);
	if (capacityBytes > volume.capacityBytes) await pool.volumes.write({...volume, capacityBytes});
	const attached = (await loopOf(pool.volumeImage(id))) !== undefined;
	// The device of a staged volume, and any file system, learn of their new size on the node.
	return {capacity_bytes: capacityBytes, node_expansion_required: attached || !request.volume_capability?.block};
}
