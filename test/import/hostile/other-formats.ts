/** vmdk, vdi, vhd and vhdx: hand-made, and with numbers that are something else. */
import {Dice} from '../dice.ts';
import type {BaseImages} from './base-images.ts';
import {replaced} from './bytes.ts';
import type {Canaries, HostileCase} from './case.ts';
import {extremes, type FuzzChoices} from './fuzz.ts';
import {type Layout, layouts, numberAt, type Place, withNumber} from './layouts.ts';
import {withExtensions} from './qcow2-bytes.ts';

/** Of each field's extremes: all formats have a hundred fields together. */
const extremesOfField = 2;
const sector = 512;

export function otherFieldCases(images: BaseImages, {seed}: FuzzChoices): readonly HostileCase[] {
	return layouts(images).flatMap((layout, number) => {
		const dice = new Dice(seed, 1_000_000 + number);
		return layout.fields.flatMap((field) => {
			const choices = [...extremes(field.size, {own: numberAt(layout, field), length: layout.image.length})];
			return Array.from({length: extremesOfField}, () => choices.splice(dice.whole(0, choices.length - 1), 1))
				.flat()
				.map((value) => changed(layout, 'field', `${seed} ${field.name} = 0x${value.toString(16)}`, [[field, value]]));
		});
	});
}

export function otherTableCases(images: BaseImages, {seed, count}: FuzzChoices): readonly HostileCase[] {
	const all = layouts(images);
	return Array.from({length: count}, (_, run) => {
		const dice = new Dice(seed, 2_000_000 + run);
		const layout = dice.pick(all);
		const places = Array.from({length: dice.pick([1, 2, 8])}, () =>
			dice.pick(dice.percent(75) ? layout.entries : layout.fields),
		);
		const values = places.map((place) => [place, anyNumber(dice, layout, place)] as const);
		return changed(layout, 'fuzz', `${seed}/${run}: ${places.map(({name}) => name).join(', ')}`, values);
	});
}

function anyNumber(dice: Dice, layout: Layout, place: Place): bigint {
	const {length} = layout.image;
	return dice.pick([
		...extremes(place.size, {own: numberAt(layout, place), length}),
		BigInt(dice.whole(0, length)),
		BigInt(dice.whole(0, Math.floor(length / sector))),
		numberAt(layout, dice.pick(layout.entries)),
	]);
}

function changed(
	{format, name, image, bigEndian, mend}: Layout,
	group: string,
	what: string,
	values: ReadonlyArray<readonly [Place, bigint]>,
): HostileCase {
	const source = mend(values.reduce((made, [place, value]) => withNumber(made, place, {value, bigEndian}), image));
	return {group: `${name} ${group}`, name: what, source, format};
}

export function otherFormatCases(images: BaseImages, canaries: Canaries): readonly HostileCase[] {
	return [
		...vmdkCases(images, canaries).map((each) => ({group: 'vmdk', format: 'vmdk', ...each})),
		...linkedCases(images, canaries).map((each) => ({group: 'linked disks', ...each})),
	];
}

type Made = Pick<HostileCase, 'name' | 'source'> & Partial<HostileCase>;

function vmdkCases({vmdk, qcow2}: BaseImages, {file, relative}: Canaries): readonly Made[] {
	const text = (type: string, lines: readonly string[], parent = 'ffffffff') =>
		Buffer.from(
			[
				'# Disk DescriptorFile',
				'version=1',
				'CID=fffffffe',
				`parentCID=${parent}`,
				`createType="${type}"`,
				...lines,
				'',
			].join('\n'),
		);
	const flat = text('monolithicFlat', [`RW 2048 FLAT "${file}" 0`]);
	const refused = {expect: ['ImageNotStandalone'] as const};
	const capacity = {name: 'capacity', at: 12, size: 8} as const;
	const little = (place: Place, value: bigint) => withNumber(vmdk, place, {value, bigEndian: false});
	const inside = (description: Buffer) =>
		replaced(vmdk, sector, Buffer.concat([description, Buffer.alloc(19 * sector - description.length)]));
	const noCapacity = withNumber(inside(flat), capacity, {value: 0n, bigEndian: false});
	return [
		{name: 'a text that names a file', source: flat, ...refused},
		{
			name: 'a text that names a file beside it',
			source: text('monolithicFlat', [`RW 2048 FLAT "${relative}" 0`]),
			...refused,
		},
		{name: 'a text that names a device', source: text('fullDevice', ['RW 2048 FLAT "/dev/zero" 0']), ...refused},
		{
			name: 'a text that names json:',
			source: text('monolithicSparse', [
				`RW 2048 SPARSE "json:{\\"driver\\":\\"file\\",\\"filename\\":\\"${file}\\"}"`,
			]),
			...refused,
		},
		{
			name: 'a text after a line of its own',
			source: Buffer.concat([Buffer.from('# mine\n'), flat]),
			expect: ['InvalidImage', 'ImageNotStandalone'],
		},
		{
			name: 'a text within a whole number of sectors',
			source: Buffer.concat([flat, Buffer.alloc(sector - (flat.length % sector))]),
			...refused,
		},
		{name: 'capacity 0 and a text inside that names a file', source: noCapacity, ...refused},
		{name: 'capacity 0', source: little(capacity, 0n), ...refused},
		{name: 'a flat extent named inside', source: inside(flat)},
		{
			name: 'two extents named inside',
			source: inside(text('twoGbMaxExtentSparse', [`RW 4096 SPARSE "${file}"`, 'RW 4096 SPARSE "x"'])),
		},
		{
			name: 'a parent by its hint',
			source: inside(text('monolithicSparse', [`parentFileNameHint="${file}"`], '12345678')),
			...refused,
		},
		{name: 'a parent by its number', source: inside(text('monolithicSparse', [], '12345678')), ...refused},
		{name: 'a hint without a parent', source: inside(text('monolithicSparse', [`parentFileNameHint="${file}"`]))},
		{
			name: 'a parent in another spelling',
			source: inside(text('monolithicSparse', [`PARENTFILENAMEHINT="${file}"`, 'ParentCID=12345678'])),
			expect: 'either',
		},
		{name: 'a text of 20 sectors without an end', source: replaced(vmdk, sector, Buffer.alloc(19 * sector, 'x'))},
		{
			name: 'ESX, COWD',
			source: replaced(vmdk, 0, Buffer.from('COWD')),
			expect: ['ImageNotStandalone', 'FormatNotSupported', 'InvalidImage'],
		},
		{name: 'the header alone', source: vmdk.subarray(0, sector)},
		{name: 'the magic alone', source: vmdk.subarray(0, 4), expect: ['InvalidImage']},
		{name: 'a qcow2 behind its magic', source: replaced(qcow2, 0, Buffer.from('KDMV'))},
	];
}

/** Differencing disks of the others, and what must not be taken for another format. */
function linkedCases(images: BaseImages, {file}: Canaries): readonly Made[] {
	const {vdi, vhd, vhdx, qcow2} = images;
	const [, , ofVdi, ofVhd, ofVhdx] = layouts(images);
	if (!ofVdi || !ofVhd || !ofVhdx) throw new Error('layouts are missing');
	const refused = {expect: ['ImageNotStandalone'] as const};
	const set = (layout: Layout, name: string, value: bigint) => {
		const place = layout.fields.find((field) => field.name === name);
		if (!place) throw new Error(`${layout.name} has no ${name}`);
		return withNumber(layout.image, place, {value, bigEndian: layout.bigEndian});
	};
	const locator = Buffer.from(file, 'utf16le');
	const linkedVhd = replaced(set(ofVhd, 'type', 4n), 512 + 64, locator);
	const backed = withExtensions(qcow2, [], file);
	return [
		{name: 'vdi, differencing', source: set(ofVdi, 'type', 4n), ...refused},
		{name: 'vdi, undo', source: set(ofVdi, 'type', 3n), ...refused},
		{name: 'vdi with a parent', source: set(ofVdi, 'parent', 7n), ...refused},
		{name: 'vdi, half', source: vdi.subarray(0, Math.floor(vdi.length / 2)), format: 'vdi', expect: ['InvalidImage']},
		{name: 'vhd, differencing', source: ofVhd.mend(linkedVhd), ...refused},
		{name: 'vhd, half', source: vhd.subarray(0, Math.floor(vhd.length / 2)), format: 'vpc', expect: ['InvalidImage']},
		{name: 'vhd of 2040 GiB', source: ofVhd.mend(set(ofVhd, 'current', 2040n * 2n ** 30n)), format: 'vpc'},
		{name: 'vhdx with a log', source: ofVhdx.mend(set(ofVhdx, 'header 0 log', 7n)), format: 'vhdx'},
		{
			name: 'vhdx with logs',
			source: ofVhdx.mend(replaced(set(ofVhdx, 'header 0 log', 7n), 128 * 1024 + 48, Buffer.from([7]))),
			format: 'vhdx',
		},
		{
			name: 'vhdx, half',
			source: vhdx.subarray(0, Math.floor(vhdx.length / 2)),
			format: 'vhdx',
			expect: ['InvalidImage'],
		},
		// What a guest wrote into its disk is no image of ours.
		{
			name: 'a raw disk whose second sector is a qcow2 with a backing file',
			source: Buffer.concat([Buffer.alloc(sector, 1), backed, Buffer.alloc(sector - (backed.length % sector))]),
			expect: 'imported',
		},
	];
}
