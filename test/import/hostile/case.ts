/** What is tried on the importer. */
import type {RequestListener} from 'node:http';
import type {WorkerFailure} from '../../../src/api/worker-contract.ts';

/** Places outside of the worker's own, which no image may make it look at. */
export interface Canaries {
	/** A file, and the same by a name relative to the folder that the worker runs in. */
	readonly file: string;
	readonly relative: string;
	/** Where nobody may connect to. */
	readonly socket: string;
	readonly port: number;
}

export interface HostileCase {
	readonly group: string;
	readonly name: string;
	/** The bytes served, or who serves them. */
	readonly source: Buffer | RequestListener;
	/** Default `either`: where it is imported, it must be what qemu-img makes of it. */
	readonly expect?: 'imported' | 'either' | readonly WorkerFailure[];
	/** How qemu-img is told to read it, for a disk to compare with. Default raw for what is imported as such. */
	readonly format?: string;
	/** Of compressed sources, what is inside. */
	readonly inside?: Buffer;
	/** Size of the claim. Default {@link hostileClaimBytes}. */
	readonly claimBytes?: number;
	readonly checksum?: string;
	/** What is imported is a tree of files. */
	readonly contentType?: 'archive';
}

export const hostileClaimBytes = 16 * 1024 * 1024;

/** Reasons that end the import for good: what is wrong with an image is wrong the next time, too. */
export const refusals: readonly WorkerFailure[] = [
	'InvalidImage',
	'ImageNotStandalone',
	'ImageEncrypted',
	'ImageTooLarge',
	'FormatNotSupported',
];
