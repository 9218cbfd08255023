/** Every format, into every kind of target, in every compression: the disk is what qemu-img itself makes of the same file. */
import {execFile} from 'node:child_process';
import {mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {gzip, zstdCompress} from 'node:zlib';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {attachLoop, digestOf, makeRawDisk, noise, qemuImg} from '../../../test/support/disk-images.ts';
import {type ImageServer, startImageServer} from '../../../test/support/image-server.ts';
import {importTo} from '../../../test/support/import-runs.ts';
import type {WorkerVolume} from '../../api/worker-contract.ts';

const MiB = 1024 * 1024;
/** No multiple of 4096. */
const rawBytes = 5 * MiB + 3 * 512;
const claimBytes = 12 * MiB;
const isRoot = process.getuid?.() === 0;

/** How qemu-img makes each, and the driver that reads it. */
const formats: Record<string, {readonly make: readonly string[]; readonly driver: string}> = {
	raw: {make: ['-O', 'raw'], driver: 'raw'},
	qcow2: {make: ['-O', 'qcow2'], driver: 'qcow2'},
	'qcow2 of version 2, zlib': {make: ['-O', 'qcow2', '-c', '-o', 'compat=0.10'], driver: 'qcow2'},
	'qcow2, zstd': {make: ['-O', 'qcow2', '-c', '-o', 'compression_type=zstd'], driver: 'qcow2'},
	'qcow2, clusters of 2 MiB': {make: ['-O', 'qcow2', '-o', 'cluster_size=2M'], driver: 'qcow2'},
	'qcow2, clusters of 512 bytes': {make: ['-O', 'qcow2', '-o', 'cluster_size=512'], driver: 'qcow2'},
	'qcow2, extended L2': {make: ['-O', 'qcow2', '-o', 'extended_l2=on,cluster_size=128k'], driver: 'qcow2'},
	vmdk: {make: ['-O', 'vmdk'], driver: 'vmdk'},
	'vmdk, stream': {make: ['-O', 'vmdk', '-o', 'subformat=streamOptimized'], driver: 'vmdk'},
	vdi: {make: ['-O', 'vdi'], driver: 'vdi'},
	vhd: {make: ['-O', 'vpc', '-o', 'force_size=on'], driver: 'vpc'},
	'vhd of cylinders': {make: ['-O', 'vpc'], driver: 'vpc'},
	'vhd, fixed': {make: ['-O', 'vpc', '-o', 'subformat=fixed,force_size=on'], driver: 'vpc'},
	vhdx: {make: ['-O', 'vhdx', '-o', 'block_size=1M'], driver: 'vhdx'},
	'vhdx, fixed': {make: ['-O', 'vhdx', '-o', 'subformat=fixed'], driver: 'vhdx'},
};
const special = ['iso of odd length', 'qcow2 with snapshots'];

const packers: Record<string, (file: string) => Promise<Buffer>> = {
	none: (file) => readFile(file),
	gz: async (file) => await promisify(gzip)(await readFile(file), {level: 1}),
	xz: async (file) => {
		const options = {encoding: 'buffer' as const, maxBuffer: 64 * MiB};
		return (await promisify(execFile)('xz', ['-0', '--stdout', file], options)).stdout;
	},
	zst: async (file) => await promisify(zstdCompress)(await readFile(file)),
};

interface Expected {
	readonly sizeBytes: number;
	readonly digest: string;
}

let folder = '';
let server: ImageServer;
const expected = new Map<string, Expected>();
const targets = new Map<string, WorkerVolume>();
const resources = new AsyncDisposableStack();

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'onesnap-table-'));
	resources.defer(() => rm(folder, {recursive: true}));
	const raw = join(folder, 'disk');
	await makeRawDisk(raw, {sizeBytes: rawBytes, dataBytes: 2 * MiB, runs: 8});
	for (const [name, {make, driver}] of Object.entries(formats)) {
		await qemuImg('convert', '-f', 'raw', ...make, raw, join(folder, name));
		await expectOf(name, driver);
	}
	await writeFile(join(folder, 'iso of odd length'), isoLike());
	await expectOf('iso of odd length', 'raw');
	await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', raw, join(folder, 'qcow2 with snapshots'));
	for (const name of ['one', 'two']) await qemuImg('snapshot', '-c', name, join(folder, 'qcow2 with snapshots'));
	await expectOf('qcow2 with snapshots', 'qcow2');
	server = await startImageServer({files: {}});
	resources.defer(() => server.close());
	await mkdir(join(folder, 'claim'));
	await mkdir(join(folder, 'scratch'));
	targets.set('a file', {volumeMode: 'Filesystem', path: join(folder, 'claim')});
	for (const sectorBytes of isRoot ? [512, 4096] : []) {
		const file = join(folder, `device-${sectorBytes}`);
		await writeFile(file, noise(claimBytes));
		const device = resources.use(await attachLoop(file, sectorBytes));
		targets.set(`sectors of ${sectorBytes}`, {volumeMode: 'Block', path: device.path});
	}
}, 120_000);

afterAll(() => resources.disposeAsync());

async function expectOf(name: string, driver: string): Promise<void> {
	const plain = join(folder, 'plain');
	await qemuImg('convert', '-f', driver, '-O', 'raw', join(folder, name), plain);
	expected.set(name, {sizeBytes: (await stat(plain)).size, digest: await digestOf(plain)});
}

/** What makes a CD of it, and an end within a sector. */
function isoLike(): Buffer {
	const bytes = Buffer.alloc(2 * MiB + 700);
	bytes.write('\u0001CD001\u0001', 32_768);
	noise(3000).copy(bytes, 40_000);
	noise(700).copy(bytes, 2 * MiB);
	return bytes;
}

function targetOf(name: string): WorkerVolume {
	const target = targets.get(name);
	if (!target) throw new Error(`no target ${name}`);
	return target;
}

const kinds = isRoot ? ['a file', 'sectors of 512', 'sectors of 4096'] : ['a file'];
const names = [...Object.keys(formats), ...special];

describe.each(Object.keys(packers))('compressed: %s', (packer) => {
	test.each(names)('%s', async (name) => {
		const file = await packers[packer]?.(join(folder, name));
		server.serve('/image', file ?? Buffer.alloc(0));
		const wanted = expected.get(name);
		if (!file || !wanted) throw new Error('not made');
		const found = new Map<string, Expected>();
		for (const kind of kinds) {
			const target = targetOf(kind);
			const disk = target.volumeMode === 'Block' ? target.path : join(target.path, 'disk.img');
			await importTo(target, `${server.url}/image`, {
				requestedBytes: String(claimBytes),
				scratchDir: join(folder, 'scratch'),
			});
			const isPadded = await isZero(disk, wanted.sizeBytes, claimBytes);
			const sizeBytes = isPadded ? wanted.sizeBytes : claimBytes;
			found.set(kind, {sizeBytes, digest: await digestOf(disk, sizeBytes)});
		}
		expect(found).toEqual(new Map(kinds.map((kind) => [kind, wanted])));
		expect(await readdir(join(folder, 'scratch'))).toEqual([]);
		expect(await readdir(join(folder, 'claim'))).toEqual(['disk.img']);
		expect((await stat(join(folder, 'claim', 'disk.img'))).mode & 0o777).toBe(0o660);
	});
});

async function isZero(path: string, from: number, to: number): Promise<boolean> {
	await using handle = await open(path);
	const {buffer, bytesRead} = await handle.read(Buffer.alloc(to - from), 0, to - from, from);
	return bytesRead === to - from && buffer.equals(Buffer.alloc(to - from));
}
