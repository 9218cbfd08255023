/** What a clone depends on besides its own claim: its source, the storage's answers so far, and which way follows from that. */
import type {DataVolume} from '../api/datavolume.ts';
import type {PersistentVolume, PersistentVolumeClaim, Pod, VolumeMode} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import {formatQuantity, inflateForFilesystem, largest, parseQuantity, usableOnFilesystem} from '../api/quantity.ts';
import type {Source} from '../api/source.ts';
import type {SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {VolumeSnapshot, VolumeSnapshotContent} from '../api/snapshot.ts';
import {type ClusterSettings, clusterSettings} from '../cdiconfig/settings.ts';
import type {Caches} from '../kube/caches.ts';
import * as resources from '../kube/resources.ts';
import {volumeOf} from '../kube/volume-of.ts';
import {isBeingFilled} from '../populate/in-place.ts';
import {type DriverPolicy, driverPolicy} from '../smartclone/driver-policy.ts';
import type {LostSnapshots} from '../smartclone/lost-snapshots.ts';
import {type Assignment, assignmentTo, type WaitingRequests} from '../smartclone/requests.ts';
import {type Serving, servingOf} from '../smartclone/serving.ts';
import {snapshotSource} from '../smartclone/rules.ts';
import {contentOf} from '../smartclone/sharing.ts';
import {snapshotClassFor} from '../smartclone/observe.ts';
import {
	chooseWay,
	type CloneDecision,
	type CloneFacts,
	type CloneRoute,
	type CloneWay,
} from '../smartclone/strategy.ts';
import {handleKey, volumesByHandle} from '../smartclone/writer-watch.ts';
import {writersOf} from '../smartclone/writers.ts';
import {profileOf} from '../storageprofile/observe.ts';
import {wishedStrategy} from '../storageprofile/resolve.ts';
import {authorizationProblem} from './authorization.ts';
import {fillsInPlace, isCsiClass} from './fills-in-place.ts';
import {type GaveUp, gaveUpOf, isGivenUp} from './gave-up.ts';
import {inheritedLabels} from './instancetype-labels.ts';
import type {CloneOrigin} from './objects.ts';
import {isRenderProblem, type Rendered, type RenderProblem} from './render.ts';
import {assignmentOf, requestOf, writtenWay} from './requests.ts';

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
	/** For a claim as source: what the shared snapshot can do, in the way that is decided or was when it was assigned. */
	readonly serving: Serving | undefined;
	/** The SharedSnapshot that the request is assigned to. */
	readonly shared: SharedSnapshot | undefined;
	/** For a snapshot as source in the DataVolume's namespace: what can be restored as it is. */
	readonly snapshot: VolumeSnapshot | undefined;
	/** What a restore asks for at least. */
	readonly minimumBytes: bigint;
	readonly policy: DriverPolicy;
	/** What was tried in vain. */
	readonly gaveUp: GaveUp;
	/** Of the source, now. */
	readonly writers: readonly Pod[];
	/** Labels that the clone has from its source. */
	readonly inherits: Readonly<Record<string, string>>;
	/** The user wants no clone of a source that is written to. */
	readonly wantsQuiet: boolean;
}

export interface CloneContext {
	readonly caches: Caches;
	readonly waiting: WaitingRequests;
	/** Default: as the caches have them. */
	readonly settings?: ClusterSettings;
	/** Snapshots that the storage has lost although nothing shows it. */
	readonly lost: Pick<LostSnapshots, 'messageOf'>;
}

export interface Origin {
	readonly origin: CloneOrigin;
	readonly claim?: PersistentVolumeClaim | undefined;
	readonly volume?: PersistentVolume | undefined;
	readonly snapshot?: VolumeSnapshot | undefined;
	readonly content?: VolumeSnapshotContent | undefined;
	/** The volume that the snapshot was cut from, if it is still there. */
	readonly cutFrom?: PersistentVolume | undefined;
}

export function observeOrigin(caches: Caches, source: Source): Origin | undefined {
	if (source.kind === 'pvc') {
		const {namespace, name} = source.pvc;
		const claim = caches.store(resources.persistentVolumeClaims).get(namespace, name);
		return {origin: {kind: 'PersistentVolumeClaim', namespace, name}, claim, volume: volumeOf(caches, claim)};
	}
	if (source.kind !== 'snapshot') return undefined;
	const {namespace, name} = source.snapshot;
	const snapshot = caches.store(resources.volumeSnapshots).get(namespace, name);
	const contentName = snapshot?.status?.boundVolumeSnapshotContentName;
	const content = contentName ? caches.store(resources.volumeSnapshotContents).get(undefined, contentName) : undefined;
	const bound = snapshotSource(snapshot, content) ? content : undefined;
	const handle = bound && handleKey(bound.spec.driver, bound.spec.source.volumeHandle ?? '');
	const [cutFrom] = handle ? caches.store(resources.persistentVolumes).byIndex(volumesByHandle.name, handle) : [];
	return {origin: {kind: 'VolumeSnapshot', namespace, name}, snapshot, content: bound, cutFrom};
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
	if (isBeingFilled(claim))
		return {reason: 'CloneSourceNotReady', message: `The source pvc ${name} is still being filled`};
	// Claims and volumes are watched apart: a volume that is not shown yet must not look like one that is not CSI.
	if (claim.status?.phase === 'Bound' && volume?.spec.claimRef?.uid === claim.metadata.uid) return undefined;
	const owner = caches.store(resources.dataVolumes).get(origin.namespace, origin.name);
	const phase = owner?.status?.phase;
	return {
		reason: 'CloneSourceNotReady',
		message: `The source pvc ${name} is not bound yet${phase ? ` (DataVolume ${name} is in phase ${phase})` : ''}`,
	};
}

const modeOf = ({claim, content}: Origin): VolumeMode => {
	const mode = claim?.spec.volumeMode ?? content?.spec.sourceVolumeMode;
	return mode === 'Block' ? 'Block' : 'Filesystem';
};

/** Where the mode changes, what a disk image of the source may take counts. */
function neededBytes(has: bigint, origin: Origin, {spec}: Rendered, {overheadOf}: ClusterSettings): bigint {
	if (modeOf(origin) === spec.volumeMode) return has;
	return spec.volumeMode === 'Block'
		? usableOnFilesystem(has, overheadOf(origin.claim?.spec.storageClassName))
		: inflateForFilesystem(has, overheadOf(spec.storageClassName));
}

/** A clone may be smaller than the claim of its source where its disk is known to fit; whoever fills it looks again. */
function isPermissive({metadata}: DataVolume, rendered: Rendered): boolean {
	return rendered.sizedByDisk === true || metadata.annotations?.[annotations.permissiveClone] !== undefined;
}

function sizeProblem(origin: Origin, rendered: Rendered, settings: ClusterSettings): CloneProblem | undefined {
	const asked = origin.claim?.spec.resources?.requests?.['storage'] ?? origin.snapshot?.status?.restoreSize;
	const has = asked === undefined ? undefined : parseQuantity(asked);
	const needs = has && neededBytes(has, origin, rendered, settings);
	if (needs === undefined || needs <= rendered.requestBytes) return undefined;
	const wants = rendered.spec.resources?.requests?.['storage'];
	return {
		reason: 'CloneValidationFailed',
		message: `The clone doesn't meet the validation requirements: target resources requests storage size is smaller than the source ${wants} < ${needs === has ? asked : formatQuantity(needs)}`,
	};
}

const bytesOf = (quantity: string | undefined) => parseQuantity(quantity ?? '0') ?? 0n;

/** What a snapshot says of its size may be absent, zero, or what is used of it: the volume that it was cut from knows better. */
function capacityOf({claim, volume, snapshot, cutFrom}: Origin): bigint {
	if (volume) return bytesOf(volume.spec.capacity?.['storage']);
	if (claim) return bytesOf(claim.spec.resources?.requests?.['storage']);
	return largest(bytesOf(snapshot?.status?.restoreSize), bytesOf(cutFrom?.spec.capacity?.['storage']));
}

/** Which way the shared snapshot is wanted for: to restore the clone itself, or something in the source's namespace. */
export function requestWay(route: CloneRoute): CloneWay {
	return route === 'restore' ? 'snapshot' : 'copy';
}

export function needsShared({route}: CloneDecision): boolean {
	return route === 'restore' || route === 'restoreOrCopy' || route === 'copySnapshot';
}

/** The assignment that counts is the one written last; the cache may still show the one before. */
function currentAssignment({caches, waiting}: CloneContext, dataVolume: DataVolume) {
	const shown = assignmentOf(dataVolume);
	const assignment = waiting.assignmentOf(dataVolume.metadata.uid ?? '') ?? shown;
	const shared = caches.store(resources.sharedSnapshots).get(undefined, assignment?.split('/', 1)[0] ?? '');
	const isThat = shared !== undefined && assignmentTo(shared) === assignment;
	return {assignment, shared: isThat ? shared : undefined, isShown: assignment === shown};
}

function servingFor({caches, lost}: CloneContext, dataVolume: DataVolume, way: CloneWay, assignment?: Assignment) {
	const request = requestOf(dataVolume, way);
	return request && servingOf(caches, request, assignment, lost);
}

export function observeClone(
	context: CloneContext,
	dataVolume: DataVolume,
	origin: Origin,
	rendered: Rendered | RenderProblem,
): ObservedClone {
	const {caches, settings = clusterSettings(caches)} = context;
	const {namespace} = dataVolume.metadata;
	const isElsewhere = origin.origin.namespace !== namespace;
	const denied = isElsewhere ? authorizationProblem(caches, dataVolume) : undefined;
	const storageClass = isRenderProblem(rendered) ? undefined : rendered.storageClass;
	const driver = origin.volume?.spec.csi?.driver ?? origin.content?.spec.driver;
	const policy = driverPolicy(driver ?? '', storageClass);
	const problem: CloneProblem | undefined = denied
		? {reason: 'CloneNotAuthorized', message: denied}
		: (sourceNotReady(caches, origin) ??
			(isRenderProblem(rendered) || isPermissive(dataVolume, rendered)
				? undefined
				: sizeProblem(origin, rendered, settings)));
	const gaveUp = gaveUpOf(dataVolume);
	const {assignment, shared, isShown} = currentAssignment(context, dataVolume);
	// The way was decided when the request was assigned, and stays so as long as that assignment is worth something.
	const written = isShown ? writtenWay(dataVolume) : undefined;
	const keptServing = written && assignment && servingFor(context, dataVolume, written, assignment);
	const isKept = keptServing && keptServing.state !== 'none' && !isGivenUp(gaveUp, written);
	const kept = isKept ? written : undefined;
	const decision =
		problem || isRenderProblem(rendered)
			? undefined
			: chooseWay({
					...factsOf({...context, settings}, {origin, rendered, policy, dataVolume}),
					givenUp: gaveUp.ways,
					kept,
				});
	const way = decision ? requestWay(decision.route) : (written ?? 'snapshot');
	const serving = servingFor(context, dataVolume, way, assignment);
	// Without a decision (the source is gone) what was cut for this request may serve it, unless that was tried in vain.
	const wanted = decision ? needsShared(decision) : !isGivenUp(gaveUp, 'snapshot') && !isGivenUp(gaveUp, way);
	const usable = wanted ? serving : serving && ({state: 'none'} as const);
	return {
		origin: origin.origin,
		problem,
		decision,
		serving: usable,
		shared,
		snapshot: isElsewhere ? undefined : origin.snapshot,
		minimumBytes: usable?.state === 'ready' ? usable.minimumBytes : capacityOf(origin),
		policy,
		gaveUp,
		writers: origin.claim ? writersOf(caches, origin.claim) : [],
		inherits: inheritedLabels(dataVolume, origin.claim, origin.snapshot),
		wantsQuiet: dataVolume.metadata.annotations?.[annotations.consistency] === 'quiet',
	};
}

interface Wanted {
	readonly origin: Origin;
	readonly rendered: Rendered;
	readonly policy: DriverPolicy;
	readonly dataVolume: DataVolume;
}

function factsOf(
	{caches, settings}: CloneContext & {readonly settings: ClusterSettings},
	{origin, rendered, policy, dataVolume}: Wanted,
): Omit<CloneFacts, 'givenUp' | 'kept'> {
	const {storageClass} = rendered;
	const driver = origin.claim ? contentOf(origin.claim, origin.volume)?.driver : origin.content?.spec.driver;
	const isAsked = dataVolume.metadata.annotations?.[annotations.bindImmediate] !== undefined;
	const bindsAtOnce = isAsked || !settings.hasGate('HonorWaitForFirstConsumer');
	return {
		sourceKind: origin.origin.kind === 'VolumeSnapshot' ? 'snapshot' : 'pvc',
		sourceDriver: driver,
		sourceVolumeMode: origin.volume?.spec.volumeMode ?? modeOf(origin),
		sourceCapacityBytes: capacityOf(origin),
		sourceHasClass: Boolean(origin.claim?.spec.storageClassName),
		sameNamespace: origin.origin.namespace === dataVolume.metadata.namespace,
		sourceRestorable: caches
			.store(resources.storageClasses)
			.list()
			.some(({provisioner}) => provisioner === driver),
		targetProvisioner: storageClass.provisioner,
		targetIsCsi: isCsiClass(caches, dataVolume, storageClass),
		targetInPlace: fillsInPlace(caches, dataVolume, storageClass),
		targetVolumeMode: rendered.spec.volumeMode ?? 'Filesystem',
		targetRequestBytes: rendered.requestBytes,
		targetExpandable: storageClass.allowVolumeExpansion === true,
		targetWaitsForConsumer: storageClass.volumeBindingMode === 'WaitForFirstConsumer' && !bindsAtOnce,
		equalSizeRestore: policy.equalSizeRestore,
		equalSizeCsiClone: policy.equalSizeCsiClone,
		nodeLocal: policy.nodeLocal,
		csiClone: policy.csiClone,
		snapshotsServed: caches.isServed(resources.volumeSnapshots),
		snapshotClass: snapshotClassFor(caches, origin.claim, driver)?.metadata.name,
		wish: settings.cloneStrategy ?? wishedStrategy(storageClass, profileOf(caches, storageClass)),
	};
}
