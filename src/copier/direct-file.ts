/**
 * A file or block device, read and written past the page cache where it can be: a copy's bytes are used once, and would
 * only push other Pods' pages out of memory. Reading a device of 10 GiB directly was measured 4 to 8 times as fast.
 */
import {constants} from 'node:fs';
import {type FileHandle, open} from 'node:fs/promises';

/** What direct I/O is aligned to: the largest sector there is, and what file systems store. */
const blockBytes = 4096;

export class DirectFile implements AsyncDisposable {
	/** Sees and makes the same bytes as the direct one, but takes any offset and length. */
	readonly buffered: FileHandle;
	readonly #direct: FileHandle;

	private constructor(buffered: FileHandle, direct: FileHandle) {
		this.buffered = buffered;
		this.#direct = direct;
	}

	static async open(path: string, flags: number): Promise<DirectFile> {
		const buffered = await open(path, flags);
		// Some file systems refuse the flag; what they do without it is right as well.
		const direct = await open(path, flags | constants.O_DIRECT).catch(() => buffered);
		return new DirectFile(buffered, direct);
	}

	/** Into the beginning of the page buffer. `position` is aligned; how many bytes the file had up to `lengthBytes`. */
	async read(buffer: Buffer, position: number, lengthBytes: number): Promise<number> {
		let filled = 0;
		while (filled < lengthBytes) {
			const whole = filled % blockBytes === 0;
			const handle = whole ? this.#direct : this.buffered;
			// A direct read asks for whole blocks and gets what there is.
			const wanted = whole ? Math.ceil((lengthBytes - filled) / blockBytes) * blockBytes : lengthBytes - filled;
			const {bytesRead} = await handle.read(
				buffer,
				filled,
				Math.min(wanted, buffer.length - filled),
				position + filled,
			);
			if (bytesRead === 0) break;
			filled += bytesRead;
		}
		return Math.min(filled, lengthBytes);
	}

	/** The part of a page buffer that belongs at `position + start`; `position` and `start` are aligned, the end need not be. */
	async write(buffer: Buffer, position: number, {start, end}: {readonly start: number; readonly end: number}) {
		const wholeEnd = end - ((end - start) % blockBytes);
		for (let at = start; at < end; ) {
			const whole = at < wholeEnd && at % blockBytes === 0;
			const handle = whole ? this.#direct : this.buffered;
			const {bytesWritten} = await handle.write(buffer, at, (whole ? wholeEnd : end) - at, position + at);
			at += bytesWritten;
		}
	}

	/** All that was written before survives a power cut. */
	datasync(): Promise<void> {
		return this.buffered.datasync();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#direct !== this.buffered) await this.#direct.close();
		await this.buffered.close();
	}
}
