/**
 * The controller, as a program, on an API server of its own: claims that somebody else made, and DataVolumes whose disk
 * somebody else brings back. What KubeVirt and backup tools do, the test does itself.
 */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {findCondition} from '../../src/api/conditions.ts';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {ObjectMeta, OwnerReference, PersistentVolumeClaim} from '../../src/api/kubernetes.ts';
import {annotations} from '../../src/api/names.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import * as resources from '../../src/kube/resources.ts';
import {type ControlPlane, startControlPlane} from '../cluster/control-plane.ts';
import {until} from '../cluster/until.ts';
import {waitForDataVolume} from '../support/data-volumes.ts';
import {makeNamespace} from './cluster.ts';
import {type ControllerProcess, startController} from './controller-process.ts';
import {installManifests} from './onesnap.ts';
import {bind, deleteClaim, makeBoundClaim, makePendingClaim, makeStorage} from './storage.ts';

let dir: string;
let controlPlane: ControlPlane;
let api: KubeClient;
let controller: ControllerProcess;

beforeAll(async () => {
	dir = await mkdtemp(path.join(tmpdir(), 'onesnap-others-'));
	controlPlane = await startControlPlane({dir});
	await installManifests(controlPlane.kubeconfig);
	api = new KubeClient({connection: connect(controlPlane.kubeconfig), fieldManager: 'test'});
	await makeStorage(api);
	controller = await startController(controlPlane.kubeconfig, 'others');
});

afterAll(async () => {
	await controller.end('SIGKILL');
	api.close();
	await controlPlane.stop();
	await rm(dir, {recursive: true, force: true});
});

const image = {http: {url: 'http://images.example.com/disk.qcow2'}};
const adopts = {[annotations.allowClaimAdoption]: 'true'};
const populated = {[annotations.populatedFor]: 'disk'};

type Given = Omit<ObjectMeta, 'name'> & {readonly storageClassName?: string};

function create(namespace: string, {storageClassName = 'standard', ...metadata}: Given = {}): Promise<DataVolume> {
	return api.create(resources.dataVolumes, {
		apiVersion: 'cdi.kubevirt.io/v1beta1',
		kind: 'DataVolume',
		metadata: {namespace, name: 'disk', ...metadata},
		spec: {source: image, storage: {storageClassName, resources: {requests: {storage: '1Gi'}}}},
	});
}

const boundOf = ({status}: DataVolume) => findCondition(status?.conditions, 'Bound');
const inPhase = (of: DataVolume, phase: string) => waitForDataVolume(api, of, ({status}) => status?.phase === phase);
const claimOf = ({metadata}: DataVolume) => api.get(resources.persistentVolumeClaims, metadata);
const controllerOf = ({metadata}: PersistentVolumeClaim) =>
	metadata.ownerReferences?.find(({controller: controls}) => controls === true);

function ownerOf({apiVersion, kind, metadata}: DataVolume): OwnerReference {
	const {name, uid = ''} = metadata;
	return {apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true};
}

/** Nothing was made to fill the claim. */
async function expectNoPopulation(namespace: string): Promise<void> {
	const claims = await api.list(resources.persistentVolumeClaims, {namespace});
	expect(claims.items.map(({metadata}) => metadata.name)).toEqual(['disk']);
	// Made where the DataVolume was seen before its claim, and not for long.
	await until('no source object', async () => {
		const {items} = await api.list(resources.volumeImportSources, {namespace});
		return items.length === 0 ? true : undefined;
	});
	expect((await api.list(resources.pods, {namespace})).items).toEqual([]);
}

describe.concurrent('a claim that exists already', () => {
	test('KubeVirt §1.5 allowClaimAdoption: is taken over as it is, and what others wrote on it stays', async () => {
		const namespace = await makeNamespace(api);
		const other = {apiVersion: 'v1', kind: 'ConfigMap', name: 'other', uid: 'of-another'};
		const labels = {team: 'a'};
		const before = await makeBoundClaim(api, {
			...{namespace, name: 'disk', labels, annotations: {'example.com/a': 'b'}, ownerReferences: [other]},
		});
		const dataVolume = await create(namespace, {annotations: adopts});
		const done = await inPhase(dataVolume, 'Succeeded');
		expect(done.status).toMatchObject({claimName: 'disk', progress: '100.0%'});
		expect(boundOf(done)).toMatchObject({status: 'True', reason: 'Bound'});
		const claim = await claimOf(dataVolume);
		expect(claim.metadata.uid).toBe(before.metadata.uid);
		expect(claim.metadata.ownerReferences).toEqual([other, ownerOf(dataVolume)]);
		expect(claim.metadata.labels).toEqual(labels);
		expect(claim.metadata.annotations).toEqual({'example.com/a': 'b'});
		expect(claim.spec).toEqual({...before.spec});
		await expectNoPopulation(namespace);
	});

	test('KubeVirt §1.5 allowClaimAdoption: "false", or nothing, leaves it alone, until it is said', async () => {
		const namespace = await makeNamespace(api);
		await makeBoundClaim(api, {namespace, name: 'disk'});
		const dataVolume = await create(namespace, {annotations: {[annotations.allowClaimAdoption]: 'false'}});
		const refused = await waitForDataVolume(api, dataVolume, (now) => boundOf(now)?.reason === 'ErrResourceExists');
		expect(refused.status?.phase).toBe('Pending');
		expect(boundOf(refused)?.message).toContain('let the DataVolume take it over');
		expect(controllerOf(await claimOf(dataVolume))).toBeUndefined();
		await api.mergePatch(resources.dataVolumes, dataVolume.metadata, {metadata: {annotations: adopts}});
		await inPhase(dataVolume, 'Succeeded');
	});

	test('KubeVirt §1.5 allowClaimAdoption: one that is not bound yet is no disk before it is', async () => {
		const namespace = await makeNamespace(api);
		const claim = await makePendingClaim(api, {namespace, name: 'disk'});
		const dataVolume = await create(namespace, {annotations: adopts});
		await until('it is taken over', async () =>
			controllerOf(await claimOf(dataVolume))?.uid === dataVolume.metadata.uid ? true : undefined,
		);
		await waitForDataVolume(api, dataVolume, ({status}) => status?.phase === 'Pending' && status.claimName === 'disk');
		await bind(api, claim);
		await inPhase(dataVolume, 'Succeeded');
		await expectNoPopulation(namespace);
	});

	test('KubeVirt §1.5 allowClaimAdoption: one whose class waits for a consumer does so', async () => {
		const namespace = await makeNamespace(api);
		await makePendingClaim(api, {namespace, name: 'disk', storageClassName: 'late'});
		await inPhase(await create(namespace, {annotations: adopts}), 'PendingPopulation');
		await expectNoPopulation(namespace);
	});

	test('KubeVirt §1.5 allowClaimAdoption: what another controller has is never taken', async () => {
		const namespace = await makeNamespace(api);
		const stranger = {apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'db', uid: 'db', controller: true};
		await makeBoundClaim(api, {namespace, name: 'disk', ownerReferences: [stranger], annotations: populated});
		const dataVolume = await create(namespace, {annotations: adopts});
		const refused = await waitForDataVolume(api, dataVolume, (now) => boundOf(now)?.reason === 'ErrResourceExists');
		expect(boundOf(refused)?.message).toContain('is of StatefulSet db');
		expect((await claimOf(dataVolume)).metadata.ownerReferences).toEqual([stranger]);
	});

	test('KubeVirt §1.5 allowClaimAdoption: that of an earlier DataVolume goes with it, and a new one is made', async () => {
		const namespace = await makeNamespace(api);
		const before = await create(namespace, {annotations: adopts, storageClassName: 'late'});
		await inPhase(before, 'PendingPopulation');
		const old = await claimOf(before);
		await api.delete(resources.dataVolumes, before.metadata);
		// The garbage collector has not been here yet.
		const dataVolume = await create(namespace, {annotations: adopts, storageClassName: 'late'});
		const waiting = await waitForDataVolume(api, dataVolume, (now) => boundOf(now)?.reason === 'ClaimTerminating');
		expect(waiting.status?.phase).toBe('Pending');
		expect(boundOf(waiting)?.message).toContain('an earlier DataVolume of this name');
		await deleteClaim(api, old);
		await inPhase(dataVolume, 'PendingPopulation');
		const claim = await claimOf(dataVolume);
		expect(claim.metadata.uid).not.toBe(old.metadata.uid);
		expect(claim.metadata.ownerReferences).toEqual([ownerOf(dataVolume)]);
	});

	test('KubeVirt §1.5 allowClaimAdoption: what was made for this very DataVolume is filled, not adopted', async () => {
		const namespace = await makeNamespace(api);
		const dataVolume = await create(namespace, {annotations: adopts, storageClassName: 'late'});
		await inPhase(dataVolume, 'PendingPopulation');
		const claim = await claimOf(dataVolume);
		expect(claim.metadata.annotations).toHaveProperty([annotations.createdForDataVolume], dataVolume.metadata.uid);
		expect(claim.spec.dataSourceRef?.kind).toBe('VolumeImportSource');
	});

	test('CDI §13.16: one that a backup brought back with its DataVolume is taken over, whichever comes first', async () => {
		for (const first of ['claim', 'DataVolume'] as const) {
			const namespace = await makeNamespace(api);
			const make = () => create(namespace, {annotations: {[annotations.prePopulated]: 'disk'}});
			const early = first === 'DataVolume' ? await make() : undefined;
			if (early) await inPhase(early, 'Pending');
			await makeBoundClaim(api, {
				...{namespace, name: 'disk'},
				annotations: {...populated, [annotations.createdForDataVolume]: 'of-the-backup'},
			});
			const dataVolume = early ?? (await make());
			await inPhase(dataVolume, 'Succeeded');
			expect(controllerOf(await claimOf(dataVolume))).toEqual(ownerOf(dataVolume));
			await expectNoPopulation(namespace);
		}
	});
});

/** An import that is complete, made as KubeVirt makes it; what fills it, the test does itself. */
async function makeImported(namespace: string, metadata: Given): Promise<DataVolume> {
	const dataVolume = await create(namespace, {storageClassName: 'late', ...metadata});
	await inPhase(dataVolume, 'PendingPopulation');
	await bind(api, await claimOf(dataVolume));
	return inPhase(dataVolume, 'Succeeded');
}

/** What KubeVirt's restore controller makes from a VolumeSnapshot: CDI's annotations but the content type are gone. */
const makeRestoredClaim = (namespace: string, storageClassName = 'standard') =>
	makePendingClaim(api, {
		...{namespace, name: 'disk', storageClassName},
		annotations: {...populated, [annotations.contentType]: 'kubevirt', 'restore.kubevirt.io/name': 'restore'},
	});

describe.concurrent('a disk that somebody else brings back', () => {
	test('KubeVirt §1.5 prePopulated: no claim is made, and the phase is Pending', async () => {
		const namespace = await makeNamespace(api);
		const dataVolume = await create(namespace, {annotations: {[annotations.prePopulated]: ''}});
		const waiting = await inPhase(dataVolume, 'Pending');
		expect(boundOf(waiting)).toMatchObject({status: 'False', reason: 'NotFound'});
		expect(waiting.status?.claimName).toBeUndefined();
		// A clone of the same namespace is looked at later, so this one was.
		const marker = await create(await makeNamespace(api));
		await inPhase(marker, 'ImportScheduled');
		expect((await api.list(resources.persistentVolumeClaims, {namespace})).items).toEqual([]);
		expect((await api.list(resources.volumeImportSources, {namespace})).items).toEqual([]);
	});

	test('KubeVirt §1.5 populatedFor: the claim is taken over, and the DataVolume says prePopulated once it is bound', async () => {
		const namespace = await makeNamespace(api);
		const claim = await makeRestoredClaim(namespace);
		const dataVolume = await create(namespace, {labels: {team: 'a'}});
		await until('it is taken over', async () => controllerOf(await claimOf(dataVolume)));
		expect((await inPhase(dataVolume, 'Pending')).metadata.annotations).toBeUndefined();
		await bind(api, claim);
		await inPhase(dataVolume, 'Succeeded');
		await waitForDataVolume(api, dataVolume, (now) => now.metadata.annotations?.[annotations.prePopulated] === 'disk');
		await expectNoPopulation(namespace);
	});

	test('CDI §13.9: VM restore to new volumes: an unowned DataVolume takes the claim over, its source is not looked at', async () => {
		const namespace = await makeNamespace(api);
		const claim = await makeRestoredClaim(namespace, 'late');
		const dataVolume = await api.create(resources.dataVolumes, {
			apiVersion: 'cdi.kubevirt.io/v1beta1',
			kind: 'DataVolume',
			metadata: {
				...{namespace, name: 'disk'},
				annotations: {...adopts, [annotations.prePopulated]: 'true', 'restore.kubevirt.io/name': 'restore'},
			},
			// The source is gone, and its namespace too.
			spec: {
				source: {pvc: {namespace: 'gone', name: 'golden'}},
				storage: {resources: {requests: {storage: '1Gi'}}},
			},
		});
		await inPhase(dataVolume, 'PendingPopulation');
		expect(controllerOf(await claimOf(dataVolume))?.uid).toBe(dataVolume.metadata.uid);
		await bind(api, claim);
		const done = await inPhase(dataVolume, 'Succeeded');
		expect(done.metadata.ownerReferences).toBeUndefined();
		await expectNoPopulation(namespace);
	});

	test('CDI §13.9: VM restore in place: nothing is made while the claim is gone, and the new one is the disk', async () => {
		const namespace = await makeNamespace(api);
		// Also where nobody ever annotated it, JSON patches must find something to add to.
		const dataVolume = await makeImported(namespace, {});
		const annotated = await waitForDataVolume(api, dataVolume, ({metadata}) => metadata.annotations !== undefined);
		expect(annotated.metadata.annotations).toEqual({[annotations.annotated]: 'true'});
		const escaped = annotations.prePopulated.replace('/', '~1');
		await api.jsonPatch(resources.dataVolumes, dataVolume.metadata, [
			{op: 'add', path: '/metadata/annotations/restore.kubevirt.io~1name', value: 'restore'},
			{op: 'add', path: `/metadata/annotations/${escaped}`, value: 'disk'},
		]);
		const before = await claimOf(dataVolume);
		await api.delete(resources.persistentVolumeClaims, before.metadata);
		await deleteClaim(api, before);
		const without = await inPhase(dataVolume, 'Pending');
		expect(boundOf(without)).toMatchObject({status: 'False', reason: 'NotFound'});
		const claim = await makeRestoredClaim(namespace);
		await until('it is taken over', async () => controllerOf(await claimOf(dataVolume)));
		await bind(api, claim);
		await inPhase(dataVolume, 'Succeeded');
		const after = await claimOf(dataVolume);
		expect(after.metadata.uid).toBe(claim.metadata.uid);
		expect(after.metadata.annotations).toMatchObject({...populated, 'restore.kubevirt.io/name': 'restore'});
		await expectNoPopulation(namespace);
	});

	test('CDI §2.2 checkStaticVolume: a volume that was made beforehand is bound, and not filled', async () => {
		const namespace = await makeNamespace(api);
		const accessModes = ['ReadWriteOnce'] as const;
		const capacity = {storage: '2Gi'};
		const {metadata} = await api.create(resources.persistentVolumes, {
			apiVersion: 'v1',
			kind: 'PersistentVolume',
			metadata: {name: `static-${namespace}`},
			spec: {
				...{accessModes, capacity, storageClassName: 'late'},
				claimRef: {apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name: 'disk'},
				csi: {driver: 'csi.example.com', volumeHandle: `static-${namespace}`},
			},
		});
		await api.mergePatchStatus(resources.persistentVolumes, metadata, {status: {phase: 'Available'}});
		const said = {[annotations.checkStaticVolume]: ''};
		const dataVolume = await create(namespace, {annotations: said, storageClassName: 'late'});
		const claim = await until('the claim', () => api.find(resources.persistentVolumeClaims, dataVolume.metadata));
		expect(claim.spec.volumeName).toBe(metadata.name);
		expect(claim.spec.dataSourceRef).toBeUndefined();
		// What the binder does.
		await api.mergePatchStatus(resources.persistentVolumeClaims, claim.metadata, {status: {phase: 'Bound', capacity}});
		await inPhase(dataVolume, 'Succeeded');
		await waitForDataVolume(api, dataVolume, (now) => now.metadata.annotations?.[annotations.prePopulated] === 'disk');
		await expectNoPopulation(namespace);
	});

	test('KubeVirt §3 VM pool: owner references that somebody takes away are not put back, and the disk stays the disk', async () => {
		const namespace = await makeNamespace(api);
		const vm = {apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', name: 'vm', uid: 'vm', controller: true};
		const dataVolume = await makeImported(namespace, {annotations: adopts, ownerReferences: [vm]});
		for (const resource of [resources.dataVolumes, resources.persistentVolumeClaims]) {
			await api.mergePatch<DataVolume | PersistentVolumeClaim>(resource, dataVolume.metadata, {
				metadata: {ownerReferences: null, labels: {detached: 'yes'}},
			});
		}
		// What is done about the next change comes after what is done about this one.
		await api.mergePatch(resources.dataVolumes, dataVolume.metadata, {metadata: {annotations: {'example.com/a': 'b'}}});
		await inPhase(await create(await makeNamespace(api)), 'ImportScheduled');
		const detached = await api.get(resources.dataVolumes, dataVolume.metadata);
		expect(detached.status?.phase).toBe('Succeeded');
		for (const {metadata} of [detached, await claimOf(dataVolume)]) {
			expect(metadata.ownerReferences).toBeUndefined();
			expect(metadata.labels).toMatchObject({detached: 'yes'});
		}
	});
});
