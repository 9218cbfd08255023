import {mkdir, mkdtemp, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import type {ImportTask} from '../api/worker-contract.ts';
import {parseImportTask, readHttpAccess, readSourceUrl} from './options.ts';

const task: ImportTask = {
	source: {kind: 'http', url: 'https://host/disk.qcow2', extraHeaders: ['X-Token: abc'], insecureSkipVerify: true},
	target: {volumeMode: 'Filesystem', path: '/data'},
	ownerUid: 'uid',
	requestedBytes: '10737418240',
	filesystemOverhead: 0.06,
	preallocation: false,
};

test('a task is read as it was written', () => {
	expect(parseImportTask({ONESNAP_TASK: JSON.stringify(task)})).toEqual(task);
});

test.each([
	['nothing', undefined, /ONESNAP_TASK is not set/],
	['no JSON', '{', /is no JSON/],
	[
		'a wrong size',
		JSON.stringify({...task, requestedBytes: '10Gi'}),
		/requestedBytes: must be a decimal number of bytes/,
	],
	['an unknown source', JSON.stringify({...task, source: {kind: 'ftp'}}), /source.kind/],
	['a cut checksum', JSON.stringify({...task, checksum: 'sha256:abcd'}), /checksum: must be md5:/],
])('%s is refused in words', (_, text, message) => {
	expect(() => parseImportTask({ONESNAP_TASK: text})).toThrow(message);
});

describe('mounted Secrets and ConfigMaps', () => {
	let folder = '';
	beforeEach(async () => {
		folder = await mkdtemp(join(tmpdir(), 'onesnap-options-'));
	});
	afterEach(() => rm(folder, {recursive: true}));

	/** The way the kubelet mounts them: links into a folder behind a name with dots. */
	async function mount(name: string, files: Record<string, string>): Promise<string> {
		const data = join(folder, name, '..data');
		await mkdir(data, {recursive: true});
		for (const [file, contents] of Object.entries(files)) {
			await writeFile(join(data, file), contents);
			await symlink(join('..data', file), join(folder, name, file));
		}
		return join(folder, name);
	}

	test('become headers, credentials and authorities', async () => {
		const access = await readHttpAccess({
			kind: 'http',
			url: 'https://host/',
			extraHeaders: ['X-One: 1'],
			extraHeaderDirs: [await mount('headers', {token: 'Authorization: Bearer abc\n'})],
			credentialsDir: await mount('credentials', {accessKeyId: 'user\n', secretKey: 'secret\n'}),
			certificatesDir: await mount('certs', {'ca.pem': 'PEM'}),
		});
		expect(access).toMatchObject({
			headers: {'x-one': '1', authorization: 'Bearer abc'},
			credentials: {user: 'user', password: 'secret'},
			certificates: ['PEM'],
			insecureSkipVerify: false,
		});
	});

	test('what is not in the task is in the private folder, where there is one', async () => {
		const source = {kind: 'http', url: 'https://host/', proxy: {http: 'http://proxy/', noProxy: 'a'}} as const;
		expect(await readSourceUrl(source)).toBe('https://host/');
		expect(await readHttpAccess(source)).toMatchObject({proxy: {...source.proxy, certificates: []}});
		const privateDir = await mount('private', {url: 'https://host/?s', httpsProxy: 'http://me:p@proxy/'});
		expect(await readSourceUrl({...source, privateDir})).toBe('https://host/?s');
		expect(await readHttpAccess({...source, privateDir})).toMatchObject({
			proxy: {...source.proxy, https: 'http://me:p@proxy/', certificates: []},
		});
		const more = await mount('more', {'proxyCertificates.pem': 'PEM'});
		expect(await readHttpAccess({...source, privateDir: more})).toMatchObject({proxy: {certificates: ['PEM']}});
	});

	test('a header line that is none is refused without repeating it', async () => {
		const reading = readHttpAccess({kind: 'http', url: 'https://host/', extraHeaders: ['s3cret']});
		await expect(reading).rejects.toThrow(expect.objectContaining({reason: 'SourceRefused'}));
		await expect(reading).rejects.not.toThrow(/s3cret/);
	});
});
