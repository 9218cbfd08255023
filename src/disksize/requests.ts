interface Asked {
	/** Of those who ask, by UID. */
	readonly wakes: Map<string, () => void>;
	/** Why nobody can look, in the API server's words. */
	problem?: string | undefined;
}

/** Who waits for the size of which disk. In memory: everybody asks again in each round. */
export class DiskSizeRequests {
	readonly #asked = new Map<string, Asked>();
	readonly #wake: (key: string) => void;

	/** @param wake puts a claim's key into the controller's queue. */
	constructor(wake: (key: string) => void) {
		this.#wake = wake;
	}

	/**
	 * @param key of the claim, `namespace/name`
	 * @param uid of the one who asks. Idempotent.
	 * @param wake where there is news that no watch shows
	 */
	ask(key: string, uid: string, wake: () => void): void {
		const asked = this.#asked.get(key) ?? {wakes: new Map<string, () => void>()};
		this.#asked.set(key, asked);
		const isNew = !asked.wakes.has(uid);
		asked.wakes.set(uid, wake);
		if (isNew) this.#wake(key);
	}

	/** Knows it by now, or needs it no more. */
	stop(uid: string): void {
		for (const [key, {wakes}] of this.#asked) {
			if (!wakes.delete(uid) || wakes.size > 0) continue;
			this.#asked.delete(key);
			this.#wake(key);
		}
	}

	has(key: string): boolean {
		return this.#asked.has(key);
	}

	/** @param problem undefined: there is none any more */
	report(key: string, problem: string | undefined): void {
		const asked = this.#asked.get(key);
		if (!asked || asked.problem === problem) return;
		asked.problem = problem;
		for (const wake of asked.wakes.values()) wake();
	}

	problemOf(key: string): string | undefined {
		return this.#asked.get(key)?.problem;
	}
}
