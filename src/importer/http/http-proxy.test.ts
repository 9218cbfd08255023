import {afterAll, afterEach, beforeAll, describe, expect, test} from 'vitest';
import {makeCertificate} from '../../../test/support/certificate.ts';
import {noise} from '../../../test/support/disk-images.ts';
import {type ImageServer, startImageServer} from '../../../test/support/image-server.ts';
import {type ProxyServer, startProxyServer} from '../../../test/support/proxy-server.ts';
import {silentLogger} from '../../process/log.ts';
import type {HttpAccess} from './http-request.ts';
import {openHttpSource, type OpenedHttpSource} from './http-source.ts';

const contents = noise(300_000);
const path = '/disk';
const credentials = {user: 'me', password: 'pass:w@rd'};
const withPassword = (url: string) => url.replace('://', '://me:pass%3Aw%40rd@');
const opened: OpenedHttpSource[] = [];
let plain: ImageServer;
let secure: ImageServer;
let proxy: ProxyServer;
let secureProxy: ProxyServer;
let serverCertificate = '';
let proxyCertificate = '';

beforeAll(async () => {
	// The name of the source is one that only the proxy can resolve.
	const [ofServer, ofProxy] = await Promise.all([makeCertificate('DNS:images.test'), makeCertificate('IP:127.0.0.1')]);
	[serverCertificate, proxyCertificate] = [ofServer.cert, ofProxy.cert];
	plain = await startImageServer({files: {[path]: contents}});
	secure = await startImageServer({files: {[path]: contents}, tls: ofServer});
	proxy = await startProxyServer({credentials});
	secureProxy = await startProxyServer({credentials, tls: ofProxy});
});
afterAll(() => Promise.all([plain, secure, proxy, secureProxy].map((server) => server.close())));
afterEach(() => {
	for (const source of opened.splice(0)) source.close();
	proxy.answerConnect(undefined);
	plain.behave(path);
	secure.behave(path);
});

const named = ({port}: ImageServer) => `${port === secure.port ? 'https' : 'http'}://images.test:${port}${path}`;

async function read(url: string, access: Partial<HttpAccess>): Promise<Buffer> {
	const source = await openHttpSource(
		{
			url,
			access: {headers: {}, certificates: [], insecureSkipVerify: false, stallMs: 300, connections: 8, ...access},
			retry: {attempts: 2, baseMs: 2, longestMs: 20},
			log: silentLogger,
		},
		{headBytes: 4096, signal: AbortSignal.timeout(10_000)},
	);
	opened.push(source);
	const pieces = [source.head];
	const ranges = [
		{start: 4096, end: 150_000},
		{start: 150_000, end: contents.length},
	];
	const parts = ranges.map(async (range) => {
		const part: Buffer[] = [];
		await source.ranges?.fetch(range, (chunk) => part.push(Buffer.from(chunk)), AbortSignal.timeout(10_000));
		return Buffer.concat(part);
	});
	return Buffer.concat([...pieces, ...(await Promise.all(parts))]);
}

const failure = (reason: string, message: RegExp) =>
	expect.objectContaining({reason, message: expect.stringMatching(message) as string}) as Error;

describe.each(['http', 'https'] as const)('through an %s proxy', (scheme) => {
	const url = () => withPassword(scheme === 'http' ? proxy.url : secureProxy.url);
	const seen = () => (scheme === 'http' ? proxy : secureProxy).seen;
	const certificates = () => (scheme === 'http' ? [] : [proxyCertificate]);

	test('http is asked of the proxy, with the whole URL', async () => {
		const before = seen().length;
		const got = await read(`${named(plain)}?token=1`, {proxy: {http: url(), certificates: certificates()}});
		expect(got.equals(contents)).toBe(true);
		const lines = seen().slice(before);
		expect(lines.length).toBe(3);
		for (const {line, headers} of lines) {
			expect(line).toBe(`GET ${named(plain)}?token=1`);
			expect(headers.host).toBe(`images.test:${plain.port}`);
		}
	});

	test('https goes through tunnels, and the proxy sees no header of the source', async () => {
		const before = seen().length;
		const got = await read(named(secure), {
			certificates: [serverCertificate],
			headers: {'x-token': 'secret'},
			proxy: {https: url(), certificates: certificates()},
		});
		expect(got.equals(contents)).toBe(true);
		const tunnels = seen().slice(before);
		expect(tunnels.length).toBe(2);
		for (const {line, headers} of tunnels) {
			expect(line).toBe(`CONNECT images.test:${secure.port}`);
			expect(headers).not.toHaveProperty('x-token');
		}
		expect(secure.seen.at(-1)?.headers).toMatchObject({'x-token': 'secret'});
		expect(secure.seen.at(-1)?.headers).not.toHaveProperty('proxy-authorization');
	});

	test("the proxy's authority also vouches for what comes through it: proxies that look into TLS", async () => {
		const got = await read(named(secure), {
			proxy: {https: url(), certificates: [...certificates(), serverCertificate]},
		});
		expect(got.equals(contents)).toBe(true);
	});
});

describe('a failure names the proxy, never its password:', () => {
	const without = (url: string) => url.replace('://', '://me:wr0ng@');

	test('wrong credentials', async () => {
		const access = {proxy: {http: without(proxy.url), https: without(proxy.url), certificates: []}};
		for (const server of [plain, secure]) {
			const error = await read(named(server), access).catch((error: unknown) => error);
			expect(error).toEqual(failure('SourceForbidden', /the proxy (http.*|wants).* (407|credentials)/i));
			expect(String(error)).not.toMatch(/wr0ng|me:/);
		}
	});

	test('an authority that nobody knows', async () => {
		const reading = read(named(secure), {proxy: {https: withPassword(secureProxy.url), certificates: []}});
		await expect(reading).rejects.toThrow(failure('SourceUntrusted', /The proxy https:.*--import-proxy-ca-configmap/));
		const plainly = read(named(plain), {proxy: {http: withPassword(secureProxy.url), certificates: []}});
		await expect(plainly).rejects.toThrow(failure('SourceUntrusted', /through the proxy https:/));
	});

	test('nobody there', async () => {
		const gone = await startProxyServer();
		await gone.close();
		for (const server of [plain, secure]) {
			const reading = read(named(server), {proxy: {http: gone.url, https: gone.url, certificates: []}});
			await expect(reading).rejects.toThrow(failure('SourceUnreachable', /proxy http.*ECONNREFUSED/));
		}
	});

	test.each([
		['says that it cannot', 'HTTP/1.1 503 Busy\r\nretry-after: 0\r\n\r\n', 'SourceUnavailable', /answered 503/],
		['says nothing', '', 'SourceUnreachable', /(opened no tunnel|nothing received)/],
		['closes', 'H', 'SourceUnreachable', /proxy/],
	])('a proxy that %s', async (_, raw, reason, message) => {
		proxy.answerConnect(raw);
		const reading = read(named(secure), {proxy: {https: withPassword(proxy.url), certificates: []}});
		await expect(reading).rejects.toThrow(failure(reason, message));
	});
});

test("what a proxy says in place of a tunnel is never taken for the server's answer", async () => {
	const body = Buffer.alloc(4096, 'x');
	const head = `content-range: bytes 0-4095/4096\r\ncontent-length: 4096\r\n\r\n${body.toString()}`;
	for (const status of ['206 Partial Content', '302 Found\r\nlocation: http://elsewhere.test/', '200 OK']) {
		proxy.answerConnect(`HTTP/1.1 ${status}\r\n${head}`);
		const reading = read(named(secure), {proxy: {https: withPassword(proxy.url), certificates: []}});
		await expect(reading).rejects.toThrow(expect.objectContaining({name: 'WorkerError'}));
		expect(proxy.seen.at(-1)?.line, 'no redirect was followed').toMatch(/^CONNECT images.test/);
	}
});

test('hosts in noProxy are asked directly, also where a redirect leads', async () => {
	const before = proxy.seen.length;
	plain.behave(path, {location: `${plain.url}/other`, times: 1});
	plain.serve('/other', contents);
	const got = await read(named(plain), {proxy: {http: withPassword(proxy.url), noProxy: 'x.test', certificates: []}});
	expect(got.equals(contents)).toBe(true);
	expect(proxy.seen.length - before, 'only the name that redirects').toBe(1);
	const direct = read(named(plain), {proxy: {http: withPassword(proxy.url), noProxy: '.test', certificates: []}});
	await expect(direct).rejects.toThrow(failure('SourceUnreachable', /ENOTFOUND|EAI_AGAIN/));
});
