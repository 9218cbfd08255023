import * as fc from 'fast-check';
import {expect, test} from 'vitest';
import {noise} from '../../../test/support/disk-images.ts';
import {heldBackBytes, PieceAligner} from './aligned-pieces.ts';

const bytes = noise(700_000);
const length = fc.oneof(fc.integer({min: 0, max: 9000}), fc.integer({min: 60_000, max: 70_000}), fc.nat(400_000));

test('pieces of any length come out whole, in blocks, and the last bytes last', () => {
	fc.assert(
		fc.property(fc.array(length, {maxLength: 8}), fc.boolean(), (lengths, isReleased) => {
			const aligner = new PieceAligner();
			const rebuilt = Buffer.alloc(bytes.length);
			let given = 0;
			for (const wanted of lengths) {
				const piece = Buffer.from(bytes.subarray(given, given + wanted));
				given += piece.length;
				for (const {buffer, position, release} of aligner.push(piece, () => piece.fill(0))) {
					expect(position % 4096).toBe(0);
					expect(buffer.length % 4096).toBe(0);
					expect(position + buffer.length).toBeLessThanOrEqual(given - heldBackBytes);
					buffer.copy(rebuilt, position);
					if (isReleased) release();
				}
			}
			const {buffer, position} = aligner.rest;
			expect(position + buffer.length).toBe(given);
			expect(buffer.length).toBeGreaterThanOrEqual(Math.min(given, heldBackBytes));
			buffer.copy(rebuilt, position);
			expect(rebuilt.subarray(0, given).equals(bytes.subarray(0, given))).toBe(true);
		}),
	);
});

test('a long piece is not copied', () => {
	const aligner = new PieceAligner();
	const pieces = [...aligner.push(bytes.subarray(0, 524_288))];
	expect(pieces.map(({buffer}) => buffer.length)).toEqual([524_288 - 4096]);
	expect(pieces[0]?.buffer.buffer).toBe(bytes.buffer);
});
