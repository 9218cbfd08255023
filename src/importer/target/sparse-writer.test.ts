import {open, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {dataRuns, SparseWriter} from './sparse-writer.ts';

describe('runs of data', () => {
	const pieces = fc.array(fc.record({zero: fc.boolean(), length: fc.integer({min: 1, max: 9000})}), {maxLength: 8});

	test('together with the holes they are the buffer, and holes have no byte in them', () => {
		fc.assert(
			fc.property(pieces, fc.nat(100_000), (pieces, position) => {
				const buffer = Buffer.concat(pieces.map(({zero, length}) => Buffer.alloc(length, zero ? 0 : 7)));
				const rebuilt = Buffer.alloc(buffer.length);
				for (const {start, end} of dataRuns(buffer, position)) buffer.copy(rebuilt, start, start, end);
				expect(rebuilt.equals(buffer)).toBe(true);
			}),
		);
	});

	test('whole blocks of zeros are holes, as the disk counts blocks', () => {
		const buffer = Buffer.concat([Buffer.alloc(4096, 1), Buffer.alloc(8192), Buffer.alloc(4096, 1)]);
		expect(dataRuns(buffer, 4096)).toEqual([
			{start: 0, end: 4096},
			{start: 12_288, end: 16_384},
		]);
		expect(dataRuns(Buffer.alloc(10_000), 100)).toEqual([]);
	});

	test('a single byte is data, wherever in its block', () => {
		for (let at = 0; at < 8192; at++) {
			const buffer = Buffer.alloc(8192);
			buffer[at] = 1;
			const start = at - (at % 4096);
			expect(dataRuns(buffer, 0)).toEqual([{start, end: start + 4096}]);
		}
	});
});

test('a failed write ends the writing', async () => {
	const path = join(tmpdir(), `onesnap-sparse-${process.pid}`);
	const handle = await open(path, 'w');
	const writer = new SparseWriter(handle, {keepHoles: true});
	await handle.close();
	await writer.write(Buffer.alloc(4096, 1), 0);
	await expect(writer.flush()).rejects.toThrow(expect.objectContaining({reason: 'TargetWriteFailed'}));
	await rm(path);
});
