import * as fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {ManualClock, settle} from '../process/manual-clock.ts';
import {WorkQueue} from './workqueue.ts';

function makeQueue(clock: ManualClock) {
	return new WorkQueue({name: 'test', clock, backoff: {baseMs: 100, maxMs: 1000}, random: () => 0});
}

/** A worker whose turns end when the test says so. */
class HandWorker {
	readonly started: string[] = [];
	/** Keys that were given out while out already: the queue's mistake. */
	readonly overlaps: string[] = [];
	readonly #open = new Map<string, () => void>();

	readonly work = (key: string): Promise<void> => {
		if (this.#open.has(key)) this.overlaps.push(key);
		this.started.push(key);
		return new Promise((resolve) => {
			this.#open.set(key, resolve);
		});
	};

	get open(): string[] {
		return [...this.#open.keys()];
	}

	async end(key: string): Promise<void> {
		const resolve = this.#open.get(key);
		this.#open.delete(key);
		resolve?.();
		await settle();
	}
}

function run(queue: WorkQueue, concurrency = 1) {
	const worker = new HandWorker();
	const stop = new AbortController();
	let ended = false;
	const ending = queue.run(worker.work, {concurrency, signal: stop.signal}).then(() => {
		ended = true;
		return undefined;
	});
	return {worker, stop, ending, hasEnded: () => ended};
}

describe('WorkQueue', () => {
	test('a key added several times while it waits is worked on once', async () => {
		const queue = makeQueue(new ManualClock());
		queue.add('a');
		queue.add('a');
		const {worker} = run(queue);
		await settle();
		await worker.end('a');
		expect(worker.started).toEqual(['a']);
	});

	test('a key added while it is worked on gets one more turn, afterwards', async () => {
		const queue = makeQueue(new ManualClock());
		const {worker} = run(queue, 4);
		queue.add('a');
		await settle();
		queue.add('a');
		queue.add('a');
		await settle();
		expect(worker.started).toEqual(['a']);
		await worker.end('a');
		expect(worker.started).toEqual(['a', 'a']);
		await worker.end('a');
		expect(worker.started).toEqual(['a', 'a']);
	});

	test('no more keys at once than the concurrency says', async () => {
		const queue = makeQueue(new ManualClock());
		const {worker} = run(queue, 2);
		for (const key of ['a', 'b', 'c']) queue.add(key);
		await settle();
		expect(worker.open).toEqual(['a', 'b']);
		await worker.end('a');
		expect(worker.open).toEqual(['b', 'c']);
	});

	test('of several delayed adds the earliest wins and stands for all', async () => {
		const clock = new ManualClock();
		const queue = makeQueue(clock);
		const {worker} = run(queue);
		queue.addAfter('a', 5000);
		queue.addAfter('a', 1000);
		queue.addAfter('a', 3000);
		await clock.advance(999);
		expect(worker.started).toEqual([]);
		await clock.advance(1);
		expect(worker.started).toEqual(['a']);
		await worker.end('a');
		await clock.advance(10_000);
		expect(worker.started).toEqual(['a']);
	});

	test('rate-limited delays grow up to the limit, and start anew after forget', () => {
		const queue = makeQueue(new ManualClock());
		expect([1, 2, 3, 4, 5, 6].map(() => queue.addRateLimited('a'))).toEqual([100, 200, 400, 800, 1000, 1000]);
		expect(queue.retries('a')).toBe(6);
		queue.forget('a');
		expect(queue.addRateLimited('a')).toBe(100);
		expect(queue.addRateLimited('a', 7000)).toBe(7000);
	});

	test('stopping starts nothing more, waits for the turns under way, and keeps what waits', async () => {
		const queue = makeQueue(new ManualClock());
		const first = run(queue);
		queue.add('a');
		queue.add('b');
		await settle();
		first.stop.abort();
		await settle();
		expect(first.hasEnded()).toBe(false);
		await first.worker.end('a');
		expect(first.hasEnded()).toBe(true);
		expect(first.worker.started).toEqual(['a']);
		const second = run(queue);
		await settle();
		expect(second.worker.started).toEqual(['b']);
	});

	test('a worker that rejects does not lose its key', async () => {
		const clock = new ManualClock();
		const queue = makeQueue(clock);
		let turns = 0;
		const worker = () => (turns++ === 0 ? Promise.reject(new Error('a mistake')) : Promise.resolve());
		const stop = new AbortController();
		const ending = queue.run(worker, {concurrency: 1, signal: stop.signal});
		queue.add('a');
		await clock.advance(100);
		expect(turns).toBe(2);
		stop.abort();
		await ending;
	});

	test('refuses to run twice at once, or with no worker', () => {
		const queue = makeQueue(new ManualClock());
		const {signal} = new AbortController();
		expect(() => queue.run(() => Promise.resolve(), {concurrency: 0, signal})).toThrow('at least 1');
		run(queue);
		expect(() => run(queue)).toThrow('already running');
	});
});

describe('properties', () => {
	const keys = fc.constantFrom('a', 'b', 'c');
	const action = fc.oneof(
		fc.record({do: fc.constant('add' as const), key: keys}),
		fc.record({do: fc.constant('addAfter' as const), key: keys, delayMs: fc.nat(500)}),
		fc.record({do: fc.constant('end' as const), key: keys}),
		fc.record({do: fc.constant('advance' as const), byMs: fc.nat(300)}),
		fc.record({do: fc.constant('restart' as const)}),
	);

	test('whatever happens, a key is with one worker only, and every add leads to a turn that starts after it', async () => {
		await fc.assert(
			fc.asyncProperty(
				fc.array(action, {maxLength: 60}),
				fc.integer({min: 1, max: 3}),
				async (actions, concurrency) => {
					const clock = new ManualClock();
					const queue = makeQueue(clock);
					/** Keys added and not started since. */
					const owed = new Set<string>();
					let current = run(queue, concurrency);
					let seen = 0;
					const pay = () => {
						for (const key of current.worker.started.slice(seen)) owed.delete(key);
						seen = current.worker.started.length;
					};
					for (const step of actions) {
						switch (step.do) {
							case 'add':
								pay();
								owed.add(step.key);
								queue.add(step.key);
								break;
							case 'addAfter':
								pay();
								owed.add(step.key);
								queue.addAfter(step.key, step.delayMs);
								break;
							case 'end':
								await current.worker.end(step.key);
								break;
							case 'advance':
								await clock.advance(step.byMs);
								break;
							case 'restart':
								current.stop.abort();
								for (const key of current.worker.open) await current.worker.end(key);
								await current.ending;
								pay();
								current = run(queue, concurrency);
								seen = 0;
								break;
							default:
								step satisfies never;
						}
						await settle();
						expect(current.worker.overlaps).toEqual([]);
						expect(current.worker.open.length).toBeLessThanOrEqual(concurrency);
					}
					// Let everything that is due or waits happen.
					for (let round = 0; round < 20; round++) {
						await clock.advance(500);
						for (const key of current.worker.open) await current.worker.end(key);
					}
					pay();
					expect([...owed]).toEqual([]);
					expect(queue.depth).toBe(0);
					expect(clock.pendingTimers).toBe(0);
				},
			),
			{numRuns: 150},
		);
	});
});
