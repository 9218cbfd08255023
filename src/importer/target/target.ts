/**
 * The claim that is filled: `disk.img` at the root of a Filesystem claim, or a block device.
 *
 * The controller hands the claim over only after this worker succeeded, so the disk is written in place; what makes a
 * restart safe is that `prepare` starts from nothing: a new file, or a device whose old bytes are discarded. A copy may
 * `resume` instead, where a journal tells what is there.
 */
import {constants} from 'node:fs';
import {access, chmod, type FileHandle, open, readFile, stat, statfs, unlink} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {diskImageName, type VolumeMode, type WorkerVolume} from '../../api/worker-contract.ts';
import {inWords, type TargetCapacity} from './capacity.ts';
import {CommandError, runCommand} from '../command.ts';
import type {DiskNode} from '../qemu/image-options.ts';
import {WorkerError} from '../worker-error.ts';

/** A download that could not be read in place, for sources without Range. Removed before success. */
export const scratchName = 'disk.img.scratch';
/** How far a copy is, for the try after a kill. Removed before success. */
export const journalName = 'disk.img.journal';
/** Made by mkfs at the root of ext file systems, for root only. */
export const lostAndFound = 'lost+found';
/** Readable and writable for KubeVirt's group, as CDI leaves it. */
const diskMode = 0o660;

export interface TargetWish {
	readonly requestedBytes: number;
	readonly filesystemOverhead: number;
	readonly preallocation: boolean;
	/** Where to put down what cannot be put beside the disk, because that is a device. */
	readonly scratchDir?: string;
}

/** A file of ours for an image that has to be whole before it can be read. */
export interface Scratch {
	readonly handle: FileHandle;
	/** What this user may write there. */
	readonly availableBytes: number;
	/** No honest image of this claim's size is so long. */
	tooSmall(shown: string, bytes: number): WorkerError;
	/** There was no space left. */
	full(shown: string): WorkerError;
}

export class Target {
	readonly volumeMode: VolumeMode;
	/** The file or device that is written. */
	readonly path: string;
	readonly #volume: WorkerVolume;
	readonly #wish: TargetWish;
	readonly #signal: AbortSignal;
	#isZero = false;

	constructor(volume: WorkerVolume, wish: TargetWish, signal: AbortSignal) {
		this.volumeMode = volume.volumeMode;
		this.path = diskPath(volume);
		this.#volume = volume;
		this.#wish = wish;
		this.#signal = signal;
	}

	get node(): DiskNode {
		return diskNode(this.#volume);
	}

	/** Whether zeros need not be written: they read as such, and nobody asked for allocated blocks on the device. */
	get keepHoles(): boolean {
		return this.#isZero && !this.mustAllocate;
	}

	/** A device allocates what is written to it, so preallocation means to write it all. A file is allocated when it is created. */
	get mustAllocate(): boolean {
		return this.#wish.preallocation && this.volumeMode === 'Block';
	}

	/** Removes the file of an earlier try, so that its blocks count as free. */
	async clear(): Promise<void> {
		await this.#translate(async () => {
			if (this.volumeMode === 'Filesystem') await this.#remove();
			else await this.removeScratch();
		});
	}

	async capacity(): Promise<TargetCapacity> {
		const {requestedBytes, filesystemOverhead} = this.#wish;
		const common = {volumeMode: this.volumeMode, requestedBytes, filesystemOverhead};
		if (this.volumeMode === 'Block') {
			const bytes = await deviceBytes(this.path, this.#signal);
			return {...common, totalBytes: bytes, availableBytes: bytes};
		}
		const {bsize, blocks, bavail} = await statfs(dirname(this.path));
		return {...common, totalBytes: bsize * blocks, availableBytes: bsize * bavail};
	}

	/** Goes on with what an earlier try prepared. */
	resume({isZero}: {readonly isZero: boolean}): void {
		this.#isZero = isZero;
	}

	/** What is not written reads as zeros. */
	get isZero(): boolean {
		return this.#isZero;
	}

	/** Starts from nothing, whatever an earlier try left. */
	async prepare(sizeBytes: number): Promise<void> {
		await this.#translate(() =>
			this.volumeMode === 'Block' ? this.#discardDevice(sizeBytes) : this.#createFile(sizeBytes),
		);
	}

	open(): Promise<FileHandle> {
		return this.#translate(() => open(this.path, constants.O_RDWR));
	}

	/** A stream turned out longer than what was prepared for it. Returns the size that the disk has then. */
	async extend(sizeBytes: number): Promise<number> {
		if (this.volumeMode === 'Block') return sizeBytes;
		return await this.#translate(async () => {
			await using handle = await this.open();
			if ((await handle.stat()).size < sizeBytes) await handle.truncate(sizeBytes);
			return sizeBytes;
		});
	}

	openScratch(): Promise<Scratch> {
		return this.#translate(async () => {
			const path = this.#scratchPath;
			if (path === undefined) throw new Error('there is no folder for a scratch file');
			const {bsize, bavail} = await statfs(dirname(path));
			const availableBytes = bsize * bavail;
			const inPlace = 'Or serve it uncompressed by a server that answers Range requests: then it is read in place.';
			return {
				handle: await open(path, 'wx+', 0o600),
				availableBytes,
				tooSmall: (shown, bytes) =>
					new WorkerError(
						'ImageTooLarge',
						`${shown} has to be put down before it can be read, but has more than ${inWords(bytes)}, which is too much for this claim. Ask for a larger claim. ${inPlace}`,
					),
				full: (shown) =>
					this.volumeMode === 'Block'
						? new WorkerError(
								'TargetWriteFailed',
								`${shown} has to be put down before it can be read, but the node has no more than ${inWords(availableBytes)} for it (ephemeral storage). Free some. ${inPlace}`,
							)
						: new WorkerError(
								'ImageTooLarge',
								`${shown} has to be put down before it can be read, but the claim has no more than ${inWords(availableBytes)} for it. Ask for a larger claim. ${inPlace}`,
							),
			};
		});
	}

	async removeScratch(): Promise<void> {
		if (this.#scratchPath !== undefined) await removeFile(this.#scratchPath);
	}

	/** Writes zeros to a device from here to its end, where it must be allocated. */
	async allocateRest(fromBytes: number, sizeBytes: number): Promise<void> {
		if (!this.mustAllocate) return;
		await using handle = await this.open();
		await this.#translate(() => writeZeros(handle, fromBytes, sizeBytes, this.#signal));
	}

	/** The disk survives a power cut from here on. */
	async sync(): Promise<void> {
		await this.#translate(async () => {
			if (await this.#exists()) await syncPath(this.path, constants.O_RDWR);
			if (this.volumeMode === 'Block') return;
			// Not needed any more, and not before.
			await removeFile(join(dirname(this.path), journalName));
			await syncPath(dirname(this.path), constants.O_RDONLY);
		});
	}

	/** Leaves nothing of a disk that must not be used. */
	async discard(): Promise<void> {
		if (this.volumeMode === 'Filesystem') await this.#remove();
		else await this.#discardDevice(await deviceBytes(this.path, this.#signal));
	}

	/** Direct I/O does not push other Pods' pages out of memory; some file systems cannot. */
	async canDirectIo(): Promise<boolean> {
		try {
			await using handle = await open(this.path, constants.O_RDWR | constants.O_DIRECT);
			return handle.fd >= 0;
		} catch {
			return false;
		}
	}

	/** A copy of files alone has no disk. */
	async #exists(): Promise<boolean> {
		return access(this.path).then(
			() => true,
			() => false,
		);
	}

	get #scratchPath(): string | undefined {
		const folder = this.volumeMode === 'Block' ? this.#wish.scratchDir : dirname(this.path);
		return folder === undefined ? undefined : join(folder, scratchName);
	}

	async #remove(): Promise<void> {
		// First of all: a journal must not speak of a disk that is gone.
		await removeFile(join(dirname(this.path), journalName));
		await Promise.all([removeFile(this.path), this.removeScratch()]);
	}

	async #createFile(sizeBytes: number): Promise<void> {
		await removeFile(this.path);
		await using handle = await open(this.path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, diskMode);
		await handle.truncate(sizeBytes);
		if (this.#wish.preallocation) await this.#allocate(handle, sizeBytes);
		// Against the umask.
		await chmod(this.path, diskMode);
		this.#isZero = true;
	}

	async #allocate(handle: FileHandle, sizeBytes: number): Promise<void> {
		try {
			await runCommand('fallocate', ['--length', String(sizeBytes), this.path], {signal: this.#signal});
		} catch (error) {
			if (!(error instanceof CommandError) || !error.stderr.includes('not supported')) throw error;
			await writeZeros(handle, 0, sizeBytes, this.#signal);
		}
	}

	/** Punching a hole in a device unmaps and zeroes it at once, and fails where it would have to write the zeros. */
	async #discardDevice(sizeBytes: number): Promise<void> {
		try {
			const args = ['--punch-hole', '--offset', '0', '--length', String(sizeBytes), this.path];
			await runCommand('fallocate', args, {signal: this.#signal});
			this.#isZero = true;
		} catch (error) {
			if (!(error instanceof CommandError)) throw error;
			this.#isZero = false;
		}
	}

	async #translate<T>(action: () => Promise<T>): Promise<T> {
		try {
			return await action();
		} catch (error) {
			this.#signal.throwIfAborted();
			throw writeFailure(error);
		}
	}
}

export function isNoSpace(error: unknown): boolean {
	return error instanceof WorkerError && error.reason === 'TargetWriteFailed' && noSpace.test(error.message);
}

const noSpace = /ENOSPC|No space left/;

/** Everything that was written below the folder survives a power cut from here on. Rejects with a CommandError. */
export async function syncFileSystem(folder: string, signal: AbortSignal): Promise<void> {
	await runCommand('sync', ['--file-system', folder], {signal});
}

/** A failed write, in words. */
export function writeFailure(error: unknown): WorkerError {
	if (error instanceof WorkerError) return error;
	const words = error instanceof Error ? error.message : String(error);
	return new WorkerError(
		'TargetWriteFailed',
		noSpace.test(words)
			? `Writing the disk failed: the volume is full (${words}). Ask for a larger claim, or raise the file system overhead of its storage class.`
			: `Writing the disk failed: ${words}. Look at the volume's storage and the node's kernel log.`,
		{cause: error},
	);
}

export function diskPath({volumeMode, path}: WorkerVolume): string {
	return volumeMode === 'Block' ? path : join(path, diskImageName);
}

/** A volume's disk as qemu's block layer opens it. */
export function diskNode(volume: WorkerVolume): DiskNode {
	const driver = volume.volumeMode === 'Block' ? 'host_device' : 'file';
	return {driver, path: diskPath(volume)};
}

export async function deviceBytes(path: string, signal: AbortSignal): Promise<number> {
	return (await kernelDeviceBytes(path)) ?? Number(await runCommand('blockdev', ['--getsize64', path], {signal}));
}

/** Without a program to start; undefined where /sys is not what it is on a node. */
async function kernelDeviceBytes(path: string): Promise<number | undefined> {
	const {rdev} = await stat(path);
	// As the C library takes a device number apart.
	const major = ((rdev / 2 ** 32) & ~0xfff) | ((rdev >> 8) & 0xfff);
	const minor = ((rdev / 2 ** 12) & ~0xff) | (rdev & 0xff);
	const sectors = await readFile(`/sys/dev/block/${major}:${minor}/size`, 'utf8').catch(() => undefined);
	return sectors === undefined ? undefined : Number(sectors) * 512;
}

const zeros = Buffer.alloc(4 * 1024 * 1024);

async function writeZeros(handle: FileHandle, fromBytes: number, toBytes: number, signal: AbortSignal): Promise<void> {
	for (let at = fromBytes; at < toBytes; ) {
		signal.throwIfAborted();
		const {bytesWritten} = await handle.write(zeros, 0, Math.min(zeros.length, toBytes - at), at);
		at += bytesWritten;
	}
}

/** Node's `rm` is made for trees: it loads and asks more. */
async function removeFile(path: string): Promise<void> {
	await unlink(path).catch((error: unknown) => {
		if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
	});
}

async function syncPath(path: string, flags: number): Promise<void> {
	await using handle = await open(path, flags);
	await handle.sync();
}
