/**
 * How large the disk becomes, and whether the image fits. CDI's rules: of a Filesystem claim the file system needs its
 * share, the rest rounded down to 1 MiB is the disk; a smaller image is grown to it. A Block claim is the disk.
 */
import type {VolumeMode} from '../api/worker-contract.ts';

export interface TargetCapacity {
	readonly volumeMode: VolumeMode;
	readonly requestedBytes: number;
	/** Share of a Filesystem claim that the file system needs. */
	readonly filesystemOverhead: number;
	/** Block: size of the device. Filesystem: all blocks of the file system. */
	readonly totalBytes: number;
	/** Filesystem: what this user may still write. Block: size of the device. */
	readonly availableBytes: number;
}

const mebibyte = 1024 * 1024;

/** What the claim promises as a disk. */
export function usableBytes({volumeMode, requestedBytes, filesystemOverhead}: TargetCapacity): number {
	if (volumeMode === 'Block') return requestedBytes;
	return roundDown(requestedBytes / (1 + filesystemOverhead), mebibyte);
}

/** Largest virtual size that is taken. */
function largestImageBytes(capacity: TargetCapacity): number {
	if (capacity.volumeMode === 'Block') return capacity.totalBytes;
	return Math.min(usableBytes(capacity), capacity.totalBytes);
}

/**
 * Size of disk.img: the image, grown to what the claim promises, though not beyond what the file system has room for.
 * Block: the device as it is.
 */
export function diskBytes(capacity: TargetCapacity, virtualBytes: number): number {
	if (capacity.volumeMode === 'Block') return capacity.totalBytes;
	const room = roundDown(Math.min(usableBytes(capacity), capacity.availableBytes), mebibyte);
	return Math.max(roundUp(virtualBytes, 512), room);
}

/** Smallest request that would hold the image. */
export function claimBytesFor(virtualBytes: number, {volumeMode, filesystemOverhead}: TargetCapacity): number {
	const disk = roundUp(virtualBytes, mebibyte);
	return volumeMode === 'Block' ? disk : Math.ceil(disk * (1 + filesystemOverhead));
}

/** Undefined when it fits; otherwise both sizes and what to ask for, in words. */
export function tooLarge(capacity: TargetCapacity, virtualBytes: number): string | undefined {
	const largest = largestImageBytes(capacity);
	if (virtualBytes <= largest) return undefined;
	const overhead =
		capacity.filesystemOverhead > 0 ? ` (file system overhead ${capacity.filesystemOverhead} deducted)` : '';
	return `its disk has ${inWords(virtualBytes)}, the claim holds ${inWords(largest)}${overhead}. Ask for at least ${claimBytesFor(virtualBytes, capacity)} bytes of storage in the claim (spec.pvc), or ${roundUp(virtualBytes, mebibyte) / mebibyte}Mi in spec.storage.`;
}

export function inWords(bytes: number): string {
	const gibibytes = bytes / 1024 ** 3;
	const rounded = gibibytes >= 1 ? `${gibibytes.toFixed(2)} GiB` : `${(bytes / mebibyte).toFixed(2)} MiB`;
	return `${bytes} bytes (${rounded})`;
}

function roundDown(value: number, step: number): number {
	return Math.floor(value / step) * step;
}

function roundUp(value: number, step: number): number {
	return Math.ceil(value / step) * step;
}
