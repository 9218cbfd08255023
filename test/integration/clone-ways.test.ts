/**
 * The controller, as a program, on an API server of its own: which way clones go, and what they do when the storage fails
 * one. What the storage would write, the test writes itself.
 */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {findCondition} from '../../src/api/conditions.ts';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {PersistentVolumeClaim} from '../../src/api/kubernetes.ts';
import {annotations, cloneSourceName} from '../../src/api/names.ts';
import {gaveUpOf} from '../../src/datavolume/gave-up.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import * as resources from '../../src/kube/resources.ts';
import {type ControlPlane, startControlPlane} from '../cluster/control-plane.ts';
import {until} from '../cluster/until.ts';
import {waitForDataVolume} from '../support/data-volumes.ts';
import {allowPods, makeNamespace} from './cluster.ts';
import {type ControllerProcess, startController} from './controller-process.ts';
import {installManifests} from './onesnap.ts';
import {
	cut,
	makeBoundClaim,
	makeSnapshotClass,
	makeStorage,
	nextSnapshot,
	refuse,
	refuseCut,
	untilAbandoned,
} from './storage.ts';

let dir: string;
let controlPlane: ControlPlane;
let api: KubeClient;
let controller: ControllerProcess;

beforeAll(async () => {
	dir = await mkdtemp(path.join(tmpdir(), 'onesnap-ways-'));
	controlPlane = await startControlPlane({dir});
	await installManifests(controlPlane.kubeconfig);
	api = new KubeClient({connection: connect(controlPlane.kubeconfig), fieldManager: 'test'});
	await makeStorage(api);
	await makeSnapshotClass(api);
	controller = await startController(controlPlane.kubeconfig, 'ways');
});

afterAll(async () => {
	await controller.end('SIGKILL');
	api.close();
	await controlPlane.stop();
	await rm(dir, {recursive: true, force: true});
});

interface Wanted {
	readonly annotations?: Readonly<Record<string, string>>;
	readonly volumeMode?: 'Block' | 'Filesystem';
}

async function makeClone(wanted: Wanted = {}) {
	const namespace = await makeNamespace(api);
	const golden = await makeBoundClaim(api, {namespace, name: 'golden'});
	return {golden, clone: await cloneOf(golden, wanted)};
}

function cloneOf(golden: PersistentVolumeClaim, {annotations: given = {}, volumeMode}: Wanted = {}, name = 'disk') {
	const {namespace = ''} = golden.metadata;
	return api.create(resources.dataVolumes, {
		apiVersion: 'cdi.kubevirt.io/v1beta1',
		kind: 'DataVolume',
		metadata: {namespace, name, annotations: given},
		spec: {
			source: {pvc: {namespace, name: golden.metadata.name}},
			storage: {
				storageClassName: 'standard',
				resources: {requests: {storage: '1Gi'}},
				...(volumeMode && {volumeMode}),
			},
		},
	});
}

/** The clone's claim, once it is made in this way and is not the one before. */
function claimMadeBy({metadata}: DataVolume, way: string, before?: PersistentVolumeClaim) {
	return until(`a claim by ${way}`, async () => {
		const claim = await api.find(resources.persistentVolumeClaims, metadata);
		const isIt = claim?.metadata.annotations?.[annotations.cloneType] === way;
		return isIt && claim.metadata.uid !== before?.metadata.uid ? claim : undefined;
	});
}

async function eventsOf({metadata: {namespace, uid}}: DataVolume, reason: string): Promise<string[]> {
	const fieldSelector = `involvedObject.uid=${uid},reason=${reason}`;
	const {items} = await api.list(resources.events, {namespace: namespace ?? '', fieldSelector});
	return items.map(({message = ''}) => message);
}

const untilTold = (clone: DataVolume, reason: string, count = 1) =>
	until(`${count} events ${reason}`, async () => {
		const messages = await eventsOf(clone, reason);
		return messages.length >= count ? messages : undefined;
	});

const outOfRange = 'rpc error: code = OutOfRange desc = not of that size';
const unimplemented =
	'CSI driver does not support clone operations: controller CLONE_VOLUME capability is not reported';

describe.concurrent('a clone that the storage fails', () => {
	test('goes from snapshot to the driver to a copy, and says what was tried', async () => {
		const {golden, clone} = await makeClone();
		await cut(api, await nextSnapshot(api, golden), golden);
		const restored = await claimMadeBy(clone, 'snapshot');
		await refuse(api, restored, outOfRange);
		await untilAbandoned(api, restored);
		const cloned = await claimMadeBy(clone, 'csi-clone', restored);
		expect(cloned.spec.dataSource).toMatchObject({kind: 'PersistentVolumeClaim', name: 'golden'});
		await refuse(api, cloned, unimplemented);
		await untilAbandoned(api, cloned);
		const copied = await claimMadeBy(clone, 'copy', cloned);
		expect(copied.spec.dataSourceRef).toMatchObject({kind: 'VolumeCloneSource'});
		const source = await api.get(resources.volumeCloneSources, {
			namespace: clone.metadata.namespace ?? '',
			name: copied.spec.dataSourceRef?.name ?? '',
		});
		expect(source.spec.source).toMatchObject({kind: 'PersistentVolumeClaim', name: 'golden'});
		expect(copied.metadata.annotations?.[annotations.cloneFallbackReason]).toMatch(/^GaveUp: .*OutOfRange.*; GaveUp: /);
		expect(gaveUpOf(await api.get(resources.dataVolumes, clone.metadata)).ways).toMatchObject([
			{way: 'snapshot', code: 'OutOfRange', message: 'not of that size'},
			{way: 'csi-clone', code: 'Unimplemented'},
		]);
		expect(await untilTold(clone, 'CloneWayGivenUp', 2)).toEqual(
			expect.arrayContaining(['No longer tried by snapshot (OutOfRange): not of that size']),
		);
		// Nobody needs the snapshot any more.
		await until('the shared snapshot is being deleted', async () => {
			const {items} = await api.list(resources.sharedSnapshots);
			const shared = items.find(({spec}) => spec.source.namespace === clone.metadata.namespace);
			return !shared || shared.metadata.deletionTimestamp ? true : undefined;
		});
	});

	test('goes another way where the snapshot cannot be cut', async () => {
		const {golden, clone} = await makeClone();
		const precondition = 'rpc error: code = FailedPrecondition desc = too many snapshots';
		await refuseCut(api, await nextSnapshot(api, golden), precondition);
		const cloned = await claimMadeBy(clone, 'csi-clone');
		expect(cloned.metadata.annotations?.[annotations.cloneFallbackReason]).toContain('too many snapshots');
	});

	test('waits where the storage is busy, and keeps its claim', async () => {
		const {golden, clone} = await makeClone();
		await refuseCut(api, await nextSnapshot(api, golden), 'rpc error: code = Aborted desc = an operation is pending');
		const waiting = await waitForDataVolume(api, clone, ({status}) =>
			Boolean(findCondition(status?.conditions, 'Bound')?.message?.includes('an operation is pending')),
		);
		expect(findCondition(waiting.status?.conditions, 'Bound')?.reason).toBe('SnapshotNotReady');
		expect(gaveUpOf(waiting).ways).toEqual([]);
	});

	test('gets a new snapshot where the storage lost one', async () => {
		const {golden, clone} = await makeClone();
		const first = await nextSnapshot(api, golden);
		await cut(api, first, golden);
		const restored = await claimMadeBy(clone, 'snapshot');
		await refuse(api, restored, 'rpc error: code = NotFound desc = no such snapshot');
		await untilAbandoned(api, restored);
		const second = await nextSnapshot(api, golden, [first]);
		await cut(api, second, golden);
		const again = await claimMadeBy(clone, 'snapshot', restored);
		expect(again.spec.dataSource?.name).toBe(second.metadata.name);
		// A second time for the same clone would be in vain.
		await refuse(api, again, 'rpc error: code = NotFound desc = no such snapshot');
		await untilAbandoned(api, again);
		await claimMadeBy(clone, 'csi-clone', again);
	});

	test('does not begin anew with what its restarted controller knows to be in vain', async () => {
		const {golden, clone} = await makeClone();
		await refuseCut(api, await nextSnapshot(api, golden), outOfRange);
		const cloned = await claimMadeBy(clone, 'csi-clone');
		await api.delete(resources.persistentVolumeClaims, cloned.metadata);
		await untilAbandoned(api, cloned);
		await claimMadeBy(clone, 'csi-clone', cloned);
	});
});

describe.concurrent('a source in use', () => {
	async function makeWriter({metadata: {namespace = '', name}}: PersistentVolumeClaim) {
		await allowPods(api, namespace);
		return api.create(resources.pods, {
			apiVersion: 'v1',
			kind: 'Pod',
			metadata: {namespace, name: 'writer'},
			spec: {
				containers: [{name: 'main', image: 'image', volumeMounts: [{name: 'disk', mountPath: '/disk'}]}],
				volumes: [{name: 'disk', persistentVolumeClaim: {claimName: name}}],
			},
		});
	}

	test('is cloned all the same, and the clone says that it is crash-consistent', async () => {
		const namespace = await makeNamespace(api);
		const golden = await makeBoundClaim(api, {namespace, name: 'golden'});
		await makeWriter(golden);
		const clone = await cloneOf(golden);
		await cut(api, await nextSnapshot(api, golden), golden);
		await claimMadeBy(clone, 'snapshot');
		const [message] = await untilTold(clone, 'CrashConsistent');
		expect(message).toContain(`Pod ${namespace}/writer may be writing`);
		expect(await eventsOf(clone, 'CrashConsistent')).toHaveLength(1);
	});

	test('is waited for where quiet is asked for, until the Pod is gone', async () => {
		const namespace = await makeNamespace(api);
		const golden = await makeBoundClaim(api, {namespace, name: 'golden'});
		const writer = await makeWriter(golden);
		const clone = await cloneOf(golden, {annotations: {[annotations.consistency]: 'quiet'}});
		const waiting = await waitForDataVolume(
			api,
			clone,
			({status}) => findCondition(status?.conditions, 'Bound')?.reason === 'CloneSourceInUse',
		);
		expect(findCondition(waiting.status?.conditions, 'Bound')?.message).toBe(
			`pod ${namespace}/writer using PersistentVolumeClaim golden`,
		);
		expect((await api.list(resources.volumeSnapshots, {namespace})).items).toEqual([]);
		await api.delete(resources.pods, writer.metadata, {gracePeriodSeconds: 0});
		await cut(api, await nextSnapshot(api, golden), golden);
		await claimMadeBy(clone, 'snapshot');
		expect(await eventsOf(clone, 'CrashConsistent')).toEqual([]);
	});

	test('is copied from a snapshot, by a restore of its size', async () => {
		const {golden, clone} = await makeClone({volumeMode: 'Block'});
		const snapshot = await nextSnapshot(api, golden);
		await cut(api, snapshot, golden);
		const copied = await claimMadeBy(clone, 'copy');
		expect(copied.metadata.annotations?.[annotations.cloneFallbackReason]).toMatch(/^IncompatibleVolumeModes: /);
		const source = await api.get(resources.volumeCloneSources, {
			namespace: golden.metadata.namespace ?? '',
			name: cloneSourceName(clone.metadata.uid ?? ''),
		});
		expect(source.spec.source).toMatchObject({kind: 'VolumeSnapshot', name: snapshot.metadata.name});
		const copySource = await until('the restore that is read', async () => {
			const {items} = await api.list(resources.persistentVolumeClaims, {namespace: golden.metadata.namespace ?? ''});
			return items.find(({spec}) => spec.dataSource?.name === snapshot.metadata.name);
		});
		expect(copySource.spec).toMatchObject({volumeMode: 'Filesystem', resources: {requests: {storage: '1Gi'}}});
		// That one cannot be made: the copy goes on from the claim itself.
		await refuse(api, copySource, outOfRange);
		await untilAbandoned(api, copied);
		await until('the source is read itself', async () => {
			const now = await api.find(resources.volumeCloneSources, source.metadata);
			return now?.spec.source.kind === 'PersistentVolumeClaim' ? true : undefined;
		});
	});
});
