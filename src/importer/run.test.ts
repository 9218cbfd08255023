import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {afterAll, beforeAll, beforeEach, describe, expect, test, vi} from 'vitest';
import {attachLoop, convertToQcow2, digestOf, makeRawDisk, noise, qemuImg} from '../../test/support/disk-images.ts';
import {type Behaviour, type ImageServer, startImageServer} from '../../test/support/image-server.ts';
import {importTask, importTo, type TaskChanges} from '../../test/support/import-runs.ts';
import {parseTerminationMessage, type WorkerResult, type WorkerVolume} from '../api/worker-contract.ts';
import {defaultImportTuning} from './run.ts';

const MiB = 1024 * 1024;
const diskBytes = 48 * MiB;
const claimBytes = 64 * MiB;
/** Where a qcow2 header names its first table. */
const l1TableOffsetAt = 40;

let folder = '';
let claim = '';
let server: ImageServer;
let rawDigest = '';

const formats: Record<string, readonly string[]> = {
	'/plain.qcow2': [],
	'/zlib.qcow2': ['-c'],
	'/zstd.qcow2': ['-c', '-o', 'compression_type=zstd'],
	'/v2.qcow2': ['-c', '-o', 'compat=0.10'],
	'/large-clusters.qcow2': ['-o', 'cluster_size=2M'],
	'/extended-l2.qcow2': ['-o', 'extended_l2=on,cluster_size=128k'],
};

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'onesnap-import-'));
	const raw = join(folder, 'disk.raw');
	await makeRawDisk(raw, {sizeBytes: diskBytes, dataBytes: 16 * MiB});
	rawDigest = await digestOf(raw);
	const files: Record<string, string> = {'/disk.raw': raw};
	for (const [path, args] of Object.entries(formats)) {
		files[path] = join(folder, path);
		await convertToQcow2(raw, join(folder, path), args);
	}
	server = await startImageServer({files});
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

interface Changes extends TaskChanges {
	readonly target?: WorkerVolume;
}
const inClaim = (): WorkerVolume => ({volumeMode: 'Filesystem', path: claim});

async function importImage(
	path: string,
	{target = inClaim(), ...changes}: Changes = {},
): Promise<{result: WorkerResult; percents: number[]}> {
	const percents: number[] = [];
	const result = await importTo(target, `${server.url}${path}`, changes, (percent) => percents.push(percent));
	return {result, percents};
}

/** The disk is the image, and zeros up to the size of the claim. */
async function expectDisk(path: string, sizeBytes = claimBytes): Promise<void> {
	expect(await digestOf(path, diskBytes)).toBe(rawDigest);
	await using handle = await open(path);
	const {buffer} = await handle.read(Buffer.alloc(sizeBytes - diskBytes), 0, sizeBytes - diskBytes, diskBytes);
	expect(buffer.every((byte) => byte === 0)).toBe(true);
}

describe('into disk.img', () => {
	test.each([...Object.keys(formats), '/disk.raw'])('%s is bit for bit what qemu-img makes of it', async (path) => {
		server.behave(path);
		const before = server.bytesServed(path);
		const {result, percents} = await importImage(path);
		expect(result).toMatchObject({outcome: 'succeeded', virtualBytes: String(claimBytes)});
		await expectDisk(join(claim, 'disk.img'));
		const {size, mode, blocks} = await stat(join(claim, 'disk.img'));
		expect(size).toBe(claimBytes);
		expect(mode & 0o777).toBe(0o660);
		expect(blocks * 512, 'holes are kept').toBeLessThan(30 * MiB);
		expect(percents.at(-1)).toBe(100);
		expect(percents).toEqual([...percents].sort((a, b) => a - b));
		const fetched = server.bytesServed(path) - before;
		expect(fetched / (await stat(join(folder, path))).size, 'fetched once').toBeLessThan(1.1);
		expect(await readdir(claim)).toEqual(['disk.img']);
	});

	test('a stream of unknown length is a share of what the claim holds, until it ends', async () => {
		server.behave('/disk.raw', {ignoreRange: true, hideLength: true});
		const {percents} = await importImage('/disk.raw');
		expect(percents).toEqual([...percents].sort((a, b) => a - b));
		const [before = 0, last] = percents.slice(-2);
		const {size} = await stat(join(folder, '/disk.raw'));
		expect(before).toBeCloseTo((size / claimBytes) * 99, 0);
		expect(last).toBe(100);
		server.behave('/disk.raw');
	});

	test.each(['/zlib.qcow2', '/disk.raw'])('%s with its right checksum, fetched once', async (path) => {
		server.behave(path);
		const checksum = `sha256:${await digestOf(join(folder, path))}`;
		const before = server.bytesServed(path);
		await importImage(path, {checksum});
		await expectDisk(join(claim, 'disk.img'));
		expect((server.bytesServed(path) - before) / (await stat(join(folder, path))).size).toBeLessThan(1.1);
	});

	test.each(['/zlib.qcow2', '/disk.raw'])('%s from a server without Range', async (path) => {
		server.behave(path, {ignoreRange: true});
		const checksum = `sha512:${'0'.repeat(128)}`;
		await expect(importImage(path, {checksum})).rejects.toThrow(expect.objectContaining({reason: 'ChecksumMismatch'}));
		await importImage(path);
		await expectDisk(join(claim, 'disk.img'));
		expect(await readdir(claim), 'no scratch file stays').toEqual(['disk.img']);
	});

	test('from a server that cuts, stalls and refuses in between', async () => {
		server.behave(
			'/zlib.qcow2',
			{after: 2, times: 1, status: 503},
			{after: 4, times: 6, cutAfterBytes: 100_000},
			{after: 12, times: 1, stallAfterBytes: 70_000},
		);
		const {result} = await importImage('/zlib.qcow2');
		expect(result.outcome).toBe('succeeded');
		await expectDisk(join(claim, 'disk.img'));
	});

	test.each<[string, Behaviour]>([
		['forgets about Range after its first answer', {after: 1, ignoreRange: true}],
		['answers every Range with another one', {wrongContentRange: true}],
		['answers every Range with 416', {refuseRange: true}],
	])('from a server that %s: as one stream', async (_, behaviour) => {
		for (const path of ['/zlib.qcow2', '/disk.raw']) {
			server.behave(path, behaviour);
			const {percents} = await importImage(path, {checksum: `sha256:${await digestOf(join(folder, path))}`});
			expect(percents.at(-1)).toBe(100);
			await expectDisk(join(claim, 'disk.img'));
			expect(await readdir(claim)).toEqual(['disk.img']);
			server.behave(path);
		}
	});

	test('preallocated on request', async () => {
		server.behave('/zlib.qcow2');
		await importImage('/zlib.qcow2', {preallocation: true});
		await expectDisk(join(claim, 'disk.img'));
		expect((await stat(join(claim, 'disk.img'))).blocks * 512).toBeGreaterThanOrEqual(claimBytes);
	});

	test('a blank disk has the usable size and takes no room', async () => {
		await importImage('', {source: {kind: 'blank'}, filesystemOverhead: 0.06});
		const {size, blocks} = await stat(join(claim, 'disk.img'));
		expect(size).toBe(60 * MiB);
		expect(blocks).toBe(0);
	});
});

describe.runIf(process.getuid?.() === 0)('into a block device', () => {
	test.each(['/zlib.qcow2', '/disk.raw'])('%s, whatever was on it', async (path) => {
		const file = join(folder, 'device');
		await writeFile(file, noise(claimBytes));
		await using device = await attachLoop(file);
		server.behave(path);
		await importImage(path, {target: {volumeMode: 'Block', path: device.path}});
		await expectDisk(device.path);
		expect((await stat(file)).blocks * 512, 'holes are discarded').toBeLessThan(30 * MiB);
	});

	test('a blank disk, whatever was on it', async () => {
		const file = join(folder, 'device');
		await writeFile(file, noise(claimBytes));
		await using device = await attachLoop(file);
		await importImage('', {source: {kind: 'blank'}, target: {volumeMode: 'Block', path: device.path}});
		expect((await stat(file)).blocks).toBe(0);
	});

	test('allocated all of it where preallocation is wanted', async () => {
		const file = join(folder, 'device');
		await writeFile(file, '');
		await truncate(file, claimBytes);
		await using device = await attachLoop(file);
		server.behave('/zlib.qcow2');
		await importImage('/zlib.qcow2', {target: {volumeMode: 'Block', path: device.path}, preallocation: true});
		await expectDisk(device.path);
		expect((await stat(file)).blocks * 512).toBeGreaterThanOrEqual(claimBytes);
	});
});

describe('bad input is refused in words, and leaves nothing', () => {
	beforeAll(async () => {
		const backed = join(folder, 'backed.qcow2');
		await qemuImg('create', '-q', '-f', 'qcow2', '-b', '/etc/hostname', '-F', 'raw', backed, '1M');
		const dataFile = join(folder, 'data-file.qcow2');
		await qemuImg(
			'create',
			'-q',
			'-f',
			'qcow2',
			'-o',
			`data_file=${join(folder, 'external.raw')},data_file_raw=on`,
			dataFile,
			'1M',
		);
		const encrypted = join(folder, 'encrypted.qcow2');
		await qemuImg(
			'create',
			'-q',
			'-f',
			'qcow2',
			'--object',
			'secret,id=s,data=abc',
			'-o',
			// Not luks: making its key measures the CPU's time, which fails now and then on a virtual machine.
			'encrypt.format=aes,encrypt.key-secret=s',
			encrypted,
			'1M',
		);
		const whole = await readFile(join(folder, 'plain.qcow2'));
		const damaged = Buffer.from(await readFile(join(folder, 'zlib.qcow2')));
		noise(512).copy(damaged, Number(damaged.readBigUInt64BE(l1TableOffsetAt)));
		for (const [path, file] of Object.entries({
			'/page.html': Buffer.from('<!DOCTYPE html><html><body>Please sign in</body></html>'),
			'/empty': Buffer.alloc(0),
			'/backed.qcow2': backed,
			'/data-file.qcow2': dataFile,
			'/encrypted.qcow2': encrypted,
			'/truncated.qcow2': whole.subarray(0, Math.floor(whole.length / 2)),
			'/header-only.qcow2': whole.subarray(0, 60),
			'/damaged.qcow2': damaged,
			'/disk.zip': Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(1020)]),
		})) {
			server.serve(path, file);
		}
	});

	const small = {requestedBytes: String(25 * MiB)};
	test.each<[string, string, string, RegExp, TaskChanges?]>([
		['a 404', '/nothing', 'SourceNotFound', /answered 404/],
		['a web page', '/page.html', 'InvalidImage', /no disk image but text.*Please sign in/],
		['an empty body', '/empty', 'InvalidImage', /is empty/],
		['a backing file', '/backed.qcow2', 'ImageNotStandalone', /needs a backing file/],
		['an external data file', '/data-file.qcow2', 'ImageNotStandalone', /needs an external data file/],
		['encryption', '/encrypted.qcow2', 'ImageEncrypted', /encrypted/],
		[
			'a truncated qcow2',
			'/truncated.qcow2',
			'InvalidImage',
			/truncated or damaged: it refers to byte \d+, but ends after/,
		],
		['only a header', '/header-only.qcow2', 'InvalidImage', /only 60 bytes/],
		['damaged clusters', '/damaged.qcow2', 'InvalidImage', /damaged/],
		['another format', '/disk.zip', 'FormatNotSupported', /zip/],
		[
			'a qcow2 too large',
			'/zlib.qcow2',
			'ImageTooLarge',
			/50331648 bytes \(48.00 MiB\), the claim holds 26214400 bytes.*Ask for at least 50331648 bytes/,
			small,
		],
		['a raw image too large', '/disk.raw', 'ImageTooLarge', /50331648 bytes/, small],
		['a wrong checksum', '/zlib.qcow2', 'ChecksumMismatch', /asks for 00000/, {checksum: `md5:${'0'.repeat(32)}`}],
		[
			'a wrong checksum of a raw image',
			'/disk.raw',
			'ChecksumMismatch',
			/asks for 00000/,
			{checksum: `sha1:${'0'.repeat(40)}`},
		],
	])('%s', async (_, path, reason, message, changes) => {
		await expect(importImage(path, changes)).rejects.toThrow(
			expect.objectContaining({reason, retryable: false, message: expect.stringMatching(message) as string}),
		);
		expect(await readdir(claim)).toEqual([]);
	});

	test('a stream of unknown length that turns out too large', async () => {
		server.behave('/disk.raw', {ignoreRange: true, hideLength: true});
		await expect(importImage('/disk.raw', small)).rejects.toThrow(expect.objectContaining({reason: 'ImageTooLarge'}));
		expect(await readdir(claim)).toEqual([]);
		server.behave('/disk.raw');
	});

	test.runIf(process.getuid?.() === 0)(
		'a qcow2 without Range into a device, beside which there is no room',
		async () => {
			const file = join(folder, 'device');
			await writeFile(file, '');
			await truncate(file, claimBytes);
			await using device = await attachLoop(file);
			server.behave('/zlib.qcow2', {ignoreRange: true});
			await expect(importImage('/zlib.qcow2', {target: {volumeMode: 'Block', path: device.path}})).rejects.toThrow(
				expect.objectContaining({reason: 'FormatNotSupported', message: expect.stringContaining('Range') as string}),
			);
			server.behave('/zlib.qcow2');
		},
	);

	test('a source that changes midway, which is worth another try', async () => {
		server.behave('/zlib.qcow2', {etag: '"1"', times: 3}, {etag: '"2"', after: 3});
		await expect(importImage('/zlib.qcow2')).rejects.toThrow(
			expect.objectContaining({reason: 'SourceChanged', retryable: true}),
		);
		server.behave('/zlib.qcow2');
	});
});

describe('as a program', () => {
	function start(path: string, changes: TaskChanges = {}) {
		const child = spawn(process.execPath, [join(import.meta.dirname, '../bin/importer.ts')], {
			env: {
				...process.env,
				// What a killed worker leaves there goes with the folder.
				TMPDIR: folder,
				ONESNAP_TASK: JSON.stringify(importTask(inClaim(), `${server.url}${path}`, changes)),
				ONESNAP_TERMINATION_LOG: join(folder, 'termination-log'),
				ONESNAP_METRICS_PORT: '0',
			},
			stdio: 'ignore',
		});
		return {child, ended: once(child, 'exit').then(([code]) => code as number | null)};
	}

	const message = async () => parseTerminationMessage(await readFile(join(folder, 'termination-log'), 'utf8'));

	test('killed at any moment, the next try ends with the right bytes', async () => {
		server.behave('/zlib.qcow2', {bytesPerSecond: MiB});
		for (const afterMs of [250, 500, 900]) {
			const {child, ended} = start('/zlib.qcow2');
			await sleep(afterMs);
			child.kill('SIGKILL');
			await ended;
		}
		server.behave('/zlib.qcow2');
		expect(await start('/zlib.qcow2').ended).toBe(0);
		expect(await message()).toMatchObject({outcome: 'succeeded'});
		await expectDisk(join(claim, 'disk.img'));
	}, 20_000);

	test('a permanent failure exits 0 and tells itself from success', async () => {
		expect(await start('/nothing').ended).toBe(0);
		expect(await message()).toMatchObject({outcome: 'failed', reason: 'SourceNotFound', retryable: false});
	});

	test('asked to stop, it says Interrupted and exits 1', async () => {
		server.behave('/zlib.qcow2', {bytesPerSecond: MiB / 4});
		const before = server.requests('/zlib.qcow2');
		const {child, ended} = start('/zlib.qcow2');
		await vi.waitFor(() => expect(server.requests('/zlib.qcow2')).toBeGreaterThan(before), {timeout: 15_000});
		child.kill('SIGTERM');
		expect(await ended).toBe(1);
		expect(await message()).toMatchObject({outcome: 'failed', reason: 'Interrupted', retryable: true});
		server.behave('/zlib.qcow2');
	});
});

test('the whole window fits the memory that a worker may use', () => {
	expect(defaultImportTuning.window.budgetBytes).toBeLessThanOrEqual(128 * MiB);
});
