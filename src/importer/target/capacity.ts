/**
 * How large the disk becomes, and whether the image fits. CDI's rules: of a Filesystem claim the file system needs its
 * share, the rest rounded down to 1 MiB is the disk; a smaller image is grown to it. A Block claim is the disk.
 */
import type {VolumeMode} from '../../api/worker-contract.ts';

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
const gibibyte = 1024 * mebibyte;
/** So many snapshots inside of an image, each of a whole disk, are believed. */
const longestFileFactor = 16;

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

/**
 * Why a container of so many bytes is not taken; undefined when it is. Tables, internal snapshots and what nobody uses any
 * more make a file longer than its disk, but not without end: a checksum would read it all.
 */
export function tooLong(capacity: TargetCapacity, fileBytes: number): string | undefined {
	const longest = longestFileFactor * capacity.requestedBytes + gibibyte;
	if (fileBytes <= longest) return undefined;
	return `its file has ${inWords(fileBytes)}, for a disk of at most ${inWords(largestImageBytes(capacity))}. Convert it with qemu-img convert, which leaves out what is no part of the disk.`;
}

/** Headers, tables and clusters that are partly empty, of a small disk: much of it is holes. */
const containerBytes = 64 * mebibyte;

/**
 * Most that is put down of a container: how long it may be, and how much of that no zeros, which take no room but time. In a
 * claim no more data than was asked for, though its file system may have more, which is then not this claim's; its length may
 * be more, because tables and holes of some formats are longer than a small disk. Beside a device with a snapshot or two.
 */
export function longestScratch({volumeMode, requestedBytes, totalBytes}: TargetCapacity): {
	readonly lengthBytes: number;
	readonly dataBytes: number;
} {
	const lengthBytes = 2 * (volumeMode === 'Filesystem' ? requestedBytes : totalBytes) + containerBytes;
	return {lengthBytes, dataBytes: volumeMode === 'Filesystem' ? requestedBytes : lengthBytes};
}

export function inWords(bytes: number): string {
	const gibibytes = bytes / gibibyte;
	const rounded = gibibytes >= 1 ? `${gibibytes.toFixed(2)} GiB` : `${(bytes / mebibyte).toFixed(2)} MiB`;
	return `${bytes} bytes (${rounded})`;
}

function roundDown(value: number, step: number): number {
	return Math.floor(value / step) * step;
}

function roundUp(value: number, step: number): number {
	return Math.ceil(value / step) * step;
}
