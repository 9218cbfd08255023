import {realpath, stat} from 'node:fs/promises';
import {parseArgs} from 'node:util';
import {run} from '../command.ts';
import {bytesBeyond, type Extent, parseFiemap, totalBytes} from './extents.ts';
import {flushLoopsUnder} from './loop.ts';
import {Pool} from './pool.ts';

/**
 * What volumes really take. On a file system with reflink `du` counts a shared block once for each file that has it, so the
 * figures here come from the physical extents of the images (FIEMAP): a block that several of them share is one block.
 */
export type ImageUsage = {
	readonly kind: 'volume' | 'snapshot';
	readonly id: string;
	/** What the volume's user sees. */
	readonly apparentBytes: number;
	/** Blocks the image refers to, shared or not. */
	readonly referencedBytes: number;
	/** Blocks no other volume or snapshot of the pool refers to: what deleting it would free. */
	readonly exclusiveBytes: number;
};

export type PoolUsage = {
	readonly images: readonly ImageUsage[];
	/** All images together, each block once. */
	readonly storedBytes: number;
};

/** Usage of every volume and snapshot of a pool. */
export async function poolUsage(poolFolder: string): Promise<PoolUsage> {
	const pool = new Pool(await realpath(poolFolder));
	const [volumes, snapshots] = await Promise.all([pool.volumes.list(), pool.snapshots.list()]);
	const images = [
		...volumes.map(({id}) => ({kind: 'volume' as const, id, path: pool.volumeImage(id)})),
		...snapshots.map(({id}) => ({kind: 'snapshot' as const, id, path: pool.snapshotImage(id)})),
	];
	const extents = await extentsOf(
		pool,
		images.map(({path}) => path),
	);
	const usages = images.map(async ({kind, id, path}, index) => {
		const others = extents.filter((_, other) => other !== index).flat();
		return {
			kind,
			id,
			apparentBytes: (await stat(path)).size,
			referencedBytes: totalBytes(extents[index] ?? []),
			exclusiveBytes: bytesBeyond(extents[index] ?? [], others),
		};
	});
	return {images: await Promise.all(usages), storedBytes: totalBytes(extents.flat())};
}

export type StoredQuestion = {
	readonly pool: string;
	/** Ids of the volumes whose blocks are counted, each block once however many of them share it. */
	readonly volumes: readonly string[];
	/** Ids of volumes whose blocks are not counted: the golden one. */
	readonly excludingVolumes?: readonly string[];
	/** Ids of snapshots whose blocks are not counted. */
	readonly excludingSnapshots?: readonly string[];
};

/** The bytes that these volumes hold beyond those others: the price of all clones of a golden volume. */
export async function bytesStored(question: StoredQuestion): Promise<number> {
	const pool = new Pool(await realpath(question.pool));
	const volumes = question.volumes.map((id) => pool.volumeImage(id));
	const excluded = [
		...(question.excludingVolumes ?? []).map((id) => pool.volumeImage(id)),
		...(question.excludingSnapshots ?? []).map((id) => pool.snapshotImage(id)),
	];
	const counted = (await extentsOf(pool, volumes)).flat();
	return bytesBeyond(counted, (await extentsOf(pool, excluded)).flat());
}

/** Extents by image. What is still in memory has no place on the disk yet, so everything is written out first. */
async function extentsOf(pool: Pool, images: readonly string[]): Promise<readonly (readonly Extent[])[]> {
	await flushLoopsUnder(`${pool.folder}/`);
	await run('sync', ['--file-system', pool.folder]);
	const extents: (readonly Extent[])[] = [];
	for (const image of images) extents.push(parseFiemap(await run('xfs_io', ['-r', '-c', 'fiemap -v', image])));
	return extents;
}

if (import.meta.main) {
	const {values} = parseArgs({
		options: {
			pool: {type: 'string'},
			volume: {type: 'string', multiple: true, default: []},
			'excluding-volume': {type: 'string', multiple: true, default: []},
			'excluding-snapshot': {type: 'string', multiple: true, default: []},
		},
	});
	const {
		pool,
		volume: volumes,
		'excluding-volume': excludingVolumes,
		'excluding-snapshot': excludingSnapshots,
	} = values;
	if (!pool)
		throw new Error(
			'usage: usage.ts --pool DIR [--volume ID ...] [--excluding-volume ID ...] [--excluding-snapshot ID ...]',
		);
	if (volumes.length > 0) {
		console.log(await bytesStored({pool, volumes, excludingVolumes, excludingSnapshots}));
	} else {
		const {images, storedBytes} = await poolUsage(pool);
		console.table(images);
		console.log(`${storedBytes} bytes stored`);
	}
}
