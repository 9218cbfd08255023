/**
 * How many restores of one snapshot the storage takes at once, found out by trying: halved when it says that it is too
 * many, one more after a row of successes. Pure.
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

/** Each try of one more may cost a restore that the storage refuses, and that comes again seconds later. */
function successesToGrow({size}: Pace): number {
	return Math.max(8, 2 * size);
}

export function succeed(pace: Pace, generation: number): Pace {
	if (generation < pace.generation) return pace;
	const successes = pace.successes + 1;
	if (successes < successesToGrow(pace)) return {...pace, successes};
	return {...pace, size: Math.min(pace.most, pace.size + 1), successes: 0};
}
