/** The images of the fault runs, two versions of each, and what a disk made of them must be. */
import {execFile} from 'node:child_process';
import {createHash} from 'node:crypto';
import {mkdir, open, readFile, rm} from 'node:fs/promises';
import path from 'node:path';
import {promisify} from 'node:util';
import {gzip, zstdCompress} from 'node:zlib';
import {digestOf, makeRawDisk, qemuImg} from '../../support/disk-images.ts';

const MiB = 1024 * 1024;
const diskBytes = 24 * MiB;
const dataBytes = 8 * MiB;
/** The claim is larger than the disk: what is beyond it must be zeros. */
export const claimBytes = 32 * MiB;
export const smallClaimBytes = 8 * MiB;
const blockBytes = 64 * 1024;

interface Making {
	/** For qemu-img convert. */
	readonly args: readonly string[];
	readonly driver: string;
	readonly pack?: 'gz' | 'xz' | 'zst';
}

const qcow2 = {args: ['-O', 'qcow2'], driver: 'qcow2'};
const makings = {
	raw: {args: ['-O', 'raw'], driver: 'raw'},
	qcow2,
	'qcow2-zlib': {args: ['-O', 'qcow2', '-c'], driver: 'qcow2'},
	'qcow2-zstd': {args: ['-O', 'qcow2', '-c', '-o', 'compression_type=zstd,cluster_size=256k'], driver: 'qcow2'},
	'qcow2-extended': {args: ['-O', 'qcow2', '-o', 'extended_l2=on,cluster_size=128k'], driver: 'qcow2'},
	vmdk: {args: ['-O', 'vmdk'], driver: 'vmdk'},
	'vmdk-stream': {args: ['-O', 'vmdk', '-o', 'subformat=streamOptimized'], driver: 'vmdk'},
	vdi: {args: ['-O', 'vdi'], driver: 'vdi'},
	vhd: {args: ['-O', 'vpc', '-o', 'force_size=on'], driver: 'vpc'},
	vhdx: {args: ['-O', 'vhdx', '-o', 'block_size=1M'], driver: 'vhdx'},
	'raw.gz': {args: ['-O', 'raw'], driver: 'raw', pack: 'gz'},
	'raw.xz': {args: ['-O', 'raw'], driver: 'raw', pack: 'xz'},
	'raw.zst': {args: ['-O', 'raw'], driver: 'raw', pack: 'zst'},
	'qcow2.gz': {...qcow2, pack: 'gz'},
	'qcow2.xz': {...qcow2, pack: 'xz'},
	'vdi.zst': {args: ['-O', 'vdi'], driver: 'vdi', pack: 'zst'},
} as const satisfies Record<string, Making>;
export type ImageName = keyof typeof makings;
export const imageNames = Object.keys(makings) as readonly ImageName[];
/** What may have any bytes after its last. */
const paddable: readonly ImageName[] = imageNames.filter((name) => name === 'raw' || /^qcow2(-|$)/.test(name));

/** One version of a file on the server. */
export interface FileVersion {
	readonly name: string;
	readonly bytes: Buffer;
	/** SHA-256 of the whole claim after qemu-img's own conversion; undefined where there must be no disk. */
	readonly diskDigest: string | undefined;
}

export interface TestImage {
	readonly first: FileVersion;
	/** As long as the first, where the format can be filled up. */
	readonly second: FileVersion;
	/** Longer, where the format can be filled up. */
	readonly longer: FileVersion;
	readonly cutOff: FileVersion;
	/** Of the first. */
	readonly sha256: string;
}

export async function makeImages(folder: string): Promise<Readonly<Record<ImageName, TestImage>>> {
	await mkdir(folder, {recursive: true});
	for (const seed of seeds) {
		await makeRawDisk(path.join(folder, `${seed}.raw`), {sizeBytes: diskBytes, dataBytes, seed});
	}
	const images: Array<readonly [ImageName, TestImage]> = [];
	for (const name of imageNames) images.push([name, await makeImage(folder, name)]);
	return Object.fromEntries(images) as Record<ImageName, TestImage>;
}

const seeds = [1, 101] as const;

async function makeImage(folder: string, name: ImageName): Promise<TestImage> {
	const [one, other] = [await makeFile(folder, name, seeds[0]), await makeFile(folder, name, seeds[1])];
	const common = Math.ceil(Math.max(one.bytes.length, other.bytes.length) / blockBytes) * blockBytes;
	const fill = (bytes: Buffer, length: number) => (paddable.includes(name) ? padded(bytes, length) : bytes);
	const whole = fill(one.bytes, common);
	const second = {bytes: fill(other.bytes, common), diskDigest: other.diskDigest};
	return {
		first: {name: 'first', bytes: whole, diskDigest: one.diskDigest},
		second: {name: 'second', ...second},
		longer: {name: 'longer', ...second, bytes: fill(other.bytes, common + blockBytes)},
		cutOff: {
			name: 'cutOff',
			bytes: whole.subarray(0, Math.floor((one.bytes.length * 0.6) / 512) * 512),
			diskDigest: undefined,
		},
		sha256: createHash('sha256').update(whole).digest('hex'),
	};
}

async function makeFile(
	folder: string,
	name: ImageName,
	seed: number,
): Promise<{readonly bytes: Buffer; readonly diskDigest: string}> {
	const {args, driver, pack}: Making = makings[name];
	const image = path.join(folder, `${name}-${seed}`);
	await qemuImg('convert', '-f', 'raw', ...args, path.join(folder, `${seed}.raw`), image);
	const made = {bytes: await packed(image, pack), diskDigest: await diskDigest(image, driver)};
	await rm(image);
	return made;
}

/** By qemu-img itself. */
async function diskDigest(image: string, driver: string): Promise<string> {
	const disk = `${image}.disk`;
	await qemuImg('convert', '-f', driver, '-O', 'raw', image, disk);
	{
		await using handle = await open(disk, 'r+');
		await handle.truncate(claimBytes);
	}
	const digest = await digestOf(disk);
	await rm(disk);
	return digest;
}

async function packed(file: string, pack: Making['pack']): Promise<Buffer> {
	switch (pack) {
		case undefined:
			return readFile(file);
		case 'gz':
			return promisify(gzip)(await readFile(file), {level: 1});
		case 'zst':
			return promisify(zstdCompress)(await readFile(file));
		case 'xz': {
			const options = {encoding: 'buffer' as const, maxBuffer: 2 * diskBytes};
			return (await promisify(execFile)('xz', ['-0', '--stdout', file], options)).stdout;
		}
	}
	return pack satisfies never;
}

function padded(bytes: Buffer, length: number): Buffer {
	return Buffer.concat([bytes, Buffer.alloc(length - bytes.length)]);
}
