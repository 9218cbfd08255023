import {type AddressInfo, createServer} from 'node:net';
import {afterAll, afterEach, beforeAll, describe, expect, test} from 'vitest';
import {makeCertificate} from '../../../test/support/certificate.ts';
import {noise} from '../../../test/support/disk-images.ts';
import {type Behaviour, type ImageServer, startImageServer} from '../../../test/support/image-server.ts';
import {silentLogger} from '../../process/log.ts';
import type {HttpAccess} from './http-request.ts';
import {openHttpSource, type OpenedHttpSource, parseContentRange} from './http-source.ts';

const contents = noise(300_000);
const headBytes = 4096;
const path = '/disk';
const opened: OpenedHttpSource[] = [];
let server: ImageServer;
let elsewhere: ImageServer;

beforeAll(async () => {
	server = await startImageServer({files: {[path]: contents}});
	elsewhere = await startImageServer({files: {[path]: contents}});
});
afterAll(async () => {
	await server.close();
	await elsewhere.close();
});
afterEach(() => {
	for (const source of opened.splice(0)) source.close();
	server.behave(path);
	elsewhere.behave(path);
});

async function openSource({
	url = `${server.url}${path}`,
	access = {},
}: {
	url?: string;
	access?: Partial<HttpAccess>;
} = {}) {
	const source = await openHttpSource(
		{
			url,
			access: {
				...{headers: {}, certificates: [], insecureSkipVerify: false, connections: 8},
				...{stallMs: 300, slow: {bytes: 1000, withinMs: 200}},
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

/** All of it: by ranges where there are any, as one stream otherwise. */
async function readAll(source: OpenedHttpSource): Promise<Buffer> {
	const pieces: Buffer[] = [];
	if (source.ranges) {
		pieces.push(source.head);
		const range = {start: source.head.length, end: source.ranges.lengthBytes};
		await source.ranges.fetch(range, (chunk) => pieces.push(Buffer.from(chunk)), AbortSignal.timeout(10_000));
	} else for await (const piece of source.stream ?? []) pieces.push(piece);
	return Buffer.concat(pieces);
}

test('a connection that many requests go over keeps nothing of them', async () => {
	const source = await openSource({access: {connections: 1}});
	const warnings: Error[] = [];
	const note = (warning: Error) => warnings.push(warning);
	process.on('warning', note);
	for (let start = 0; start < 40; start++) {
		await source.ranges?.fetch({start, end: start + 1}, () => {}, AbortSignal.timeout(10_000));
	}
	process.off('warning', note);
	expect(warnings).toEqual([]);
});

describe('every byte arrives, once and in order, from a server that', () => {
	test.each<[string, ...Behaviour[]]>([
		['behaves well', {}],
		['is slow to answer', {delayMs: 50}],
		['has no Range', {ignoreRange: true}],
		['has no Range and tells no length', {ignoreRange: true, hideLength: true}],
		['has no validator', {noValidator: true}],
		['has a weak ETag', {etag: 'W/"1"'}],
		['tells no length of an answer', {hideLength: true}],
		['gives little at a time', {longestRange: 50_000}],
		['answers 503 at first', {status: 503, times: 2}],
		['answers 429 with Retry-After', {status: 429, retryAfter: '0', times: 1}],
		['answers 503 in the middle', {after: 1, times: 2, status: 503}],
		['cuts the connection again and again', {after: 1, times: 20, cutAfterBytes: 20_000}],
		['cuts before the first byte', {after: 1, times: 2, cutAfterBytes: 0}],
		['stops sending in the middle', {after: 1, times: 1, stallAfterBytes: 100_000}],
		['drips in the middle', {after: 1, times: 1, dripMs: 5}],
		['sends less than it announced', {after: 1, times: 1, overstateBytes: 10}],
		['once answers another range than asked for', {after: 1, times: 1, wrongContentRange: true}],
	])('%s', async (_, ...behaviours) => {
		server.behave(path, ...behaviours);
		const read = await readAll(await openSource());
		expect(read.equals(contents)).toBe(true);
	});
});

describe('gives up, with a reason, on a server that', () => {
	test.each<[string, string, RegExp, ...Behaviour[]]>([
		['answers 404', 'SourceNotFound', /answered 404: there is no such file/, {status: 404}],
		['answers 403', 'SourceForbidden', /answered 403.*secretRef/, {status: 403}],
		['answers 400', 'SourceRefused', /answered 400/, {status: 400}],
		['answers 500 for good', 'SourceUnavailable', /answered 500.*Tried 3 times in a row/, {status: 500}],
		['never answers', 'SourceUnreachable', /nothing received for 0.3 s.*Tried 3 times/, {delayMs: 2000}],
		[
			'drips for ever',
			'SourceUnreachable',
			/only \d+ bytes received in .*Tried 3 times in a row/,
			{after: 1, dripMs: 5},
		],
		[
			'falls silent after some bytes, again and again',
			'SourceUnreachable',
			/nothing received for 0.3 s.*Tried 3 times/,
			{after: 1, stallAfterBytes: 10},
		],
		['redirects in a circle', 'SourceRefused', /10 redirects/, {location: path}],
		['redirects to nowhere', 'SourceRefused', /no Location/, {status: 302}],
		['redirects to a file', 'SourceRefused', /no http or https URL/, {location: 'file:///etc/passwd'}],
		[
			'changes the ETag midway',
			'SourceChanged',
			/changed while it was read \(ETag "2", was "1"/,
			{etag: '"1"', times: 1},
			{etag: '"2"', after: 1},
		],
		[
			'changes midway, and then sends a date only',
			'SourceChanged',
			/Last-Modified .*2026.*, was .*1970/,
			{times: 1},
			{after: 1, noEtag: true, lastModified: new Date('2026-01-01')},
		],
		[
			'changes the length midway',
			'SourceChanged',
			/200000 bytes, was 300000/,
			{noValidator: true, times: 1},
			{noValidator: true, after: 1, contents: contents.subarray(0, 200_000)},
		],
		[
			'shrinks to nothing',
			'SourceChanged',
			/changed/,
			{noValidator: true, times: 1},
			{noValidator: true, after: 1, contents: Buffer.alloc(10)},
		],
		[
			'forgets about Range midway',
			'SourceUnavailable',
			/answered 200 with Content-Range absent/,
			{after: 1, ignoreRange: true},
		],
		['always answers another range', 'SourceUnavailable', /not what was asked for/, {wrongContentRange: true}],
		['cuts the one stream it has', 'SourceUnreachable', /GET/, {ignoreRange: true, cutAfterBytes: 100_000}],
	])('%s', async (_, reason, message, ...behaviours) => {
		server.behave(path, ...behaviours);
		const reading = openSource().then(readAll);
		await expect(reading).rejects.toThrow(
			expect.objectContaining({reason, message: expect.stringMatching(message) as string}),
		);
	});

	test('resets the one stream it has, of which nothing else tells the end', async () => {
		const resetting = createServer((socket) => {
			socket.once('data', () => {
				socket.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n');
				// Gone when it was sent, and not only written.
				socket.write(contents.subarray(0, 100_000), () => socket.resetAndDestroy());
			});
			socket.on('error', () => {});
		});
		await new Promise<void>((resolve) => resetting.listen(0, '127.0.0.1', resolve));
		// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
		const {port} = resetting.address() as AddressInfo;
		const reading = openSource({url: `http://127.0.0.1:${port}${path}`}).then(readAll);
		await expect(reading).rejects.toThrow(expect.objectContaining({reason: 'SourceUnreachable'}));
		resetting.close();
	});

	test('is not there', async () => {
		const gone = await startImageServer({files: {}});
		await gone.close();
		await expect(openSource({url: `${gone.url}${path}`})).rejects.toThrow(
			expect.objectContaining({
				reason: 'SourceUnreachable',
				message: expect.stringContaining('ECONNREFUSED') as string,
			}),
		);
	});
});

describe('credentials', () => {
	const credentials = {user: 'me', password: 'pass:word'};

	test('are sent as basic authentication, from the Secret or from the URL', async () => {
		server.behave(path, {basicAuth: credentials});
		await expect(openSource()).rejects.toThrow(expect.objectContaining({reason: 'SourceForbidden'}));
		const read = await readAll(await openSource({access: {credentials}}));
		expect(read.equals(contents)).toBe(true);
		const url = `${server.url}${path}`.replace('http://', 'http://me:pass%3Aword@');
		expect((await readAll(await openSource({url}))).equals(contents)).toBe(true);
	});

	test('and extra headers never follow a redirect to another host', async () => {
		server.behave(path, {basicAuth: credentials, location: `${elsewhere.url}${path}`});
		const before = server.requests(path);
		const source = await openSource({access: {credentials, headers: {'x-token': 'secret'}}});
		expect((await readAll(source)).equals(contents)).toBe(true);
		expect(elsewhere.seen.length).toBeGreaterThan(1);
		for (const {headers} of elsewhere.seen) {
			expect(headers.authorization).toBeUndefined();
			expect(headers['x-token']).toBeUndefined();
		}
		expect(server.requests(path) - before, 'the redirect is followed once').toBe(1);
	});

	test('and signatures appear in no message', async () => {
		server.behave(path, {status: 404});
		const url = `${server.url}${path}?X-Signature=s3cret`.replace('http://', 'http://me:hidden@');
		const failure = await openSource({url}).catch((error: unknown) => error);
		expect(String(failure)).toMatch(/disk\?… answered 404/);
		expect(String(failure)).not.toMatch(/s3cret|hidden|me:/);
	});

	test('a redirect that has expired is asked for anew', async () => {
		server.behave(path, {location: `${elsewhere.url}${path}`});
		elsewhere.behave(path, {after: 1, times: 1, status: 403});
		expect((await readAll(await openSource())).equals(contents)).toBe(true);
	});
});

describe('a server whose certificate nobody knows', () => {
	let secure: ImageServer;
	let certificate = '';

	beforeAll(async () => {
		const tls = await makeCertificate('IP:127.0.0.1');
		certificate = tls.cert;
		secure = await startImageServer({files: {[path]: contents}, tls});
	});
	afterAll(() => secure.close());

	test('is not trusted', async () => {
		await expect(openSource({url: `${secure.url}${path}`})).rejects.toThrow(
			expect.objectContaining({reason: 'SourceUntrusted', message: expect.stringContaining('certConfigMap') as string}),
		);
	});

	test('is trusted with its authority given, or when nobody shall care', async () => {
		for (const access of [{certificates: [certificate]}, {insecureSkipVerify: true}]) {
			expect((await readAll(await openSource({url: `${secure.url}${path}`, access}))).equals(contents)).toBe(true);
		}
	});

	test('does not speak plain HTTP, nor the other way round', async () => {
		const url = `${server.url}${path}`.replace('http:', 'https:');
		await expect(openSource({url})).rejects.toThrow(expect.objectContaining({reason: 'SourceUntrusted'}));
	});
});

test.each([
	['bytes 0-99/1000', {start: 0, end: 100, totalBytes: 1000}],
	['bytes 5-5/*', {start: 5, end: 6, totalBytes: undefined}],
	['bytes 9-5/1000', undefined],
	['bytes 0-1000/1000', undefined],
	['items 0-9/10', undefined],
	[undefined, undefined],
])('Content-Range %s', (text, expected) => {
	expect(parseContentRange(text)).toEqual(expected);
});
