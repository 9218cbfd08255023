import * as fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {bytesBeyond, type Extent, parseFiemap, totalBytes, union} from './extents.ts';

const extent = (start: number, end: number): Extent => ({start, end});

describe('parseFiemap', () => {
	it('reads extents in units of 512 bytes and leaves holes out', () => {
		const output = [
			'm/b:',
			' EXT: FILE-OFFSET      BLOCK-RANGE      TOTAL FLAGS',
			'   0: [0..8191]:       hole              8192',
			'   1: [8192..10239]:   24768..26815      2048   0x0',
			'   2: [10240..24575]:  10432..24767     14336 0x2001',
			'   3: [24576..2097151]: hole             2072576',
			'',
		].join('\n');
		expect(parseFiemap(output)).toEqual([extent(24768 * 512, 26816 * 512), extent(10432 * 512, 24768 * 512)]);
	});

	it('reads a file without any block', () => expect(parseFiemap('m/empty:\n')).toEqual([]));
});

describe('union', () => {
	it('merges what overlaps or touches', () => {
		expect(union([extent(20, 30), extent(0, 10), extent(10, 12), extent(5, 11)])).toEqual([
			extent(0, 12),
			extent(20, 30),
		]);
	});

	it('keeps an extent within another from shortening it', () => {
		expect(union([extent(0, 100), extent(10, 20)])).toEqual([extent(0, 100)]);
	});
});

describe('bytesBeyond', () => {
	it.each([
		['everything, where nothing is excluded', [extent(0, 10)], [], 10],
		['nothing, where all of it is excluded', [extent(2, 8)], [extent(0, 10)], 0],
		['both sides of an excluded middle', [extent(0, 10)], [extent(4, 6)], 8],
		['shared bytes once', [extent(0, 10), extent(0, 10)], [extent(100, 200)], 10],
	])('counts %s', (_, extents, excluded, expected) => expect(bytesBeyond(extents, excluded)).toBe(expected));

	it('agrees with counting byte by byte', () => {
		const extents = fc.array(
			fc.tuple(fc.nat(40), fc.nat(10)).map(([start, length]) => extent(start, start + length)),
			{maxLength: 8},
		);
		const bytes = (of: readonly Extent[]) =>
			new Set(of.flatMap(({start, end}) => Array.from({length: end - start}, (_, index) => start + index)));
		fc.assert(
			fc.property(extents, extents, (counted, excluded) => {
				expect(totalBytes(counted)).toBe(bytes(counted).size);
				const beyond = [...bytes(counted)].filter((byte) => !bytes(excluded).has(byte));
				expect(bytesBeyond(counted, excluded)).toBe(beyond.length);
			}),
		);
	});
});
