import {describe, expect, test} from 'vitest';
import {claim, pod, type PodOptions} from '../../test/support/builders.ts';
import {MemoryCaches} from '../../test/support/memory-caches.ts';
import type {Pod} from '../api/kubernetes.ts';
import {labels} from '../api/names.ts';
import * as resources from '../kube/resources.ts';
import {podsByClaim, writersOf} from './writers.ts';

function cachesOf(...objects: Pod[]) {
	const {caches} = new MemoryCaches(objects);
	caches.addIndex(resources.pods, podsByClaim);
	return caches;
}

describe('writersOf', () => {
	const golden = claim({name: 'golden'});
	test.each<[string, PodOptions, boolean]>([
		['mounts it', {mounts: [{claim: 'golden'}]}, true],
		['has it as a device', {mounts: [{claim: 'golden', device: true}]}, true],
		['has not started yet', {phase: 'Pending', mounts: [{claim: 'golden'}]}, true],
		['is being deleted', {deleting: true, mounts: [{claim: 'golden'}]}, true],
		['mounts it read-only', {mounts: [{claim: 'golden', readOnly: true}]}, false],
		['has ended', {phase: 'Succeeded', mounts: [{claim: 'golden'}]}, false],
		['has failed', {phase: 'Failed', mounts: [{claim: 'golden'}]}, false],
		[
			'is a copier of ours',
			{labels: {[labels.cdiComponent]: 'cdi-clone-source'}, mounts: [{claim: 'golden', device: true}]},
			false,
		],
		['mounts another claim', {mounts: [{claim: 'other'}]}, false],
		['is in another namespace', {namespace: 'other', mounts: [{claim: 'golden'}]}, false],
	])('a Pod that %s: %s', (_, options, writes) => {
		expect(writersOf(cachesOf(pod(options)), golden)).toHaveLength(writes ? 1 : 0);
	});
});

test('the claim of an ephemeral volume is named after Pod and volume', () => {
	const bare = pod({});
	const withEphemeral = {...bare, spec: {...bare.spec, volumes: [{name: 'scratch', ephemeral: {}}]}};
	expect(podsByClaim.keys(withEphemeral)).toEqual([`ns/${bare.metadata.name}-scratch`]);
});

test('an init container writes too, where the others only read', () => {
	const reads = pod({mounts: [{claim: 'golden', readOnly: true}]});
	const init = {name: 'init', image: 'image', volumeMounts: [{name: 'golden', mountPath: '/golden'}]};
	const writes = {...reads, spec: {...reads.spec, initContainers: [init]}};
	expect(writersOf(cachesOf(reads), claim({name: 'golden'}))).toEqual([]);
	expect(writersOf(cachesOf(writes), claim({name: 'golden'}))).toHaveLength(1);
});
