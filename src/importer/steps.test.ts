import {describe, expect, test} from 'vitest';
import type {TargetCapacity} from './target/capacity.ts';
import {type ImportStep, nextStep, type Observed} from './steps.ts';

const MiB = 1024 * 1024;
const capacity: TargetCapacity = {
	volumeMode: 'Filesystem',
	requestedBytes: 100 * MiB,
	filesystemOverhead: 0,
	totalBytes: 200 * MiB,
	availableBytes: 200 * MiB,
};
const device: TargetCapacity = {...capacity, volumeMode: 'Block', totalBytes: 100 * MiB, availableBytes: 100 * MiB};

/** What each step finds out, when all goes well. */
function learn(
	step: ImportStep,
	facts: {capacity: TargetCapacity} & Pick<Observed, 'source' | 'format' | 'header' | 'image'>,
): Partial<Observed> {
	switch (step.do) {
		case 'clearTarget':
			return {cleared: true};
		case 'measureTarget':
			return {capacity: facts.capacity};
		case 'openSource':
			return facts.source ? {source: facts.source} : {};
		case 'unpackSource':
			return {unpacked: true, ...(facts.source && {source: {...facts.source, ranges: false, lengthBytes: undefined}})};
		case 'extractArchive':
			return {written: true, extracted: {entries: 1, bytes: 512}};
		case 'detectFormat':
			return {...(facts.format && {format: facts.format}), ...(facts.header && {header: facts.header})};
		case 'spoolSource':
			return {spooled: true};
		case 'inspectImage':
		case 'findFooter':
			return facts.image ? {image: facts.image} : {};
		case 'prepareTarget':
			return {prepared: {sizeBytes: step.sizeBytes}};
		case 'convertImage':
		case 'copyRanges':
		case 'copyStream':
			return {written: true};
		case 'verifyChecksum':
			return {verified: true};
		case 'allocateRest':
			return {allocated: true};
		case 'syncTarget':
			return {synced: true};
		case 'fail':
		case 'finish':
			return {};
	}
	return step satisfies never;
}

/** The names of the steps, from nothing to the end. */
function walk(wants: Observed['wants'], facts: Parameters<typeof learn>[1]): string[] {
	const names: string[] = [];
	let observed: Observed = {wants};
	for (let count = 0; count < 30; count++) {
		const step = nextStep(observed);
		names.push(step.do === 'fail' ? `fail ${step.failure.reason}` : step.do);
		if (step.do === 'fail' || step.do === 'finish') return names;
		observed = {...observed, ...learn(step, facts)};
	}
	throw new Error(`no end: ${names.join(' ')}`);
}

const ending = ['allocateRest', 'syncTarget', 'finish'];
const source = {shown: 'http://host/disk', ranges: true, lengthBytes: 10 * MiB};

describe('the steps of an import', () => {
	test('of a blank disk', () => {
		expect(walk({source: 'blank', checksum: false, scratch: true}, {capacity})).toEqual([
			'clearTarget',
			'measureTarget',
			'prepareTarget',
			...ending,
		]);
	});

	test.each([
		['qcow2', true, ['inspectImage', 'prepareTarget', 'convertImage', 'verifyChecksum', ...ending]],
		['vhdx', false, ['spoolSource', 'inspectImage', 'prepareTarget', 'convertImage', 'verifyChecksum', ...ending]],
		['raw', true, ['findFooter', 'prepareTarget', 'copyRanges', 'verifyChecksum', ...ending]],
		['raw', false, ['prepareTarget', 'copyStream', 'verifyChecksum', ...ending]],
	] as const)('of %s, with ranges: %s', (format, ranges, steps) => {
		const facts = {capacity, format, source: {...source, ranges}, image: {virtualBytes: 50 * MiB}};
		const begin = ['clearTarget', 'measureTarget', 'openSource', 'detectFormat'];
		expect(walk({source: 'http', checksum: true, scratch: false}, facts)).toEqual([...begin, ...steps]);
	});

	test('of an archive', () => {
		const wants = {source: 'http', checksum: true, scratch: false, archive: true} as const;
		const begin = ['clearTarget', 'measureTarget', 'openSource'];
		const compressed = {...source, compression: 'gzip' as const};
		expect(walk(wants, {capacity, source})).toEqual([...begin, 'extractArchive', 'verifyChecksum', ...ending]);
		expect(walk(wants, {capacity, source: compressed})).toEqual([
			...[...begin, 'unpackSource', 'extractArchive', 'verifyChecksum', ...ending],
		]);
		expect(walk(wants, {capacity: device, source})).toEqual([...begin, 'fail FormatNotSupported']);
	});

	test('nothing is written before the image is known to fit', () => {
		const facts = {capacity, format: 'qcow2' as const, source, image: {virtualBytes: 101 * MiB}};
		const steps = walk({source: 'http', checksum: false, scratch: false}, facts);
		expect(steps.at(-1)).toBe('fail ImageTooLarge');
		expect(steps).not.toContain('prepareTarget');
	});

	test('where the header says that it does not fit, nothing is fetched', () => {
		const header = {virtualBytes: 101 * MiB, serving: {}};
		for (const ranges of [true, false]) {
			const facts = {capacity, format: 'vmdk' as const, header, source: {...source, ranges}};
			expect(walk({source: 'http', checksum: false, scratch: false}, facts).slice(-2)).toEqual([
				'detectFormat',
				'fail ImageTooLarge',
			]);
		}
	});

	test('of a stream the last sector may be no part of the disk', () => {
		const facts = {capacity, format: 'raw' as const, source: {...source, ranges: false}};
		const ends = [100 * MiB + 512, 100 * MiB + 1024].map((lengthBytes) =>
			walk({source: 'http', checksum: false, scratch: false}, {...facts, source: {...facts.source, lengthBytes}}).at(
				-1,
			),
		);
		expect(ends).toEqual(['finish', 'fail ImageTooLarge']);
	});

	test.each([
		['raw', ['prepareTarget', 'copyStream', ...ending]],
		['vdi', ['spoolSource', 'inspectImage', 'prepareTarget', 'convertImage', ...ending]],
	] as const)('what is compressed is unpacked as a stream: %s', (format, steps) => {
		for (const ranges of [true, false]) {
			const packed = {...source, ranges, compression: 'zstd' as const};
			const facts = {capacity, format, source: packed, image: {virtualBytes: 50 * MiB}};
			const begin = ['clearTarget', 'measureTarget', 'openSource', 'unpackSource', 'detectFormat'];
			expect(walk({source: 'http', checksum: false, scratch: false}, facts)).toEqual([...begin, ...steps]);
		}
	});

	test('what would be read for ever is not begun', () => {
		const facts = {capacity, format: 'qcow2' as const, source: {...source, lengthBytes: 2 ** 50}};
		expect(walk({source: 'http', checksum: true, scratch: true}, facts).at(-1)).toBe('fail ImageTooLarge');
		const packed = {...facts, source: {...facts.source, compression: 'gzip' as const}};
		expect(walk({source: 'http', checksum: true, scratch: true}, packed).at(-1)).toBe('fail ImageTooLarge');
		expect(walk({source: 'http', checksum: true, scratch: true, archive: true}, facts).at(-1)).toBe(
			'fail ImageTooLarge',
		);
	});

	test('a container without ranges is put down beside a device, where there is a folder for it', () => {
		const facts = {
			capacity: device,
			format: 'qcow2' as const,
			source: {...source, ranges: false},
			image: {virtualBytes: 50 * MiB},
		};
		expect(walk({source: 'http', checksum: false, scratch: true}, facts)).toContain('spoolSource');
		expect(walk({source: 'http', checksum: false, scratch: false}, facts).at(-1)).toBe('fail FormatNotSupported');
	});
});
