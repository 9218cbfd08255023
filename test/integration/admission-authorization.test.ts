/**
 * Who may clone what, asked by the API server of its own authorizer when somebody asks for the clone.
 *
 * The matrix compares each answer with CDI's rule, put to the same authorizer by SubjectAccessReviews as CDI's webhook and
 * virt-controller put it. Where onesnap answers otherwise, the table says so and why.
 */
import {randomBytes} from 'node:crypto';
import {beforeAll, describe, expect, inject, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {KubeObject, PersistentVolumeClaim} from '../../src/api/kubernetes.ts';
import {annotations, cdiGroup} from '../../src/api/names.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import {dataVolumes, persistentVolumeClaims} from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {makeNamespace} from './cluster.ts';
import {answerTo, grant, installManifests, makeClientAs, type Rule, type Subject} from './onesnap.ts';

const kubeconfig = inject('kubeconfig');
const admin = new KubeClient({connection: connect(kubeconfig), fieldManager: 'test'});
/** What is cloned is here, under the name `golden`. */
let source: string;

const cloneSource: Rule = {apiGroups: [cdiGroup], resources: ['datavolumes/source'], verbs: ['create']};
const core = (...resources: string[]): Rule => ({apiGroups: [''], resources, verbs: ['create']});
const inTarget: readonly Rule[] = [
	{apiGroups: [cdiGroup], resources: ['datavolumes'], verbs: ['create', 'get', 'patch']},
	{apiGroups: [''], resources: ['persistentvolumeclaims'], verbs: ['create', 'get', 'patch']},
];

const subjectKinds = ['user', 'service account', 'service account by its group'] as const;
type SubjectKind = (typeof subjectKinds)[number];

interface Asker {
	/** As the API server calls it. */
	readonly user: string;
	/** As CDI's review of a service account names them; of a user only what everybody is in. */
	readonly groups: readonly string[];
	readonly target: string;
	readonly client: KubeClient;
}

/** Who may make DataVolumes and claims in a namespace of its own, and has these rights in the source's. */
async function makeAsker(kind: SubjectKind, rules: readonly Rule[]): Promise<Asker> {
	const target = await makeNamespace(admin);
	const name = `asker-${randomBytes(4).toString('hex')}`;
	const isUser = kind === 'user';
	const user = isUser ? name : `system:serviceaccount:${target}:${name}`;
	const groups = [
		...(isUser ? [] : ['system:serviceaccounts', `system:serviceaccounts:${target}`]),
		'system:authenticated',
	];
	const subjects: Record<SubjectKind, Subject> = {
		user: {kind: 'User', name: user},
		'service account': {kind: 'ServiceAccount', name, namespace: target},
		'service account by its group': {kind: 'Group', name: `system:serviceaccounts:${target}`},
	};
	await grant(admin, {namespace: target, subject: subjects[kind], rules: inTarget});
	if (rules.length > 0) await grant(admin, {namespace: source, subject: subjects[kind], rules});
	const asker = {user, groups, target, client: makeClientAs(user, kubeconfig)};
	// The authorizer learns of new roles by a watch of its own.
	await until('the roles', async () => {
		const asked = rules.flatMap(({apiGroups: [group = ''], resources, resourceNames: [name] = []}) =>
			resources.map((resource) => mayCreate(asker, source, {group, resource, name})),
		);
		const own = mayCreate(asker, target, {group: cdiGroup, resource: 'datavolumes'});
		return (await Promise.all([own, ...asked])).every((yes) => yes) ? true : undefined;
	});
	return asker;
}

interface Right {
	readonly group: string;
	/** With its subresource, if any. */
	readonly resource: string;
	readonly name?: string | undefined;
}

/** A SubjectAccessReview. */
async function mayCreate({user, groups}: Asker, namespace: string, {group, resource, name}: Right): Promise<boolean> {
	const [plural, subresource] = resource.split('/', 2);
	const attributes = {namespace, verb: 'create', group, resource: plural, subresource, name};
	const review = await admin.post<{status: {allowed: boolean}}>('/apis/authorization.k8s.io/v1/subjectaccessreviews', {
		apiVersion: 'authorization.k8s.io/v1',
		kind: 'SubjectAccessReview',
		spec: {user, groups, resourceAttributes: attributes},
	});
	return review.status.allowed;
}

/** CDI's rule for a clone of what is called `golden` (cdi-api §1.5). */
async function mayCloneByCdi(asker: Asker, namespace: string, kind: 'pvc' | 'snapshot'): Promise<boolean> {
	if (namespace === asker.target) return true;
	const may = (group: string, resource: string, name?: string) => mayCreate(asker, namespace, {group, resource, name});
	if (await may(cdiGroup, 'datavolumes/source', 'golden')) return true;
	return (await may('', 'pods')) && (kind === 'pvc' || (await may('', 'pvcs')));
}

const metadata = ({target: namespace}: Asker) => ({namespace, name: `clone-${randomBytes(4).toString('hex')}`});

function dataVolume(asker: Asker, spec: object): DataVolume {
	return {
		apiVersion: 'cdi.kubevirt.io/v1beta1',
		kind: 'DataVolume',
		metadata: metadata(asker),
		spec: {...spec, storage: {}},
	};
}

const clone = (asker: Asker, kind: 'pvc' | 'snapshot', namespace: string, name = 'golden') =>
	dataVolume(asker, {source: {[kind]: {namespace, name}}});

function claim(asker: Asker, given: Readonly<Record<string, string>>, dataSourceRef?: object): PersistentVolumeClaim {
	return {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata: {...metadata(asker), annotations: given},
		spec: {
			accessModes: ['ReadWriteOnce'],
			resources: {requests: {storage: '1Gi'}},
			...(dataSourceRef && {dataSourceRef}),
		} as PersistentVolumeClaim['spec'],
	};
}

const from = (namespace: string) => ({[annotations.dataSourceNamespace]: namespace});

/** What CDI would say, and what onesnap is asked, to get at a disk of this namespace. */
interface Way {
	readonly byCdi: (asker: Asker, namespace: string) => Promise<boolean>;
	readonly ask: (asker: Asker, namespace: string) => Promise<KubeObject>;
}

const makeDataVolume = (asker: Asker, object: DataVolume) => asker.client.create(dataVolumes, object, {dryRun: true});
const reference = (asker: Asker, namespace: string) =>
	makeDataVolume(asker, dataVolume(asker, {sourceRef: {kind: 'DataSource', namespace, name: 'golden'}}));

const ways: Readonly<Record<string, Way>> = {
	'a claim': {
		byCdi: (asker, namespace) => mayCloneByCdi(asker, namespace, 'pvc'),
		ask: (asker, namespace) => makeDataVolume(asker, clone(asker, 'pvc', namespace)),
	},
	'a snapshot': {
		byCdi: (asker, namespace) => mayCloneByCdi(asker, namespace, 'snapshot'),
		ask: (asker, namespace) => makeDataVolume(asker, clone(asker, 'snapshot', namespace)),
	},
	'a sourceRef to a claim': {byCdi: (asker, namespace) => mayCloneByCdi(asker, namespace, 'pvc'), ask: reference},
	'a sourceRef to a snapshot': {
		byCdi: (asker, namespace) => mayCloneByCdi(asker, namespace, 'snapshot'),
		ask: reference,
	},
	'a claim with a VolumeCloneSource': {
		// Of another namespace it takes a token, which CDI gives to DataVolumes only.
		byCdi: async (asker, namespace) => namespace === asker.target,
		ask: (asker, namespace) => {
			const ref = {apiGroup: cdiGroup, kind: 'VolumeCloneSource', name: 'golden'};
			return asker.client.create(persistentVolumeClaims, claim(asker, from(namespace), ref), {dryRun: true});
		},
	},
};
type WayName = keyof typeof ways;

const unknownKind = 'whether it leads to a claim or a snapshot is not known when it is asked: what a snapshot takes';
const anyName = 'it may come to lead to any of that namespace: a right on single names is not enough';
const noToken = 'no token is needed: whoever may clone by a DataVolume may by a claim';

interface Rights {
	readonly rights: string;
	readonly rules: readonly Rule[];
	/** What may be cloned from the namespace where the rights are; from the own one everything may. */
	readonly allows: readonly WayName[];
	/** Where CDI says otherwise, and why onesnap does not. */
	readonly differs?: Readonly<Record<WayName, string>>;
}

const everything = Object.keys(ways);

const matrix: readonly Rights[] = [
	{rights: 'no right', rules: [], allows: []},
	{
		rights: 'datavolumes/source',
		rules: [cloneSource],
		allows: everything,
		differs: {'a claim with a VolumeCloneSource': noToken},
	},
	{
		rights: 'datavolumes/source on the name',
		rules: [{...cloneSource, resourceNames: ['golden']}],
		allows: ['a claim', 'a snapshot'],
		differs: {'a sourceRef to a claim': anyName, 'a sourceRef to a snapshot': anyName},
	},
	{
		rights: 'pods',
		rules: [core('pods')],
		allows: ['a claim'],
		differs: {'a sourceRef to a claim': unknownKind},
	},
	{
		rights: 'pods and pvcs',
		rules: [core('pods', 'pvcs')],
		allows: everything,
		differs: {'a claim with a VolumeCloneSource': noToken},
	},
	{rights: 'pvcs alone', rules: [core('pvcs')], allows: []},
	{rights: 'persistentvolumeclaims', rules: [core('persistentvolumeclaims')], allows: []},
];

beforeAll(async () => {
	await installManifests(kubeconfig);
	source = await makeNamespace(admin);
	const asker = await makeAsker('user', []);
	// Policies are in force some moments after they were written.
	await until('the policies', async () => {
		const answers = await Promise.all(Object.values(ways).map(({ask}) => answerTo(ask(asker, source))));
		return answers.every((answer) => answer.includes('403')) ? true : undefined;
	});
	asker.client.close();
	return () => admin.close();
});

describe.concurrent.each(subjectKinds)('CDI §1.5: a %s', (kind) => {
	const rows = matrix.map((row) => [row.rights, row.allows.join(', ') || 'nothing', row] as const);

	test.each(rows)('with %s in the source namespace may clone: %s', async (_, __, {rules, allows, differs = {}}) => {
		const asker = await makeAsker(kind, rules);
		for (const [name, {byCdi, ask}] of Object.entries(ways)) {
			expect(await answerTo(ask(asker, asker.target)), `${name} of the same namespace`).toBe('admitted');
			expect(await byCdi(asker, asker.target)).toBe(true);
			const answer = await answerTo(ask(asker, source));
			const may = allows.includes(name);
			if (may) expect(answer, `${name} of another namespace`).toBe('admitted');
			else {
				expect(answer, `${name} of another namespace`).toContain('403 Forbidden');
				expect(answer).toContain(
					`User ${asker.user} has insufficient permissions in clone source namespace ${source}: needs "create" on datavolumes/source (group cdi.kubevirt.io) there`,
				);
				expect(answer).toContain('cdi.kubevirt.io:clone-sourcer');
			}
			expect(await byCdi(asker, source), `CDI's answer to ${name}`).toBe(name in differs ? !may : may);
		}
		asker.client.close();
	});
});

test('a user with a right on one name may clone that one and no other', async () => {
	const asker = await makeAsker('user', [{...cloneSource, resourceNames: ['golden']}]);
	const create = (name: string) => answerTo(makeDataVolume(asker, clone(asker, 'pvc', source, name)));
	expect(await create('golden')).toBe('admitted');
	expect(await create('secret')).toContain('403 Forbidden');
	asker.client.close();
});

describe.concurrent('KubeVirt §1.3: of a disk that somebody else makes, as a restore does,', () => {
	const pre = {[annotations.prePopulated]: 'disk'};
	const from: Readonly<Record<string, (asker: Asker) => DataVolume>> = {
		'a claim': (asker) => clone(asker, 'pvc', source),
		'a snapshot': (asker) => clone(asker, 'snapshot', source),
		'a sourceRef': (asker) => dataVolume(asker, {sourceRef: {kind: 'DataSource', namespace: source, name: 'os'}}),
	};

	test.each(Object.entries(from))('the source is not asked about until it is to be cloned: %s', async (_, make) => {
		const [asker, entitled] = [await makeAsker('user', []), await makeAsker('user', [cloneSource])];
		await grant(admin, {namespace: asker.target, user: entitled.user, rules: inTarget});
		const wanted = make(asker);
		const made = await asker.client.create(dataVolumes, {...wanted, metadata: {...wanted.metadata, annotations: pre}});
		const change = ({client}: Asker, patch: object) =>
			answerTo(client.mergePatch(dataVolumes, made.metadata, {metadata: patch}));
		expect(await change(asker, {labels: {a: 'b'}})).toBe('admitted');
		const plain = {annotations: {[annotations.prePopulated]: null}};
		const words = `User ${asker.user} has insufficient permissions in clone source namespace ${source}`;
		expect(await change(asker, plain)).toContain(words);
		// With a record that he may write, too.
		const record = `${made.metadata.uid}/PersistentVolumeClaim/${asker.target}/golden`;
		const both = {annotations: {...plain.annotations, [annotations.resolvedSource]: record}};
		expect(await change(asker, both)).toContain(words);
		await until('who may', async () => ((await change(entitled, plain)) === 'admitted' ? true : undefined));
		expect(await change(asker, {labels: {a: 'c'}})).toBe('admitted');
		await admin.delete(dataVolumes, made.metadata);
		for (const {client} of [asker, entitled]) client.close();
	});
});

describe.concurrent('the record of what a sourceRef led to', () => {
	const recordOf = ({metadata: {uid}}: DataVolume, namespace: string) => ({
		metadata: {annotations: {[annotations.resolvedSource]: `${uid}/PersistentVolumeClaim/${namespace}/golden`}},
	});
	const refers = (asker: Asker, namespace: string) =>
		dataVolume(asker, {sourceRef: {kind: 'DataSource', namespace, name: 'os'}});

	test('is changed by who may clone from there, as the controller may, and by nobody else', async () => {
		const [none, some] = [await makeAsker('user', []), await makeAsker('user', [cloneSource])];
		await grant(admin, {namespace: none.target, subject: {kind: 'User', name: some.user}, rules: inTarget});
		const made = await admin.create(dataVolumes, refers(none, source));
		const record = (client: KubeClient, namespace: string) =>
			answerTo(client.mergePatch(dataVolumes, made.metadata, recordOf(made, namespace), {dryRun: true}));
		await until('the second role', async () =>
			(await record(some.client, none.target)) === 'admitted' ? true : undefined,
		);
		expect(await record(none.client, source)).toContain(
			`User ${none.user} has insufficient permissions in clone source namespace ${source}`,
		);
		expect(await record(none.client, none.target)).toBe('admitted');
		expect(await record(some.client, source)).toBe('admitted');
		const controller = makeClientAs('system:serviceaccount:onesnap:onesnap-controller', kubeconfig);
		expect(await record(controller, source)).toBe('admitted');
		await admin.delete(dataVolumes, made.metadata);
		for (const client of [none.client, some.client, controller]) client.close();
	});

	test('does not stand in the way of other changes, and can be taken away', async () => {
		const asker = await makeAsker('user', []);
		const made = await admin.create(dataVolumes, refers(asker, source));
		await admin.mergePatch(dataVolumes, made.metadata, recordOf(made, source));
		const change = (patch: object) => answerTo(asker.client.mergePatch(dataVolumes, made.metadata, patch));
		expect(await change({metadata: {labels: {a: 'b'}, annotations: {c: 'd'}}})).toBe('admitted');
		expect(await change({metadata: {annotations: {[annotations.resolvedSource]: null}}})).toBe('admitted');
		await admin.delete(dataVolumes, made.metadata);
		asker.client.close();
	});
});

describe.concurrent('a claim that names a clone source in another namespace by annotation', () => {
	test('is refused to a user without the right there, when it is made and when it is changed', async () => {
		const asker = await makeAsker('user', []);
		const {user, target, client} = asker;
		const words = `User ${user} has insufficient permissions in clone source namespace ${source}`;
		expect(await answerTo(client.create(persistentVolumeClaims, claim(asker, from(source))))).toContain(words);
		const harmless = await client.create(persistentVolumeClaims, claim(asker, {note: 'mine'}));
		const annotate = (given: Readonly<Record<string, string>>) =>
			answerTo(client.mergePatch(persistentVolumeClaims, harmless.metadata, {metadata: {annotations: given}}));
		expect(await annotate(from(source))).toContain(words);
		expect(await annotate({note: 'still mine'})).toBe('admitted');
		expect(await annotate(from(target))).toBe('admitted');
		expect(await annotate(from(source))).toContain(words);
		await admin.delete(persistentVolumeClaims, harmless.metadata);
		client.close();
	});

	test('is allowed to a user with the right, and anybody may then change the rest of it', async () => {
		const asker = await makeAsker('user', [cloneSource]);
		const {client} = asker;
		const made = await client.create(persistentVolumeClaims, claim(asker, from(source)));
		const {user, client: other} = await makeAsker('user', []);
		await grant(admin, {namespace: asker.target, user, rules: inTarget});
		await until('a role there', async () => {
			const label = other.mergePatch(persistentVolumeClaims, made.metadata, {metadata: {labels: {a: 'b'}}});
			return (await answerTo(label)) === 'admitted' ? true : undefined;
		});
		await admin.delete(persistentVolumeClaims, made.metadata);
		client.close();
		other.close();
	});
});
