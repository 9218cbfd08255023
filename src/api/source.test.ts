import {describe, expect, test} from 'vitest';
import {dataVolume} from '../../test/support/builders.ts';
import type {DataVolumeSource, DataVolumeSpec} from './datavolume.ts';
import {checksumViolation, isRefusal, parseSource} from './source.ts';

const url = 'https://example.com/disk.qcow2';
const golden = {namespace: 'images', name: 'golden'};

function parse(source: DataVolumeSource | undefined, spec: Partial<DataVolumeSpec> = {}) {
	return parseSource(dataVolume({...(source && {source}), spec}));
}

describe('parseSource', () => {
	test.each<[string, DataVolumeSource, object]>([
		['http', {http: {url}}, {kind: 'http', http: {url}}],
		['blank', {blank: {}}, {kind: 'blank'}],
		['a claim', {pvc: golden}, {kind: 'pvc', pvc: golden}],
		['a snapshot', {snapshot: golden}, {kind: 'snapshot', snapshot: golden}],
	])('%s is taken', (_, source, parsed) => {
		expect(parse(source)).toEqual(parsed);
	});

	test.each([
		['its own namespace', {}, 'ns'],
		['its own namespace where that is left empty', {namespace: ''}, 'ns'],
		['another namespace', {namespace: 'images'}, 'images'],
	])('a reference to a DataSource of %s is taken', (_, given, namespace) => {
		expect(parse(undefined, {sourceRef: {kind: 'DataSource', name: 'os', ...given}})).toEqual({
			kind: 'reference',
			namespace,
			name: 'os',
		});
	});

	test.each(['s3', 'gcs', 'registry', 'imageio', 'vddk', 'upload'] as const)(
		'spec.source.%s is refused as not supported yet, in words',
		(kind) => {
			expect(parse({[kind]: {}})).toEqual({
				reason: 'NotSupported',
				message: `spec.source.${kind} is not supported yet`,
			});
		},
	);

	test.each<[string, DataVolumeSource | undefined, Partial<DataVolumeSpec>, string, RegExp]>([
		[
			'sourceRef to something else',
			undefined,
			{sourceRef: {kind: 'Other', name: 'x'}},
			'Invalid',
			/sourceRef kind Other,/,
		],
		[
			'sourceRef without a name',
			undefined,
			{sourceRef: {kind: 'DataSource', name: ''}},
			'Invalid',
			/Missing sourceRef name/,
		],
		[
			'a source and a reference',
			{blank: {}},
			{sourceRef: {kind: 'DataSource', name: 'x'}},
			'Invalid',
			/Multiple Data volume sources/,
		],
		['no source at all', undefined, {}, 'Invalid', /either Source or SourceRef/],
		['an empty source', {}, {}, 'Invalid', /Missing Data volume source/],
		['two sources', {http: {url}, blank: {}}, {}, 'Invalid', /Multiple Data volume sources: http, blank/],
		['an empty URL', {http: {url: ''}}, {}, 'Invalid', /empty/],
		['no URL', {http: {url: 'disk.qcow2'}}, {}, 'Invalid', /not a URL/],
		['another scheme', {http: {url: 'ftp://example.com/x'}}, {}, 'Invalid', /scheme: ftp/],
		['a bad checksum', {http: {url, checksum: 'md5:12'}}, {}, 'Invalid', /32 hexadecimal digits/],
	])('%s is refused', (_, source, spec, reason, message) => {
		const refused = parse(source, spec);
		expect(isRefusal(refused)).toBe(true);
		expect(refused).toMatchObject({reason, message: expect.stringMatching(message)});
	});

	test.each([
		['storage.dataSource', {storage: {dataSource: {kind: 'PersistentVolumeClaim', name: 'x'}}}],
		['pvc.dataSourceRef', {pvc: {dataSourceRef: {apiGroup: 'example.com', kind: 'Other', name: 'x'}}}],
	] as const)('a claim with %s is populated by somebody else', (_, spec) => {
		expect(parse(undefined, spec)).toEqual({kind: 'external'});
	});
});

describe('checksumViolation', () => {
	test.each([
		['md5', 32],
		['sha1', 40],
		['sha256', 64],
		['sha512', 128],
	])('%s wants %i digits, no more and no less, hexadecimal', (algorithm, digits) => {
		expect(checksumViolation(`${algorithm}:${'aB'.repeat(digits / 2)}`)).toBeUndefined();
		expect(checksumViolation(`${algorithm}:${'a'.repeat(digits - 1)}`)).toContain(`${digits} hexadecimal digits`);
		expect(checksumViolation(`${algorithm}:${'a'.repeat(digits + 1)}`)).toContain(`${digits} hexadecimal digits`);
		expect(checksumViolation(`${algorithm}:${'g'.repeat(digits)}`)).toContain(`${digits} hexadecimal digits`);
		expect(checksumViolation(`${algorithm}:${'a'.repeat(digits)}:`)).toContain(`${digits} hexadecimal digits`);
	});

	test.each(['', 'abc', 'crc32:00000000', 'SHA256:00', ':'])('"%s" names no algorithm that is known', (checksum) => {
		expect(checksumViolation(checksum)).toContain('must be algorithm:hex');
	});
});
