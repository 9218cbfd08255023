/**
 * Puts the pieces of a stream, which end anywhere, together to pieces that begin and end where the blocks of a disk do: writes
 * of half a block would make the kernel read the other half, and zeros are looked for in whole blocks. Long pieces are
 * passed on as they are but for their ends; short ones are collected.
 */

/** Blocks begin at multiples of this. */
const blockBytes = 4096;
/** From so many bytes on a piece is worth a write of its own. */
const longBytes = 64 * 1024;
const collectedBytes = 256 * 1024;
/** Stays back, so that whoever reads may look at it before it is written. */
export const heldBackBytes = 512;

export interface AlignedPiece {
	readonly buffer: Buffer;
	/** In the stream: a multiple of the block size. */
	readonly position: number;
	/** Its memory may be used again. */
	readonly release: () => void;
}

export class PieceAligner {
	readonly #free: Buffer[] = [];
	#held: Buffer = Buffer.allocUnsafe(collectedBytes);
	#heldBytes = 0;
	/** Where the held bytes begin. */
	#position = 0;

	/**
	 * What can be passed on now, in order. Valid until released.
	 * @param done is called when the piece itself is not needed any more, perhaps before this has ended
	 */
	*push(piece: Buffer, done: () => void = () => {}): Generator<AlignedPiece> {
		let at = 0;
		while (at < piece.length) {
			const left = piece.length - at;
			const toBoundary = (blockBytes - (this.#heldBytes % blockBytes)) % blockBytes;
			if (left - toBoundary >= longBytes) {
				at += this.#collect(piece, at, toBoundary);
				if (this.#heldBytes > 0) yield this.#flush(0);
				const end = at + Math.floor((piece.length - at - heldBackBytes) / blockBytes) * blockBytes;
				const position = this.#position;
				this.#position += end - at;
				this.#collect(piece, end, piece.length - end);
				yield {buffer: piece.subarray(at, end), position, release: done};
				return;
			}
			at += this.#collect(piece, at, left);
			if (this.#heldBytes === collectedBytes) yield this.#flush(blockBytes);
		}
		done();
	}

	/** What was held back: at the end of the stream its last bytes, at least {@link heldBackBytes} where there were so many. */
	get rest(): {readonly buffer: Buffer; readonly position: number} {
		return {buffer: this.#held.subarray(0, this.#heldBytes), position: this.#position};
	}

	#collect(piece: Buffer, at: number, length: number): number {
		const copied = piece.copy(this.#held, this.#heldBytes, at, at + length);
		this.#heldBytes += copied;
		return copied;
	}

	#flush(keptBytes: number): AlignedPiece {
		const full = this.#held;
		const length = this.#heldBytes - keptBytes;
		const position = this.#position;
		this.#held = this.#free.pop() ?? Buffer.allocUnsafe(collectedBytes);
		full.copy(this.#held, 0, length, this.#heldBytes);
		this.#heldBytes = keptBytes;
		this.#position += length;
		return {buffer: full.subarray(0, length), position, release: () => this.#free.push(full)};
	}
}
