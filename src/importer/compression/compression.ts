/** How a file may be compressed, told by its first bytes. */
export type Compression = 'gzip' | 'xz' | 'zstd';

const gzipMagic = Buffer.from([0x1f, 0x8b, 0x08]);
const xzMagic = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]);
const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
/** Of a zstd frame that carries no data; parallel compressors begin with one. Its first byte has 4 free bits. */
const skippableMagic = Buffer.from([0x2a, 0x4d, 0x18]);

export function detectCompression(head: Buffer): Compression | undefined {
	const begins = (magic: Buffer) => head.subarray(0, magic.length).equals(magic);
	if (begins(gzipMagic)) return 'gzip';
	if (begins(xzMagic)) return 'xz';
	const isSkippable = head.subarray(1, 4).equals(skippableMagic) && (head[0] ?? 0) >> 4 === 5;
	return begins(zstdMagic) || isSkippable ? 'zstd' : undefined;
}
