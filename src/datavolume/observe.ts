/** Everything that one DataVolume depends on, read from the caches into one value, the clock included. */
import type {DataVolume} from '../api/datavolume.ts';
import {mayHoldDiskImage, rememberedDiskBytes} from '../api/disk-size.ts';
import type {PersistentVolume, PersistentVolumeClaim, StorageClass} from '../api/kubernetes.ts';
import {annotations, cdiGroup, cloneSourceName, copyClaimName, importSourceName, stripeNumber} from '../api/names.ts';
import {timestampOf} from '../api/timestamp.ts';
import {clusterSettings} from '../cdiconfig/settings.ts';
import type {VolumeCloneSource, VolumeImportSource} from '../api/populator.ts';
import {isRefusal, parseSource, type Source, type SourceReference, type SourceRefusal} from '../api/source.ts';
import {dataSourcesByTarget, resolveFromCaches} from '../datasource/observe.ts';
import type {CloneableSource} from '../datasource/resolve.ts';
import {describe} from '../disksize/decide.ts';
import {sizePodOf} from '../disksize/observe.ts';
import type {Caches} from '../kube/caches.ts';
import {keyOf} from '../kube/object-key.ts';
import * as resources from '../kube/resources.ts';
import type {Index} from '../kube/store.ts';
import {volumeOf} from '../kube/volume-of.ts';
import {fillFromOf, isBeingFilled} from '../populate/in-place.ts';
import {claimsByTarget} from '../populate/observe.ts';
import type {Population} from '../populate/population.ts';
import {chooseNode} from '../smartclone/placement.ts';
import {type Failure, failureOf, failuresByClaim} from '../smartclone/provisioning-failure.ts';
import {profileFacts, volumesByClass} from '../storageprofile/observe.ts';
import {resolveProfile} from '../storageprofile/resolve.ts';
import {assignmentTo} from '../smartclone/requests.ts';
import {volumesByHandle} from '../smartclone/writer-watch.ts';
import {podsByClaim} from '../smartclone/writers.ts';
import {type CloneContext, type ObservedClone, observeClone, observeOrigin} from './observe-clone.ts';
import {fillsInPlace} from './fills-in-place.ts';
import {inheritedLabels} from './instancetype-labels.ts';
import {isRenderProblem, type Rendered, type RenderProblem, renderClaim} from './render.ts';
import {assignmentOf, dataVolumesByDataSource} from './requests.ts';
import {chooseStaticVolume, mayBeStatic, volumesByClaim} from './static-volume.ts';
import {followReference, isProblem, type ObservedReference, recordedSource} from './source-ref.ts';

/** A claim that the storage makes from a snapshot or another claim, and how that goes. */
export interface ObservedMaking {
	readonly claim: PersistentVolumeClaim;
	/** What the storage said last, if it said no. */
	readonly failure: Failure | undefined;
	/** Milliseconds since the storage could begin. */
	readonly forMs: number;
}

export interface Observed {
	/** namespace/name */
	readonly key: string;
	/** RFC 3339 */
	readonly now: string;
	readonly dataVolume: DataVolume | undefined;
	/** Still a reference where that leads to nothing, or where a claim is there and no record says what it is made from. */
	readonly source: Source | SourceReference | SourceRefusal;
	/** Where `spec.sourceRef` leads to. */
	readonly reference: ObservedReference | undefined;
	/** Nothing can be made in a namespace that is being deleted, and what is there goes in any order. */
	readonly namespaceLeaves: boolean;
	/** Of the DataVolume's name, whoever made it. */
	readonly claim: PersistentVolumeClaim | undefined;
	readonly volume: PersistentVolume | undefined;
	/** Made beforehand for the claim, which does not exist yet. */
	readonly staticVolume: PersistentVolume | undefined;
	/** The StorageClass that the claim names. */
	readonly claimClass: StorageClass | undefined;
	/** Whether a claim of its name that exists is taken over where the DataVolume says nothing. */
	readonly adoptsByDefault: boolean;
	readonly rendered: Rendered | RenderProblem;
	/** The cluster's settings say that no claim waits for a consumer, whatever its class says. */
	readonly bindsAtOnce: boolean;
	readonly clone: ObservedClone | undefined;
	/** How the look for the size of the source's disk gets on, in words, where one is needed. */
	readonly measuring: string | undefined;
	/**
	 * The shared snapshot, or the alias of it, that the claim is made from is being deleted, or was, and the request is assigned
	 * to another one by now. What is being deleted waits for the claim, and no restore begins any more: they would wait for each
	 * other. A leader that sees late makes a claim from what is gone already.
	 */
	readonly snapshotLost: boolean;
	/** The DataVolume's own claim, or one that is made to fill it: the one that the storage has trouble with, if any. */
	readonly making: ObservedMaking | undefined;
	/** How a claim is filled whose way was left open: known from its prime claim, as soon as there is one. */
	readonly happened: 'snapshot' | 'copy' | undefined;
	/** Milliseconds since 1970. */
	readonly nowMs: number;
	readonly deadlines: Deadlines;
	/** Where the claim is filled by the populate layer. */
	readonly population: Population | undefined;
	/** Of the worker that fills the claim, 0 to 100. */
	readonly percent: number | undefined;
	readonly importSource: VolumeImportSource | undefined;
	readonly cloneSource: VolumeCloneSource | undefined;
	/** The same once more beside the claim, where that is filled in place from another namespace: it owns what is made here. */
	readonly cloneSourceAtClaim: VolumeCloneSource | undefined;
	/** The claim, once it is made, is filled itself: see populate/in-place.ts. */
	readonly inPlace: boolean;
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

/** After so long without an end a snapshot, or a restore, is given up. A driver's row or a StorageClass may say otherwise. */
export interface Deadlines {
	readonly cutMs: number;
	readonly restoreMs: number;
}

export const defaultDeadlines: Deadlines = {cutMs: 3_600_000, restoreMs: 3_600_000};

export interface ObserveContext extends CloneContext {
	readonly populationOf: (claim: PersistentVolumeClaim) => Population;
	readonly percentOf: (claimUid: string) => number | undefined;
	readonly now: () => number;
	/** Since when the storage can make this claim, in milliseconds since 1970; undefined: not yet. Default: since it exists. */
	readonly makingSince?: (claim: PersistentVolumeClaim) => number | undefined;
	readonly deadlines?: Deadlines;
	/** Why nobody can look how large the disk in the claim of this key is. */
	readonly sizeProblemOf?: (key: string) => string | undefined;
}

/** Every index that {@link observe} reads by. */
export function addIndexes(caches: Caches): void {
	caches.addIndex(resources.volumeCloneSources, cloneSourcesByDataVolume);
	caches.addIndex(resources.persistentVolumes, volumesByHandle);
	caches.addIndex(resources.persistentVolumes, volumesByClaim);
	caches.addIndex(resources.persistentVolumes, volumesByClass);
	caches.addIndex(resources.persistentVolumeClaims, claimsByTarget);
	caches.addIndex(resources.pods, podsByClaim);
	caches.addIndex(resources.events, failuresByClaim);
	caches.addIndex(resources.dataSources, dataSourcesByTarget);
	caches.addIndex(resources.dataVolumes, dataVolumesByDataSource);
}

/** A source that is gone, before anything was made of it, has no claim to be waited for. */
function stands(caches: Caches, dataVolume: DataVolume, recorded: CloneableSource): boolean {
	const {claim, snapshot} = observeOrigin(caches, recorded) ?? {};
	const object = claim ?? snapshot;
	if (object && !object.metadata.deletionTimestamp) return true;
	const assignment = assignmentOf(dataVolume);
	const shared = caches.store(resources.sharedSnapshots).get(undefined, assignment?.split('/', 1)[0] ?? '');
	return shared !== undefined && assignmentTo(shared) === assignment;
}

function observeReference(
	caches: Caches,
	dataVolume: DataVolume,
	reference: SourceReference,
	hasClaim: boolean,
): ObservedReference {
	const written = recordedSource(dataVolume);
	const dataSource = caches.store(resources.dataSources).get(reference.namespace, reference.name);
	const resolution = dataSource && resolveFromCaches(caches, dataSource);
	return {
		to: {namespace: reference.namespace, name: reference.name},
		inherits: inheritedLabels(dataVolume, dataSource),
		recorded: written && (hasClaim || stands(caches, dataVolume, written)) ? written : undefined,
		now: followReference(dataVolume, reference, resolution),
	};
}

/** A claim that is there is never held against what a DataSource says now. */
function sourceBehind({recorded, now}: ObservedReference, hasClaim: boolean): Source | undefined {
	if (recorded) return recorded;
	return hasClaim || isProblem(now) ? undefined : now;
}

function observeMaking(
	{caches, makingSince, now}: ObserveContext,
	claim: PersistentVolumeClaim,
	made: readonly PersistentVolumeClaim[],
): ObservedMaking | undefined {
	const pending = [claim, ...made].filter(({status, spec}) => status?.phase !== 'Bound' && !spec.volumeName);
	const each = pending.map((candidate) => ({claim: candidate, failure: failureOf(caches, candidate)}));
	// Its own claim is made by nobody where the populate layer fills it.
	const found = each.find(({failure}) => failure) ?? each.find((making) => making.claim.spec.dataSource);
	if (!found) return undefined;
	const since = makingSince ? makingSince(found.claim) : Date.parse(found.claim.metadata.creationTimestamp ?? '');
	return {...found, forMs: since === undefined || Number.isNaN(since) ? 0 : Math.max(0, now() - since)};
}

function isSnapshotLost(
	caches: Caches,
	{shared, serving}: ObservedClone,
	claim: PersistentVolumeClaim,
	cloneSource: VolumeCloneSource | undefined,
): boolean {
	const {kind, name, namespace} = claim.spec.dataSource
		? {...claim.spec.dataSource, namespace: claim.metadata.namespace}
		: {...cloneSource?.spec.source, namespace: cloneSource?.metadata.namespace};
	if (!serving || kind !== 'VolumeSnapshot' || name === undefined) return false;
	const snapshot = caches.store(resources.volumeSnapshots).get(namespace, name);
	if (snapshot) return snapshot.metadata.deletionTimestamp !== undefined;
	// One of the SharedSnapshot that it is assigned to may be shown later than the claim that a leader before made from it.
	return shared !== undefined && stripeNumber(shared.metadata.uid ?? '', name) === undefined;
}

/**
 * What a clone without a size has to hold. Looked for only before there is a claim: that has its size.
 *
 * @returns bytes; undefined where the source's capacity counts: of a device, of an archive, of files without a disk
 */
function diskOf(
	{spec}: DataVolume,
	source: PersistentVolumeClaim | undefined,
	hasClaim: boolean,
): bigint | 'unknown' | undefined {
	if (!source || spec.contentType === 'archive' || !mayHoldDiskImage(source)) return undefined;
	const known = rememberedDiskBytes(source);
	if (known !== undefined) return known > 0n ? known : undefined;
	return hasClaim || source.status?.phase !== 'Bound' ? undefined : 'unknown';
}

function measuringOf(
	{caches, sizeProblemOf}: ObserveContext,
	rendered: Rendered | RenderProblem,
	source: PersistentVolumeClaim | undefined,
): string | undefined {
	const isNeeded = isRenderProblem(rendered) && rendered.reason === 'SizeUnknown' && source !== undefined;
	return isNeeded ? describe(source, sizePodOf(caches, source), sizeProblemOf?.(keyOf(source))) : undefined;
}

const nowhere: SourceRefusal = {reason: 'Invalid', message: ''};
const noClaim: RenderProblem = {reason: 'ErrClaimNotValid', message: ''};

export function observe(key: string, context: ObserveContext): Observed {
	const {
		caches,
		settings = clusterSettings(caches),
		populationOf,
		percentOf,
		now,
		deadlines = defaultDeadlines,
	} = context;
	const [namespace = '', name = ''] = key.split('/', 2);
	const dataVolume = caches.store(resources.dataVolumes).get(namespace, name);
	const uid = dataVolume?.metadata.uid;
	const claim = caches.store(resources.persistentVolumeClaims).get(namespace, name);
	const given = dataVolume ? parseSource(dataVolume) : nowhere;
	const isReference = 'kind' in given && given.kind === 'reference';
	const reference =
		dataVolume && isReference ? observeReference(caches, dataVolume, given, claim !== undefined) : undefined;
	const source = (reference && sourceBehind(reference, claim !== undefined)) ?? given;
	const origin = isRefusal(source) || source.kind === 'reference' ? undefined : observeOrigin(caches, source);
	const rendered = dataVolume
		? renderClaim(dataVolume, {
				storageClasses: caches.store(resources.storageClasses).list(),
				profileOf: (storageClass) => resolveProfile(profileFacts(caches, storageClass)),
				overheadOf: settings.overheadOf,
				...(origin && {
					source: {
						claim: origin.claim,
						restoreSize: origin.snapshot?.status?.restoreSize,
						volumeMode: origin.content?.spec.sourceVolumeMode,
						disk: diskOf(dataVolume, origin.claim, claim !== undefined),
					},
				}),
			})
		: noClaim;
	const clone = dataVolume && origin && observeClone({...context, settings}, dataVolume, origin, rendered);
	const cloneSources = caches.store(resources.volumeCloneSources).byIndex(cloneSourcesByDataVolume.name, key);
	const isOurs = (cloneSource: VolumeCloneSource) =>
		uid !== undefined && cloneSource.metadata.name === cloneSourceName(uid);
	const ownCloneSources = cloneSources.filter(isOurs);
	const inNamespace = (wanted: string | undefined) =>
		ownCloneSources.find(({metadata}) => metadata.namespace === wanted);
	const originNamespace = claim?.metadata.annotations?.[annotations.dataSourceNamespace] ?? origin?.origin.namespace;
	const inPlace = claim
		? fillFromOf(claim) !== undefined
		: dataVolume !== undefined && !isRenderProblem(rendered) && fillsInPlace(caches, dataVolume, rendered.storageClass);
	const cloneSourceAtClaim = inPlace && originNamespace !== namespace ? inNamespace(namespace) : undefined;
	const ownCloneSource =
		inNamespace(originNamespace) ?? ownCloneSources.find((cloneSource) => cloneSource !== cloneSourceAtClaim);
	const populated = claim !== undefined && (claim.spec.dataSourceRef?.apiGroup === cdiGroup || inPlace);
	const made = populated ? caches.store(resources.persistentVolumeClaims).byIndex(claimsByTarget.name, key) : [];
	const prime = claim && made.find(({metadata}) => metadata.name === copyClaimName(claim.metadata.uid ?? ''));
	return {
		key,
		now: timestampOf(now()),
		dataVolume,
		namespaceLeaves:
			caches.store(resources.namespaces).get(undefined, namespace)?.metadata.deletionTimestamp !== undefined,
		source,
		reference,
		claim,
		volume: volumeOf(caches, claim),
		staticVolume:
			dataVolume && !claim && mayBeStatic(dataVolume) && !isRenderProblem(rendered)
				? chooseStaticVolume(caches.store(resources.persistentVolumes).byIndex(volumesByClaim.name, key), rendered.spec)
				: undefined,
		claimClass: claim && caches.store(resources.storageClasses).get(undefined, claim.spec.storageClassName ?? ''),
		adoptsByDefault: settings.hasGate('DataVolumeClaimAdoption'),
		rendered,
		bindsAtOnce: !settings.hasGate('HonorWaitForFirstConsumer'),
		clone,
		measuring: measuringOf(context, rendered, origin?.claim),
		snapshotLost: claim !== undefined && clone !== undefined && isSnapshotLost(caches, clone, claim, ownCloneSource),
		making:
			claim && clone && (claim.status?.phase !== 'Bound' || isBeingFilled(claim))
				? observeMaking(context, claim, made)
				: undefined,
		happened: prime && (prime.spec.dataSource ? 'snapshot' : 'copy'),
		nowMs: now(),
		deadlines,
		population: populated ? populationOf(claim) : undefined,
		percent: percentOf(claim?.metadata.uid ?? ''),
		importSource: uid ? caches.store(resources.volumeImportSources).get(namespace, importSourceName(uid)) : undefined,
		cloneSource: ownCloneSource,
		cloneSourceAtClaim,
		inPlace,
		orphanSources: cloneSources.filter((cloneSource) => !isOurs(cloneSource)),
		node: isRenderProblem(rendered)
			? undefined
			: chooseNode(caches.store(resources.nodes).list(), caches.store(resources.csiNodes).list(), {
					driver: rendered.storageClass.provisioner,
					sourceVolume: origin?.volume,
				}),
	};
}
