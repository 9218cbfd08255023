/** How retries spread out. */
export interface Backoff {
	/** Before the first retry. */
	readonly baseMs: number;
	/** No delay is longer. */
	readonly maxMs: number;
	/** Each delay is this many times the one before. Default 2. */
	readonly factor?: number;
	/** Up to this share of the delay is taken off at random, so that many clients do not return together. Default 0.5. */
	readonly jitter?: number;
}

/** Delay before retry number `retries` (0 is the first). */
export function backoffMs(
	{baseMs, maxMs, factor = 2, jitter = 0.5}: Backoff,
	retries: number,
	random: () => number = Math.random,
): number {
	const full = Math.min(maxMs, baseMs * factor ** Math.min(retries, 64));
	return full * (1 - jitter * random());
}
