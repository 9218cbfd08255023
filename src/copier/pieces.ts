/** A disk cut into pieces, front to back without a gap: chunks that have data, and holes between them. Pure. */
import type {Extent} from './source-extents.ts';

export interface PlannedPiece {
	readonly start: number;
	/** Exclusive. */
	readonly end: number;
	readonly isHole: boolean;
}

/**
 * Chunks lie on a grid, so that the same disk is cut in the same way whenever it is cut. `fromBytes` is on the grid.
 * A hole ends on it as well: where a chunk has any data, all of it is read.
 *
 * @param known where the disk has data, in order; undefined as long as nobody knows, and chunks are read from the start then.
 */
export function* planPieces(
	known: () => readonly Extent[] | undefined,
	{fromBytes, sizeBytes, chunkBytes}: {fromBytes: number; sizeBytes: number; chunkBytes: number},
): Generator<PlannedPiece> {
	let at = fromBytes;
	let extents = known();
	for (; !extents && at < sizeBytes; extents = known()) {
		const next = Math.min(at + chunkBytes, sizeBytes);
		yield {start: at, end: next, isHole: false};
		at = next;
	}
	for (const {start, end} of extents ?? []) {
		if (end <= at) continue;
		const dataStart = Math.max(at, Math.floor(start / chunkBytes) * chunkBytes);
		if (dataStart > at) yield {start: at, end: dataStart, isHole: true};
		at = dataStart;
		while (at < end) {
			const next = Math.min(at + chunkBytes, sizeBytes);
			yield {start: at, end: next, isHole: false};
			at = next;
		}
	}
	if (at < sizeBytes) yield {start: at, end: sizeBytes, isHole: true};
}
