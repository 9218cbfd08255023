/** What onesnap's manifests bring, without the controller: definitions, roles and admission policies. */
import path from 'node:path';
import {parseAllDocuments} from 'yaml';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import type {Resource} from '../../src/kube/resources.ts';
import {ensureBinary} from '../cluster/binaries.ts';
import {run} from '../cluster/command.ts';
import {ensureDefinitions} from '../cluster/definitions.ts';
import {Kubectl} from '../cluster/kubectl.ts';
import {until} from '../cluster/until.ts';

const base = path.resolve(import.meta.dirname, '../../manifests/base');

/** Of no use without a controller manager. */
const leftOut: ReadonlySet<string> = new Set(['Deployment', 'PodDisruptionBudget', 'Service']);

/** Idempotent: several test files may do it at once on one API server. */
export async function installManifests(kubeconfig: string): Promise<void> {
	const program = await ensureBinary('kubectl');
	const kubectl = new Kubectl(program, kubeconfig);
	const documents = parseAllDocuments(await run(program, ['kustomize', base]));
	const objects = documents.map((document): KubeObject => document.toJS());
	const definitions = objects.filter(({kind}) => kind === 'CustomResourceDefinition');
	const {snapshotCrds} = await ensureDefinitions();
	await kubectl.applyFiles(snapshotCrds);
	await kubectl.apply(definitions);
	const names = definitions.map(({metadata}) => `crd/${metadata.name}`);
	await kubectl.run('wait', '--for=condition=Established', '--timeout=9s', ...names);
	await untilServed(kubectl, definitions);
	await kubectl.apply(objects.filter((object) => !definitions.includes(object) && !leftOut.has(object.kind)));
}

/** For a while after it is established, the storage of a definition answers 429: "storage is (re)initializing". */
async function untilServed(kubectl: Kubectl, definitions: readonly KubeObject[]): Promise<void> {
	for (const {metadata} of definitions) {
		await until(`${metadata.name} is served`, () =>
			kubectl.run('get', metadata.name, '--all-namespaces', '--output=name').then(
				() => true,
				() => undefined,
			),
		);
	}
}

/** As this user, who may do what RBAC says. */
export function makeClientAs(user: string, kubeconfig: string): KubeClient {
	const connection = connect(kubeconfig);
	const credentials = async () => {
		const own = await connection.credentials();
		return {...own, headers: {...own.headers, 'Impersonate-User': user}};
	};
	return new KubeClient({connection: {...connection, credentials}, fieldManager: 'test'});
}

export interface Rule {
	readonly apiGroups: readonly string[];
	readonly resources: readonly string[];
	readonly verbs: readonly string[];
	readonly resourceNames?: readonly string[];
}

const rbac = (plural: string, kind: string): Resource<KubeObject & Record<string, unknown>> => ({
	group: 'rbac.authorization.k8s.io',
	version: 'v1',
	plural,
	kind,
	namespaced: true,
});

export interface Subject {
	readonly kind: 'User' | 'Group' | 'ServiceAccount';
	readonly name: string;
	/** Of a ServiceAccount. */
	readonly namespace?: string;
}

/** A Role of this namespace, bound to the user, or to somebody else. */
export async function grant(
	api: KubeClient,
	{
		namespace,
		rules,
		...given
	}: {readonly namespace: string; readonly rules: readonly Rule[]} & (
		| {readonly user: string}
		| {readonly subject: Subject}
	),
): Promise<void> {
	const apiVersion = 'rbac.authorization.k8s.io/v1';
	const subject: Subject = 'subject' in given ? given.subject : {kind: 'User', name: given.user};
	const name = `${subject.kind}-${subject.name.replaceAll(':', '-')}`.toLowerCase();
	const metadata = {namespace, name};
	await api.create(rbac('roles', 'Role'), {apiVersion, kind: 'Role', metadata, rules});
	await api.create(rbac('rolebindings', 'RoleBinding'), {
		apiVersion,
		kind: 'RoleBinding',
		metadata,
		roleRef: {apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name},
		subjects: [{apiGroup: subject.kind === 'ServiceAccount' ? '' : 'rbac.authorization.k8s.io', ...subject}],
	});
}

/** What the API server said, or `admitted`. */
export async function answerTo(request: Promise<unknown>): Promise<string> {
	try {
		await request;
		return 'admitted';
	} catch (error) {
		return error instanceof Error ? error.message : String(error);
	}
}
