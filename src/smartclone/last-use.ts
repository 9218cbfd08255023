/**
 * Since when nobody uses a shared snapshot. In memory, and counted from when it was first seen: a restart gives it its time
 * again, which costs the storage a little and nobody a clone.
 */
import type {Clock} from '../process/clock.ts';

export class LastUse {
	readonly #usedAtMs = new Map<string, number>();
	readonly #clock: Clock;

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	idleMs(sharedUid: string, isUsed: boolean): number {
		const now = this.#clock.monotonicMs();
		if (isUsed || !this.#usedAtMs.has(sharedUid)) this.#usedAtMs.set(sharedUid, now);
		return now - (this.#usedAtMs.get(sharedUid) ?? now);
	}

	forget(sharedUid: string): void {
		this.#usedAtMs.delete(sharedUid);
	}
}
