import {randomBytes} from 'node:crypto';
import {expect, onTestFinished, test, vi} from 'vitest';
import {Caches} from '../../src/kube/caches.ts';
import {configMaps, type Resource} from '../../src/kube/resources.ts';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {silentLogger} from '../../src/process/log.ts';
import {configMap, definitions, makeClient, makeNamespace} from './cluster.ts';

function makeKind(): Resource<KubeObject> {
	const group = `g${randomBytes(4).toString('hex')}.example.com`;
	return {group, version: 'v1', plural: 'things', kind: 'Thing', namespaced: true};
}

function makeDefinition({group, version, plural, kind}: Resource<KubeObject>) {
	const schema = {openAPIV3Schema: {type: 'object'}};
	return {
		apiVersion: 'apiextensions.k8s.io/v1',
		kind: 'CustomResourceDefinition',
		metadata: {name: `${plural}.${group}`},
		spec: {
			group,
			scope: 'Namespaced',
			names: {plural, kind, singular: kind.toLowerCase()},
			versions: [{name: version, served: true, storage: true, schema}],
		},
	};
}

test('a kind that is not installed counts as synced, appears when it is, and empties when it goes', async () => {
	const client = makeClient();
	const namespace = await makeNamespace(client);
	const things = makeKind();
	const stop = new AbortController();
	const caches = new Caches({
		api: client,
		kinds: [
			{resource: configMaps, namespace},
			{resource: things, optional: true},
		],
		log: silentLogger,
		backoff: {baseMs: 50, maxMs: 200},
		missingBackoff: {baseMs: 50, maxMs: 200},
	});
	const told: string[] = [];
	caches.onChange(things, ({type}) => told.push(type));
	const ending = caches.start(stop.signal);
	onTestFinished(async () => {
		stop.abort();
		await ending;
	});
	await client.create(configMaps, configMap(namespace, 'a'));
	await caches.synced(AbortSignal.timeout(10_000));
	expect(caches.store(things).list()).toEqual([]);
	expect(caches.progress(things).resourceVersion).toBeUndefined();

	const definition = await client.create(definitions, makeDefinition(things));
	const thing = {apiVersion: `${things.group}/v1`, kind: 'Thing', metadata: {namespace, name: 'a'}};
	await vi.waitFor(() => client.create(things, thing), {timeout: 20_000, interval: 100});
	await vi.waitFor(() => expect(caches.store(things).get(namespace, 'a')).toBeDefined(), {timeout: 20_000});

	await client.delete(definitions, definition.metadata);
	await vi.waitFor(() => expect(caches.store(things).size).toBe(0), {timeout: 20_000});
	expect(told).toEqual(['add', 'delete']);
});
