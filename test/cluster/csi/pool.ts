import {mkdir, mkdtemp, realpath, rm, statfs} from 'node:fs/promises';
import path from 'node:path';
import {removeDurably} from './durable.ts';
import {cloneImage, createBlankImage} from './images.ts';
import type {VolumeContentSource} from './messages.ts';
import {Records} from './records.ts';

export type VolumeRecord = {
	readonly id: string;
	readonly name: string;
	readonly capacityBytes: number;
	/** Kept to recognize a repeated CreateVolume; the volume does not depend on it. */
	readonly contentSource?: VolumeContentSource;
	readonly createdAt: string;
};

export type SnapshotRecord = {
	readonly id: string;
	readonly name: string;
	readonly sourceVolumeId: string;
	readonly sizeBytes: number;
	/** Read from the clock just before the cut: the snapshot shows everything that was flushed by then. */
	readonly createdAt: string;
};

/** A folder on xfs with reflink: `volumes/ID` and `snapshots/ID` are images, `ID.json` beside each is its record. */
export class Pool {
	readonly folder: string;
	readonly volumes: Records<VolumeRecord>;
	readonly snapshots: Records<SnapshotRecord>;

	constructor(folder: string) {
		this.folder = folder;
		this.volumes = new Records(path.join(folder, 'volumes'));
		this.snapshots = new Records(path.join(folder, 'snapshots'));
	}

	volumeImage(id: string): string {
		return path.join(this.folder, 'volumes', id);
	}

	snapshotImage(id: string): string {
		return path.join(this.folder, 'snapshots', id);
	}

	async removeVolume(id: string): Promise<void> {
		await this.volumes.remove(id);
		await removeDurably(this.volumeImage(id));
	}

	async removeSnapshot(id: string): Promise<void> {
		await this.snapshots.remove(id);
		await removeDurably(this.snapshotImage(id));
	}

	/** Bytes the pool's file system has free. Volumes are thin, so this is no limit for the sum of their capacities. */
	async availableBytes(): Promise<number> {
		const {bavail, bsize} = await statfs(this.folder);
		return bavail * bsize;
	}
}

/** Prepares the folder. The real path matters: the kernel names a loop device's file by it. */
export async function openPool(folder: string): Promise<Pool> {
	await Promise.all(['volumes', 'snapshots'].map((sub) => mkdir(path.join(folder, sub), {recursive: true})));
	return new Pool(await realpath(folder));
}

/** Fails early and clearly where snapshots would fail late and one by one. */
export async function requireReflink(pool: Pool): Promise<void> {
	const folder = await mkdtemp(path.join(pool.folder, 'reflink-probe-'));
	try {
		await createBlankImage(path.join(folder, 'a'), 4096);
		await cloneImage(path.join(folder, 'a'), path.join(folder, 'b'));
	} catch (cause) {
		const message = `${pool.folder} cannot share blocks between files; it has to be on xfs made with reflink=1`;
		throw new Error(message, {cause});
	} finally {
		await rm(folder, {recursive: true});
	}
}
