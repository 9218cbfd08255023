import {describe, expect, test} from 'vitest';
import {readyStripe, sharedSnapshot} from '../../test/support/builders.ts';
import {MemoryCaches} from '../../test/support/memory-caches.ts';
import type {KubeObject} from '../api/kubernetes.ts';
import {makeAliasContent, makeAliasSnapshot} from './objects.ts';
import {addSharingIndexes} from './observe.ts';
import {assignmentTo, type CloneRequest} from './requests.ts';
import {servingOf} from './serving.ts';

const source = {namespace: 'images', name: 'golden'};
const shared = sharedSnapshot({uid: 'shared-uid', source});
const stripe = readyStripe(shared);
const place = {namespace: 'tenant', stripe: 0};
const content = makeAliasContent(shared, place, stripe.content);
const made = makeAliasSnapshot(shared, place);
const snapshot = {...made, metadata: {...made.metadata, uid: 'alias-uid', creationTimestamp: '2026-01-01T00:00:00Z'}};
const request: CloneRequest = {
	...{namespace: 'tenant', name: 'disk', uid: 'disk-uid', source},
	...{way: 'snapshot', restoresIn: 'tenant'},
};

function servingWith(objects: readonly KubeObject[]) {
	const {caches} = new MemoryCaches([shared, stripe.snapshot, stripe.content, ...objects]);
	addSharingIndexes(caches);
	return servingOf(caches, request, assignmentTo(shared), {messageOf: () => undefined});
}

describe('a request of another namespace', () => {
	test('waits for its alias, without a deadline before that is made', () => {
		expect(servingWith([])).toMatchObject({state: 'pending'});
		expect(servingWith([content])).not.toHaveProperty('alias');
	});

	test('is told what the sidecar says of it, since when', () => {
		const error = {message: 'can not find snapshot'};
		const told = {state: 'pending', alias: {uid: 'alias-uid', since: '2026-01-01T00:00:00Z', error: error.message}};
		expect(servingWith([{...content, status: {error}} as KubeObject, snapshot])).toMatchObject(told);
		expect(servingWith([content, {...snapshot, status: {error}} as KubeObject])).toMatchObject(told);
		expect(servingWith([content, snapshot])).toMatchObject({alias: {error: undefined}});
	});

	test('is served when both sides are bound to each other', () => {
		const {name} = content.metadata;
		const ref = {...content.spec.volumeSnapshotRef, uid: 'alias-uid'};
		const bound = {...snapshot, status: {boundVolumeSnapshotContentName: name, readyToUse: true}};
		const bindsBack = {...content, spec: {...content.spec, volumeSnapshotRef: ref}};
		expect(servingWith([bindsBack, bound])).toMatchObject({state: 'ready', snapshotName: snapshot.metadata.name});
		expect(servingWith([content, bound])).toMatchObject({state: 'pending'});
	});
});
