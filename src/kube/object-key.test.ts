import {expect, test} from 'vitest';
import {backoffMs} from './backoff.ts';
import {makeKey, parseKey} from './object-key.ts';
import {compareResourceVersions} from './resource-version.ts';

test.each([
	['ns/a', {namespace: 'ns', name: 'a'}],
	['a', {name: 'a'}],
])('key %s', (key, parsed) => {
	expect(parseKey(key)).toEqual(parsed);
	const {namespace, name} = parseKey(key);
	expect(makeKey(namespace, name)).toBe(key);
});

test('resource versions compare as numbers, however long', () => {
	expect(compareResourceVersions('9', '10')).toBeLessThan(0);
	expect(compareResourceVersions('18446744073709551615', '18446744073709551614')).toBeGreaterThan(0);
	expect(compareResourceVersions('42', '42')).toBe(0);
});

test('back-off doubles up to its limit and jitter only shortens it', () => {
	const backoff = {baseMs: 100, maxMs: 1000};
	expect([0, 1, 2, 3, 4, 1000].map((retries) => backoffMs(backoff, retries, () => 0))).toEqual([
		100, 200, 400, 800, 1000, 1000,
	]);
	expect(backoffMs(backoff, 0, () => 1)).toBe(50);
});
