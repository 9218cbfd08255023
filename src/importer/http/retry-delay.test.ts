import {expect, test} from 'vitest';
import {parseRetryAfterMs, retryDelayMs} from './retry-delay.ts';

const policy = {attempts: 7, baseMs: 500, longestMs: 30_000};

test.each([
	{failures: 1, random: 1, expected: 500},
	{failures: 1, random: 0, expected: 250},
	{failures: 4, random: 1, expected: 4000},
	{failures: 20, random: 1, expected: 30_000},
	{failures: 1, random: 1, retryAfterMs: 7000, expected: 7000},
	{failures: 1, random: 1, retryAfterMs: 3_600_000, expected: 30_000},
])('$failures failures, Retry-After $retryAfterMs: $expected ms', ({failures, expected, ...options}) => {
	expect(retryDelayMs(policy, failures, options)).toBe(expected);
});

test.each([
	['120', 120_000],
	['Thu, 01 Jan 1970 00:00:10 GMT', 9000],
	['Thu, 01 Jan 1970 00:00:00 GMT', 0],
	['soon', undefined],
	[undefined, undefined],
])('Retry-After %s', (value, expected) => {
	expect(parseRetryAfterMs(value, 1000)).toBe(expected);
});
