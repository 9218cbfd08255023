import {closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync} from 'node:fs';
import {hasErrno} from './errors.ts';
import {countedEntries, countKey, type Delay, type Failure, type FaultSettings} from './faults.ts';

/**
 * How many calls each entry of the switch file has hit, and when each volume was cut last. Kept in a file of its own, so that
 * "the next three calls" stay three over the driver's restart: a call is counted before it is answered.
 *
 * An entry's count goes when the entry is not in the switch file any more. One that comes back counts anew; so does one with
 * another id. Written synchronously: between looking at a count and writing it no other call may look.
 */
export class FaultCounts {
	readonly #file: string | undefined;
	#hits: Map<string, number>;
	readonly #cuts: Map<string, number>;

	/** Without a file counts last as long as the driver. */
	constructor(file: string | undefined) {
		this.#file = file;
		const {hits = {}, cuts = {}} = file === undefined ? {} : readCounts(file);
		this.#hits = new Map(Object.entries(hits));
		this.#cuts = new Map(Object.entries(cuts));
	}

	/** Whether the entry has a call left; if so, that one is taken. */
	take(entry: Failure | Delay): boolean {
		if (entry.times === 'always') return true;
		const key = countKey(entry);
		const hits = this.#hits.get(key) ?? 0;
		if (hits >= entry.times) return false;
		this.#hits.set(key, hits + 1);
		this.#write();
		return true;
	}

	/** Milliseconds since 1970; undefined if it never was cut while somebody counted. */
	lastCutOf(volumeId: string): number | undefined {
		return this.#cuts.get(volumeId);
	}

	noteCut(volumeId: string, atMs: number): void {
		this.#cuts.set(volumeId, atMs);
		this.#write();
	}

	/** Forgets entries that are not in force any more. */
	keepOnly(settings: FaultSettings): void {
		const inForce = new Set(countedEntries(settings).map(countKey));
		const kept = [...this.#hits].filter(([key]) => inForce.has(key));
		if (kept.length === this.#hits.size) return;
		this.#hits = new Map(kept);
		this.#write();
	}

	#write(): void {
		if (this.#file === undefined) return;
		const text = JSON.stringify({hits: Object.fromEntries(this.#hits), cuts: Object.fromEntries(this.#cuts)});
		const temporary = `${this.#file}.tmp`;
		const file = openSync(temporary, 'w');
		writeSync(file, `${text}\n`);
		fsyncSync(file);
		closeSync(file);
		renameSync(temporary, this.#file);
	}
}

type Counts = {
	readonly hits?: Readonly<Record<string, number>>;
	readonly cuts?: Readonly<Record<string, number>>;
};

function readCounts(file: string): Counts {
	try {
		const counts: Counts = JSON.parse(readFileSync(file, 'utf8'));
		return counts;
	} catch (error) {
		if (hasErrno(error, 'ENOENT')) return {};
		throw error;
	}
}
