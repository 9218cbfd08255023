/** Formats that say where the bytes of the disk are: what is refused of them, and that nothing is taken for whole that is not. */
import {mkdir, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import {digestOf, makeRawDisk, noise, qemuImg} from '../../../test/support/disk-images.ts';
import {type ImageServer, startImageServer} from '../../../test/support/image-server.ts';
import {importTo} from '../../../test/support/import-runs.ts';

const MiB = 1024 * 1024;
const rawBytes = 12 * MiB;

/** As `qemu-img convert` is told. */
const made: Record<string, readonly string[]> = {
	qcow2: ['-O', 'qcow2'],
	'compressed qcow2': ['-O', 'qcow2', '-c'],
	'sparse vmdk': ['-O', 'vmdk'],
	'stream vmdk': ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
	vdi: ['-O', 'vdi'],
	'dynamic vhd': ['-O', 'vpc', '-o', 'force_size=on'],
	'fixed vhd': ['-O', 'vpc', '-o', 'subformat=fixed,force_size=on'],
	vhdx: ['-O', 'vhdx'],
};

let folder = '';
let claim = '';
let server: ImageServer;
let rawDigest = '';
const images = new Map<string, Buffer>();

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'onesnap-containers-'));
	const raw = join(folder, 'raw');
	await makeRawDisk(raw, {sizeBytes: rawBytes, dataBytes: 4 * MiB});
	rawDigest = await digestOf(raw);
	for (const [name, args] of Object.entries(made)) {
		await qemuImg('convert', '-f', 'raw', ...args, raw, join(folder, name));
		images.set(name, await readFile(join(folder, name)));
	}
	images.set('vmdk with a footer', withFooter(image('stream vmdk')));
	server = await startImageServer({files: {}});
}, 60_000);

afterAll(async () => {
	await server.close();
	await rm(folder, {recursive: true});
});

beforeEach(async () => {
	claim = join(folder, 'claim');
	await rm(claim, {recursive: true, force: true});
	await mkdir(claim);
});

/** A copy, changed. */
function image(name: string, change: (bytes: Buffer) => void = () => {}): Buffer {
	const bytes = Buffer.from(images.get(name) ?? []);
	change(bytes);
	return bytes;
}

/** As a program writes it that does not know at the beginning where the tables will be. */
function withFooter(vmdk: Buffer): Buffer {
	const header = Buffer.from(vmdk.subarray(0, 512));
	const marker = Buffer.alloc(512);
	marker.writeBigUInt64LE(1n, 0);
	marker.writeUInt32LE(3, 12);
	const whole = Buffer.concat([vmdk, marker, header, Buffer.alloc(512)]);
	whole.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, 56);
	return whole;
}

function importBytes(bytes: Buffer, behaviour = {}) {
	server.serve('/image', bytes);
	server.behave('/image', behaviour);
	return importTo({volumeMode: 'Filesystem', path: claim}, `${server.url}/image`);
}

const refused = (reason: string, message: RegExp) =>
	expect.objectContaining({reason, retryable: false, message: expect.stringMatching(message) as string});

describe.each([...Object.keys(made), 'vmdk with a footer'])('%s', (name) => {
	test('is the disk that it was made of', async () => {
		await importBytes(image(name));
		expect(await digestOf(join(claim, 'disk.img'), rawBytes)).toBe(rawDigest);
	});

	test('is the disk that it was made of, from a server without Range', async () => {
		await importBytes(image(name), {ignoreRange: true, hideLength: true});
		expect(await digestOf(join(claim, 'disk.img'), rawBytes)).toBe(rawDigest);
		expect(await readdir(claim)).toEqual(['disk.img']);
	});
});

describe('truncated', () => {
	const half = (bytes: Buffer) => bytes.subarray(0, bytes.length / 2);
	const without = (lost: number) => (bytes: Buffer) => bytes.subarray(0, bytes.length - lost);
	test.each<[string, string, (bytes: Buffer) => Buffer]>([
		...[
			'qcow2',
			'compressed qcow2',
			'sparse vmdk',
			'stream vmdk',
			'vdi',
			'dynamic vhd',
			'vhdx',
			'vmdk with a footer',
		].map((name): [string, string, (bytes: Buffer) => Buffer] => [name, 'to its half', half]),
		['qcow2', 'by a byte', without(1)],
		['sparse vmdk', 'by a byte', without(1)],
		['vdi', 'by a byte', without(1)],
		['dynamic vhd', 'by its footer and a byte', without(513)],
		['vmdk with a footer', 'by a sector', without(512)],
		['fixed vhd', 'by a byte', without(1)],
		['fixed vhd', 'in its middle', (bytes) => Buffer.concat([bytes.subarray(0, 4 * MiB), bytes.subarray(5 * MiB)])],
	])('%s %s', async (name, _, cut) => {
		await expect(importBytes(cut(image(name)))).rejects.toThrow(
			refused('InvalidImage', /truncated|damaged|no disk image/),
		);
		expect(await readdir(claim)).toEqual([]);
	});

	test.each(Object.keys(made))('%s in its header', async (name) => {
		if (name === 'fixed vhd') return;
		for (const length of [68, 78, 300, 600]) {
			await expect(importBytes(image(name).subarray(0, length))).rejects.toThrow(
				refused('InvalidImage', /only|damaged|no disk image/),
			);
		}
	});
});

describe('is not opened', () => {
	const vhdSealed = (bytes: Buffer) => {
		bytes.writeUInt32BE(0, 64);
		const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0);
		bytes.writeUInt32BE(~sum >>> 0, 64);
	};
	const descriptor = (bytes: Buffer, change: (text: string) => string) => {
		const text = bytes.toString('latin1', 512, 512 + 4096);
		bytes.write(change(text).slice(0, 4096), 512, 'latin1');
	};
	const vhdxParametersAt = (bytes: Buffer) => {
		const item = bytes.indexOf(Buffer.from('3767a1ca36fa434db3b633f0aa44e76b', 'hex'));
		return bytes.lastIndexOf('metadata', item) + bytes.readUInt32LE(item + 16);
	};
	test.each<[string, () => Buffer, string, RegExp]>([
		[
			'a vmdk descriptor',
			() =>
				Buffer.from(
					`# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 2048 FLAT "${folder}/canary" 0\n`,
				),
			'ImageNotStandalone',
			/one file of a vmdk disk/,
		],
		[
			'an extent of ESX',
			() => Buffer.concat([Buffer.from('COWD'), Buffer.alloc(4092)]),
			'ImageNotStandalone',
			/one file of/,
		],
		[
			'a vmdk without a capacity, whose descriptor names a file',
			() =>
				image('sparse vmdk', (bytes) => {
					bytes.writeBigUInt64LE(0n, 12);
					descriptor(bytes, (text) => text.replace(/^RW .*$/m, `RW 2048 FLAT "${folder}/canary" 0`));
				}),
			'ImageNotStandalone',
			/one file of/,
		],
		[
			'an extent of a split vmdk',
			() => image('sparse vmdk', (bytes) => bytes.fill(0, 28, 44)),
			'ImageNotStandalone',
			/one file of/,
		],
		[
			'a vmdk that names its parent',
			() =>
				image('sparse vmdk', (bytes) =>
					descriptor(bytes, (text) => text.replace('createType', `parentFileNameHint="${folder}/canary"\ncreateType`)),
				),
			'ImageNotStandalone',
			/needs a parent/,
		],
		[
			'a vmdk that has a parent',
			() =>
				image('sparse vmdk', (bytes) =>
					descriptor(bytes, (text) => text.replace('parentCID=ffffffff', 'parentCID=12345678')),
				),
			'ImageNotStandalone',
			/needs a parent/,
		],
		[
			'an encrypted vmdk',
			() =>
				image('sparse vmdk', (bytes) =>
					descriptor(bytes, (text) => text.replace('createType', 'encryption.keySafe = "vmware:key/list"\ncreateType')),
				),
			'ImageEncrypted',
			/encrypted vmdk/,
		],
		[
			'a vmdk with enormous grains',
			() => image('sparse vmdk', (bytes) => bytes.writeBigUInt64LE(2n ** 40n, 20)),
			'InvalidImage',
			/says grains/,
		],
		[
			'a differencing vhd',
			() =>
				image('dynamic vhd', (bytes) => {
					bytes.writeUInt32BE(4, 60);
					vhdSealed(bytes);
				}),
			'ImageNotStandalone',
			/differencing vhd/,
		],
		[
			'a vhd with a wrong checksum',
			() => image('dynamic vhd', (bytes) => bytes.writeUInt32BE(4, 60)),
			'InvalidImage',
			/checksum/,
		],
		[
			'a vhdx with a parent',
			() => image('vhdx', (bytes) => bytes.writeUInt32LE(2, vhdxParametersAt(bytes) + 4)),
			'ImageNotStandalone',
			/differencing vhdx/,
		],
		[
			'a vhdx with a log to replay',
			() =>
				image('vhdx', (bytes) => {
					for (const at of [64 * 1024, 128 * 1024]) bytes.fill(7, at + 48, at + 64);
				}),
			'InvalidImage',
			/damaged/,
		],
		[
			'a differencing vdi',
			() => image('vdi', (bytes) => bytes.writeUInt32LE(4, 0x4c)),
			'ImageNotStandalone',
			/vdi image that needs a parent/,
		],
		[
			'a vdi with a parent',
			() => image('vdi', (bytes) => bytes.fill(1, 0x1b8, 0x1c8)),
			'ImageNotStandalone',
			/needs a parent/,
		],
		['a vdi of nothing', () => image('vdi', (bytes) => bytes.writeBigUInt64LE(0n, 0x170)), 'InvalidImage', /0 bytes/],
	])('%s', async (_, made, reason, message) => {
		await writeFile(join(folder, 'canary'), noise(MiB));
		await expect(importBytes(made())).rejects.toThrow(refused(reason, message));
		expect(await readdir(claim)).toEqual([]);
	});
});

test('what is too large by its header is not fetched', async () => {
	const large = join(folder, 'large.vdi');
	await qemuImg('create', '-q', '-f', 'vdi', large, '1G');
	server.serve('/large.vdi', Buffer.concat([await readFile(large), Buffer.alloc(4 * MiB)]));
	await expect(importTo({volumeMode: 'Filesystem', path: claim}, `${server.url}/large.vdi`)).rejects.toThrow(
		refused('ImageTooLarge', /1073741824 bytes/),
	);
	expect(server.bytesServed('/large.vdi')).toBeLessThan(MiB);
});
