import {setTimeout as delay} from 'node:timers/promises';

/**
 * Time as a dependency, so that tests of queues, leases and back-off step through it instead of waiting for it.
 */
export interface Clock {
	/** Wall clock in milliseconds since 1970: for timestamps that others read, never for measuring. */
	now(): number;
	/** Never goes back and does not jump when somebody sets the wall clock: for deadlines and latencies. */
	monotonicMs(): number;
	/** Calls back once after the delay; the returned function cancels it. */
	after(delayMs: number, callback: () => void): () => void;
	/** Resolves after the delay, or early (it does not reject) when the signal aborts: the caller's loop looks at the signal. */
	sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** The longest delay that setTimeout takes; a longer one would fire at once. */
const longestTimerMs = 2 ** 31 - 1;

export const systemClock: Clock = {
	now: () => Date.now(),
	monotonicMs: () => performance.now(),
	after(delayMs, callback) {
		const timer = setTimeout(callback, Math.min(delayMs, longestTimerMs));
		return () => clearTimeout(timer);
	},
	async sleep(delayMs, signal) {
		try {
			await delay(Math.min(delayMs, longestTimerMs), undefined, signal ? {signal} : {});
		} catch (error) {
			if (!signal?.aborted) throw error;
		}
	},
};
