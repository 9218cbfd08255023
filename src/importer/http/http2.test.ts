/** Servers that speak HTTP/2 and nothing else. */
import {afterAll, afterEach, beforeAll, describe, expect, test} from 'vitest';
import {makeCertificate} from '../../../test/support/certificate.ts';
import {noise} from '../../../test/support/disk-images.ts';
import {type Behaviour, type ImageServer, startImageServer} from '../../../test/support/image-server.ts';
import {type ProxyServer, startProxyServer} from '../../../test/support/proxy-server.ts';
import {silentLogger} from '../../process/log.ts';
import type {HttpAccess} from './http-request.ts';
import {openHttpSource, type OpenedHttpSource} from './http-source.ts';

const contents = noise(3_000_000);
const path = '/disk';
const headBytes = 4096;
const opened: OpenedHttpSource[] = [];
let server: ImageServer;
let both: ImageServer;
let proxy: ProxyServer;
let certificate = '';

beforeAll(async () => {
	const tls = await makeCertificate('IP:127.0.0.1', 'DNS:images.test');
	certificate = tls.cert;
	server = await startImageServer({files: {[path]: contents}, tls, http2: true});
	both = await startImageServer({files: {[path]: contents}, tls, http2: 'also'});
	proxy = await startProxyServer();
});
afterAll(() => Promise.all([server, both, proxy].map((each) => each.close())));
afterEach(() => {
	for (const source of opened.splice(0)) source.close();
	server.behave(path);
});

async function open(url = `${server.url}${path}`, access: Partial<HttpAccess> = {}): Promise<OpenedHttpSource> {
	const source = await openHttpSource(
		{
			url,
			access: {
				...{headers: {}, certificates: [certificate], insecureSkipVerify: false, stallMs: 300, connections: 8},
				...access,
			},
			retry: {attempts: 3, baseMs: 2, longestMs: 20},
			log: silentLogger,
		},
		{headBytes, signal: AbortSignal.timeout(10_000)},
	);
	opened.push(source);
	return source;
}

/** By eight ranges at a time where there are any. */
async function readAll(source: OpenedHttpSource): Promise<Buffer> {
	const {ranges} = source;
	if (!ranges) {
		const pieces: Buffer[] = [];
		for await (const piece of source.stream ?? []) pieces.push(piece);
		return Buffer.concat(pieces);
	}
	const step = Math.ceil((contents.length - headBytes) / 8);
	const parts = Array.from({length: 8}, async (_, index) => {
		const start = headBytes + index * step;
		const part: Buffer[] = [];
		const range = {start, end: Math.min(contents.length, start + step)};
		await ranges.fetch(range, (chunk) => part.push(Buffer.from(chunk)), AbortSignal.timeout(10_000));
		return Buffer.concat(part);
	});
	return Buffer.concat([source.head, ...(await Promise.all(parts))]);
}

test('many ranges at a time share one connection', async () => {
	const source = await open();
	expect((await readAll(source)).equals(contents)).toBe(true);
	expect(server.connections).toBe(1);
	expect(server.seen.at(-1)?.headers).toMatchObject({
		':authority': `127.0.0.1:${server.port}`,
		'user-agent': 'onesnap-importer',
		'if-range': expect.stringMatching(/^"/) as string,
	});
});

test('a server that speaks both is asked in HTTP/1.1, over connections of its own', async () => {
	const source = await open(`${both.url}${path}`);
	expect((await readAll(source)).equals(contents)).toBe(true);
	expect(both.connections).toBe(8);
	expect(both.seen.at(-1)?.headers).not.toHaveProperty(':authority');
});

test('credentials and extra headers are sent, and headers of HTTP/1.1 connections are not', async () => {
	const headers = {'x-token': 'abc', host: 'other.example', connection: 'close'};
	server.behave(path, {basicAuth: {user: 'me', password: 'word'}, requireHeaders: {'x-token': 'abc'}});
	const source = await open(`${server.url.replace('://', '://me:word@')}${path}`, {headers});
	expect((await readAll(source)).equals(contents)).toBe(true);
	expect(server.seen.at(-1)?.headers).toMatchObject({':authority': 'other.example'});
});

test('through a proxy', async () => {
	const url = `https://images.test:${server.port}${path}`;
	const source = await open(url, {proxy: {https: proxy.url, certificates: []}});
	expect((await readAll(source)).equals(contents)).toBe(true);
	expect(new Set(proxy.seen.map(({line}) => line))).toEqual(new Set([`CONNECT images.test:${server.port}`]));
});

test('a certificate that nobody knows is the reason, not the protocol', async () => {
	await expect(open(undefined, {certificates: []})).rejects.toThrow(
		expect.objectContaining({reason: 'SourceUntrusted'}),
	);
});

describe('every byte arrives, once and in order, from a server that', () => {
	test.each<[string, ...Behaviour[]]>([
		['has no Range', {ignoreRange: true}],
		['has no Range and tells no length', {ignoreRange: true, hideLength: true}],
		['gives little at a time', {longestRange: 50_000}],
		['answers 503 in the middle', {after: 1, times: 4, status: 503}],
		['resets streams again and again', {after: 1, times: 20, cutAfterBytes: 50_000}],
		['resets before the first byte', {after: 1, times: 2, cutAfterBytes: 0}],
		['stops sending in the middle', {after: 1, times: 2, stallAfterBytes: 100_000}],
		['closes the connection in the middle', {after: 3, times: 1, closeConnection: true}],
	])('%s', async (_, ...behaviours) => {
		server.behave(path, ...behaviours);
		expect((await readAll(await open())).equals(contents)).toBe(true);
	});
});

describe('gives up, with a reason, on a server that', () => {
	test.each<[string, string, ...Behaviour[]]>([
		['answers 404', 'SourceNotFound', {status: 404}],
		['changes the ETag midway', 'SourceChanged', {etag: '"1"', times: 1}, {etag: '"2"', after: 1}],
		['resets the one stream that it has', 'SourceUnreachable', {ignoreRange: true, cutAfterBytes: 100_000}],
		[
			'closes the connection in its one stream, of unknown length',
			'SourceUnreachable',
			{ignoreRange: true, hideLength: true, closeConnection: true},
		],
	])('%s', async (_, reason, ...behaviours) => {
		server.behave(path, ...behaviours);
		await expect(open().then(readAll)).rejects.toThrow(expect.objectContaining({reason}));
	});
});
