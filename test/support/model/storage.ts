/**
 * What the storage has: disks, whose content is a number that writers count up, and snapshots, which remember the number of
 * their moment. Deleting is final, nothing is counted: whoever may delete a snapshot deletes it for everybody.
 */
export interface Cut {
	readonly handle: string;
	readonly volumeHandle: string;
	readonly version: number;
	/** The server's revision at that moment: later means cut later. */
	readonly at: number;
	/** Name that the driver was asked by: the same name never cuts twice. */
	readonly csiName: string;
}

/** What the driver answers next, instead of what it should. */
export const driverFaults = [
	/** CreateSnapshot: a code after which the call may still be running. */
	'createRetryable',
	/** CreateSnapshot did its work, and the answer was lost. */
	'createUnanswered',
	/** CreateSnapshot: a code that is final, as it would be for bad parameters. */
	'createFinal',
	/** A cut is made, and not ready to be restored from for a while. */
	'notReady',
	'deleteRefused',
	/** CreateVolume: the snapshot is locked by another restore. */
	'restoreAborted',
] as const;
export type DriverFault = (typeof driverFaults)[number];

export class ModelStorage {
	/** Snapshots by handle. */
	readonly cuts = new Map<string, Cut>();
	/** Content of each volume, by handle. */
	readonly disks = new Map<string, number>();
	/** Lost although nobody deleted them. */
	readonly vanished = new Set<string>();
	/** Their contents were deleted by an admin, who says by policy Retain that the storage keeps them. */
	readonly leftByAdmin = new Set<string>();
	/** Snapshots cut in the whole history. */
	cutCount = 0;
	readonly #faults = new Map<DriverFault, number>();

	fail(fault: DriverFault, times: number): void {
		this.#faults.set(fault, times);
	}

	/** The driver is well again. */
	mend(): void {
		this.#faults.clear();
	}

	/** Whether it fails this time. */
	fails(fault: DriverFault): boolean {
		const left = this.#faults.get(fault) ?? 0;
		if (left > 0) this.#faults.set(fault, left - 1);
		return left > 0;
	}

	write(volumeHandle: string): void {
		const version = this.disks.get(volumeHandle);
		if (version !== undefined) this.disks.set(volumeHandle, version + 1);
	}

	/** CreateSnapshot: idempotent by name. Undefined where the volume is gone. */
	cut(csiName: string, volumeHandle: string, at: number): Cut | undefined {
		const known = [...this.cuts.values()].find((each) => each.csiName === csiName);
		if (known) return known;
		const version = this.disks.get(volumeHandle);
		if (version === undefined) return undefined;
		this.cutCount += 1;
		const made = {handle: `cut-${this.cutCount}`, volumeHandle, version, at, csiName};
		this.cuts.set(made.handle, made);
		return made;
	}

	/** Snapshots that somebody of this cluster answers for. */
	get kept(): string[] {
		return [...this.cuts.keys()].filter((handle) => !this.leftByAdmin.has(handle));
	}

	/** The back end loses it, and no object says so. */
	vanish(handle: string): void {
		this.cuts.delete(handle);
		this.vanished.add(handle);
	}
}
