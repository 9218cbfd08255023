import type {FileHandle} from 'node:fs/promises';
import {WorkerError} from '../worker-error.ts';

export interface ByteRange {
	readonly start: number;
	/** Exclusive. */
	readonly end: number;
}

/** Bytes that can be asked for anywhere. */
export interface RangeSource {
	readonly lengthBytes: number;
	/** For messages: the URL without secrets, or the file. */
	readonly shown: string;
	/**
	 * Delivers every byte of the range once and in order, riding out whatever another try can cure.
	 * The pieces are only valid during the call of `deliver`. `onSetback` is called for each such try: the other side has
	 * too much to do, or the way to it.
	 */
	fetch(range: ByteRange, deliver: (chunk: Buffer) => void, signal: AbortSignal, onSetback?: () => void): Promise<void>;
}

/** A file of ours, for sources that had to be spooled. */
export class FileRangeSource implements RangeSource {
	readonly lengthBytes: number;
	readonly shown: string;
	readonly #handle: FileHandle;

	constructor(handle: FileHandle, {lengthBytes, shown}: {lengthBytes: number; shown: string}) {
		this.#handle = handle;
		this.lengthBytes = lengthBytes;
		this.shown = shown;
	}

	async fetch({start, end}: ByteRange, deliver: (chunk: Buffer) => void, signal: AbortSignal): Promise<void> {
		const buffer = Buffer.allocUnsafe(Math.min(end - start, 1 << 20));
		for (let position = start; position < end; ) {
			signal.throwIfAborted();
			const {bytesRead} = await this.#handle.read(buffer, 0, Math.min(buffer.length, end - position), position);
			if (bytesRead === 0)
				throw new WorkerError('Internal', `${this.shown} ends at ${position}, expected ${this.lengthBytes} bytes.`);
			deliver(buffer.subarray(0, bytesRead));
			position += bytesRead;
		}
	}
}
