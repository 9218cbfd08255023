/**
 * How many restores of one snapshot the storage takes at once, found out by trying, as TCP does: doubled by each row of
 * successes until the storage says for the first time that it is too many, then halved each time it says so, and one more
 * by each row. Pure.
 */
export interface Pace {
	readonly size: number;
	readonly most: number;
	/** In a row, since the size changed. */
	readonly successes: number;
	/** Counts halvings. What was begun before the last one says nothing about the size since. */
	readonly generation: number;
}

export interface PaceLimits {
	readonly start: number;
	readonly most: number;
}

export function beginPace({start, most}: PaceLimits): Pace {
	return {size: start, most: Math.max(start, most), successes: 0, generation: 0};
}

/** @param generation in which the restore was begun. */
export function pushBack(pace: Pace, generation: number): Pace {
	if (generation < pace.generation) return pace;
	const size = Math.max(1, Math.floor(pace.size / 2));
	return {...pace, size, successes: 0, generation: pace.generation + 1};
}

/** Each refused restore comes again seconds later: fewer than these in a row are no reason to try more. */
const fewestSuccesses = 8;

/** A storage that was never too busy may take far more than it is given: where restores are slow, every slot is a clone's. */
function grow({size, generation}: Pace): {readonly after: number; readonly size: number} {
	return generation === 0
		? {after: Math.max(fewestSuccesses, size), size: 2 * size}
		: {after: Math.max(fewestSuccesses, 2 * size), size: size + 1};
}

export function succeed(pace: Pace, generation: number): Pace {
	if (generation < pace.generation) return pace;
	const successes = pace.successes + 1;
	const grown = grow(pace);
	if (successes < grown.after) return {...pace, successes};
	return {...pace, size: Math.min(pace.most, grown.size), successes: 0};
}
