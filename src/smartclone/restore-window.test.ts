import * as fc from 'fast-check';
import {beforeEach, describe, expect, test} from 'vitest';
import {RestoreWindow} from './restore-window.ts';

const stripe = 'stripe';
const asleep = () => true;
const slots = (start: number, most = start) => ({start, most});

describe('RestoreWindow', () => {
	let pending: Set<string>;
	let window: RestoreWindow;
	beforeEach(() => {
		pending = new Set();
		window = new RestoreWindow((name) => {
			const seen = name === stripe ? pending : new Set<string>();
			return {shown: seen, restoring: seen};
		});
	});

	test('so many get a slot, the next one has to wait', () => {
		expect(window.take(stripe, 'a', slots(2), asleep)).toBe(true);
		expect(window.take(stripe, 'b', slots(2), asleep)).toBe(true);
		expect(window.take(stripe, 'c', slots(2), asleep)).toBe(false);
	});

	test('who has a slot is not refused it, and does not take a second one', () => {
		expect(window.take(stripe, 'a', slots(1), asleep)).toBe(true);
		expect(window.take(stripe, 'a', slots(1), asleep)).toBe(true);
		pending.add('a');
		expect(window.take(stripe, 'a', slots(1), asleep)).toBe(true);
	});

	test('a claim that the cache shows counts once, not twice', () => {
		window.take(stripe, 'a', slots(2), asleep);
		pending.add('a');
		expect(window.take(stripe, 'b', slots(2), asleep)).toBe(true);
		expect(window.take(stripe, 'c', slots(2), asleep)).toBe(false);
	});

	test('claims of before a restart count', () => {
		pending.add('x').add('y');
		expect(window.take(stripe, 'a', slots(2), asleep)).toBe(false);
	});

	test('a claim that waits for its consumer takes no place, though it is there', () => {
		const waiting = new RestoreWindow(() => ({shown: new Set(['a']), restoring: new Set()}));
		expect(waiting.take(stripe, 'a', slots(1), asleep)).toBe(true);
		expect(waiting.take(stripe, 'b', slots(1), asleep)).toBe(true);
		expect(waiting.take(stripe, 'c', slots(1), asleep)).toBe(false);
	});

	test('a waiter that goes another way is not woken', () => {
		const woken: string[] = [];
		window.take(stripe, 'a', slots(1), asleep);
		window.take(stripe, 'b', slots(1), () => woken.push('b') > 0);
		window.take(stripe, 'c', slots(1), () => woken.push('c') > 0);
		window.forget('b');
		window.forget('a');
		expect(woken).toEqual(['c']);
	});

	test('stripes do not know of each other', () => {
		window.take(stripe, 'a', slots(1), asleep);
		expect(window.take('other', 'b', slots(1), asleep)).toBe(true);
	});

	test('the end of a restore wakes who waits longest, one only', () => {
		const woken: string[] = [];
		const waker = (name: string) => () => woken.push(name) > 0;
		window.take(stripe, 'a', slots(1), asleep);
		window.take(stripe, 'b', slots(1), waker('b'));
		window.take(stripe, 'c', slots(1), waker('c'));
		window.forget('a');
		expect(woken).toEqual(['b']);
		expect(window.take(stripe, 'b', slots(1), asleep)).toBe(true);
	});

	test('a waiter that is gone passes its turn on', () => {
		const woken: string[] = [];
		window.take(stripe, 'a', slots(1), asleep);
		window.take(stripe, 'gone', slots(1), () => false);
		window.take(stripe, 'c', slots(1), () => woken.push('c') > 0);
		window.forget('a');
		expect(woken).toEqual(['c']);
	});

	test('to forget twice, or what was never taken, does no harm', () => {
		window.take(stripe, 'a', slots(1), asleep);
		window.forget('a');
		window.forget('a');
		window.forget('unknown');
		expect(window.take(stripe, 'b', slots(1), asleep)).toBe(true);
		expect(window.take(stripe, 'c', slots(1), asleep)).toBe(false);
	});
});

describe('RestoreWindow adapts', () => {
	let restoring: Set<string>;
	let window: RestoreWindow;
	beforeEach(() => {
		restoring = new Set();
		window = new RestoreWindow(() => ({shown: restoring, restoring}));
	});
	const restore = (...requests: string[]) =>
		requests.filter((request) => {
			const may = window.take(stripe, request, slots(2, 4), asleep);
			if (may) restoring.add(request);
			return may;
		});
	const end = (request: string) => {
		restoring.delete(request);
		window.succeeded(stripe, request);
		window.freed(stripe);
	};

	test('to a storage that takes less: half, and once for all that were under way', () => {
		expect(restore('a', 'b')).toEqual(['a', 'b']);
		window.pushedBack(stripe, 'a');
		window.pushedBack(stripe, 'b');
		expect(window.sizeOf(stripe)).toBe(1);
		end('a');
		expect(restore('c')).toEqual([]);
		end('b');
		expect(restore('c', 'd')).toEqual(['c']);
	});

	test('to a storage that takes more, and wakes who waits for it', () => {
		for (let restored = 0; restored < 7; restored++) {
			restore('a');
			end('a');
		}
		restore('a', 'b');
		const woken: string[] = [];
		for (const waiter of ['c', 'd', 'e']) window.take(stripe, waiter, slots(2, 4), () => woken.push(waiter) > 0);
		end('a');
		expect(window.sizeOf(stripe)).toBe(4);
		expect(woken).toEqual(['c', 'd', 'e']);
	});

	test('by each restore once, however often its claim is changed afterwards', () => {
		restore('a');
		for (let change = 0; change < 20; change++) end('a');
		expect(window.sizeOf(stripe)).toBe(2);
	});

	test('not upwards by restores of before a restart: how many there were is not known', () => {
		restore('a');
		for (let before = 0; before < 20; before++) end(`x${before}`);
		expect(window.sizeOf(stripe)).toBe(2);
	});

	test('anew for a stripe that is cut again', () => {
		restore('a');
		window.pushedBack(stripe, 'a');
		window.drop(stripe);
		window.gone('a');
		restoring.clear();
		expect(restore('b', 'c')).toEqual(['b', 'c']);
	});

	test('also by claims of before a restart', () => {
		restoring.add('x');
		restore('a');
		window.pushedBack(stripe, 'x');
		expect(window.sizeOf(stripe)).toBe(1);
	});

	test('not to a stripe that it does not know', () => {
		window.pushedBack(stripe, 'a');
		window.succeeded(stripe, 'a');
		expect(window.sizeOf(stripe)).toBeUndefined();
	});
});

/**
 * A model of claims: a request that is woken asks again, one that has a slot creates its claim, the cache shows it some
 * time later, it is bound or deleted some time after that.
 */
class Restores {
	readonly restoring = new Set<string>();
	readonly shown = new Set<string>();
	readonly done = new Set<string>();
	readonly awake: Set<string>;
	readonly gone = new Set<string>();
	readonly window: RestoreWindow;
	readonly #size: number;

	constructor(requests: readonly string[], size: number) {
		this.awake = new Set(requests);
		this.#size = size;
		this.window = new RestoreWindow(() => ({shown: this.shown, restoring: this.shown}));
	}

	round(request: string): void {
		if (!this.awake.delete(request)) return;
		const wake = () => {
			if (this.gone.has(request)) return false;
			this.awake.add(request);
			return true;
		};
		if (this.window.take(stripe, request, slots(this.#size, 3), wake)) this.restoring.add(request);
	}

	show(request: string): void {
		if (this.restoring.has(request)) this.shown.add(request);
	}

	pushBack(request: string): void {
		if (this.shown.has(request)) this.window.pushedBack(stripe, request);
	}

	end(request: string): void {
		if (!this.restoring.delete(request)) return;
		this.shown.delete(request);
		this.done.add(request);
		this.window.forget(request);
		this.window.succeeded(stripe, request);
		this.window.freed(stripe);
	}

	/** Deleted by its user before it had a claim. */
	giveUp(request: string): void {
		if (this.restoring.has(request) || this.done.has(request)) return;
		this.awake.delete(request);
		this.gone.add(request);
	}
}

describe('RestoreWindow, whatever the order of events', () => {
	const requests = ['a', 'b', 'c', 'd', 'e', 'f'];
	const steps = fc.array(
		fc.tuple(fc.constantFrom('round', 'show', 'pushBack', 'end', 'giveUp'), fc.constantFrom(...requests)),
		{
			maxLength: 60,
		},
	);

	test('never more restores than slots, and nobody is forgotten', () => {
		fc.assert(
			fc.property(fc.integer({min: 1, max: 3}), steps, (size, sequence) => {
				const restores = new Restores(requests, size);
				for (const [step, request] of sequence) {
					restores[step](request);
					expect(restores.restoring.size).toBeLessThanOrEqual(3);
				}
				// From here on everything happens that can: all must be served, by waking alone.
				for (let turn = 0; turn < 4 * requests.length; turn++) {
					for (const request of requests) restores.round(request);
					expect(restores.restoring.size).toBeLessThanOrEqual(3);
					for (const request of requests) restores.end(request);
				}
				expect(restores.done.union(restores.gone)).toEqual(new Set(requests));
			}),
		);
	});
});
