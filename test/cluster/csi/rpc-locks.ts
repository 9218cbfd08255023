import type {Interceptor} from './chain.ts';
import {CsiError} from './errors.ts';
import {idOf} from './ids.ts';
import type {LockSet, Locks} from './locks.ts';
import type {CreateSnapshotRequest, CreateVolumeRequest, NodePathRequest, SnapshotRequest} from './messages.ts';

/** The fields of all requests that name something to lock. */
type Named = CreateVolumeRequest & CreateSnapshotRequest & SnapshotRequest & NodePathRequest;

const none: LockSet = {exclusive: [], shared: []};

/**
 * What each RPC locks. A source is shared: any number of restores and snapshots may read it at the same time, only its deletion
 * (or growth) has to wait. On the node, publishing shares the staged volume, so that several pods can start at once.
 */
export function locksOf(rpc: string, request: Named): LockSet {
	const volume = `volume ${request.volume_id}`;
	const staging = stagingLock(request.volume_id ?? '');
	switch (rpc) {
		case 'CreateVolume':
			return {exclusive: [`volume ${idOf(request.name ?? '')}`], shared: sourceOf(request)};
		case 'CreateSnapshot':
			return {exclusive: [`snapshot ${idOf(request.name ?? '')}`], shared: [`volume ${request.source_volume_id}`]};
		case 'DeleteVolume':
		case 'ControllerExpandVolume':
			return {exclusive: [volume], shared: []};
		case 'DeleteSnapshot':
			return {exclusive: [`snapshot ${request.snapshot_id}`], shared: []};
		case 'NodeStageVolume':
		case 'NodeUnstageVolume':
		case 'NodeExpandVolume':
			return {exclusive: [staging], shared: [volume]};
		case 'NodePublishVolume':
		case 'NodeUnpublishVolume':
			return {exclusive: [`path ${request.target_path}`], shared: [volume, staging]};
		default:
			return none;
	}
}

/** Whether and where a volume is attached to this node. */
export function stagingLock(volumeId: string): string {
	return `staging of volume ${volumeId}`;
}

function sourceOf({volume_content_source: source}: CreateVolumeRequest): readonly string[] {
	if (source?.snapshot) return [`snapshot ${source.snapshot.snapshot_id}`];
	if (source?.volume) return [`volume ${source.volume.volume_id}`];
	return [];
}

/** Answers ABORTED while another call holds what this one needs. */
export function lockInterceptor(locks: Locks): Interceptor {
	return async (call, next) => {
		const release = locks.tryAcquire(locksOf(call.rpc, call.request));
		if (typeof release !== 'function') {
			throw new CsiError('ABORTED', `an operation on ${release.busy} is already running; try again`);
		}
		try {
			return await next();
		} finally {
			release();
		}
	};
}
