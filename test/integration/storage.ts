/** Storage without a driver: what the provisioner, the binder and the snapshotter would write, a test writes itself. */
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {Event} from '../../src/api/event.ts';
import type {ContainerStatus, ObjectMeta, PersistentVolumeClaim, Pod} from '../../src/api/kubernetes.ts';
import {importerPodName, primeClaimName} from '../../src/api/names.ts';
import type {VolumeSnapshot} from '../../src/api/snapshot.ts';
import {timestampOf} from '../../src/api/timestamp.ts';
import {formatTerminationMessage} from '../../src/api/worker-contract.ts';
import type {KubeClient} from '../../src/kube/client.ts';
import * as resources from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {plainSets} from '../support/builders.ts';

const driver = 'csi.example.com';

/** The classes `standard` and `late`, which waits for consumers, of the driver; `not-csi` and `not-csi-late` of none. */
export async function makeStorage(api: KubeClient): Promise<void> {
	const apiVersion = 'storage.k8s.io/v1';
	await api.create(resources.csiDrivers, {apiVersion, kind: 'CSIDriver', metadata: {name: driver}, spec: {}});
	for (const [name, provisioner, volumeBindingMode] of [
		['standard', driver, 'Immediate'],
		['late', driver, 'WaitForFirstConsumer'],
		['not-csi', 'example.com/nfs', 'Immediate'],
		['not-csi-late', 'example.com/nfs', 'WaitForFirstConsumer'],
	] as const) {
		const object = {apiVersion, kind: 'StorageClass', metadata: {name}, provisioner, volumeBindingMode};
		// Before its class, so that no DataVolume meets a class of which nothing is known.
		await api.create(resources.storageProfiles, {
			apiVersion: 'cdi.kubevirt.io/v1beta1',
			kind: 'StorageProfile',
			metadata: {name},
			spec: {claimPropertySets: plainSets},
		});
		await api.create(resources.storageClasses, object);
	}
}

export async function makeSnapshotClass(api: KubeClient): Promise<void> {
	await api.create(resources.volumeSnapshotClasses, {
		apiVersion: 'snapshot.storage.k8s.io/v1',
		kind: 'VolumeSnapshotClass',
		metadata: {name: 'snapshots'},
		driver,
		deletionPolicy: 'Delete',
	});
}

export interface ClaimWanted extends Pick<ObjectMeta, 'labels' | 'annotations' | 'ownerReferences'> {
	readonly namespace: string;
	readonly name: string;
	/** Default 1Gi. */
	readonly storage?: string;
	/** Default `standard`. */
	readonly storageClassName?: string;
}

/** A claim as any user makes it, for which there is no volume. */
export async function makePendingClaim(api: KubeClient, wanted: ClaimWanted): Promise<PersistentVolumeClaim> {
	const {storage = '1Gi', storageClassName = 'standard', ...metadata} = wanted;
	return api.create(resources.persistentVolumeClaims, {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata,
		spec: {accessModes: ['ReadWriteOnce'], storageClassName, resources: {requests: {storage}}},
	});
}

/** A volume for this claim, as a provisioner and the binder leave them. */
export async function bind(api: KubeClient, {metadata, spec}: PersistentVolumeClaim): Promise<PersistentVolumeClaim> {
	const {namespace = '', name, uid = ''} = metadata;
	const volumeName = `volume-${uid}`;
	const {accessModes = [], storageClassName = '', volumeMode = 'Filesystem'} = spec;
	const storage = spec.resources?.requests?.['storage'] ?? '';
	const {provisioner} = await api.get(resources.storageClasses, {name: storageClassName});
	const isCsi = (await api.find(resources.csiDrivers, {name: provisioner})) !== undefined;
	await api.create(resources.persistentVolumes, {
		apiVersion: 'v1',
		kind: 'PersistentVolume',
		metadata: {name: volumeName},
		spec: {
			accessModes,
			capacity: {storage},
			storageClassName,
			volumeMode,
			claimRef: {apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid},
			...(isCsi ? {csi: {driver: provisioner, volumeHandle: volumeName}} : {hostPath: {path: `/${volumeName}`}}),
		},
	});
	await api.mergePatch(resources.persistentVolumeClaims, metadata, {spec: {volumeName}});
	return api.mergePatchStatus(resources.persistentVolumeClaims, metadata, {
		status: {phase: 'Bound', capacity: {storage}, accessModes},
	});
}

/** A claim and its volume. */
export async function makeBoundClaim(api: KubeClient, wanted: ClaimWanted): Promise<PersistentVolumeClaim> {
	return bind(api, await makePendingClaim(api, wanted));
}

/** What the controller manager does with a claim that nobody uses. */
export async function deleteClaim(api: KubeClient, {metadata}: PersistentVolumeClaim): Promise<void> {
	await api.delete(resources.persistentVolumeClaims, metadata, {uid: metadata.uid});
	const patch = {metadata: {finalizers: null}} as object;
	await api.mergePatch(resources.persistentVolumeClaims, metadata, patch, {uid: metadata.uid});
}

/** Made by the controller manager in each namespace: without it no Pod is admitted. */
export async function makeServiceAccount(api: KubeClient, namespace: string): Promise<void> {
	const address = {group: '', version: 'v1', plural: 'serviceaccounts', kind: 'ServiceAccount', namespaced: true};
	await api.create(address, {apiVersion: 'v1', kind: 'ServiceAccount', metadata: {namespace, name: 'default'}});
}

/** The importer Pod of this DataVolume, once it is made. */
export async function importerOf(api: KubeClient, {metadata}: Pick<DataVolume, 'metadata'>): Promise<Pod> {
	const {namespace = ''} = metadata;
	return until(`the importer of ${namespace}/${metadata.name}`, async () => {
		const claim = await api.find(resources.persistentVolumeClaims, metadata);
		return claim && api.find(resources.pods, {namespace, name: importerPodName(claim.metadata.uid ?? '')});
	});
}

/** What the kubelet writes of a Pod's only container. */
export async function report(
	api: KubeClient,
	pod: Pod,
	phase: 'Pending' | 'Running' | 'Succeeded',
	container: Partial<ContainerStatus>,
): Promise<void> {
	const name = pod.spec.containers[0]?.name ?? '';
	const status = {
		phase,
		containerStatuses: [{name, image: '', imageID: '', ready: false, restartCount: 0, ...container}],
	};
	await api.mergePatchStatus(resources.pods, pod.metadata, {status});
}

/** What kubelet, provisioner and binder do of an import until its disk is there. */
export async function finishImport(api: KubeClient, dataVolume: DataVolume): Promise<void> {
	const pod = await importerOf(api, dataVolume);
	const {namespace = ''} = dataVolume.metadata;
	const claim = await api.get(resources.persistentVolumeClaims, dataVolume.metadata);
	const primeName = primeClaimName(claim.metadata.uid ?? '');
	const prime = await api.get(resources.persistentVolumeClaims, {namespace, name: primeName});
	const {spec} = await bind(api, prime);
	const volumeName = spec.volumeName ?? '';
	const message = formatTerminationMessage({outcome: 'succeeded', message: 'imported'});
	await report(api, pod, 'Succeeded', {state: {terminated: {exitCode: 0, message}}});
	await until('the volume is moved', async () => {
		const {spec: moved} = await api.get(resources.persistentVolumes, {name: volumeName});
		return moved.claimRef?.uid === claim.metadata.uid ? true : undefined;
	});
	await api.mergePatch(resources.persistentVolumeClaims, claim.metadata, {spec: {volumeName}});
	const capacity = claim.spec.resources?.requests ?? {};
	await api.mergePatchStatus(resources.persistentVolumeClaims, claim.metadata, {status: {phase: 'Bound', capacity}});
}

/** The VolumeSnapshot of this claim that the controller makes next, after those that are known. */
export async function nextSnapshot(
	api: KubeClient,
	{metadata: {namespace = '', name}}: PersistentVolumeClaim,
	known: readonly VolumeSnapshot[] = [],
): Promise<VolumeSnapshot> {
	return until(`a snapshot of ${namespace}/${name}`, async () => {
		const {items} = await api.list(resources.volumeSnapshots, {namespace});
		return items.find(
			({metadata, spec}) =>
				spec.source.persistentVolumeClaimName === name && !known.some((old) => old.metadata.uid === metadata.uid),
		);
	});
}

/** What the snapshotter does when the driver has cut it. */
export async function cut(api: KubeClient, snapshot: VolumeSnapshot, source: PersistentVolumeClaim): Promise<void> {
	const {namespace = '', name, uid = ''} = snapshot.metadata;
	const content = await api.create(resources.volumeSnapshotContents, {
		apiVersion: 'snapshot.storage.k8s.io/v1',
		kind: 'VolumeSnapshotContent',
		metadata: {name: `snapcontent-${uid}`},
		spec: {
			driver,
			deletionPolicy: 'Delete',
			source: {volumeHandle: source.spec.volumeName ?? ''},
			sourceVolumeMode: 'Filesystem',
			volumeSnapshotClassName: 'snapshots',
			volumeSnapshotRef: {apiVersion: 'snapshot.storage.k8s.io/v1', kind: 'VolumeSnapshot', namespace, name, uid},
		},
	});
	await api.mergePatchStatus(resources.volumeSnapshotContents, content.metadata, {
		status: {snapshotHandle: `handle-of-${uid}`, readyToUse: true, restoreSize: 1 << 30},
	});
	await api.mergePatchStatus(resources.volumeSnapshots, snapshot.metadata, {
		status: {boundVolumeSnapshotContentName: content.metadata.name, readyToUse: true, restoreSize: '1Gi'},
	});
}

/** What the snapshotter does when the driver refuses to cut it. */
export async function refuseCut(api: KubeClient, snapshot: VolumeSnapshot, answer: string): Promise<void> {
	const message = `Failed to create snapshot: "${answer}"`;
	await api.mergePatchStatus(resources.volumeSnapshots, snapshot.metadata, {
		status: {readyToUse: false, error: {message, time: new Date().toISOString()}},
	});
}

/** What the provisioner tells when the driver refuses to make the claim. */
export async function refuse(api: KubeClient, {metadata}: PersistentVolumeClaim, answer: string): Promise<Event> {
	const {namespace = '', name, uid = ''} = metadata;
	const at = timestampOf(Date.now());
	return api.create(resources.events, {
		apiVersion: 'v1',
		kind: 'Event',
		metadata: {namespace, name: `${name}.${uid}`},
		involvedObject: {apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid},
		type: 'Warning',
		reason: 'ProvisioningFailed',
		message: `failed to provision volume with StorageClass "standard": ${answer}`,
		source: {component: `${driver}_provisioner`},
		count: 1,
		firstTimestamp: at,
		lastTimestamp: at,
	});
}

/** What the controller manager does with a claim that is being deleted: nobody uses it, so it goes. */
export async function untilAbandoned(api: KubeClient, {metadata}: PersistentVolumeClaim): Promise<void> {
	await until(`claim ${metadata.namespace}/${metadata.name} is abandoned`, async () => {
		const now = await api.find(resources.persistentVolumeClaims, metadata);
		if (now?.metadata.uid !== metadata.uid) return true;
		if (!now?.metadata.deletionTimestamp) return undefined;
		const patch = {metadata: {finalizers: null}} as object;
		await api.mergePatch(resources.persistentVolumeClaims, metadata, patch, {uid: metadata.uid ?? ''});
		return true;
	});
}
