import {setTimeout as sleep} from 'node:timers/promises';
import {CommandError, run} from '../command.ts';
import type {FsType} from './capabilities.ts';
import {CsiError} from './errors.ts';
import {loopSize} from './loop.ts';

/** What is on a device: a file system by name, `undefined` for nothing at all. Anything else must never be formatted. */
export async function probe(device: string): Promise<string | undefined> {
	try {
		const found = await run('blkid', ['--probe', '--output', 'export', device]);
		return /^TYPE=(.*)$/m.exec(found)?.[1] ?? 'a partition table';
	} catch (error) {
		// 2: blkid has looked and found nothing.
		if (error instanceof CommandError && error.exitCode === 2) return undefined;
		throw error;
	}
}

/** An image is sparse and new: there is nothing to discard, and inode tables can be written when they are needed. */
export async function format(device: string, fsType: FsType): Promise<void> {
	if (fsType === 'xfs') await run('mkfs.xfs', ['-q', '-f', '-K', device]);
	else await run('mkfs.ext4', ['-q', '-F', '-m', '0', '-b', '4096', '-E', 'nodiscard', device]);
}

/** xfs refuses to mount two file systems of one UUID, which a volume and its clone are. */
export function mountOptions(fsType: string, flags: readonly string[]): readonly string[] {
	return fsType === 'xfs' && !flags.includes('nouuid') ? [...flags, 'nouuid'] : flags;
}

/**
 * Grows a file system that is smaller than its device, before it is mounted: a volume restored larger than its snapshot. xfs
 * grows mounted only, see growMounted.
 */
export async function growUnmounted(device: string, fsType: string): Promise<void> {
	if (fsType !== 'ext4' || !(await isSmallerThanDevice(device))) return;
	// resize2fs insists on a check; the copy of a volume in use has a journal to replay as well.
	await checkExt4(device);
	await run('resize2fs', [device]);
}

/** Exit code 1: errors were corrected, which is what a preen is for. */
async function checkExt4(device: string): Promise<void> {
	try {
		await run('e2fsck', ['-f', '-p', device]);
	} catch (error) {
		if (!(error instanceof CommandError && error.exitCode === 1)) throw error;
	}
}

/** Grows a mounted file system to the size of its device; nothing happens when it has it. */
export async function growMounted(device: string, fsType: string, mountPoint: string): Promise<void> {
	if (fsType === 'xfs') await run('xfs_growfs', [mountPoint]);
	else if (fsType === 'ext4' && (await isSmallerThanDevice(device))) await growMountedExt4(device);
}

async function growMountedExt4(device: string): Promise<void> {
	try {
		await run('resize2fs', [device]);
	} catch (error) {
		// Growing a mounted ext4 takes CAP_SYS_RESOURCE, which root in a container may lack. CSI's answer for "not while it is
		// in use": the kubelet stops trying, and the next stage grows it unmounted.
		if (!(error instanceof CommandError && /Permission denied/.test(error.stderr))) throw error;
		const message = 'ext4 grows while mounted only with CAP_SYS_RESOURCE; it will when it is staged next';
		throw new CsiError('FAILED_PRECONDITION', message, {cause: error});
	}
}

/** Less than this much at the end of a device is not worth a resize, and ext4 leaves some for want of a whole block group. */
const slackBytes = 1024 ** 2;

async function isSmallerThanDevice(device: string): Promise<boolean> {
	const superblock = await readSuperblock(device);
	const number = (field: string) => Number(new RegExp(`^${field}:\\s*(\\d+)`, 'm').exec(superblock)?.[1]);
	const filesystemBytes = number('Block count') * number('Block size');
	return (await loopSize(device)) - filesystemBytes >= slackBytes;
}

/** A superblock that is being written fails its checksum for a moment: that of a mounted file system is read again. */
async function readSuperblock(device: string, attempts = 5): Promise<string> {
	try {
		return await run('dumpe2fs', ['-h', device]);
	} catch (error) {
		if (attempts <= 1) throw error;
		await sleep(50);
		return readSuperblock(device, attempts - 1);
	}
}
