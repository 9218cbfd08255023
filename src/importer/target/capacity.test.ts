import {describe, expect, test} from 'vitest';
import {claimBytesFor, diskBytes, longestScratch, type TargetCapacity, tooLarge, tooLong} from './capacity.ts';

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

function filesystem(overrides: Partial<TargetCapacity> = {}): TargetCapacity {
	return {
		volumeMode: 'Filesystem',
		requestedBytes: GiB,
		filesystemOverhead: 0.06,
		totalBytes: 1000 * MiB,
		availableBytes: 980 * MiB,
		...overrides,
	};
}

const device: TargetCapacity = {
	volumeMode: 'Block',
	requestedBytes: GiB,
	filesystemOverhead: 0,
	totalBytes: 2 * GiB,
	availableBytes: 2 * GiB,
};

describe('size of the disk', () => {
	test('a small image grows to what the claim promises, rounded down to 1 MiB', () => {
		expect(diskBytes(filesystem(), 10 * MiB)).toBe(966 * MiB);
	});
	test('not beyond what the file system has room for', () => {
		expect(diskBytes(filesystem({availableBytes: 900.5 * MiB}), 10 * MiB)).toBe(900 * MiB);
	});
	test('an image that fits is never cut', () => {
		expect(diskBytes(filesystem({availableBytes: 900 * MiB}), 966 * MiB)).toBe(966 * MiB);
	});
	test('a device stays as it is', () => {
		expect(diskBytes(device, MiB)).toBe(2 * GiB);
	});
});

describe('an image that is too large', () => {
	test('says both sizes and what to ask for', () => {
		expect(tooLarge(filesystem(), GiB)).toBe(
			'its disk has 1073741824 bytes (1.00 GiB), the claim holds 1012924416 bytes (966.00 MiB) (file system overhead 0.06 deducted). Ask for at least 1138166334 bytes of storage in the claim (spec.pvc), or 1024Mi in spec.storage.',
		);
	});
	test('what is asked for then fits', () => {
		const requestedBytes = claimBytesFor(GiB, filesystem());
		expect(tooLarge(filesystem({requestedBytes, totalBytes: 2 * GiB}), GiB)).toBeUndefined();
	});
	test('exactly as large fits', () => {
		expect(tooLarge(device, 2 * GiB)).toBeUndefined();
		expect(tooLarge(device, 2 * GiB + 1)).toBeDefined();
	});
});

test('a file may be much longer than its disk, but not without end', () => {
	expect(tooLong(device, 17 * GiB)).toBeUndefined();
	expect(tooLong(device, 17 * GiB + 1)).toContain(
		'its file has 18253611009 bytes (17.00 GiB), for a disk of at most 2147483648',
	);
});

test('a claim is not filled beyond what was asked for, whatever its file system has', () => {
	expect(longestScratch(filesystem({totalBytes: 1000 * GiB, availableBytes: 900 * GiB}))).toEqual({
		lengthBytes: 2 * GiB + 64 * MiB,
		dataBytes: GiB,
	});
	expect(longestScratch(device)).toEqual({lengthBytes: 4 * GiB + 64 * MiB, dataBytes: 4 * GiB + 64 * MiB});
});
