import {describe, expect, test} from 'vitest';
import {
	claim,
	cloneSource,
	csiDriver,
	importSource,
	madeFor,
	node,
	pod,
	snapshot,
	snapshotContent,
	storageClass,
	volume,
} from '../../test/support/builders.ts';
import {MemoryCaches} from '../../test/support/memory-caches.ts';
import type {KubeObject, PersistentVolumeClaim} from '../api/kubernetes.ts';
import {annotations, cdiGroup} from '../api/names.ts';
import * as resources from '../kube/resources.ts';
import {podsByClaim} from '../smartclone/writers.ts';
import {fillFrom} from './in-place.ts';
import {claimsBySource, claimsByTarget, observe, podsByTarget, sourceRefOf} from './observe.ts';

function cachesOf(...objects: KubeObject[]) {
	const {caches} = new MemoryCaches(objects);
	caches.addIndex(resources.persistentVolumeClaims, claimsByTarget);
	caches.addIndex(resources.pods, podsByTarget);
	caches.addIndex(resources.pods, podsByClaim);
	return caches;
}

const ref = (kind: string, name: string) => ({dataSourceRef: {apiGroup: cdiGroup, kind, name}});
const target = claim({name: 'target', phase: 'Pending', ...ref('VolumeImportSource', 'import')});

describe('sourceRefOf', () => {
	const elsewhere = {annotations: {[annotations.dataSourceNamespace]: 'images'}};
	test.each<[string, PersistentVolumeClaim, string | undefined]>([
		['an import source is beside the claim', target, 'ns'],
		['whatever an annotation says', claim({...ref('VolumeImportSource', 'i'), ...elsewhere}), 'ns'],
		['a clone source is beside the claim', claim(ref('VolumeCloneSource', 'c')), 'ns'],
		['or where the annotation says', claim({...ref('VolumeCloneSource', 'c'), ...elsewhere}), 'images'],
		['another kind is not ours', claim(ref('VolumeUploadSource', 'u')), undefined],
		[
			'another group is not ours',
			claim({dataSourceRef: {apiGroup: 'x', kind: 'VolumeImportSource', name: 'i'}}),
			undefined,
		],
		[
			'a namespace in the reference is not ours',
			claim({dataSourceRef: {...ref('VolumeCloneSource', 'c').dataSourceRef, namespace: 'x'}}),
			undefined,
		],
		['nothing is nothing', claim(), undefined],
	])('%s', (_, of, namespace) => {
		expect(sourceRefOf(of)?.namespace).toBe(namespace);
	});
});

describe('observe', () => {
	const prime = claim({name: 'prime-target-uid', ...madeFor(target)});
	const stray = claim({name: 'prime-old-uid', ...madeFor(claim({name: 'target', uid: 'old-uid'}))});

	test('an import: what was made for this very claim, and what was made for its predecessor', () => {
		const worker = pod({name: 'importer-prime-target-uid', ...madeFor(target)});
		const observed = observe(
			'ns/target',
			cachesOf(target, prime, stray, worker, importSource(), storageClass(), csiDriver()),
			0,
		);
		expect(observed).toMatchObject({order: {kind: 'import'}, targetIsCsi: true});
		expect(observed.prime?.metadata.name).toBe('prime-target-uid');
		expect(observed.worker?.metadata.name).toBe('importer-prime-target-uid');
		expect(observed.orphans.claims.map(({metadata}) => metadata.name)).toEqual(['prime-old-uid']);
	});

	test('labels alone make nothing ours: what somebody else put under our names elsewhere is not believed', () => {
		const elsewhere = {...madeFor(target), namespace: 'evil'};
		const forged = [
			claim({name: 'prime-target-uid', ...elsewhere}),
			pod({name: 'importer-prime-target-uid', ...elsewhere}),
			pod({name: 'another', ...madeFor(target)}),
		];
		const observed = observe('ns/target', cachesOf(target, ...forged, importSource()), 0);
		expect(observed.prime).toBeUndefined();
		expect(observed.worker).toBeUndefined();
	});

	describe('of a claim that is filled in place', () => {
		const where = (namespace: string) => ({[annotations.dataSourceNamespace]: namespace});
		const marked = (namespace: string) =>
			claim({
				name: 'target',
				annotations: {...fillFrom({kind: 'VolumeCloneSource', name: 'clone'}), ...where(namespace)},
			});

		test('the worker is beside it, the sender beside its source', () => {
			const made = madeFor(marked('images'));
			const pods = [
				pod({name: 'target-uid-source-pod', ...made}),
				pod({name: 'target-uid-send-pod', ...made, namespace: 'images'}),
			];
			const see = (meantFor: string) => {
				const meant = {annotations: {[annotations.ownedByDataVolume]: meantFor}};
				const sources = [cloneSource(), cloneSource({namespace: 'images', uid: 'there', ...meant})];
				return observe('ns/target', cachesOf(marked('images'), ...pods, ...sources), 0);
			};
			// Of somebody else: the claim's user can write there what it is filled from.
			expect(see('ns/another').order).toEqual({kind: 'cloneMissing'});
			expect(see('ns/target')).toMatchObject({
				inPlace: true,
				apart: true,
				order: {kind: 'cloneClaim', source: {metadata: {uid: 'there'}}},
				sourceAtTarget: {metadata: {uid: 'clone-uid'}},
				worker: {metadata: {namespace: 'ns'}},
				sender: {metadata: {namespace: 'images'}},
			});
		});

		test('one Pod mounts both where nothing is in the way', () => {
			expect(observe('ns/target', cachesOf(marked('ns'), cloneSource()), 0)).toMatchObject({
				inPlace: true,
				apart: false,
			});
		});

		test('a clone source on either side wakes it', () => {
			expect(claimsBySource.keys(marked('images'))).toEqual([
				'VolumeCloneSource/images/clone',
				'VolumeCloneSource/ns/clone',
			]);
			expect(claimsBySource.keys(marked('ns'))).toEqual(['VolumeCloneSource/ns/clone']);
		});
	});

	test.each<[string, KubeObject[]]>([
		['is gone', []],
		['is being deleted', [claim({...target.metadata, name: 'target', deleting: true})]],
	])('everything is an orphan where the claim %s', (_, there) => {
		const observed = observe('ns/target', cachesOf(prime, ...there), 0);
		expect(observed.orphans.claims).toHaveLength(1);
		expect(observed.prime).toBeUndefined();
	});

	test('a clone of a local snapshot to another node is apart from its source', () => {
		const wanted = (selectedNode: string) =>
			claim({
				name: 'target',
				phase: 'Pending',
				...ref('VolumeCloneSource', 'clone'),
				annotations: {[annotations.selectedNode]: selectedNode},
			});
		const golden = claim({name: 'golden', volumeName: 'golden-volume'});
		const goldenVolume = volume({
			name: 'golden-volume',
			handle: 'golden-handle',
			boundTo: golden,
			nodeAffinity: {
				required: {nodeSelectorTerms: [{matchExpressions: [{key: 'host', operator: 'In', values: ['one']}]}]},
			},
		});
		const of = snapshot({ofClaim: 'golden'});
		const world = (node_: string, local: string) =>
			observe(
				'ns/target',
				cachesOf(
					wanted(node_),
					cloneSource({of: {kind: 'VolumeSnapshot', name: 'snapshot'}}),
					of,
					snapshotContent({of, volumeHandle: 'golden-handle'}),
					golden,
					goldenVolume,
					storageClass({annotations: {[annotations.nodeLocal]: local}}),
					csiDriver(),
					node({name: 'one', labels: {host: 'one'}}),
					node({name: 'two', labels: {host: 'two'}}),
				),
				0,
			);
		expect(world('two', 'true')).toMatchObject({apart: true, readFrom: {metadata: {name: 'golden-volume'}}});
		expect(world('one', 'true')).toMatchObject({apart: false});
		// Storage that every node reaches restores anywhere, whatever the volume of the source says.
		expect(world('two', 'false')).toMatchObject({apart: false, readFrom: undefined});
	});

	test('a clone of a snapshot believes a content only that names it back', () => {
		const wanted = claim({name: 'target', phase: 'Pending', ...ref('VolumeCloneSource', 'clone')});
		const source = cloneSource({of: {kind: 'VolumeSnapshot', name: 'snapshot'}});
		const of = snapshot();
		const order = (uid: string) =>
			observe(
				'ns/target',
				cachesOf(wanted, source, of, snapshotContent({of: {...of, metadata: {...of.metadata, uid}}})),
				0,
			).order;
		expect(order('snapshot-uid')).toMatchObject({kind: 'cloneSnapshot', content: {kind: 'VolumeSnapshotContent'}});
		expect(order('forged')).toMatchObject({kind: 'cloneSnapshot', content: undefined});
	});
});
