/**
 * When to write the status of a SharedSnapshot. What it is worth (state, rule, stripes) is written at once; the counts and
 * the message, which change with every clone that is made, as often as a person can read.
 */
import {isDeepStrictEqual} from 'node:util';
import type {SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {Clock} from '../process/clock.ts';

type Status = NonNullable<SharedSnapshot['status']>;

/** Between two statuses that differ in counts and message only. */
const countsMs = 2000;

function worthOf({state, reuse, stripes}: Status): unknown[] {
	return [state, reuse, stripes];
}

export class StatusPace {
	readonly #clock: Clock;
	readonly #writtenAtMs = new Map<string, number>();

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	/** How long to wait before this status is written; 0: write it now, if it is another than the one that is there. */
	waitMs({metadata: {uid = ''}, status: before}: SharedSnapshot, after: Status): number {
		if (before && isDeepStrictEqual(before, after)) return 0;
		const nowMs = this.#clock.monotonicMs();
		const lastMs = this.#writtenAtMs.get(uid);
		const onlyCounts = before !== undefined && isDeepStrictEqual(worthOf(before), worthOf(after));
		const waitMs = onlyCounts && lastMs !== undefined ? lastMs + countsMs - nowMs : 0;
		if (waitMs > 0) return waitMs;
		this.#writtenAtMs.set(uid, nowMs);
		return 0;
	}

	forget(uid: string): void {
		this.#writtenAtMs.delete(uid);
	}
}
