/**
 * What was created and has not been seen in the cache since. It is seen by its owner: whoever takes that off, or changes it
 * on the way in, holds the owner up until the expectation is given up.
 */
import type {Clock} from '../../src/process/clock.ts';

export class Expectations {
	readonly #open = new Map<string, Map<string, number>>();
	readonly #clock: Clock;
	/** KubeVirt: five minutes. */
	readonly timeoutMs: number;

	constructor(clock: Clock, timeoutMs: number) {
		this.#clock = clock;
		this.timeoutMs = timeoutMs;
	}

	expect(owner: string, name: string): void {
		const open = this.#open.get(owner) ?? new Map<string, number>();
		open.set(name, this.#clock.monotonicMs());
		this.#open.set(owner, open);
	}

	/** Seen, or not created after all. */
	settle(owner: string, name: string): void {
		const open = this.#open.get(owner);
		open?.delete(name);
		if (open?.size === 0) this.#open.delete(owner);
	}

	isWaiting(owner: string): boolean {
		const nowMs = this.#clock.monotonicMs();
		return [...(this.#open.get(owner)?.values() ?? [])].some((sinceMs) => nowMs - sinceMs < this.timeoutMs);
	}
}
