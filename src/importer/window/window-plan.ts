/**
 * Which bytes the read-ahead window fetches next and which it lets go: pure, so that it can be tested with any history.
 *
 * The source is cut into blocks. A reader (qemu-img with many requests in flight, or a sequential loop) is seen as a few
 * streams: places in the file that are read onwards from. A stream that keeps moving gets a deeper read-ahead, a place read
 * once gets none. What was read is let go first; what lies ahead of a stream is never let go for read-ahead.
 */

/** A place in the source that is read onwards from. */
export interface ReadStream {
	/** First block that was not read yet. */
	readonly position: number;
	/** How many blocks from there are worth having. */
	readonly depth: number;
}

export interface HeldBlock {
	readonly block: number;
	/** All its bytes are there. */
	readonly ready: boolean;
	/** Reads that still use its memory. */
	readonly pins: number;
	/** Bytes that nobody has read yet; 0 when each was read once. */
	readonly unreadBytes: number;
	/** Grows with each use. */
	readonly usedAt: number;
}

export interface WindowShape {
	readonly blockCount: number;
	/** Most blocks to hold. Only a read that somebody waits for may exceed it. */
	readonly capacity: number;
	/** Blocks per request of the read-ahead: spans lie on this grid. */
	readonly spanBlocks: number;
	/** How far a read may lie from a stream's position and still belong to it: requests in flight overtake each other. */
	readonly nearBlocks: number;
}

export interface WindowView extends WindowShape {
	/** Most recently used first. */
	readonly streams: readonly ReadStream[];
	/** What is there or on its way. */
	readonly held: ReadonlyMap<number, HeldBlock>;
	/** First block that the checksum has not seen; undefined without a checksum. */
	readonly hashedTo?: number | undefined;
}

export interface Span {
	readonly first: number;
	readonly count: number;
	/** Blocks to let go before, so that the span fits. */
	readonly evict: readonly number[];
}

const mostStreams = 4;
const smallestDepth = 4;

/** Deepest read-ahead that leaves room for what overtaking requests may still want. */
export function deepest({capacity, nearBlocks, spanBlocks}: WindowShape): number {
	return Math.max(1, capacity - nearBlocks - spanBlocks);
}

/** A file is expected to be read from its start onwards. */
export function firstStreams(shape: WindowShape): readonly ReadStream[] {
	return [{position: 0, depth: deepest(shape)}];
}

/** The streams after a read of blocks `first` to `last`. */
export function advanceStreams(
	streams: readonly ReadStream[],
	{first, last}: {first: number; last: number},
	shape: WindowShape,
): readonly ReadStream[] {
	const {nearBlocks} = shape;
	const index = streams.findIndex(({position}) => Math.abs(first - position) <= nearBlocks);
	const found = streams[index];
	if (!found) return [{position: last + 1, depth: 0}, ...streams].slice(0, mostStreams);
	const others = streams.filter((stream) => stream !== found);
	if (last < found.position) return [found, ...others];
	const depth = Math.min(deepest(shape), Math.max(smallestDepth, found.depth * 2));
	return [{position: last + 1, depth}, ...others];
}

/** The next span worth fetching ahead, or undefined when there is none or no room for it. */
export function nextSpan(view: WindowView): Span | undefined {
	for (const stream of wantedStreams(view)) {
		const run = missingRun(view, stream);
		if (!run) continue;
		const free = view.capacity - view.held.size;
		const evict = readAheadVictims(view).slice(0, Math.max(0, run.count - free));
		const room = free + evict.length;
		if (room >= run.count) return {...run, evict};
		// A starving stream takes what there is; one that has blocks ahead waits for a whole span.
		if (room > 0 && run.first === stream.position) return {first: run.first, count: room, evict};
	}
	return undefined;
}

/** Blocks to let go so that `count` blocks fit that somebody waits for; fewer when all others are in use. */
export function demandVictims(view: WindowView, count: number): readonly number[] {
	const needed = view.held.size + count - view.capacity;
	if (needed <= 0) return [];
	const readAhead = readAheadVictims(view);
	if (readAhead.length >= needed) return readAhead.slice(0, needed);
	const chosen = new Set(readAhead);
	const others = [...view.held.values()]
		.filter((held) => isIdle(held) && !chosen.has(held.block))
		.sort((a, b) => Number(a.unreadBytes > 0) - Number(b.unreadBytes > 0) || b.block - a.block)
		.map(({block}) => block);
	return [...readAhead, ...others].slice(0, needed);
}

/** A checksum left behind by a gap that nobody reads gets the gap filled first. It never runs ahead of the readers. */
function wantedStreams({streams, held, hashedTo, spanBlocks}: WindowView): readonly ReadStream[] {
	if (hashedTo === undefined || held.has(hashedTo)) return streams;
	const isBehind = streams.some(({position, depth}) => position > hashedTo && depth >= spanBlocks);
	return isBehind ? [{position: hashedTo, depth: spanBlocks}, ...streams] : streams;
}

/** The first missing blocks of a stream's read-ahead, up to the grid. */
function missingRun(
	{held, blockCount, spanBlocks}: WindowView,
	{position, depth}: ReadStream,
): {first: number; count: number} | undefined {
	const limit = Math.min(blockCount, position + depth);
	let first = position;
	while (first < limit && held.has(first)) first++;
	if (first >= limit) return undefined;
	const gridEnd = Math.min(blockCount, (Math.floor(first / spanBlocks) + 1) * spanBlocks);
	const end = depth >= spanBlocks ? gridEnd : Math.min(limit, gridEnd);
	let count = 1;
	while (first + count < end && !held.has(first + count)) count++;
	return {first, count};
}

/** What read-ahead may replace: read and hashed, or left behind; what was wholly read first, then the longest unused. */
function readAheadVictims(view: WindowView): readonly number[] {
	const {streams, held, hashedTo = Number.POSITIVE_INFINITY, nearBlocks, spanBlocks} = view;
	const isAhead = (block: number) =>
		streams.some(({position, depth}) => block >= position && block < position + depth + spanBlocks);
	const isNear = (block: number) => streams.some(({position}) => block < position && block >= position - nearBlocks);
	return [...held.values()]
		.filter((each) => isIdle(each) && each.block < hashedTo && !isAhead(each.block))
		.filter((each) => each.unreadBytes === 0 || !isNear(each.block))
		.sort((a, b) => Number(a.unreadBytes > 0) - Number(b.unreadBytes > 0) || a.usedAt - b.usedAt)
		.map(({block}) => block);
}

/** The first block stays: the header that was checked is the header that qemu-img reads. */
function isIdle({block, ready, pins}: HeldBlock): boolean {
	return block !== 0 && ready && pins === 0;
}
