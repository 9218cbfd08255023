/** What was told of a DataVolume already: a round that began before the cache showed its end would tell it again. */
export class Told {
	readonly #told = new Map<string, Set<string>>();

	/** False where it was told. */
	isNew(uid: string, what: string): boolean {
		const ofUid = this.#told.get(uid) ?? new Set<string>();
		if (ofUid.has(what)) return false;
		this.#told.set(uid, ofUid.add(what));
		return true;
	}

	/** The DataVolume is gone. */
	forget(uid: string): void {
		this.#told.delete(uid);
	}
}
