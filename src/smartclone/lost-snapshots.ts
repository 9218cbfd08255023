/**
 * Shared snapshots that the storage no longer has, although their objects say that they are ready: the provisioner's
 * answer to a restore said so. In memory: whoever restores from one after a restart is told so again.
 */
export class LostSnapshots {
	readonly #messages = new Map<string, string>();

	/**
	 * @param sharedUid UID of the SharedSnapshot.
	 * @param message what the provisioner said; for people.
	 * @returns false where it was known.
	 */
	report(sharedUid: string, message: string): boolean {
		if (this.#messages.has(sharedUid)) return false;
		this.#messages.set(sharedUid, message);
		return true;
	}

	messageOf(sharedUid: string): string | undefined {
		return this.#messages.get(sharedUid);
	}

	/** The SharedSnapshot is gone. */
	forget(sharedUid: string): void {
		this.#messages.delete(sharedUid);
	}
}
