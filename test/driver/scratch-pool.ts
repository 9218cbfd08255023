import {mkdir, mkdtemp, rm, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {run} from '../cluster/command.ts';
import {until} from '../cluster/until.ts';
import {attachLoop, detachLoop, loopOf, loopsUnder} from '../cluster/csi/loop.ts';
import {mountsUnder, unmount} from '../cluster/csi/mounts.ts';

/** A throw-away folder with a reflink-capable xfs in it, for runs of the driver outside a cluster. */
export type ScratchPool = {
	/** For sockets, journals, mounts; not on the xfs. */
	readonly folder: string;
	/** On the xfs. */
	readonly pool: string;
	/** Removes all of it, with whatever a driver left mounted or attached below; says what that was. */
	readonly dispose: () => Promise<readonly string[]>;
};

export async function makeScratchPool(sizeBytes = 20 * 1024 ** 3): Promise<ScratchPool> {
	const folder = await mkdtemp(path.join(tmpdir(), 'onesnap-csi-'));
	const file = path.join(folder, 'pool.img');
	const pool = path.join(folder, 'pool');
	try {
		await mkdir(pool);
		await writeFile(file, '');
		await truncate(file, sizeBytes);
		await run('mkfs.xfs', ['-q', '-m', 'reflink=1', file]);
		await run('mount', [await attachLoop(file), pool]);
	} catch (error) {
		await dispose(folder, file, pool);
		throw error;
	}
	return {folder, pool, dispose: () => dispose(folder, file, pool)};
}

/** Innermost first: mounts of volumes, their loop devices, the pool, its loop device. Touches nothing outside the folder. */
async function dispose(folder: string, file: string, pool: string): Promise<readonly string[]> {
	const leftMounts = (await mountsUnder(folder)).filter((mount) => mount.path !== pool);
	for (const mount of leftMounts.toReversed()) await unmount(mount.path);
	const leftLoops = await loopsUnder(`${pool}/`);
	for (const {device} of leftLoops) await detachLoop(device);
	// A device that somebody has open for a moment longer (blkid, a mount namespace being copied) keeps its file in use until then.
	await until('the scratch pool is not busy', async () => unmount(pool).then(() => true as const), {
		timeoutMs: 30_000,
	});
	const device = await loopOf(file);
	if (device !== undefined) await detachLoop(device);
	await rm(folder, {recursive: true, force: true});
	return [
		...leftMounts.map((mount) => `mount ${mount.path}`),
		...leftLoops.map(({device, backingFile}) => `${device} of ${backingFile}`),
	];
}
