/** What a call needs: some keys for itself alone, some together with other readers. */
export type LockSet = {readonly exclusive: readonly string[]; readonly shared: readonly string[]};

/**
 * Locks that never wait. CSI lets a driver answer ABORTED to a second call about the same volume while the first runs; the
 * sidecars and the kubelet then try again. Waiting here would only hide such calls, and hold them past their callers' deadlines.
 */
export class Locks {
	readonly #exclusive = new Set<string>();
	readonly #shared = new Map<string, number>();

	/** All of the set or nothing: returns the function that lets go, or the key that was in the way. */
	tryAcquire({exclusive, shared}: LockSet): (() => void) | {readonly busy: string} {
		const busy =
			exclusive.find((key) => this.#exclusive.has(key) || this.#shared.has(key)) ??
			shared.find((key) => this.#exclusive.has(key));
		if (busy !== undefined) return {busy};
		for (const key of exclusive) this.#exclusive.add(key);
		for (const key of shared) this.#shared.set(key, (this.#shared.get(key) ?? 0) + 1);
		return () => this.#release({exclusive, shared});
	}

	#release({exclusive, shared}: LockSet): void {
		for (const key of exclusive) this.#exclusive.delete(key);
		for (const key of shared) {
			const readers = (this.#shared.get(key) ?? 1) - 1;
			if (readers > 0) this.#shared.set(key, readers);
			else this.#shared.delete(key);
		}
	}
}
