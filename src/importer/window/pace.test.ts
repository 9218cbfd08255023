import * as fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {afterRefusal, afterRequest, afterWait, firstPace, type Pace, type PaceLimits} from './pace.ts';

const MiB = 1024 * 1024;
const limits: PaceLimits = {
	mostRequests: 24,
	smallestSpanBytes: MiB,
	usualSpanBytes: 4 * MiB,
	largestSpanBytes: 8 * MiB,
	inFlightBytes: 32 * MiB,
};
const first = firstPace(limits, 8);

interface LinkModel {
	readonly latencyMs: number;
	/** Bytes per ms of one connection, and of all together. */
	readonly each: number;
	readonly all: number;
	/** More requests than these at a time are refused. */
	readonly connections?: number;
}

/** All requests run all the time, and end in turn. A hungry reader takes whatever comes, and waits for more. */
function run(
	pace: Pace,
	{latencyMs, each, all, connections = 1000}: LinkModel,
	count: number,
	hungry = true,
): readonly Pace[] {
	const seen = [pace];
	let nowMs = 0;
	for (let index = 0; index < count; index++) {
		const {requests, spanBytes} = pace;
		if (index % requests >= connections) pace = afterRefusal(pace);
		else {
			const ms = latencyMs + spanBytes / Math.min(each, all / requests);
			nowMs += ms / requests;
			const ended = {bytes: spanBytes, startMs: nowMs - ms, firstByteMs: nowMs - ms + latencyMs, endMs: nowMs};
			pace = afterRequest(hungry ? afterWait(pace) : pace, ended, limits);
		}
		seen.push(pace);
	}
	return seen;
}

describe('the number of requests', () => {
	test('grows as far as it may where each connection has a rate of its own', () => {
		const paces = run(first, {latencyMs: 50, each: 5000, all: 1e9}, 200);
		expect(paces.at(-1)?.requests).toBe(limits.mostRequests);
	});

	test('stays where more bring no more', () => {
		const paces = run(first, {latencyMs: 1, each: 1e6, all: 20_000}, 400);
		const growing = paces.filter(({requests}) => requests > first.requests);
		expect(growing.length).toBeLessThan(paces.length / 3);
		expect(paces.every(({requests}) => requests <= first.requests * 1.5)).toBe(true);
	});

	test('stays where nobody waits', () => {
		let pace = first;
		for (let ms = 0; ms < 1000; ms++) {
			pace = afterRequest(pace, {bytes: MiB, startMs: ms, firstByteMs: ms + 20, endMs: ms + 40}, limits);
		}
		expect(pace.requests).toBe(first.requests);
	});

	test('falls to what a server allows, and does not run against it again and again', () => {
		const paces = run(first, {latencyMs: 5, each: 5000, all: 1e9, connections: 3}, 500);
		const [allowed, refused] = [3, paces.filter(({requests}) => requests > 3).length];
		expect(paces.some(({requests}) => requests === allowed)).toBe(true);
		expect(refused).toBeLessThan(paces.length / 20);
	});

	test('is halved once for many refusals at a time, and never below one', () => {
		let pace = first;
		for (let index = 0; index < 8; index++) pace = afterRefusal(pace);
		expect(pace.requests).toBe(4);
		for (let round = 0; round < 10; round++) {
			const startMs = round * 100;
			for (let index = 0; index < 9; index++) {
				pace = afterRequest(
					pace,
					{bytes: MiB, startMs, firstByteMs: startMs + 20, endMs: startMs + 40 + index},
					limits,
				);
			}
			pace = afterRefusal(pace);
		}
		expect(pace.requests).toBe(1);
	});
});

describe('the length of a request', () => {
	const spanOn = (link: LinkModel, pace = first) => run(pace, link, 50, false).at(-1)?.spanBytes;

	test('is the usual one on a usual link', () => {
		expect(spanOn({latencyMs: 0.2, each: 50_000, all: 1e9})).toBe(4 * MiB);
		expect(spanOn({latencyMs: 20, each: 20_000, all: 1e9})).toBe(4 * MiB);
	});

	test('is short on a slow connection', () => {
		expect(spanOn({latencyMs: 20, each: 3000, all: 1e9})).toBe(2 * MiB);
		expect(spanOn({latencyMs: 20, each: 100, all: 1e9})).toBe(MiB);
	});

	test('grows with the latency, where there is room for it', () => {
		const few = {...first, requests: 4};
		expect(spanOn({latencyMs: 100, each: 50_000, all: 1e9}, few)).toBe(8 * MiB);
		expect(spanOn({latencyMs: 100, each: 50_000, all: 1e9})).toBe(4 * MiB);
	});
});

test('whatever the link does, no more is asked for at a time than the limits say', () => {
	const event = fc.oneof(
		fc.constant('wait' as const),
		fc.constant('refusal' as const),
		fc.record({bytes: fc.integer({min: 1, max: 8 * MiB}), waitMs: fc.nat(500), ms: fc.nat(2000)}),
	);
	fc.assert(
		fc.property(fc.array(event, {maxLength: 200}), (events) => {
			let [pace, nowMs] = [first, 0];
			for (const each of events) {
				if (each === 'wait') pace = afterWait(pace);
				else if (each === 'refusal') pace = afterRefusal(pace);
				else {
					nowMs += 1;
					const firstByteMs = nowMs + each.waitMs;
					pace = afterRequest(pace, {...each, startMs: nowMs, firstByteMs, endMs: firstByteMs + each.ms}, limits);
				}
				expect(pace.requests).toBeGreaterThanOrEqual(1);
				expect(pace.requests).toBeLessThanOrEqual(limits.mostRequests);
				expect(pace.requests * pace.spanBytes).toBeLessThanOrEqual(limits.inFlightBytes);
			}
		}),
	);
});
