import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {planPieces} from './pieces.ts';
import {dataExtents, parseMapLine} from './source-extents.ts';

const chunkBytes = 8;
const plan = (given: Array<[number, number]>, fromBytes: number, sizeBytes: number) => {
	const extents = given.map(([start, end]) => ({start, end}));
	return [...planPieces(() => extents, {fromBytes, sizeBytes, chunkBytes})];
};

describe('planPieces', () => {
	test.each<[string, Array<[number, number]>, number, string]>([
		['nothing but a hole', [], 0, '0-30 hole'],
		['data only', [[0, 30]], 0, '0-8, 8-16, 16-24, 24-30'],
		['a hole that ends within a chunk', [[20, 22]], 0, '0-16 hole, 16-24, 24-30 hole'],
		[
			'two extents in one chunk',
			[
				[1, 2],
				[5, 9],
			],
			0,
			'0-8, 8-16, 16-30 hole',
		],
		['from the middle of an extent', [[0, 30]], 16, '16-24, 24-30'],
		['from behind all data', [[0, 10]], 16, '16-30 hole'],
		['from the end', [[0, 30]], 30, ''],
	])('%s', (_, extents, from, pieces) => {
		const told = plan(extents, from, 30).map(({start, end, isHole}) => `${start}-${end}${isHole ? ' hole' : ''}`);
		expect(told.join(', ')).toBe(pieces);
	});

	test.each([
		[1, '0-8, 8-16 hole, 16-24, 24-30 hole'],
		[3, '0-8, 8-16, 16-24, 24-30 hole'],
		[9, '0-8, 8-16, 16-24, 24-30'],
	])('reads from the start until it is known, %i pieces later, where the data are', (later, expected) => {
		let asked = 0;
		const known = () => (asked++ < later ? undefined : [{start: 20, end: 22}]);
		const pieces = [...planPieces(known, {fromBytes: 0, sizeBytes: 30, chunkBytes})];
		expect(pieces.map(({start, end, isHole}) => `${start}-${end}${isHole ? ' hole' : ''}`).join(', ')).toBe(expected);
	});

	test('leaves no gap, reads all data, and cuts a disk in the same way wherever it begins', () => {
		const edges = fc
			.uniqueArray(fc.integer({min: 0, max: 200}), {maxLength: 12})
			.map((all) => all.toSorted((a, b) => a - b));
		fc.assert(
			fc.property(edges, fc.integer({min: 0, max: 25}), (edges, startChunk) => {
				const extents = edges.flatMap((start, index): Array<[number, number]> => {
					const end = edges[index + 1];
					return index % 2 === 0 && end !== undefined ? [[start, end]] : [];
				});
				const from = startChunk * chunkBytes;
				const pieces = plan(extents, from, 200);
				let at = from;
				for (const {start, end, isHole} of pieces) {
					expect(start).toBe(at);
					expect(end).toBeGreaterThan(start);
					expect(end % chunkBytes === 0 || end === 200).toBe(true);
					if (isHole) expect(extents.some(([a, b]) => a < end && b > start)).toBe(false);
					else expect(end - start).toBeLessThanOrEqual(chunkBytes);
					at = end;
				}
				expect(at).toBe(Math.max(from, 200));
				const data = (of: typeof pieces) => of.filter(({isHole}) => !isHole);
				expect(data(pieces)).toEqual(data(plan(extents, 0, 200)).filter(({start}) => start >= from));
			}),
		);
	});
});

describe('what qemu-img map tells', () => {
	const entry = (start: number, length: number, data = true, zero = false) => ({start, length, data, zero});

	test.each([
		[
			'[{ "start": 0, "length": 4096, "depth": 0, "present": true, "zero": false, "data": true, "offset": 0},',
			entry(0, 4096),
		],
		['{ "start": 4096, "length": 512, "depth": 0, "zero": true, "data": false}]', entry(4096, 512, false, true)],
		['', undefined],
	])('%s', (line, parsed) => {
		expect(parseMapLine(line)).toEqual(parsed);
	});

	test('another line is not guessed at', () => {
		expect(() => parseMapLine('{"offset": 1}')).toThrow('no entry');
	});

	test.each<[string, Array<ReturnType<typeof entry>>, Array<[number, number]>]>([
		['nothing is known: all is data', [], [[0, 100]]],
		['a hole at either end', [entry(0, 10, false, true), entry(10, 20), entry(30, 70, false, true)], [[10, 30]]],
		['allocated zeros are no data', [entry(0, 50), entry(50, 50, true, true)], [[0, 50]]],
		['extents that touch are one', [entry(0, 50), entry(50, 50)], [[0, 100]]],
		[
			'what the map leaves out counts as data',
			[entry(0, 10, false, true), entry(20, 10, false, true)],
			[
				[10, 20],
				[30, 100],
			],
		],
		['a file that grew meanwhile', [entry(0, 500)], [[0, 100]]],
	])('%s', (_, map, extents) => {
		expect(dataExtents(map, 100)).toEqual(extents.map(([start, end]) => ({start, end})));
	});
});
