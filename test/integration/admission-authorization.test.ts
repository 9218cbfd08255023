/** Who may clone what from another namespace, asked by the API server of its own authorizer when somebody asks for the clone. */
import {randomBytes} from 'node:crypto';
import {beforeAll, describe, expect, inject, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {PersistentVolumeClaim} from '../../src/api/kubernetes.ts';
import {annotations} from '../../src/api/names.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import {dataVolumes, persistentVolumeClaims} from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {makeNamespace} from './cluster.ts';
import {answerTo, grant, installManifests, makeClientAs, type Rule} from './onesnap.ts';

const kubeconfig = inject('kubeconfig');
const admin = new KubeClient({connection: connect(kubeconfig), fieldManager: 'test'});
let source: string;
let target: string;

const cloneSource: Rule = {apiGroups: ['cdi.kubevirt.io'], resources: ['datavolumes/source'], verbs: ['create']};
const core = (...resources: string[]): Rule => ({apiGroups: [''], resources, verbs: ['create']});
const inTarget: readonly Rule[] = [
	{apiGroups: ['cdi.kubevirt.io'], resources: ['datavolumes'], verbs: ['create']},
	{apiGroups: [''], resources: ['persistentvolumeclaims'], verbs: ['create', 'get', 'patch']},
];

/** A user who may do everything in the target's namespace, and this in the source's. */
async function makeUser(rules: readonly Rule[]): Promise<{user: string; client: KubeClient}> {
	const user = `user-${randomBytes(4).toString('hex')}`;
	await grant(admin, {namespace: target, user, rules: inTarget});
	if (rules.length > 0) await grant(admin, {namespace: source, user, rules});
	const client = makeClientAs(user, kubeconfig);
	// The authorizer learns of new roles by a watch of its own.
	await until('the roles of the user', async () => {
		await client.create(dataVolumes, clone({kind: 'pvc', from: target}), {dryRun: true});
		return true;
	});
	return {user, client};
}

function clone({kind, from, name = 'golden'}: {kind: 'pvc' | 'snapshot'; from: string; name?: string}): DataVolume {
	return {
		apiVersion: 'cdi.kubevirt.io/v1beta1',
		kind: 'DataVolume',
		metadata: {namespace: target, name: `clone-${randomBytes(4).toString('hex')}`},
		spec: {source: {[kind]: {namespace: from, name}}, storage: {}},
	};
}

function claim(given: Readonly<Record<string, string>>): PersistentVolumeClaim {
	return {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata: {namespace: target, name: `claim-${randomBytes(4).toString('hex')}`, annotations: given},
		spec: {accessModes: ['ReadWriteOnce'], resources: {requests: {storage: '1Gi'}}},
	};
}

beforeAll(async () => {
	await installManifests(kubeconfig);
	source = await makeNamespace(admin);
	target = await makeNamespace(admin);
	const {client} = await makeUser([]);
	// Policies are in force some moments after they were written.
	await until('both policies', async () => {
		const answers = [
			await answerTo(client.create(dataVolumes, clone({kind: 'pvc', from: source}), {dryRun: true})),
			await answerTo(
				client.create(persistentVolumeClaims, claim({[annotations.dataSourceNamespace]: source}), {dryRun: true}),
			),
		];
		return answers.every((answer) => answer.includes('403')) ? true : undefined;
	});
	client.close();
	return () => admin.close();
});

describe.concurrent('a DataVolume that clones', () => {
	test.each<{rights: string; rules: readonly Rule[]; pvc: boolean; snapshot: boolean}>([
		{rights: 'no right', rules: [], pvc: false, snapshot: false},
		{rights: 'datavolumes/source', rules: [cloneSource], pvc: true, snapshot: true},
		{rights: 'pods', rules: [core('pods')], pvc: true, snapshot: false},
		{rights: 'pods and pvcs', rules: [core('pods', 'pvcs')], pvc: true, snapshot: true},
		{rights: 'pvcs alone', rules: [core('pvcs')], pvc: false, snapshot: false},
		{rights: 'persistentvolumeclaims', rules: [core('persistentvolumeclaims')], pvc: false, snapshot: false},
	])('by a user with $rights in the source namespace: claim $pvc, snapshot $snapshot', async ({rules, ...allowed}) => {
		const {user, client} = await makeUser(rules);
		for (const kind of ['pvc', 'snapshot'] as const) {
			const here = await answerTo(client.create(dataVolumes, clone({kind, from: target}), {dryRun: true}));
			expect(here, `${kind} of the same namespace`).toBe('admitted');
			const there = await answerTo(client.create(dataVolumes, clone({kind, from: source}), {dryRun: true}));
			if (allowed[kind]) expect(there).toBe('admitted');
			else {
				expect(there).toContain('403 Forbidden');
				expect(there).toContain(
					`User ${user} has insufficient permissions in clone source namespace ${source}: needs "create" on datavolumes/source (group cdi.kubevirt.io) there`,
				);
				expect(there).toContain('cdi.kubevirt.io:clone-sourcer');
			}
		}
		client.close();
	});

	test('by a user with a right on one name: that one and no other', async () => {
		const {client} = await makeUser([{...cloneSource, resourceNames: ['golden']}]);
		const create = (name: string) =>
			answerTo(client.create(dataVolumes, clone({kind: 'pvc', from: source, name}), {dryRun: true}));
		expect(await create('golden')).toBe('admitted');
		expect(await create('secret')).toContain('403 Forbidden');
		client.close();
	});
});

describe.concurrent('a claim that names a clone source in another namespace by annotation', () => {
	const from = (namespace: string) => ({[annotations.dataSourceNamespace]: namespace});

	test('is refused to a user without the right there, when it is made and when it is changed', async () => {
		const {user, client} = await makeUser([]);
		const words = `User ${user} has insufficient permissions in clone source namespace ${source}`;
		expect(await answerTo(client.create(persistentVolumeClaims, claim(from(source))))).toContain(words);
		const harmless = await client.create(persistentVolumeClaims, claim({note: 'mine'}));
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
		const {client} = await makeUser([cloneSource]);
		const made = await client.create(persistentVolumeClaims, claim(from(source)));
		const {client: other} = await makeUser([]);
		const labelled = other.mergePatch(persistentVolumeClaims, made.metadata, {metadata: {labels: {a: 'b'}}});
		expect(await answerTo(labelled)).toBe('admitted');
		await admin.delete(persistentVolumeClaims, made.metadata);
		client.close();
		other.close();
	});
});
