/** The images of the fault runs, two versions of each, and what a disk made of them must be. */
import {createHash} from 'node:crypto';
import {mkdir, open, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {digestOf, makeRawDisk, qemuImg} from '../../support/disk-images.ts';

const MiB = 1024 * 1024;
const diskBytes = 24 * MiB;
const dataBytes = 8 * MiB;
/** The claim is larger than the disk: what is beyond it must be zeros. */
export const claimBytes = 32 * MiB;
export const smallClaimBytes = 8 * MiB;
const blockBytes = 64 * 1024;

const makers = {
	raw: [],
	qcow2: ['-O', 'qcow2'],
	'qcow2-zlib': ['-O', 'qcow2', '-c'],
	'qcow2-zstd': ['-O', 'qcow2', '-c', '-o', 'compression_type=zstd,cluster_size=256k'],
	'qcow2-extended': ['-O', 'qcow2', '-o', 'extended_l2=on,cluster_size=128k'],
} as const;
export type ImageName = keyof typeof makers;
export const imageNames = Object.keys(makers) as readonly ImageName[];

/** One version of a file on the server. */
export interface FileVersion {
	readonly name: string;
	readonly bytes: Buffer;
	/** SHA-256 of the whole claim after qemu-img's own conversion; undefined where there must be no disk. */
	readonly diskDigest: string | undefined;
}

export interface TestImage {
	readonly first: FileVersion;
	/** As long as the first. */
	readonly second: FileVersion;
	readonly longer: FileVersion;
	readonly cutOff: FileVersion;
	/** Of the first. */
	readonly sha256: string;
}

export async function makeImages(folder: string): Promise<Readonly<Record<ImageName, TestImage>>> {
	await mkdir(folder, {recursive: true});
	for (const seed of [1, 101])
		await makeRawDisk(path.join(folder, `${seed}.raw`), {sizeBytes: diskBytes, dataBytes, seed});
	const images = await Promise.all(imageNames.map(async (name) => [name, await makeImage(folder, name)] as const));
	return Object.fromEntries(images) as Record<ImageName, TestImage>;
}

async function makeImage(folder: string, name: ImageName): Promise<TestImage> {
	const [first, second] = await Promise.all([1, 101].map((seed) => convert(folder, name, seed)));
	if (!first || !second) throw new Error('two seeds are two versions');
	const length = Math.max(first.length, second.length);
	// Images may have bytes after their last cluster.
	const whole = padded(first, Math.ceil(length / blockBytes) * blockBytes);
	const version = async (label: string, bytes: Buffer, isDisk = true): Promise<FileVersion> => ({
		name: label,
		bytes,
		diskDigest: isDisk ? await diskDigest(path.join(folder, `${name}-${label}`), name, bytes) : undefined,
	});
	return {
		first: await version('first', whole),
		second: await version('second', padded(second, whole.length)),
		longer: await version('longer', padded(second, whole.length + blockBytes)),
		cutOff: await version('cutOff', whole.subarray(0, Math.floor((length * 0.6) / 512) * 512), false),
		sha256: createHash('sha256').update(whole).digest('hex'),
	};
}

async function convert(folder: string, name: ImageName, seed: number): Promise<Buffer> {
	const raw = path.join(folder, `${seed}.raw`);
	if (name === 'raw') return readFile(raw);
	const image = path.join(folder, `${name}-${seed}`);
	await qemuImg('convert', '-f', 'raw', ...makers[name], raw, image);
	return readFile(image);
}

/** By qemu-img itself, from the very bytes that are served. */
async function diskDigest(file: string, name: ImageName, bytes: Buffer): Promise<string> {
	await writeFile(file, bytes);
	const disk = `${file}.disk`;
	const format = name === 'raw' ? 'raw' : 'qcow2';
	await qemuImg('convert', '-f', format, '-O', 'raw', file, disk);
	await using handle = await open(disk, 'r+');
	await handle.truncate(claimBytes);
	return digestOf(disk);
}

function padded(bytes: Buffer, length: number): Buffer {
	return Buffer.concat([bytes, Buffer.alloc(length - bytes.length)]);
}
