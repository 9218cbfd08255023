/** KubeVirt's kinds as far as the double plays them, CDI's kinds as KubeVirt reads them, and the names that both agree on. */
import type {Condition} from '../../src/api/conditions.ts';
import type {DataVolume, DataVolumeSpec, ObjectSource} from '../../src/api/datavolume.ts';
import type {KubeObject, OwnerReference} from '../../src/api/kubernetes.ts';
import type {Resource} from '../../src/kube/resources.ts';

export const kubevirtVersion = 'kubevirt.io/v1';

/** Without Manual's cousins Once and RerunOnFailure: disks are the same to them. */
export type RunStrategy = 'Always' | 'Halted' | 'Manual';

export interface DataVolumeTemplate {
	readonly metadata: {
		readonly name: string;
		readonly namespace?: string;
		readonly labels?: Readonly<Record<string, string>>;
		readonly annotations?: Readonly<Record<string, string>>;
	};
	readonly spec: DataVolumeSpec;
}

export interface Volume {
	readonly name: string;
	readonly dataVolume?: {readonly name: string};
	readonly persistentVolumeClaim?: {readonly claimName: string};
	readonly serviceAccount?: {readonly serviceAccountName: string};
}

export interface InstanceSpec {
	readonly domain?: object;
	readonly volumes?: readonly Volume[];
	readonly priorityClassName?: string;
	readonly serviceAccountName?: string;
}

/** What `virtctl stop`, `start` and `restart` leave for the VM controller. */
export interface StateChangeRequest {
	readonly action: 'Start' | 'Stop';
	/** Of the instance that is to be stopped. */
	readonly uid?: string;
}

export interface StartFailure {
	readonly consecutiveFailCount: number;
	readonly lastFailedUid: string;
	readonly retryAfter: string;
}

export interface VirtualMachineStatus {
	readonly printableStatus?: PrintableStatus;
	readonly created?: boolean;
	readonly ready?: boolean;
	readonly conditions?: readonly Condition[];
	readonly stateChangeRequests?: readonly StateChangeRequest[];
	readonly startFailure?: StartFailure;
}

/** Without Migrating, Paused and WaitingForReceiver: the double does neither. */
export type PrintableStatus =
	| 'Terminating'
	| 'Stopping'
	| 'Running'
	| 'ErrorPvcNotFound'
	| 'DataVolumeError'
	| 'ErrorUnschedulable'
	| 'Provisioning'
	| 'WaitingForVolumeBinding'
	| 'ErrImagePull'
	| 'ImagePullBackOff'
	| 'Starting'
	| 'CrashLoopBackOff'
	| 'Stopped'
	| 'Unknown';

export interface VirtualMachine extends KubeObject {
	readonly spec: {
		readonly runStrategy: RunStrategy;
		readonly dataVolumeTemplates?: readonly DataVolumeTemplate[];
		readonly template: {
			readonly metadata?: {readonly labels?: Readonly<Record<string, string>>};
			readonly spec: InstanceSpec;
		};
	};
	readonly status?: VirtualMachineStatus;
}

export type InstancePhase = '' | 'Pending' | 'Scheduling' | 'Running' | 'Succeeded' | 'Failed';

export interface VolumeStatus {
	readonly name: string;
	readonly claimName: string;
	/** Of the file system that holds the disk, as a string like "0.06"; absent for block volumes. */
	readonly filesystemOverhead?: string;
	readonly preallocated?: boolean;
}

export interface InstanceStatus {
	readonly phase?: InstancePhase;
	readonly conditions?: readonly Condition[];
	readonly volumeStatus?: readonly VolumeStatus[];
}

export interface VirtualMachineInstance extends KubeObject {
	readonly spec: InstanceSpec;
	readonly status?: InstanceStatus;
}

export interface DataSource extends KubeObject {
	readonly spec: {readonly source: DataSourceSource};
	readonly status?: {readonly source?: DataSourceSource; readonly conditions?: readonly Condition[]};
}

export interface DataSourceSource {
	readonly pvc?: ObjectSource;
	readonly snapshot?: ObjectSource;
	readonly dataSource?: ObjectSource;
}

export interface CdiConfig extends KubeObject {
	readonly status?: {
		readonly filesystemOverhead?: {
			readonly global?: string;
			readonly storageClass?: Readonly<Record<string, string>>;
		};
	};
}

export interface StorageProfile extends KubeObject {
	readonly status?: {readonly snapshotClass?: string};
}

const kubevirt = (plural: string, kind: string) =>
	({group: 'kubevirt.io', version: 'v1', plural, kind, namespaced: true}) as const;
const cdi = (plural: string, kind: string, namespaced: boolean) =>
	({group: 'cdi.kubevirt.io', version: 'v1beta1', plural, kind, namespaced}) as const;

export const virtualMachines: Resource<VirtualMachine> = kubevirt('virtualmachines', 'VirtualMachine');
export const virtualMachineInstances: Resource<VirtualMachineInstance> = kubevirt(
	'virtualmachineinstances',
	'VirtualMachineInstance',
);

/** The five that virt-controller has informers of. */
export const dataVolumes: Resource<DataVolume> = cdi('datavolumes', 'DataVolume', true);
export const dataSources: Resource<DataSource> = cdi('datasources', 'DataSource', true);
export const cdis: Resource<KubeObject> = cdi('cdis', 'CDI', false);
export const cdiConfigs: Resource<CdiConfig> = cdi('cdiconfigs', 'CDIConfig', false);
export const storageProfiles: Resource<StorageProfile> = cdi('storageprofiles', 'StorageProfile', false);

export interface Definition extends KubeObject {
	readonly spec: {readonly group: string; readonly names: {readonly kind: string; readonly plural: string}};
}

export const definitions: Resource<Definition> = {
	group: 'apiextensions.k8s.io',
	version: 'v1',
	plural: 'customresourcedefinitions',
	kind: 'CustomResourceDefinition',
	namespaced: false,
};

const ofCdi = 'cdi.kubevirt.io/';

/** §1.1, §1.3, §1.5 and §3 of the reference; what KubeVirt writes or reads. */
export const names = {
	createdBy: 'kubevirt.io/created-by',
	immediateCreation: 'kubevirt.io/immediate-data-volume-creation',
	ephemeralProvisioning: 'kubevirt.io/ephemeral-provisioning',
	launcherLabel: 'kubevirt.io',
	launcherValue: 'virt-launcher',
	restore: 'restore.kubevirt.io/name',
	allowClaimAdoption: `${ofCdi}allowClaimAdoption`,
	prePopulated: `${ofCdi}storage.prePopulated`,
	populatedFor: `${ofCdi}storage.populatedFor`,
	checkStaticVolume: `${ofCdi}storage.checkStaticVolume`,
	contentType: `${ofCdi}storage.contentType`,
	cdiPrefix: ofCdi,
	instanceFinalizer: 'foregroundDeleteVirtualMachine',
} as const;

/** The disk of a volume, whether a DataVolume or a claim was named: both have one name. */
export function claimNameOf({dataVolume, persistentVolumeClaim}: Volume): string | undefined {
	return dataVolume?.name ?? persistentVolumeClaim?.claimName;
}

export function controllerOf({metadata}: KubeObject): OwnerReference | undefined {
	return metadata.ownerReferences?.find(({controller}) => controller === true);
}

export function isControlledBy(object: KubeObject, owner: KubeObject): boolean {
	return controllerOf(object)?.uid === owner.metadata.uid;
}

export function controlledBy(owner: KubeObject): OwnerReference {
	const {apiVersion, kind, metadata} = owner;
	if (!metadata.uid) throw new Error(`${kind} ${metadata.name} has no UID: it does not come from the API server`);
	return {apiVersion, kind, name: metadata.name, uid: metadata.uid, controller: true, blockOwnerDeletion: true};
}
