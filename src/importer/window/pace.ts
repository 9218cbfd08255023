/**
 * How many range requests at a time, and how long ones: learned from those that came back. Pure, so that it can be tested
 * with any link.
 *
 * A request waits for its first byte (latency) and then brings bytes at the rate of its connection. Spans are made long
 * enough that the wait is a small part of a request, and no longer than a second. More requests at a time are tried while readers have to wait for
 * bytes, and kept where they brought more; a server that refuses or cuts gets half as many.
 */

export interface PaceLimits {
	/** Most requests at a time. */
	readonly mostRequests: number;
	readonly smallestSpanBytes: number;
	/** What a request costs by itself makes shorter ones a waste. */
	readonly usualSpanBytes: number;
	readonly largestSpanBytes: number;
	/** Most bytes asked for at a time: requests x span. */
	readonly inFlightBytes: number;
}

export interface Pace {
	/** Requests of the read-ahead at a time. */
	readonly requests: number;
	/** Bytes of each: the smallest span, doubled so many times. */
	readonly spanBytes: number;
	/** Until a request's first byte came, smoothed. Undefined before the first. */
	readonly latencyMs?: number;
	/** Of one connection, once it brings bytes, smoothed. */
	readonly bytesPerMs?: number;
	/** What happened since the number of requests was last thought about. */
	readonly round: Round;
	/** The number of requests that was enough before more were tried, and what it brought. */
	readonly before?: {readonly requests: number; readonly bytesPerMs: number};
	/** Rounds to go before more are tried again. */
	readonly hold: number;
}

interface Round {
	/** Undefined until its first request has ended: it began with that. */
	readonly sinceMs?: number;
	readonly ended: number;
	readonly bytes: number;
	/** Somebody waited for bytes that had not come. */
	readonly starved: boolean;
	readonly refused: boolean;
}

export interface EndedRequest {
	readonly bytes: number;
	readonly startMs: number;
	readonly firstByteMs: number;
	readonly endMs: number;
}

/** Weight of the newest request. */
const freshness = 0.25;
/** A request brings bytes for so many times its latency, */
const worthwhile = 4;
/** and on a slow connection for no longer than this: the reader wants them in order. */
const longestMs = 1000;
/** More requests that bring less more than this are not worth their connections. */
const gain = 1.05;
const holdAfterVain = 8;
const holdAfterRefusal = 24;
const emptyRound: Round = {ended: 0, bytes: 0, starved: false, refused: false};

/** Before anything is known of the link. */
export function firstPace({usualSpanBytes, inFlightBytes, mostRequests}: PaceLimits, requests: number): Pace {
	return {
		requests: Math.max(1, Math.min(requests, mostRequests, Math.floor(inFlightBytes / usualSpanBytes))),
		spanBytes: usualSpanBytes,
		round: emptyRound,
		hold: 0,
	};
}

/** A reader had to wait. */
export function afterWait(pace: Pace): Pace {
	return pace.round.starved ? pace : {...pace, round: {...pace.round, starved: true}};
}

/** The server refused a request for the moment, or a connection was cut. Many at once are one sign. */
export function afterRefusal(pace: Pace): Pace {
	if (pace.round.refused) return pace;
	const {before: _, ...rest} = pace;
	const requests = Math.max(1, Math.floor(pace.requests / 2));
	return {...rest, requests, hold: holdAfterRefusal, round: {...emptyRound, refused: true}};
}

export function afterRequest(pace: Pace, ended: EndedRequest, limits: PaceLimits): Pace {
	const measured = {
		...pace,
		latencyMs: smoothed(pace.latencyMs, ended.firstByteMs - ended.startMs),
		bytesPerMs: smoothed(pace.bytesPerMs, ended.bytes / Math.max(0.1, ended.endMs - ended.firstByteMs)),
	};
	const next = withRound(measured, ended, limits);
	return {...next, spanBytes: spanFor(next, limits)};
}

/** Thinks again about the number of requests when as many have ended as run at a time. */
function withRound(pace: Pace, {bytes, endMs}: EndedRequest, limits: PaceLimits): Pace {
	const {round} = pace;
	if (round.sinceMs === undefined) return {...pace, round: {...round, sinceMs: endMs}};
	const ended = round.ended + 1;
	const all = round.bytes + bytes;
	const ms = endMs - round.sinceMs;
	if (ended < pace.requests || ms <= 0) return {...pace, round: {...round, ended, bytes: all}};
	const fresh = {...pace, round: {...emptyRound, sinceMs: endMs}};
	// Readers that never wait have enough.
	if (!round.starved) return fresh;
	return tried(fresh, all / ms, limits);
}

function tried(pace: Pace, bytesPerMs: number, {mostRequests, inFlightBytes, smallestSpanBytes}: PaceLimits): Pace {
	const {before, hold, ...rest} = pace;
	if (before && bytesPerMs < before.bytesPerMs * gain) return {...rest, requests: before.requests, hold: holdAfterVain};
	if (hold > 0) return {...rest, hold: hold - 1};
	const most = Math.min(mostRequests, Math.floor(inFlightBytes / smallestSpanBytes));
	const requests = Math.min(most, pace.requests + Math.ceil(pace.requests / 2));
	if (requests <= pace.requests) return {...rest, hold};
	return {...rest, requests, before: {requests: pace.requests, bytesPerMs}, hold};
}

function spanFor({latencyMs = 0, bytesPerMs = 0, requests}: Pace, limits: PaceLimits): number {
	const {smallestSpanBytes, usualSpanBytes, largestSpanBytes, inFlightBytes} = limits;
	const wish = Math.max(usualSpanBytes, latencyMs * bytesPerMs * worthwhile);
	const most = Math.min(wish, longestMs * bytesPerMs, largestSpanBytes, inFlightBytes / requests);
	let span = smallestSpanBytes;
	while (span * 2 <= most) span *= 2;
	return span;
}

function smoothed(before: number | undefined, now: number): number {
	return before === undefined ? now : before + (now - before) * freshness;
}
