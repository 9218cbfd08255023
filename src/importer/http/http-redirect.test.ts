/** Redirects between hosts that have names and the well-known ports: a proxy makes them so. */
import {afterAll, beforeAll, expect, test} from 'vitest';
import {makeCertificate} from '../../../test/support/certificate.ts';
import {noise} from '../../../test/support/disk-images.ts';
import {type ImageServer, startImageServer} from '../../../test/support/image-server.ts';
import {type ProxyServer, startProxyServer} from '../../../test/support/proxy-server.ts';
import {makePlainLog} from '../../process/plain-log.ts';
import {openHttpSource} from './http-source.ts';

const contents = noise(10_000);
let plain: ImageServer;
let secure: ImageServer;
let proxy: ProxyServer;
let certificate = '';

beforeAll(async () => {
	const tls = await makeCertificate('DNS:images.test', 'DNS:mirror.test');
	certificate = tls.cert;
	plain = await startImageServer({files: {'/disk': contents, '/there': contents}});
	secure = await startImageServer({files: {'/disk': contents, '/there': contents}, tls});
	proxy = await startProxyServer({testPorts: {80: plain.port, 443: secure.port, 8080: plain.port}});
});
afterAll(() => Promise.all([plain, secure, proxy].map((server) => server.close())));

test.each([
	['http://images.test', 'http://images.test', true],
	['http://images.test', 'https://images.test', true],
	['https://images.test', 'https://images.test', true],
	['https://images.test', 'http://images.test', false],
	['https://images.test', 'https://mirror.test', false],
	['http://images.test', 'http://images.test:8080', false],
	['http://images.test', 'https://me2:other@mirror.test', false],
])('from %s to %s: credentials and headers go along: %s', async (from, to, along) => {
	const server = from.startsWith('https') ? secure : plain;
	const reached = to.startsWith('https') ? secure : plain;
	server.behave('/disk', {location: `${to}/there`});
	const lines: string[] = [];
	const log = makePlainLog({level: 'debug', write: (line) => lines.push(line)});
	const credentials = {user: 'me', password: 's3cret'};
	const access = {
		headers: {'x-token': 't0ken', cookie: 'c00kie'},
		credentials,
		certificates: [certificate],
		insecureSkipVerify: false,
		stallMs: 1000,
		connections: 2,
		proxy: {http: proxy.url, https: proxy.url, certificates: []},
	};
	const options = {headBytes: 20_000, signal: AbortSignal.timeout(10_000)};
	const source = await openHttpSource({url: `${from}/disk?signature=s1gned`, access, log}, options);
	source.close();
	expect(source.head.equals(contents)).toBe(true);
	const {path = '', headers = {}} = reached.seen.at(-1) ?? {};
	expect(path).toBe('/there');
	const token = Buffer.from('me:s3cret').toString('base64');
	expect([headers.authorization === `Basic ${token}`, headers['x-token'], headers.cookie]).toEqual(
		along ? [true, 't0ken', 'c00kie'] : [false, undefined, undefined],
	);
	const warned = lines.some((line) => line.includes('from https to http'));
	expect(warned).toBe(from.startsWith('https') && !to.startsWith('https'));
	expect(lines.join('')).not.toMatch(/s3cret|s1gned|t0ken|c00kie|other/);
});
