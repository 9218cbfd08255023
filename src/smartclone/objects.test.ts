import {describe, expect, test} from 'vitest';
import {contentKey, readyStripe, sharedSnapshot, snapshotContent} from '../../test/support/builders.ts';
import {annotations, finalizers, labels} from '../api/names.ts';
import {
	aliasContentName,
	makeAliasContent,
	makeAliasSnapshot,
	makeSharedSnapshot,
	makeStripeSnapshot,
} from './objects.ts';

const shared = sharedSnapshot({stripes: 2});
const place = {namespace: 'tenant', stripe: 1};

describe('makeSharedSnapshot', () => {
	const made = makeSharedSnapshot({
		content: contentKey(),
		generation: 3,
		source: {namespace: 'ns', name: 'claim'},
		volumeSnapshotClassName: 'snapshots',
		stripes: 2,
	});

	test('is open, and held by us from its first moment', () => {
		expect(made.spec.closed).toBe(false);
		expect(made.metadata.finalizers).toEqual([finalizers.sharedSnapshot]);
	});

	test('is named by content and generation, and says for people what it is of', () => {
		expect(made.metadata.name).toMatch(/^[0-9a-f]{16}-3$/);
		expect(made.metadata.labels?.[labels.contentHash]).toBe(made.metadata.name.slice(0, 16));
		expect(made.metadata.annotations).toEqual({'onesnap.io/source': 'ns/claim'});
	});
});

describe('makeStripeSnapshot', () => {
	test('cuts the source claim, in its namespace, with the class that was chosen, held by us', () => {
		const made = makeStripeSnapshot(shared, 1);
		expect(made.metadata).toMatchObject({
			name: 'onesnap-shared-1-1',
			namespace: 'ns',
			finalizers: [finalizers.sharedSnapshot],
		});
		expect(made.metadata.labels?.[labels.sharedSnapshotUid]).toBe('shared-1');
		expect(made.spec).toEqual({
			source: {persistentVolumeClaimName: 'claim'},
			volumeSnapshotClassName: 'snapshots',
		});
	});

	test('is not made for an object that the server has not seen', () => {
		const {uid: _, ...metadata} = shared.metadata;
		expect(() => makeStripeSnapshot({...shared, metadata}, 0)).toThrow('has no UID');
	});
});

describe('an alias', () => {
	const original = readyStripe(shared, 1).content;
	const content = makeAliasContent(shared, place, original);
	const snapshot = makeAliasSnapshot(shared, place);

	test('has the handle of the original, and its deletion deletes nothing in the storage', () => {
		expect(content.spec.source).toEqual({snapshotHandle: 'handle-of-onesnap-shared-1-1'});
		expect(content.spec.deletionPolicy).toBe('Retain');
		expect(content.spec).toMatchObject({driver: original.spec.driver, sourceVolumeMode: 'Filesystem'});
	});

	test('content and snapshot name each other', () => {
		expect(content.spec.volumeSnapshotRef).toMatchObject({namespace: 'tenant', name: snapshot.metadata.name});
		expect(snapshot.spec.source).toEqual({volumeSnapshotContentName: content.metadata.name});
		expect(snapshot.metadata.namespace).toBe('tenant');
	});

	test('of the same stripe in another namespace is another content', () => {
		const other = aliasContentName(shared, {...place, namespace: 'other'});
		expect(other).not.toBe(content.metadata.name);
		expect(aliasContentName(shared, {namespace: 'n'.repeat(63), stripe: 31}).length).toBeLessThan(253);
	});

	test('is given the deletion secrets of the original, and none of its other annotations', () => {
		const secrets = {[annotations.deletionSecretName]: 's', [annotations.deletionSecretNamespace]: 'n'};
		const with_ = snapshotContent({annotations: {...secrets, 'example.com/other': 'x'}});
		expect(makeAliasContent(shared, place, with_).metadata.annotations).toEqual(secrets);
		expect(content.metadata.annotations).toEqual({});
	});

	test('is not held by us: whoever deletes its namespace gets rid of it', () => {
		expect(snapshot.metadata.finalizers).toBeUndefined();
		expect(content.metadata.finalizers).toBeUndefined();
	});

	test('is not made of a snapshot that is not cut', () => {
		expect(() => makeAliasContent(shared, place, snapshotContent({handle: undefined}))).toThrow('has no handle yet');
	});
});
