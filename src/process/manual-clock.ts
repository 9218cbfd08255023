import type {Clock} from './clock.ts';

interface Timer {
	readonly dueMs: number;
	readonly order: number;
	readonly callback: () => void;
}

/** A clock for tests: time stands still until `advance`. */
export class ManualClock implements Clock {
	readonly #startAt: number;
	#elapsedMs = 0;
	#order = 0;
	readonly #timers = new Set<Timer>();

	constructor(startAt: Date = new Date('2026-01-01T00:00:00Z')) {
		this.#startAt = startAt.getTime();
	}

	now(): number {
		return this.#startAt + this.#elapsedMs;
	}

	monotonicMs(): number {
		return this.#elapsedMs;
	}

	after(delayMs: number, callback: () => void): () => void {
		const timer = {dueMs: this.#elapsedMs + Math.max(0, delayMs), order: this.#order++, callback};
		this.#timers.add(timer);
		return () => this.#timers.delete(timer);
	}

	sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
		if (signal?.aborted) return Promise.resolve();
		return new Promise((resolve) => {
			const wake = () => {
				cancel();
				signal?.removeEventListener('abort', wake);
				resolve();
			};
			const cancel = this.after(delayMs, wake);
			signal?.addEventListener('abort', wake);
		});
	}

	/** How many timers wait; nought when nothing more would happen by itself. */
	get pendingTimers(): number {
		return this.#timers.size;
	}

	/** When the next timer is due, counted from now. */
	get nextTimerMs(): number | undefined {
		const next = this.#next();
		return next && next.dueMs - this.#elapsedMs;
	}

	/**
	 * Lets time pass, timer by timer in the order they are due, and after each lets every promise that it settled run on,
	 * so that timers set by those continuations take part too.
	 */
	async advance(durationMs: number): Promise<void> {
		const endMs = this.#elapsedMs + durationMs;
		await settle();
		for (let timer = this.#next(); timer && timer.dueMs <= endMs; timer = this.#next()) {
			this.#timers.delete(timer);
			this.#elapsedMs = Math.max(this.#elapsedMs, timer.dueMs);
			timer.callback();
			await settle();
		}
		this.#elapsedMs = endMs;
	}

	#next(): Timer | undefined {
		let next: Timer | undefined;
		for (const timer of this.#timers) {
			if (!next || timer.dueMs < next.dueMs || (timer.dueMs === next.dueMs && timer.order < next.order)) next = timer;
		}
		return next;
	}
}

/** One turn of the event loop: microtasks all run before it. */
export function settle(): Promise<void> {
	return new Promise((resolve) => {
		setImmediate(resolve);
	});
}
