import {expect, onTestFinished, test} from 'vitest';
import {silentLogger} from '../process/log.ts';
import {Caches} from './caches.ts';
import {KubeClient} from './client.ts';
import {LoopbackApiServer} from './loopback-api-server.ts';
import {configMaps} from './resources.ts';

async function start(optional = false) {
	const server = await LoopbackApiServer.start();
	const client = new KubeClient({connection: server.connection});
	onTestFinished(async () => {
		client.close();
		await server[Symbol.asyncDispose]();
	});
	const caches = new Caches({api: client, kinds: [{resource: configMaps, optional}], log: silentLogger});
	return {server, caches};
}

const {signal} = new AbortController();

test('one look lists every kind and watches none', async () => {
	const {server, caches} = await start();
	server.put('a');
	expect(await caches.listOnce(signal)).toEqual([]);
	expect(caches.store(configMaps).get('ns', 'a')).toBeDefined();
	expect(caches.progress(configMaps).resourceVersion).toBe(server.version);
	expect(server.watchRequests).toBe(0);
});

test('one look says what could not be listed, and why', async () => {
	const {server, caches} = await start();
	server.fail('list', {do: 'answer', code: 403});
	expect(await caches.listOnce(signal)).toMatchObject([{resource: configMaps, error: {code: 403}}]);
	expect(caches.store(configMaps).list()).toEqual([]);
});

test('one look takes a missing optional kind for an empty one', async () => {
	const {server, caches} = await start(true);
	server.installed = false;
	expect(await caches.listOnce(signal)).toEqual([]);
	expect(caches.progress(configMaps)).toMatchObject({hasSynced: true, resourceVersion: undefined});
});

test('one look ends when it is aborted', async () => {
	const {caches} = await start();
	await expect(caches.listOnce(AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
});
