import type {FileHandle} from 'node:fs/promises';
import {writeFailure} from './target.ts';

/** Zeros are looked for in whole blocks of this size: what file systems store. */
const holeBytes = 4096;
/** Within a long hole, zeros are looked for in pieces of this size: a tenth of the native calls. */
const zeros = Buffer.alloc(64 * 1024);

/** Odd, so that the bytes looked at have every place within a word. */
const sampleStride = 255;

export interface DataRun {
	readonly start: number;
	/** Exclusive. */
	readonly end: number;
}

/** Where in the buffer, which belongs at `position` of the disk, there is something to write. */
export function dataRuns(buffer: Buffer, position: number): DataRun[] {
	const runs: DataRun[] = [];
	let start: number | undefined;
	for (let at = 0; at < buffer.length; ) {
		if (start === undefined && at + zeros.length <= buffer.length && isZero(buffer, at, at + zeros.length)) {
			at += zeros.length;
			continue;
		}
		const end = Math.min(buffer.length, at + holeBytes - ((position + at) % holeBytes));
		const isHole = isZero(buffer, at, end);
		if (isHole && start !== undefined) {
			runs.push({start, end: at});
			start = undefined;
		}
		if (!isHole) start ??= at;
		at = end;
	}
	if (start !== undefined) runs.push({start, end: buffer.length});
	return runs;
}

/** Data shows itself in a few bytes, which are looked at in a tenth of the time that a native call takes. At most 64 KiB. */
function isZero(buffer: Buffer, start: number, end: number): boolean {
	for (let at = start; at < end; at += sampleStride) if (buffer[at] !== 0) return false;
	return buffer.compare(zeros, 0, end - start, start, end) === 0;
}

export interface SparseWriterOptions {
	/** The target reads as zeros already: zeros are not written. */
	readonly keepHoles: boolean;
	/** Writes at a time. */
	readonly concurrency?: number;
}

/** Writes a disk from front to back, several writes at a time, without the zeros. */
export class SparseWriter {
	readonly #handle: FileHandle;
	readonly #keepHoles: boolean;
	readonly #concurrency: number;
	readonly #running = new Set<Promise<void>>();
	#failure: unknown;
	#writtenBytes = 0;

	constructor(handle: FileHandle, {keepHoles, concurrency = 6}: SparseWriterOptions) {
		this.#handle = handle;
		this.#keepHoles = keepHoles;
		this.#concurrency = concurrency;
	}

	/** Without the zeros; what is being written counts. */
	get writtenBytes(): number {
		return this.#writtenBytes;
	}

	/** Resolves when the next piece may come; `done` is called when the buffer is no longer needed. */
	async write(buffer: Buffer, position: number, done: () => void = () => {}): Promise<void> {
		const runs = this.#keepHoles ? dataRuns(buffer, position) : [{start: 0, end: buffer.length}];
		if (runs.length === 0) {
			done();
			return;
		}
		for (const {start, end} of runs) this.#writtenBytes += end - start;
		const running = this.#writeRuns(buffer, position, runs)
			.catch((error: unknown) => {
				this.#failure ??= writeFailure(error);
			})
			.finally(() => {
				this.#running.delete(running);
				done();
			});
		this.#running.add(running);
		while (this.#running.size >= this.#concurrency) await Promise.race(this.#running);
		if (this.#failure !== undefined) throw this.#failure;
	}

	async flush(): Promise<void> {
		await Promise.all(this.#running);
		if (this.#failure !== undefined) throw this.#failure;
	}

	async #writeRuns(buffer: Buffer, position: number, runs: readonly DataRun[]): Promise<void> {
		for (const {start, end} of runs) {
			for (let at = start; at < end; ) {
				const {bytesWritten} = await this.#handle.write(buffer, at, end - at, position + at);
				at += bytesWritten;
			}
		}
	}
}
