import {describe, expect, test} from 'vitest';
import {dataVolume} from '../../test/support/builders.ts';
import type {PersistentVolumeClaimSpec} from '../api/kubernetes.ts';
import {annotations, labels} from '../api/names.ts';
import {makeClaim, makeCloneSource, makeImportSource, makePopulatedClaim, makeRestoredClaim} from './objects.ts';

const spec: PersistentVolumeClaimSpec = {
	accessModes: ['ReadWriteOnce'],
	volumeMode: 'Filesystem',
	storageClassName: 'fast',
	resources: {requests: {storage: '1Gi'}, limits: {storage: '5Gi'}},
};
const of = dataVolume({
	labels: {app: 'mine'},
	annotations: {
		'example.com/a': 'b',
		[annotations.sharedSnapshot]: 'shared-1',
		[annotations.reuseRule]: 'GroupCommit',
		'kubectl.kubernetes.io/last-applied-configuration': '{}',
	},
	spec: {priorityClassName: 'urgent', preallocation: true},
});
const owner = {kind: 'DataVolume', uid: 'disk-uid', controller: true, blockOwnerDeletion: true};
const elsewhere = {kind: 'PersistentVolumeClaim', namespace: 'images', name: 'golden'} as const;

describe('makeClaim', () => {
	const made = makeClaim(of, {spec});

	test('is named as the DataVolume and goes with it', () => {
		expect(made.metadata).toMatchObject({name: 'disk', namespace: 'ns', ownerReferences: [owner]});
	});

	test("has the user's labels and annotations, the user's winning, but none that is about the DataVolume alone", () => {
		expect(made.metadata.labels?.['app']).toBe('mine');
		expect(made.metadata.annotations).toEqual({
			'example.com/a': 'b',
			[annotations.createdForDataVolume]: 'disk-uid',
			[annotations.contentType]: 'kubevirt',
			'cdi.kubevirt.io/storage.pod.priorityclassname': 'urgent',
		});
	});

	test('has labels of what is cloned, unless the DataVolume says them itself', () => {
		const labelled = makeClaim(of, {spec, labels: {app: 'golden', 'example.com/of': 'golden'}});
		expect(labelled.metadata.labels).toMatchObject({app: 'mine', 'example.com/of': 'golden'});
	});

	test('does not take over where to clone from: what the user may not say, the controller must not say for him', () => {
		const sly = {[annotations.dataSourceNamespace]: 'golden'};
		const claimed = makeClaim({...of, metadata: {...of.metadata, annotations: sly}}, {spec});
		expect(claimed.metadata.annotations).not.toHaveProperty([annotations.dataSourceNamespace]);
	});

	test('tells the alert of a full file system that it is meant to be, on a file system only', () => {
		expect(made.metadata.labels).toHaveProperty([labels.fillingUpAlert], 'disabled');
		const block = makeClaim(of, {spec: {...spec, volumeMode: 'Block'}});
		expect(block.metadata.labels).not.toHaveProperty([labels.fillingUpAlert]);
	});

	test('is not made for what the server has not seen', () => {
		const {uid: _, ...metadata} = of.metadata;
		expect(() => makeClaim({...of, metadata}, {spec})).toThrow('has no UID');
	});
});

describe('source objects', () => {
	test('an import source is beside the DataVolume and goes with it', () => {
		const made = makeImportSource(of, {blank: {}});
		expect(made.metadata).toMatchObject({
			name: 'volume-import-source-disk-uid',
			namespace: 'ns',
			ownerReferences: [owner],
		});
		expect(made.spec).toEqual({source: {blank: {}}, preallocation: true});
	});

	test('a clone source is beside what is cloned, its DataVolume named where no owner can be', () => {
		const made = makeCloneSource(of, elsewhere);
		expect(made.metadata).toMatchObject({
			name: 'volume-clone-source-disk-uid',
			namespace: 'images',
			annotations: {[annotations.ownedByDataVolume]: 'ns/disk'},
		});
		expect(made.metadata.ownerReferences).toBeUndefined();
		expect(makeCloneSource(of, {...elsewhere, namespace: 'ns'}).metadata.ownerReferences).toMatchObject([owner]);
	});

	test('of a snapshot names its API group', () => {
		const made = makeCloneSource(of, {...elsewhere, kind: 'VolumeSnapshot'});
		expect(made.spec).toEqual({
			source: {apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: 'golden'},
			preallocation: true,
			priorityClassName: 'urgent',
		});
	});
});

describe('claims by way', () => {
	test('an import names its source object', () => {
		const made = makePopulatedClaim(of, spec, {kind: 'import'});
		expect(made.spec.dataSourceRef).toEqual({
			apiGroup: 'cdi.kubevirt.io',
			kind: 'VolumeImportSource',
			name: 'volume-import-source-disk-uid',
		});
		expect(made.metadata.annotations).not.toHaveProperty([annotations.cloneType]);
	});

	test('a clone of its own namespace needs no other one', () => {
		const decision = {way: 'snapshot', route: 'restore', declined: []} as const;
		const made = makePopulatedClaim(of, spec, {kind: 'clone', origin: {...elsewhere, namespace: 'ns'}, decision});
		expect(made.metadata.annotations).not.toHaveProperty([annotations.dataSourceNamespace]);
		expect(made.metadata.annotations).not.toHaveProperty([annotations.cloneFallbackReason]);
		expect(made.metadata.annotations).toHaveProperty([annotations.cloneType], 'snapshot');
	});

	test('a restore asks for its own size and keeps the limits', () => {
		const made = makeRestoredClaim(of, spec, {kind: 'VolumeSnapshot', name: 'snapshot', request: '2Gi'});
		expect(made.spec.resources).toEqual({requests: {storage: '2Gi'}, limits: {storage: '5Gi'}});
		expect(made.spec.dataSource).toMatchObject({kind: 'VolumeSnapshot', name: 'snapshot'});
		expect(made.metadata.annotations).not.toHaveProperty([annotations.growTo]);
	});

	test('one that begins smaller says what it grows to, whatever its DataVolume says', () => {
		const sly = dataVolume({annotations: {[annotations.growTo]: '1Ti'}});
		const from = {kind: 'VolumeSnapshot', name: 'snapshot'} as const;
		const small = makeRestoredClaim(sly, spec, {...from, request: '512Mi'});
		expect(small.metadata.annotations).toHaveProperty([annotations.growTo], '1Gi');
		const whole = makeRestoredClaim(sly, spec, {...from, request: '1Gi'});
		expect(whole.metadata.annotations).not.toHaveProperty([annotations.growTo]);
	});

	test('a clone by the driver names the claim, and says why it is no restore', () => {
		const declined = [{way: 'snapshot', code: 'NoVolumeSnapshotClass', message: 'create one'}] as const;
		const made = makeRestoredClaim(of, spec, {kind: 'PersistentVolumeClaim', name: 'golden', request: '2Gi', declined});
		expect(made.spec.dataSource).toEqual({kind: 'PersistentVolumeClaim', name: 'golden'});
		expect(made.metadata.annotations).toMatchObject({
			[annotations.cloneType]: 'csi-clone',
			[annotations.cloneFallbackReason]: 'NoVolumeSnapshotClass: create one',
		});
	});

	test('one whose way is open does not name it, and does not inherit it from what was tried', () => {
		const tried = dataVolume({annotations: {[annotations.cloneType]: 'copy', [annotations.gaveUp]: '{}'}});
		const decision = {way: 'snapshot', route: 'restoreOrCopy', declined: []} as const;
		const made = makePopulatedClaim(tried, spec, {kind: 'clone', origin: elsewhere, decision});
		expect(made.metadata.annotations).not.toHaveProperty([annotations.cloneType]);
		expect(made.metadata.annotations).not.toHaveProperty([annotations.gaveUp]);
	});

	test('a clone source says what a restore must ask for', () => {
		const made = makeCloneSource(of, {...elsewhere, minimumSize: '10Gi'});
		expect(made.metadata.annotations).toHaveProperty([annotations.minimumSize], '10Gi');
		expect(made.spec.source).not.toHaveProperty('minimumSize');
	});
});
