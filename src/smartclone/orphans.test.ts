import {describe, expect, test} from 'vitest';
import {readyStripe, sharedSnapshot, snapshot, snapshotContent} from '../../test/support/builders.ts';
import {MemoryCaches} from '../../test/support/memory-caches.ts';
import type {KubeObject} from '../api/kubernetes.ts';
import {labels, stripeName} from '../api/names.ts';
import {makeAliasContent, makeAliasSnapshot} from './objects.ts';
import {addSharingIndexes} from './observe.ts';
import {observeOrphans, removeOrphans} from './orphans.ts';

const gone = sharedSnapshot({uid: 'gone', source: {namespace: 'images', name: 'golden'}});
const stripe = readyStripe(gone);
const place = {namespace: 'tenant', stripe: 0};
const aliasContent = makeAliasContent(gone, place, stripe.content);
const aliasSnapshot = makeAliasSnapshot(gone, place);
const retained = {...stripe.content, spec: {...stripe.content.spec, deletionPolicy: 'Retain' as const}};
const released = {...stripe.content, spec: {...stripe.content.spec, deletionPolicy: 'Delete' as const}};
const leaving = {
	...stripe.snapshot,
	metadata: {...stripe.snapshot.metadata, deletionTimestamp: '2026-01-01T00:00:00Z'},
};

function next(objects: readonly KubeObject[]) {
	const {caches} = new MemoryCaches(objects);
	addSharingIndexes(caches);
	const orphans = observeOrphans(caches, 'gone');
	return orphans && removeOrphans(orphans);
}

describe('what is left of a SharedSnapshot that is gone', () => {
	test('goes step by step: aliases, the protection, the VolumeSnapshot, its finalizer', () => {
		const original = [stripe.snapshot, retained];
		expect(next([...original, aliasSnapshot, aliasContent])).toMatchObject({
			do: 'removeAliases',
			snapshots: [aliasSnapshot],
			contents: [],
		});
		expect(next([...original, aliasContent])).toMatchObject({do: 'removeAliases', contents: [aliasContent]});
		expect(next(original)).toMatchObject({do: 'unprotect', content: retained});
		expect(next([stripe.snapshot, released])).toMatchObject({do: 'deleteSnapshot', snapshot: stripe.snapshot});
		expect(next([leaving])).toMatchObject({do: 'releaseSnapshot', snapshot: leaving});
		expect(next([])).toBeUndefined();
	});

	test('is a VolumeSnapshot that was never looked at', () => {
		const untouched = snapshot({
			name: stripeName('gone', 2),
			untouched: true,
			labels: {[labels.sharedSnapshotUid]: 'gone'},
		});
		expect(next([untouched])).toMatchObject({do: 'deleteSnapshot', snapshot: untouched});
	});

	test('is looked for where ours are, also where somebody has a copy of one elsewhere', () => {
		const copied = snapshot({name: 'mine', namespace: 'another', labels: {[labels.sharedSnapshotUid]: 'gone'}});
		expect(next([copied, stripe.snapshot, retained])).toMatchObject({do: 'unprotect', content: retained});
	});

	test('is a content whose VolumeSnapshot is gone', () => {
		expect(next([retained])).toMatchObject({do: 'unprotect', content: retained, orphaned: true});
	});

	test.each([
		['of another name: somebody copied one of ours, labels and all', 'mine'],
		['of a number that no SharedSnapshot has', stripeName('gone', 32)],
		['of a number that is none', stripeName('gone', 0).replace(/0$/, '1e9')],
	])('is no VolumeSnapshot %s', (_, name) => {
		const copied = snapshot({name, labels: {[labels.sharedSnapshotUid]: 'gone'}});
		expect(next([copied, snapshotContent({of: copied, labels: {[labels.sharedSnapshotUid]: 'gone'}})])).toBeUndefined();
	});
});
