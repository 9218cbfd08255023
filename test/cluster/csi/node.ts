import {statfs} from 'node:fs/promises';
import type {Handlers} from './chain.ts';
import {CsiError, hasErrno} from './errors.ts';
import {growMounted} from './filesystem.ts';
import type {LingeringLoops} from './lingering-loops.ts';
import {attachLoop, loopOf} from './loop.ts';
import type {
	NodePathRequest,
	NodePublishVolumeRequest,
	NodeStageVolumeRequest,
	Topology,
	VolumeUsage,
} from './messages.ts';
import {mountAt, mountsOfDevice} from './mounts.ts';
import {publishVolume, unpublishVolume} from './node-publish.ts';
import {stageVolume, unstageVolume} from './node-stage.ts';
import type {Pool} from './pool.ts';
import {existingVolume, required} from './request.ts';

export type NodeInfo = {
	readonly nodeId: string;
	/** Where the node is, for a driver whose volumes are not accessible from everywhere. */
	readonly topology?: Topology;
};

/**
 * The Node service. Staging attaches a volume to the node, once: a loop device, and for a Filesystem volume its mount.
 * Publishing shows it to one pod at a time by a bind mount of the staged folder or device node.
 */
export function nodeService(pool: Pool, node: NodeInfo, lingering: LingeringLoops): Handlers {
	const capabilities = ['STAGE_UNSTAGE_VOLUME', 'EXPAND_VOLUME', 'GET_VOLUME_STATS'];
	return {
		NodeGetInfo: () => ({
			node_id: node.nodeId,
			...(node.topology && {accessible_topology: node.topology}),
		}),
		NodeGetCapabilities: () => ({capabilities: capabilities.map((type) => ({rpc: {type}}))}),
		NodeStageVolume: (request: NodeStageVolumeRequest) => stageVolume(pool, request),
		NodeUnstageVolume: (request: NodePathRequest) => unstageVolume(pool, lingering, request),
		NodePublishVolume: (request: NodePublishVolumeRequest) => publishVolume(pool, request),
		NodeUnpublishVolume: (request: NodePathRequest) => unpublishVolume(request),
		NodeGetVolumeStats: (request: NodePathRequest) => volumeStats(pool, request),
		NodeExpandVolume: (request: NodePathRequest) => expandVolume(pool, request),
	};
}

async function volumeStats(pool: Pool, request: NodePathRequest): Promise<{usage: readonly VolumeUsage[]}> {
	const id = required(request.volume_id, 'volume_id');
	const volumePath = required(request.volume_path, 'volume_path');
	const {capacityBytes} = await existingVolume(pool, id);
	const mount = await mountAt(volumePath);
	if (!mount) throw new CsiError('NOT_FOUND', `volume ${id} is not at ${volumePath}`);
	// A bind-mounted device node: nobody but its user knows how much of a block volume is used.
	if (mount.fsType === 'devtmpfs') return {usage: [{unit: 'BYTES', total: capacityBytes}]};
	const {bsize, blocks, bfree, bavail, files, ffree} = await statfs(volumePath);
	return {
		usage: [
			{unit: 'BYTES', total: blocks * bsize, available: bavail * bsize, used: (blocks - bfree) * bsize},
			{unit: 'INODES', total: files, available: ffree, used: files - ffree},
		],
	};
}

/** Second half of an expansion: the image has grown, the device and a mounted file system follow. */
async function expandVolume(pool: Pool, request: NodePathRequest): Promise<{capacity_bytes: number}> {
	const id = required(request.volume_id, 'volume_id');
	const volumePath = required(request.volume_path, 'volume_path');
	const {capacityBytes} = await existingVolume(pool, id);
	await requireExists(volumePath, id);
	const image = pool.volumeImage(id);
	if ((await loopOf(image)) === undefined) {
		throw new CsiError('FAILED_PRECONDITION', `volume ${id} is not staged on this node`);
	}
	const device = await attachLoop(image);
	const filesystem = (await mountsOfDevice(device)).find(({fsType}) => fsType !== 'devtmpfs');
	if (filesystem) await growMounted(device, filesystem.fsType, filesystem.path);
	return {capacity_bytes: capacityBytes};
}

async function requireExists(volumePath: string, id: string): Promise<void> {
	try {
		await statfs(volumePath);
	} catch (error) {
		if (!hasErrno(error, 'ENOENT')) throw error;
		throw new CsiError('NOT_FOUND', `volume ${id} is not at ${volumePath}`);
	}
}
