import {describe, expect, test} from 'vitest';
import {estimate, remember, type Report} from './progress-estimate.ts';

function after(reports: readonly Report[]): readonly Report[] {
	return reports.reduce<readonly Report[]>((kept, report) => remember(kept, report), []);
}

describe('estimate', () => {
	test('says nothing before there is something to tell it from', () => {
		expect(estimate([])).toEqual({});
		expect(estimate(after([{atMs: 0, percent: 0, bytes: 0}]))).toEqual({});
		expect(
			estimate(
				after([
					{atMs: 0, percent: 0, bytes: 0},
					{atMs: 100, percent: 50, bytes: 9000},
				]),
			),
		).toEqual({});
	});

	test('of steady work', () => {
		const steps = Array.from({length: 40}, (_, index) => ({atMs: index * 1000, percent: index, bytes: index * 5000}));
		expect(estimate(after(steps))).toEqual({bytesPerSecond: 5000, secondsLeft: 61});
	});

	test('forgets what was more than a minute ago', () => {
		const fast = Array.from({length: 50}, (_, index) => ({atMs: index * 10, percent: index, bytes: index * 1e6}));
		const slow = Array.from({length: 200}, (_, index) => ({
			atMs: 1000 + index * 1000,
			percent: 50 + index / 10,
			bytes: 50e6 + index * 1000,
		}));
		const {bytesPerSecond = 0, secondsLeft = 0} = estimate(after([...fast, ...slow]));
		expect(bytesPerSecond).toBeCloseTo(1000);
		expect(secondsLeft).toBeCloseTo(301);
	});

	test('has no speed where nothing comes over the network', () => {
		expect(
			estimate(
				after([
					{atMs: 0, percent: 0, bytes: 0},
					{atMs: 1000, percent: 20, bytes: 0},
				]),
			),
		).toEqual({secondsLeft: 4});
	});
});

test('keeps few reports, however many come', () => {
	const many = Array.from({length: 50_000}, (_, index) => ({atMs: index * 10, percent: index / 500, bytes: index}));
	expect(after(many).length).toBeLessThan(130);
});
