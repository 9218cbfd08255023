export interface RetryPolicy {
	/** Tries in a row that bring no byte before the worker gives up. Minimum 1. */
	readonly attempts: number;
	/** Pause after the first failure; doubles with each further one. */
	readonly baseMs: number;
	/** Longest pause, also when the server asks for a longer one with Retry-After. */
	readonly longestMs: number;
}

export const defaultRetryPolicy: RetryPolicy = {attempts: 7, baseMs: 500, longestMs: 30_000};

/**
 * Pause before the next try, after `failures` failures in a row (1 or more): exponential, with jitter between half and
 * the whole, so that connections cut together do not come back together. A server's Retry-After is waited for.
 *
 * @param random 0 to 1
 */
export function retryDelayMs(
	policy: RetryPolicy,
	failures: number,
	{retryAfterMs = 0, random = Math.random()}: {retryAfterMs?: number | undefined; random?: number} = {},
): number {
	const exponential = Math.min(policy.longestMs, policy.baseMs * 2 ** (failures - 1));
	return Math.max(exponential * (0.5 + random / 2), Math.min(policy.longestMs, retryAfterMs));
}

/** Retry-After as seconds or as an HTTP date; undefined where it is neither. */
export function parseRetryAfterMs(value: string | undefined, now: number): number | undefined {
	if (value === undefined) return undefined;
	if (/^\d+$/.test(value.trim())) return Number(value) * 1000;
	const at = Date.parse(value);
	return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
