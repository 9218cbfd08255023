import {describe, expect, it} from 'vitest';
import {compareVersions, fitsVersion, parseVersion, type Version} from './version.ts';

describe('parseVersion', () => {
	it.each<[string, Version]>([
		['go version go1.26.8 linux/amd64', [1, 26, 8]],
		['go version go1.21 linux/amd64', [1, 21, 0]],
		['Kubernetes v1.34.4', [1, 34, 4]],
		['Client Version: v1.34.4', [1, 34, 4]],
		['etcd Version: 3.6.16', [3, 6, 16]],
		['CoreDNS-1.14.5', [1, 14, 5]],
		['v1.35.0-rc.1+abc', [1, 35, 0]],
	])('reads "%s"', (text, version) => {
		expect(parseVersion(text)).toEqual(version);
	});

	it.each(['unknown', 'Version = (dev)', ''])('finds none in "%s"', (text) => {
		expect(parseVersion(text)).toBeUndefined();
	});
});

it('compares numbers, not digits', () => {
	expect(compareVersions([1, 9, 0], [1, 21, 0])).toBeLessThan(0);
	expect(compareVersions([1, 21, 3], [1, 21, 3])).toBe(0);
});

describe('fitsVersion', () => {
	it.each<[string, Version, boolean]>([
		['the same release', [1, 34, 4], true],
		['a newer patch', [1, 34, 9], true],
		['an older patch', [1, 34, 3], false],
		['another minor', [1, 35, 4], false],
		['another major', [2, 34, 4], false],
	])('%s', (_, found, fits) => {
		expect(fitsVersion(found, [1, 34, 4])).toBe(fits);
	});
});
