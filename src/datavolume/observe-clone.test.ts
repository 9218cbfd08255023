import {describe, expect, test} from 'vitest';
import {
	assignedTo,
	cdi,
	claim,
	csiDriver,
	csiNode,
	dataVolume,
	type DataVolumeOptions,
	node,
	plainSets,
	pod,
	provisioningFailed,
	readyStripe,
	sharedSnapshot,
	snapshot,
	snapshotClass,
	snapshotContent,
	storageClass,
	storageProfile,
	volume,
} from '../../test/support/builders.ts';
import {MemoryCaches} from '../../test/support/memory-caches.ts';
import type {KubeObject, PersistentVolume} from '../api/kubernetes.ts';
import {annotations, cdiGroup, copyClaimName, labels, targetNameAnnotation} from '../api/names.ts';
import {addSharingIndexes, snapshotClassFor} from '../smartclone/observe.ts';
import {clusterSettings} from '../cdiconfig/settings.ts';
import {resolveProfile} from '../storageprofile/resolve.ts';
import {WaitingRequests} from '../smartclone/requests.ts';
import {formatGaveUp} from './gave-up.ts';
import {addIndexes, type ObserveContext, observe} from './observe.ts';

const source = claim({name: 'golden', uid: 'golden-uid', volumeName: 'golden-volume'});
const sourceVolume = volume({name: 'golden-volume', uid: 'golden-volume-uid', boundTo: source, handle: 'handle-1'});
const classes = [
	storageClass({annotations: {[annotations.defaultStorageClass]: 'true'}}),
	storageProfile({spec: {claimPropertySets: plainSets}}),
	snapshotClass(),
	csiDriver(),
];
const cloning = (options: DataVolumeOptions = {}) =>
	dataVolume({source: {pvc: {namespace: 'ns', name: 'golden'}}, ...options});
const ofGolden = {claimUid: 'golden-uid', persistentVolumeUid: 'golden-volume-uid'};
const shared = sharedSnapshot({source: {namespace: 'ns', name: 'golden'}, content: ofGolden});
const stripe = readyStripe(shared);
const cutObjects = [shared, stripe.snapshot, stripe.content];

const withOverhead = (overhead: number) => ({
	...clusterSettings(new MemoryCaches().caches),
	overheadOf: () => overhead,
});

function see(objects: readonly KubeObject[], given: Partial<ObserveContext> = {}) {
	const {caches} = new MemoryCaches([...classes, source, sourceVolume, ...objects]);
	addIndexes(caches);
	addSharingIndexes(caches);
	return observe('ns/disk', {
		caches,
		waiting: new WaitingRequests(() => {}),
		lost: {messageOf: () => undefined},
		settings: withOverhead(0),
		populationOf: () => {
			throw new Error('nothing is populated here');
		},
		percentOf: () => undefined,
		now: () => Date.parse('2026-01-01T01:00:00Z'),
		...given,
	});
}
const cloneOf = (...parameters: Parameters<typeof see>) => see(...parameters).clone;
const assigned = (way: string, more: Readonly<Record<string, string>> = {}) => ({
	annotations: {...assignedTo(shared), [annotations.cloneType]: way, ...more},
});
const gaveUp = (way: 'snapshot' | 'copy') => ({
	[annotations.gaveUp]: formatGaveUp('disk-uid', {ways: [{way, code: 'OutOfRange', message: 'm'}]}),
});

describe('the way of a clone', () => {
	test('is decided anew as long as nothing is made for it', () => {
		expect(cloneOf([cloning()])).toMatchObject({decision: {route: 'restore'}, serving: {state: 'none'}});
		const forced = cloning({annotations: {[annotations.cloneType]: 'copy'}});
		expect(cloneOf([forced])?.decision?.way).toBe('snapshot');
	});

	test('is kept once it is assigned, though it would be decided otherwise now', () => {
		expect(cloneOf([cloning(assigned('snapshot')), ...cutObjects])).toMatchObject({
			decision: {way: 'snapshot', route: 'restore'},
			serving: {state: 'ready'},
			shared: {metadata: {uid: shared.metadata.uid}},
		});
		expect(cloneOf([cloning(assigned('copy')), ...cutObjects])?.decision?.route).toBe('copySnapshot');
	});

	test('is decided anew when what it was assigned to is gone or lost', () => {
		expect(cloneOf([cloning(assigned('copy'))])?.decision?.way).toBe('snapshot');
		const lost = {messageOf: () => 'code = NotFound'};
		expect(cloneOf([cloning(assigned('copy')), ...cutObjects], {lost})).toMatchObject({
			decision: {way: 'snapshot'},
			serving: {state: 'none'},
		});
	});

	test('that is given up is not served from what was cut for it, also when the source is gone', () => {
		const given = cloning(assigned('snapshot', gaveUp('snapshot')));
		expect(cloneOf([given, ...cutObjects])).toMatchObject({decision: {way: 'csi-clone'}, serving: {state: 'none'}});
		const gone = claim({name: 'golden', uid: 'golden-uid', volumeName: 'golden-volume', deleting: true});
		expect(cloneOf([given, ...cutObjects, gone])).toMatchObject({
			problem: {reason: 'CloneWithoutSource'},
			decision: undefined,
			serving: {state: 'none'},
		});
		expect(cloneOf([cloning(assigned('snapshot')), ...cutObjects, gone])?.serving?.state).toBe('ready');
	});

	test('of another mode is a copy, that is served in the namespace of the source', () => {
		const block = cloning({spec: {storage: {volumeMode: 'Block', resources: {requests: {storage: '1Gi'}}}}});
		expect(cloneOf([block])).toMatchObject({decision: {way: 'copy', route: 'copySnapshot'}});
		expect(cloneOf([{...block, metadata: cloning(assigned('copy')).metadata}, ...cutObjects])).toMatchObject({
			decision: {route: 'copySnapshot'},
			serving: {state: 'ready', snapshotName: stripe.snapshot.metadata.name},
		});
	});

	test('is open on node-local storage until a node is known, unless it binds at once', () => {
		const nodeLocal = {[annotations.nodeLocal]: 'true', [annotations.defaultStorageClass]: 'true'};
		const late = storageClass({waitsForConsumer: true, annotations: nodeLocal});
		expect(cloneOf([cloning(), late])?.decision?.route).toBe('restoreOrCopy');
		const hurried = cloning({annotations: {[annotations.bindImmediate]: ''}});
		expect(cloneOf([hurried, late])?.decision?.route).toBe('restore');
	});
});

describe('the size of a clone', () => {
	const sized = (mode: 'Block' | 'Filesystem', size: string) =>
		dataVolume({
			source: {pvc: {namespace: 'ns', name: 'golden'}},
			spec: {pvc: {accessModes: ['ReadWriteOnce'], volumeMode: mode, resources: {requests: {storage: size}}}},
		});

	test.each([
		['Filesystem', '1Gi', false],
		['Filesystem', '1023Mi', true],
		['Block', '1Gi', false],
		['Block', '900Mi', true],
	] as const)('of mode %s with %s is too small: %s', (mode, size, tooSmall) => {
		expect(cloneOf([sized(mode, size)])?.problem?.reason).toBe(tooSmall ? 'CloneValidationFailed' : undefined);
	});

	test('of another mode counts what a disk image takes', () => {
		const overhead = {settings: withOverhead(0.06)};
		expect(cloneOf([sized('Block', '1000Mi')], overhead)?.problem).toBeUndefined();
		expect(cloneOf([sized('Block', '900Mi')], overhead)?.problem?.reason).toBe('CloneValidationFailed');
	});

	test.each([
		['absent', undefined],
		['zero', '0'],
		['what is used of it', '296Ki'],
	])('of a snapshot whose restoreSize is %s is that of the volume it was cut from', (_, restoreSize) => {
		const made = snapshot({name: 'mine', ofClaim: 'golden', restoreSize: restoreSize ?? '0'});
		const {restoreSize: _dropped, ...bare} = made.status ?? {};
		const mine = restoreSize === undefined ? {...made, status: bare} : made;
		const of = dataVolume({source: {snapshot: {namespace: 'ns', name: 'mine'}}});
		const content = snapshotContent({of: mine, volumeHandle: 'handle-1'});
		expect(cloneOf([of, mine, content])?.minimumBytes).toBe(1n << 30n);
	});
});

describe('the wish for a way', () => {
	/** CDI's table advises the driver's own clone for it; onesnap has no row of it. */
	const hitachi = 'hspc.csi.hitachi.com';
	const ofHitachi = [
		storageClass({provisioner: hitachi, annotations: {[annotations.defaultStorageClass]: 'true'}}),
		volume({...{name: 'golden-volume', uid: 'golden-volume-uid'}, boundTo: source, driver: hitachi}),
		snapshotClass({driver: hitachi}),
		csiDriver(hitachi),
	];
	const profile = (spec: object) => storageProfile({spec: {claimPropertySets: plainSets, ...spec}});

	test('CDI §5.2: is not what CDI advises for the driver: its clones share a snapshot', () => {
		expect(
			resolveProfile({storageClass: storageClass({provisioner: hitachi}), profile: undefined, snapshotClasses: []}),
		).toMatchObject({cloneStrategy: 'csi-clone'});
		expect(cloneOf([cloning(), ...ofHitachi])?.decision).toMatchObject({way: 'snapshot', route: 'restore'});
	});

	test('CDI §5.2: is what an admin says, in CDI before the profile', () => {
		const asked = profile({cloneStrategy: 'csi-clone'});
		expect(cloneOf([cloning(), ...ofHitachi, asked])?.decision).toMatchObject({way: 'csi-clone'});
		const {caches} = new MemoryCaches([cdi({spec: {cloneStrategyOverride: 'copy'}})]);
		const settings = clusterSettings(caches);
		expect(cloneOf([cloning(), ...ofHitachi, asked], {settings})?.decision).toMatchObject({
			way: 'copy',
			route: 'copyClaim',
			declined: [
				{way: 'snapshot', code: 'CloneStrategy', message: 'spec.cloneStrategyOverride of CDI cdi asks for copies'},
			],
		});
	});

	test('CDI §5.2: the snapshot class is named by the profile of the source’s class', () => {
		const {caches} = new MemoryCaches([
			...[snapshotClass({name: 'a'}), snapshotClass({name: 'b'}), snapshotClass({name: 'c', isDefault: true})],
			profile({snapshotClass: 'b'}),
		]);
		expect(snapshotClassFor(caches, source, 'csi.example.com')?.metadata.name).toBe('b');
		const elsewhere = claim({storageClass: 'other'});
		expect(snapshotClassFor(caches, elsewhere, 'csi.example.com')?.metadata.name).toBe('c');
	});
});

describe('what else is seen of a clone', () => {
	test('who writes to its source, and whether its user minds', () => {
		const writer = pod({name: 'vm', mounts: [{claim: 'golden'}]});
		const reader = pod({name: 'reader', mounts: [{claim: 'golden', readOnly: true}]});
		const quiet = cloning({annotations: {[annotations.consistency]: 'quiet'}});
		const seen = cloneOf([quiet, writer, reader]);
		expect(seen?.writers.map(({metadata}) => metadata.name)).toEqual(['vm']);
		expect(seen?.wantsQuiet).toBe(true);
		expect(cloneOf([cloning({annotations: {[annotations.consistency]: 'loud'}})])?.wantsQuiet).toBe(false);
	});

	const of = cloning();
	const restored = claim({
		name: 'disk',
		phase: 'Pending',
		owner: of,
		dataSource: {kind: 'VolumeSnapshot', name: 's'},
		created: '2026-01-01T00:59:00Z',
	});
	const answer = {message: 'rpc error: code = Aborted desc = busy'};

	test('what the storage says of its claim, and for how long it has been made', () => {
		expect(see([of, restored]).making).toMatchObject({
			claim: {metadata: {name: 'disk'}},
			failure: undefined,
			forMs: 60_000,
		});
		const failed = provisioningFailed(restored, answer);
		expect(see([of, restored, failed]).making).toMatchObject({failure: {kind: 'busy', code: 'Aborted'}});
		expect(see([of, restored, failed], {makingSince: () => undefined}).making?.forMs).toBe(0);
		expect(see([of, claim({name: 'disk', owner: of}), failed]).making).toBeUndefined();
	});

	test('what the storage says of a claim that its own is filled from, and how it is filled', () => {
		const dataSourceRef = {apiGroup: cdiGroup, kind: 'VolumeCloneSource', name: 'c'};
		const target = claim({name: 'disk', phase: 'Pending', owner: of, dataSourceRef});
		const made = {
			labels: {[labels.targetUid]: 'disk-uid', [labels.targetNamespace]: 'ns'},
			annotations: {[targetNameAnnotation]: 'disk'},
		};
		const dataSource = {kind: 'VolumeSnapshot', name: 's'};
		const prime = claim({name: copyClaimName('disk-uid'), phase: 'Pending', dataSource, ...made});
		const populated = {populationOf: () => ({stage: 'scheduled'}) as never};
		expect(see([of, target], populated)).toMatchObject({making: undefined, happened: undefined});
		const failed = provisioningFailed(prime, answer);
		expect(see([of, target, prime, failed], populated)).toMatchObject({
			making: {claim: {metadata: {name: prime.metadata.name}}, failure: {code: 'Aborted'}},
			happened: 'snapshot',
		});
		const plain = claim({name: copyClaimName('disk-uid'), phase: 'Pending', ...made});
		expect(see([of, target, plain], populated).happened).toBe('copy');
	});

	test('a node of its source, where it shall bind at once', () => {
		const hosts = ['one', 'two'].map((name) => node({name, labels: {host: name}}));
		const there: PersistentVolume = {...sourceVolume, spec: {...sourceVolume.spec, nodeAffinity: onHost('two')}};
		expect(see([of, ...hosts, csiNode('one'), csiNode('two'), there]).node).toBe('two');
	});
});

function onHost(host: string) {
	return {
		required: {nodeSelectorTerms: [{matchExpressions: [{key: 'host', operator: 'In', values: [host]}]}]},
	};
}
