/**
 * Buffers that direct I/O takes: it wants memory that begins at a page. Node's own allocations do not; a WebAssembly memory
 * is mapped by pages, and nothing of WebAssembly but that is used here.
 */
const wasmPageBytes = 64 * 1024;
/** The compiler's library for servers does not have it. */
declare const WebAssembly: {
	readonly Memory: new (size: {readonly initial: number}) => {readonly buffer: ArrayBuffer};
};

/** A fixed number of buffers of one size. Whoever asks first gets the next one that is given back. */
export class PageBuffers {
	readonly bufferBytes: number;
	readonly #free: Buffer[] = [];
	readonly #waiting: Array<(buffer: Buffer) => void> = [];

	constructor({count, bufferBytes}: {readonly count: number; readonly bufferBytes: number}) {
		if (bufferBytes % wasmPageBytes !== 0) throw new RangeError(`${bufferBytes} is no multiple of ${wasmPageBytes}`);
		this.bufferBytes = bufferBytes;
		const {buffer} = new WebAssembly.Memory({initial: (count * bufferBytes) / wasmPageBytes});
		for (let index = 0; index < count; index++) {
			this.#free.push(Buffer.from(buffer, index * bufferBytes, bufferBytes));
		}
	}

	async acquire(): Promise<Buffer> {
		const free = this.#free.pop();
		if (free) return free;
		return new Promise((resolve) => {
			this.#waiting.push(resolve);
		});
	}

	/** Its contents are whatever the last user left. */
	release(buffer: Buffer): void {
		const next = this.#waiting.shift();
		if (next) next(buffer);
		else this.#free.push(buffer);
	}
}
