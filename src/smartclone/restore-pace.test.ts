import * as fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {beginPace, type Pace, pushBack, succeed} from './restore-pace.ts';

const times = (count: number, step: (pace: Pace) => Pace, from: Pace) =>
	Array.from({length: count}).reduce<Pace>(step, from);

describe('the pace of restores', () => {
	test('is halved when the storage says that it is too many, down to one', () => {
		const sizes = [0, 1, 2, 3, 4].map((count) =>
			times(count, (pace) => pushBack(pace, pace.generation), beginPace({start: 8, most: 32})),
		);
		expect(sizes.map(({size}) => size)).toEqual([8, 4, 2, 1, 1]);
	});

	test('is halved once by all that were under way together', () => {
		const begun = beginPace({start: 8, most: 32});
		expect(times(8, (pace) => pushBack(pace, 0), begun)).toMatchObject({size: 4, generation: 1});
	});

	const good = (pace: Pace) => succeed(pace, pace.generation);

	test('is doubled by each row of successes as long as the storage takes everything, up to the most', () => {
		const begun = beginPace({start: 8, most: 50});
		const sizes = [7, 8, 23, 24, 55, 56, 500].map((count) => times(count, good, begun).size);
		expect(sizes).toEqual([8, 16, 16, 32, 32, 50, 50]);
	});

	test('of a storage that takes one at a time tries a second one after as many as ever', () => {
		const begun = beginPace({start: 1, most: 4});
		expect([7, 8, 15, 16].map((count) => times(count, good, begun).size)).toEqual([1, 2, 2, 4]);
	});

	test('grows by one after a row of successes once the storage was too busy, the longer the more there are', () => {
		const begun = pushBack(beginPace({start: 4, most: 6}), 0);
		const sizes = [7, 8, 16, 24, 33, 34, 500].map((count) => times(count, good, begun).size);
		expect(sizes).toEqual([2, 3, 4, 5, 5, 6, 6]);
	});

	test('begins its count anew when it was too fast, with what is begun from then on', () => {
		const pushed = pushBack(times(7, good, beginPace({start: 4, most: 8})), 0);
		expect(pushed).toMatchObject({size: 2, successes: 0});
		expect(times(50, (pace) => succeed(pace, 0), pushed)).toEqual(pushed);
		expect(times(7, good, pushed).size).toBe(2);
		expect(times(8, good, pushed).size).toBe(3);
	});

	test('is always from 1 to the most', () => {
		const steps = fc.array(fc.boolean(), {maxLength: 100});
		fc.assert(
			fc.property(fc.integer({min: 1, max: 50}), fc.integer({min: 1, max: 50}), steps, (start, most, list) => {
				const begun = beginPace({start, most});
				const end = list.reduce((pace, isGood) => (isGood ? good(pace) : pushBack(pace, pace.generation)), begun);
				expect(end.size).toBeGreaterThanOrEqual(1);
				expect(end.size).toBeLessThanOrEqual(Math.max(start, most));
			}),
		);
	});
});
