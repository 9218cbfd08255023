/** What else people have than a qcow2: archives, and images inside of something. */
import {mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {gzipSync, zstdCompressSync} from 'node:zlib';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import * as resources from '../../src/kube/resources.ts';
import {run} from '../cluster/command.ts';
import {waitForSucceeded} from '../support/data-volumes.ts';
import {qemuImg} from '../support/disk-images.ts';
import {type ImageServer, startImageServer} from '../support/image-server.ts';
import {api, context, createDataVolume, digest, images, makeDataVolume, makeNamespace, runOn} from './world.ts';

let namespace: string;
let folder: string;
let server: ImageServer;

beforeAll(async () => {
	namespace = await makeNamespace('formats');
	folder = await mkdtemp(path.join(tmpdir(), 'onesnap-e2e-formats-'));
	const tree = path.join(folder, 'tree');
	await mkdir(path.join(tree, 'etc'), {recursive: true});
	await writeFile(path.join(tree, 'etc/hostname'), 'from-an-archive');
	await run('tar', ['-czf', path.join(folder, 'files.tar.gz'), '-C', tree, '.']);
	await qemuImg(
		'convert',
		'-O',
		'vmdk',
		'-o',
		'subformat=streamOptimized',
		images.raw.file,
		path.join(folder, 'disk.vmdk'),
	);
	const inFolder = (name: string) => [`/${name}`, path.join(folder, name)] as const;
	await writeFile(path.join(folder, 'disk.raw.gz'), gzipSync(await readFile(images.raw.file)));
	await writeFile(path.join(folder, 'disk.qcow2.zst'), zstdCompressSync(await readFile(images.qcow2.file)));
	const names = ['files.tar.gz', 'disk.vmdk', 'disk.raw.gz', 'disk.qcow2.zst'];
	server = await startImageServer({host: context.hostAddress, files: Object.fromEntries(names.map(inFolder))});
});
afterAll(async () => {
	await server.close();
	await rm(folder, {recursive: true});
});

const from = (name: string) => ({http: {url: `${server.url}/${name}`}});

describe.concurrent('an import', () => {
	test('of an archive fills a claim with its files', async () => {
		const made = makeDataVolume({namespace, name: 'archive', source: from('files.tar.gz'), size: '64Mi'});
		const dataVolume = await api.create(resources.dataVolumes, {...made, spec: {...made.spec, contentType: 'archive'}});
		await waitForSucceeded(api, [dataVolume]);
		const found = await runOn(dataVolume, 'cd /data && cat etc/hostname > /dev/termination-log && test ! -e disk.img');
		expect(found).toBe('from-an-archive');
	});

	test.each([
		['disk.vmdk', 'Block'],
		['disk.raw.gz', 'Filesystem'],
		// Can only be read here and there, and comes in one piece: put down beside the device.
		['disk.qcow2.zst', 'Block'],
	] as const)('of %s to a %s claim is its disk', async (name, volumeMode) => {
		const called = name.replaceAll('.', '-');
		const dataVolume = await createDataVolume({namespace, name: called, source: from(name), volumeMode, size: '300Mi'});
		await waitForSucceeded(api, [dataVolume]);
		expect(await digest(dataVolume)).toBe(images.raw.rawSha256);
	});
});
