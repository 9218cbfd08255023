/**
 * Snapshotter, provisioner and garbage collector over the model's API server. Content is a number that a writer counts up;
 * a cut remembers the number of its moment, a restore brings it back.
 */
import type {PersistentVolumeClaim} from '../../../src/api/kubernetes.ts';
import type {VolumeSnapshot, VolumeSnapshotContent} from '../../../src/api/snapshot.ts';
import * as resources from '../../../src/kube/resources.ts';
import {driver} from '../builders.ts';
import type {ModelApiServer} from './api-server.ts';

/** What a sidecar holds objects with while it still has to act on them. */
const held = 'snapshot.storage.kubernetes.io/held';

export interface Cut {
	readonly volumeHandle: string;
	readonly version: number;
	/** The server's revision at that moment: later means cut later. */
	readonly at: number;
}

export interface Restore {
	readonly claim: PersistentVolumeClaim;
	readonly cut: Cut;
}

export class ModelStorage {
	/** Snapshots in the storage, by handle. */
	readonly cuts = new Map<string, Cut>();
	/** Content of each volume, by handle. */
	readonly versions = new Map<string, number>();
	/** Snapshots cut in the whole history. */
	cutCount = 0;
	readonly #server: ModelApiServer;
	readonly #onRestore: (restore: Restore) => void;

	constructor(server: ModelApiServer, onRestore: (restore: Restore) => void) {
		this.#server = server;
		this.#onRestore = onRestore;
	}

	/** Whether a snapshot was begun that is not cut yet. */
	get cutsPending(): boolean {
		return this.#server
			.list(resources.volumeSnapshotContents)
			.some(({spec, status}) => spec.source.volumeHandle !== undefined && !status?.snapshotHandle);
	}

	/** Whether a claim waits for its content. */
	isRestoring({metadata: {namespace, name}}: VolumeSnapshot): boolean {
		return this.#server
			.list(resources.persistentVolumeClaims)
			.some(
				({metadata, spec, status}) =>
					metadata.namespace === namespace && spec.dataSource?.name === name && status?.phase !== 'Bound',
			);
	}

	/** One step of the snapshotter on every object that it can act on. */
	snapshotter(): void {
		for (const snapshot of this.#server.list(resources.volumeSnapshots)) {
			if (snapshot.metadata.deletionTimestamp) this.#letGo(snapshot);
			else if (snapshot.spec.source.volumeSnapshotContentName) this.#bind(snapshot);
			else this.#advance(snapshot);
		}
		for (const content of this.#server.list(resources.volumeSnapshotContents)) {
			const {namespace, name = '', uid} = content.spec.volumeSnapshotRef;
			const snapshot = this.#server.get(resources.volumeSnapshots, {namespace, name});
			const isUsed = snapshot !== undefined && snapshot.metadata.uid === uid;
			if (content.metadata.deletionTimestamp && !isUsed) this.#release(resources.volumeSnapshotContents, content);
		}
	}

	/** Binds what can be restored. The real one refuses a snapshot that is being deleted, too. */
	provisioner(): void {
		for (const claim of this.#server.list(resources.persistentVolumeClaims)) {
			const source = claim.spec.dataSource;
			if (claim.status?.phase === 'Bound' || source?.kind !== 'VolumeSnapshot' || claim.metadata.deletionTimestamp)
				continue;
			const {namespace} = claim.metadata;
			const snapshot = this.#server.get(resources.volumeSnapshots, {namespace, name: source.name});
			if (!snapshot || snapshot.metadata.deletionTimestamp || snapshot.status?.readyToUse !== true) continue;
			const content = this.#contentOf(snapshot);
			const cut = this.cuts.get(content?.status?.snapshotHandle ?? '');
			if (!content || !cut) continue;
			this.#onRestore({claim, cut});
			const capacity = claim.spec.resources?.requests?.['storage'] ?? '0';
			const volumeName = `volume-of-${claim.metadata.uid}`;
			this.#server.create(resources.persistentVolumes, {
				apiVersion: 'v1',
				kind: 'PersistentVolume',
				metadata: {name: volumeName},
				spec: {
					capacity: {storage: capacity},
					csi: {driver, volumeHandle: volumeName},
					claimRef: {namespace: namespace ?? '', name: claim.metadata.name, uid: claim.metadata.uid ?? ''},
				},
			});
			this.#server.patch(resources.persistentVolumeClaims, claim.metadata, {
				spec: {volumeName},
				status: {phase: 'Bound', capacity: {storage: capacity}},
			});
		}
	}

	/** Claims whose DataVolume is gone go, and volumes whose claim is gone. */
	garbageCollector(): void {
		const uids = new Set(this.#server.list(resources.dataVolumes).map(({metadata}) => metadata.uid));
		const claims = this.#server.list(resources.persistentVolumeClaims);
		for (const {metadata} of claims) {
			const [owner] = metadata.ownerReferences ?? [];
			if (owner && !uids.has(owner.uid)) this.#server.delete(resources.persistentVolumeClaims, metadata);
		}
		const owned = new Set(claims.map(({metadata}) => metadata.uid));
		for (const {metadata, spec} of this.#server.list(resources.persistentVolumes)) {
			if (!owned.has(spec.claimRef?.uid ?? '')) this.#server.delete(resources.persistentVolumes, metadata);
		}
	}

	#contentOf(snapshot: VolumeSnapshot): VolumeSnapshotContent | undefined {
		const name = snapshot.status?.boundVolumeSnapshotContentName;
		const content = name ? this.#server.get(resources.volumeSnapshotContents, {name}) : undefined;
		return content?.spec.volumeSnapshotRef.uid === snapshot.metadata.uid ? content : undefined;
	}

	/** Content made, then cut, then ready: each a step of its own. */
	#advance(snapshot: VolumeSnapshot): void {
		const {namespace = '', name, uid = ''} = snapshot.metadata;
		const contentName = snapshot.status?.boundVolumeSnapshotContentName;
		if (!contentName) {
			const volumeHandle = this.#handleOf(namespace, snapshot.spec.source.persistentVolumeClaimName);
			if (!volumeHandle) return;
			const created = `snapcontent-${uid}`;
			if (!this.#server.get(resources.volumeSnapshotContents, {name: created})) {
				this.#server.create(resources.volumeSnapshotContents, {
					apiVersion: 'snapshot.storage.k8s.io/v1',
					kind: 'VolumeSnapshotContent',
					metadata: {name: created, finalizers: [held]},
					spec: {
						driver,
						deletionPolicy: 'Delete',
						source: {volumeHandle},
						volumeSnapshotRef: {namespace, name, uid},
					},
				});
			}
			this.#hold(snapshot, {status: {boundVolumeSnapshotContentName: created, readyToUse: false}});
			return;
		}
		const content = this.#contentOf(snapshot);
		const volumeHandle = content?.spec.source.volumeHandle;
		if (!content || volumeHandle === undefined) return;
		if (!content.status?.snapshotHandle) {
			const version = this.versions.get(volumeHandle);
			if (version === undefined) return;
			this.cutCount += 1;
			const snapshotHandle = `cut-${this.cutCount}`;
			this.cuts.set(snapshotHandle, {volumeHandle, version, at: this.#server.revision});
			this.#server.patch(resources.volumeSnapshotContents, content.metadata, {status: {snapshotHandle}});
		} else if (snapshot.status?.readyToUse !== true) {
			this.#server.patch(resources.volumeSnapshots, snapshot.metadata, {
				status: {readyToUse: true, restoreSize: '1Gi'},
			});
		}
	}

	#handleOf(namespace: string, claimName = ''): string | undefined {
		const claim = this.#server.get(resources.persistentVolumeClaims, {namespace, name: claimName});
		const name = claim?.spec.volumeName;
		return name ? this.#server.get(resources.persistentVolumes, {name})?.spec.csi?.volumeHandle : undefined;
	}

	/** A snapshot of a content that was made by hand. */
	#bind(snapshot: VolumeSnapshot): void {
		if (snapshot.status?.readyToUse) return;
		const name = snapshot.spec.source.volumeSnapshotContentName ?? '';
		const content = this.#server.get(resources.volumeSnapshotContents, {name});
		const ref = content?.spec.volumeSnapshotRef;
		const {metadata} = snapshot;
		if (!content || content.metadata.deletionTimestamp) return;
		if (ref?.namespace !== metadata.namespace || ref?.name !== metadata.name) return;
		if (ref?.uid === undefined) {
			this.#server.patch(resources.volumeSnapshotContents, content.metadata, {
				metadata: {finalizers: [held]},
				spec: {volumeSnapshotRef: {uid: metadata.uid}},
				status: {snapshotHandle: content.spec.source.snapshotHandle},
			});
		} else if (ref.uid === metadata.uid) {
			this.#hold(snapshot, {
				status: {boundVolumeSnapshotContentName: name, readyToUse: true, restoreSize: '1Gi'},
			});
		}
	}

	#hold(snapshot: VolumeSnapshot, patch: object): void {
		const finalizers = [...new Set([...(snapshot.metadata.finalizers ?? []), held])];
		this.#server.patch(resources.volumeSnapshots, snapshot.metadata, {...patch, metadata: {finalizers}});
	}

	/** Not while a claim is being restored from it: the snapshotter protects sources. */
	#letGo(snapshot: VolumeSnapshot): void {
		if (this.isRestoring(snapshot)) return;
		const content = this.#contentOf(snapshot);
		if (content?.spec.deletionPolicy === 'Delete') {
			this.cuts.delete(content.status?.snapshotHandle ?? '');
			this.#server.delete(resources.volumeSnapshotContents, content.metadata);
		}
		this.#release(resources.volumeSnapshots, snapshot);
		if (content?.metadata.deletionTimestamp === undefined && content?.spec.deletionPolicy === 'Delete') {
			const left = this.#server.get(resources.volumeSnapshotContents, content.metadata);
			if (left) this.#release(resources.volumeSnapshotContents, left);
		}
	}

	#release(
		resource: typeof resources.volumeSnapshots | typeof resources.volumeSnapshotContents,
		object: VolumeSnapshot | VolumeSnapshotContent,
	): void {
		if (!object.metadata.finalizers?.includes(held)) return;
		const finalizers = object.metadata.finalizers.filter((each) => each !== held);
		this.#server.patch<VolumeSnapshot | VolumeSnapshotContent>(resource, object.metadata, {metadata: {finalizers}});
	}
}
