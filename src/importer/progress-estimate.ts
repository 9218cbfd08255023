/** Speed and remaining time from what was reported lately. Pure. */

export interface Report {
	readonly atMs: number;
	readonly percent: number;
	/** Over the network, or from the disk that is copied. */
	readonly bytes: number;
}

/** What is older says little about now. */
const memoryMs = 60_000;
/** Reports come faster than anybody needs them. */
const spacingMs = 500;

/** The reports that are worth keeping: the oldest of the last minute, and the newest. */
export function remember(reports: readonly Report[], report: Report): readonly Report[] {
	const recent = reports.filter(({atMs}, index) => report.atMs - atMs <= memoryMs || index === reports.length - 1);
	const [last, before] = [recent.at(-1), recent.at(-2)];
	// The newest is replaced until it has its distance from the one before.
	const isClose = last !== undefined && before !== undefined && last.atMs - before.atMs < spacingMs;
	return [...(isClose ? recent.slice(0, -1) : recent), report];
}

export interface Estimate {
	readonly bytesPerSecond?: number;
	readonly secondsLeft?: number;
}

/** Nothing where nothing can be said yet. */
export function estimate(reports: readonly Report[]): Estimate {
	const [oldest, newest] = [reports[0], reports.at(-1)];
	const ms = oldest && newest ? newest.atMs - oldest.atMs : 0;
	if (!oldest || !newest || ms < spacingMs) return {};
	const percentPerMs = (newest.percent - oldest.percent) / ms;
	const bytesPerSecond = ((newest.bytes - oldest.bytes) / ms) * 1000;
	return {
		...(bytesPerSecond > 0 && {bytesPerSecond}),
		...(percentPerMs > 0 && {secondsLeft: (100 - newest.percent) / percentPerMs / 1000}),
	};
}
