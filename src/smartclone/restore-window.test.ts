import * as fc from 'fast-check';
import {beforeEach, describe, expect, test} from 'vitest';
import {RestoreWindow} from './restore-window.ts';

const stripe = 'stripe';
const asleep = () => true;

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
		expect(window.take(stripe, 'a', 2, asleep)).toBe(true);
		expect(window.take(stripe, 'b', 2, asleep)).toBe(true);
		expect(window.take(stripe, 'c', 2, asleep)).toBe(false);
	});

	test('who has a slot is not refused it, and does not take a second one', () => {
		expect(window.take(stripe, 'a', 1, asleep)).toBe(true);
		expect(window.take(stripe, 'a', 1, asleep)).toBe(true);
		pending.add('a');
		expect(window.take(stripe, 'a', 1, asleep)).toBe(true);
	});

	test('a claim that the cache shows counts once, not twice', () => {
		window.take(stripe, 'a', 2, asleep);
		pending.add('a');
		expect(window.take(stripe, 'b', 2, asleep)).toBe(true);
		expect(window.take(stripe, 'c', 2, asleep)).toBe(false);
	});

	test('claims of before a restart count', () => {
		pending.add('x').add('y');
		expect(window.take(stripe, 'a', 2, asleep)).toBe(false);
	});

	test('a claim that waits for its consumer takes no place, though it is there', () => {
		const waiting = new RestoreWindow(() => ({shown: new Set(['a']), restoring: new Set()}));
		expect(waiting.take(stripe, 'a', 1, asleep)).toBe(true);
		expect(waiting.take(stripe, 'b', 1, asleep)).toBe(true);
		expect(waiting.take(stripe, 'c', 1, asleep)).toBe(false);
	});

	test('a waiter that goes another way is not woken', () => {
		const woken: string[] = [];
		window.take(stripe, 'a', 1, asleep);
		window.take(stripe, 'b', 1, () => woken.push('b') > 0);
		window.take(stripe, 'c', 1, () => woken.push('c') > 0);
		window.forget('b');
		window.forget('a');
		expect(woken).toEqual(['c']);
	});

	test('stripes do not know of each other', () => {
		window.take(stripe, 'a', 1, asleep);
		expect(window.take('other', 'b', 1, asleep)).toBe(true);
	});

	test('the end of a restore wakes who waits longest, one only', () => {
		const woken: string[] = [];
		const waker = (name: string) => () => woken.push(name) > 0;
		window.take(stripe, 'a', 1, asleep);
		window.take(stripe, 'b', 1, waker('b'));
		window.take(stripe, 'c', 1, waker('c'));
		window.forget('a');
		expect(woken).toEqual(['b']);
		expect(window.take(stripe, 'b', 1, asleep)).toBe(true);
	});

	test('a waiter that is gone passes its turn on', () => {
		const woken: string[] = [];
		window.take(stripe, 'a', 1, asleep);
		window.take(stripe, 'gone', 1, () => false);
		window.take(stripe, 'c', 1, () => woken.push('c') > 0);
		window.forget('a');
		expect(woken).toEqual(['c']);
	});

	test('to forget twice, or what was never taken, does no harm', () => {
		window.take(stripe, 'a', 1, asleep);
		window.forget('a');
		window.forget('a');
		window.forget('unknown');
		expect(window.take(stripe, 'b', 1, asleep)).toBe(true);
		expect(window.take(stripe, 'c', 1, asleep)).toBe(false);
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
		if (this.window.take(stripe, request, this.#size, wake)) this.restoring.add(request);
	}

	show(request: string): void {
		if (this.restoring.has(request)) this.shown.add(request);
	}

	end(request: string): void {
		if (!this.restoring.delete(request)) return;
		this.shown.delete(request);
		this.done.add(request);
		this.window.forget(request);
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
	const steps = fc.array(fc.tuple(fc.constantFrom('round', 'show', 'end', 'giveUp'), fc.constantFrom(...requests)), {
		maxLength: 60,
	});

	test('never more restores than slots, and nobody is forgotten', () => {
		fc.assert(
			fc.property(fc.integer({min: 1, max: 3}), steps, (size, sequence) => {
				const restores = new Restores(requests, size);
				for (const [step, request] of sequence) {
					restores[step](request);
					expect(restores.restoring.size).toBeLessThanOrEqual(size);
				}
				// From here on everything happens that can: all must be served, by waking alone.
				for (let turn = 0; turn < 3 * requests.length; turn++) {
					for (const request of requests) restores.round(request);
					expect(restores.restoring.size).toBeLessThanOrEqual(size);
					for (const request of requests) restores.end(request);
				}
				expect(restores.done.union(restores.gone)).toEqual(new Set(requests));
			}),
		);
	});
});
