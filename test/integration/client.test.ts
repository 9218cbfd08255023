import {describe, expect, test} from 'vitest';
import {
	ApiError,
	isAlreadyExists,
	isConflict,
	isExceededQuota,
	isForbidden,
	isInvalid,
	isNotFound,
} from '../../src/kube/errors.ts';
import {configMaps, persistentVolumeClaims} from '../../src/kube/resources.ts';
import {configMap, makeClient, makeNamespace} from './cluster.ts';

async function caught(promise: Promise<unknown>): Promise<unknown> {
	try {
		await promise;
	} catch (error) {
		return error;
	}
	throw new Error('was not refused');
}

describe('objects', () => {
	test('are created, read, replaced, patched and deleted', async () => {
		const client = makeClient();
		const namespace = await makeNamespace(client);
		const created = await client.create(configMaps, configMap(namespace, 'a', {x: '1', y: '1'}));
		expect(created).toMatchObject({apiVersion: 'v1', kind: 'ConfigMap', data: {x: '1', y: '1'}});
		expect(await client.get(configMaps, created.metadata)).toEqual(created);
		await client.update(configMaps, {...created, data: {x: '2', y: '1'}});
		const patched = await client.mergePatch(configMaps, {namespace, name: 'a'}, {data: {y: null, z: '3'}});
		expect(patched.data).toEqual({x: '2', z: '3'});
		const again = await client.jsonPatch(configMaps, patched.metadata, [
			{op: 'test', path: '/data/x', value: '2'},
			{op: 'remove', path: '/data/x'},
			{op: 'add', path: '/metadata/labels', value: {a: 'b'}},
		]);
		expect(again).toMatchObject({data: {z: '3'}, metadata: {labels: {a: 'b'}}});
		expect(await client.delete(configMaps, again.metadata)).toBe(true);
		expect(await client.find(configMaps, again.metadata)).toBeUndefined();
		expect(await client.delete(configMaps, again.metadata)).toBe(false);
		expect(isNotFound(await caught(client.get(configMaps, again.metadata)))).toBe(true);
	});

	test('a dry run stores nothing', async () => {
		const client = makeClient();
		const namespace = await makeNamespace(client);
		await client.create(configMaps, configMap(namespace, 'a'), {dryRun: true});
		expect(await client.find(configMaps, {namespace, name: 'a'})).toBeUndefined();
	});

	test('are listed in pages, with apiVersion and kind, by label and by field', async () => {
		const client = makeClient();
		const namespace = await makeNamespace(client);
		for (const name of ['a', 'b', 'c', 'd', 'e']) {
			const object = configMap(namespace, name);
			await client.create(configMaps, {
				...object,
				metadata: {...object.metadata, labels: {vowel: String('ae'.includes(name))}},
			});
		}
		const sizes: number[] = [];
		const versions = new Set<string>();
		let next: string | undefined;
		do {
			const page = await client.list(configMaps, {namespace, limit: 2, continue: next});
			sizes.push(page.items.length);
			versions.add(page.resourceVersion);
			for (const item of page.items) expect(item).toMatchObject({apiVersion: 'v1', kind: 'ConfigMap'});
			next = page.continue;
		} while (next);
		expect(sizes).toEqual([2, 2, 1]);
		expect(versions.size).toBe(1);
		const vowels = await client.list(configMaps, {namespace, labelSelector: 'vowel=true'});
		expect(vowels.items.map(({metadata}) => metadata.name)).toEqual(['a', 'e']);
		const one = await client.list(configMaps, {namespace, fieldSelector: 'metadata.name=c'});
		expect(one.items.map(({metadata}) => metadata.name)).toEqual(['c']);
	});
});

describe('refusals', () => {
	test('a second object of the same name is AlreadyExists, not a conflict', async () => {
		const client = makeClient();
		const namespace = await makeNamespace(client);
		await client.create(configMaps, configMap(namespace, 'a'));
		const error = await caught(client.create(configMaps, configMap(namespace, 'a')));
		expect([isAlreadyExists(error), isConflict(error)]).toEqual([true, false]);
	});

	test('writes with an old resourceVersion are conflicts', async () => {
		const client = makeClient();
		const namespace = await makeNamespace(client);
		const old = await client.create(configMaps, configMap(namespace, 'a'));
		await client.mergePatch(configMaps, old.metadata, {data: {x: '1'}});
		const {resourceVersion} = old.metadata;
		const errors = [
			await caught(client.update(configMaps, {...old, data: {x: '2'}})),
			await caught(client.mergePatch(configMaps, old.metadata, {data: {x: '2'}}, {resourceVersion})),
			await caught(client.delete(configMaps, old.metadata, {resourceVersion})),
		];
		expect(errors.map(isConflict)).toEqual([true, true, true]);
		expect((await client.get(configMaps, old.metadata)).data).toEqual({x: '1'});
	});

	test('a namesake with another UID is neither deleted nor patched', async () => {
		const client = makeClient();
		const namespace = await makeNamespace(client);
		const first = await client.create(configMaps, configMap(namespace, 'a'));
		await client.delete(configMaps, first.metadata, {uid: first.metadata.uid});
		const second = await client.create(configMaps, configMap(namespace, 'a'));
		const {uid = ''} = first.metadata;
		expect(isConflict(await caught(client.delete(configMaps, first.metadata, {uid})))).toBe(true);
		expect(isConflict(await caught(client.mergePatch(configMaps, first.metadata, {data: {x: '1'}}, {uid})))).toBe(true);
		expect(await client.get(configMaps, second.metadata)).toEqual(second);
	});

	test('an object that breaks the rules is Invalid, with the fields', async () => {
		const client = makeClient();
		const namespace = await makeNamespace(client);
		const error = await caught(
			client.create(persistentVolumeClaims, {
				apiVersion: 'v1',
				kind: 'PersistentVolumeClaim',
				metadata: {namespace, name: 'a'},
				spec: {resources: {requests: {storage: '1Gi'}}},
			}),
		);
		expect(isInvalid(error)).toBe(true);
		expect(error instanceof ApiError && error.details?.causes?.[0]?.field).toBe('spec.accessModes');
	});

	test('an exceeded quota is told from other refusals', async () => {
		const client = makeClient();
		const namespace = await makeNamespace(client);
		await client.post(`/api/v1/namespaces/${namespace}/resourcequotas`, {
			apiVersion: 'v1',
			kind: 'ResourceQuota',
			metadata: {name: 'none'},
			spec: {hard: {'requests.storage': '1Gi'}},
		});
		// There is no quota controller here, and admission trusts what status says.
		await client.mergePatchStatus(
			{group: '', version: 'v1', plural: 'resourcequotas', kind: 'ResourceQuota', namespaced: true},
			{namespace, name: 'none'},
			{status: {hard: {'requests.storage': '1Gi'}, used: {'requests.storage': '0'}}} as object,
		);
		const error = await caught(
			client.create(persistentVolumeClaims, {
				apiVersion: 'v1',
				kind: 'PersistentVolumeClaim',
				metadata: {namespace, name: 'a'},
				spec: {accessModes: ['ReadWriteOnce'], resources: {requests: {storage: '2Gi'}}},
			}),
		);
		expect([isExceededQuota(error), isForbidden(error)]).toEqual([true, true]);
	});

	test('a review is answered', async () => {
		const client = makeClient();
		const answer = await client.post<{status: {allowed: boolean}}>(
			'/apis/authorization.k8s.io/v1/subjectaccessreviews',
			{
				apiVersion: 'authorization.k8s.io/v1',
				kind: 'SubjectAccessReview',
				spec: {user: 'nobody', resourceAttributes: {verb: 'get', resource: 'pods', namespace: 'default'}},
			},
		);
		expect(answer.status.allowed).toBe(false);
	});
});

describe('server-side apply', () => {
	test('creates, owns what it sends, removes what it stops sending, and leaves the rest', async () => {
		const client = makeClient();
		const namespace = await makeNamespace(client);
		const key = {namespace, name: 'a'};
		const first = await client.apply(configMaps, {metadata: key, data: {x: '1', y: '1'}}, {fieldManager: 'one'});
		await client.mergePatch(configMaps, key, {data: {z: '1'}});
		const second = await client.apply(configMaps, {metadata: key, data: {x: '2'}}, {fieldManager: 'one'});
		expect(second.data).toEqual({x: '2', z: '1'});
		const same = await client.apply(configMaps, {metadata: key, data: {x: '2'}}, {fieldManager: 'one'});
		expect(same.metadata.resourceVersion).toBe(second.metadata.resourceVersion);
		expect(same.metadata.uid).toBe(first.metadata.uid);
	});

	test("another manager's field is a conflict unless forced", async () => {
		const client = makeClient();
		const namespace = await makeNamespace(client);
		const key = {namespace, name: 'a'};
		await client.apply(configMaps, {metadata: key, data: {x: '1'}}, {fieldManager: 'one'});
		const take = {metadata: key, data: {x: '2'}};
		expect(isConflict(await caught(client.apply(configMaps, take, {fieldManager: 'two'})))).toBe(true);
		expect((await client.apply(configMaps, take, {fieldManager: 'two', force: true})).data).toEqual({x: '2'});
	});

	test('with the UID of an object that is gone it makes no new one', async () => {
		const client = makeClient();
		const namespace = await makeNamespace(client);
		const old = await client.create(configMaps, configMap(namespace, 'a'));
		await client.delete(configMaps, old.metadata);
		const {uid} = old.metadata;
		const object = {metadata: {namespace, name: 'a', ...(uid && {uid})}, data: {x: '1'}};
		expect(isConflict(await caught(client.apply(configMaps, object, {fieldManager: 'one'})))).toBe(true);
		expect(await client.find(configMaps, old.metadata)).toBeUndefined();
	});

	test('status is written by itself, by apply and by patch', async () => {
		const client = makeClient();
		const namespace = await makeNamespace(client);
		const claim = await client.create(persistentVolumeClaims, {
			apiVersion: 'v1',
			kind: 'PersistentVolumeClaim',
			metadata: {namespace, name: 'a'},
			spec: {accessModes: ['ReadWriteOnce'], resources: {requests: {storage: '1Gi'}}},
		});
		const {name} = claim.metadata;
		const applied = await client.applyStatus(
			persistentVolumeClaims,
			{metadata: {namespace, name}, status: {phase: 'Lost'}},
			{fieldManager: 'status', force: true},
		);
		expect(applied.status?.phase).toBe('Lost');
		const patched = await client.mergePatchStatus(
			persistentVolumeClaims,
			{namespace, name},
			{status: {phase: 'Bound'}},
		);
		expect(patched.status?.phase).toBe('Bound');
		const ignored = await client.mergePatch(persistentVolumeClaims, {namespace, name}, {status: {phase: 'Lost'}});
		expect(ignored.status?.phase).toBe('Bound');
	});
});

test('a finalizer holds an object until it is taken off', async () => {
	const client = makeClient();
	const namespace = await makeNamespace(client);
	const object = configMap(namespace, 'a');
	const finalizers = ['onesnap.io/test'];
	const created = await client.create(configMaps, {...object, metadata: {...object.metadata, finalizers}});
	expect(await client.delete(configMaps, created.metadata, {uid: created.metadata.uid})).toBe(true);
	const dying = await client.get(configMaps, created.metadata);
	expect(dying.metadata.deletionTimestamp).toBeDefined();
	const {resourceVersion} = dying.metadata;
	await client.mergePatch(configMaps, created.metadata, {metadata: {finalizers: []}}, {resourceVersion});
	expect(await client.find(configMaps, created.metadata)).toBeUndefined();
});
