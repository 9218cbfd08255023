/**
 * What an installation of CDI leaves in a cluster, as its v1.6x writes it (objects written from the facts, none copied): its
 * configuration, and the disks that it has made in each of its ways.
 */
import type {Condition} from '../../src/api/conditions.ts';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {KubeObject, PersistentVolumeClaim} from '../../src/api/kubernetes.ts';
import type {KubeClient} from '../../src/kube/client.ts';
import * as resources from '../../src/kube/resources.ts';
import type {Resource} from '../../src/kube/resources.ts';
import {bind} from './storage.ts';

const apiVersion = 'cdi.kubevirt.io/v1beta1';
const cdi = 'cdi.kubevirt.io';

type AnyObject = KubeObject & Readonly<Record<string, unknown>>;

const kindOf = (plural: string, kind: string, namespaced: boolean): Resource<AnyObject> => ({
	...{group: cdi, version: 'v1beta1', plural, kind, namespaced},
});
export const cdiKinds = {
	cdis: kindOf('cdis', 'CDI', false),
	cdiConfigs: kindOf('cdiconfigs', 'CDIConfig', false),
	storageProfiles: kindOf('storageprofiles', 'StorageProfile', false),
	dataSources: kindOf('datasources', 'DataSource', true),
} as const;

const fromOperator = {
	featureGates: ['HonorWaitForFirstConsumer'],
	filesystemOverhead: {global: '0.08', storageClass: {standard: '0.1'}},
};

/** CDI's own object, its computed configuration, and a profile that an admin has changed. */
export async function makeConfiguration(api: KubeClient): Promise<void> {
	await api.create(cdiKinds.cdis, {
		apiVersion,
		kind: 'CDI',
		metadata: {name: 'cdi', annotations: {'cdi.kubevirt.io/configAuthority': ''}},
		spec: {config: fromOperator, imagePullPolicy: 'IfNotPresent', infra: {nodeSelector: {'kubernetes.io/os': 'linux'}}},
		status: {phase: 'Deployed', operatorVersion: 'v1.64.0', observedVersion: 'v1.64.0', targetVersion: 'v1.64.0'},
	});
	await api.create(cdiKinds.cdiConfigs, {
		apiVersion,
		kind: 'CDIConfig',
		metadata: {name: 'config'},
		spec: fromOperator,
		status: {filesystemOverhead: fromOperator.filesystemOverhead, uploadProxyURL: 'cdi-uploadproxy.example.com'},
	});
	// It is there: without one the class would be of no use.
	await api.mergePatch(
		cdiKinds.storageProfiles,
		{name: 'standard'},
		{
			metadata: {labels: {app: 'containerized-data-importer'}},
			spec: {claimPropertySets: [{accessModes: ['ReadWriteMany'], volumeMode: 'Block'}], cloneStrategy: 'csi-clone'},
		},
	);
}

interface Disk {
	readonly name: string;
	readonly source: object;
	/** What the target claim names; undefined: made without a populator. */
	readonly filledBy?: 'VolumeImportSource' | 'VolumeCloneSource' | 'VolumeUploadSource';
	readonly annotations?: Readonly<Record<string, string>>;
	readonly labels?: Readonly<Record<string, string>>;
}

/** Each way in which CDI makes disks. The source objects are gone: CDI deletes them at the end. */
export const disks = (namespace: string): readonly Disk[] => [
	{
		name: 'imported',
		source: {http: {url: 'http://images.example.com/gone.qcow2'}},
		filledBy: 'VolumeImportSource',
		annotations: {'cdi.kubevirt.io/storage.bind.immediate.requested': ''},
	},
	{name: 'from-registry', source: {registry: {url: 'docker://quay.example.com/disk'}}, filledBy: 'VolumeImportSource'},
	{name: 'uploaded', source: {upload: {}}, filledBy: 'VolumeUploadSource'},
	{name: 'blank', source: {blank: {}}, filledBy: 'VolumeImportSource'},
	{
		name: 'cloned',
		source: {pvc: {namespace, name: 'imported'}},
		filledBy: 'VolumeCloneSource',
		annotations: {'cdi.kubevirt.io/cloneType': 'snapshot', 'cdi.kubevirt.io/storage.clone.token': 'eyJhbGciOi'},
	},
	{
		name: 'cloned-from-elsewhere',
		source: {pvc: {namespace: 'golden-that-is-gone', name: 'imported'}},
		filledBy: 'VolumeCloneSource',
		annotations: {
			'cdi.kubevirt.io/cloneType': 'csi-clone',
			'cdi.kubevirt.io/dataSourceNamespace': 'golden-that-is-gone',
		},
	},
	{
		name: 'copied-without-populator',
		source: {pvc: {namespace, name: 'imported'}},
		annotations: {'cdi.kubevirt.io/cloneType': 'copy', 'cdi.kubevirt.io/storage.usePopulator': 'false'},
	},
	{
		name: 'of-a-cron',
		source: {registry: {url: 'docker://quay.example.com/fedora@sha256:0'}},
		filledBy: 'VolumeImportSource',
		labels: {'cdi.kubevirt.io/dataImportCron': 'fedora'},
	},
];

/** A DataVolume that has Succeeded, and its claim, bound to a volume. */
export async function makeDisk(
	api: KubeClient,
	namespace: string,
	{name, source, filledBy, annotations = {}, labels = {}}: Disk,
): Promise<{dataVolume: DataVolume; claim: PersistentVolumeClaim}> {
	const own = {'cdi.kubevirt.io/storage.usePopulator': String(filledBy !== undefined), ...annotations};
	const dataVolume = await api.create(resources.dataVolumes, {
		apiVersion,
		kind: 'DataVolume',
		metadata: {namespace, name, annotations: own, labels},
		spec: {source, storage: {storageClassName: 'standard', resources: {requests: {storage: '1Gi'}}}},
	});
	const uid = dataVolume.metadata.uid ?? '';
	const shared = {apiVersion, kind: 'DataVolume', name, uid, controller: true, blockOwnerDeletion: true};
	const claim = await bind(
		api,
		await api.create(resources.persistentVolumeClaims, {
			apiVersion: 'v1',
			kind: 'PersistentVolumeClaim',
			metadata: {
				...{namespace, name},
				labels: {app: 'containerized-data-importer', 'app.kubernetes.io/managed-by': 'cdi-controller', ...labels},
				annotations: {
					...own,
					'cdi.kubevirt.io/createdForDataVolume': uid,
					'cdi.kubevirt.io/storage.contentType': 'kubevirt',
					'cdi.kubevirt.io/storage.condition.running': 'false',
					'cdi.kubevirt.io/storage.condition.running.reason': 'Completed',
					'cdi.kubevirt.io/storage.pod.phase': 'Succeeded',
					'cdi.kubevirt.io/storage.pod.restarts': '0',
				},
				ownerReferences: [shared],
			},
			spec: {
				accessModes: ['ReadWriteOnce'],
				storageClassName: 'standard',
				volumeMode: 'Filesystem',
				resources: {requests: {storage: '1Gi'}},
				...(filledBy && {
					dataSourceRef: {
						apiGroup: cdi,
						kind: filledBy,
						name: `volume-${filledBy.slice(6, 12).toLowerCase()}-source-${uid}`,
					},
				}),
			},
		}),
	);
	const at = '2026-01-02T03:04:05Z';
	const told = {lastTransitionTime: at, lastHeartbeatTime: at};
	const conditions: Condition[] = [
		{type: 'Bound', status: 'True', reason: 'Bound', message: `PVC ${name} Bound`, ...told},
		{type: 'Ready', status: 'True', ...told},
		{type: 'Running', status: 'False', reason: 'Completed', message: 'Import Complete', ...told},
	];
	await api.mergePatchStatus(resources.dataVolumes, dataVolume.metadata, {
		status: {claimName: name, phase: 'Succeeded', progress: '100.0%', conditions},
	});
	return {dataVolume, claim};
}

/** A DataVolume in a class that waits for consumers, as CDI leaves it until there is one: a claim, and what it is to be filled from. */
export async function makeWaitingDisk(api: KubeClient, namespace: string): Promise<PersistentVolumeClaim> {
	const name = 'waiting';
	const source = {blank: {}};
	const storage = {storageClassName: 'late', resources: {requests: {storage: '1Gi'}}};
	const dataVolume = await api.create(resources.dataVolumes, {
		...{apiVersion, kind: 'DataVolume', metadata: {namespace, name}},
		spec: {source, storage},
	});
	const {uid = ''} = dataVolume.metadata;
	const owner = {apiVersion, kind: 'DataVolume', name, uid, controller: true, blockOwnerDeletion: true};
	const sourceName = `volume-import-source-${uid}`;
	await api.create(resources.volumeImportSources, {
		...{apiVersion, kind: 'VolumeImportSource'},
		metadata: {namespace, name: sourceName, ownerReferences: [owner]},
		spec: {source, contentType: 'kubevirt'},
	});
	await api.mergePatchStatus(resources.dataVolumes, dataVolume.metadata, {
		status: {claimName: name, phase: 'PendingPopulation', progress: 'N/A'},
	});
	return api.create(resources.persistentVolumeClaims, {
		...{apiVersion: 'v1', kind: 'PersistentVolumeClaim'},
		metadata: {
			...{namespace, name},
			annotations: {'cdi.kubevirt.io/createdForDataVolume': uid},
			ownerReferences: [owner],
		},
		spec: {
			accessModes: ['ReadWriteOnce'],
			...storage,
			dataSourceRef: {apiGroup: cdi, kind: 'VolumeImportSource', name: sourceName},
		},
	});
}
