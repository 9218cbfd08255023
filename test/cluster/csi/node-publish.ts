import {parseCapability} from './capabilities.ts';
import {CsiError} from './errors.ts';
import {loopOf} from './loop.ts';
import type {NodePathRequest, NodePublishVolumeRequest} from './messages.ts';
import {bindMount, isMountOf, mountAt, unmountAndRemove} from './mounts.ts';
import {stagedDevice} from './node-stage.ts';
import type {Pool} from './pool.ts';
import {existingVolume, required} from './request.ts';

/**
 * Shows a staged volume to one pod. Any number of pods of a node share what is staged. `readonly` of a block volume only marks
 * the mount: opening a device for writing is refused by the device cgroup, which the kubelet sets to read.
 */
export async function publishVolume(pool: Pool, request: NodePublishVolumeRequest): Promise<object> {
	const id = required(request.volume_id, 'volume_id');
	const target = required(request.target_path, 'target_path');
	const access = parseCapability(request.volume_capability);
	const stagingPath = required(request.staging_target_path, 'staging_target_path');
	await existingVolume(pool, id);
	const source = access.block ? stagedDevice(stagingPath) : stagingPath;
	const device = await loopOf(pool.volumeImage(id));
	if (device === undefined || !(await isMountOf(device, source))) {
		throw new CsiError('FAILED_PRECONDITION', `volume ${id} is not staged at ${stagingPath}`);
	}
	const readOnly = request.readonly === true;
	const present = await mountAt(target);
	if (present && !(await isMountOf(device, target))) {
		throw new CsiError('ALREADY_EXISTS', `${target} is used by another volume`);
	}
	if (present?.readOnly && !readOnly)
		throw new CsiError('ALREADY_EXISTS', `volume ${id} is at ${target}, but read-only`);
	await bindMount(source, target, readOnly);
	return {};
}

/** Asks for no record: a published path has to go even when the volume is gone. */
export async function unpublishVolume(request: NodePathRequest): Promise<object> {
	required(request.volume_id, 'volume_id');
	await unmountAndRemove(required(request.target_path, 'target_path'));
	return {};
}
