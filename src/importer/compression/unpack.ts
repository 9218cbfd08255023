/**
 * What is inside of compressed bytes, as a stream in bounded memory. gzip and zstd are unpacked by Node's own libraries in a
 * thread of this process, xz by the program of that name.
 *
 * A file may consist of several compressed parts, one after the other (parallel compressors write such files). Node goes on
 * with the next part of gzip by itself; of zstd it forgets what follows in the same piece of input, so each part gets a decoder
 * of its own there, and how much input one took is compared with what it was given.
 */
import {createGunzip, createZstdDecompress} from 'node:zlib';
import type {Compression} from './compression.ts';
import {PackedInput} from './packed-input.ts';
import {WorkerError} from '../worker-error.ts';
import {unpackXz} from './xz.ts';

export interface UnpackFacts {
	readonly compression: Compression;
	/** For messages. */
	readonly shown: string;
	readonly signal: AbortSignal;
}

/** Each piece of output costs a round through the event loop and some JavaScript: disks unpack to many, most of them zeros. */
const chunkSize = 1024 * 1024;

const decoders = {
	gzip: () => createGunzip({chunkSize}),
	// Its default limit for the window is 128 MiB.
	zstd: () => createZstdDecompress({chunkSize}),
};
type Decoder = ReturnType<(typeof decoders)[keyof typeof decoders]>;

/** Rejects with what `packed` rejects with, or with a WorkerError about the data. */
export async function* unpack(packed: AsyncIterable<Buffer>, facts: UnpackFacts): AsyncGenerator<Buffer> {
	const input = new PackedInput(packed);
	try {
		if (facts.compression === 'xz') yield* unpackXz(input, facts.signal);
		else yield* unpackParts(input, facts.compression);
	} catch (error) {
		facts.signal.throwIfAborted();
		throw input.failure ?? failureOfUnpacking(error, {...facts, takenBytes: input.takenBytes});
	}
}

/**
 * Gives the memory of an unpacked piece back at once. Waiting for the garbage collector made half of the time that a disk of
 * zeros takes: memory outside of its heap makes it run all the time.
 */
export function recycle({buffer, length}: Buffer): void {
	// Shorter pieces share their memory with what comes next.
	const isAlone = length === chunkSize && buffer.byteLength === chunkSize;
	if (isAlone && buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/** Each part costs a millisecond: of honest files, those that can be read from the middle have the smallest, of some KiB. */
const fewParts = 1000;
const smallestPartBytes = 1024;

async function* unpackParts(input: PackedInput, compression: 'gzip' | 'zstd'): AsyncGenerator<Buffer> {
	let unpackedBytes = 0;
	for (let count = 1; ; count++) {
		if (count > fewParts && unpackedBytes < count * smallestPartBytes) throw new Error('parts of next to nothing');
		const decoder = decoders[compression]();
		const feeding = feed(decoder, input).catch((error: unknown) => {
			decoder.destroy(error instanceof Error ? error : new Error(String(error)));
		});
		for await (const piece of decoder as AsyncIterable<Buffer>) {
			unpackedBytes += piece.length;
			yield piece;
		}
		await feeding;
		if (input.isAtEnd) return;
		if (compression === 'gzip') return await input.skipZeros();
	}
}

/** Resolves when the decoder wants no more. */
async function feed(decoder: Decoder, input: PackedInput): Promise<void> {
	for (let piece = await input.next(); piece; piece = await input.next()) {
		const before = decoder.bytesWritten;
		await accepted(decoder, piece);
		const taken = decoder.bytesWritten - before;
		if (taken < piece.length) {
			input.putBack(piece.subarray(taken));
			return;
		}
	}
	decoder.end();
}

/** A decoder that is at its end does not say that it has taken a piece. */
function accepted(decoder: Decoder, piece: Buffer): Promise<void> {
	return new Promise((resolve) => {
		const settle = () => {
			decoder.off('end', settle);
			resolve();
		};
		decoder.once('end', settle);
		decoder.write(piece, settle);
	});
}

function failureOfUnpacking(
	error: unknown,
	{compression, shown, takenBytes}: UnpackFacts & {takenBytes: number},
): unknown {
	if (error instanceof WorkerError || !(error instanceof Error)) return error;
	const code = 'code' in error ? error.code : undefined;
	if (code === 'ZSTD_error_frameParameter_windowTooLarge' || code === 'XZ_MEMORY') {
		return new WorkerError(
			'FormatNotSupported',
			`${shown} was compressed so that unpacking takes more memory than a worker may use (zstd: a window of more than 128 MiB, xz: a dictionary of more than 64 MiB). Compress it again, without --long or with a lower level.`,
			{cause: error},
		);
	}
	if (code === 'XZ_MISSING') return error;
	const isCut = code === 'Z_BUF_ERROR' || /unexpected end/i.test(error.message);
	return new WorkerError(
		'InvalidImage',
		`${shown} is ${isCut ? 'truncated: it ends in the middle of its' : 'damaged: these are no'} ${compression} data (${error.message}, ${takenBytes} bytes read). Upload it again, whole.`,
		{cause: error},
	);
}
