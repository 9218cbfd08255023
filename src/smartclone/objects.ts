/** The objects of a shared snapshot, as they are written. Pure. */
import {createHash} from 'node:crypto';
import {annotations, finalizers, labels, managedByValue, onesnapVersion, stripeName} from '../api/names.ts';
import type {ContentKey, SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {VolumeSnapshot, VolumeSnapshotContent} from '../api/snapshot.ts';
import {contentHash, sharedSnapshotName} from './sharing.ts';

const snapshotVersion = 'snapshot.storage.k8s.io/v1';

/** For people: the claim as `namespace/name`, shown by `kubectl get shs`. */
const sourceAnnotation = 'onesnap.io/source';

function uidOf(shared: SharedSnapshot): string {
	if (!shared.metadata.uid)
		throw new Error(`SharedSnapshot ${shared.metadata.name} has no UID: it does not come from the API server`);
	return shared.metadata.uid;
}

export interface NewSharedSnapshot {
	readonly content: ContentKey;
	readonly generation: number;
	readonly source: {readonly namespace: string; readonly name: string};
	readonly volumeSnapshotClassName: string;
	readonly stripes: number;
}

export function makeSharedSnapshot(wanted: NewSharedSnapshot): SharedSnapshot {
	const {content, generation, source, volumeSnapshotClassName, stripes} = wanted;
	return {
		apiVersion: onesnapVersion,
		kind: 'SharedSnapshot',
		metadata: {
			name: sharedSnapshotName(content, generation),
			labels: {[labels.managedBy]: managedByValue, [labels.contentHash]: contentHash(content)},
			annotations: {[sourceAnnotation]: `${source.namespace}/${source.name}`},
			finalizers: [finalizers.sharedSnapshot],
		},
		spec: {content, source, volumeSnapshotClassName, stripes, closed: false, declaredImmutable: false},
	};
}

function stripeLabels(shared: SharedSnapshot): Record<string, string> {
	return {
		[labels.app]: 'containerized-data-importer',
		[labels.managedBy]: managedByValue,
		[labels.sharedSnapshotUid]: uidOf(shared),
	};
}

/**
 * Carries our finalizer from its first moment, so that its end is seen and told. It does not hold what is in the storage:
 * the snapshotter deletes that as soon as the object has a deletionTimestamp.
 */
export function makeStripeSnapshot(shared: SharedSnapshot, stripe: number): VolumeSnapshot {
	return {
		apiVersion: snapshotVersion,
		kind: 'VolumeSnapshot',
		metadata: {
			name: stripeName(uidOf(shared), stripe),
			namespace: shared.spec.source.namespace,
			labels: {...stripeLabels(shared), [labels.excludeFromBackup]: 'true'},
			finalizers: [finalizers.sharedSnapshot],
		},
		spec: {
			source: {persistentVolumeClaimName: shared.spec.source.name},
			volumeSnapshotClassName: shared.spec.volumeSnapshotClassName,
		},
	};
}

/** Where an alias is: one per stripe and namespace, whatever the number of clones there. */
export interface AliasPlace {
	readonly namespace: string;
	readonly stripe: number;
}

/** Content names are cluster-wide, so the namespace is in it, hashed because both together may be too long. */
export function aliasContentName(shared: SharedSnapshot, {namespace, stripe}: AliasPlace): string {
	const place = createHash('sha256').update(namespace).digest('hex').slice(0, 10);
	return `${stripeName(uidOf(shared), stripe)}-${place}`;
}

/**
 * A second VolumeSnapshotContent with the handle of the original. Policy Retain: deleting an alias must never delete the
 * snapshot in the storage. Secrets' annotations are copied because nobody sets them on a content made by hand.
 */
export function makeAliasContent(
	shared: SharedSnapshot,
	place: AliasPlace,
	original: VolumeSnapshotContent,
): VolumeSnapshotContent {
	const snapshotHandle = original.status?.snapshotHandle;
	if (snapshotHandle === undefined)
		throw new Error(`VolumeSnapshotContent ${original.metadata.name} has no handle yet`);
	const secrets = [annotations.deletionSecretName, annotations.deletionSecretNamespace].flatMap((name) => {
		const value = original.metadata.annotations?.[name];
		return value === undefined ? [] : [[name, value] as const];
	});
	return {
		apiVersion: snapshotVersion,
		kind: 'VolumeSnapshotContent',
		metadata: {
			name: aliasContentName(shared, place),
			labels: stripeLabels(shared),
			annotations: Object.fromEntries(secrets),
		},
		spec: {
			driver: original.spec.driver,
			deletionPolicy: 'Retain',
			source: {snapshotHandle},
			...(original.spec.volumeSnapshotClassName && {volumeSnapshotClassName: original.spec.volumeSnapshotClassName}),
			...(original.spec.sourceVolumeMode && {sourceVolumeMode: original.spec.sourceVolumeMode}),
			volumeSnapshotRef: {
				apiVersion: snapshotVersion,
				kind: 'VolumeSnapshot',
				namespace: place.namespace,
				name: stripeName(uidOf(shared), place.stripe),
			},
		},
	};
}

export function makeAliasSnapshot(shared: SharedSnapshot, place: AliasPlace): VolumeSnapshot {
	return {
		apiVersion: snapshotVersion,
		kind: 'VolumeSnapshot',
		metadata: {
			name: stripeName(uidOf(shared), place.stripe),
			namespace: place.namespace,
			labels: {...stripeLabels(shared), [labels.excludeFromBackup]: 'true'},
		},
		spec: {
			source: {volumeSnapshotContentName: aliasContentName(shared, place)},
			volumeSnapshotClassName: shared.spec.volumeSnapshotClassName,
		},
	};
}
