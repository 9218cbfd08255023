/** The compressed bytes in order, of which a decoder may give some back. Remembers whether it was the source that failed. */
export class PackedInput {
	readonly #pieces: AsyncIterator<Buffer>;
	#putBack: Buffer | undefined;
	#takenBytes = 0;
	#isAtEnd = false;
	#failure: unknown;

	constructor(pieces: AsyncIterable<Buffer>) {
		this.#pieces = pieces[Symbol.asyncIterator]();
	}

	/** Why the source could not be read on. */
	get failure(): unknown {
		return this.#failure;
	}

	get isAtEnd(): boolean {
		return this.#isAtEnd;
	}

	get takenBytes(): number {
		return this.#takenBytes - (this.#putBack?.length ?? 0);
	}

	/** Undefined at the end. A piece is valid until the next call. */
	async next(): Promise<Buffer | undefined> {
		const putBack = this.#putBack;
		this.#putBack = undefined;
		if (putBack && putBack.length > 0) return putBack;
		try {
			const next = await this.#pieces.next();
			this.#isAtEnd = next.done === true;
			if (next.done === true) return undefined;
			this.#takenBytes += next.value.length;
			return next.value;
		} catch (error) {
			this.#failure = error;
			throw error;
		}
	}

	putBack(rest: Buffer): void {
		this.#putBack = rest;
	}

	/** Compressed files may be filled up with zeros, to whole blocks. */
	async skipZeros(): Promise<void> {
		for (let piece = await this.next(); piece; piece = await this.next()) {
			if (piece.some((byte) => byte !== 0)) throw new Error('something else follows');
		}
	}
}
