import {mkdir, mkdtemp, rm, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {beforeEach, expect, test} from 'vitest';
import {measureDisk} from './measure.ts';

let folder: string;

beforeEach(async () => {
	folder = await mkdtemp(path.join(tmpdir(), 'onesnap-measure-'));
	return () => rm(folder, {recursive: true, force: true});
});

const measure = () => measureDisk({volumeMode: 'Filesystem', path: folder});
const disk = () => path.join(folder, 'disk.img');

test('a disk is as long as its file, holes included', async () => {
	await writeFile(disk(), 'some bytes');
	await truncate(disk(), 3 * 1024 ** 3);
	expect(await measure()).toMatchObject({outcome: 'succeeded', virtualBytes: String(3 * 1024 ** 3)});
});

test('one that begins like a qcow2 is a raw disk all the same: its guest may have written that', async () => {
	const header = Buffer.alloc(1024);
	header.write('QFI\xfb', 'latin1');
	header.writeBigUInt64BE(2n ** 50n, 24);
	await writeFile(disk(), header);
	expect(await measure()).toMatchObject({virtualBytes: '1024'});
});

test('where there is none it is said so, and no size', async () => {
	await writeFile(path.join(folder, 'another file'), 'x');
	const result = await measure();
	expect(result).toMatchObject({outcome: 'succeeded', message: 'The claim has no disk.img.'});
	expect(result).not.toHaveProperty('virtualBytes');
});

test('what is no file is refused', async () => {
	await mkdir(disk());
	await expect(measure()).rejects.toMatchObject({reason: 'SourceVolumeInvalid', retryable: false});
});

test('a volume that cannot be read is tried again', async () => {
	await writeFile(path.join(folder, 'file'), '');
	const failing = measureDisk({volumeMode: 'Filesystem', path: path.join(folder, 'file')});
	await expect(failing).rejects.toMatchObject({reason: 'Internal', retryable: true});
});
