import {CsiError} from './errors.ts';
import type {CapacityRange} from './messages.ts';

/** What a volume gets when the request leaves the size to us. */
const defaultCapacityBytes = 1024 ** 3;
/** A multiple of the file system block: the last block of an image is never shared by halves. */
const granularityBytes = 4096;

/**
 * The capacity of a new volume. One made from a source is at least as large as the source; asking for less is refused instead of
 * quietly giving more, since CSI callers (and CDI) expect OUT_OF_RANGE there.
 */
export function newCapacity(range: CapacityRange | undefined, sourceBytes?: number): number {
	const {required, limit} = bounds(range);
	if (sourceBytes !== undefined && required > 0 && required < sourceBytes) {
		throw new CsiError('OUT_OF_RANGE', `${required} bytes were requested, but the source has ${sourceBytes}`);
	}
	return withinLimit(roundUp(required || sourceBytes || Math.min(defaultCapacityBytes, limit)), limit);
}

/** The capacity after an expansion: never less than now, since a repeated request must not shrink what a later one has grown. */
export function expandedCapacity(range: CapacityRange | undefined, currentBytes: number): number {
	const {required, limit} = bounds(range);
	return withinLimit(Math.max(roundUp(required), currentBytes), limit);
}

/** Whether a volume that exists already is an answer to a repeated CreateVolume with this range. */
export function satisfies(range: CapacityRange | undefined, capacityBytes: number): boolean {
	const {required, limit} = bounds(range);
	return capacityBytes >= required && capacityBytes <= limit;
}

/** CSI: an unset (zero) bound is no bound. */
function bounds(range: CapacityRange | undefined): {required: number; limit: number} {
	const required = range?.required_bytes ?? 0;
	const limit = range?.limit_bytes || Number.POSITIVE_INFINITY;
	if (required < 0 || limit < 0) throw new CsiError('INVALID_ARGUMENT', 'capacity_range must not be negative');
	if (required > limit) {
		throw new CsiError('INVALID_ARGUMENT', `capacity_range asks for at least ${required} and at most ${limit} bytes`);
	}
	return {required, limit};
}

function withinLimit(capacityBytes: number, limit: number): number {
	if (capacityBytes <= limit) return capacityBytes;
	throw new CsiError('OUT_OF_RANGE', `the volume would have ${capacityBytes} bytes, the limit is ${limit}`);
}

function roundUp(bytes: number): number {
	return Math.ceil(bytes / granularityBytes) * granularityBytes;
}
