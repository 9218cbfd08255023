import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {Socket} from 'node:net';
import {describe, expect, onTestFinished, test} from 'vitest';
import {KubeClient} from './client.ts';
import {ApiError, NoAnswerError} from './errors.ts';
import {apiPath, configMaps, dataVolumes, persistentVolumes, pods} from './resources.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A server that answers each request in turn, the last answer again and again; and a client of it. */
async function start(...answers: Answer[]) {
	const requests: {method: string; url: string; body: string; headers: IncomingMessage['headers']}[] = [];
	const sockets = new Set<Socket>();
	const server = createServer((request, response) => {
		const chunks: Buffer[] = [];
		request.on('data', (chunk: Buffer) => chunks.push(chunk));
		request.on('end', () => {
			const {method = '', url = '', headers} = request;
			requests.push({method, url, headers, body: Buffer.concat(chunks).toString()});
			const answer = answers.length > 1 ? answers.shift() : answers[0];
			answer?.(request, response);
		});
	});
	server.on('connection', (socket) => {
		sockets.add(socket);
	});
	await new Promise<void>((resolve) => {
		server.listen(0, '127.0.0.1', resolve);
	});
	const address = server.address();
	const port = typeof address === 'object' ? address?.port : 0;
	let rejections = 0;
	const client = new KubeClient({
		connection: {
			server: new URL(`http://127.0.0.1:${port}/prefix/`),
			namespace: undefined,
			credentials: () => Promise.resolve({headers: {authorization: 'Bearer token'}, tls: {}}),
			rejected: () => rejections++,
		},
		fieldManager: 'tester',
		timeoutMs: 2000,
		maxConnections: 4,
	});
	onTestFinished(async () => {
		client.close();
		server.closeAllConnections();
		await new Promise((resolve) => {
			server.close(resolve);
		});
	});
	return {client, requests, sockets, rejections: () => rejections};
}

const object = {apiVersion: 'v1', kind: 'ConfigMap', metadata: {namespace: 'ns', name: 'a'}};
const key = object.metadata;
const ok: Answer = (_, response) => response.end(JSON.stringify(object));
const silence: Answer = () => {};

async function caught(promise: Promise<unknown>): Promise<unknown> {
	return promise.then(
		() => undefined,
		(error: unknown) => error,
	);
}

describe('paths', () => {
	test.each([
		[apiPath(pods), '/api/v1/pods'],
		[apiPath(pods, {namespace: 'ns'}), '/api/v1/namespaces/ns/pods'],
		[apiPath(pods, {namespace: 'ns', name: 'a', subresource: 'status'}), '/api/v1/namespaces/ns/pods/a/status'],
		[apiPath(persistentVolumes, {namespace: 'ignored', name: 'a'}), '/api/v1/persistentvolumes/a'],
		[apiPath(dataVolumes, {namespace: 'ns', name: 'a'}), '/apis/cdi.kubevirt.io/v1beta1/namespaces/ns/datavolumes/a'],
		[apiPath(pods, {namespace: 'ns', name: '../a'}), '/api/v1/namespaces/ns/pods/..%2Fa'],
	])('%s', (path, expected) => {
		expect(path).toBe(expected);
	});
});

describe('what is sent', () => {
	test('a merge patch with preconditions', async () => {
		const {client, requests} = await start(ok);
		await client.mergePatch(configMaps, key, {metadata: {labels: {a: 'b'}}}, {resourceVersion: '7', uid: 'u'});
		expect(requests[0]).toMatchObject({
			method: 'PATCH',
			url: '/prefix/api/v1/namespaces/ns/configmaps/a?fieldManager=tester',
			headers: {'content-type': 'application/merge-patch+json', authorization: 'Bearer token'},
			body: '{"metadata":{"labels":{"a":"b"},"resourceVersion":"7","uid":"u"}}',
		});
	});

	test('an apply with the kind filled in', async () => {
		const {client, requests} = await start(ok);
		await client.applyStatus(configMaps, {metadata: key, data: {x: '1'}}, {fieldManager: 'f', force: true});
		expect(requests[0]).toMatchObject({
			url: '/prefix/api/v1/namespaces/ns/configmaps/a/status?fieldManager=f&force=true',
			headers: {'content-type': 'application/apply-patch+yaml'},
		});
		expect(JSON.parse(requests[0]?.body ?? '')).toEqual({...object, data: {x: '1'}});
	});

	test('a deletion with preconditions', async () => {
		const {client, requests} = await start(ok);
		await client.delete(configMaps, key, {uid: 'u', resourceVersion: '7', propagationPolicy: 'Background'});
		expect(JSON.parse(requests[0]?.body ?? '')).toMatchObject({
			kind: 'DeleteOptions',
			preconditions: {uid: 'u', resourceVersion: '7'},
			propagationPolicy: 'Background',
		});
	});
});

describe('what comes back', () => {
	test('connections are used again, and not more than allowed', async () => {
		const {client, sockets} = await start(ok);
		for (let i = 0; i < 20; i++) await client.get(configMaps, key);
		expect(sockets.size).toBe(1);
		await Promise.all(Array.from({length: 50}, () => client.get(configMaps, key)));
		expect(sockets.size).toBeLessThanOrEqual(4);
	});

	test('a refusal without a Status keeps the words', async () => {
		const {client} = await start((_, response) => {
			response.writeHead(502, {'retry-after': '3'}).end('<html>bad gateway</html>');
		});
		const error = await caught(client.get(configMaps, key));
		expect(error).toBeInstanceOf(ApiError);
		expect(error).toMatchObject({
			code: 502,
			reason: 'Unknown',
			statusMessage: '<html>bad gateway</html>',
			retryAfterMs: 3000,
		});
	});

	test('a rejected token is forgotten', async () => {
		const {client, rejections} = await start((_, response) => {
			response.writeHead(401).end();
		});
		expect(await caught(client.get(configMaps, key))).toMatchObject({code: 401});
		expect(rejections()).toBe(1);
	});

	test.each<[string, Answer, string]>([
		['silence', silence, 'Timeout'],
		['headers and then silence', (_, response) => response.writeHead(200).write('{'), 'Timeout'],
		['a reset', (request) => request.socket.destroy(), 'Connection'],
		[
			'an answer cut short',
			(request, response) => {
				response.writeHead(200, {'content-length': 100}).write('{');
				setImmediate(() => request.socket.destroy());
			},
			'Connection',
		],
		['a login page', (_, response) => response.end('<html>'), 'BrokenAnswer'],
	])('%s means that nobody knows what happened', async (_, answer, reason) => {
		const {client, requests} = await start(answer);
		const error = await caught(client.create(configMaps, object, {timeoutMs: 100}));
		expect(error).toBeInstanceOf(NoAnswerError);
		expect(error).toMatchObject({reason, method: 'POST', path: '/api/v1/namespaces/ns/configmaps'});
		expect(requests).toHaveLength(1);
	});

	test('an aborted request rejects with the reason of the signal', async () => {
		const {client} = await start(silence);
		const stop = new AbortController();
		const reason = new Error('shutting down');
		const request = caught(client.get(configMaps, key, {signal: stop.signal}));
		stop.abort(reason);
		expect(await request).toBe(reason);
		expect(await caught(client.get(configMaps, key, {signal: stop.signal}))).toBe(reason);
	});

	test('a connection that was closed while idle does not fail a read, and does not repeat a write', async () => {
		const drop: Answer = (request) => request.socket.destroy();
		const {client, requests} = await start(ok, drop, ok, drop, ok);
		await client.get(configMaps, key);
		await client.get(configMaps, key);
		expect(requests).toHaveLength(3);
		expect(await caught(client.create(configMaps, object))).toMatchObject({reason: 'Connection'});
		expect(requests).toHaveLength(4);
	});

	test('leaving a watch closes its connection', async () => {
		const closed = Promise.withResolvers<void>();
		const {client} = await start((_, response) => {
			response.on('close', closed.resolve);
			response.write(`${JSON.stringify({type: 'ADDED', object})}\n`);
		});
		for await (const event of client.watch(configMaps)) {
			expect(event).toEqual({type: 'ADDED', object});
			break;
		}
		await closed.promise;
	});

	test('watch events arrive whole however the bytes are cut', async () => {
		const events = Array.from({length: 5}, (_, i) => ({
			type: 'ADDED',
			object: {...object, metadata: {...key, labels: {umlaut: `ä€😀${i}`}}},
		}));
		const bytes = Buffer.from(events.map((event) => JSON.stringify(event)).join('\n'));
		const {client} = await start((_, response) => {
			const sendFrom = (offset: number) => {
				if (offset >= bytes.length) response.end();
				else response.write(bytes.subarray(offset, offset + 7), () => sendFrom(offset + 7));
			};
			sendFrom(0);
		});
		const seen: unknown[] = [];
		for await (const event of client.watch(configMaps)) seen.push(event);
		expect(seen).toEqual(events);
	});
});
