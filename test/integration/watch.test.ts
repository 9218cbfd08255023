import {describe, expect, onTestFinished, test, vi} from 'vitest';
import type {WatchEvent} from '../../src/kube/client.ts';
import {NoAnswerError} from '../../src/kube/errors.ts';
import {Reflector} from '../../src/kube/reflector.ts';
import {compareResourceVersions} from '../../src/kube/resource-version.ts';
import {configMaps, type DataObject} from '../../src/kube/resources.ts';
import {Store} from '../../src/kube/store.ts';
import {silentLogger} from '../../src/process/log.ts';
import {configMap, makeClient, makeNamespace} from './cluster.ts';

function words(event: WatchEvent<DataObject>): string {
	return event.type === 'BOOKMARK' ? 'BOOKMARK' : `${event.type} ${event.object.metadata.name}`;
}

describe('a watch', () => {
	test('continues from a version, and brings what happened since', async () => {
		const client = makeClient();
		const namespace = await makeNamespace(client);
		const {resourceVersion} = await client.list(configMaps, {namespace});
		const a = await client.create(configMaps, configMap(namespace, 'a'));
		await client.mergePatch(configMaps, a.metadata, {data: {x: '1'}});
		await client.delete(configMaps, a.metadata);
		const seen: string[] = [];
		const versions: string[] = [];
		for await (const event of client.watch(configMaps, {namespace, resourceVersion})) {
			seen.push(words(event));
			if (event.type !== 'BOOKMARK') versions.push(event.object.metadata.resourceVersion ?? '');
			if (event.type === 'DELETED') break;
		}
		expect(seen).toEqual(['ADDED a', 'MODIFIED a', 'DELETED a']);
		expect(versions).toEqual([...versions].sort(compareResourceVersions));
	});

	test('is ended by the server after timeoutSeconds', async () => {
		const client = makeClient();
		const namespace = await makeNamespace(client);
		const {resourceVersion} = await client.list(configMaps, {namespace});
		await client.create(configMaps, configMap(namespace, 'a'));
		const seen: string[] = [];
		for await (const event of client.watch(configMaps, {namespace, resourceVersion, timeoutSeconds: 2})) {
			seen.push(words(event));
		}
		// Bookmarks may come, about once a minute and 2 s before the end; the server promises neither.
		expect(seen.filter((word) => word !== 'BOOKMARK')).toEqual(['ADDED a']);
	});

	test('ends with the reason of its signal, or for idleness', async () => {
		const client = makeClient();
		const namespace = await makeNamespace(client);
		const {resourceVersion} = await client.list(configMaps, {namespace});
		const stop = new AbortController();
		const reason = new Error('enough');
		const watching = async (options: object) => {
			for await (const event of client.watch(configMaps, {namespace, resourceVersion, ...options})) words(event);
		};
		const stopped = watching({signal: stop.signal}).catch((error: unknown) => error);
		await client.get(
			configMaps,
			await client.create(configMaps, configMap(namespace, 'a')).then(({metadata}) => metadata),
		);
		stop.abort(reason);
		expect(await stopped).toBe(reason);
		await expect(watching({idleTimeoutMs: 300})).rejects.toBeInstanceOf(NoAnswerError);
	});
});

test('a reflector follows the real thing', async () => {
	const client = makeClient();
	const namespace = await makeNamespace(client);
	for (const name of ['a', 'b', 'c']) await client.create(configMaps, configMap(namespace, name));
	const store = new Store<DataObject>({freeze: true});
	const told: string[] = [];
	const stop = new AbortController();
	const reflector = new Reflector<DataObject>({
		api: client,
		resource: configMaps,
		namespace,
		pageSize: 2,
		store,
		log: silentLogger,
		onChange: ({type, object}) => told.push(`${type} ${object.metadata.name}`),
	});
	const ending = reflector.run(stop.signal);
	onTestFinished(async () => {
		stop.abort();
		await ending;
	});
	await reflector.synced;
	expect(store.size).toBe(3);
	expect(store.list()[0]?.metadata).not.toHaveProperty('managedFields');
	const listed = reflector.resourceVersion ?? '';
	await client.mergePatch(configMaps, {namespace, name: 'a'}, {data: {x: '1'}});
	await client.delete(configMaps, {namespace, name: 'b'});
	const d = await client.create(configMaps, configMap(namespace, 'd'));
	await vi.waitFor(() => expect(reflector.hasSeen(d.metadata.resourceVersion ?? '')).toBe(true));
	expect(told.slice(3)).toEqual(['update a', 'delete b', 'add d']);
	expect(reflector.hasSeen(listed)).toBe(true);
	expect(reflector.epoch).toBe(1);
});
