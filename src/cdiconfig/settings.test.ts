import {describe, expect, test} from 'vitest';
import {cdi, cdiConfig} from '../../test/support/builders.ts';
import {MemoryCaches} from '../../test/support/memory-caches.ts';
import type {KubeObject} from '../api/kubernetes.ts';
import {configStatus} from './config-status.ts';
import {hasFeatureGate} from './feature-gates.ts';
import {clusterSettings} from './settings.ts';

const settings = (...objects: readonly KubeObject[]) => clusterSettings(new MemoryCaches(objects).caches);
const said = (spec: Parameters<typeof configStatus>[0], classes: readonly string[] = []) =>
	cdiConfig({spec, status: configStatus(spec, classes)});

describe('clusterSettings', () => {
	test('are the defaults where nothing is said yet', () => {
		const {overheadOf, ...rest} = settings();
		expect(overheadOf('fast')).toBe(0.06);
		expect(rest).toMatchObject({
			...{preallocation: false, imagePullSecrets: [], placement: {}, importProxy: undefined, cloneStrategy: undefined},
			resources: {requests: {cpu: '100m', memory: '64Mi'}, limits: {memory: '600Mi'}},
		});
	});

	test('an overhead is that of the class, else that of all', () => {
		const config = said({filesystemOverhead: {global: '0.1', storageClass: {fast: '0'}}}, ['fast', 'slow']);
		const {overheadOf} = settings(config);
		expect([overheadOf('fast'), overheadOf('slow'), overheadOf('new'), overheadOf(undefined)]).toEqual([
			0, 0.1, 0.1, 0.1,
		]);
	});

	test('of worker Pods come from CDIConfig and the CDI object', () => {
		const spec = {
			podResourceRequirements: {limits: {cpu: 2}},
			imagePullSecrets: [{name: 'a'}, {}],
			preallocation: true,
		};
		const workload = {nodeSelector: {disks: 'fast'}};
		expect(settings(said(spec), cdi({spec: {workload, cloneStrategyOverride: 'copy'}}))).toMatchObject({
			...{preallocation: true, imagePullSecrets: ['a'], placement: workload},
			resources: {limits: {cpu: '2', memory: '600Mi'}},
			cloneStrategy: {strategy: 'copy', saidBy: 'spec.cloneStrategyOverride of CDI cdi'},
		});
	});

	test.each([
		[{HTTPProxy: 'http://a'}, true],
		[{HTTPSProxy: 'http://a'}, true],
		[{HTTPProxy: '', HTTPSProxy: '', noProxy: 'b'}, false],
	])('a proxy is one that is named: %o', (importProxy, isOne) => {
		expect(settings(said({importProxy})).importProxy).toEqual(isOne ? importProxy : undefined);
	});
});

describe('hasFeatureGate', () => {
	test.each([
		['HonorWaitForFirstConsumer', undefined, true],
		['DataVolumeClaimAdoption', undefined, false],
		['HonorWaitForFirstConsumer', [], false],
		['DataVolumeClaimAdoption', ['DataVolumeClaimAdoption'], true],
	] as const)('%s where CDIConfig says %o is %s', (gate, featureGates, on) => {
		expect(hasFeatureGate(featureGates && cdiConfig({spec: {featureGates}}), gate)).toBe(on);
	});
});
