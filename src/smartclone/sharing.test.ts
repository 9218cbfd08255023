import * as fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {
	claim,
	contentKey,
	readyStripe,
	sharedSnapshot,
	snapshot,
	snapshotContent,
	volume,
} from '../../test/support/builders.ts';
import {annotations} from '../api/names.ts';
import type {ContentKey} from '../api/sharedsnapshot.ts';
import {
	contentHash,
	contentOf,
	lifeOf,
	nextGeneration,
	sameContent,
	sharedSnapshotName,
	type Stripe,
	stripeOf,
	stripeState,
} from './sharing.ts';
import {isDeclaredImmutable} from './rules.ts';

describe('contentOf', () => {
	const bound = claim();

	test('is the volume behind a bound claim, by UIDs and handle', () => {
		expect(contentOf(bound, volume({boundTo: bound}))).toEqual(contentKey());
	});

	test.each([
		['there is no claim', undefined, volume({boundTo: bound})],
		['the claim is not bound', claim({phase: 'Pending'}), volume({boundTo: bound})],
		['the claim is lost', claim({phase: 'Lost'}), volume({boundTo: bound})],
		['the volume is not in the cache', bound, undefined],
		['the volume is bound to a namesake made later', bound, volume({boundTo: claim({uid: 'other'})})],
		['the volume is of no CSI driver', bound, volume({boundTo: bound, inTree: true})],
		['the volume has no capacity', bound, {...volume({boundTo: bound}), spec: {csi: {driver: 'd', volumeHandle: 'h'}}}],
	])('is unknown where %s', (_, source, behind) => {
		expect(contentOf(source, behind)).toBeUndefined();
	});
});

const otherwise: Partial<ContentKey>[] = [
	{driver: 'other'},
	{volumeHandle: 'other'},
	{persistentVolumeUid: 'other'},
	{claimUid: 'other'},
	{volumeMode: 'Block'},
	{capacity: '2Gi'},
];

describe('content identity', () => {
	test.each(otherwise)('another %o is another content', (difference) => {
		expect(sameContent(contentKey(), contentKey(difference))).toBe(false);
		expect(contentHash(contentKey(difference))).not.toBe(contentHash(contentKey()));
	});

	test('the hash is stable: names of existing objects depend on it', () => {
		expect(contentHash(contentKey())).toBe('e33c63dc3b025062');
		expect(contentHash(contentKey())).toMatch(/^[0-9a-f]{16}$/);
	});

	test('fields do not run into each other', () => {
		const a = contentKey({driver: 'ab', volumeHandle: 'c'});
		const b = contentKey({driver: 'a', volumeHandle: 'bc'});
		expect(contentHash(a)).not.toBe(contentHash(b));
	});

	test('the same capacity written otherwise is the same content', () => {
		expect(sameContent(contentKey({capacity: '1Gi'}), contentKey({capacity: '1024Mi'}))).toBe(true);
	});
});

describe('nextGeneration', () => {
	const content = contentKey();
	const name = (generation: number) => sharedSnapshotName(content, generation);

	test.each([
		['1 where there is none', [], 1],
		['one more than the highest', [name(1), name(7), name(3)], 8],
		['not moved by other contents', [sharedSnapshotName(contentKey({capacity: '2Gi'}), 9)], 1],
		['not moved by names of another form', [`${contentHash(content)}-x`, contentHash(content)], 1],
	])('is %s', (_, existing, generation) => {
		expect(nextGeneration(content, existing)).toBe(generation);
	});
});

describe('isDeclaredImmutable', () => {
	test.each([
		['"true"', claim({annotations: {[annotations.immutable]: 'true'}}), true],
		['"false"', claim({annotations: {[annotations.immutable]: 'false'}}), false],
		['nothing', claim(), false],
		['no claim', undefined, false],
	])('%s on the claim: %s', (_, source, immutable) => {
		expect(isDeclaredImmutable(source)).toBe(immutable);
	});
});

describe('stripeOf', () => {
	test('is within the stripes and always the same', () => {
		fc.assert(
			fc.property(fc.uuid(), fc.integer({min: 1, max: 32}), (uid, stripes) => {
				const stripe = stripeOf(uid, stripes);
				expect(stripe).toBeGreaterThanOrEqual(0);
				expect(stripe).toBeLessThan(stripes);
				expect(stripeOf(uid, stripes)).toBe(stripe);
			}),
		);
	});

	test('spreads a thousand requests evenly over four', () => {
		const counts = [0, 0, 0, 0];
		for (let request = 0; request < 1000; request++) {
			const stripe = stripeOf(`request-${request}`, 4);
			counts[stripe] = (counts[stripe] ?? 0) + 1;
		}
		for (const count of counts) expect(count).toBeGreaterThan(200);
	});
});

const shared = sharedSnapshot();
const ready = readyStripe(shared);
const missing: Stripe = {snapshot: undefined, content: undefined};
const cutting: Stripe = {snapshot: snapshot({untouched: true}), content: undefined};
const lost: Stripe = {snapshot: snapshot({deleting: true}), content: undefined};

describe('stripeState', () => {
	const of = snapshot();
	const content = snapshotContent({of});
	test.each<[string, Stripe, string]>([
		['missing where there is no snapshot', missing, 'missing'],
		['cutting before the snapshotter looked at it', cutting, 'cutting'],
		['cutting while it is bound but not ready', {snapshot: snapshot({ready: false}), content}, 'cutting'],
		['cutting while the content is not in the cache', {snapshot: of, content: undefined}, 'cutting'],
		[
			'cutting while the content has no handle',
			{snapshot: of, content: snapshotContent({handle: undefined})},
			'cutting',
		],
		[
			'cutting where only the snapshot says that they belong together',
			{snapshot: of, content: snapshotContent({of: snapshot({uid: 'other'})})},
			'cutting',
		],
		['cutting where only the content says so', {snapshot: snapshot({boundTo: 'other'}), content}, 'cutting'],
		[
			'cutting after an error that the sidecar tries again',
			{snapshot: snapshot({ready: false, error: 'rpc error: code = Unavailable'}), content},
			'cutting',
		],
		['ready where both are bound and it is of the right volume', {snapshot: of, content}, 'ready'],
		['lost where it is of another volume', {snapshot: of, content: snapshotContent({volumeHandle: 'other'})}, 'lost'],
		['lost where it is of another driver', {snapshot: of, content: snapshotContent({driver: 'other'})}, 'lost'],
		['lost while the snapshot is being deleted', {snapshot: snapshot({deleting: true}), content}, 'lost'],
		['lost while the content is being deleted', {snapshot: of, content: snapshotContent({deleting: true})}, 'lost'],
		[
			'lost where the storage does not have it any more',
			{snapshot: snapshot({error: 'rpc error: code = NotFound desc = no such snapshot'}), content},
			'lost',
		],
	])('is %s', (_, stripe, state) => {
		expect(stripeState(shared, stripe)).toBe(state);
	});

	test('an answer NotFound to the cut itself is of the source volume: no snapshot was lost, so none is cut anew for it', () => {
		const refused = snapshot({
			ready: false,
			error: 'Failed to create snapshot: rpc error: code = NotFound desc = no volume',
		});
		const uncut = snapshotContent({of: refused, handle: undefined});
		expect(stripeState(shared, {snapshot: refused, content: uncut})).toBe('cutting');
	});
});

describe('lifeOf', () => {
	test.each([
		['Open until it is closed', sharedSnapshot({closed: false}), [missing], 'Open'],
		['Cutting from then on', shared, [missing], 'Cutting'],
		['Cutting while one stripe is not ready', shared, [ready, cutting], 'Cutting'],
		['Current when all stripes are ready', shared, [ready, ready], 'Current'],
		['Dead when one stripe is lost, whatever the others are', shared, [ready, missing, lost], 'Dead'],
		[
			'Draining when it is being deleted, whatever the stripes are',
			sharedSnapshot({deleting: true}),
			[lost],
			'Draining',
		],
	])('is %s', (_, object, stripes, life) => {
		expect(lifeOf(object, stripes)).toBe(life);
	});
});
