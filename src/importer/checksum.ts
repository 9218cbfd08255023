import {createHash, type Hash} from 'node:crypto';
import {WorkerError} from './worker-error.ts';

const hexLength = {md5: 32, sha1: 40, sha256: 64, sha512: 128} as const;
const checksumAlgorithms = ['md5', 'sha1', 'sha256', 'sha512'] as const;
export type ChecksumAlgorithm = (typeof checksumAlgorithms)[number];

export interface Checksum {
	readonly algorithm: ChecksumAlgorithm;
	/** Lower case. */
	readonly hex: string;
}

/** `sha256:…`; undefined where it is not one of the known algorithms with the right number of hex digits. */
export function parseChecksum(text: string): Checksum | undefined {
	const match = /^([a-z0-9]+):([0-9a-f]+)$/i.exec(text.trim());
	if (!match) return undefined;
	const algorithm = checksumAlgorithms.find((name) => name === match[1]?.toLowerCase());
	const hex = (match[2] ?? '').toLowerCase();
	return algorithm && hex.length === hexLength[algorithm] ? {algorithm, hex} : undefined;
}

/** Takes the transferred bytes in order and compares at the end. */
export class ChecksumVerifier {
	readonly #wanted: Checksum;
	readonly #hash: Hash;

	constructor(wanted: Checksum) {
		this.#wanted = wanted;
		this.#hash = createHash(wanted.algorithm);
	}

	update(bytes: Buffer): void {
		this.#hash.update(bytes);
	}

	/** Once, after the last byte. */
	verify(shown: string): void {
		const hex = this.#hash.digest('hex');
		const {algorithm, hex: wanted} = this.#wanted;
		if (hex === wanted) return;
		throw new WorkerError(
			'ChecksumMismatch',
			`The bytes of ${shown} have the ${algorithm} checksum ${hex}, but the DataVolume asks for ${wanted}. Either the file is not the one that was meant, or the checksum is of another version. Nothing was published.`,
		);
	}
}
