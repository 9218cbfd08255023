/** Compressed images that are not what they should be, and what they cost. */
import {execFile} from 'node:child_process';
import {createHash} from 'node:crypto';
import {mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {gzipSync, zstdCompressSync} from 'node:zlib';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import {attachLoop, digestOf, makeRawDisk, qemuImg} from '../../../test/support/disk-images.ts';
import {type Behaviour, type ImageServer, startImageServer} from '../../../test/support/image-server.ts';
import {importTo, type TaskChanges} from '../../../test/support/import-runs.ts';

const run = promisify(execFile);
const MiB = 1024 * 1024;
const rawBytes = 12 * MiB;
const isRoot = process.getuid?.() === 0;

let folder = '';
let claim = '';
let server: ImageServer;
let raw: Buffer;
let qcow2: Buffer;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'onesnap-compressed-'));
	await makeRawDisk(join(folder, 'raw'), {sizeBytes: rawBytes, dataBytes: 4 * MiB});
	await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', join(folder, 'raw'), join(folder, 'qcow2'));
	[raw, qcow2] = await Promise.all([readFile(join(folder, 'raw')), readFile(join(folder, 'qcow2'))]);
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

interface Case extends TaskChanges {
	readonly behaviour?: Behaviour;
}

function importBytes(bytes: Buffer, {behaviour = {}, ...changes}: Case = {}) {
	// Requests of an import that has failed may still come.
	const path = `/image-${server.seen.length}`;
	server.serve(path, bytes);
	server.behave(path, behaviour);
	return importTo({volumeMode: 'Filesystem', path: claim}, `${server.url}${path}`, changes);
}

const refused = (reason: string, message: RegExp, retryable = false) =>
	expect.objectContaining({reason, retryable, message: expect.stringMatching(message) as string});

const sha256 = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

describe.each([
	['with Range', {}],
	['without Range', {ignoreRange: true}],
	['of unknown length', {ignoreRange: true, hideLength: true}],
] as const)('from a server %s', (_, behaviour) => {
	test('the checksum is over the compressed bytes', async () => {
		for (const inner of [raw, qcow2]) {
			// What a decoder does not look at counts too.
			const packed = Buffer.concat([gzipSync(inner), Buffer.alloc(300_000)]);
			await importBytes(packed, {behaviour, checksum: sha256(packed)});
			expect(await digestOf(join(claim, 'disk.img'), rawBytes)).toBe(await digestOf(join(folder, 'raw')));
			await expect(importBytes(packed, {behaviour, checksum: sha256(inner)})).rejects.toThrow(
				refused('ChecksumMismatch', /have the sha256 checksum/),
			);
			expect(await readdir(claim)).toEqual([]);
		}
	});

	test('what ends too early is truncated', async () => {
		for (const inner of [raw, qcow2]) {
			const packed = zstdCompressSync(inner);
			await expect(importBytes(packed.subarray(0, -5000), {behaviour})).rejects.toThrow(
				refused('InvalidImage', /truncated: it ends in the middle of its zstd data/),
			);
			expect(await readdir(claim)).toEqual([]);
		}
	});

	test('what does not fit is refused before it is all unpacked', async () => {
		const claimed = {behaviour, requestedBytes: String(4 * MiB)};
		await expect(importBytes(gzipSync(Buffer.alloc(20 * MiB)), claimed)).rejects.toThrow(
			refused('ImageTooLarge', /does not fit/),
		);
		expect(await readdir(claim)).toEqual([]);
	});
});

test('a cut connection is worth another try, whatever the decoder says', async () => {
	const packed = gzipSync(raw);
	for (const behaviour of [
		{ignoreRange: true, cutAfterBytes: packed.length - 5000},
		{ignoreRange: true, hideLength: true, cutAfterBytes: packed.length - 5000},
		{after: 1, cutAfterBytes: 0},
	]) {
		await expect(importBytes(packed, {behaviour})).rejects.toThrow(refused('SourceUnreachable', /./, true));
	}
	await importBytes(packed, {behaviour: {after: 1, times: 8, cutAfterBytes: 150_000}});
	expect(await digestOf(join(claim, 'disk.img'), rawBytes)).toBe(await digestOf(join(folder, 'raw')));
});

test.each<[string, () => Buffer, string, RegExp]>([
	['compressed twice', () => gzipSync(zstdCompressSync(raw)), 'FormatNotSupported', /compressed twice: zstd came out/],
	[
		'a web page',
		() => gzipSync(Buffer.from('<html>Sign in</html>')),
		'InvalidImage',
		/unpacked from gzip\) is no disk image but text/,
	],
	['a compressed archive', () => gzipSync(tarLike()), 'FormatNotSupported', /tar format/],
	['nothing', () => gzipSync(Buffer.alloc(0)), 'InvalidImage', /is empty/],
	[
		'half a sector',
		() => gzipSync(raw.subarray(0, 2 * MiB + 100)),
		'InvalidImage',
		/no whole number of 512-byte sectors/,
	],
	[
		'a truncated container',
		() => gzipSync(qcow2.subarray(0, qcow2.length / 2)),
		'InvalidImage',
		/truncated or damaged/,
	],
	[
		'no gzip after all',
		() => Buffer.concat([Buffer.from([0x1f, 0x8b, 8]), raw.subarray(0, 9000)]),
		'InvalidImage',
		/damaged/,
	],
])('%s', async (_, make, reason, message) => {
	await expect(importBytes(make())).rejects.toThrow(refused(reason, message));
	expect(await readdir(claim)).toEqual([]);
});

function tarLike(): Buffer {
	const bytes = Buffer.alloc(10_240);
	bytes.write('disk.raw');
	bytes.write('ustar', 257);
	return bytes;
}

test('a container that goes on and on is not put down', async () => {
	const endless = zstdCompressSync(Buffer.concat([qcow2, Buffer.alloc(150 * MiB)]));
	const claimed = {requestedBytes: String(rawBytes)};
	await using small = await smallFileSystem('claim', 30);
	if (!small) return;
	await expect(importBytes(endless, claimed)).rejects.toThrow(
		refused('ImageTooLarge', /put down before .* Ask for a larger claim/),
	);
	expect(await readdir(claim)).toEqual([]);
});

/** Mounted at a folder of this test. Undefined where this user may not. */
async function smallFileSystem(name: string, mebibytes: number): Promise<AsyncDisposable | undefined> {
	if (!isRoot) return undefined;
	const path = join(folder, name);
	await mkdir(path, {recursive: true});
	await run('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}M`, 'tmpfs', path]);
	return {
		async [Symbol.asyncDispose]() {
			await run('umount', [path]);
		},
	};
}

describe.runIf(isRoot)('where there is too little room to put it down', () => {
	test('beside the disk', async () => {
		await using _ = await smallFileSystem('claim', 3);
		await expect(importBytes(gzipSync(qcow2), {requestedBytes: String(rawBytes)})).rejects.toThrow(
			refused('ImageTooLarge', /./),
		);
		expect(await readdir(claim)).toEqual([]);
	});

	test('on the node, for a device', async () => {
		await using _ = await smallFileSystem('scratch', 3);
		const file = join(folder, 'device');
		await writeFile(file, '');
		await truncate(file, 16 * MiB);
		await using device = await attachLoop(file);
		server.serve('/image', gzipSync(qcow2));
		server.behave('/image');
		const changes = {requestedBytes: String(16 * MiB), scratchDir: join(folder, 'scratch')};
		const target = {volumeMode: 'Block', path: device.path} as const;
		await expect(importTo(target, `${server.url}/image`, changes)).rejects.toThrow(
			refused('TargetWriteFailed', /ephemeral storage/, true),
		);
		expect(await readdir(join(folder, 'scratch'))).toEqual([]);
	});
});

test('a disk that ends within a sector is looked at again when it was written', async () => {
	const odd = Buffer.concat([raw.subarray(0, 3 * MiB), Buffer.alloc(100, 1)]);
	odd.write('\u0001CD001', 32_768);
	await importBytes(gzipSync(odd));
	expect((await readFile(join(claim, 'disk.img'))).subarray(0, odd.length).equals(odd)).toBe(true);
});

test('a raw disk keeps its holes', async () => {
	await importBytes(zstdCompressSync(raw));
	expect((await stat(join(claim, 'disk.img'))).blocks * 512).toBeLessThan(6 * MiB);
});
