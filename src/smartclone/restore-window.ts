/**
 * How many restores of one stripe are in flight. Pacing is ours: a claim that meets a busy snapshot falls into the
 * provisioner's exponential back-off of up to five minutes, so the losers are not even created.
 *
 * A slot is taken before the claim is created and counts until the cache shows the claim; from then on the claim itself
 * counts, for as long as it is being restored. (One that waits for a consumer is not.) How many slots there are follows
 * the storage's answers (restore-pace.ts); what was learned is forgotten with the process.
 */
import {beginPace, type Pace, type PaceLimits, pushBack, succeed} from './restore-pace.ts';

/** Puts the waiter into its queue again; false where it no longer exists, so that the next one gets its turn. */
export type Wake = () => boolean;

/** UIDs of the requests whose claims the cache shows, for one stripe. */
export interface SeenClaims {
	readonly shown: ReadonlySet<string>;
	readonly restoring: ReadonlySet<string>;
}

export class RestoreWindow {
	readonly #taken = new Map<string, Set<string>>();
	readonly #waiters = new Map<string, Map<string, Wake>>();
	readonly #paces = new Map<string, Pace>();
	/** The generation of the pace in which each request began to restore. */
	readonly #begun = new Map<string, number>();
	readonly #seen: (stripe: string) => SeenClaims;

	constructor(seen: (stripe: string) => SeenClaims) {
		this.#seen = seen;
	}

	/** False: the window is full, and `wake` is called when a slot is free. */
	take(stripe: string, request: string, limits: PaceLimits, wake: Wake): boolean {
		const taken = this.#taken.get(stripe) ?? new Set<string>();
		const pace = this.#paces.get(stripe) ?? beginPace(limits);
		this.#paces.set(stripe, pace);
		const {shown, restoring} = this.#seen(stripe);
		for (const uid of taken) if (shown.has(uid)) taken.delete(uid);
		this.#dropWaiter(stripe, request);
		const may = taken.has(request) || shown.has(request) || taken.size + restoring.size < pace.size;
		if (may && !shown.has(request)) this.#taken.set(stripe, taken.add(request));
		if (may && !this.#begun.has(request)) this.#begun.set(request, pace.generation);
		if (!may) this.#waiters.set(stripe, (this.#waiters.get(stripe) ?? new Map<string, Wake>()).set(request, wake));
		return may;
	}

	/** The request needs no slot that was taken for it: its claim is shown, or it went away, or another way. Idempotent. */
	forget(request: string): void {
		for (const [stripe, taken] of this.#taken) {
			if (!taken.delete(request)) continue;
			if (taken.size === 0) this.#taken.delete(stripe);
			this.freed(stripe);
		}
		for (const stripe of this.#waiters.keys()) this.#dropWaiter(stripe, request);
	}

	/** A restore ended: somebody else may have its place. */
	freed(stripe: string): void {
		for (const [waiter, wake] of this.#waiters.get(stripe) ?? []) {
			this.#dropWaiter(stripe, waiter);
			if (wake()) return;
		}
	}

	/**
	 * The request's claim is complete: with enough of them, more at a time are tried. Idempotent, because a claim that is
	 * complete may be changed again; what was begun before this process proves nothing about how many it takes.
	 */
	succeeded(stripe: string, request: string): void {
		const generation = this.#begun.get(request);
		this.#begun.delete(request);
		const pace = this.#paces.get(stripe);
		if (!pace || generation === undefined) return;
		const next = succeed(pace, generation);
		this.#paces.set(stripe, next);
		for (let size = pace.size; size < next.size; size++) this.freed(stripe);
	}

	/** The storage said that the request's restore is one too many. What was begun before this process counts as begun first. */
	pushedBack(stripe: string, request: string): void {
		const pace = this.#paces.get(stripe);
		if (pace) this.#paces.set(stripe, pushBack(pace, this.#begun.get(request) ?? 0));
	}

	/** The request is gone, or its claim was given up. */
	gone(request: string): void {
		this.#begun.delete(request);
		this.forget(request);
	}

	/** The snapshot is gone. */
	drop(stripe: string): void {
		this.#paces.delete(stripe);
	}

	/** Slots that the stripe has now. */
	sizeOf(stripe: string): number | undefined {
		return this.#paces.get(stripe)?.size;
	}

	#dropWaiter(stripe: string, request: string): void {
		const waiters = this.#waiters.get(stripe);
		waiters?.delete(request);
		if (waiters?.size === 0) this.#waiters.delete(stripe);
	}
}
