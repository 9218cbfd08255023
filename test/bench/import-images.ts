/** The images that are imported: files as they are downloaded, and what of them the far side needs to have in memory. */
import {mkdir, rename, rm, stat} from 'node:fs/promises';
import path from 'node:path';
import {cacheDir} from '../cluster/cache-folder.ts';
import {run} from '../cluster/command.ts';
import {fileExists} from '../cluster/file-exists.ts';
import {withProgress} from '../cluster/progress.ts';
import {ensureDebianImage} from '../demo/debian-image.ts';
import type {Extent, FarFile} from './far-server.ts';

export interface BenchImage {
	readonly name: string;
	readonly format: 'qcow2' | 'raw' | 'raw.zst';
	/** The file on the local disk: what is converted without a network. Undefined where it exists on the far side only. */
	readonly path: string | undefined;
	readonly far: FarFile;
	/** What it is measured with where nobody says: `milliseconds` or `milliseconds/MB per second`. */
	readonly usualCases: readonly string[];
	/** Size of the disk. */
	readonly virtualBytes: number;
	/** A file that `qemu-img compare` takes for the same disk. */
	readonly sameAs: string | undefined;
}

/** A try of the larger ones takes so long that all cases would take an hour. */
const cases = {qcow2: ['0', '20', '20/50', '100'], zst: ['0', '20/50'], raw: ['20/50'], large: ['0']} as const;

/** By name, made when it is asked for. `work` is a folder for what has to be made. */
export const benchImages: Readonly<Record<string, (work: string) => Promise<BenchImage>>> = {
	qcow2: async () => {
		const {path: file, virtualBytes, fileBytes} = await ensureDebianImage();
		const far = {path: file, sizeBytes: fileBytes, extents: [{start: 0, end: fileBytes}], filler: 'zeros'} as const;
		return {
			name: 'qcow2',
			format: 'qcow2',
			path: file,
			far,
			usualCases: cases.qcow2,
			virtualBytes,
			sameAs: file,
		};
	},
	raw: async (work) => {
		const image = await ensureDebianImage();
		const file = path.join(work, 'debian.raw');
		await unpack(image, file);
		const extents = (await mapOf(file, 'raw'))
			.filter(({data}) => data)
			.map(({start, length}) => ({start, end: start + length}));
		const far = {path: file, sizeBytes: image.virtualBytes, extents, filler: 'zeros'} as const;
		const {virtualBytes, path: sameAs} = image;
		return {name: 'raw', format: 'raw', path: file, far, usualCases: cases.raw, virtualBytes, sameAs};
	},
	'raw.zst': async (work) => {
		const {path: same, virtualBytes, rawSha256} = await ensureDebianImage();
		const folder = path.join(cacheDir, 'bench');
		const file = path.join(folder, `debian-${rawSha256.slice(0, 12)}.raw.zst`);
		if (!(await fileExists(file))) {
			const raw = path.join(work, 'debian-to-pack.raw');
			await unpack({path: same}, raw);
			await mkdir(folder, {recursive: true});
			await withProgress('compressing the disk with zstd', () => run('zstd', ['-q', '-f', raw, '-o', `${file}.new`]));
			await rename(`${file}.new`, file);
			await rm(raw);
		}
		const {size} = await stat(file);
		const far = {path: file, sizeBytes: size, extents: [{start: 0, end: size}], filler: 'zeros'} as const;
		return {name: 'raw.zst', format: 'raw.zst', path: file, far, usualCases: cases.zst, virtualBytes, sameAs: same};
	},
	/** 64 GiB with 8 GiB of data, of which only the tables exist: the far side invents the rest. */
	'qcow2-64GiB': async (work) => {
		const file = path.join(work, 'large.qcow2');
		await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', 'preallocation=metadata', file, '8G']);
		await run('qemu-img', ['resize', '-q', '-f', 'qcow2', file, '64G']);
		const {size} = await stat(file);
		const far = {path: file, sizeBytes: size, extents: outside(await clustersOf(file), size), filler: 'noise'} as const;
		return {
			name: 'qcow2-64GiB',
			format: 'qcow2',
			path: undefined,
			far,
			usualCases: cases.large,
			virtualBytes: 64 * 2 ** 30,
			sameAs: undefined,
		};
	},
};

async function unpack(image: {readonly path: string}, file: string): Promise<void> {
	await withProgress('unpacking the image', () =>
		run('qemu-img', ['convert', '-W', '-f', 'qcow2', '-O', 'raw', image.path, file]),
	);
}

interface Mapped {
	readonly start: number;
	readonly length: number;
	readonly data: boolean;
	/** Where it lies in the file. */
	readonly offset?: number;
}

async function mapOf(file: string, format: string): Promise<readonly Mapped[]> {
	const mapped: readonly Mapped[] = JSON.parse(await run('qemu-img', ['map', '--output=json', '-f', format, file]));
	return mapped;
}

/** Where in a qcow2 file its data clusters are. */
async function clustersOf(file: string): Promise<readonly Extent[]> {
	const mapped = await mapOf(file, 'qcow2');
	return mapped
		.flatMap(({offset, length}) => (offset === undefined ? [] : [{start: offset, end: offset + length}]))
		.sort((a, b) => a.start - b.start);
}

function outside(extents: readonly Extent[], sizeBytes: number): readonly Extent[] {
	const gaps = extents.map(({start}, index) => ({start: extents[index - 1]?.end ?? 0, end: start}));
	return [...gaps, {start: extents.at(-1)?.end ?? 0, end: sizeBytes}].filter(({start, end}) => end > start);
}
