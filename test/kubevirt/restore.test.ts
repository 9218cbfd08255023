import {describe, expect, test} from 'vitest';
import {claim, dataVolume, instance, template, vm} from './builders.ts';
import {
	type Backup,
	decideRestore,
	makeRestoredClaim,
	type ObservedRestore,
	snapshotClassFor,
	snapshotProblem,
} from './restore.ts';

const backup: Backup = {
	volume: 'vm-root',
	claim: claim({
		annotations: {
			note: 'kept',
			'cdi.kubevirt.io/storage.contentType': 'kubevirt',
			'cdi.kubevirt.io/createdForDataVolume': 'vm-root-uid',
			'pv.kubernetes.io/bind-completed': 'yes',
		},
		spec: {
			accessModes: ['ReadWriteOnce'],
			storageClassName: 'fast',
			volumeName: 'volume',
			resources: {requests: {storage: '1Gi'}},
			dataSourceRef: {apiGroup: 'cdi.kubevirt.io', kind: 'VolumeImportSource', name: 'import'},
		},
	}),
	template: template(),
	snapshotName: 'cut',
	restoreSize: '2Gi',
};
const newVolumes = {name: 'back', uid: 'r1', inPlace: false};
const inPlace = {name: 'back', uid: 'r1', inPlace: true};
const restored = 'restore-r1-vm-root';

describe('a snapshot', () => {
	test.each([
		['no claim', undefined, undefined, 'not Bound'],
		['a claim that is not bound', claim({phase: 'Pending'}), dataVolume(), 'not Bound'],
		['a disk in the making', claim(), dataVolume({phase: 'CloneInProgress'}), 'CloneInProgress'],
		['a disk that waits for a consumer', claim(), dataVolume({phase: 'PendingPopulation'}), 'PendingPopulation'],
	])('is not made of %s', (_, given, owner, words) => {
		expect(snapshotProblem(given, owner)).toContain(words);
	});

	test('is made of a bound claim, whose DataVolume, if it has one, Succeeded', () => {
		expect(snapshotProblem(claim(), dataVolume())).toBeUndefined();
		expect(snapshotProblem(claim({dataVolume: undefined}), undefined)).toBeUndefined();
	});

	const storage = (provisioner: string) =>
		({apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: {name: 'fast'}, provisioner}) as const;
	const cut = (name: string, driver = 'csi', isDefault = false) =>
		({
			apiVersion: 'snapshot.storage.k8s.io/v1',
			kind: 'VolumeSnapshotClass',
			metadata: {
				name,
				...(isDefault && {annotations: {'snapshot.storage.kubernetes.io/is-default-class': 'true'}}),
			},
			driver,
			deletionPolicy: 'Delete',
		}) as const;
	const profile = (snapshotClass?: string) =>
		({
			apiVersion: 'cdi.kubevirt.io/v1beta1',
			kind: 'StorageProfile',
			metadata: {name: 'fast'},
			status: {...(snapshotClass !== undefined && {snapshotClass})},
		}) as const;

	test("has the class that the profile names, and none where that isn't there", () => {
		expect(snapshotClassFor(storage('csi'), profile('b'), [cut('a'), cut('b')])).toEqual({name: 'b'});
		expect(snapshotClassFor(storage('csi'), profile('c'), [cut('a')])).toHaveProperty('error');
	});

	test("has the driver's only or default class where the profile names none", () => {
		expect(snapshotClassFor(storage('csi'), profile(), [cut('a'), cut('b', 'other')])).toEqual({name: 'a'});
		expect(snapshotClassFor(storage('csi'), undefined, [cut('a'), cut('b', 'csi', true)])).toEqual({name: 'b'});
		expect(snapshotClassFor(storage('csi'), profile(), [cut('a'), cut('b')])).toHaveProperty('error');
	});
});

describe('the claim of a restore', () => {
	test('is of the snapshot, is populated, is nobody’s, and says nothing else of CDI but its content type', () => {
		expect(makeRestoredClaim(newVolumes, backup)).toEqual({
			apiVersion: 'v1',
			kind: 'PersistentVolumeClaim',
			metadata: {
				name: restored,
				namespace: 'ns',
				annotations: {
					note: 'kept',
					'cdi.kubevirt.io/storage.contentType': 'kubevirt',
					'cdi.kubevirt.io/storage.populatedFor': restored,
					'restore.kubevirt.io/name': 'back',
				},
			},
			spec: {
				accessModes: ['ReadWriteOnce'],
				storageClassName: 'fast',
				resources: {requests: {storage: '2Gi'}},
				dataSource: {apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: 'cut'},
			},
		});
	});
});

type Given = Partial<ObservedRestore['volumes'][number]> & Partial<Omit<ObservedRestore, 'volumes'>>;

function decide({restore = newVolumes, vm: machine = vm(), instance, ...volume}: Given = {}) {
	const volumes = [{backup, claim: undefined, dataVolume: undefined, oldDataVolume: undefined, ...volume}];
	return decideRestore({restore, vm: machine, instance, volumes});
}

describe('a restore to new volumes', () => {
	const made = claim({name: restored, dataVolume: undefined});
	const renamed = vm({templates: [template({name: restored})]});

	test('goes its way, step by step', () => {
		expect(decide({instance: instance()})).toMatchObject({do: 'wait'});
		expect(decide()).toMatchObject({do: 'createClaim'});
		expect(decide({claim: made})).toMatchObject({
			do: 'createDataVolume',
			dataVolume: {
				metadata: {
					name: restored,
					annotations: {
						'cdi.kubevirt.io/storage.prePopulated': 'true',
						'cdi.kubevirt.io/allowClaimAdoption': 'true',
						'restore.kubevirt.io/name': 'back',
					},
				},
			},
		});
		const running = {claim: made, dataVolume: dataVolume({name: restored, phase: 'Pending'})};
		expect(decide(running)).toMatchObject({do: 'wait'});
		const done = {claim: made, dataVolume: dataVolume({name: restored})};
		const old = dataVolume();
		expect(decide({...done, oldDataVolume: old})).toMatchObject({
			do: 'patchVm',
			spec: {
				dataVolumeTemplates: [{metadata: {name: restored}}],
				template: {spec: {volumes: [{name: 'vm-root', dataVolume: {name: restored}}]}},
			},
		});
		expect(decide({...done, vm: renamed, oldDataVolume: old})).toMatchObject({do: 'deleteDataVolume'});
		expect(decide({...done, vm: renamed})).toEqual({do: 'done'});
	});

	test('gives the DataVolume no owner', () => {
		const step = decide({claim: made});
		expect(step.do === 'createDataVolume' && step.dataVolume.metadata.ownerReferences).toBeUndefined();
	});
});

describe('a restore in place', () => {
	const annotated = dataVolume({
		annotations: {'restore.kubevirt.io/name': 'back', 'cdi.kubevirt.io/storage.prePopulated': 'vm-root'},
	});
	const next = (changes: Given) => decide({restore: inPlace, ...changes});

	test('goes its way, step by step', () => {
		expect(next({claim: claim(), dataVolume: dataVolume()})).toMatchObject({
			do: 'annotateDataVolume',
			patch: [
				{op: 'add', path: '/metadata/annotations/restore.kubevirt.io~1name', value: 'back'},
				{op: 'add', path: '/metadata/annotations/cdi.kubevirt.io~1storage.prePopulated', value: 'vm-root'},
			],
		});
		expect(next({claim: claim(), dataVolume: annotated})).toMatchObject({do: 'deleteClaim'});
		expect(next({claim: claim({deleted: true}), dataVolume: annotated})).toMatchObject({do: 'wait'});
		expect(next({dataVolume: annotated})).toMatchObject({
			do: 'createClaim',
			claim: {metadata: {name: 'vm-root', annotations: {'cdi.kubevirt.io/storage.populatedFor': 'vm-root'}}},
		});
		const anew = claim({dataVolume: undefined, annotations: {'restore.kubevirt.io/name': 'back'}});
		expect(next({claim: anew, dataVolume: annotated})).toEqual({do: 'done'});
	});
});
