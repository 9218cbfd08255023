import {describe, expect, test} from 'vitest';
import type {CdiConfigSpec} from '../api/cdi-config.ts';
import {configStatus} from './config-status.ts';

const classes = ['slow', 'fast'];

describe('configStatus', () => {
	test('KubeVirt §2: says an overhead of every class, also where nobody asked for one', () => {
		expect(configStatus({}, classes)).toEqual({
			filesystemOverhead: {global: '0.06', storageClass: {fast: '0.06', slow: '0.06'}},
			defaultPodResourceRequirements: {requests: {cpu: '100m', memory: '64Mi'}, limits: {memory: '600Mi'}},
			preallocation: false,
			scratchSpaceStorageClass: '',
		});
	});

	test.each<[string, CdiConfigSpec['filesystemOverhead'], object]>([
		['of all', {global: '0.1'}, {global: '0.1', storageClass: {fast: '0.1', slow: '0.1'}}],
		['of one', {storageClass: {fast: '0', gone: '0.5'}}, {global: '0.06', storageClass: {fast: '0', slow: '0.06'}}],
		[
			'not one that is none',
			{global: '6%', storageClass: {fast: '2'}},
			{global: '0.06', storageClass: {fast: '0.06', slow: '0.06'}},
		],
	])('an overhead %s', (_, filesystemOverhead, expected) => {
		expect(configStatus(filesystemOverhead ? {filesystemOverhead} : {}, classes).filesystemOverhead).toEqual(expected);
	});

	test.each<[string, CdiConfigSpec['podResourceRequirements'], object]>([
		[
			'resource by resource',
			{limits: {cpu: '2'}, requests: {memory: '128Mi'}},
			{limits: {cpu: '2', memory: '600Mi'}, requests: {cpu: '100m', memory: '128Mi'}},
		],
		[
			'a default request gives way to a limit',
			{limits: {cpu: '50m', memory: '32Mi'}},
			{limits: {cpu: '50m', memory: '32Mi'}, requests: {cpu: '50m', memory: '32Mi'}},
		],
		[
			'a bare number',
			{limits: {cpu: 0.05}},
			{limits: {cpu: 0.05, memory: '600Mi'}, requests: {cpu: 0.05, memory: '64Mi'}},
		],
	])('resources: %s', (_, podResourceRequirements, expected) => {
		const status = configStatus(podResourceRequirements ? {podResourceRequirements} : {}, []);
		expect(status.defaultPodResourceRequirements).toEqual(expected);
	});

	test('a class for scratch space only where it exists', () => {
		expect(configStatus({scratchSpaceStorageClass: 'fast'}, classes).scratchSpaceStorageClass).toBe('fast');
		expect(configStatus({scratchSpaceStorageClass: 'gone'}, classes).scratchSpaceStorageClass).toBe('');
	});

	test('the rest as it is wished; of an upload proxy, which there is none, nothing', () => {
		const importProxy = {HTTPProxy: 'http://proxy.example.com'};
		const spec = {importProxy, preallocation: true, imagePullSecrets: [{name: 'a'}], uploadProxyURLOverride: 'x'};
		const status = configStatus(spec, []);
		expect(status).toMatchObject({importProxy, preallocation: true, imagePullSecrets: [{name: 'a'}]});
		expect(status).not.toHaveProperty('uploadProxyURL');
	});
});
