/** Images that are honest but for what is told where: header fields at their extremes, table entries that point everywhere. */
import {Dice} from '../dice.ts';
import type {BaseImages} from './base-images.ts';
import type {HostileCase} from './case.ts';
import {replaced} from './bytes.ts';
import {
	fieldOf,
	l1Table,
	l2Tables,
	qcow2Fields,
	type Qcow2Field,
	refcountTable,
	type Table,
	usedEntries,
	withEntries,
	withFields,
} from './qcow2-bytes.ts';

/** Values of a field of so many bytes that programs stumble over. */
export function extremes(size: number, {own, length}: {own: bigint; length: number}): readonly bigint[] {
	const bits = BigInt(8 * size);
	const all = [
		0n,
		1n,
		2n ** bits - 1n,
		2n ** (bits - 1n),
		2n ** (bits - 1n) - 1n,
		own + 1n,
		BigInt(length),
		...(size === 8 ? [0x10000n, 2n ** 40n, 2n ** 55n + 512n, BigInt(length + 4096) & ~4095n] : []),
	];
	return [...new Set(all)].filter((value) => value >= 0n && value !== own && value < 2n ** bits);
}

/** Every header field, at every extreme. */
export function headerCases({qcow2}: BaseImages): readonly HostileCase[] {
	return (Object.keys(qcow2Fields) as Qcow2Field[]).flatMap((field) => {
		const {size} = qcow2Fields[field];
		const own = fieldOf(qcow2, field);
		return extremes(size, {own, length: qcow2.length}).map((value) => ({
			group: 'header field',
			name: `${field} = 0x${value.toString(16)}`,
			source: withFields(qcow2, {[field]: value}),
			format: 'qcow2',
		}));
	});
}

export interface FuzzChoices {
	readonly seed: number;
	readonly count: number;
}

/** Some entries of some table, or some bytes anywhere, are something else. */
export function tableCases(images: BaseImages, {seed, count}: FuzzChoices): readonly HostileCase[] {
	return Array.from({length: count}, (_, run) => {
		const dice = new Dice(seed, run);
		const [kind, base] = dice.pick(
			(['qcow2', 'compressed', 'v2', 'snapshots', 'bitmap', 'extended'] as const).map(
				(name) => [name, images[name]] as const,
			),
		);
		const how = dice.weighted([
			[80, 'entries'],
			[20, 'bytes'],
		] as const); // prettier-ignore
		const {what, image} = how === 'entries' ? fuzzEntries(dice, base) : fuzzBytes(dice, base);
		return {group: 'fuzz', name: `${seed}/${run} ${kind}: ${what}`, source: image, format: 'qcow2'};
	});
}

interface Fuzzed {
	readonly what: string;
	readonly image: Buffer;
}

function fuzzEntries(dice: Dice, base: Buffer): Fuzzed {
	const tables: ReadonlyArray<readonly [string, Table]> = [
		['L1', l1Table(base)],
		['refcounts', refcountTable(base)],
		...l2Tables(base).map((table) => ['L2', table] as const),
	];
	const [name, table] = dice.pick(tables);
	const used = usedEntries(base, table);
	const count = dice.pick([1, 2, 8, 64]);
	const entries: Record<number, bigint> = {};
	for (let each = 0; each < count; each++) {
		// Entries in use are looked at; the others mostly not.
		const index = used.length > 0 && dice.percent(70) ? dice.pick(used) : dice.whole(0, table.count - 1);
		entries[index] = anyEntry(dice, base);
	}
	return {what: `${Object.keys(entries).length} ${name} entries`, image: withEntries(base, table, entries)};
}

function anyEntry(dice: Dice, base: Buffer): bigint {
	const copied = 2n ** 63n;
	const compressed = 2n ** 62n;
	const inside = BigInt(dice.whole(0, Math.floor(base.length / 4096))) * 4096n;
	const anywhere = dice.bytes(8).readBigUInt64BE();
	return dice.pick([
		copied | inside,
		inside,
		copied | (BigInt(base.length) & ~4095n),
		copied | (2n ** 40n),
		copied | 0x00fffffffffffe00n,
		copied | (inside + 512n),
		compressed | inside,
		compressed | (anywhere & (compressed - 1n)),
		compressed | (2n ** 62n - 1n),
		1n,
		copied | inside | 1n,
		copied | inside | 0x1feaan,
		anywhere,
		0n,
		2n ** 64n - 1n,
	]);
}

/** The magic stays, so that it is taken for what it was. */
function fuzzBytes(dice: Dice, base: Buffer): Fuzzed {
	const count = dice.pick([1, 4, 32, 400]);
	// Most of an image is data; what rules it lies in its first clusters.
	const end = dice.percent(70) ? Math.min(base.length, 0x8000) : base.length;
	let image = base;
	for (let each = 0; each < count; each++) image = replaced(image, dice.whole(4, end - 1), dice.bytes(1));
	return {what: `${count} bytes below ${end}`, image};
}
