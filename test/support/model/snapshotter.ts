/**
 * snapshot-controller and csi-snapshotter (external-snapshotter 8.6), as far as others see them. Each call is one look at
 * one object. What matters here, and differs from what one would expect:
 *
 * - A VolumeSnapshot that is deleted waits for claims of its own namespace that are restored from it, and for nobody else.
 * - Policy Delete: its content is deleted with it and, whatever finalizers of others are left on it, what the storage has.
 *   Policy Retain: the content stays, bound to a UID that is gone, and never binds again.
 * - A content that is deleted by hand waits for the end of its VolumeSnapshot; without the annotation that tells of that end
 *   it waits for ever, and the storage keeps what it has.
 */
import type {PersistentVolumeClaim} from '../../../src/api/kubernetes.ts';
import {annotations} from '../../../src/api/names.ts';
import type {VolumeSnapshot, VolumeSnapshotContent} from '../../../src/api/snapshot.ts';
import * as resources from '../../../src/kube/resources.ts';
import {driver} from '../builders.ts';
import type {ModelServer} from './server.ts';
import type {Cut, ModelStorage} from './storage.ts';

const group = 'snapshot.storage.kubernetes.io';
const asSource = `${group}/volumesnapshot-as-source-protection`;
const snapshotBound = `${group}/volumesnapshot-bound-protection`;
const contentBound = `${group}/volumesnapshotcontent-bound-protection`;
const claimAsSource = `${group}/pvc-as-source-protection`;
const beingCreated = `${group}/volumesnapshot-being-created`;
const beingDeleted = annotations.snapshotBeingDeleted;

export interface SnapshotterListener {
	readonly onCut: (
		cut: Cut,
		snapshot: {readonly namespace?: string | undefined; readonly name?: string | undefined},
	) => void;
	readonly onDelete: (handle: string, content: VolumeSnapshotContent) => void;
}

export class ModelSnapshotter {
	readonly #server: ModelServer;
	readonly #storage: ModelStorage;
	readonly #listener: SnapshotterListener;

	constructor(server: ModelServer, storage: ModelStorage, listener: SnapshotterListener) {
		this.#server = server;
		this.#storage = storage;
		this.#listener = listener;
	}

	/** What it looks at, in a fixed order: snapshots, contents, claims that hold a finalizer of it. */
	get size(): number {
		return this.#snapshots.length + this.#contents.length;
	}

	/** One look at every object. */
	lookAtAll(): void {
		for (const snapshot of this.#snapshots) this.#lookAtSnapshot(snapshot);
		for (const content of this.#contents) this.#lookAtContent(content);
		this.#letGoOfClaims();
	}

	lookAt(index: number): void {
		const {size} = this;
		if (size === 0) return;
		const snapshots = this.#snapshots;
		const at = index % size;
		const snapshot = snapshots[at];
		const content = this.#contents[at - snapshots.length];
		if (snapshot) this.#lookAtSnapshot(snapshot);
		else if (content) this.#lookAtContent(content);
		this.#letGoOfClaims();
	}

	get #snapshots(): VolumeSnapshot[] {
		return this.#server.list(resources.volumeSnapshots);
	}

	get #contents(): VolumeSnapshotContent[] {
		return this.#server.list(resources.volumeSnapshotContents);
	}

	/** Claims of the same namespace that wait for their content: the only users that it knows of. */
	#isRestoring({metadata: {namespace, name}}: VolumeSnapshot): boolean {
		return this.#server
			.list(resources.persistentVolumeClaims)
			.some(
				({metadata, spec, status}) =>
					metadata.namespace === namespace && spec.dataSource?.name === name && status?.phase !== 'Bound',
			);
	}

	/** Bound in both directions, also where the snapshot does not say so yet. */
	#contentOf({metadata, spec, status}: VolumeSnapshot): VolumeSnapshotContent | undefined {
		const made = spec.source.persistentVolumeClaimName === undefined ? undefined : `snapcontent-${metadata.uid}`;
		const name = status?.boundVolumeSnapshotContentName ?? made;
		const content = name ? this.#server.get(resources.volumeSnapshotContents, {name}) : undefined;
		return content?.spec.volumeSnapshotRef.uid === metadata.uid ? content : undefined;
	}

	#lookAtSnapshot(snapshot: VolumeSnapshot): void {
		if (snapshot.metadata.deletionTimestamp) return this.#endSnapshot(snapshot);
		this.#server.hold(resources.volumeSnapshots, snapshot, asSource);
		if (snapshot.spec.source.volumeSnapshotContentName !== undefined) return this.#bind(snapshot);
		const content = this.#contentOf(snapshot);
		if (content) return this.#copyStatus(snapshot, content);
		if (snapshot.status?.boundVolumeSnapshotContentName === undefined) this.#makeContent(snapshot);
		else this.#report(snapshot, {readyToUse: false, error: {message: 'VolumeSnapshotContent is missing'}});
	}

	#makeContent(snapshot: VolumeSnapshot): void {
		const {namespace = '', name, uid = ''} = snapshot.metadata;
		const claimName = snapshot.spec.source.persistentVolumeClaimName ?? '';
		const claim = this.#server.get(resources.persistentVolumeClaims, {namespace, name: claimName});
		const snapshotClass = this.#server.get(resources.volumeSnapshotClasses, {
			name: snapshot.spec.volumeSnapshotClassName ?? '',
		});
		const volume = this.#server.get(resources.persistentVolumes, {name: claim?.spec.volumeName ?? ''});
		const volumeHandle = volume?.spec.csi?.volumeHandle;
		if (!claim || claim.metadata.deletionTimestamp || claim.status?.phase !== 'Bound' || volumeHandle === undefined)
			return this.#report(snapshot, {readyToUse: false, error: {message: 'the source claim cannot be used'}});
		if (!snapshotClass)
			return this.#report(snapshot, {readyToUse: false, error: {message: 'the snapshot class is missing'}});
		this.#server.hold(resources.persistentVolumeClaims, claim, claimAsSource);
		this.#server.create(resources.volumeSnapshotContents, {
			apiVersion: 'snapshot.storage.k8s.io/v1',
			kind: 'VolumeSnapshotContent',
			metadata: {name: `snapcontent-${uid}`},
			spec: {
				driver,
				deletionPolicy: snapshotClass.deletionPolicy,
				source: {volumeHandle},
				volumeSnapshotClassName: snapshotClass.metadata.name,
				volumeSnapshotRef: {namespace, name, uid},
			},
		});
	}

	#copyStatus(snapshot: VolumeSnapshot, content: VolumeSnapshotContent): void {
		const {readyToUse = false, error} = content.status ?? {};
		if (content.spec.deletionPolicy === 'Delete') this.#server.hold(resources.volumeSnapshots, snapshot, snapshotBound);
		this.#report(snapshot, {
			boundVolumeSnapshotContentName: content.metadata.name,
			readyToUse,
			...(readyToUse && {restoreSize: '1Gi'}),
			error: error ?? null,
		});
	}

	/** Written only where it differs: an end of all changes must be seen. */
	#report({metadata, status}: VolumeSnapshot, wanted: Readonly<Record<string, unknown>>): void {
		const has: Readonly<Record<string, unknown>> = {...status};
		const differs = Object.entries(wanted).some(
			([name, value]) => JSON.stringify(has[name] ?? null) !== JSON.stringify(value),
		);
		if (differs) this.#server.patch(resources.volumeSnapshots, metadata, {status: wanted});
	}

	/** A snapshot of a content that was made by hand. */
	#bind(snapshot: VolumeSnapshot): void {
		const {metadata, spec} = snapshot;
		const name = spec.source.volumeSnapshotContentName ?? '';
		const content = this.#server.get(resources.volumeSnapshotContents, {name});
		const ref = content?.spec.volumeSnapshotRef;
		if (!content || ref?.namespace !== metadata.namespace || ref?.name !== metadata.name) {
			if (snapshot.status?.readyToUse)
				this.#report(snapshot, {readyToUse: false, error: {message: 'VolumeSnapshotContent is missing'}});
			return;
		}
		if (ref?.uid === undefined) {
			if (content.metadata.deletionTimestamp) return;
			this.#server.patch(resources.volumeSnapshotContents, content.metadata, {
				spec: {volumeSnapshotRef: {uid: metadata.uid}},
			});
		} else if (ref.uid === metadata.uid) {
			this.#copyStatus(snapshot, content);
		}
	}

	#endSnapshot(snapshot: VolumeSnapshot): void {
		const own = [asSource, snapshotBound];
		if (!snapshot.metadata.finalizers?.some((name) => own.includes(name))) return;
		if (this.#isRestoring(snapshot)) return;
		const content = this.#contentOf(snapshot);
		if (content && content.metadata.annotations?.[beingDeleted] === undefined)
			this.#server.patch(resources.volumeSnapshotContents, content.metadata, {
				metadata: {annotations: {[beingDeleted]: 'yes'}},
			});
		const isDeleting = content?.spec.deletionPolicy === 'Delete';
		if (isDeleting) this.#server.delete(resources.volumeSnapshotContents, content.metadata);
		this.#server.release(resources.volumeSnapshots, snapshot, asSource, ...(isDeleting ? [] : [snapshotBound]));
	}

	#lookAtContent(content: VolumeSnapshotContent): void {
		const {deletionTimestamp} = content.metadata;
		if (deletionTimestamp && this.#mayEnd(content)) return this.#endContent(content);
		this.#server.hold(resources.volumeSnapshotContents, content, contentBound);
		if (content.spec.source.snapshotHandle !== undefined) this.#adopt(content);
		else if (!deletionTimestamp || content.metadata.annotations?.[beingCreated] !== undefined) this.#create(content);
	}

	#mayEnd({metadata, spec}: VolumeSnapshotContent): boolean {
		if (metadata.annotations?.[beingCreated] !== undefined) return false;
		if (spec.source.snapshotHandle !== undefined && spec.volumeSnapshotRef.uid === undefined) return true;
		return metadata.annotations?.[beingDeleted] !== undefined;
	}

	#endContent(content: VolumeSnapshotContent): void {
		const handle = content.status?.snapshotHandle;
		if (content.spec.deletionPolicy === 'Delete' && handle !== undefined) {
			if (this.#storage.fails('deleteRefused')) return;
			this.#listener.onDelete(handle, content);
			this.#storage.cuts.delete(handle);
		}
		this.#server.release(resources.volumeSnapshotContents, content, contentBound);
	}

	/** Made by hand: ready as soon as it is bound, for a driver that does not list snapshots. */
	#adopt({metadata, spec, status}: VolumeSnapshotContent): void {
		if (status?.readyToUse || spec.volumeSnapshotRef.uid === undefined) return;
		const {snapshotHandle} = spec.source;
		this.#server.patch(resources.volumeSnapshotContents, metadata, {status: {snapshotHandle, readyToUse: true}});
	}

	#create(content: VolumeSnapshotContent): void {
		const {metadata, spec, status} = content;
		if (status?.readyToUse) return;
		const say = (patch: object) => this.#server.patch(resources.volumeSnapshotContents, metadata, patch);
		const fail = (message: string) => say({status: {error: {message}, readyToUse: false}});
		if (status?.snapshotHandle !== undefined) {
			if (!this.#storage.fails('notReady')) say({status: {readyToUse: true, error: null}});
			return;
		}
		if (metadata.annotations?.[beingCreated] === undefined) {
			say({metadata: {annotations: {[beingCreated]: 'yes'}}});
			return;
		}
		if (this.#storage.fails('createRetryable')) return void fail('rpc error: code = Unavailable desc = later');
		// A call that is repeated finds what it made before: a driver that refuses then would break the CSI rule.
		const isMade = [...this.#storage.cuts.values()].some(
			({csiName}) => csiName === `snapshot-${spec.volumeSnapshotRef.uid}`,
		);
		if (!isMade && this.#storage.fails('createFinal')) {
			say({metadata: {annotations: {[beingCreated]: null}}});
			return void fail('rpc error: code = InvalidArgument desc = no');
		}
		const {namespace, name, uid} = spec.volumeSnapshotRef;
		const {cutCount} = this.#storage;
		const cut = this.#storage.cut(`snapshot-${uid}`, spec.source.volumeHandle ?? '', this.#server.revision);
		if (!cut) {
			say({metadata: {annotations: {[beingCreated]: null}}});
			return void fail('rpc error: code = NotFound desc = no such volume');
		}
		if (this.#storage.cutCount > cutCount) this.#listener.onCut(cut, {namespace, name});
		if (this.#storage.fails('createUnanswered')) return void fail('rpc error: code = DeadlineExceeded desc = slow');
		const readyToUse = !this.#storage.fails('notReady');
		say({
			metadata: {annotations: {[beingCreated]: null}},
			status: {snapshotHandle: cut.handle, readyToUse, error: null},
		});
	}

	/** The source claim is held while a snapshot of it is not ready. */
	#letGoOfClaims(): void {
		for (const claim of this.#server.list(resources.persistentVolumeClaims)) {
			if (claim.metadata.finalizers?.includes(claimAsSource) && !this.#isBeingCut(claim))
				this.#server.release(resources.persistentVolumeClaims, claim, claimAsSource);
		}
	}

	#isBeingCut({metadata: {namespace, name}}: PersistentVolumeClaim): boolean {
		return this.#snapshots.some(
			({metadata, spec, status}) =>
				metadata.namespace === namespace &&
				!metadata.deletionTimestamp &&
				spec.source.persistentVolumeClaimName === name &&
				status?.readyToUse !== true,
		);
	}
}
