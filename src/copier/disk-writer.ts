/** Writes a disk from front to back, several writes at a time and without its zeros, and keeps the journal of it. */
import type {DataRun} from '../importer/target/sparse-writer.ts';
import {writeFailure} from '../importer/target/target.ts';
import type {Log} from '../process/plain-log.ts';
import type {DirectFile} from './direct-file.ts';
import {chunkBytes, type Piece} from './disk-reader.ts';
import {journalBytes, type JournalRecord, type JournalWriter} from './journal.ts';

/** Pieces written at a time. */
const writesAtOnce = 4;
/** How far the others may get while one write is slow: what lies behind it is not done for the journal. */
const mostOutstanding = 8;
const zeros = Buffer.alloc(chunkBytes);

export interface DiskWriterOptions {
	/** The target reads as zeros already: zeros are not written. */
	readonly keepHoles: boolean;
	readonly fromBytes: number;
	readonly sizeBytes: number;
	/** The last bytes of the target, where the journal lies until the disk's own are due; undefined where it lies elsewhere. */
	readonly tailStart: number | undefined;
	/** Without one nothing is remembered, and the next try begins anew. */
	readonly journal?: {
		readonly writer: JournalWriter;
		readonly record: Omit<JournalRecord, 'doneBytes' | 'chain'>;
		/** The tail may hold a record of an earlier try. */
		readonly begun: boolean;
	};
	readonly checkpointing?: Checkpointing;
	readonly log: Log;
}

/** Both must have come together since the last checkpoint; the next try repeats twice that at most. */
export interface Checkpointing {
	readonly bytes: number;
	readonly ms: number;
}

/**
 * Little work is not worth a sync, which holds up all writes of some devices; and neither is what a fast device does again
 * in no time. A disk that is copied within a second is never synced but at its end.
 */
const defaultCheckpointing: Checkpointing = {bytes: 128 * 1024 * 1024, ms: 1000};
/** Reading zeros is work as well, though less. */
const zeroWorkShare = 1 / 8;

interface Outstanding {
	readonly end: number;
	readonly chain: string;
	done: boolean;
}

export class DiskWriter {
	readonly #file: DirectFile;
	readonly #options: DiskWriterOptions;
	readonly #checkpointing: Checkpointing;
	readonly #running = new Set<Promise<void>>();
	/** In the order of the disk: what is before the first one that is not done is written. */
	readonly #outstanding: Outstanding[] = [];
	readonly #tail: Buffer;
	#written: {bytes: number; chain: string};
	#workSinceCheckpoint = 0;
	#lastCheckpointMs = performance.now();
	#checkpoint: Promise<void> | undefined;
	#journalUsed: boolean;
	#journalFailed = false;
	#failure: unknown;

	constructor(file: DirectFile, options: DiskWriterOptions) {
		this.#file = file;
		this.#options = options;
		this.#checkpointing = options.checkpointing ?? defaultCheckpointing;
		this.#written = {bytes: options.fromBytes, chain: ''};
		this.#tail = Buffer.alloc(options.tailStart === undefined ? 0 : journalBytes);
		this.#journalUsed = options.journal?.begun ?? false;
	}

	/** Resolves when the next piece may come. `chain` is the checksum of everything up to the piece's end. */
	async write(piece: Piece, chain = ''): Promise<void> {
		const entry: Outstanding = {end: piece.end, chain, done: false};
		this.#outstanding.push(entry);
		const running = this.#writePiece(piece)
			.then(() => this.#finished(entry, piece))
			.catch((error: unknown) => {
				this.#failure ??= writeFailure(error);
			})
			.finally(() => {
				this.#running.delete(running);
				piece.release();
			});
		this.#running.add(running);
		while (
			this.#running.size >= writesAtOnce ||
			(this.#running.size > 0 && this.#outstanding.length >= mostOutstanding)
		) {
			await Promise.race(this.#running);
		}
		// A slow sync must not let the work that a kill would cost grow without end.
		while (this.#checkpoint && this.#isCheckpointDue) await this.#checkpoint;
		this.#throwFailure();
	}

	/** Waits for what is under way, whether it ends well or not. */
	async settle(): Promise<void> {
		await Promise.all(this.#running);
		await this.#checkpoint;
	}

	/** Everything is written; the caller syncs. */
	async finish(): Promise<void> {
		await this.settle();
		this.#throwFailure();
		const {tailStart, keepHoles} = this.#options;
		if (tailStart === undefined) return;
		const isZero = this.#tail.equals(zeros.subarray(0, journalBytes));
		if (isZero && keepHoles && !this.#journalUsed) return;
		try {
			await this.#file.buffered.write(this.#tail, 0, journalBytes, tailStart);
		} catch (error) {
			throw writeFailure(error);
		}
	}

	async #writePiece({start, end, buffer, runs}: Piece): Promise<void> {
		const {keepHoles, tailStart = Number.POSITIVE_INFINITY} = this.#options;
		const writtenEnd = Math.min(end, tailStart);
		if (buffer && end > tailStart) {
			const overlap = Math.max(start, tailStart);
			buffer.copy(this.#tail, overlap - tailStart, overlap - start);
		}
		if (start >= writtenEnd) return;
		if (!buffer) {
			if (!keepHoles) await this.#writeZeros(start, writtenEnd);
			return;
		}
		const wanted = keepHoles ? runs : [{start: 0, end: end - start}];
		for (const run of wanted) await this.#writeRun(buffer, start, {...run, end: Math.min(run.end, writtenEnd - start)});
	}

	async #writeRun(buffer: Buffer, position: number, run: DataRun): Promise<void> {
		if (run.start < run.end) await this.#file.write(buffer, position, run);
	}

	async #writeZeros(start: number, end: number): Promise<void> {
		for (let at = start; at < end; ) {
			const {bytesWritten} = await this.#file.buffered.write(zeros, 0, Math.min(zeros.length, end - at), at);
			at += bytesWritten;
		}
	}

	#finished(entry: Outstanding, {start, end, runs}: Piece): void {
		entry.done = true;
		for (let first = this.#outstanding[0]; first?.done; first = this.#outstanding[0]) {
			this.#written = {bytes: first.end, chain: first.chain};
			this.#outstanding.shift();
		}
		// What is longer than a chunk is a hole that nobody read.
		const readBytes = Math.min(end - start, chunkBytes);
		this.#workSinceCheckpoint += runs.reduce((sum, run) => sum + run.end - run.start, readBytes * zeroWorkShare);
		if (!this.#isCheckpointDue || this.#checkpoint || this.#journalFailed) return;
		this.#checkpoint = this.#writeCheckpoint().finally(() => {
			this.#checkpoint = undefined;
		});
	}

	get #isCheckpointDue(): boolean {
		const {bytes, ms} = this.#checkpointing;
		return this.#workSinceCheckpoint >= bytes && performance.now() - this.#lastCheckpointMs >= ms;
	}

	/** Only a try that is repeated has a use for it: where it cannot be written, the copy goes on. */
	async #writeCheckpoint(): Promise<void> {
		const {journal, tailStart = Number.POSITIVE_INFINITY, log} = this.#options;
		const {bytes: doneBytes, chain} = this.#written;
		// What belongs where the journal lies is still in memory, and must be read again.
		if (!journal || doneBytes > tailStart) return;
		this.#workSinceCheckpoint = 0;
		this.#lastCheckpointMs = performance.now();
		try {
			await this.#file.datasync();
			this.#journalUsed = true;
			await journal.writer.write({...journal.record, doneBytes, chain});
		} catch (error) {
			this.#journalFailed = true;
			log.warn({error}, 'no journal: a next try would begin from nothing');
		}
	}

	#throwFailure(): void {
		if (this.#failure !== undefined) throw this.#failure;
	}
}
