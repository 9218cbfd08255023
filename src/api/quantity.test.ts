import * as fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {
	formatQuantity,
	inflateForFilesystem,
	mebibyte,
	parseQuantity,
	roundDown,
	roundUp,
	sameQuantity,
	usableOnFilesystem,
} from './quantity.ts';

const gibibyte = 1n << 30n;

describe('parseQuantity', () => {
	test.each([
		['0', 0n],
		['1024', 1024n],
		['+5', 5n],
		['1Ki', 1024n],
		['1k', 1000n],
		['1M', 1_000_000n],
		['1Gi', gibibyte],
		['1.5Gi', (gibibyte * 3n) / 2n],
		['.5Ki', 512n],
		['2.', 2n],
		['1e3', 1000n],
		['1E3', 1000n],
		['1E', 10n ** 18n],
		['1Ei', 1n << 60n],
		['12e-1', 2n],
		['1500m', 2n],
		['1u', 1n],
		['1n', 1n],
		['100.000000001', 101n],
		['-1Ki', -1024n],
		['-1500m', -2n],
	] as const)('%s is %s bytes, a fraction of a byte counting as a whole one', (text, bytes) => {
		expect(parseQuantity(text)).toBe(bytes);
	});

	test.each(['', '.', '+', 'Gi', '1 Gi', '1gi', '1GiB', '1K', '0x10', 'NaN', '1e', '1e1000000', '--1', '1,5'])(
		'"%s" is no quantity',
		(text) => {
			expect(parseQuantity(text)).toBeUndefined();
		},
	);

	test('what formatQuantity writes is read back exactly', () => {
		fc.assert(
			fc.property(fc.bigInt({min: 0n, max: 1n << 70n}), (bytes) => {
				expect(parseQuantity(formatQuantity(bytes))).toBe(bytes);
			}),
		);
	});
});

describe('formatQuantity', () => {
	test.each([
		[0n, '0'],
		[1n, '1'],
		[1023n, '1023'],
		[1024n, '1Ki'],
		[1536n, '1536'],
		[5n * gibibyte, '5Gi'],
		[1500n * mebibyte, '1500Mi'],
		[1n << 60n, '1Ei'],
	] as const)('%s bytes are written %s', (bytes, text) => {
		expect(formatQuantity(bytes)).toBe(text);
	});
});

describe('sameQuantity', () => {
	test.each([
		['1Gi', '1024Mi', true],
		['1G', '1Gi', false],
		['1', '1000m', true],
		[undefined, undefined, true],
		[undefined, '0', false],
	] as const)('%s and %s: %s', (a, b, same) => {
		expect(sameQuantity(a, b)).toBe(same);
	});
});

describe('rounding', () => {
	test('goes up or down to a multiple of the unit, and leaves multiples alone', () => {
		fc.assert(
			fc.property(fc.bigInt({min: 0n, max: 1n << 62n}), fc.bigInt({min: 1n, max: 1n << 30n}), (bytes, unit) => {
				const [down, up] = [roundDown(bytes, unit), roundUp(bytes, unit)];
				expect(down % unit).toBe(0n);
				expect(up % unit).toBe(0n);
				expect(down <= bytes && bytes <= up).toBe(true);
				expect(up - down).toBe(bytes % unit === 0n ? 0n : unit);
			}),
		);
	});
});

describe('filesystem overhead', () => {
	test.each([
		// CDI's default of 6 %: 1 GiB of disk wants 1.06 GiB.
		[gibibyte, 0.06, 1_138_166_334n],
		[1n, 0, mebibyte],
		[mebibyte, 0.055, 1_106_248n],
	] as const)('a disk of %s bytes at %s asks for %s', (bytes, overhead, wanted) => {
		expect(inflateForFilesystem(bytes, overhead)).toBe(wanted);
	});

	test('what was inflated holds the disk again', () => {
		const mebibytes = fc.bigInt({min: 1n, max: 1n << 24n}).map((count) => count * mebibyte);
		const overheads = fc.integer({min: 0, max: 999}).map((perMille) => perMille / 1000);
		fc.assert(
			fc.property(mebibytes, overheads, (disk, overhead) => {
				expect(usableOnFilesystem(inflateForFilesystem(disk, overhead), overhead)).toBe(disk);
			}),
		);
	});

	test('the usable part is whole mebibytes', () => {
		expect(usableOnFilesystem(gibibyte, 0.06)).toBe(966n * mebibyte);
		expect(usableOnFilesystem(mebibyte - 1n, 0)).toBe(0n);
	});
});
