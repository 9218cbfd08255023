import {constants} from 'node:fs';
import {open, readdir, readFile} from 'node:fs/promises';
import {setTimeout as sleep} from 'node:timers/promises';
import {run} from '../command.ts';
import {hasErrno} from './errors.ts';
import {mountsOfDevice} from './mounts.ts';

/**
 * Loop devices make images into block devices. The kernel is the only record of which image has which device: this driver may
 * be killed and started again at any time, so what it remembered itself would be wrong sooner or later.
 *
 * An image must never have two file systems mounted from two devices: each would write its own idea of it. What makes this hard
 * is that a mount lives on in every mount namespace that was copied while it existed (a container being started, a buildah that
 * runs for minutes), long after it was unmounted here. So a device is detached only when nobody at all has it mounted, and an
 * image that still has a device is staged from that one, which shows the same, living file system again.
 */
type LoopDevice = {
	/** /dev/loopN */
	readonly device: string;
	readonly backingFile: string;
	/** Detached by its name, but some process has it open: the kernel clears it when that ends. */
	readonly vanishing: boolean;
};

async function listLoops(): Promise<readonly LoopDevice[]> {
	const names = (await readdir('/sys/block')).filter((name) => /^loop\d+$/.test(name));
	const loops = await Promise.all(names.map(readLoop));
	return loops.filter((loop) => loop !== undefined);
}

async function readLoop(name: string): Promise<LoopDevice | undefined> {
	const read = (file: string) => readFile(`/sys/block/${name}/loop/${file}`, 'utf8');
	try {
		const [backingFile, autoclear] = await Promise.all([read('backing_file'), read('autoclear')]);
		return {device: `/dev/${name}`, backingFile: backingFile.replace(/\n$/, ''), vanishing: autoclear.trim() !== '0'};
	} catch {
		// The files are there only while the device has a file, and another process may detach it between two reads.
		return undefined;
	}
}

/** The image's device, if it has one that will stay. */
export async function loopOf(image: string): Promise<string | undefined> {
	return (await listLoops()).find(({backingFile, vanishing}) => backingFile === image && !vanishing)?.device;
}

/** The image's device, a new one if it has none, as large as the image is now. */
export async function attachLoop(image: string): Promise<string> {
	const existing = await loopOf(image);
	if (existing === undefined) return (await run('losetup', ['--find', '--show', '--sector-size', '512', image])).trim();
	await run('losetup', ['--set-capacity', existing]);
	return existing;
}

export type Release = 'released' | 'mounted here' | 'mounted elsewhere';

/** How long clearing a device may take. It waits for the last opener; those that only look at it, as blkid, close it at once. */
const clearedWithinMs = 1000;
const lookEveryMs = 10;

/** Brings everything into the image, and detaches its device unless it is mounted, in this mount namespace or another one. */
export async function releaseLoop(image: string): Promise<Release> {
	const device = await loopOf(image);
	if (device === undefined) return 'released';
	if ((await mountsOfDevice(device)).length > 0) return 'mounted here';
	await run('blockdev', ['--flushbufs', device]);
	if (await isMountedAnywhere(device)) return 'mounted elsewhere';
	await detachLoop(device);
	const deadline = Date.now() + clearedWithinMs;
	while ((await isAttached(device, image)) && Date.now() < deadline) await sleep(lookEveryMs);
	return 'released';
}

/** Detaches now or, if it is open or mounted anywhere, when that ends: for an image that nobody will ever use again. */
export async function detachLoop(device: string): Promise<void> {
	await run('losetup', ['--detach', device]);
}

/** A mounted file system holds its device exclusively, in whichever namespace it is mounted. */
export async function isMountedAnywhere(device: string): Promise<boolean> {
	try {
		const handle = await open(device, constants.O_RDONLY | constants.O_EXCL);
		await handle.close();
		return false;
	} catch (error) {
		if (hasErrno(error, 'EBUSY')) return true;
		throw error;
	}
}

/**
 * Brings what was written to the image's devices into the image: BLKFLSBUF syncs the file system mounted from a device, then
 * the device's own page cache. A snapshot taken afterwards contains all that was written before.
 */
export async function flushLoops(image: string): Promise<void> {
	await flush((await listLoops()).filter(({backingFile}) => backingFile === image));
}

/** The same for all images whose path starts so. */
export async function flushLoopsUnder(prefix: string): Promise<void> {
	await flush((await listLoops()).filter(({backingFile}) => backingFile.startsWith(prefix)));
}

async function flush(loops: readonly LoopDevice[]): Promise<void> {
	for (const {device, backingFile} of loops) {
		try {
			await run('blockdev', ['--flushbufs', device]);
		} catch (error) {
			// Detached meanwhile, which flushes as well.
			if (await isAttached(device, backingFile)) throw error;
		}
	}
}

async function isAttached(device: string, image: string): Promise<boolean> {
	return (await listLoops()).some((loop) => loop.device === device && loop.backingFile === image);
}

/** All devices of files whose path starts so. */
export async function loopsUnder(prefix: string): Promise<readonly LoopDevice[]> {
	return (await listLoops()).filter(({backingFile, vanishing}) => backingFile.startsWith(prefix) && !vanishing);
}

/** The size in bytes that the kernel gives the device. */
export async function loopSize(device: string): Promise<number> {
	return Number(await run('blockdev', ['--getsize64', device]));
}
