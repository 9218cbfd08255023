/**
 * external-provisioner 6.3: a restore begins when snapshot and content are bound both ways and ready, and ends in a later
 * step; in between anything may happen. A claim binds only when its volume is complete.
 */
import type {PersistentVolumeClaim} from '../../../src/api/kubernetes.ts';
import {cdiGroup} from '../../../src/api/names.ts';
import * as resources from '../../../src/kube/resources.ts';
import {driver} from '../builders.ts';
import type {ModelServer} from './server.ts';
import type {Cut, ModelStorage} from './storage.ts';

const restoring = 'provisioner.storage.kubernetes.io/volumesnapshot-as-source-protection';

interface Restoring {
	readonly claim: PersistentVolumeClaim;
	readonly snapshotHandle: string;
}

export class ModelProvisioner {
	/** Begun, not ended; by UID of the claim. */
	readonly restoring = new Map<string, Restoring>();
	readonly #server: ModelServer;
	readonly #storage: ModelStorage;
	readonly #onRestore: (claim: PersistentVolumeClaim, cut: Cut) => void;

	constructor(server: ModelServer, storage: ModelStorage, onRestore: (claim: PersistentVolumeClaim, cut: Cut) => void) {
		this.#server = server;
		this.#storage = storage;
		this.#onRestore = onRestore;
	}

	/** Every claim gets one step further. */
	step(): void {
		for (const uid of [...this.restoring.keys()]) this.#end(uid);
		for (const claim of this.#server.list(resources.persistentVolumeClaims)) {
			if (claim.status?.phase === 'Bound' || claim.metadata.deletionTimestamp) continue;
			if (claim.spec.dataSource?.kind === 'VolumeSnapshot') this.#begin(claim);
			else if (claim.spec.dataSource?.kind === 'PersistentVolumeClaim') this.#clone(claim, claim.spec.dataSource.name);
			else if (claim.spec.dataSourceRef?.apiGroup === cdiGroup) this.#copy(claim);
		}
	}

	#begin(claim: PersistentVolumeClaim): void {
		const {namespace, uid = ''} = claim.metadata;
		if (this.restoring.has(uid)) return;
		const snapshot = this.#server.get(resources.volumeSnapshots, {namespace, name: claim.spec.dataSource?.name ?? ''});
		if (!snapshot || snapshot.metadata.deletionTimestamp || snapshot.status?.readyToUse !== true) return;
		const name = snapshot.status.boundVolumeSnapshotContentName ?? '';
		const content = this.#server.get(resources.volumeSnapshotContents, {name});
		const snapshotHandle = content?.status?.snapshotHandle;
		if (content?.spec.volumeSnapshotRef.uid !== snapshot.metadata.uid || snapshotHandle === undefined) return;
		this.#server.hold(resources.volumeSnapshots, snapshot, restoring);
		this.restoring.set(uid, {claim, snapshotHandle});
	}

	#end(uid: string): void {
		const begun = this.restoring.get(uid);
		if (!begun) return;
		const {claim, snapshotHandle} = begun;
		const live = this.#server.get(resources.persistentVolumeClaims, claim.metadata);
		const isWanted = live?.metadata.uid === uid && !live.metadata.deletionTimestamp;
		if (isWanted && this.#storage.fails('restoreAborted')) return;
		this.restoring.delete(uid);
		const {namespace} = claim.metadata;
		const snapshot = this.#server.get(resources.volumeSnapshots, {namespace, name: claim.spec.dataSource?.name ?? ''});
		// As it is: the first restore that ends takes the finalizer away from the others.
		if (snapshot) this.#server.release(resources.volumeSnapshots, snapshot, restoring);
		if (!isWanted) return;
		const cut = this.#storage.cuts.get(snapshotHandle);
		if (!cut) {
			this.#complain(live, `rpc error: code = NotFound desc = no snapshot ${snapshotHandle}`);
			return;
		}
		this.#onRestore(live, cut);
		this.#bind(live);
	}

	/** Its words reach nobody but by an Event. */
	#complain({kind, metadata: {namespace = '', name, uid = ''}}: PersistentVolumeClaim, message: string): void {
		const said = {namespace, name: `${name}.${uid}`};
		if (this.#server.get(resources.events, said)) return;
		// A namespace that is leaving takes no Event either.
		if (this.#server.get(resources.namespaces, {name: namespace})?.metadata.deletionTimestamp) return;
		this.#server.create(resources.events, {
			apiVersion: 'v1',
			kind: 'Event',
			metadata: said,
			involvedObject: {kind, namespace, name, uid},
			type: 'Warning',
			reason: 'ProvisioningFailed',
			message,
		});
	}

	/** By the driver, from the claim itself: as it is now. */
	#clone(claim: PersistentVolumeClaim, name: string): void {
		const {namespace} = claim.metadata;
		const source = this.#server.get(resources.persistentVolumeClaims, {namespace, name});
		if (source?.status?.phase === 'Bound' && !source.metadata.deletionTimestamp) this.#bind(claim);
	}

	/** By the populate layer, which is not part of this model: what the source holds when the copy is complete. */
	#copy(claim: PersistentVolumeClaim): void {
		const name = claim.spec.dataSourceRef?.name;
		const wanted = this.#server.list(resources.volumeCloneSources).find(({metadata}) => metadata.name === name);
		if (!wanted) return;
		const {namespace} = wanted.metadata;
		const source = this.#server.get(resources.persistentVolumeClaims, {namespace, name: wanted.spec.source.name});
		if (source && !source.metadata.deletionTimestamp) this.#bind(claim);
	}

	#bind({metadata, spec}: PersistentVolumeClaim): void {
		const storage = spec.resources?.requests?.['storage'] ?? '0';
		const volumeName = `volume-of-${metadata.uid}`;
		this.#server.create(resources.persistentVolumes, {
			apiVersion: 'v1',
			kind: 'PersistentVolume',
			metadata: {name: volumeName},
			spec: {
				capacity: {storage},
				csi: {driver, volumeHandle: volumeName},
				claimRef: {namespace: metadata.namespace ?? '', name: metadata.name, uid: metadata.uid ?? ''},
			},
		});
		this.#server.patch(resources.persistentVolumeClaims, metadata, {
			spec: {volumeName},
			status: {phase: 'Bound', capacity: {storage}},
		});
	}
}
