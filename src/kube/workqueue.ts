import {type Clock, systemClock} from '../process/clock.ts';
import {type Backoff, backoffMs} from './backoff.ts';
import {queueDepth, queueLatency, queueRetries} from './metrics.ts';

/**
 * A queue of keys, not of objects or events: however often and why ever a key is added, it waits at most once, and the
 * worker looks at the world as it is when its turn comes.
 *
 * Invariants, tested as properties: a key is with at most one worker; after an add at time t with delay d, the key goes
 * to a worker at some moment from t on and, when one is free, not after t + d; an add while the key is being worked on leads
 * to another turn after it.
 */
export interface WorkQueueOptions {
	/** For metrics. */
	readonly name: string;
	readonly clock?: Clock;
	/** For addRateLimited. Default 0.1 s doubling up to 5 minutes. */
	readonly backoff?: Backoff;
	/** From 0 to 1, for jitter. */
	readonly random?: () => number;
}

export interface RunOptions {
	/** Keys in work at once. At least 1. */
	readonly concurrency: number;
	/** No key is started after it aborts. */
	readonly signal: AbortSignal;
}

/** Must not reject: what to do about a failure is the caller's decision (addRateLimited). */
export type Worker = (key: string) => Promise<void>;

const defaultBackoff: Backoff = {baseMs: 100, maxMs: 300_000};

export class WorkQueue {
	readonly #name: string;
	readonly #clock: Clock;
	readonly #backoff: Backoff;
	readonly #random: () => number;
	/** Keys that wait, in order, with the moment since when. */
	readonly #ready = new Map<string, number>();
	readonly #working = new Set<string>();
	/** Added while being worked on. */
	readonly #dirty = new Set<string>();
	readonly #delayed = new Map<string, {readonly dueMs: number; readonly cancel: () => void}>();
	readonly #retries = new Map<string, number>();
	/** Starts work while there is a key and a free worker; set while `run` runs. */
	#startWork: (() => void) | undefined;

	constructor({name, clock = systemClock, backoff = defaultBackoff, random = Math.random}: WorkQueueOptions) {
		this.#name = name;
		this.#clock = clock;
		this.#backoff = backoff;
		this.#random = random;
	}

	/** Keys that wait for a worker. */
	get depth(): number {
		return this.#ready.size;
	}

	get working(): number {
		return this.#working.size;
	}

	add(key: string): void {
		if (this.#working.has(key)) {
			this.#dirty.add(key);
			return;
		}
		if (this.#ready.has(key)) return;
		this.#ready.set(key, this.#clock.monotonicMs());
		this.#countDepth();
		this.#startWork?.();
	}

	/** The earliest of several delayed adds of a key wins and stands for all of them. */
	addAfter(key: string, delayMs: number): void {
		if (!(delayMs > 0)) {
			this.add(key);
			return;
		}
		const dueMs = this.#clock.monotonicMs() + delayMs;
		const present = this.#delayed.get(key);
		if (present && present.dueMs <= dueMs) return;
		present?.cancel();
		const cancel = this.#clock.after(delayMs, () => {
			this.#delayed.delete(key);
			this.add(key);
		});
		this.#delayed.set(key, {dueMs, cancel});
	}

	/** Again after a delay that grows with each call until `forget`; returns the delay. */
	addRateLimited(key: string, atLeastMs = 0): number {
		const retries = this.#retries.get(key) ?? 0;
		this.#retries.set(key, retries + 1);
		queueRetries.inc({queue: this.#name});
		const delayMs = Math.max(atLeastMs, backoffMs(this.#backoff, retries, this.#random));
		this.addAfter(key, delayMs);
		return delayMs;
	}

	/** The next rate-limited re-add begins at the shortest delay. */
	forget(key: string): void {
		this.#retries.delete(key);
	}

	/** How many rate-limited re-adds since the last `forget`. */
	retries(key: string): number {
		return this.#retries.get(key) ?? 0;
	}

	/**
	 * Gives keys to the worker until the signal aborts; resolves when the last worker has ended. Keys that still wait, or
	 * become due later, stay and are taken by the next `run`.
	 */
	run(worker: Worker, {concurrency, signal}: RunOptions): Promise<void> {
		if (this.#startWork) throw new Error(`queue ${this.#name} is already running`);
		if (!(concurrency >= 1)) throw new Error(`queue ${this.#name}: concurrency must be at least 1, not ${concurrency}`);
		return new Promise((resolve) => {
			const endWhenDrained = () => {
				if (!signal.aborted || this.#working.size > 0) return;
				this.#startWork = undefined;
				signal.removeEventListener('abort', endWhenDrained);
				resolve();
			};
			const pump = () => {
				pumpScheduled = false;
				while (!signal.aborted && this.#working.size < concurrency) {
					const key = this.#take();
					if (key === undefined) return;
					// work() does not reject: the worker promises not to, and the rest of it cannot fail.
					void this.#work(worker, key, () => {
						pump();
						endWhenDrained();
					});
				}
			};
			// Not at once: the adder may be in the middle of telling several handlers about one change.
			let pumpScheduled = false;
			this.#startWork = () => {
				if (pumpScheduled) return;
				pumpScheduled = true;
				queueMicrotask(pump);
			};
			signal.addEventListener('abort', endWhenDrained);
			this.#startWork();
			endWhenDrained();
		});
	}

	/** Cancels all delayed adds, so that nothing keeps the process alive. */
	close(): void {
		for (const {cancel} of this.#delayed.values()) cancel();
		this.#delayed.clear();
	}

	#take(): string | undefined {
		const next = this.#ready.entries().next();
		if (next.done) return undefined;
		const [key, sinceMs] = next.value;
		this.#ready.delete(key);
		this.#working.add(key);
		this.#countDepth();
		queueLatency.observe({queue: this.#name}, (this.#clock.monotonicMs() - sinceMs) / 1000);
		return key;
	}

	async #work(worker: Worker, key: string, next: () => void): Promise<void> {
		try {
			await worker(key);
		} catch {
			// A worker that breaks its promise must not lose the key.
			this.addRateLimited(key);
		}
		this.#working.delete(key);
		if (this.#dirty.delete(key)) this.add(key);
		next();
	}

	#countDepth(): void {
		queueDepth.set({queue: this.#name}, this.#ready.size);
	}
}
