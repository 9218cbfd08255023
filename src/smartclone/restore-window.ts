/**
 * How many restores of one stripe are in flight. Pacing is ours: a claim that meets a busy snapshot falls into the
 * provisioner's exponential back-off of up to five minutes, so the losers are not even created.
 *
 * A slot is taken before the claim is created and is counted here until the cache shows the claim; from then on the
 * claim itself counts, as long as it is Pending.
 */

/** Puts the waiter into its queue again; false where it no longer exists, so that the next one gets its turn. */
export type Wake = () => boolean;

export class RestoreWindow {
	readonly #taken = new Map<string, Set<string>>();
	readonly #waiters = new Map<string, Map<string, Wake>>();
	readonly #pending: (stripe: string) => ReadonlySet<string>;

	/** @param pending UIDs of the requests whose claims the cache shows as restoring from this stripe. */
	constructor(pending: (stripe: string) => ReadonlySet<string>) {
		this.#pending = pending;
	}

	/** False: the window is full, and `wake` is called when a slot is free. */
	take(stripe: string, request: string, size: number, wake: Wake): boolean {
		const taken = this.#taken.get(stripe) ?? new Set<string>();
		this.#taken.set(stripe, taken);
		const pending = this.#pending(stripe);
		for (const uid of taken) if (pending.has(uid)) taken.delete(uid);
		this.#waiters.get(stripe)?.delete(request);
		if (taken.has(request) || pending.has(request)) return true;
		if (taken.size + pending.size < size) {
			taken.add(request);
			return true;
		}
		const waiters = this.#waiters.get(stripe) ?? new Map<string, Wake>();
		this.#waiters.set(stripe, waiters.set(request, wake));
		return false;
	}

	/** The restore ended, or its request went away. Idempotent. */
	release(stripe: string, request: string): void {
		const taken = this.#taken.get(stripe);
		taken?.delete(request);
		if (taken?.size === 0) this.#taken.delete(stripe);
		const waiters = this.#waiters.get(stripe);
		if (!waiters) return;
		waiters.delete(request);
		for (const [waiter, wake] of waiters) {
			waiters.delete(waiter);
			if (wake()) break;
		}
		if (waiters.size === 0) this.#waiters.delete(stripe);
	}
}
