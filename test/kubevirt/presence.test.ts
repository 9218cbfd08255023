import {expect, test} from 'vitest';
import type {CdiConfig, Definition} from './api.ts';
import {absence, overheadOf} from './presence.ts';

const definition = (kind: string, group = 'cdi.kubevirt.io'): Definition => ({
	apiVersion: 'apiextensions.k8s.io/v1',
	kind: 'CustomResourceDefinition',
	metadata: {name: `${kind}.${group}`},
	spec: {group, names: {kind, plural: `${kind}s`}},
});
const all = ['DataVolume', 'DataSource', 'CDI', 'CDIConfig', 'StorageProfile'];

test('CDI is there with all five definitions', () => {
	expect(absence(all.map((kind) => definition(kind)))).toBeUndefined();
});

test('CDI is not there without a definition of DataVolume in its group', () => {
	expect(absence(all.slice(1).map((kind) => definition(kind)))).toContain('not installed');
	expect(absence(all.map((kind) => definition(kind, 'example.com')))).toContain('not installed');
});

test.each(all.slice(1))('without %s the caches never fill', (missing) => {
	const rest = all.filter((kind) => kind !== missing).map((kind) => definition(kind));
	expect(absence(rest)).toBe(`the caches never fill: no definition of ${missing}`);
});

const config = (filesystemOverhead?: object): CdiConfig => ({
	apiVersion: 'cdi.kubevirt.io/v1beta1',
	kind: 'CDIConfig',
	metadata: {name: 'config'},
	...(filesystemOverhead && {status: {filesystemOverhead}}),
});

test.each([
	['no CDI', 0, undefined, {value: '0.055'}],
	['two CDIs', 2, config({global: '0.06'}), {value: '0.055'}],
	['one CDI', 1, config({global: '0.06'}), {value: '0.06'}],
	['one CDI, and a word for this class', 1, config({global: '0.06', storageClass: {fast: '0.1'}}), {value: '0.1'}],
	['one CDI, and a word for another class', 1, config({global: '0.06', storageClass: {slow: '0.1'}}), {value: '0.06'}],
] as const)('overhead with %s', (_, cdiCount, given, expected) => {
	expect(overheadOf('fast', {cdiCount, config: given})).toEqual(expected);
});

test('one CDI without a config, or without its global overhead, is an error', () => {
	expect(overheadOf('fast', {cdiCount: 1, config: undefined})).toHaveProperty('error');
	expect(overheadOf('fast', {cdiCount: 1, config: config()})).toHaveProperty('error');
	expect(overheadOf('fast', {cdiCount: 1, config: config({storageClass: {fast: '0.1'}})})).toHaveProperty('error');
});
