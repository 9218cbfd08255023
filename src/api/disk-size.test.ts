import {expect, test} from 'vitest';
import {claim, type ClaimOptions} from '../../test/support/builders.ts';
import {diskSizeAnnotations, mayHoldDiskImage, rememberedDiskBytes} from './disk-size.ts';
import {annotations} from './names.ts';

const remembered = (bytes: bigint, capacity = '5Gi') => diskSizeAnnotations(bytes, capacity);

test('CDI §5.7: what is remembered is under the keys that CDI has for it, misspelt as they are', () => {
	expect(remembered(5_000_000n)).toEqual({
		'cdi.Kubervirt.io/virtualSize': '5000000',
		'cdi.Kubervirt.io/sourceCapacity': '5Gi',
	});
});

test.each<[string, ClaimOptions, bigint | undefined]>([
	['nothing is known of one that nobody has looked into', {request: '5Gi'}, undefined],
	['what was seen counts', {request: '5Gi', annotations: remembered(42n)}, 42n],
	['however the capacity is written', {request: '5Gi', annotations: remembered(42n, '5120Mi')}, 42n],
	['also that there is no disk', {request: '5Gi', annotations: remembered(0n)}, 0n],
	['not where the claim has grown since', {request: '6Gi', annotations: remembered(42n)}, undefined],
	['not of a claim that is not bound', {request: '5Gi', phase: 'Pending', annotations: remembered(42n)}, undefined],
	['nor a size without a capacity', {request: '5Gi', annotations: {[annotations.virtualSize]: '42'}}, undefined],
	[
		'nor one that is no number',
		{request: '5Gi', annotations: {...remembered(42n), [annotations.virtualSize]: '-1'}},
		undefined,
	],
])('%s', (_, options, expected) => {
	expect(rememberedDiskBytes(claim(options))).toBe(expected);
});

test.each<[string, ClaimOptions, boolean]>([
	['a file system of which nothing is said', {}, true],
	['one that says so', {annotations: {[annotations.contentType]: 'kubevirt'}}, true],
	['a device is the disk', {volumeMode: 'Block'}, false],
	['an archive is files', {annotations: {[annotations.contentType]: 'archive'}}, false],
])('a disk image may be in it: %s', (_, options, expected) => {
	expect(mayHoldDiskImage(claim(options))).toBe(expected);
});
