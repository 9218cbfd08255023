import type {Cdi, CdiConfig} from '../api/cdi-config.ts';
import type {DataImportCron} from '../api/data-import-cron.ts';
import type {DataSource} from '../api/data-source.ts';
import type {DataVolume} from '../api/datavolume.ts';
import type {Event} from '../api/event.ts';
import type {
	CsiDriver,
	CsiNode,
	KubeObject,
	Node,
	PersistentVolume,
	PersistentVolumeClaim,
	Pod,
	StorageClass,
} from '../api/kubernetes.ts';
import type {Lease} from '../api/lease.ts';
import type {VolumeCloneSource, VolumeImportSource} from '../api/populator.ts';
import type {SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {StorageProfile} from '../api/storage-profile.ts';
import type {VolumeSnapshot, VolumeSnapshotClass, VolumeSnapshotContent} from '../api/snapshot.ts';

/**
 * How a kind is addressed on the API server: the path comes from group, version and plural; `T` is the object's type and
 * exists for the compiler only.
 */
export interface Resource<T extends KubeObject> {
	/** Empty for the core group. */
	readonly group: string;
	readonly version: string;
	readonly plural: string;
	readonly kind: string;
	readonly namespaced: boolean;
	/** Never set. Ties `T` to the descriptor. */
	readonly objectType?: T;
}

/** Secret (values in base64) and ConfigMap. */
export interface DataObject extends KubeObject {
	readonly data?: Readonly<Record<string, string>>;
}

type Address = readonly [group: string, version: string, plural: string, kind: string];

function namespaced<T extends KubeObject>(...[group, version, plural, kind]: Address): Resource<T> {
	return {group, version, plural, kind, namespaced: true};
}

function clusterScoped<T extends KubeObject>(...[group, version, plural, kind]: Address): Resource<T> {
	return {group, version, plural, kind, namespaced: false};
}

export const persistentVolumeClaims = namespaced<PersistentVolumeClaim>(
	'',
	'v1',
	'persistentvolumeclaims',
	'PersistentVolumeClaim',
);
export const pods = namespaced<Pod>('', 'v1', 'pods', 'Pod');
export const events = namespaced<Event>('', 'v1', 'events', 'Event');
/** Read by name only: our ClusterRole has no list or watch on secrets, and this must not enter Caches. */
export const secrets = namespaced<DataObject>('', 'v1', 'secrets', 'Secret');
export const configMaps = namespaced<DataObject>('', 'v1', 'configmaps', 'ConfigMap');
export const persistentVolumes = clusterScoped<PersistentVolume>('', 'v1', 'persistentvolumes', 'PersistentVolume');
export const namespaces = clusterScoped<KubeObject>('', 'v1', 'namespaces', 'Namespace');
export const nodes = clusterScoped<Node>('', 'v1', 'nodes', 'Node');

export const storageClasses = clusterScoped<StorageClass>('storage.k8s.io', 'v1', 'storageclasses', 'StorageClass');
export const csiDrivers = clusterScoped<CsiDriver>('storage.k8s.io', 'v1', 'csidrivers', 'CSIDriver');
export const csiNodes = clusterScoped<CsiNode>('storage.k8s.io', 'v1', 'csinodes', 'CSINode');

export const leases = namespaced<Lease>('coordination.k8s.io', 'v1', 'leases', 'Lease');

export const volumeSnapshots = namespaced<VolumeSnapshot>(
	'snapshot.storage.k8s.io',
	'v1',
	'volumesnapshots',
	'VolumeSnapshot',
);
export const volumeSnapshotContents = clusterScoped<VolumeSnapshotContent>(
	'snapshot.storage.k8s.io',
	'v1',
	'volumesnapshotcontents',
	'VolumeSnapshotContent',
);
export const volumeSnapshotClasses = clusterScoped<VolumeSnapshotClass>(
	'snapshot.storage.k8s.io',
	'v1',
	'volumesnapshotclasses',
	'VolumeSnapshotClass',
);

export const validatingAdmissionPolicies = clusterScoped<KubeObject>(
	'admissionregistration.k8s.io',
	'v1',
	'validatingadmissionpolicies',
	'ValidatingAdmissionPolicy',
);
export const validatingAdmissionPolicyBindings = clusterScoped<KubeObject>(
	'admissionregistration.k8s.io',
	'v1',
	'validatingadmissionpolicybindings',
	'ValidatingAdmissionPolicyBinding',
);

export const dataVolumes = namespaced<DataVolume>('cdi.kubevirt.io', 'v1beta1', 'datavolumes', 'DataVolume');
export const dataImportCrons = namespaced<DataImportCron>(
	'cdi.kubevirt.io',
	'v1beta1',
	'dataimportcrons',
	'DataImportCron',
);
export const dataSources = namespaced<DataSource>('cdi.kubevirt.io', 'v1beta1', 'datasources', 'DataSource');
export const volumeImportSources = namespaced<VolumeImportSource>(
	'cdi.kubevirt.io',
	'v1beta1',
	'volumeimportsources',
	'VolumeImportSource',
);
export const volumeCloneSources = namespaced<VolumeCloneSource>(
	'cdi.kubevirt.io',
	'v1beta1',
	'volumeclonesources',
	'VolumeCloneSource',
);

export const cdis = clusterScoped<Cdi>('cdi.kubevirt.io', 'v1beta1', 'cdis', 'CDI');
export const cdiConfigs = clusterScoped<CdiConfig>('cdi.kubevirt.io', 'v1beta1', 'cdiconfigs', 'CDIConfig');
export const storageProfiles = clusterScoped<StorageProfile>(
	'cdi.kubevirt.io',
	'v1beta1',
	'storageprofiles',
	'StorageProfile',
);

export const sharedSnapshots = clusterScoped<SharedSnapshot>(
	'onesnap.io',
	'v1alpha1',
	'sharedsnapshots',
	'SharedSnapshot',
);

/** The API path of a kind's collection, or of one object or its subresource. */
export function apiPath(
	resource: Resource<KubeObject>,
	{
		namespace,
		name,
		subresource,
	}: {namespace?: string | undefined; name?: string; subresource?: string | undefined} = {},
): string {
	const parts = resource.group ? ['apis', resource.group, resource.version] : ['api', resource.version];
	if (resource.namespaced && namespace) parts.push('namespaces', encodeURIComponent(namespace));
	parts.push(resource.plural);
	if (name !== undefined) parts.push(encodeURIComponent(name));
	if (subresource) parts.push(subresource);
	return `/${parts.join('/')}`;
}

export function apiVersionOf(resource: Resource<KubeObject>): string {
	return resource.group ? `${resource.group}/${resource.version}` : resource.version;
}
