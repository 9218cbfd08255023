import {Agent, get as httpGet} from 'node:http';
import {Counter, Registry} from 'prom-client';
import {expect, onTestFinished, test} from 'vitest';
import {type Check, startHealthServer} from './health.ts';

async function start(checks: {alive?: Record<string, Check>; ready?: Record<string, Check>} = {}) {
	const registry = new Registry();
	new Counter({name: 'onesnap_things_total', help: 'Things.', registers: [registry]}).inc(3);
	const server = await startHealthServer({port: 0, host: '127.0.0.1', registry, ...checks});
	onTestFinished(() => server.close());
	const get = async (path: string, method = 'GET') => {
		const response = await fetch(`http://127.0.0.1:${server.port}${path}`, {method});
		return {status: response.status, text: await response.text(), type: response.headers.get('content-type')};
	};
	return {server, get};
}

test('serves metrics in the Prometheus format', async () => {
	const {get} = await start();
	const {status, text, type} = await get('/metrics');
	expect([status, type]).toEqual([200, expect.stringContaining('text/plain; version=0.0.4')]);
	expect(text).toContain('onesnap_things_total 3');
});

test('ready when every check is, otherwise says which is not and why', async () => {
	let problem: string | undefined = 'pods not listed yet';
	const {get} = await start({
		ready: {caches: () => problem, leader: () => Promise.resolve(undefined)},
		alive: {
			broken: () => {
				throw new Error('a mistake');
			},
		},
	});
	expect(await get('/readyz')).toMatchObject({
		status: 503,
		text: '[-] caches: pods not listed yet\n[+] leader: ok\nfailed\n',
	});
	problem = undefined;
	expect(await get('/readyz')).toMatchObject({status: 200, text: '[+] caches: ok\n[+] leader: ok\nok\n'});
	expect(await get('/healthz')).toMatchObject({status: 503, text: '[-] broken: a mistake\nfailed\n'});
});

test('nothing else is there', async () => {
	const {get} = await start();
	expect((await get('/')).status).toBe(404);
	expect((await get('/metrics', 'POST')).status).toBe(405);
	expect((await get('/readyz?verbose')).status).toBe(200);
});

test('closes although a scraper keeps its connection', async () => {
	const {server, get} = await start();
	await get('/healthz');
	await server.close();
	await expect(get('/healthz')).rejects.toThrow('fetch failed');
});

test('a port that is taken is an error', async () => {
	const {server} = await start();
	await expect(startHealthServer({port: server.port, host: '127.0.0.1', registry: new Registry()})).rejects.toThrow(
		'EADDRINUSE',
	);
});

test('closes although a scraper keeps its connection and goes on asking', async () => {
	const server = await startHealthServer({port: 0, host: '127.0.0.1', registry: new Registry()});
	const agent = new Agent({keepAlive: true, maxSockets: 1});
	onTestFinished(() => agent.destroy());
	const ask = () =>
		new Promise<boolean>((resolve) => {
			httpGet({port: server.port, host: '127.0.0.1', path: '/healthz', agent}, (response) => {
				response.resume().once('end', () => resolve(true));
			}).once('error', () => resolve(false));
		});
	const scraper = (async () => {
		while (await ask());
	})();
	await ask();
	await server.close();
	await scraper;
	expect(await ask()).toBe(false);
});
