import {expect, test} from 'vitest';
import {decodingError} from './decode.ts';

const made = (kind: string, rest: object) => ({
	apiVersion: 'cdi.kubevirt.io/v1beta1',
	kind,
	metadata: {namespace: 'ns', name: 'one', creationTimestamp: '2026-11-21T19:00:00Z', generation: 1},
	...rest,
});

const status = {
	claimName: 'one',
	phase: 'Succeeded',
	restartCount: 0,
	conditions: [{type: 'Ready', status: 'True', lastTransitionTime: '2026-11-21T19:00:00Z', lastHeartbeatTime: null}],
};
const whole = made('DataVolume', {
	spec: {
		source: {pvc: {namespace: 'golden', name: 'os'}},
		storage: {resources: {requests: {storage: '10Gi'}}, accessModes: ['ReadWriteOnce']},
	},
	status,
});

test('a whole DataVolume is read, fields that Go does not know are skipped', () => {
	expect(decodingError(whole)).toBeUndefined();
	const more = {...whole, more: 1, status: {...status, ours: {a: 1}}};
	expect(decodingError(more)).toBeUndefined();
	expect(decodingError(made('DataVolume', {spec: {}, status: {}}))).toBeUndefined();
});

test.each<[string, ReturnType<typeof made>, string]>([
	['a restart count in words', made('DataVolume', {status: {restartCount: '3'}}), 'status.restartCount'],
	['a restart count with a fraction', made('DataVolume', {status: {restartCount: 0.5}}), 'status.restartCount'],
	['a progress as number', made('DataVolume', {status: {progress: 100}}), 'status.progress'],
	[
		'a time that is none',
		made('DataVolume', {status: {conditions: [{type: 'Bound', status: 'True', lastTransitionTime: 'now'}]}}),
		'status.conditions.0.lastTransitionTime',
	],
	[
		'a quantity that is none',
		made('DataVolume', {spec: {storage: {resources: {requests: {storage: 'ten'}}}}}),
		'spec.storage.resources.requests.storage',
	],
	['a flag in words', made('DataVolume', {spec: {preallocation: 'true'}}), 'spec.preallocation'],
	['a source without structure', made('DataSource', {spec: {source: 'pvc'}}), 'spec.source'],
	[
		'an overhead as number',
		made('CDIConfig', {status: {filesystemOverhead: {global: 0.06}}}),
		'filesystemOverhead.global',
	],
	['property sets that are no list', made('StorageProfile', {status: {claimPropertySets: {}}}), 'claimPropertySets'],
	[
		'a CDI with a wrong gate',
		made('CDI', {spec: {config: {featureGates: 'HonorWaitForFirstConsumer'}}}),
		'featureGates',
	],
])('%s breaks the list', (_, object, where) => {
	expect(decodingError(object)).toContain(where);
	expect(decodingError(object)).toContain(`cannot decode ${object.kind} ns/one`);
});
