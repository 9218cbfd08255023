/** A copier that is killed, and what the next one does. Real processes, real devices. */
import {execFile} from 'node:child_process';
import {createReadStream} from 'node:fs';
import {mkdir, mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {promisify} from 'node:util';
import {afterEach, beforeAll, beforeEach, describe, expect, test, vi} from 'vitest';
import {attachLoop, digestOf, type LoopDevice, makeRawDisk} from '../../test/support/disk-images.ts';
import type {CopyTask, WorkerResult, WorkerVolume} from '../api/worker-contract.ts';
import {workerTaskVariable} from '../api/worker-contract.ts';
import {journalBytes} from './journal.ts';

const MiB = 1024 * 1024;
const diskBytes = 24 * MiB;
const dataBytes = 16 * MiB;
const targetBytes = 32 * MiB;
const isRoot = process.getuid?.() === 0;
const program = path.resolve(import.meta.dirname, '../../test/support/kill-copy.ts');

/** A process for every try, on a machine that may do other things as well. */
vi.setConfig({testTimeout: 120_000});

let disks = '';
beforeAll(async () => {
	disks = await mkdtemp(path.join(tmpdir(), 'onesnap-disks-'));
	for (const seed of [1, 7]) {
		await makeRawDisk(path.join(disks, String(seed)), {sizeBytes: diskBytes, dataBytes, seed});
	}
	return () => rm(disks, {recursive: true});
});

let folder = '';
let devices: LoopDevice[] = [];
beforeEach(async () => {
	folder = await mkdtemp(path.join(tmpdir(), 'onesnap-resume-'));
});
afterEach(async () => {
	for (const device of devices) await device[Symbol.asyncDispose]();
	devices = [];
	await rm(folder, {recursive: true});
});

async function volume(name: string, volumeMode: WorkerVolume['volumeMode'], sizeBytes: number): Promise<WorkerVolume> {
	const place = path.join(folder, name);
	if (volumeMode === 'Filesystem') {
		await mkdir(place);
		return {volumeMode, path: place};
	}
	await writeFile(place, '');
	await truncate(place, sizeBytes);
	const device = await attachLoop(place);
	devices.push(device);
	return {volumeMode, path: device.path};
}

const diskOf = ({volumeMode, path: place}: WorkerVolume) =>
	volumeMode === 'Block' ? place : path.join(place, 'disk.img');

async function makeSource(volumeMode: WorkerVolume['volumeMode'], seed = 1): Promise<WorkerVolume> {
	const source = await volume('source', volumeMode, diskBytes);
	await fillSource(source, seed);
	return source;
}

async function fillSource(source: WorkerVolume, seed: number): Promise<void> {
	await promisify(execFile)('cp', ['--sparse=never', path.join(disks, String(seed)), diskOf(source)]);
	await promisify(execFile)('sync', [diskOf(source)]);
}

interface End {
	readonly killed: boolean;
	readonly result: WorkerResult | undefined;
	readonly stderr: string;
}

interface Kill {
	/** As soon as the journal says that these are done. */
	readonly atMiB?: number;
	readonly afterReports?: number;
}

async function runProcess(task: CopyTask, {atMiB, afterReports}: Kill = {}): Promise<End> {
	return new Promise((resolve) => {
		execFile(
			process.execPath,
			[program],
			{
				env: {
					...process.env,
					[workerTaskVariable]: JSON.stringify(task),
					...(atMiB !== undefined && {KILL_AT_BYTES: String(atMiB * MiB)}),
					...(afterReports !== undefined && {KILL_AFTER_REPORTS: String(afterReports)}),
				},
			},
			(error, stdout, stderr) => {
				const result = stdout === '' ? undefined : (JSON.parse(stdout) as WorkerResult);
				resolve({killed: error?.signal === 'SIGKILL', result, stderr});
			},
		);
	});
}

function taskOf(source: WorkerVolume, target: WorkerVolume, content: string | undefined): CopyTask {
	return {
		role: 'copy',
		source,
		target,
		ownerUid: 'uid',
		requestedBytes: String(targetBytes),
		filesystemOverhead: 0,
		preallocation: false,
		...(content !== undefined && {content}),
	};
}

function bytesRead({result, stderr}: End): number {
	if (result?.outcome !== 'succeeded') throw new Error(`no success: ${stderr}`);
	return Number(result.bytesRead);
}

async function expectCopied(source: WorkerVolume, target: WorkerVolume): Promise<void> {
	expect(await digestOf(diskOf(target), diskBytes)).toBe(await digestOf(diskOf(source), diskBytes));
	// Beyond the source: nothing, and nothing of the journal.
	for await (const rest of createReadStream(diskOf(target), {start: diskBytes})) {
		expect((rest as Buffer).every((byte) => byte === 0)).toBe(true);
	}
	if (target.volumeMode === 'Filesystem') expect(await readdir(target.path)).toEqual(['disk.img']);
}

const modes = ['Filesystem', 'Block'] as const;
describe.runIf(isRoot)('killed in the middle', () => {
	const ways = modes.flatMap((from) => modes.map((to) => [from, to] as const));

	test.each(ways)(
		'from %s to %s, at many places, one after the other: right bytes, and each try reads less',
		async (from, to) => {
			const source = await makeSource(from);
			const target = await volume('target', to, targetBytes);
			const task = taskOf(source, target, 'source/target');
			for (const atMiB of [3, 7, 11]) expect(await runProcess(task, {atMiB})).toMatchObject({killed: true, stderr: ''});
			const last = await runProcess(task);
			expect(last.result).toMatchObject({outcome: 'succeeded', message: expect.stringContaining('went on at')});
			expect(bytesRead(last)).toBeLessThanOrEqual(diskBytes - 11 * MiB);
			await expectCopied(source, target);
		},
	);

	test.each(modes)('again and again, with and without a checkpoint in between, to %s', async (to) => {
		const source = await makeSource('Filesystem');
		const target = await volume('target', to, diskBytes);
		const task = taskOf(source, target, 'source/target');
		let kills = 0;
		// Each goes on from the last checkpoint before, if there was one, and gets further.
		for (; (await runProcess(task, {afterReports: 1 + 3 * kills})).killed; kills++);
		expect(kills).toBeGreaterThan(2);
		await expectCopied(source, target);
	});

	test.each(modes)('and the source may have changed: begins anew, to %s', async (to) => {
		const source = await makeSource('Filesystem', 1);
		const target = await volume('target', to, targetBytes);
		expect((await runProcess(taskOf(source, target, undefined), {afterReports: 18})).killed).toBe(true);
		await fillSource(source, 7);
		const last = await runProcess(taskOf(source, target, undefined));
		expect(bytesRead(last)).toBe(diskBytes);
		await expectCopied(source, target);
	});

	test.each(modes)('a journal of another copy is not believed, to %s', async (to) => {
		const source = await makeSource('Filesystem', 1);
		const target = await volume('target', to, targetBytes);
		expect((await runProcess(taskOf(source, target, 'source/target'), {atMiB: 8})).killed).toBe(true);
		await fillSource(source, 7);
		const last = await runProcess(taskOf(source, target, 'another source/target'));
		expect(bytesRead(last)).toBe(diskBytes);
		await expectCopied(source, target);
	});

	test('a torn journal leaves the record before it; without either the copy begins anew', async () => {
		const source = await makeSource('Filesystem');
		const target = await volume('target', 'Filesystem', 0);
		const task = taskOf(source, target, 'source/target');
		expect((await runProcess(task, {atMiB: 8})).killed).toBe(true);
		const journal = path.join(target.path, 'disk.img.journal');
		const bytes = await readFile(journal);
		expect(bytes.length).toBe(journalBytes);
		const sequences = [0, 1].map((slot) => Number(/"sequence":(\d+)/.exec(bytes.toString('latin1', slot * 4096))?.[1]));
		const newer = (sequences[0] ?? 0) > (sequences[1] ?? 0) ? 0 : 1;
		const tear = async (slot: number) => {
			await using handle = await open(journal, 'r+');
			await handle.write(Buffer.alloc(2048), 0, 2048, slot * 4096 + 30);
		};
		await tear(newer);
		expect((await runProcess(task, {afterReports: 3})).killed).toBe(true);
		await tear(0);
		await tear(1);
		const last = await runProcess(task);
		expect(bytesRead(last)).toBe(diskBytes);
		await expectCopied(source, target);
	});

	test('a disk that is not the one of the journal begins anew', async () => {
		const source = await makeSource('Filesystem');
		const target = await volume('target', 'Filesystem', 0);
		const task = taskOf(source, target, 'source/target');
		expect((await runProcess(task, {atMiB: 8})).killed).toBe(true);
		await rm(diskOf(target));
		expect(bytesRead(await runProcess(task))).toBe(diskBytes);
		await expectCopied(source, target);
	});

	test('where every block must be allocated, what was not written yet is', async () => {
		const source = await makeSource('Filesystem');
		const target = await volume('target', 'Block', targetBytes);
		const task = {...taskOf(source, target, 'source/target'), preallocation: true};
		expect((await runProcess(task, {atMiB: 8})).killed).toBe(true);
		expect((await runProcess(task)).result).toMatchObject({outcome: 'succeeded'});
		await expectCopied(source, target);
		expect((await stat(path.join(folder, 'target'))).blocks * 512).toBeGreaterThanOrEqual(targetBytes);
	});
});

describe.runIf(isRoot)('several targets of one source at the same time', () => {
	test.each(modes)('get the same bytes, and leave a %s source as it was', async (from) => {
		const source = await makeSource(from);
		const before = await digestOf(diskOf(source));
		const targets = await Promise.all(
			['a', 'b', 'c', 'd'].map((name, index) => volume(name, modes[index % 2] ?? 'Block', targetBytes)),
		);
		const ends = await Promise.all(
			targets.map((target, index) =>
				runProcess(taskOf(source, target, undefined), index === 3 ? {afterReports: 10} : {}),
			),
		);
		expect(ends.map(({killed}) => killed)).toEqual([false, false, false, true]);
		for (const target of targets.slice(0, 3)) await expectCopied(source, target);
		expect(await digestOf(diskOf(source))).toBe(before);
	});
});
