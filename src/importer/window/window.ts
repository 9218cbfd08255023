/**
 * A bounded window over a source that is far away: reads anywhere, fetched ahead by parallel range requests.
 *
 * What to fetch and what to let go is decided in window-plan.ts; here are the memory, the requests and the waiting.
 * Memory is a pool of equal buffers, used again instead of being left to the garbage collector, so the budget is what the
 * process really holds. Readers get slices of those buffers, not copies, and say when they are done with them.
 */
import PQueue from 'p-queue';
import type {RangeSource} from './byte-source.ts';
import type {ChecksumVerifier} from '../checksum.ts';
import {afterRefusal, afterRequest, afterWait, firstPace, type Pace, type PaceLimits} from './pace.ts';
import {
	advanceStreams,
	deepest,
	demandVictims,
	firstStreams,
	type HeldBlock,
	nextSpan,
	type ReadStream,
	type WindowShape,
	type WindowView,
} from './window-plan.ts';
import {asWorkerError, type WorkerError} from '../worker-error.ts';

export interface WindowTuning {
	/** Memory for blocks. At least some thirty spans are of use. */
	readonly budgetBytes: number;
	/** Unit of memory and of a random read. */
	readonly blockBytes: number;
	/** Bytes per request of the read-ahead, and how many of them at a time, until the link is known: see pace.ts. */
	readonly spanBytes: number;
	readonly concurrency: number;
}

export const defaultWindowTuning: WindowTuning = {
	budgetBytes: 48 * 1024 * 1024,
	blockBytes: 256 * 1024,
	spanBytes: 4 * 1024 * 1024,
	concurrency: 8,
};

/** Within what the pace may move. A third of the memory is for what has come. */
function paceLimits({budgetBytes, blockBytes, spanBytes, concurrency}: WindowTuning): PaceLimits {
	return {
		mostRequests: concurrency * 3,
		smallestSpanBytes: Math.max(blockBytes, spanBytes / 4),
		usualSpanBytes: spanBytes,
		largestSpanBytes: spanBytes * 2,
		inFlightBytes: (budgetBytes * 2) / 3,
	};
}

/** Requests of qemu-img overtake each other by no more than its eight coroutines with 2 MiB each, compressed to less. */
const nearBytes = 16 * 1024 * 1024;
/** Connections that are kept free for reads that somebody waits for. */
const demandConnections = 2;

export interface WindowOptions {
	readonly source: RangeSource;
	readonly tuning?: WindowTuning;
	/** The first bytes, where they are known already: not fetched again. */
	readonly head?: Buffer;
	/** Is given every byte once, in order. */
	readonly checksum?: ChecksumVerifier | undefined;
	readonly signal: AbortSignal;
}

/** Bytes in the window's memory, valid until `release`. */
export interface WindowLease {
	readonly parts: readonly Buffer[];
	release(): void;
}

interface Slot extends HeldBlock {
	readonly block: number;
	readonly buffer: Buffer;
	ready: boolean;
	pins: number;
	unreadBytes: number;
	usedAt: number;
	/** The request that brings it, to be hurried when somebody waits. */
	readonly request: string;
	readonly waiting: Array<() => void>;
}

export class ReadWindow {
	readonly #source: RangeSource;
	readonly #blockBytes: number;
	readonly #limits: PaceLimits;
	#pace: Pace;
	#shape: WindowShape;
	readonly #checksum: ChecksumVerifier | undefined;
	readonly #queue: PQueue;
	readonly #closed = new AbortController();
	readonly #signal: AbortSignal;
	readonly #held = new Map<number, Slot>();
	readonly #pool: Buffer[] = [];
	/** Requests of the read-ahead that have not begun. */
	readonly #waiting = new Set<string>();
	#streams: readonly ReadStream[];
	#hashedTo = 0;
	#uses = 0;
	#requests = 0;
	#fetchedBytes = 0;
	#failure: WorkerError | undefined;
	#planning = false;

	constructor({source, tuning = defaultWindowTuning, head, checksum, signal}: WindowOptions) {
		const {blockBytes, budgetBytes, concurrency} = tuning;
		this.#source = source;
		this.#blockBytes = blockBytes;
		this.#limits = paceLimits(tuning);
		this.#pace = firstPace(this.#limits, concurrency);
		this.#checksum = checksum;
		this.#signal = AbortSignal.any([signal, this.#closed.signal]);
		this.#queue = new PQueue({concurrency: this.#pace.requests + demandConnections});
		this.#shape = {
			blockCount: Math.ceil(source.lengthBytes / blockBytes),
			capacity: Math.floor(budgetBytes / blockBytes),
			spanBlocks: this.#pace.spanBytes / blockBytes,
			nearBlocks: Math.floor(Math.min(nearBytes, budgetBytes / 4) / blockBytes),
		};
		this.#streams = firstStreams(this.#shape);
		if (head) this.#seed(head);
		this.#readAhead();
	}

	get lengthBytes(): number {
		return this.#source.lengthBytes;
	}

	/** Bytes that came over the network, repeats included, the head excluded. */
	get fetchedBytes(): number {
		return this.#fetchedBytes;
	}

	/** Share of the source that the checksum has seen, 0 to 1. */
	get hashedShare(): number {
		return this.#shape.blockCount === 0 ? 1 : this.#hashedTo / this.#shape.blockCount;
	}

	/** Why the source cannot be read any more. */
	get failure(): WorkerError | undefined {
		return this.#failure;
	}

	/** Bytes `offset` to `offset + length`, which must lie within the source. */
	async read(offset: number, length: number): Promise<WindowLease> {
		const slots = this.#ask(offset, length);
		try {
			for (const slot of slots) if (!slot.ready) await this.#arrival(slot);
		} catch (error) {
			this.#unpin(slots);
			throw error;
		}
		return this.#lend(slots, offset, length);
	}

	/** The same where all of it has come already: without a promise, a tenth of the work. */
	readNow(offset: number, length: number): WindowLease | undefined {
		const last = Math.floor((offset + length - 1) / this.#blockBytes);
		for (let block = Math.floor(offset / this.#blockBytes); block <= last; block++) {
			if (!this.#held.get(block)?.ready) return undefined;
		}
		return this.#lend(this.#ask(offset, length), offset, length);
	}

	#ask(offset: number, length: number): Slot[] {
		if (length <= 0 || offset < 0 || offset + length > this.lengthBytes) {
			throw new RangeError(`read of ${length} bytes at ${offset} of ${this.lengthBytes}`);
		}
		const first = Math.floor(offset / this.#blockBytes);
		const last = Math.floor((offset + length - 1) / this.#blockBytes);
		const slots = this.#pin(first, last);
		const [before] = this.#streams;
		this.#streams = advanceStreams(this.#streams, {first, last}, this.#shape);
		// Most reads change nothing that a plan would see.
		if (this.#streams[0]?.depth !== before?.depth || slots.some(({ready}) => !ready)) this.#planSoon();
		return slots;
	}

	#lend(slots: readonly Slot[], offset: number, length: number): WindowLease {
		const parts = slots.map((slot) => {
			const base = slot.block * this.#blockBytes;
			return slot.buffer.subarray(Math.max(0, offset - base), Math.min(slot.buffer.length, offset + length - base));
		});
		for (const [index, slot] of slots.entries()) {
			slot.unreadBytes = Math.max(0, slot.unreadBytes - (parts[index]?.length ?? 0));
		}
		let released = false;
		return {
			parts,
			release: () => {
				if (released) return;
				released = true;
				this.#unpin(slots);
				if (slots.some(({unreadBytes, pins}) => unreadBytes === 0 && pins === 0)) this.#planSoon();
			},
		};
	}

	/** Gives the checksum what nobody asked for: the rest of the source, in order. */
	async hashRest(): Promise<void> {
		this.#streams = [{position: this.#hashedTo, depth: deepest(this.#shape)}];
		while (this.#checksum && this.#hashedTo < this.#shape.blockCount) {
			const offset = this.#hashedTo * this.#blockBytes;
			const lease = await this.read(offset, Math.min(this.#blockBytes, this.lengthBytes - offset));
			lease.release();
		}
	}

	/** Ends all requests. Readers that still wait are refused. */
	async close(): Promise<void> {
		this.#closed.abort(new Error('the window was closed'));
		await this.#queue.onIdle();
		// The next window, on what was unpacked of this one, needs the memory before the garbage collector comes by.
		const unused = [...this.#held.values()].filter(({pins}) => pins === 0).map(({buffer}) => buffer);
		for (const {buffer} of [...this.#pool, ...unused]) if (buffer instanceof ArrayBuffer) buffer.transfer(0);
		this.#pool.length = 0;
		this.#held.clear();
	}

	#lengthOf(block: number): number {
		return Math.min(this.#blockBytes, this.lengthBytes - block * this.#blockBytes);
	}

	/** Keeps the whole blocks of the head (and the last block, if it is all there). */
	#seed(head: Buffer): void {
		for (let block = 0; block < this.#shape.blockCount; block++) {
			const start = block * this.#blockBytes;
			const end = start + this.#lengthOf(block);
			if (end > head.length) break;
			const slot = this.#hold(block, 'head');
			head.copy(slot.buffer, 0, start, end);
			this.#arrived(slot);
		}
	}

	#hold(block: number, request: string): Slot {
		const length = this.#lengthOf(block);
		const memory = this.#pool.pop() ?? Buffer.allocUnsafeSlow(this.#blockBytes);
		const slot: Slot = {
			block,
			buffer: memory.subarray(0, length),
			ready: false,
			pins: 0,
			unreadBytes: length,
			usedAt: ++this.#uses,
			request,
			waiting: [],
		};
		this.#held.set(block, slot);
		return slot;
	}

	#evict(blocks: readonly number[]): void {
		for (const block of blocks) {
			const slot = this.#held.get(block);
			this.#held.delete(block);
			if (slot && this.#held.size + this.#pool.length < this.#shape.capacity) {
				this.#pool.push(Buffer.from(slot.buffer.buffer, slot.buffer.byteOffset, this.#blockBytes));
			}
		}
	}

	/** Blocks that somebody reads now: those that are missing are asked for at once. */
	#pin(first: number, last: number): Slot[] {
		const slots: Slot[] = [];
		for (let block = first; block <= last; block++) {
			const slot = this.#held.get(block) ?? this.#demand(block, last);
			if (!slot.ready) this.#hurry(slot);
			slot.pins++;
			slot.usedAt = ++this.#uses;
			slots.push(slot);
		}
		return slots;
	}

	/** Asks for the missing blocks from `first` on, up to `last` or the first that is held. */
	#demand(first: number, last: number): Slot {
		let end = first + 1;
		while (end <= last && !this.#held.has(end)) end++;
		this.#evict(demandVictims(this.#view(), end - first));
		this.#fetch(first, end - first, 1);
		const slot = this.#held.get(first);
		if (!slot) throw new Error(`block ${first} was asked for and is not held`);
		return slot;
	}

	#unpin(slots: readonly Slot[]): void {
		for (const slot of slots) slot.pins--;
	}

	#hurry({request}: Slot): void {
		// Once: then it is before all read-ahead, or under way already.
		if (this.#waiting.delete(request)) this.#queue.setPriority(request, 1);
	}

	#view(): WindowView {
		return {
			...this.#shape,
			streams: this.#streams,
			held: this.#held,
			hashedTo: this.#checksum ? this.#hashedTo : undefined,
		};
	}

	/** Once per turn of the event loop, however many reads it saw. */
	#planSoon(): void {
		if (this.#planning || !this.#isIdle) return;
		this.#planning = true;
		setImmediate(() => {
			this.#planning = false;
			this.#readAhead();
		});
	}

	get #isIdle(): boolean {
		return this.#queue.size + this.#queue.pending < this.#pace.requests;
	}

	#setPace(pace: Pace): void {
		if (pace.requests !== this.#pace.requests) this.#queue.concurrency = pace.requests + demandConnections;
		if (pace.spanBytes !== this.#pace.spanBytes) {
			this.#shape = {...this.#shape, spanBlocks: pace.spanBytes / this.#blockBytes};
		}
		this.#pace = pace;
	}

	#readAhead(): void {
		while (!this.#signal.aborted && !this.#failure && this.#isIdle) {
			const span = nextSpan(this.#view());
			if (!span) return;
			this.#evict(span.evict);
			this.#fetch(span.first, span.count, 0);
		}
	}

	#fetch(first: number, count: number, priority: number): void {
		const request = String(++this.#requests);
		const slots = Array.from({length: count}, (_, index) => this.#hold(first + index, request));
		const start = first * this.#blockBytes;
		const end = Math.min(this.lengthBytes, start + count * this.#blockBytes);
		if (priority === 0) this.#waiting.add(request);
		let position = start;
		let [startMs, firstByteMs] = [0, 0];
		const fill = (chunk: Buffer) => {
			firstByteMs ||= performance.now();
			this.#fetchedBytes += chunk.length;
			for (let taken = 0; taken < chunk.length; ) {
				const slot = slots[Math.floor((position - start) / this.#blockBytes)];
				if (!slot) throw new Error('the source delivered more than it was asked for');
				const at = (position - start) % this.#blockBytes;
				const copied = chunk.copy(slot.buffer, at, taken);
				taken += copied;
				position += copied;
				if (at + copied === slot.buffer.length) this.#arrived(slot);
			}
		};
		this.#queue
			.add(
				() => {
					startMs = performance.now();
					this.#waiting.delete(request);
					return this.#source.fetch({start, end}, fill, this.#signal, () => this.#setPace(afterRefusal(this.#pace)));
				},
				{id: request, priority},
			)
			.then(
				() => {
					const ended = {bytes: end - start, startMs, firstByteMs, endMs: performance.now()};
					// What somebody waits for is short, and says little about the link.
					if (priority === 0) this.#setPace(afterRequest(this.#pace, ended, this.#limits));
					this.#planSoon();
				},
				(error: unknown) => this.#fail(error),
			);
	}

	#arrived(slot: Slot): void {
		slot.ready = true;
		for (const wake of slot.waiting.splice(0)) wake();
		if (this.#checksum) this.#hash(this.#checksum);
	}

	#hash(checksum: ChecksumVerifier): void {
		for (let slot = this.#held.get(this.#hashedTo); slot?.ready; slot = this.#held.get(this.#hashedTo)) {
			checksum.update(slot.buffer);
			this.#hashedTo++;
		}
	}

	async #arrival(slot: Slot): Promise<void> {
		if (this.#failure) throw this.#failure;
		this.#signal.throwIfAborted();
		this.#setPace(afterWait(this.#pace));
		await new Promise<void>((resolve) => slot.waiting.push(resolve));
		if (!slot.ready) throw this.#failure ?? this.#signal.reason;
	}

	/** The first failure stays; whoever waits is woken to see it. */
	#fail(error: unknown): void {
		if (!this.#signal.aborted) this.#failure ??= asWorkerError(error);
		for (const slot of this.#held.values()) for (const wake of slot.waiting.splice(0)) wake();
	}
}
