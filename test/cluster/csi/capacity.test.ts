import {describe, expect, it} from 'vitest';
import {expandedCapacity, newCapacity, satisfies} from './capacity.ts';

const mebibyte = 1024 ** 2;
const gibibyte = 1024 ** 3;

describe('newCapacity', () => {
	it.each([
		['no wish: 1 GiB', undefined, undefined, gibibyte],
		['no wish, a source: its size', undefined, 5 * mebibyte, 5 * mebibyte],
		['a small limit only: the limit', {limit_bytes: mebibyte}, undefined, mebibyte],
		['what is required', {required_bytes: 5 * gibibyte}, undefined, 5 * gibibyte],
		['rounded up to whole blocks', {required_bytes: 4097}, undefined, 8192],
		['larger than the source', {required_bytes: 2 * gibibyte}, gibibyte, 2 * gibibyte],
		['required and limit alike', {required_bytes: gibibyte, limit_bytes: gibibyte}, undefined, gibibyte],
	])('%s', (_, range, sourceBytes, expected) => expect(newCapacity(range, sourceBytes)).toBe(expected));

	it.each([
		['smaller than the source', {required_bytes: mebibyte}, gibibyte, 'OUT_OF_RANGE'],
		['a limit below the source', {limit_bytes: mebibyte}, gibibyte, 'OUT_OF_RANGE'],
		['no whole block within the limit', {required_bytes: 4097, limit_bytes: 5000}, undefined, 'OUT_OF_RANGE'],
		['more required than the limit', {required_bytes: 2, limit_bytes: 1}, undefined, 'INVALID_ARGUMENT'],
		['negative', {required_bytes: -1}, undefined, 'INVALID_ARGUMENT'],
	])('refuses: %s', (_, range, sourceBytes, code) => {
		expect(() => newCapacity(range, sourceBytes)).toThrow(expect.objectContaining({code}));
	});
});

describe('expandedCapacity', () => {
	it('never shrinks', () => expect(expandedCapacity({required_bytes: mebibyte}, gibibyte)).toBe(gibibyte));
	it('grows to what is required', () => expect(expandedCapacity({required_bytes: gibibyte}, mebibyte)).toBe(gibibyte));
	it('refuses a limit below what the volume has', () => {
		expect(() => expandedCapacity({limit_bytes: mebibyte}, gibibyte)).toThrow(
			expect.objectContaining({code: 'OUT_OF_RANGE'}),
		);
	});
});

describe('satisfies', () => {
	it.each([
		[undefined, true],
		[{required_bytes: gibibyte}, true],
		[{required_bytes: gibibyte + 1}, false],
		[{limit_bytes: gibibyte - 1}, false],
		[{required_bytes: 1, limit_bytes: gibibyte}, true],
	])('a volume of 1 GiB, asked for with %j: %s', (range, expected) => {
		expect(satisfies(range, gibibyte)).toBe(expected);
	});
});
