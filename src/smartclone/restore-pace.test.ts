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

	test('grows by one after a row of successes, the longer the more there are, up to the most', () => {
		const begun = beginPace({start: 2, most: 6});
		expect(times(7, good, begun).size).toBe(2);
		expect(times(8, good, begun).size).toBe(3);
		expect(times(24, good, begun).size).toBe(5);
		expect(times(33, good, begun).size).toBe(5);
		expect(times(34, good, begun).size).toBe(6);
		expect(times(500, good, begun).size).toBe(6);
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
