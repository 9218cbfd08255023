import * as fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {
	advanceStreams,
	deepest,
	demandVictims,
	firstStreams,
	type HeldBlock,
	nextSpan,
	type ReadStream,
	type WindowShape,
	type WindowView,
} from './window-plan.ts';

/** A window without memory, network or time: requests arrive when the history says so. */
class ModelWindow {
	readonly shape: WindowShape;
	streams: readonly ReadStream[];
	readonly held = new Map<number, HeldBlock & {ready: boolean; unreadBytes: number; usedAt: number}>();
	readonly fetches = new Map<number, number>();
	hashedTo: number | undefined;
	#uses = 0;
	#arriving: number[] = [];

	constructor(shape: WindowShape, hashing: boolean) {
		this.shape = shape;
		this.streams = firstStreams(shape);
		this.hashedTo = hashing ? 0 : undefined;
	}

	get view(): WindowView {
		return {...this.shape, streams: this.streams, held: this.held, hashedTo: this.hashedTo};
	}

	readAhead(): void {
		for (let requests = 0; requests < 8; requests++) {
			const span = nextSpan(this.view);
			if (!span) return;
			for (const block of span.evict) this.evict(block);
			this.fetch(span.first, span.count);
		}
	}

	read(first: number, last: number): void {
		for (let block = first; block <= last; block++) {
			if (this.held.has(block)) continue;
			for (const victim of demandVictims(this.view, 1)) this.evict(victim);
			this.fetch(block, 1);
		}
		this.arrive(Number.POSITIVE_INFINITY);
		for (let block = first; block <= last; block++) {
			const held = this.held.get(block);
			if (held) Object.assign(held, {unreadBytes: 0, usedAt: ++this.#uses});
		}
		this.streams = advanceStreams(this.streams, {first, last}, this.shape);
	}

	arrive(count: number): void {
		for (const block of this.#arriving.splice(0, count)) {
			const held = this.held.get(block);
			if (held) held.ready = true;
		}
		if (this.hashedTo === undefined) return;
		while (this.held.get(this.hashedTo)?.ready) this.hashedTo++;
	}

	evict(block: number): void {
		const held = this.held.get(block);
		if (!held?.ready || block === 0) throw new Error(`block ${block} may not be let go`);
		this.held.delete(block);
	}

	fetch(first: number, count: number): void {
		for (let block = first; block < first + count; block++) {
			if (block >= this.shape.blockCount) throw new Error(`block ${block} lies beyond the end`);
			if (this.held.has(block)) throw new Error(`block ${block} fetched while held`);
			this.held.set(block, {block, ready: false, pins: 0, unreadBytes: 1, usedAt: ++this.#uses});
			this.fetches.set(block, (this.fetches.get(block) ?? 0) + 1);
			this.#arriving.push(block);
		}
	}

	get fetched(): number {
		return [...this.fetches.values()].reduce((sum, times) => sum + times, 0);
	}
}

const shapes = fc.record({
	blockCount: fc.integer({min: 1, max: 600}),
	capacity: fc.integer({min: 24, max: 128}),
	spanBlocks: fc.integer({min: 1, max: 4}),
	nearBlocks: fc.integer({min: 2, max: 8}),
});

describe('reading a file from front to back', () => {
	test('fetches each block once, with and without a checksum', () => {
		fc.assert(
			fc.property(shapes, fc.boolean(), (shape, hashing) => {
				const window = new ModelWindow(shape, hashing);
				for (let block = 0; block < shape.blockCount; block++) {
					window.readAhead();
					window.read(block, block);
				}
				expect(window.fetched).toBe(shape.blockCount);
				expect(window.hashedTo).toBe(hashing ? shape.blockCount : undefined);
			}),
		);
	});

	test('fetches each block once when requests in flight overtake each other', () => {
		fc.assert(
			fc.property(shapes, (shape) => {
				const window = new ModelWindow(shape, false);
				for (let begin = 0; begin < shape.blockCount; begin += shape.nearBlocks) {
					const end = Math.min(shape.blockCount, begin + shape.nearBlocks);
					for (let block = end - 1; block >= begin; block--) {
						window.readAhead();
						window.read(block, block);
					}
				}
				expect(window.fetched).toBe(shape.blockCount);
			}),
		);
	});

	test('with a look at tables at its end first, fetches little twice', () => {
		const shape = {blockCount: 500, capacity: 128, spanBlocks: 8, nearBlocks: 16};
		const window = new ModelWindow(shape, true);
		window.readAhead();
		for (const block of [0, 499, 498, 0]) window.read(block, block);
		for (let block = 1; block < 498; block++) {
			window.readAhead();
			window.read(block, block);
		}
		expect(window.fetched).toBeLessThanOrEqual(504);
	});
});

describe('whatever is read', () => {
	const histories = fc.array(
		fc.oneof(
			fc.record({do: fc.constant('read' as const), at: fc.nat(599), length: fc.integer({min: 1, max: 4})}),
			fc.record({do: fc.constant('arrive' as const), count: fc.integer({min: 1, max: 20})}),
		),
		{maxLength: 120},
	);

	test('the window holds no more than its capacity, never fetches what it holds, never lets the first block go', () => {
		fc.assert(
			fc.property(shapes, histories, fc.boolean(), (shape, history, hashing) => {
				const window = new ModelWindow(shape, hashing);
				for (const event of history) {
					window.readAhead();
					if (event.do === 'arrive') window.arrive(event.count);
					else {
						const first = event.at % shape.blockCount;
						window.read(first, Math.min(shape.blockCount - 1, first + event.length - 1));
					}
					// Blocks on their way cannot be let go for a read: only for those may the window be larger for a while.
					expect(window.held.size).toBeLessThanOrEqual(shape.capacity + 4);
				}
			}),
		);
	});

	test('read-ahead always leaves room for reads that overtake', () => {
		fc.assert(
			fc.property(shapes, (shape) => {
				const window = new ModelWindow(shape, false);
				window.readAhead();
				expect(window.held.size).toBeLessThanOrEqual(Math.max(deepest(shape) + shape.spanBlocks, shape.spanBlocks));
			}),
		);
	});
});

test('a place read once gets no read-ahead, a place read onwards from gets more and more', () => {
	const shape = {blockCount: 1000, capacity: 200, spanBlocks: 16, nearBlocks: 32};
	let streams = advanceStreams(firstStreams(shape), {first: 700, last: 700}, shape);
	expect(streams[0]).toEqual({position: 701, depth: 0});
	const depths = [];
	for (let block = 701; block < 708; block++) {
		streams = advanceStreams(streams, {first: block, last: block}, shape);
		depths.push(streams[0]?.depth);
	}
	expect(depths).toEqual([4, 8, 16, 32, 64, 128, 152]);
});
