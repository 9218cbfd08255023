/** Imports over HTTP as servers are in the world: TLS, passwords, headers, proxies. And what becomes of the disk. */
import {readdir, readFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import {importerPodName, importPrivateName} from '../../src/api/names.ts';
import * as resources from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {makeCertificate} from '../support/certificate.ts';
import {reasonOf, waitForDataVolume, waitForSucceeded} from '../support/data-volumes.ts';
import {type ImageServer, startImageServer} from '../support/image-server.ts';
import {type ProxyServer, startProxyServer} from '../support/proxy-server.ts';
import {
	api,
	claimOf,
	context,
	createDataVolume,
	digest,
	eventsOf,
	images,
	kubectl,
	local,
	makeDataVolume,
	makeNamespace,
	runOn,
	untilNoByproducts,
} from './world.ts';

const {hostAddress, proxy: proxyFacts} = context;
const user = {user: 'me', password: 's3cret'};
const requireHeaders = {'x-one': '1', 'x-token': 't0ken'};
const MiB = 1024 ** 2;
let namespace: string;
let secure: ImageServer;
let proxy: ProxyServer;

beforeAll(async () => {
	namespace = await makeNamespace('http');
	const tls = await makeCertificate(`IP:${hostAddress}`, 'DNS:images.test');
	const paths = ['/tls', '/auth', '/headers', '/proxied'];
	const files = Object.fromEntries(paths.map((path) => [path, images.qcow2.file]));
	secure = await startImageServer({host: hostAddress, files, tls});
	secure.behave('/auth', {basicAuth: user});
	secure.behave('/headers', {requireHeaders});
	proxy = await startProxyServer({host: hostAddress, testHost: hostAddress, ...proxyFacts});
	const inNamespace = (name: string) => ({apiVersion: 'v1', metadata: {namespace, name}});
	const encoded = (data: Record<string, string>) =>
		Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]));
	await api.create(resources.configMaps, {...inNamespace('ca'), kind: 'ConfigMap', data: {'ca.pem': tls.cert}});
	const credentials = encoded({accessKeyId: user.user, secretKey: user.password});
	await api.create(resources.secrets, {...inNamespace('login'), kind: 'Secret', data: credentials});
	const token = encoded({header: 'X-Token: t0ken'});
	await api.create(resources.secrets, {...inNamespace('token'), kind: 'Secret', data: token});
});
afterAll(() => Promise.all([secure.close(), proxy.close()]));

const on = (path: string) => `${secure.url}${path}`;
const withAuthority = {certConfigMap: 'ca'};
const seenAt = (path: string) => secure.seen.filter((request) => request.path === path);

async function failureOf(dataVolume: DataVolume): Promise<string> {
	const failed = await waitForDataVolume(api, dataVolume, ({status}) => status?.phase === 'Failed');
	const {reason, message} = reasonOf(failed, 'Running');
	expect(reason).toBe('Error');
	expect((await claimOf(dataVolume)).status?.phase, 'the target never binds').toBe('Pending');
	await api.delete(resources.dataVolumes, dataVolume.metadata);
	return message;
}

describe.concurrent('a server', () => {
	test('with a certificate of an authority from a ConfigMap', async () => {
		const source = {http: {url: on('/tls'), ...withAuthority}};
		const dataVolume = await createDataVolume({namespace, name: 'tls', source});
		await waitForSucceeded(api, [dataVolume]);
		expect(await digest(dataVolume)).toBe(images.qcow2.rawSha256);
	});

	test('with a certificate that nobody vouches for is refused, and says so', async () => {
		const dataVolume = await createDataVolume({namespace, name: 'no-ca', source: {http: {url: on('/tls')}}});
		expect(await failureOf(dataVolume)).toMatch(/^SourceUntrusted: .*\(DEPTH_ZERO_SELF_SIGNED_CERT.*certConfigMap/);
	});

	test('that wants a password has it from a Secret', async () => {
		const source = {http: {url: on('/auth'), ...withAuthority}};
		const without = await createDataVolume({namespace, name: 'no-login', source});
		const dataVolume = await createDataVolume({
			...{namespace, name: 'login'},
			source: {http: {...source.http, secretRef: 'login'}},
		});
		expect(await failureOf(without)).toMatch(/^SourceForbidden: .*answered 401.*secretRef/);
		await waitForSucceeded(api, [dataVolume]);
	});

	test('that wants headers has them from the DataVolume and from a Secret', async () => {
		const http = {url: on('/headers'), ...withAuthority, extraHeaders: ['X-One: 1']};
		const without = await createDataVolume({namespace, name: 'no-header', source: {http}});
		const source = {http: {...http, secretExtraHeaders: ['token']}};
		const dataVolume = await createDataVolume({namespace, name: 'headers', source});
		expect(await failureOf(without)).toMatch(/^SourceForbidden: .*answered 403/);
		await waitForSucceeded(api, [dataVolume]);
		// The two imports run side by side: which of them asked last is chance.
		const seen = seenAt('/headers').map(({headers}) => headers);
		expect(seen).toContainEqual(expect.objectContaining(requireHeaders));
	});

	test('that only the proxy can reach, which has a password and an authority of its own', async () => {
		const port = new URL(secure.url).port;
		const source = {http: {url: `https://images.test:${port}/proxied`, ...withAuthority}};
		const dataVolume = await createDataVolume({namespace, name: 'proxied', source});
		const {metadata} = await until('its worker', () => workerOf(dataVolume));
		const pod = JSON.stringify(await api.get(resources.pods, metadata));
		expect(pod).not.toContain(proxyFacts.credentials.password);
		await waitForSucceeded(api, [dataVolume]);
		expect(new Set(proxy.seen.map(({line}) => line))).toEqual(new Set([`CONNECT images.test:${port}`]));
	});
});

async function workerOf(dataVolume: DataVolume) {
	const {metadata} = await claimOf(dataVolume);
	const {namespace} = dataVolume.metadata;
	return api.find(resources.pods, {namespace, name: importerPodName(metadata.uid ?? '')});
}

describe.concurrent('a disk', () => {
	test.each(['Filesystem', 'Block'] as const)('larger than its image: %s', async (volumeMode) => {
		const name = `larger-${volumeMode.toLowerCase()}`;
		const source = {http: {url: `${context.serverUrl}${images.qcow2.path}`}};
		const dataVolume = await createDataVolume({namespace, name, source, volumeMode, size: '400Mi'});
		await waitForSucceeded(api, [dataVolume]);
		const size = volumeMode === 'Block' ? 'blockdev --getsize64 "$DISK"' : 'stat -c %s "$DISK"';
		const rest = `tail -c +${images.qcow2.virtualBytes + 1} "$DISK" | tr -d "\\000" | wc -c`;
		const told = await runOn(dataVolume, `{ ${size}; ${rest}; } > /dev/termination-log`);
		const [bytes, notZero] = told.split('\n').map(Number);
		expect(notZero).toBe(0);
		// disk.img ends where the empty file system has no more room.
		if (volumeMode === 'Block') expect(bytes).toBe(400 * MiB);
		else expect(bytes).toBeGreaterThan(350 * MiB);
		expect(await digest(dataVolume)).toBe(images.qcow2.rawSha256);
	});

	test('that is preallocated has all its blocks', async () => {
		const source = {http: {url: `${context.serverUrl}${images.qcow2.path}`}};
		const {spec, ...rest} = makeDataVolume({namespace, name: 'allocated', source, size: '300Mi'});
		const dataVolume = await api.create(resources.dataVolumes, {...rest, spec: {...spec, preallocation: true}});
		const sparse = await createDataVolume({namespace, name: 'sparse', source, size: '300Mi'});
		await waitForSucceeded(api, [dataVolume, sparse]);
		const stat = 'stat -c "%s %b %B" "$DISK" > /dev/termination-log';
		const [full, some] = await Promise.all(
			[dataVolume, sparse].map(async (each) => {
				const [size = 0, blocks = 0, blockBytes = 0] = (await runOn(each, stat)).split(' ').map(Number);
				return {size, allocated: blocks * blockBytes};
			}),
		);
		expect(full?.allocated).toBeGreaterThanOrEqual(full?.size ?? Number.NaN);
		expect(some?.allocated).toBeLessThan((some?.size ?? 0) / 2);
	});
});

/** Of all processes of this machine whose environment has these words, with their command lines. */
async function processesWith(words: string): Promise<{pid: number; environment: string; command: string}[]> {
	const read = (file: string) => readFile(file, 'utf8').catch(() => '');
	const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0);
	const all = await Promise.all(
		pids.map(async (pid) => ({
			pid,
			environment: await read(`/proc/${pid}/environ`),
			command: await read(`/proc/${pid}/cmdline`),
		})),
	);
	return all.filter(({environment}) => environment.includes(words));
}

describe.runIf(local).concurrent('a worker', () => {
	test('that is killed midway goes on in its Pod, and nobody sees the password of the URL', async () => {
		const namespace = await makeNamespace('kill');
		await using server = await startImageServer({host: hostAddress, files: {'/disk': images.raw.file}});
		server.behave('/disk', {bytesPerSecond: MiB, basicAuth: user});
		const url = `${server.url.replace('://', `://${user.user}:${user.password}@`)}/disk?X-Signature=s1gned`;
		const dataVolume = await createDataVolume({namespace, name: 'killed', source: {http: {url}}});
		await until('some bytes', async () => (server.bytesServed('/disk') > 4 * MiB ? true : undefined));
		const {uid = ''} = (await claimOf(dataVolume)).metadata;
		const [worker, ...others] = await processesWith(`"ownerUid":"${uid}"`);
		expect(worker?.command).toContain('importer.js');
		expect(others).toEqual([]);
		const before = await workerOf(dataVolume);
		// The kubelet gives logs of a container when it has told that it runs, which is later than it does.
		const log = await until('its log', async () => {
			const text = await kubectl('logs', '-n', namespace, importerPodName(uid)).catch(() => '');
			return text.includes('source opened') ? text : undefined;
		});
		const shown = [worker?.environment, worker?.command, JSON.stringify(before), log];
		for (const text of shown) expect(text).not.toMatch(/s3cret|s1gned/);
		expect(await api.find(resources.secrets, {namespace, name: importPrivateName(uid)})).toBeDefined();

		server.behave('/disk', {basicAuth: user});
		process.kill(worker?.pid ?? 0, 'SIGKILL');
		await waitForSucceeded(api, [dataVolume]);
		expect(await digest(dataVolume)).toBe(images.raw.rawSha256);
		const {status} = await api.get(resources.dataVolumes, dataVolume.metadata);
		expect(status?.restartCount).toBe(1);
		expect(JSON.stringify([status, await eventsOf(dataVolume)])).not.toMatch(/s3cret|s1gned/);
		await untilNoByproducts(namespace);
		await until('the Secret goes with the prime claim', async () =>
			(await api.find(resources.secrets, {namespace, name: importPrivateName(uid)})) ? undefined : true,
		);
	});
});
