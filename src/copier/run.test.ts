import {execFile} from 'node:child_process';
import {statSync} from 'node:fs';
import {
	chmod,
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	readlink,
	rm,
	stat,
	symlink,
	truncate,
	writeFile,
} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import {attachLoop, digestOf, makeRawDisk, noise} from '../../test/support/disk-images.ts';
import type {CopyTask, WorkerResult, WorkerVolume} from '../api/worker-contract.ts';
import {silentLogger} from '../process/log.ts';
import {LocalSource} from './local-source.ts';
import {runCopy} from './run.ts';

const MiB = 1024 * 1024;
const diskBytes = 32 * MiB;
const run = promisify(execFile);
const isRoot = process.getuid?.() === 0;

let folder = '';
let source: WorkerVolume;
let target: WorkerVolume;

beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), 'onesnap-copy-'));
	source = {volumeMode: 'Filesystem', path: join(folder, 'source')};
	target = {volumeMode: 'Filesystem', path: join(folder, 'target')};
	await mkdir(source.path);
	await mkdir(target.path);
});
afterEach(() => rm(folder, {recursive: true}));

async function copy(changes: Partial<CopyTask> = {}): Promise<{result: WorkerResult; percents: number[]}> {
	const percents: number[] = [];
	const {source: from = source, ...task} = changes;
	await using reader = new LocalSource(from);
	const result = await runCopy({
		source: reader,
		task: {
			target,
			ownerUid: 'uid',
			requestedBytes: String(40 * MiB),
			filesystemOverhead: 0,
			preallocation: false,
			...task,
		},
		progress: {report: (percent) => percents.push(percent)},
		log: silentLogger,
		signal: AbortSignal.timeout(20_000),
	});
	return {result, percents};
}

async function makeDisk(): Promise<string> {
	const path = join(source.path, 'disk.img');
	await makeRawDisk(path, {sizeBytes: diskBytes, dataBytes: 4 * MiB});
	return digestOf(path);
}

async function makeDevice(name: string, sizeBytes: number, contents?: Buffer) {
	const file = join(folder, name);
	await writeFile(file, contents ?? '');
	await truncate(file, sizeBytes);
	return {file, device: await attachLoop(file)};
}

describe('from disk.img to disk.img', () => {
	test('the same bytes, the same holes, grown to the claim', async () => {
		const digest = await makeDisk();
		const {result, percents} = await copy();
		expect(result).toMatchObject({outcome: 'succeeded', virtualBytes: String(40 * MiB)});
		const disk = join(target.path, 'disk.img');
		expect(await digestOf(disk, diskBytes)).toBe(digest);
		const {size, blocks, mode} = await stat(disk);
		expect(size).toBe(40 * MiB);
		expect(blocks * 512).toBeLessThan(8 * MiB);
		expect(mode & 0o777).toBe(0o660);
		expect(percents).toEqual([...percents].sort((a, b) => a - b));
	});

	test('what an earlier try left is gone', async () => {
		const digest = await makeDisk();
		await writeFile(join(target.path, 'disk.img'), noise(diskBytes + 4096));
		await writeFile(join(target.path, 'half a file'), 'x');
		await copy();
		expect(await digestOf(join(target.path, 'disk.img'), diskBytes)).toBe(digest);
		expect(await readdir(target.path)).toEqual(['disk.img']);
	});

	test('into a claim that is smaller is refused, with both sizes', async () => {
		await makeDisk();
		await expect(copy({requestedBytes: String(16 * MiB)})).rejects.toThrow(
			expect.objectContaining({
				reason: 'ImageTooLarge',
				message: expect.stringMatching(/33554432 bytes.*holds 16777216 bytes/) as string,
			}),
		);
		expect(await readdir(target.path)).toEqual([]);
	});
});

test.each([
	['enough work and time since the last', {bytes: MiB, ms: 0}, true],
	['little time', {bytes: MiB, ms: Number.POSITIVE_INFINITY}, false],
	['little work', {bytes: Number.POSITIVE_INFINITY, ms: 0}, false],
])('after %s, how far the copy is was written down: %j %s', async (_, checkpointing, isWritten) => {
	const digest = await makeDisk();
	const sizes: number[] = [];
	await using reader = new LocalSource(source);
	await runCopy({
		source: reader,
		task: {
			target,
			ownerUid: 'uid',
			requestedBytes: String(diskBytes),
			filesystemOverhead: 0,
			preallocation: false,
			content: 'source/target',
		},
		checkpointing,
		progress: {
			report() {
				sizes.push(statSync(join(target.path, 'disk.img.journal'), {throwIfNoEntry: false})?.size ?? 0);
			},
		},
		log: silentLogger,
		signal: AbortSignal.timeout(20_000),
	});
	expect(Math.max(...sizes) > 0).toBe(isWritten);
	expect(await digestOf(join(target.path, 'disk.img'), diskBytes)).toBe(digest);
	expect(await readdir(target.path)).toEqual(['disk.img']);
});

describe.runIf(isRoot)('with block devices', () => {
	test('from disk.img to a device, whatever was on it', async () => {
		const digest = await makeDisk();
		const {file, device} = await makeDevice('device', 40 * MiB, noise(40 * MiB));
		await using _ = device;
		await copy({target: {volumeMode: 'Block', path: device.path}});
		expect(await digestOf(device.path, diskBytes)).toBe(digest);
		await run('cmp', ['--ignore-initial', String(diskBytes), '--bytes', String(8 * MiB), device.path, '/dev/zero']);
		expect((await stat(file)).blocks * 512).toBeLessThan(8 * MiB);
	});

	test('from a device to disk.img', async () => {
		const {device} = await makeDevice('device', diskBytes, noise(2 * MiB));
		await using _ = device;
		await copy({source: {volumeMode: 'Block', path: device.path}});
		expect(await digestOf(join(target.path, 'disk.img'), diskBytes)).toBe(await digestOf(device.path));
		expect((await stat(join(target.path, 'disk.img'))).blocks * 512).toBeLessThan(4 * MiB);
	});

	test('from device to device', async () => {
		const from = await makeDevice('from', diskBytes, noise(2 * MiB));
		await using source = from.device;
		const to = await makeDevice('to', diskBytes, noise(3 * MiB, 9));
		await using target = to.device;
		await copy({
			source: {volumeMode: 'Block', path: source.path},
			target: {volumeMode: 'Block', path: target.path},
		});
		expect(await digestOf(target.path)).toBe(await digestOf(source.path));
	});

	test('files alone are no disk for a device', async () => {
		await writeFile(join(source.path, 'a file'), 'x');
		const {device} = await makeDevice('device', diskBytes);
		await using _ = device;
		await expect(copy({target: {volumeMode: 'Block', path: device.path}})).rejects.toThrow(
			expect.objectContaining({
				reason: 'SourceVolumeInvalid',
				message: expect.stringContaining('It holds a file.') as string,
			}),
		);
	});
});

test('a tree of files is copied with modes and links, without lost+found', async () => {
	await mkdir(join(source.path, 'sub/deep'), {recursive: true});
	await mkdir(join(source.path, 'lost+found'));
	await writeFile(join(source.path, 'sub/deep/-odd name'), 'contents');
	await chmod(join(source.path, 'sub/deep/-odd name'), 0o640);
	await symlink('/etc/passwd', join(source.path, 'link'));
	await copy();
	expect((await readdir(target.path)).sort()).toEqual(['link', 'sub']);
	expect(await readFile(join(target.path, 'sub/deep/-odd name'), 'utf8')).toBe('contents');
	expect((await stat(join(target.path, 'sub/deep/-odd name'))).mode & 0o777).toBe(0o640);
	expect(await readlink(join(target.path, 'link'))).toBe('/etc/passwd');
});

test('files that are called as what lies beside a disk are copied, where there is no disk', async () => {
	const names = ['disk.img.journal', 'disk.img.scratch'];
	for (const name of names) await writeFile(join(source.path, name), `the user's ${name}`);
	await copy();
	expect((await readdir(target.path)).sort()).toEqual(names);
});

test('an empty volume makes an empty volume', async () => {
	expect((await copy()).result).toMatchObject({outcome: 'succeeded'});
	expect(await readdir(target.path)).toEqual([]);
});
