/** Where things lie in a qcow2 image, to put other things there. Format: docs/interop/qcow2.txt of qemu. */
import {replaced} from './bytes.ts';

/** Of the header: place and size in bytes. */
export const qcow2Fields = {
	version: {at: 4, size: 4},
	backingOffset: {at: 8, size: 8},
	backingSize: {at: 16, size: 4},
	clusterBits: {at: 20, size: 4},
	virtualSize: {at: 24, size: 8},
	cryptMethod: {at: 32, size: 4},
	l1Size: {at: 36, size: 4},
	l1Offset: {at: 40, size: 8},
	refcountTableOffset: {at: 48, size: 8},
	refcountTableClusters: {at: 56, size: 4},
	snapshotCount: {at: 60, size: 4},
	snapshotsOffset: {at: 64, size: 8},
	incompatible: {at: 72, size: 8},
	compatible: {at: 80, size: 8},
	autoclear: {at: 88, size: 8},
	refcountOrder: {at: 96, size: 4},
	headerLength: {at: 100, size: 4},
	compressionType: {at: 104, size: 1},
} as const;
export type Qcow2Field = keyof typeof qcow2Fields;

export const extensionType = {
	end: 0,
	backingFormat: 0xe2792aca,
	featureNames: 0x6803f857,
	bitmaps: 0x23852875,
	encryption: 0x0537be77,
	dataFile: 0x44415441,
	unknown: 0x12345678,
} as const;

const offsetMask = 0x00fffffffffffe00n;

export function fieldOf(image: Buffer, name: Qcow2Field): bigint {
	const {at, size} = qcow2Fields[name];
	return BigInt(`0x${image.toString('hex', at, at + size)}`);
}

/** A copy with other header fields. */
export function withFields(image: Buffer, fields: Partial<Record<Qcow2Field, bigint | number>>): Buffer {
	return Object.entries(fields).reduce((changed, [name, value]) => {
		const {at, size} = qcow2Fields[name as Qcow2Field];
		return replaced(changed, at, bigEndian(BigInt(value), size));
	}, image);
}

export interface Extension {
	readonly type: number;
	readonly data: Buffer;
	/** What its header says; by default the truth. */
	readonly length?: number;
}

/** A copy with these header extensions instead of its own, and a name for a backing file behind them. */
export function withExtensions(image: Buffer, extensions: readonly Extension[], backingName?: string): Buffer {
	const parts = [...extensions, {type: extensionType.end, data: Buffer.alloc(0)}].map(({type, data, length}) =>
		Buffer.concat([
			bigEndian(BigInt(type), 4),
			bigEndian(BigInt(length ?? data.length), 4),
			data,
			Buffer.alloc((8 - (data.length % 8)) % 8),
		]),
	);
	const start = Number(fieldOf(image, 'headerLength'));
	const area = Buffer.concat(parts);
	const changed = replaced(image, start, area);
	if (backingName === undefined) return changed;
	const name = Buffer.from(backingName);
	const at = start + area.length;
	return withFields(replaced(changed, at, name), {backingOffset: at, backingSize: name.length});
}

/** Entries of eight bytes from here on. */
export interface Table {
	readonly at: number;
	readonly count: number;
}

export function l1Table(image: Buffer): Table {
	return {at: Number(fieldOf(image, 'l1Offset')), count: Number(fieldOf(image, 'l1Size'))};
}

/** Those that the first level names. */
export function l2Tables(image: Buffer): readonly Table[] {
	const {at, count} = l1Table(image);
	const clusterBytes = 2 ** Number(fieldOf(image, 'clusterBits'));
	return Array.from({length: count}, (_, index) => Number(image.readBigUInt64BE(at + 8 * index) & offsetMask))
		.filter((offset) => offset > 0)
		.map((offset) => ({at: offset, count: clusterBytes / 8}));
}

export function refcountTable(image: Buffer): Table {
	const clusters = Number(fieldOf(image, 'refcountTableClusters'));
	const clusterBytes = 2 ** Number(fieldOf(image, 'clusterBits'));
	return {at: Number(fieldOf(image, 'refcountTableOffset')), count: (clusters * clusterBytes) / 8};
}

/** A copy with other entries, by their numbers. */
export function withEntries(image: Buffer, table: Table, entries: Readonly<Record<number, bigint>>): Buffer {
	return Object.entries(entries).reduce(
		(changed, [index, value]) => replaced(changed, table.at + 8 * Number(index), bigEndian(value, 8)),
		image,
	);
}

/** Where the entries of a table that are not 0 are. */
export function usedEntries(image: Buffer, {at, count}: Table): readonly number[] {
	return Array.from({length: count}, (_, index) => index).filter(
		(index) => image.readBigUInt64BE(at + 8 * index) !== 0n,
	);
}

export function bigEndian(value: bigint, size: number): Buffer {
	const bytes = Buffer.alloc(8);
	bytes.writeBigUInt64BE(BigInt.asUintN(64, value));
	return bytes.subarray(8 - size);
}
