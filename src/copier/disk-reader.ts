/** Reads a disk from front to back, several reads ahead, and finds out what of it is zero. */
import {WorkerError} from '../importer/worker-error.ts';
import {type DataRun, dataRuns} from '../importer/target/sparse-writer.ts';
import type {DirectFile} from './direct-file.ts';
import type {PageBuffers} from './page-buffers.ts';
import {type PlannedPiece, planPieces} from './pieces.ts';
import type {Extent} from './source-extents.ts';

/** Pieces come in order and leave no gap. */
export interface Piece {
	readonly start: number;
	/** Exclusive. */
	readonly end: number;
	/** Belongs at `start`; undefined where there is nothing but zeros. Begins at a page. */
	readonly buffer: Buffer | undefined;
	/** What of the buffer is not zero. */
	readonly runs: readonly DataRun[];
	/** The buffer may be used for other bytes. */
	release(): void;
}

export const chunkBytes = 1024 * 1024;
/** Reads at a time. */
const readsAhead = 4;
const zeros = Buffer.alloc(chunkBytes);
const nothing = () => {};

export interface ReadOptions {
	/** Where there is data, as soon as that is known. */
	readonly extents: () => readonly Extent[] | undefined;
	readonly buffers: PageBuffers;
	readonly fromBytes: number;
	readonly sizeBytes: number;
	readonly onRead: (bytes: number) => void;
	readonly signal: AbortSignal;
}

export async function* readPieces(source: DirectFile, options: ReadOptions): AsyncGenerator<Piece> {
	const {extents, buffers, fromBytes, sizeBytes, signal} = options;
	const plan = planPieces(extents, {fromBytes, sizeBytes, chunkBytes: buffers.bufferBytes});
	const ahead: Array<Promise<Piece>> = [];
	try {
		for (;;) {
			signal.throwIfAborted();
			while (ahead.length < readsAhead) {
				const next = plan.next();
				if (next.done) break;
				const piece = readPiece(source, next.value, options);
				// Its turn may never come, where an earlier one failed.
				piece.catch(nothing);
				ahead.push(piece);
			}
			const first = ahead.shift();
			if (!first) return;
			yield await first;
		}
	} finally {
		// Nothing may still read into memory that is used for something else.
		for (const piece of await Promise.allSettled(ahead)) if (piece.status === 'fulfilled') piece.value.release();
	}
}

async function readPiece(
	source: DirectFile,
	{start, end, isHole}: PlannedPiece,
	{buffers, onRead}: ReadOptions,
): Promise<Piece> {
	const hole: Piece = {start, end, buffer: undefined, runs: [], release: nothing};
	if (isHole) return hole;
	const whole = await buffers.acquire();
	const length = end - start;
	let read = 0;
	try {
		read = await source.read(whole, start, length);
	} catch (error) {
		buffers.release(whole);
		throw readFailure(error instanceof Error ? error.message : String(error), error);
	}
	if (read < length) {
		buffers.release(whole);
		throw readFailure(`it ended at byte ${start + read}, before ${end}`);
	}
	onRead(length);
	const buffer = whole.subarray(0, length);
	if (buffer.compare(zeros, 0, length) === 0) {
		buffers.release(whole);
		return hole;
	}
	return {start, end, buffer, runs: dataRuns(buffer, start), release: () => buffers.release(whole)};
}

function readFailure(words: string, cause?: unknown): WorkerError {
	return new WorkerError('Internal', `Reading the source claim failed: ${words}. Look at its storage.`, {cause});
}
