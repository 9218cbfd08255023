/** The two ways in which a raw source becomes a disk: by ranges through the window, or as one stream. */
import {PieceAligner} from './aligned-pieces.ts';
import type {SparseWriter} from './sparse-writer.ts';
import type {ReadWindow} from '../window/window.ts';

/** Bytes per read of the window: a few blocks. */
const stepBytes = 1024 * 1024;

/** Front to back, up to `endBytes`; the window fetches ahead meanwhile. */
export async function copyRanges(
	window: ReadWindow,
	writer: SparseWriter,
	{endBytes, onBytes, signal}: {endBytes: number; onBytes: (bytes: number) => void; signal: AbortSignal},
): Promise<void> {
	try {
		for (let offset = 0; offset < endBytes; ) {
			signal.throwIfAborted();
			const lease = await window.read(offset, Math.min(stepBytes, endBytes - offset));
			let left = lease.parts.length;
			for (const part of lease.parts) {
				await writer.write(part, offset, () => {
					if (--left === 0) lease.release();
				});
				offset += part.length;
			}
			onBytes(offset);
		}
	} finally {
		await writer.flush();
	}
}

/** All bytes in order; a piece is valid until the next is asked for. `onShare` is told how much of them was asked for, 0 to 1. */
export async function* readThrough(window: ReadWindow, onShare: (share: number) => void): AsyncGenerator<Buffer> {
	for (let offset = 0; offset < window.lengthBytes; ) {
		const lease = await window.read(offset, Math.min(stepBytes, window.lengthBytes - offset));
		try {
			for (const part of lease.parts) {
				offset += part.length;
				yield part;
			}
		} finally {
			lease.release();
		}
		onShare(offset / window.lengthBytes);
	}
}

export interface StreamCopyOptions {
	/** May refuse to go on, before so many bytes up to `endBytes` are written. */
	readonly check: (endBytes: number, bytes: number) => void;
	/** Of a stream of so many bytes that ends so, how many belong to the disk. */
	readonly endOf?: (lastBytes: Buffer, lengthBytes: number) => number;
	/** A piece is not needed any more. */
	readonly onDone?: ((piece: Buffer) => void) | undefined;
}

/** Returns how many bytes belong to the disk. */
export async function copyStream(
	pieces: AsyncIterable<Buffer>,
	writer: SparseWriter,
	{check, endOf = (_, lengthBytes) => lengthBytes, onDone = () => {}}: StreamCopyOptions,
): Promise<number> {
	const aligner = new PieceAligner();
	const write = async (buffer: Buffer, position: number, release: () => void) => {
		check(position + buffer.length, buffer.length);
		await writer.write(buffer, position, release);
	};
	try {
		for await (const piece of pieces) {
			for (const {buffer, position, release} of aligner.push(piece, () => onDone(piece))) {
				await write(buffer, position, release);
			}
		}
		const {buffer, position} = aligner.rest;
		const end = endOf(buffer, position + buffer.length);
		await write(buffer.subarray(0, end - position), position, () => {});
		return end;
	} finally {
		await writer.flush();
	}
}
