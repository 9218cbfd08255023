/** Who waits for the size of which disk. In memory: everybody asks again in each round. */
export class DiskSizeRequests {
	readonly #asking = new Map<string, Set<string>>();
	readonly #wake: (key: string) => void;

	/** @param wake puts a claim's key into the controller's queue. */
	constructor(wake: (key: string) => void) {
		this.#wake = wake;
	}

	/**
	 * @param key of the claim, `namespace/name`
	 * @param uid of the one who asks. Idempotent.
	 */
	ask(key: string, uid: string): void {
		const asking = this.#asking.get(key) ?? new Set();
		this.#asking.set(key, asking);
		if (asking.has(uid)) return;
		asking.add(uid);
		this.#wake(key);
	}

	/** Knows it by now, or needs it no more. */
	stop(uid: string): void {
		for (const [key, asking] of this.#asking) {
			if (!asking.delete(uid) || asking.size > 0) continue;
			this.#asking.delete(key);
			this.#wake(key);
		}
	}

	has(key: string): boolean {
		return this.#asking.has(key);
	}
}
