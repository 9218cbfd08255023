import {describe, expect, it} from 'vitest';
import {firstHost, formatAddress, hostOf, networksOverlap, parseNetwork} from './ipv4.ts';

describe('parseNetwork', () => {
	it('takes a bare address as a network of one', () => {
		expect(parseNetwork('10.0.0.1')).toEqual({address: 0x0a000001, length: 32});
	});

	it.each(['10.0.0', '10.0.0.256', 'fd00::1/64', ''])('refuses "%s"', (text) => {
		expect(() => parseNetwork(text)).toThrow('is not an IPv4 network');
	});
});

it('writes addresses above 128.0.0.0 without a sign', () => {
	expect(formatAddress(parseNetwork('255.254.0.1').address)).toBe('255.254.0.1');
});

it('counts hosts from the start of the network, not from the given address', () => {
	expect(hostOf('10.243.7.2/30', 1)).toBe('10.243.7.1');
	expect(firstHost('10.245.0.0/16')).toBe('10.245.0.1');
});

describe('networksOverlap', () => {
	it.each([
		['10.0.0.0/8', '10.243.7.0/30', true],
		['10.243.7.0/30', '10.243.7.4/30', false],
		['10.243.7.0/30', '10.243.7.2', true],
		['0.0.0.0/0', '192.0.2.0/24', true],
		['10.244.0.0/24', '10.244.1.0/24', false],
	])('%s and %s: %s', (a, b, overlap) => {
		expect(networksOverlap(a, b)).toBe(overlap);
		expect(networksOverlap(b, a)).toBe(overlap);
	});
});
