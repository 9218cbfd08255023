/** Where the numbers are that the other container formats are read by. */
import type {BaseImages} from './base-images.ts';
import {replaced} from './bytes.ts';

export interface Place {
	readonly name: string;
	readonly at: number;
	readonly size: 1 | 2 | 4 | 8;
}

export interface Layout {
	/** As qemu's driver is named. */
	readonly format: string;
	readonly name: string;
	readonly image: Buffer;
	readonly bigEndian: boolean;
	readonly fields: readonly Place[];
	/** Entries of one table after the other. */
	readonly entries: readonly Place[];
	/** Makes the checksums right again. */
	readonly mend: (image: Buffer) => Buffer;
}

const sector = 512;
const asItIs = (image: Buffer) => image;

export function layouts({vmdk, vmdkStream, vdi, vhd, vhdx}: BaseImages): readonly Layout[] {
	return [
		vmdkLayout(vmdk, 'vmdk'),
		vmdkLayout(vmdkStream, 'vmdk, stream'),
		vdiLayout(vdi),
		vhdLayout(vhd),
		vhdxLayout(vhdx),
	];
}

function fieldsOf(list: string): readonly Place[] {
	return list
		.trim()
		.split(/\s+/)
		.map((text) => {
			const [name = '', at, size] = text.split(':');
			return {name, at: Number(at), size: Number(size) as Place['size']};
		});
}

function entriesAt(
	name: string,
	{at, count, size}: {at: number; count: number; size: Place['size']},
): readonly Place[] {
	return Array.from({length: count}, (_, index) => ({name: `${name}[${index}]`, at: at + index * size, size}));
}

/** Virtual Disk Format 5.0, "hosted sparse extent header", without its overhead: qemu compares that with the length of the file alone. */
function vmdkLayout(image: Buffer, name: string): Layout {
	// That of a stream is in its footer.
	const header = image.readBigUInt64LE(56) === 2n ** 64n - 1n ? image.length - 2 * sector : 0;
	const directoryAt = Number(image.readBigUInt64LE(header + 56)) * sector;
	const grains = Number(image.readBigUInt64LE(12) / image.readBigUInt64LE(20));
	const tableAt = image.readUInt32LE(directoryAt) * sector;
	return {
		format: 'vmdk',
		name,
		image,
		bigEndian: false,
		fields: fieldsOf(
			'version:4:4 flags:8:4 capacity:12:8 grainSize:20:8 descriptorOffset:28:8 descriptorSize:36:8 tableEntries:44:4 otherDirectory:48:8 directory:56:8 checkBytes:73:4 compression:77:2',
		).flatMap((field) =>
			header === 0 ? [field] : [field, {...field, name: `footer's ${field.name}`, at: field.at + header}],
		),
		entries: [
			...entriesAt('directory', {at: directoryAt, count: Math.ceil(grains / 512), size: 4}),
			...entriesAt('table', {at: tableAt, count: grains, size: 4}),
			// Of a stream: the length of the first compressed grain, and what else is in its head.
			...entriesAt('grain', {at: image.readUInt32LE(tableAt) * sector, count: 3, size: 4}),
		],
		mend: asItIs,
	};
}

/** block/vdi.c of qemu. */
function vdiLayout(image: Buffer): Layout {
	const count = image.readUInt32LE(0x180);
	return {
		format: 'vdi',
		name: 'vdi',
		image,
		bigEndian: false,
		fields: fieldsOf(
			'version:68:4 headerSize:72:4 type:76:4 flags:80:4 mapOffset:340:4 dataOffset:344:4 sectorSize:360:4 diskSize:368:8 blockSize:376:4 blockExtra:380:4 blocks:384:4 allocated:388:4 link:424:8 parent:440:8',
		),
		entries: entriesAt('map', {at: image.readUInt32LE(0x154), count, size: 4}),
		mend: asItIs,
	};
}

/** Virtual Hard Disk Image Format Specification. */
function vhdLayout(image: Buffer): Layout {
	const dynamicAt = Number(image.readBigUInt64BE(16));
	const fields = fieldsOf(
		'features:8:4 version:12:4 dataOffset:16:8 original:40:8 current:48:8 geometry:56:4 type:60:4',
	);
	const dynamic = fieldsOf(
		'next:8:8 table:16:8 version:24:4 tableEntries:28:4 blockSize:32:4 parentTime:56:4 locator:576:4',
	);
	return {
		format: 'vpc',
		name: 'vhd',
		image,
		bigEndian: true,
		fields: [
			...fields,
			...dynamic.map((field) => ({...field, name: `dynamic ${field.name}`, at: field.at + dynamicAt})),
		],
		entries: entriesAt('map', {
			at: Number(image.readBigUInt64BE(dynamicAt + 16)),
			count: image.readUInt32BE(dynamicAt + 28),
			size: 4,
		}),
		mend: (changed) =>
			withSum(withSum(changed, {at: 0, length: 512, sumAt: 64}), {at: dynamicAt, length: 1024, sumAt: 36}),
	};
}

function withSum(image: Buffer, {at, length, sumAt}: {at: number; length: number; sumAt: number}): Buffer {
	const blank = replaced(image, at + sumAt, Buffer.alloc(4));
	const sum = blank.subarray(at, at + length).reduce((total, byte) => total + byte, 0);
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32BE(~sum >>> 0);
	return replaced(blank, at + sumAt, bytes);
}

const kibibyte = 1024;
const regionTables = [192 * kibibyte, 256 * kibibyte];
const headers = [64 * kibibyte, 128 * kibibyte];

/** [MS-VHDX]. */
function vhdxLayout(image: Buffer): Layout {
	const [regionsAt = 0] = regionTables;
	const regions = [0, 1].map((index) => regionsAt + 16 + 32 * index);
	const places = regions.map((at) => Number(image.readBigUInt64LE(at + 16)));
	const metadataAt = places.find((at) => image.toString('latin1', at, at + 8) === 'metadata') ?? 0;
	const mapAt = places.find((at) => at !== metadataAt) ?? 0;
	const ofHeader = fieldsOf('sequence:8:8 log:48:8 logVersion:64:2 version:66:2 logLength:68:4 logOffset:72:8');
	const ofRegion = fieldsOf('offset:16:8 length:24:4 required:28:4');
	const ofItem = fieldsOf('offset:16:4 length:20:4 bits:24:4');
	const items = Array.from({length: image.readUInt16LE(metadataAt + 10)}, (_, index) => metadataAt + 32 + 32 * index);
	return {
		format: 'vhdx',
		name: 'vhdx',
		image,
		bigEndian: false,
		fields: [
			...headers.flatMap((at, index) => moved(ofHeader, `header ${index} `, at)),
			{name: 'regions', at: regionsAt + 8, size: 4},
			...regions.flatMap((at, index) => moved(ofRegion, `region ${index} `, at)),
			{name: 'items', at: metadataAt + 10, size: 2},
			...items.flatMap((at, index) => moved(ofItem, `item ${index} `, at)),
			...items.map((at, index) => ({
				name: `value ${index}`,
				at: metadataAt + image.readUInt32LE(at + 16),
				size: 8 as const,
			})),
		],
		entries: entriesAt('map', {at: mapAt, count: 8, size: 8}),
		mend: (changed) =>
			[
				...headers.map((at) => [at, 4 * kibibyte] as const),
				...regionTables.map((at) => [at, 64 * kibibyte] as const),
			].reduce((mended, [at, length]) => withCrc(mended, at, length), changed),
	};
}

function moved(fields: readonly Place[], prefix: string, by: number): readonly Place[] {
	return fields.map((field) => ({...field, name: prefix + field.name, at: field.at + by}));
}

function withCrc(image: Buffer, at: number, length: number): Buffer {
	const blank = replaced(image, at + 4, Buffer.alloc(4));
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32LE(crc32c(blank.subarray(at, at + length)));
	return replaced(blank, at + 4, bytes);
}

/** Castagnoli's polynomial, which zlib has not. */
function crc32c(bytes: Buffer): number {
	let crc = 0xffffffff;
	for (const byte of bytes) {
		crc ^= byte;
		for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc >>> 0;
}

export function numberAt({image, bigEndian}: Layout, {at, size}: Place): bigint {
	const bytes = Buffer.from(image.subarray(at, at + size));
	return BigInt(`0x${(bigEndian ? bytes : bytes.reverse()).toString('hex')}`);
}

export function withNumber(
	image: Buffer,
	{at, size}: Place,
	{value, bigEndian}: {value: bigint; bigEndian: boolean},
): Buffer {
	const bytes = Buffer.alloc(8);
	bytes.writeBigUInt64BE(BigInt.asUintN(64, value));
	const own = bytes.subarray(8 - size);
	return replaced(image, at, bigEndian ? own : own.reverse());
}
