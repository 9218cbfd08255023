import {setTimeout as sleep} from 'node:timers/promises';

/**
 * Asks again until the answer is not undefined. After `timeoutMs` it throws, with the outcome of the last attempt as the cause.
 * An attempt that throws counts as "not yet".
 */
export async function until<T>(
	what: string,
	attempt: () => Promise<T | undefined>,
	{timeoutMs = 60_000, intervalMs = 100}: {readonly timeoutMs?: number; readonly intervalMs?: number} = {},
): Promise<T> {
	const deadline = Date.now() + timeoutMs;
	for (;;) {
		let cause: unknown;
		try {
			const answer = await attempt();
			if (answer !== undefined) return answer;
		} catch (error) {
			if (error instanceof GiveUp) throw error;
			cause = error;
		}
		if (Date.now() > deadline) {
			const because = cause instanceof Error ? `: ${cause.message}` : '';
			throw new Error(`${what}: not so after ${timeoutMs / 1000} s${because}`, {cause});
		}
		await sleep(intervalMs);
	}
}

/** Thrown by an attempt that knows that waiting will not help. */
export class GiveUp extends Error {
	override readonly name = 'GiveUp';
}
