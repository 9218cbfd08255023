import {expect, test} from 'vitest';
import {cdi, cdiConfig} from '../../test/support/builders.ts';
import {MemoryCaches} from '../../test/support/memory-caches.ts';
import type {KubeObject} from '../api/kubernetes.ts';
import {type OwnSettings, workerSettings} from './worker-settings.ts';

const own: OwnSettings = {
	image: 'worker',
	namespace: 'onesnap',
	imagePullSecrets: ['own'],
	importProxy: {http: 'own:1'},
};
const settings = (...objects: readonly KubeObject[]) => workerSettings(own, new MemoryCaches(objects).caches);

test("the controller's own settings count where CDIConfig says nothing", () => {
	expect(settings()).toMatchObject({image: 'worker', imagePullSecrets: ['own'], importProxy: {http: 'http://own:1/'}});
	const nothing = cdiConfig({status: {importProxy: {HTTPProxy: '', noProxy: 'a'}, imagePullSecrets: []}});
	expect(settings(nothing)).toMatchObject({imagePullSecrets: ['own'], importProxy: {http: 'http://own:1/'}});
});

test('what CDIConfig and the CDI object say counts before them, and is not mixed with them', () => {
	const importProxy = {HTTPSProxy: 'http://theirs:1', trustedCAProxy: 'authorities'};
	const status = {importProxy, imagePullSecrets: [{name: 'theirs'}], preallocation: true};
	const placed = cdi({spec: {workload: {nodeSelector: {a: 'b'}}}});
	expect(settings(cdiConfig({status}), placed)).toMatchObject({
		imagePullSecrets: ['theirs'],
		preallocation: true,
		placement: {nodeSelector: {a: 'b'}},
		importProxy: {
			https: 'http://theirs:1/',
			problem: {message: 'ConfigMap onesnap/authorities with the authorities of the import proxy does not exist'},
		},
	});
	expect(settings(cdiConfig({status})).importProxy).not.toHaveProperty('http');
});
