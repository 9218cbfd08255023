/** KubeVirt's virt-controller, as far as disks are concerned, for one file of tests: from beforeAll to afterAll. */
import type {DataVolumeSource} from '../../src/api/datavolume.ts';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import type {Resource} from '../../src/kube/resources.ts';
import type {DataVolumeTemplate} from '../kubevirt/api.ts';
import {installKubevirt, removeKubevirt} from '../kubevirt/install.ts';
import {Machines} from '../kubevirt/machines.ts';
import {VirtController} from '../kubevirt/virt-controller.ts';
import {api, context} from './world.ts';

export interface Kubevirt {
	readonly double: VirtController;
	readonly machines: Machines;
	/** Takes the machines of these namespaces away, then KubeVirt. */
	remove(namespaces: readonly string[]): Promise<void>;
}

export async function startKubevirt(): Promise<Kubevirt> {
	await installKubevirt(api);
	const double = await VirtController.start({
		kubeconfig: context.kubeconfig,
		launcherImage: context.workerImage,
	});
	const machines = new Machines(api, double);
	return {
		double,
		machines,
		async remove(namespaces) {
			try {
				await machines.removeAll(namespaces);
				double.assertAlive();
			} finally {
				await double.stop();
				await removeKubevirt(api);
			}
		},
	};
}

export interface DiskWanted {
	readonly source?: DataVolumeSource;
	readonly dataSource?: {readonly namespace: string; readonly name: string};
	/** Undefined where it is that of the source. */
	readonly size?: string | undefined;
	/** Undefined means the class with snapshots. */
	readonly storageClass?: string | undefined;
	readonly annotations?: Readonly<Record<string, string>>;
}

export function disk(name: string, wanted: DiskWanted): DataVolumeTemplate {
	const {source, dataSource, storageClass = context.storageClass, annotations} = wanted;
	const size = 'size' in wanted ? wanted.size : '300Mi';
	return {
		metadata: {name, ...(annotations && {annotations})},
		spec: {
			...(source && {source}),
			...(dataSource && {sourceRef: {kind: 'DataSource', ...dataSource}}),
			storage: {
				...(size !== undefined && {resources: {requests: {storage: size}}}),
				...(storageClass !== undefined && {storageClassName: storageClass}),
			},
		},
	};
}

const roleBindings: Resource<KubeObject & {readonly roleRef: object; readonly subjects: readonly object[]}> = {
	group: 'rbac.authorization.k8s.io',
	version: 'v1',
	plural: 'rolebindings',
	kind: 'RoleBinding',
	namespaced: true,
};

/** Lets the service accounts of one namespace clone from another one, as the sample does. */
export async function letClone(golden: string, namespace: string): Promise<void> {
	const apiGroup = 'rbac.authorization.k8s.io';
	await api.create(roleBindings, {
		apiVersion: `${apiGroup}/v1`,
		kind: 'RoleBinding',
		metadata: {namespace: golden, name: `${namespace}-clones`},
		roleRef: {apiGroup, kind: 'ClusterRole', name: 'cdi.kubevirt.io:clone-sourcer'},
		subjects: [{apiGroup, kind: 'Group', name: `system:serviceaccounts:${namespace}`}],
	});
}
