/**
 * How many restores of one stripe are in flight. Pacing is ours: a claim that meets a busy snapshot falls into the
 * provisioner's exponential back-off of up to five minutes, so the losers are not even created.
 *
 * A slot is taken before the claim is created and counts until the cache shows the claim; from then on the claim itself
 * counts, for as long as it is being restored. (One that waits for a consumer is not.)
 */

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
	readonly #seen: (stripe: string) => SeenClaims;

	constructor(seen: (stripe: string) => SeenClaims) {
		this.#seen = seen;
	}

	/** False: the window is full, and `wake` is called when a slot is free. */
	take(stripe: string, request: string, size: number, wake: Wake): boolean {
		const taken = this.#taken.get(stripe) ?? new Set<string>();
		const {shown, restoring} = this.#seen(stripe);
		for (const uid of taken) if (shown.has(uid)) taken.delete(uid);
		this.#dropWaiter(stripe, request);
		const may = taken.has(request) || shown.has(request) || taken.size + restoring.size < size;
		if (may && !shown.has(request)) this.#taken.set(stripe, taken.add(request));
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

	#dropWaiter(stripe: string, request: string): void {
		const waiters = this.#waiters.get(stripe);
		waiters?.delete(request);
		if (waiters?.size === 0) this.#waiters.delete(stripe);
	}
}
