/** Objects for the tests of the double: what a test does not care for is filled in. */
import type {Condition} from '../../src/api/conditions.ts';
import type {DataVolume, DataVolumePhase, DataVolumeSpec} from '../../src/api/datavolume.ts';
import type {OwnerReference, PersistentVolumeClaim, Pod} from '../../src/api/kubernetes.ts';
import {
	type DataSource,
	type DataSourceSource,
	type DataVolumeTemplate,
	type InstancePhase,
	type InstanceSpec,
	kubevirtVersion,
	names,
	type RunStrategy,
	type VirtualMachine,
	type VirtualMachineInstance,
	type VirtualMachineStatus,
} from './api.ts';

const cdiVersion = 'cdi.kubevirt.io/v1beta1';

export function template(
	given: Omit<Partial<DataVolumeTemplate['metadata']>, 'namespace'> & {readonly spec?: DataVolumeSpec} = {},
): DataVolumeTemplate {
	const {name = 'vm-root', labels, annotations, spec = {source: {blank: {}}, storage: {}}} = given;
	return {metadata: {name, ...(labels && {labels}), ...(annotations && {annotations})}, spec};
}

export interface VmOptions {
	readonly runStrategy?: RunStrategy;
	readonly templates?: readonly DataVolumeTemplate[];
	readonly instance?: Partial<InstanceSpec>;
	readonly annotations?: Readonly<Record<string, string>>;
	readonly status?: VirtualMachineStatus;
	readonly deleted?: boolean;
}

/** With one template `vm-root` and its volume. */
export function vm(options: VmOptions = {}): VirtualMachine {
	const {runStrategy = 'Always', templates = [template()], instance, annotations, status, deleted} = options;
	return {
		apiVersion: kubevirtVersion,
		kind: 'VirtualMachine',
		metadata: {
			name: 'vm',
			namespace: 'ns',
			uid: 'vm-uid',
			...(annotations && {annotations}),
			...(deleted && {deletionTimestamp: '2026-11-21T19:00:00Z'}),
		},
		spec: {
			runStrategy,
			dataVolumeTemplates: templates,
			template: {
				spec: {
					volumes: templates.map(({metadata: {name}}) => ({name, dataVolume: {name}})),
					...instance,
				},
			},
		},
		...(status && {status}),
	};
}

export interface InstanceOptions {
	readonly phase?: InstancePhase;
	readonly deleted?: boolean;
	readonly volumes?: InstanceSpec['volumes'];
	readonly conditions?: readonly Condition[];
	readonly finalizer?: boolean;
}

/** Of `vm()`. */
export function instance(options: InstanceOptions = {}): VirtualMachineInstance {
	const {phase = 'Pending', deleted, conditions, finalizer = true} = options;
	const {volumes = [{name: 'vm-root', dataVolume: {name: 'vm-root'}}]} = options;
	return {
		apiVersion: kubevirtVersion,
		kind: 'VirtualMachineInstance',
		metadata: {
			name: 'vm',
			namespace: 'ns',
			uid: 'instance-uid',
			...(finalizer && {finalizers: [names.instanceFinalizer]}),
			...(deleted && {deletionTimestamp: '2026-11-21T19:00:00Z'}),
		},
		spec: {volumes},
		status: {phase, ...(conditions && {conditions})},
	};
}

const ownedByVm: OwnerReference = {
	apiVersion: kubevirtVersion,
	kind: 'VirtualMachine',
	name: 'vm',
	uid: 'vm-uid',
	controller: true,
	blockOwnerDeletion: true,
};

export interface DataVolumeOptions {
	readonly name?: string;
	readonly phase?: DataVolumePhase;
	readonly bound?: Omit<Condition, 'type'>;
	readonly running?: Omit<Condition, 'type'>;
	readonly ready?: Condition['status'];
	readonly owners?: readonly OwnerReference[];
	readonly annotations?: Readonly<Record<string, string>>;
}

/** Of `vm()`. */
export function dataVolume(options: DataVolumeOptions = {}): DataVolume {
	const {name = 'vm-root', phase = 'Succeeded', bound, running, ready, owners = [ownedByVm], annotations} = options;
	const conditions: Condition[] = [
		...(bound ? [{type: 'Bound', ...bound}] : []),
		...(running ? [{type: 'Running', ...running}] : []),
		...(ready ? [{type: 'Ready', status: ready}] : []),
	];
	return {
		apiVersion: cdiVersion,
		kind: 'DataVolume',
		metadata: {
			name,
			namespace: 'ns',
			uid: `${name}-uid`,
			ownerReferences: owners,
			...(annotations && {annotations}),
		},
		spec: {source: {blank: {}}, storage: {}},
		status: {phase, conditions},
	};
}

export interface ClaimOptions {
	readonly name?: string;
	readonly phase?: 'Pending' | 'Bound' | 'Lost';
	/** Name of the DataVolume that controls it. Default: its own name. */
	readonly dataVolume?: string | undefined;
	readonly annotations?: Readonly<Record<string, string>>;
	readonly spec?: PersistentVolumeClaim['spec'];
	readonly deleted?: boolean;
}

export function claim(options: ClaimOptions = {}): PersistentVolumeClaim {
	const {name = 'vm-root', phase = 'Bound', annotations, spec = {storageClassName: 'fast'}, deleted} = options;
	const owner = 'dataVolume' in options ? options.dataVolume : name;
	return {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata: {
			name,
			namespace: 'ns',
			uid: `${name}-claim-uid`,
			...(annotations && {annotations}),
			...(deleted && {deletionTimestamp: '2026-11-21T19:00:00Z'}),
			...(owner !== undefined && {
				ownerReferences: [
					{apiVersion: cdiVersion, kind: 'DataVolume', name: owner, uid: `${owner}-uid`, controller: true},
				],
			}),
		},
		spec,
		status: {phase},
	};
}

export function dataSource({
	source,
	resolved,
}: {
	readonly source: DataSourceSource;
	readonly resolved?: DataSourceSource;
}): DataSource {
	return {
		apiVersion: cdiVersion,
		kind: 'DataSource',
		metadata: {namespace: 'golden', name: 'os-stable'},
		spec: {source},
		...(resolved && {status: {source: resolved}}),
	};
}

export interface PodOptions {
	readonly phase?: NonNullable<Pod['status']>['phase'];
	readonly temporary?: boolean;
	readonly ready?: boolean;
	readonly deleted?: boolean;
	readonly waiting?: string;
	readonly unschedulable?: boolean;
}

/** A launcher Pod of `instance()`. */
export function pod(options: PodOptions = {}): Pod {
	const {phase = 'Running', temporary = false, ready = false, deleted, waiting, unschedulable} = options;
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: {
			name: temporary ? 'temp' : 'launcher',
			namespace: 'ns',
			...(temporary && {annotations: {[names.ephemeralProvisioning]: 'true'}}),
			...(deleted && {deletionTimestamp: '2026-11-21T19:00:00Z'}),
			ownerReferences: [
				{
					apiVersion: kubevirtVersion,
					kind: 'VirtualMachineInstance',
					name: 'vm',
					uid: 'instance-uid',
					controller: true,
				},
			],
		},
		spec: {containers: []},
		status: {
			phase: phase ?? 'Running',
			conditions: [
				...(ready ? [{type: 'Ready', status: 'True'}] : []),
				...(unschedulable ? [{type: 'PodScheduled', status: 'False', reason: 'Unschedulable'}] : []),
			],
			...(waiting && {containerStatuses: [{name: 'compute', state: {waiting: {reason: waiting}}}]}),
		},
	};
}
