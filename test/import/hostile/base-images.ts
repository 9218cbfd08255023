/** Honest images, made by qemu-img: what the hostile ones are made from. */
import {execFile} from 'node:child_process';
import {mkdir, readFile, truncate, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {promisify} from 'node:util';
import {convertToQcow2, makeRawDisk, qemuImg} from '../../support/disk-images.ts';

const run = promisify(execFile);
const MiB = 1024 * 1024;
const diskBytes = 4 * MiB;
/** What bombs unpack to: many times the claim. */
export const bombBytes = 128 * MiB;

export interface BaseImages {
	readonly raw: Buffer;
	/** Version 3, clusters of 4 KiB. */
	readonly qcow2: Buffer;
	readonly compressed: Buffer;
	readonly v2: Buffer;
	/** With two internal snapshots. */
	readonly snapshots: Buffer;
	/** With a dirty bitmap that is kept. */
	readonly bitmap: Buffer;
	readonly extended: Buffer;
	readonly vmdk: Buffer;
	readonly vmdkStream: Buffer;
	readonly vdi: Buffer;
	readonly vhd: Buffer;
	readonly vhdx: Buffer;
	/** Compressed: 128 MiB of zeros. */
	readonly xzBomb: Buffer;
}

export async function makeBaseImages(folder: string): Promise<BaseImages> {
	await mkdir(folder, {recursive: true});
	const at = (name: string) => path.join(folder, name);
	const raw = at('raw');
	await makeRawDisk(raw, {sizeBytes: diskBytes, dataBytes: MiB, runs: 8});
	const converted = async (name: string, args: readonly string[]) => {
		await convertToQcow2(raw, at(name), args);
		return readFile(at(name));
	};
	await converted('snapshots', ['-o', 'cluster_size=4k']);
	for (const name of ['one', 'two']) await qemuImg('snapshot', '-c', name, at('snapshots'));
	await converted('bitmap', ['-o', 'cluster_size=4k']);
	await qemuImg('bitmap', '--add', at('bitmap'), 'changes');
	await run('qemu-io', ['-f', 'qcow2', '-c', 'write 1M 64k', at('bitmap')]);
	const other = async (name: string, args: readonly string[]) => {
		await qemuImg('convert', '-f', 'raw', ...args, raw, at(name));
		return readFile(at(name));
	};
	return {
		raw: await readFile(raw),
		qcow2: await converted('plain', ['-o', 'cluster_size=4k']),
		compressed: await converted('compressed', ['-c', '-o', 'cluster_size=4k']),
		v2: await converted('v2', ['-o', 'compat=0.10,cluster_size=4k']),
		snapshots: await readFile(at('snapshots')),
		bitmap: await readFile(at('bitmap')),
		vmdk: await other('vmdk', ['-O', 'vmdk']),
		vmdkStream: await other('vmdk-stream', ['-O', 'vmdk', '-o', 'subformat=streamOptimized']),
		vdi: await other('vdi', ['-O', 'vdi']),
		vhd: await other('vhd', ['-O', 'vpc', '-o', 'force_size=on']),
		vhdx: await other('vhdx', ['-O', 'vhdx', '-o', 'block_size=1M']),
		xzBomb: await makeXzBomb(at('zeros')),
		extended: await converted('extended', ['-o', 'extended_l2=on,cluster_size=16k']),
	};
}

async function makeXzBomb(zeros: string): Promise<Buffer> {
	await writeFile(zeros, '');
	await truncate(zeros, bombBytes);
	const {stdout} = await run('xz', ['-0', '--stdout', zeros], {encoding: 'buffer', maxBuffer: 16 * MiB});
	return stdout;
}
