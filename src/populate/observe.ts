/** Everything that filling one claim depends on, read from the caches into one value. */
import type {PersistentVolume, PersistentVolumeClaim, Pod, StorageClass} from '../api/kubernetes.ts';
import {
	annotations,
	cdiGroup,
	copierPodName,
	copySourceClaimName,
	importerPodName,
	labels,
	senderPodName,
	targetNameAnnotation,
} from '../api/names.ts';
import type {VolumeCloneSource, VolumeImportSource} from '../api/populator.ts';
import type {VolumeSnapshot, VolumeSnapshotContent} from '../api/snapshot.ts';
import type {Caches} from '../kube/caches.ts';
import {keyOf} from '../kube/object-key.ts';
import * as resources from '../kube/resources.ts';
import type {Index} from '../kube/store.ts';
import {volumeOf} from '../kube/volume-of.ts';
import {driverPolicy} from '../smartclone/driver-policy.ts';
import {chooseNode} from '../smartclone/placement.ts';
import {writersOf} from '../smartclone/writers.ts';
import {fillFromOf} from './in-place.ts';
import {primeNameOf} from './objects.ts';
import {areApart} from './topology.ts';

export interface ImportOrder {
	readonly kind: 'import';
	readonly source: VolumeImportSource | undefined;
}

export interface ClaimCloneOrder {
	readonly kind: 'cloneClaim';
	readonly source: VolumeCloneSource;
	readonly claim: PersistentVolumeClaim | undefined;
	readonly volume: PersistentVolume | undefined;
	/** Pods that may write to the claim, until their objects are gone; workers of ours that read it are not among them. */
	readonly writers: readonly Pod[];
}

export interface SnapshotCloneOrder {
	readonly kind: 'cloneSnapshot';
	readonly source: VolumeCloneSource;
	readonly snapshot: VolumeSnapshot | undefined;
	readonly content: VolumeSnapshotContent | undefined;
	/** Classes of the content's driver: where a snapshot is restored to be copied from. By name. */
	readonly classesOfDriver: readonly StorageClass[];
	/** The volume that the snapshot was cut of, and the class of its claim; undefined where they are gone. */
	readonly sourceVolume: PersistentVolume | undefined;
	readonly sourceClass: string | undefined;
	/** The claim that was restored to be copied from, and its volume. */
	readonly copySource: PersistentVolumeClaim | undefined;
	readonly copySourceVolume: PersistentVolume | undefined;
}

export type Order = ImportOrder | ClaimCloneOrder | SnapshotCloneOrder | {readonly kind: 'cloneMissing'};

export interface Observed {
	readonly key: string;
	/** Milliseconds since 1970. */
	readonly nowMs: number;
	readonly target: PersistentVolumeClaim | undefined;
	/** What the target asks for; undefined where it does not ask us. */
	readonly order: Order | undefined;
	readonly storageClass: StorageClass | undefined;
	readonly targetIsCsi: boolean;
	/** Where a restore could be placed that shall bind at once, in a class that waits for consumers. */
	readonly node: string | undefined;
	/** A worker fills the target itself, which binds before it is complete. Then there is no prime claim. */
	readonly inPlace: boolean;
	/** Of a copy from another namespace into the target itself: the VolumeCloneSource of the same name beside the target. */
	readonly sourceAtTarget: VolumeCloneSource | undefined;
	/** Of this very target, by UID. */
	readonly prime: PersistentVolumeClaim | undefined;
	readonly primeVolume: PersistentVolume | undefined;
	/** Of what a worker fills: of the prime claim, or of the target where that is filled in place. */
	readonly filledVolume: PersistentVolume | undefined;
	readonly worker: Pod | undefined;
	/** Serves the source to the worker, where that is on another node. */
	readonly sender: Pod | undefined;
	/** Volume that tells where a copy must read; undefined where it may be read anywhere. */
	readonly readFrom: PersistentVolume | undefined;
	/** No Pod can mount both what is read and what is filled: no node has both, or they are in different namespaces. */
	readonly apart: boolean;
	/** Every claim made for this very target: the prime claim, the claim a copy reads from. */
	readonly made: readonly PersistentVolumeClaim[];
	/** Made for a claim of this name that is gone or was replaced. */
	readonly orphans: {readonly pods: readonly Pod[]; readonly claims: readonly PersistentVolumeClaim[]};
}

/** Where a prime claim or worker Pod says its target is: `namespace/name`. */
export function targetKeyOf(object: PersistentVolumeClaim | Pod): string | undefined {
	const namespace = object.metadata.labels?.[labels.targetNamespace];
	const name = object.metadata.annotations?.[targetNameAnnotation];
	return namespace && name ? `${namespace}/${name}` : undefined;
}

const keysOf = (key: string | undefined): string[] => (key ? [key] : []);

export const claimsByTarget: Index<PersistentVolumeClaim> = {
	name: 'target',
	keys: (claim) => keysOf(targetKeyOf(claim)),
};
export const podsByTarget: Index<Pod> = {name: 'target', keys: (pod) => keysOf(targetKeyOf(pod))};

/** Targets by the object that they are filled from, as `Kind/namespace/name`. */
export const claimsBySource: Index<PersistentVolumeClaim> = {
	name: 'dataSourceRef',
	keys: (claim) => {
		const ref = sourceRefOf(claim);
		if (!ref) return [];
		const namespaces = new Set([ref.namespace, ...(fillFromOf(claim) ? [claim.metadata.namespace] : [])]);
		return [...namespaces].map((namespace) => `${ref.kind}/${namespace}/${ref.name}`);
	},
};

/** Targets that are cloned from this claim or snapshot, as `Kind/namespace/name`, over their VolumeCloneSources. */
export const cloneSourcesByOrigin: Index<VolumeCloneSource> = {
	name: 'origin',
	keys: ({spec, metadata}) => [`${spec.source.kind}/${metadata.namespace}/${spec.source.name}`],
};

/**
 * The object of ours that a claim is to be filled from. A clone source may be in another namespace, named by annotation
 * as in CDI; admission asks whether its author may (manifests/base/clone-authorization.yaml).
 */
export function sourceRefOf(
	claim: PersistentVolumeClaim,
):
	| {readonly kind: 'VolumeImportSource' | 'VolumeCloneSource'; readonly namespace: string; readonly name: string}
	| undefined {
	const ref = populatorRefOf(claim) ?? fillFromOf(claim);
	if (!ref) return undefined;
	const namespace = claim.metadata.namespace ?? '';
	if (ref.kind === 'VolumeImportSource') return {kind: 'VolumeImportSource', namespace, name: ref.name};
	if (ref.kind !== 'VolumeCloneSource') return undefined;
	const elsewhere = claim.metadata.annotations?.[annotations.dataSourceNamespace];
	return {kind: 'VolumeCloneSource', namespace: elsewhere ?? namespace, name: ref.name};
}

function populatorRefOf({spec: {dataSourceRef}}: PersistentVolumeClaim) {
	const isOurs = dataSourceRef?.apiGroup === cdiGroup && dataSourceRef.namespace === undefined;
	return isOurs ? dataSourceRef : undefined;
}

/** What a copy reads is where the source is; what it restores first is where the snapshot is, if that is local. */
function readFromOf(order: Order | undefined, caches: Caches): PersistentVolume | undefined {
	if (order?.kind === 'cloneClaim') return order.volume;
	if (order?.kind !== 'cloneSnapshot') return undefined;
	if (order.copySourceVolume) return order.copySourceVolume;
	const sourceClass = order.sourceClass
		? caches.store(resources.storageClasses).get(undefined, order.sourceClass)
		: undefined;
	return driverPolicy(order.content?.spec.driver ?? '', sourceClass).nodeLocal ? order.sourceVolume : undefined;
}

/**
 * A claim's user can write there what it is filled from, after admission has asked where from; a source object elsewhere, which
 * he cannot write, says for whom it is. A dataSourceRef never changes.
 */
function isMeantFor(target: PersistentVolumeClaim, {metadata}: VolumeCloneSource): boolean {
	if (!fillFromOf(target) || metadata.namespace === target.metadata.namespace) return true;
	return metadata.annotations?.[annotations.ownedByDataVolume] === keyOf(target);
}

function observeOrder(caches: Caches, target: PersistentVolumeClaim): Order | undefined {
	const ref = sourceRefOf(target);
	if (!ref) return undefined;
	if (ref.kind === 'VolumeImportSource') {
		return {kind: 'import', source: caches.store(resources.volumeImportSources).get(ref.namespace, ref.name)};
	}
	const source = caches.store(resources.volumeCloneSources).get(ref.namespace, ref.name);
	if (!source || !isMeantFor(target, source)) return {kind: 'cloneMissing'};
	if (source.spec.source.kind === 'VolumeSnapshot') {
		const snapshot = caches.store(resources.volumeSnapshots).get(ref.namespace, source.spec.source.name);
		const contentName = snapshot?.status?.boundVolumeSnapshotContentName;
		const content = contentName
			? caches.store(resources.volumeSnapshotContents).get(undefined, contentName)
			: undefined;
		const bound = content?.spec.volumeSnapshotRef.uid === snapshot?.metadata.uid ? content : undefined;
		const claims = caches.store(resources.persistentVolumeClaims);
		const sourceClaim = claims.get(ref.namespace, snapshot?.spec.source.persistentVolumeClaimName ?? '');
		const sourceVolume = volumeOf(caches, sourceClaim);
		const cutOf = sourceVolume?.spec.csi?.volumeHandle === bound?.spec.source.volumeHandle ? sourceVolume : undefined;
		const copySource = claims.get(ref.namespace, copySourceClaimName(target.metadata.uid ?? ''));
		return {
			kind: 'cloneSnapshot',
			source,
			snapshot,
			content: bound,
			classesOfDriver: caches
				.store(resources.storageClasses)
				.list()
				.filter((storageClass) => storageClass.provisioner === bound?.spec.driver)
				.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1)),
			sourceVolume: cutOf,
			sourceClass: sourceClaim?.spec.storageClassName,
			copySource,
			copySourceVolume: volumeOf(caches, copySource),
		};
	}
	const claim = caches.store(resources.persistentVolumeClaims).get(ref.namespace, source.spec.source.name);
	return {
		kind: 'cloneClaim',
		source,
		claim,
		volume: volumeOf(caches, claim),
		writers: claim ? writersOf(caches, claim) : [],
	};
}

/** Namespace of what the target is filled from; its prime claim is there, too. */
export function primeNamespaceOf(target: PersistentVolumeClaim): string {
	return sourceRefOf(target)?.namespace ?? target.metadata.namespace ?? '';
}

export function observe(key: string, caches: Caches, nowMs: number): Observed {
	const [namespace = '', name = ''] = key.split('/', 2);
	const claims = caches.store(resources.persistentVolumeClaims);
	const target = claims.get(namespace, name);
	const uid = target?.metadata.deletionTimestamp ? undefined : target?.metadata.uid;
	const order = target && uid ? observeOrder(caches, target) : undefined;
	const made = claims.byIndex(claimsByTarget.name, key);
	const pods = caches.store(resources.pods).byIndex(podsByTarget.name, key);
	const isOurs = (object: PersistentVolumeClaim | Pod) =>
		uid !== undefined && object.metadata.labels?.[labels.targetUid] === uid;
	const primeName = target && uid ? primeNameOf(target, order?.kind === 'import' ? 'import' : 'clone') : undefined;
	// Labels are anybody's to write, in any namespace; what is in the right one under the right name was made by us, or by
	// somebody who could have written to the claim anyway.
	const primeNamespace = target && primeNamespaceOf(target);
	const prime = made.find(
		(claim) => isOurs(claim) && claim.metadata.name === primeName && claim.metadata.namespace === primeNamespace,
	);
	const workerName = order?.kind === 'import' ? importerPodName(uid ?? '') : copierPodName(uid ?? '');
	const primeVolume = volumeOf(caches, prime);
	const readFrom = readFromOf(order, caches);
	const nodes = caches.store(resources.nodes).list();
	const inPlace = target !== undefined && fillFromOf(target) !== undefined;
	const filledVolume = inPlace ? volumeOf(caches, target) : primeVolume;
	const isElsewhere = primeNamespace !== target?.metadata.namespace;
	const podOf = (name: string, podNamespace: string | undefined) =>
		pods.find((pod) => isOurs(pod) && pod.metadata.name === name && pod.metadata.namespace === podNamespace);
	const className = target?.spec.storageClassName;
	const storageClass = className ? caches.store(resources.storageClasses).get(undefined, className) : undefined;
	return {
		key,
		nowMs,
		target,
		order,
		storageClass,
		targetIsCsi:
			storageClass !== undefined &&
			caches.store(resources.csiDrivers).get(undefined, storageClass.provisioner) !== undefined,
		node:
			storageClass?.volumeBindingMode === 'WaitForFirstConsumer'
				? chooseNode(nodes, caches.store(resources.csiNodes).list(), {
						driver: storageClass.provisioner,
						sourceVolume: readFrom,
					})
				: undefined,
		inPlace,
		sourceAtTarget:
			inPlace && order?.kind !== 'import'
				? caches.store(resources.volumeCloneSources).get(target.metadata.namespace, sourceRefOf(target)?.name ?? '')
				: undefined,
		prime,
		primeVolume,
		filledVolume,
		made: made.filter(isOurs),
		worker: podOf(workerName, inPlace ? target.metadata.namespace : primeNamespace),
		sender: order?.kind === 'import' ? undefined : podOf(senderPodName(uid ?? ''), primeNamespace),
		readFrom,
		apart:
			(inPlace && isElsewhere) ||
			areApart(nodes, readFrom, {
				selectedNode: target?.metadata.annotations?.[annotations.selectedNode],
				volume: filledVolume,
			}),
		orphans: {pods: pods.filter((pod) => !isOurs(pod)), claims: made.filter((claim) => !isOurs(claim))},
	};
}
