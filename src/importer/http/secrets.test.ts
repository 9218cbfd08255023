/** Passwords, tokens and signatures stay between the worker and the server: nobody reads them in a log or a list of processes. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, test, vi} from 'vitest';
import {convertToQcow2, makeRawDisk} from '../../../test/support/disk-images.ts';
import {type Behaviour, type ImageServer, startImageServer} from '../../../test/support/image-server.ts';
import {type ProxyServer, startProxyServer} from '../../../test/support/proxy-server.ts';
import type {ImportTask} from '../../api/worker-contract.ts';
import {makePlainLog} from '../../process/plain-log.ts';
import {openHttpSource} from './http-source.ts';
import {failedResult, asWorkerError} from '../worker-error.ts';

/** In whatever form they are sent. */
const secrets = /s3cret|s1gned|t0ken|c00kie|pr0xy|me:|bWU6/;
const MiB = 1024 * 1024;
let folder: string;
let server: ImageServer;
let proxy: ProxyServer;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'onesnap-secrets-'));
	const [raw, image] = [join(folder, 'raw'), join(folder, 'image')];
	await makeRawDisk(raw, {sizeBytes: 64 * MiB, dataBytes: 8 * MiB});
	await convertToQcow2(raw, image);
	server = await startImageServer({files: {'/disk': image}});
	proxy = await startProxyServer({credentials: {user: 'me', password: 'pr0xy'}});
});
afterAll(async () => {
	await Promise.all([server.close(), proxy.close()]);
	await rm(folder, {recursive: true});
});

async function files(name: string, contents: Record<string, string>): Promise<string> {
	await mkdir(join(folder, name), {recursive: true});
	for (const [file, text] of Object.entries(contents)) await writeFile(join(folder, name, file), text);
	return join(folder, name);
}

/** Command lines and environments of a process and of all below it. */
async function seenOf(pid: number): Promise<{commands: string[]; environments: string[]}> {
	const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
	const below = await Promise.all(
		children
			.trim()
			.split(/\s+/)
			.filter(Boolean)
			.map((each) => seenOf(Number(each))),
	);
	const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
	return {
		commands: [await read('cmdline'), ...below.flatMap(({commands}) => commands)],
		environments: [await read('environ'), ...below.flatMap(({environments}) => environments)],
	};
}

test('of a worker and its tools: not in the log, the last message, a command line or an environment', async () => {
	server.behave('/disk', {bytesPerSecond: 2 * MiB, basicAuth: {user: 'me', password: 's3cret'}});
	const url = `http://${server.url.slice(7)}/disk`;
	const task: ImportTask = {
		source: {
			kind: 'http',
			url,
			privateDir: await files('private', {url: `${url.replace('://', '://me:s3cret@')}?X-Signature=s1gned`}),
			extraHeaderDirs: [await files('headers', {a: 'X-Token: t0ken', b: 'Cookie: c00kie'})],
		},
		target: {volumeMode: 'Filesystem', path: await files('claim', {})},
		ownerUid: 'uid',
		requestedBytes: String(64 * MiB),
		filesystemOverhead: 0,
		preallocation: false,
	};
	const child = spawn(process.execPath, [join(import.meta.dirname, '../../bin/importer.ts')], {
		env: {
			PATH: process.env['PATH'],
			TMPDIR: folder,
			ONESNAP_TASK: JSON.stringify(task),
			ONESNAP_TERMINATION_LOG: join(folder, 'message'),
			ONESNAP_METRICS_PORT: '0',
			ONESNAP_LOG_LEVEL: 'debug',
		},
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	let output = '';
	for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (output += text.toString()));
	const ended = once(child, 'exit');
	const seen = await vi.waitFor(
		async () => {
			const now = await seenOf(child.pid ?? 0);
			expect(now.commands.some((line) => line.includes('convert'))).toBe(true);
			return now;
		},
		{timeout: 15_000, interval: 20},
	);
	expect(seen.environments[0]).toContain('ONESNAP_TASK');
	server.behave('/disk', {basicAuth: {user: 'me', password: 's3cret'}});
	expect(await ended).toEqual([0, null]);
	const message = await readFile(join(folder, 'message'), 'utf8');
	expect(message).toContain('"succeeded"');
	expect(server.seen.at(-1)?.headers).toMatchObject({'x-token': 't0ken', cookie: 'c00kie'});
	expect(output).toContain('source opened');
	for (const text of [output, message, ...seen.commands, ...seen.environments]) expect(text).not.toMatch(secrets);
	expect(await readdir(join(folder, 'claim'))).toEqual(['disk.img']);
}, 30_000);

test.each<[string, {behaviour?: Behaviour; port?: number; scheme?: string; host?: string; proxied?: string}]>([
	['an answer that refuses', {behaviour: {status: 403}}],
	['an answer that puts off', {behaviour: {status: 503}}],
	['a redirect to nowhere', {behaviour: {location: 'ftp://me:s3cret@host/?s1gned'}}],
	['a redirect in a circle', {behaviour: {location: '/disk?again=s1gned'}}],
	['a redirect to a host with a password', {behaviour: {location: 'http://me:s3cret@127.0.0.1:1/?s1gned'}}],
	['a connection that is cut', {behaviour: {cutAfterBytes: 0}}],
	['silence', {behaviour: {stallAfterBytes: 10}}],
	['nobody there', {port: 1}],
	['another protocol', {scheme: 'https'}],
	['no such host', {host: 'me.invalid'}],
	['a host that is none', {host: 'a b'}],
	['a proxy with other credentials', {proxied: 'me:pr0xy2', host: 'images.test'}],
	['a proxy that cannot go on', {proxied: 'me:pr0xy', host: 'nowhere.invalid'}],
])('%s is logged, with all its causes, without them', async (_, {behaviour, port, scheme, host, proxied}) => {
	server.behave('/disk', behaviour ?? {});
	const lines: string[] = [];
	const log = makePlainLog({level: 'debug', write: (line) => lines.push(line)});
	const address = `${host ?? '127.0.0.1'}:${port ?? server.port}`;
	const proxyUrl = proxied && proxy.url.replace('://', `://${proxied}@`);
	const opening = openHttpSource(
		{
			url: `${scheme ?? 'http'}://me:s3cret@${address}/disk?X-Signature=s1gned#c00kie`,
			access: {
				...{headers: {'x-token': 't0ken', cookie: 'c00kie'}, certificates: [], insecureSkipVerify: false},
				...{stallMs: 300, connections: 2},
				...(proxyUrl && {proxy: {http: proxyUrl, https: proxyUrl, certificates: []}}),
			},
			retry: {attempts: 2, baseMs: 2, longestMs: 2},
			log,
		},
		{headBytes: 1000, signal: AbortSignal.timeout(10_000)},
	);
	const failure = asWorkerError(await opening.catch((error: unknown) => error));
	expect(failure.reason).toMatch(/^Source/);
	log.error({error: failure}, 'failed');
	const told = [...lines, JSON.stringify(failedResult(failure))];
	for (const text of told) expect(text).not.toMatch(secrets);
});
