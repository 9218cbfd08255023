/** What tests install in KubeVirt's place: its two kinds without a schema, and the rights that its virt-controller brings. */
import type {KubeObject} from '../../src/api/kubernetes.ts';
import type {KubeApi} from '../../src/kube/client.ts';
import {apiPath, type Resource} from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {definitions, virtualMachineInstances, virtualMachines} from './api.ts';

/** The double acts as this one, so that admission and RBAC treat it as they treat KubeVirt. */
const serviceAccount = {namespace: 'kubevirt', name: 'kubevirt-controller'} as const;
export const userName = `system:serviceaccount:${serviceAccount.namespace}:${serviceAccount.name}`;

interface Loose extends KubeObject {
	readonly spec?: object;
	readonly rules?: readonly object[];
	readonly roleRef?: object;
	readonly subjects?: readonly object[];
}

const anything = {type: 'object', 'x-kubernetes-preserve-unknown-fields': true} as const;

function definitionOf({group, version, plural, kind}: Resource<KubeObject>, shortNames: readonly string[]): Loose {
	const column = (name: string, jsonPath: string) => ({name, jsonPath, type: 'string'});
	return {
		apiVersion: 'apiextensions.k8s.io/v1',
		kind: 'CustomResourceDefinition',
		metadata: {name: `${plural}.${group}`, labels: {'onesnap.io/test': 'kubevirt'}},
		spec: {
			group,
			scope: 'Namespaced',
			names: {plural, singular: kind.toLowerCase(), kind, listKind: `${kind}List`, shortNames},
			versions: [
				{
					name: version,
					served: true,
					storage: true,
					subresources: {status: {}},
					additionalPrinterColumns: [
						kind === 'VirtualMachine' ? column('Status', '.status.printableStatus') : column('Phase', '.status.phase'),
					],
					schema: {openAPIV3Schema: {type: 'object', properties: {spec: anything, status: anything}}},
				},
			],
		},
	};
}

const all = ['*'];
const look = ['get', 'list', 'watch'];
const tend = [...look, 'create', 'update', 'patch', 'delete'];
const rule = (apiGroup: string, resources: readonly string[], verbs: readonly string[]) => ({
	apiGroups: [apiGroup],
	resources,
	verbs,
});

/** CDI's kinds in full, as KubeVirt has it; of the rest what the double does. */
const rules = [
	rule('cdi.kubevirt.io', all, all),
	rule('kubevirt.io', all, all),
	rule('', ['pods', 'persistentvolumeclaims'], tend),
	rule('', ['events'], ['create', 'patch']),
	rule('', ['namespaces'], look),
	rule('authorization.k8s.io', ['subjectaccessreviews'], ['create']),
	rule('apiextensions.k8s.io', ['customresourcedefinitions'], look),
	rule('snapshot.storage.k8s.io', ['volumesnapshots'], tend),
	rule('snapshot.storage.k8s.io', ['volumesnapshotclasses'], look),
	rule('storage.k8s.io', ['storageclasses'], look),
];

const rbac = (plural: string, kind: string): Resource<Loose> => ({
	group: 'rbac.authorization.k8s.io',
	version: 'v1',
	plural,
	kind,
	namespaced: false,
});
const clusterRoles = rbac('clusterroles', 'ClusterRole');
const clusterRoleBindings = rbac('clusterrolebindings', 'ClusterRoleBinding');

const metadata = {name: 'onesnap-test-virt-controller'};
const role: Loose = {apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata, rules};
const binding: Loose = {
	apiVersion: 'rbac.authorization.k8s.io/v1',
	kind: 'ClusterRoleBinding',
	metadata,
	roleRef: {apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: metadata.name},
	subjects: [{kind: 'ServiceAccount', ...serviceAccount}],
};

const definitionsOfKubevirt = [
	definitionOf(virtualMachines, ['vm', 'vms']),
	definitionOf(virtualMachineInstances, ['vmi', 'vmis']),
];

/** Idempotent; returns when both kinds are served. */
export async function installKubevirt(api: KubeApi): Promise<void> {
	const as = {fieldManager: 'onesnap-test', force: true};
	for (const definition of definitionsOfKubevirt) await api.apply<KubeObject>(definitions, definition, as);
	await api.apply<Loose>(clusterRoles, role, as);
	await api.apply<Loose>(clusterRoleBindings, binding, as);
	for (const kind of [virtualMachines, virtualMachineInstances]) {
		await until(`${apiPath(kind)} is served`, async () => {
			await api.list<KubeObject>(kind);
			return true;
		});
	}
}

/** The machines have to be gone before: nobody would take their finalizers off. */
export async function removeKubevirt(api: KubeApi): Promise<void> {
	for (const definition of definitionsOfKubevirt) await api.delete<KubeObject>(definitions, definition.metadata);
	await api.delete<Loose>(clusterRoleBindings, metadata);
	await api.delete<Loose>(clusterRoles, metadata);
}
