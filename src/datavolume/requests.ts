/** DataVolumes as clone requests of the smartclone layer. */
import type {DataVolume} from '../api/datavolume.ts';
import type {PersistentVolumeClaim} from '../api/kubernetes.ts';
import {annotations, fieldManager} from '../api/names.ts';
import type {Caches} from '../kube/caches.ts';
import type {KubeApi} from '../kube/client.ts';
import {isConflict, isNotFound} from '../kube/errors.ts';
import * as resources from '../kube/resources.ts';
import type {Index} from '../kube/store.ts';
import {isBeingFilled} from '../populate/in-place.ts';
import type {AssignedRequest, Assignment, CloneRequest, CloneRequests} from '../smartclone/requests.ts';
import {type CloneWay, cloneWays} from '../smartclone/strategy.ts';
import {controllerOf, isMadeFor, isPrePopulated} from './claim-standing.ts';
import {gaveUpOf, isGivenUp} from './gave-up.ts';
import {cloneSourceOf} from './source-ref.ts';
import {inheritedLabels} from './instancetype-labels.ts';

/**
 * The SharedSnapshot that this very DataVolume was assigned to. The annotation ends with the DataVolume's own UID: one
 * made from another one's YAML, or from a backup, carries it along, but was asked for later, perhaps after the cut.
 */
export function assignmentOf({metadata}: DataVolume): Assignment | undefined {
	const [name, sharedUid, uid] = (metadata.annotations?.[annotations.sharedSnapshot] ?? '').split('/', 3);
	return uid !== undefined && uid === metadata.uid ? `${name}/${sharedUid}` : undefined;
}

export const dataVolumesByShared: Index<DataVolume> = {
	name: 'sharedSnapshot',
	keys: (dataVolume) => {
		const assignment = assignmentOf(dataVolume);
		return assignment ? [assignment] : [];
	},
};

/** DataVolumes by the claim they clone, as `namespace/name`. */
export const dataVolumesBySource: Index<DataVolume> = {
	name: 'source',
	keys: (dataVolume) => {
		const {pvc} = cloneSourceOf(dataVolume);
		return pvc ? [`${pvc.namespace}/${pvc.name}`] : [];
	},
};

/** DataVolumes by the VolumeSnapshot they are restored from, as `namespace/name`. */
export const dataVolumesBySnapshot: Index<DataVolume> = {
	name: 'snapshot',
	keys: (dataVolume) => {
		const {snapshot} = cloneSourceOf(dataVolume);
		return snapshot ? [`${snapshot.namespace}/${snapshot.name}`] : [];
	},
};

/** DataVolumes by the DataSource that they refer to, as `namespace/name`. */
export const dataVolumesByDataSource: Index<DataVolume> = {
	name: 'dataSource',
	keys: ({metadata, spec: {sourceRef}}) =>
		sourceRef ? [`${sourceRef.namespace || metadata.namespace}/${sourceRef.name}`] : [],
};

/** @param way as decided now; without it, as it was when the request was assigned. */
export function requestOf(
	dataVolume: DataVolume,
	way: CloneWay = writtenWay(dataVolume) ?? 'snapshot',
): CloneRequest | undefined {
	const {namespace = '', name, uid} = dataVolume.metadata;
	const source = cloneSourceOf(dataVolume).pvc;
	if (!source || !uid) return undefined;
	const restoresIn = way === 'snapshot' ? namespace : source.namespace;
	const assigned = assignmentOf(dataVolume);
	return {
		...{namespace, name, uid, source: {namespace: source.namespace, name: source.name}, way, restoresIn},
		...(assigned !== undefined && {assigned}),
	};
}

/** The way that is written on it: users can write there too. */
export function writtenWay({metadata}: DataVolume): CloneWay | undefined {
	return cloneWays.find((way) => way === metadata.annotations?.[annotations.cloneType]);
}

/** It was assigned, but goes a way now that needs no snapshot. */
function hasGivenUp(dataVolume: DataVolume, {way}: CloneRequest): boolean {
	const gaveUp = gaveUpOf(dataVolume);
	return isGivenUp(gaveUp, 'snapshot') || isGivenUp(gaveUp, way);
}

/** Somebody else makes its disk, or has made it: it needs no snapshot, and must hold none. */
function isMadeByOthers(dataVolume: DataVolume, claim: PersistentVolumeClaim | undefined): boolean {
	if (isPrePopulated(dataVolume)) return true;
	return claim !== undefined && controllerOf(claim)?.uid === dataVolume.metadata.uid && !isMadeFor(claim, dataVolume);
}

/** Nobody uses it yet, and its class makes no volume before somebody does: it restores nothing. */
export function waitsForConsumer(caches: Caches, {metadata, spec, status}: PersistentVolumeClaim): boolean {
	const storageClass = caches.store(resources.storageClasses).get(undefined, spec.storageClassName ?? '');
	return (
		storageClass?.volumeBindingMode === 'WaitForFirstConsumer' &&
		status?.phase !== 'Bound' &&
		metadata.annotations?.[annotations.selectedNode] === undefined
	);
}

/** @param caches of the whole program; the index {@link dataVolumesByShared} is added here. */
export function makeCloneRequests(api: KubeApi, caches: Caches): CloneRequests {
	caches.addIndex(resources.dataVolumes, dataVolumesByShared);
	return {
		assignedTo(assignment) {
			return caches
				.store(resources.dataVolumes)
				.byIndex(dataVolumesByShared.name, assignment)
				.flatMap((dataVolume): AssignedRequest[] => {
					const request = requestOf(dataVolume);
					if (!request) return [];
					const claim = caches.store(resources.persistentVolumeClaims).get(request.namespace, request.name);
					// A bound claim is complete, unless it is filled in place; in a namespace that goes away none will ever be made.
					const leaves = caches.store(resources.namespaces).get(undefined, request.namespace)
						?.metadata.deletionTimestamp;
					const ended =
						(claim?.status?.phase === 'Bound' && !isBeingFilled(claim)) ||
						isMadeByOthers(dataVolume, claim) ||
						(dataVolume.metadata.deletionTimestamp ?? leaves) !== undefined ||
						hasGivenUp(dataVolume, request);
					return [
						{
							...request,
							state: ended ? 'done' : 'open',
							parked: claim !== undefined && waitsForConsumer(caches, claim),
						},
					];
				});
		},
		async assign(request, assignment, rule, signal) {
			const seen = caches.store(resources.dataVolumes).get(request.namespace, request.name);
			if (seen?.metadata.uid !== request.uid) return 'gone';
			if (assignmentOf(seen) !== request.assigned) return 'changed';
			const source = caches.store(resources.persistentVolumeClaims).get(request.source.namespace, request.source.name);
			const labels = inheritedLabels(seen, source);
			const patch = {
				metadata: {
					annotations: {
						[annotations.sharedSnapshot]: `${assignment}/${request.uid}`,
						[annotations.reuseRule]: rule,
						[annotations.cloneType]: request.way,
					},
					// A write that is made anyway.
					...(Object.keys(labels).length > 0 && {labels}),
				},
			};
			// A leader before this one may have assigned it, and made its claim already, which a late cache does not show: by
			// the version the server refuses to have that overwritten.
			const {uid, resourceVersion} = seen.metadata;
			try {
				await api.mergePatch(resources.dataVolumes, request, patch, {uid, resourceVersion, fieldManager, signal});
				return 'assigned';
			} catch (error) {
				if (isNotFound(error)) return 'gone';
				if (!isConflict(error)) throw error;
			}
			// An earlier try whose answer was lost may be what changed it.
			const live = await api.find(resources.dataVolumes, request, {signal});
			if (live?.metadata.uid !== request.uid) return 'gone';
			return assignmentOf(live) === assignment ? 'assigned' : 'changed';
		},
	};
}
