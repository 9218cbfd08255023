import path from 'node:path';
import {type FsType, fsTypes, isFsType, type MountAccess, parseCapability} from './capabilities.ts';
import {CsiError} from './errors.ts';
import {format, growMounted, growUnmounted, mountOptions, probe} from './filesystem.ts';
import {attachLoop, isMountedAnywhere, releaseLoop} from './loop.ts';
import type {LingeringLoops} from './lingering-loops.ts';
import type {NodePathRequest, NodeStageVolumeRequest} from './messages.ts';
import {bindMount, isMountOf, mountAt, mountFilesystem, unmount, unmountAndRemove} from './mounts.ts';
import type {Pool} from './pool.ts';
import {existingVolume, required} from './request.ts';

/**
 * Where a staged Block volume is: its device node, bind-mounted in the staging folder. The mount is what says that the volume
 * is staged there, which a loop device alone could not, and it survives a restart of this driver.
 */
export function stagedDevice(stagingPath: string): string {
	return path.join(stagingPath, 'device');
}

export async function stageVolume(pool: Pool, request: NodeStageVolumeRequest): Promise<object> {
	const id = required(request.volume_id, 'volume_id');
	const stagingPath = required(request.staging_target_path, 'staging_target_path');
	const access = parseCapability(request.volume_capability);
	await existingVolume(pool, id);
	const image = pool.volumeImage(id);
	const device = await attachLoop(image);
	try {
		if (access.block) await stageBlock(device, stagingPath);
		else await stageFilesystem(device, stagingPath, access);
	} catch (error) {
		// The failure of this, if any, is the lesser one; the device is found and used by the next try.
		await releaseLoop(image).catch(() => {});
		throw error;
	}
	return {};
}

async function stageBlock(device: string, stagingPath: string): Promise<void> {
	const node = stagedDevice(stagingPath);
	await bindMount(device, node, false);
	if (!(await isMountOf(device, node))) throw alreadyStaged(stagingPath);
}

async function stageFilesystem(device: string, stagingPath: string, access: MountAccess): Promise<void> {
	const mounted = await mountAt(stagingPath);
	if (mounted && !(await isMountOf(device, stagingPath))) throw alreadyStaged(stagingPath);
	const fsType = mounted?.fsType ?? (await mountNew(device, stagingPath, access));
	// xfs grows mounted only. A repeated call grows it too: the first may have been killed in between.
	if (fsType === 'xfs' && !access.mountFlags.includes('ro')) await growMounted(device, fsType, stagingPath);
}

/** Mounts what is on the device, after making a file system where there is nothing; returns its type. */
async function mountNew(device: string, stagingPath: string, {fsType, mountFlags}: MountAccess): Promise<FsType> {
	const found = (await probe(device)) ?? (await formatted(device, fsType ?? 'ext4'));
	if (!isFsType(found) || (fsType && fsType !== found)) {
		const wanted = fsType ?? fsTypes.join(' or ');
		const message = `the volume holds ${found} instead of ${wanted}; it will not be formatted`;
		throw new CsiError('FAILED_PRECONDITION', message);
	}
	// Mounted elsewhere, as by a second node on this machine, it is shown again as it is.
	if (!(await isMountedAnywhere(device))) await growUnmounted(device, found);
	await mountFilesystem(device, stagingPath, mountOptions(found, mountFlags));
	return found;
}

async function formatted(device: string, fsType: FsType): Promise<FsType> {
	await format(device, fsType);
	return fsType;
}

function alreadyStaged(stagingPath: string): CsiError {
	return new CsiError('ALREADY_EXISTS', `${stagingPath} is used by another volume`);
}

/** Works without the volume's record too: what is mounted has to go in any case. The folder itself is the caller's. */
export async function unstageVolume(pool: Pool, lingering: LingeringLoops, request: NodePathRequest): Promise<object> {
	const id = required(request.volume_id, 'volume_id');
	const stagingPath = required(request.staging_target_path, 'staging_target_path');
	// In this order: while a file system is mounted there, what looks like our device node may be a user's file in it.
	await unmount(stagingPath);
	await unmountAndRemove(stagedDevice(stagingPath));
	// Mounted here still: staged under another path as well, by a second node on this machine. The last one detaches.
	if ((await releaseLoop(pool.volumeImage(id))) === 'mounted elsewhere') lingering.add(id);
	return {};
}
