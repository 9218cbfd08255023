import {execFileSync} from 'node:child_process';
import {constants, gzipSync, zstdCompressSync} from 'node:zlib';
import {describe, expect, test} from 'vitest';
import {noise} from '../../../test/support/disk-images.ts';
import {type Compression, detectCompression} from './compression.ts';
import {unpack} from './unpack.ts';
import {WorkerError} from '../worker-error.ts';

const pack: Record<Compression, (bytes: Buffer, ...args: string[]) => Buffer> = {
	gzip: (bytes) => gzipSync(bytes),
	xz: (bytes, ...args) => execFileSync('xz', ['-1', '--stdout', ...args], {input: bytes, maxBuffer: 2 ** 28}),
	zstd: (bytes) => zstdCompressSync(bytes, {params: {[constants.ZSTD_c_checksumFlag]: 1}}),
};
const kinds: Compression[] = ['gzip', 'xz', 'zstd'];
const first = Buffer.concat([noise(300_000), Buffer.alloc(3_000_000), noise(5000, 2)]);
const second = Buffer.concat([Buffer.alloc(70_000, 7), noise(1000, 3)]);
const skippable = Buffer.from([0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);

async function* cut(bytes: Buffer, length: number): AsyncGenerator<Buffer> {
	for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

/** Rejects, or resolves with what is inside. */
async function unpacked(compression: Compression, pieces: AsyncIterable<Buffer>): Promise<Buffer> {
	const signal = AbortSignal.timeout(20_000);
	const output: Buffer[] = [];
	for await (const piece of unpack(pieces, {compression, shown: 'http://host/disk', signal})) output.push(piece);
	return Buffer.concat(output);
}

describe.each(kinds)('%s', (kind) => {
	test.each([100, 65_536, 2 ** 30])('unpacks, in pieces of %d bytes', async (length) => {
		expect((await unpacked(kind, cut(pack[kind](first), length))).equals(first)).toBe(true);
	});

	test('is told by its first bytes', () => {
		expect(detectCompression(pack[kind](second))).toBe(kind);
	});

	test('unpacks all parts of a file of several, wherever it is cut', async () => {
		const packed = Buffer.concat([pack[kind](first), pack[kind](second), pack[kind](second)]);
		const whole = Buffer.concat([first, second, second]);
		for (const length of [pack[kind](first).length, 999, 2 ** 30]) {
			expect((await unpacked(kind, cut(packed, length))).equals(whole)).toBe(true);
		}
	});

	test.each([1, 12, 100_000])('that lost its last %d bytes is truncated', async (lost) => {
		const packed = pack[kind](first);
		await expect(
			unpacked(kind, cut(packed.subarray(0, packed.length - lost), 65_536)).then(({length}) => length),
		).rejects.toThrow(
			expect.objectContaining({
				reason: 'InvalidImage',
				message: expect.stringMatching(/^http:\/\/host\/disk is truncated/),
			}),
		);
	});

	test('with a wrong byte is damaged', async () => {
		const packed = Buffer.concat([pack[kind](second), pack[kind](first)]);
		noise(8, 9).copy(packed, packed.length - 100_000);
		noise(4, 9).copy(packed, packed.length - 12);
		await expect(unpacked(kind, cut(packed, 65_536)).then(({length}) => length)).rejects.toThrow(
			expect.objectContaining({reason: 'InvalidImage', message: expect.stringMatching(/is (damaged|truncated)/)}),
		);
	});

	test('with something else behind it is damaged', async () => {
		for (const length of [999, 2 ** 30]) {
			await expect(
				unpacked(kind, cut(Buffer.concat([pack[kind](second), noise(5000)]), length)).then(({length}) => length),
			).rejects.toThrow(expect.objectContaining({reason: 'InvalidImage'}));
		}
	});

	test('whose source fails, fails as the source does', async () => {
		const packed = pack[kind](first);
		const failing = async function* () {
			yield packed.subarray(0, 200_000);
			throw new WorkerError('SourceUnreachable', 'cut');
		};
		await expect(unpacked(kind, failing())).rejects.toThrow(expect.objectContaining({reason: 'SourceUnreachable'}));
	});

	test('may be left in the middle', async () => {
		const facts = {compression: kind, shown: 'http://host/disk', signal: AbortSignal.timeout(20_000)};
		let seen = 0;
		for await (const piece of unpack(cut(pack[kind](first), 999), facts)) {
			seen += piece.length;
			if (seen > 100_000) break;
		}
		expect(seen).toBeLessThan(first.length);
	});
});

test('gzip that is filled up with zeros', async () => {
	const padded = Buffer.concat([pack.gzip(second), Buffer.alloc(100_000)]);
	for (const length of [999, 2 ** 30]) expect((await unpacked('gzip', cut(padded, length))).equals(second)).toBe(true);
});

test('zstd of thousands of parts, where each carries something, but not of parts of nothing', async () => {
	const part = zstdCompressSync(noise(1500));
	const many = await unpacked('zstd', cut(Buffer.concat(Array.from({length: 1500}, () => part)), 65_536));
	expect(many.length).toBe(1500 * 1500);
	const nothing = Buffer.concat(Array.from({length: 1500}, () => zstdCompressSync(Buffer.alloc(0))));
	await expect(unpacked('zstd', cut(nothing, 65_536))).rejects.toThrow(
		expect.objectContaining({reason: 'InvalidImage', message: expect.stringContaining('next to nothing') as string}),
	);
});

test('zstd with frames that carry nothing', async () => {
	const packed = Buffer.concat([skippable, pack.zstd(second), skippable, pack.zstd(second), skippable]);
	expect(detectCompression(packed)).toBe('zstd');
	for (const length of [7, 999, 2 ** 30]) {
		expect((await unpacked('zstd', cut(packed, length))).equals(Buffer.concat([second, second]))).toBe(true);
	}
});

test.each<[Compression, () => Buffer]>([
	// A frame with a window of 256 MiB and nothing in it.
	['zstd', () => Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (28 - 10) << 3, 1, 0, 0])],
	['xz', () => pack.xz(second, '--lzma2=preset=1,dict=200MiB')],
])('%s that takes too much memory is refused', async (kind, make) => {
	await expect(unpacked(kind, cut(make(), 65_536)).then(({length}) => length)).rejects.toThrow(
		expect.objectContaining({reason: 'FormatNotSupported', message: expect.stringMatching(/more memory/)}),
	);
});
