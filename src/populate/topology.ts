/**
 * Whether a copy's two volumes can be mounted by one Pod. Where they live on different nodes no scheduler finds a place
 * for it: the bytes go over the network between two. Pure.
 */
import type {Node, PersistentVolume} from '../api/kubernetes.ts';
import {reaches} from '../smartclone/placement.ts';

/** Where the target will be used from. */
export interface TargetPlace {
	/** Of its consumer, where it waits for one. */
	readonly selectedNode: string | undefined;
	/** Of its prime claim, where that is bound. */
	readonly volume: PersistentVolume | undefined;
}

export function isLocal(volume: PersistentVolume | undefined): volume is PersistentVolume {
	return volume?.spec.nodeAffinity?.required !== undefined;
}

/** No node has both. A target that may still be anywhere is not apart: the scheduler puts it beside its source. */
export function areApart(
	nodes: readonly Node[],
	source: PersistentVolume | undefined,
	{selectedNode, volume}: TargetPlace,
): boolean {
	if (!isLocal(source) || (selectedNode === undefined && volume === undefined)) return false;
	return !nodes.some(
		(node) =>
			reaches(node, source) &&
			reaches(node, volume) &&
			(selectedNode === undefined || selectedNode === node.metadata.name),
	);
}
