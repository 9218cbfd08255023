/** Everything that one DataVolume depends on, read from the caches into one value, the clock included. */
import type {DataVolume} from '../api/datavolume.ts';
import type {PersistentVolume, PersistentVolumeClaim, VolumeMode} from '../api/kubernetes.ts';
import {annotations, cdiGroup, cloneSourceName, importSourceName} from '../api/names.ts';
import type {VolumeCloneSource, VolumeImportSource} from '../api/populator.ts';
import {parseQuantity} from '../api/quantity.ts';
import {isRefusal, parseSource, type Source, type SourceRefusal} from '../api/source.ts';
import type {VolumeSnapshot, VolumeSnapshotContent} from '../api/snapshot.ts';
import type {Caches} from '../kube/caches.ts';
import * as resources from '../kube/resources.ts';
import type {Index} from '../kube/store.ts';
import type {Population} from '../populate/population.ts';
import {driverPolicy} from '../smartclone/driver-policy.ts';
import type {LostSnapshots} from '../smartclone/lost-snapshots.ts';
import type {WaitingRequests} from '../smartclone/requests.ts';
import {type Serving, servingOf} from '../smartclone/serving.ts';
import {chooseNode} from '../smartclone/placement.ts';
import {snapshotSource} from '../smartclone/rules.ts';
import {contentOf} from '../smartclone/sharing.ts';
import {chooseSnapshotClass} from '../smartclone/snapshot-class.ts';
import {chooseWay, type CloneDecision} from '../smartclone/strategy.ts';
import {authorizationProblem} from './authorization.ts';
import type {CloneOrigin} from './objects.ts';
import {isRenderProblem, type Rendered, type RenderProblem, renderClaim} from './render.ts';
import {assignmentOf, requestOf} from './requests.ts';

export type CloneProblemReason =
	| 'CloneNotAuthorized'
	| 'CloneWithoutSource'
	| 'CloneSourceNotReady'
	| 'CloneValidationFailed';

/** Something of the source that is in the way of a clone. */
export interface CloneProblem {
	readonly reason: CloneProblemReason;
	readonly message: string;
}

export interface ObservedClone {
	readonly origin: CloneOrigin;
	readonly problem: CloneProblem | undefined;
	/** Undefined while the facts for it are missing: then there is a problem, or the claim cannot be rendered. */
	readonly decision: CloneDecision | undefined;
	/** For a claim as source. */
	readonly serving: Serving | undefined;
	/** For a snapshot as source in the DataVolume's namespace: what can be restored as it is. */
	readonly snapshot: VolumeSnapshot | undefined;
	/** What a restore asks for at least. */
	readonly minimumBytes: bigint;
	readonly equalSizeRestore: boolean;
	/** Restores in flight from one snapshot. */
	readonly restoreWindow: number;
}

export interface Observed {
	/** namespace/name */
	readonly key: string;
	/** RFC 3339 */
	readonly now: string;
	readonly dataVolume: DataVolume | undefined;
	readonly source: Source | SourceRefusal;
	/** Nothing can be made in a namespace that is being deleted, and what is there goes in any order. */
	readonly namespaceLeaves: boolean;
	/** Of the DataVolume's name, whoever made it. */
	readonly claim: PersistentVolumeClaim | undefined;
	readonly volume: PersistentVolume | undefined;
	readonly rendered: Rendered | RenderProblem;
	readonly clone: ObservedClone | undefined;
	/** Where the claim is filled by the populate layer. */
	readonly population: Population | undefined;
	/** Of the worker that fills the claim, 0 to 100. */
	readonly percent: number | undefined;
	readonly importSource: VolumeImportSource | undefined;
	readonly cloneSource: VolumeCloneSource | undefined;
	/** Clone sources of a DataVolume of this name that is gone or was replaced. */
	readonly orphanSources: readonly VolumeCloneSource[];
	/** Where a restored claim could be placed that shall bind at once. */
	readonly node: string | undefined;
}

/** Clone sources by the DataVolume they were made for, as `namespace/name`. */
export const cloneSourcesByDataVolume: Index<VolumeCloneSource> = {
	name: 'dataVolume',
	keys: ({metadata}) => {
		const owner = metadata.annotations?.[annotations.ownedByDataVolume];
		return owner ? [owner] : [];
	},
};

export interface ObserveContext {
	readonly caches: Caches;
	readonly waiting: WaitingRequests;
	readonly lost: Pick<LostSnapshots, 'messageOf'>;
	readonly filesystemOverhead: number;
	readonly populationOf: (claim: PersistentVolumeClaim) => Population;
	readonly percentOf: (claimUid: string) => number | undefined;
	readonly now: () => number;
}

interface Origin {
	readonly origin: CloneOrigin;
	readonly claim?: PersistentVolumeClaim | undefined;
	readonly volume?: PersistentVolume | undefined;
	readonly snapshot?: VolumeSnapshot | undefined;
	readonly content?: VolumeSnapshotContent | undefined;
}

function observeOrigin(caches: Caches, source: Source): Origin | undefined {
	if (source.kind === 'pvc') {
		const {namespace, name} = source.pvc;
		const claim = caches.store(resources.persistentVolumeClaims).get(namespace, name);
		const volumeName = claim?.spec.volumeName;
		const volume = volumeName ? caches.store(resources.persistentVolumes).get(undefined, volumeName) : undefined;
		return {origin: {kind: 'PersistentVolumeClaim', namespace, name}, claim, volume};
	}
	if (source.kind !== 'snapshot') return undefined;
	const {namespace, name} = source.snapshot;
	const snapshot = caches.store(resources.volumeSnapshots).get(namespace, name);
	const contentName = snapshot?.status?.boundVolumeSnapshotContentName;
	const content = contentName ? caches.store(resources.volumeSnapshotContents).get(undefined, contentName) : undefined;
	const bound = snapshotSource(snapshot, content) ? content : undefined;
	return {origin: {kind: 'VolumeSnapshot', namespace, name}, snapshot, content: bound};
}

/** A claim that a DataVolume of its own still fills must not be cloned half-filled. */
function sourceNotReady(caches: Caches, {claim, volume, snapshot, content, origin}: Origin): CloneProblem | undefined {
	const name = `${origin.namespace}/${origin.name}`;
	if (origin.kind === 'VolumeSnapshot') {
		if (!snapshot) return {reason: 'CloneWithoutSource', message: `The source snapshot ${name} doesn't exist`};
		if (snapshot.status?.readyToUse === true && content) return undefined;
		const error = snapshot.status?.error?.message;
		return {
			reason: 'CloneSourceNotReady',
			message: `The source snapshot ${name} is not ready to use${error ? `: ${error}` : ''}`,
		};
	}
	if (!claim) return {reason: 'CloneWithoutSource', message: `The source pvc ${name} doesn't exist`};
	if (claim.metadata.deletionTimestamp)
		return {reason: 'CloneWithoutSource', message: `The source pvc ${name} is being deleted`};
	// Claims and volumes are watched apart: a volume that is not shown yet must not look like one that is not CSI.
	if (claim.status?.phase === 'Bound' && volume?.spec.claimRef?.uid === claim.metadata.uid) return undefined;
	const owner = caches.store(resources.dataVolumes).get(origin.namespace, origin.name);
	const phase = owner?.status?.phase;
	return {
		reason: 'CloneSourceNotReady',
		message: `The source pvc ${name} is not bound yet${phase ? ` (DataVolume ${name} is in phase ${phase})` : ''}`,
	};
}

function sizeProblem(origin: Origin, rendered: Rendered): CloneProblem | undefined {
	const has = origin.claim?.spec.resources?.requests?.['storage'] ?? origin.snapshot?.status?.restoreSize;
	const hasBytes = has === undefined ? undefined : parseQuantity(has);
	const mode = origin.claim?.spec.volumeMode ?? origin.content?.spec.sourceVolumeMode ?? 'Filesystem';
	// Across modes the usable sizes count, which the copy compares.
	if (mode !== rendered.spec.volumeMode || hasBytes === undefined || hasBytes <= rendered.requestBytes)
		return undefined;
	const wants = rendered.spec.resources?.requests?.['storage'];
	return {
		reason: 'CloneValidationFailed',
		message: `The clone doesn't meet the validation requirements: target resources requests storage size is smaller than the source ${wants} < ${has}`,
	};
}

function observeClone(
	context: ObserveContext,
	dataVolume: DataVolume,
	origin: Origin,
	rendered: Rendered | RenderProblem,
): ObservedClone {
	const {caches, waiting} = context;
	const elsewhere = origin.origin.namespace !== dataVolume.metadata.namespace;
	const denied = elsewhere ? authorizationProblem(caches, dataVolume) : undefined;
	const storageClass = isRenderProblem(rendered) ? undefined : rendered.storageClass;
	const driver = origin.volume?.spec.csi?.driver ?? origin.content?.spec.driver;
	const policy = driverPolicy(driver ?? '', storageClass);
	const restoreSize = parseQuantity(origin.snapshot?.status?.restoreSize ?? '0') ?? 0n;
	const capacity = parseQuantity(origin.volume?.spec.capacity?.['storage'] ?? '0') ?? 0n;
	const problem: CloneProblem | undefined = denied
		? {reason: 'CloneNotAuthorized', message: denied}
		: (sourceNotReady(caches, origin) ?? (isRenderProblem(rendered) ? undefined : sizeProblem(origin, rendered)));
	const sourceVolumeMode: VolumeMode =
		origin.volume?.spec.volumeMode ?? (origin.content?.spec.sourceVolumeMode === 'Block' ? 'Block' : 'Filesystem');
	const request = requestOf(dataVolume);
	// The one written last counts, though the cache may still show the one before.
	const assignment = waiting.assignmentOf(dataVolume.metadata.uid ?? '') ?? assignmentOf(dataVolume);
	const decision =
		problem || isRenderProblem(rendered)
			? undefined
			: chooseWay({
					sourceKind: origin.origin.kind === 'VolumeSnapshot' ? 'snapshot' : 'pvc',
					sourceDriver: origin.claim ? contentOf(origin.claim, origin.volume)?.driver : driver,
					sourceVolumeMode,
					sourceCapacityBytes: origin.volume ? capacity : restoreSize,
					targetProvisioner: rendered.storageClass.provisioner,
					targetIsCsi:
						caches.store(resources.csiDrivers).get(undefined, rendered.storageClass.provisioner) !== undefined,
					targetVolumeMode: rendered.spec.volumeMode ?? 'Filesystem',
					targetRequestBytes: rendered.requestBytes,
					targetExpandable: rendered.storageClass.allowVolumeExpansion === true,
					equalSizeRestore: policy.equalSizeRestore,
					snapshotsServed: caches.progress(resources.volumeSnapshots).resourceVersion !== undefined,
					snapshotClass: chooseSnapshotClass(caches.store(resources.volumeSnapshotClasses).list(), driver)?.metadata
						.name,
				});
	const serving = request && servingOf(caches, request, assignment, context.lost);
	return {
		origin: origin.origin,
		problem,
		decision,
		serving,
		snapshot: elsewhere ? undefined : origin.snapshot,
		minimumBytes: serving?.state === 'ready' ? serving.minimumBytes : restoreSize,
		equalSizeRestore: policy.equalSizeRestore,
		restoreWindow: policy.restoreWindow,
	};
}

const nowhere: SourceRefusal = {reason: 'Invalid', message: ''};
const noClaim: RenderProblem = {reason: 'ErrClaimNotValid', message: ''};

export function observe(key: string, context: ObserveContext): Observed {
	const {caches, filesystemOverhead, populationOf, percentOf, now} = context;
	const [namespace = '', name = ''] = key.split('/', 2);
	const dataVolume = caches.store(resources.dataVolumes).get(namespace, name);
	const uid = dataVolume?.metadata.uid;
	const claim = caches.store(resources.persistentVolumeClaims).get(namespace, name);
	const source = dataVolume ? parseSource(dataVolume) : nowhere;
	const origin = isRefusal(source) ? undefined : observeOrigin(caches, source);
	const rendered = dataVolume
		? renderClaim(dataVolume, {
				storageClasses: caches.store(resources.storageClasses).list(),
				filesystemOverhead,
				...(origin && {
					source: {
						claim: origin.claim,
						restoreSize: origin.snapshot?.status?.restoreSize,
						volumeMode: origin.content?.spec.sourceVolumeMode,
					},
				}),
			})
		: noClaim;
	const clone = dataVolume && origin && observeClone(context, dataVolume, origin, rendered);
	const cloneSources = caches.store(resources.volumeCloneSources).byIndex(cloneSourcesByDataVolume.name, key);
	const isOurs = (cloneSource: VolumeCloneSource) =>
		uid !== undefined && cloneSource.metadata.name === cloneSourceName(uid);
	const populated = claim?.spec.dataSourceRef?.apiGroup === cdiGroup;
	return {
		key,
		now: new Date(now()).toISOString().replace(/\.\d+Z$/, 'Z'),
		dataVolume,
		namespaceLeaves:
			caches.store(resources.namespaces).get(undefined, namespace)?.metadata.deletionTimestamp !== undefined,
		source,
		claim,
		volume: claim?.spec.volumeName
			? caches.store(resources.persistentVolumes).get(undefined, claim.spec.volumeName)
			: undefined,
		rendered,
		clone,
		population: populated ? populationOf(claim) : undefined,
		percent: percentOf(claim?.metadata.uid ?? ''),
		importSource: uid ? caches.store(resources.volumeImportSources).get(namespace, importSourceName(uid)) : undefined,
		cloneSource: cloneSources.find(isOurs),
		orphanSources: cloneSources.filter((cloneSource) => !isOurs(cloneSource)),
		node: isRenderProblem(rendered)
			? undefined
			: chooseNode(caches.store(resources.nodes).list(), caches.store(resources.csiNodes).list(), {
					driver: rendered.storageClass.provisioner,
					sourceVolume: origin?.volume,
				}),
	};
}
