import {expect, test} from 'vitest';
import {cdi, cdiConfig} from '../../test/support/builders.ts';
import {annotations} from '../api/names.ts';
import {mirror} from './mirror.ts';

const alone = {annotations: {[annotations.configAuthority]: ''}};
const recorded = (fields: string) => ({annotations: {[annotations.mirroredFields]: fields}});
const gates = {featureGates: ['HonorWaitForFirstConsumer']};

test.each<[string, Parameters<typeof mirror>, object, string]>([
	['nothing said', [undefined, cdi()], gates, ''],
	[
		'what the CDI object says',
		[undefined, cdi({config: {preallocation: true}})],
		{...gates, preallocation: true},
		'preallocation',
	],
	['what CDIConfig says', [cdiConfig({spec: {preallocation: true}}), cdi()], {...gates, preallocation: true}, ''],
	[
		'both, each another field',
		[cdiConfig({spec: {preallocation: true}}), cdi({config: {scratchSpaceStorageClass: 'a'}})],
		{...gates, preallocation: true, scratchSpaceStorageClass: 'a'},
		'scratchSpaceStorageClass',
	],
	[
		'the same field: the CDI object counts',
		[cdiConfig({spec: {preallocation: true}}), cdi({config: {preallocation: false}})],
		{...gates, preallocation: false},
		'preallocation',
	],
	[
		'a field that the CDI object said once',
		[cdiConfig({spec: {preallocation: true, logVerbosity: 3}, ...recorded('preallocation')}), cdi()],
		{...gates, logVerbosity: 3},
		'',
	],
	['gates that are all shut', [cdiConfig({spec: {featureGates: []}}), cdi()], {featureGates: []}, ''],
	[
		'an operator: the CDI object alone, and nothing by default',
		[cdiConfig({spec: {preallocation: true}}), cdi({...alone, config: {logVerbosity: 3}})],
		{logVerbosity: 3},
		'logVerbosity',
	],
	['an operator that says nothing', [cdiConfig({spec: {preallocation: true}}), cdi(alone)], {}, ''],
])('%s', (_, given, spec, fields) => {
	expect(mirror(...given)).toEqual({spec, fields});
});
