/**
 * What KubeVirt's controllers read of DataVolumes and their claims, a test for each row of the tables of its side of the
 * wire. The controller runs as a program on an API server of its own; kubelet, provisioner and binder are the test.
 */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {findCondition} from '../../src/api/conditions.ts';
import type {DataVolume, DataVolumeSpec} from '../../src/api/datavolume.ts';
import type {KubeObject, ObjectMeta} from '../../src/api/kubernetes.ts';
import {annotations, cloneSourceName, importSourceName} from '../../src/api/names.ts';
import {formatTerminationMessage} from '../../src/api/worker-contract.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import * as resources from '../../src/kube/resources.ts';
import {type ControlPlane, startControlPlane} from '../cluster/control-plane.ts';
import {ensureBinary} from '../cluster/binaries.ts';
import {Kubectl} from '../cluster/kubectl.ts';
import {until} from '../cluster/until.ts';
import {waitForDataVolume} from '../support/data-volumes.ts';
import {makeNamespace as makeBareNamespace} from './cluster.ts';
import {type ControllerProcess, startController} from './controller-process.ts';
import {installManifests} from './onesnap.ts';
import {
	bind,
	cut,
	finishImport,
	importerOf,
	makeBoundClaim,
	makeServiceAccount,
	makeSnapshotClass,
	makeStorage,
	nextSnapshot,
	report,
} from './storage.ts';

let dir: string;
let controlPlane: ControlPlane;
let api: KubeClient;
let controller: ControllerProcess;

beforeAll(async () => {
	dir = await mkdtemp(path.join(tmpdir(), 'onesnap-wire-'));
	controlPlane = await startControlPlane({dir});
	await installManifests(controlPlane.kubeconfig);
	api = new KubeClient({connection: connect(controlPlane.kubeconfig), fieldManager: 'test'});
	await makeStorage(api);
	await makeSnapshotClass(api);
	controller = await startController(controlPlane.kubeconfig, 'wire');
});

afterAll(async () => {
	await controller.end('SIGKILL');
	api.close();
	await controlPlane.stop();
	await rm(dir, {recursive: true, force: true});
});

async function makeNamespace(): Promise<string> {
	const namespace = await makeBareNamespace(api);
	await makeServiceAccount(api, namespace);
	return namespace;
}

const image = {http: {url: 'http://images.example.com/disk.qcow2'}};

interface Given
	extends Omit<ObjectMeta, 'name'>,
		Pick<DataVolumeSpec, 'source' | 'preallocation' | 'priorityClassName'> {
	readonly storageClassName?: string;
}

function create(namespace: string, given: Given = {}): Promise<DataVolume> {
	const {storageClassName = 'standard', source = image, preallocation, priorityClassName, ...metadata} = given;
	return api.create(resources.dataVolumes, {
		apiVersion: 'cdi.kubevirt.io/v1beta1',
		kind: 'DataVolume',
		metadata: {namespace, name: 'disk', ...metadata},
		spec: {
			source,
			...(preallocation !== undefined && {preallocation}),
			...(priorityClassName !== undefined && {priorityClassName}),
			storage: {storageClassName, resources: {requests: {storage: '1Gi'}}},
		},
	});
}

const conditionOf = ({status}: DataVolume, type: 'Bound' | 'Running' | 'Ready') =>
	findCondition(status?.conditions, type);
const inPhase = (of: DataVolume, phase: string) => waitForDataVolume(api, of, ({status}) => status?.phase === phase);
const claimOf = ({metadata}: DataVolume) => api.get(resources.persistentVolumeClaims, metadata);
const get = ({metadata}: DataVolume) => api.get(resources.dataVolumes, metadata);

/** Every phase that a watch shows, in order, until `last`. */
async function phasesUntil(of: DataVolume, last: string): Promise<string[]> {
	const phases: string[] = [];
	const {namespace, name} = of.metadata;
	const watch = api.watch(resources.dataVolumes, {
		...(namespace !== undefined && {namespace}),
		fieldSelector: `metadata.name=${name}`,
		signal: AbortSignal.timeout(60_000),
	});
	for await (const event of watch) {
		if (event.type === 'BOOKMARK') continue;
		const {phase = ''} = event.object.status ?? {};
		if (phase !== phases.at(-1)) phases.push(phase);
		if (phase === last) return phases;
	}
	return phases;
}

async function eventsOf({metadata: {namespace, uid}}: KubeObject): Promise<string[]> {
	const fieldSelector = `involvedObject.uid=${uid}`;
	const {items} = await api.list(resources.events, {namespace, fieldSelector});
	return items.map(({type, reason, message}) => `${type} ${reason}: ${message}`);
}

const untilTold = (of: KubeObject, text: string) =>
	until(`event ${text}`, async () => ((await eventsOf(of)).includes(text) ? true : undefined));

const running = {state: {running: {startedAt: '2026-01-01T00:00:00Z'}}, ready: true};

function ended(result: Parameters<typeof formatTerminationMessage>[0]) {
	return {state: {terminated: {exitCode: 0, message: formatTerminationMessage(result)}}};
}

describe.concurrent('phases', () => {
	test('KubeVirt §1.4 "", Pending, Import*: an import goes through them in order, and no other says that a machine may start', async () => {
		const dataVolume = await create(await makeNamespace());
		const seen = phasesUntil(dataVolume, 'Succeeded');
		const pod = await importerOf(api, dataVolume);
		await inPhase(dataVolume, 'ImportScheduled');
		await report(api, pod, 'Running', running);
		await inPhase(dataVolume, 'ImportInProgress');
		await finishImport(api, dataVolume);
		const order = ['', 'Pending', 'ImportScheduled', 'ImportInProgress', 'Succeeded'];
		expect(await seen).toEqual(order.slice(order.indexOf((await seen)[0] ?? '')));
	});

	test('CDI §13.3: the claim has the name of its DataVolume, its phases say when to go on', async () => {
		const dataVolume = await create(await makeNamespace(), {storageClassName: 'late'});
		const waiting = await inPhase(dataVolume, 'PendingPopulation');
		expect(waiting.status?.claimName).toBe('disk');
		const claim = await claimOf(dataVolume);
		expect(claim.metadata.ownerReferences).toMatchObject([{kind: 'DataVolume', name: 'disk', controller: true}]);
		await bind(api, claim);
		await inPhase(dataVolume, 'Succeeded');
	});

	test('KubeVirt §1.4 DV absent: the claim has the DataVolume for its controller from the first moment, and goes with it', async () => {
		const namespace = await makeNamespace();
		const watch = api.watch(resources.persistentVolumeClaims, {namespace, signal: AbortSignal.timeout(60_000)});
		const dataVolume = await create(namespace, {storageClassName: 'late'});
		for await (const event of watch) {
			if (event.type === 'BOOKMARK') continue;
			const {apiVersion, kind, metadata} = dataVolume;
			expect(event.type).toBe('ADDED');
			expect(event.object.metadata.ownerReferences).toEqual([
				{apiVersion, kind, name: 'disk', uid: metadata.uid, controller: true, blockOwnerDeletion: true},
			]);
			break;
		}
	});

	test('KubeVirt §1.4 PendingPopulation: said of a class that waits for consumers, unless a node is selected', async () => {
		const dataVolume = await create(await makeNamespace(), {storageClassName: 'late'});
		await inPhase(dataVolume, 'PendingPopulation');
		const selected = {[annotations.selectedNode]: 'node-1'};
		await api.mergePatch(resources.persistentVolumeClaims, dataVolume.metadata, {metadata: {annotations: selected}});
		await inPhase(dataVolume, 'ImportScheduled');
	});

	test('KubeVirt §1.4 PendingPopulation: not where immediate binding is asked for, whose annotation may be empty', async () => {
		const immediate = {[annotations.bindImmediate]: ''};
		const dataVolume = await create(await makeNamespace(), {storageClassName: 'late', annotations: immediate});
		const seen = phasesUntil(dataVolume, 'ImportScheduled');
		expect(await seen).not.toContain('PendingPopulation');
	});

	test('KubeVirt §1.4 Succeeded: a claim that is bound touches the DataVolume, which nobody else would', async () => {
		const dataVolume = await create(await makeNamespace(), {storageClassName: 'late'});
		const {metadata} = await inPhase(dataVolume, 'PendingPopulation');
		await bind(api, await claimOf(dataVolume));
		const done = await inPhase(dataVolume, 'Succeeded');
		expect(done.metadata.resourceVersion).not.toBe(metadata.resourceVersion);
		expect(done.status).toMatchObject({claimName: 'disk', progress: '100.0%'});
		expect(conditionOf(done, 'Bound')).toMatchObject({status: 'True', reason: 'Bound', message: 'PVC disk Bound'});
	});

	test('KubeVirt §1.4 Succeeded: is not left when the claim is grown, or deleted while it is used', async () => {
		const dataVolume = await create(await makeNamespace());
		await finishImport(api, dataVolume);
		await inPhase(dataVolume, 'Succeeded');
		const seen = phasesUntil(dataVolume, 'Pending');
		const claim = await claimOf(dataVolume);
		await api.mergePatchStatus(resources.persistentVolumeClaims, claim.metadata, {
			status: {conditions: [{type: 'Resizing', status: 'True'}]},
		});
		await api.delete(resources.persistentVolumeClaims, claim.metadata);
		await untilTold(
			dataVolume,
			`Warning ErrResourceMarkedForDeletion: PersistentVolumeClaim ${claim.metadata.namespace}/disk is being deleted`,
		);
		expect((await get(dataVolume)).status?.phase).toBe('Succeeded');
		// Nobody uses it any more: the disk is gone, and is imported again.
		await api.mergePatch(resources.persistentVolumeClaims, claim.metadata, {metadata: {finalizers: null}});
		expect(await seen).toEqual(['Succeeded', 'Pending']);
		await inPhase(dataVolume, 'ImportScheduled');
	});

	test('KubeVirt §1.4 Failed: a claim that lost its volume, and an image that is none', async () => {
		const lost = await create(await makeNamespace(), {storageClassName: 'late'});
		await inPhase(lost, 'PendingPopulation');
		const claim = await bind(api, await claimOf(lost));
		await inPhase(lost, 'Succeeded');
		await api.mergePatchStatus(resources.persistentVolumeClaims, claim.metadata, {status: {phase: 'Lost'}});
		const without = await inPhase(lost, 'Failed');
		expect(conditionOf(without, 'Bound')).toMatchObject({status: 'False', reason: 'ClaimLost', message: 'Claim Lost'});
		await untilTold(lost, 'Warning ErrClaimLost: PVC disk lost');

		const wrong = await create(await makeNamespace());
		const failure = {outcome: 'failed', reason: 'InvalidImage', retryable: false, message: 'text'} as const;
		await report(api, await importerOf(api, wrong), 'Succeeded', ended(failure));
		const failed = await inPhase(wrong, 'Failed');
		expect(conditionOf(failed, 'Running')).toMatchObject({
			status: 'False',
			reason: 'Error',
			message: 'InvalidImage: text',
		});
		await untilTold(wrong, 'Warning ImportFailed: Failed to import into PVC disk');
	});

	test.each([
		['the claim', 'persistentvolumeclaims', 0],
		['the prime claim that it is filled through', 'persistentvolumeclaims', 1],
		['the worker', 'pods', 0],
	])(
		'KubeVirt §1.4 Pending with ErrExceededQuota: while a quota refuses %s, until it is raised',
		async (_, of, count) => {
			const namespace = await makeNamespace();
			const quotas = {group: '', version: 'v1', plural: 'resourcequotas', kind: 'ResourceQuota', namespaced: true};
			const metadata = {namespace, name: 'none'};
			const allow = async (most: number) => {
				const hard = {[of]: String(most)};
				await api.mergePatch<KubeObject & {spec?: object}>(quotas, metadata, {spec: {hard}});
				// What the controller manager would write.
				const status = {hard, used: {[of]: '0'}};
				await api.mergePatchStatus<KubeObject & {status?: object}>(quotas, metadata, {status});
			};
			await api.create(quotas, {apiVersion: 'v1', kind: 'ResourceQuota', metadata});
			await allow(count);
			const dataVolume = await create(namespace);
			const refused = await waitForDataVolume(
				api,
				dataVolume,
				(now) => conditionOf(now, 'Bound')?.reason === 'ErrExceededQuota',
			);
			expect(refused.status?.phase).toBe('Pending');
			expect(conditionOf(refused, 'Bound')).toMatchObject({status: 'False'});
			expect(conditionOf(refused, 'Bound')?.message).toContain('exceeded quota: none');
			await untilTold(dataVolume, `Warning ErrExceededQuota: ${conditionOf(refused, 'Bound')?.message}`);
			await allow(9);
			await inPhase(dataVolume, 'ImportScheduled');
			await finishImport(api, dataVolume);
			await inPhase(dataVolume, 'Succeeded');
		},
	);

	test('CDI §2.4 ErrStartingPod: says why there is no worker', async () => {
		const namespace = await makeBareNamespace(api);
		const dataVolume = await create(namespace);
		const refused = await waitForDataVolume(
			api,
			dataVolume,
			(now) => conditionOf(now, 'Running')?.reason === 'ErrStartingPod',
		);
		expect(refused.status?.phase).toBe('ImportScheduled');
		expect(conditionOf(refused, 'Running')?.message).toContain('serviceaccount "default" not found');
		await makeServiceAccount(api, namespace);
		await finishImport(api, dataVolume);
		await inPhase(dataVolume, 'Succeeded');
	});
});

describe.concurrent('conditions', () => {
	test('KubeVirt §1.5 Ready: is True when the disk is there, and only then', async () => {
		const dataVolume = await create(await makeNamespace());
		const ready = new Set<string>();
		const watch = api.watch(resources.dataVolumes, {
			namespace: dataVolume.metadata.namespace ?? '',
			signal: AbortSignal.timeout(60_000),
		});
		const filled = finishImport(api, dataVolume);
		for await (const event of watch) {
			if (event.type === 'BOOKMARK') continue;
			const {phase = ''} = event.object.status ?? {};
			ready.add(`${phase} ${conditionOf(event.object, 'Ready')?.status ?? 'Unknown'}`);
			if (phase === 'Succeeded') break;
		}
		await filled;
		expect([...ready].filter((each) => each.endsWith(' True'))).toEqual(['Succeeded True']);
		expect(ready).toContain('ImportScheduled False');
	});

	test('KubeVirt §1.5 Bound: False with a reason, then True', async () => {
		const dataVolume = await create(await makeNamespace(), {storageClassName: 'late'});
		const waiting = await inPhase(dataVolume, 'PendingPopulation');
		expect(conditionOf(waiting, 'Bound')).toMatchObject({
			status: 'False',
			reason: 'Pending',
			message: 'PVC disk Pending',
		});
		await bind(api, await claimOf(dataVolume));
		expect(conditionOf(await inPhase(dataVolume, 'Succeeded'), 'Bound')).toMatchObject({
			status: 'True',
			reason: 'Bound',
		});
	});

	test('KubeVirt §1.5 Running: Error and ImagePullFailed say that a worker is in trouble, while the import goes on', async () => {
		const dataVolume = await create(await makeNamespace());
		const pod = await importerOf(api, dataVolume);
		await report(api, pod, 'Pending', {state: {waiting: {reason: 'ErrImagePull', message: '401'}}});
		const pulling = await waitForDataVolume(
			api,
			dataVolume,
			(now) => conditionOf(now, 'Running')?.reason === 'ImagePullFailed',
		);
		expect(conditionOf(pulling, 'Running')).toMatchObject({status: 'False', message: '401'});
		expect(pulling.status?.phase).toBe('ImportScheduled');
		const failure = {outcome: 'failed', reason: 'SourceUnavailable', retryable: true, message: '503'} as const;
		await report(api, pod, 'Running', {
			restartCount: 2,
			state: {waiting: {reason: 'CrashLoopBackOff'}},
			lastState: {terminated: {exitCode: 1, message: formatTerminationMessage(failure)}},
		});
		const retried = await waitForDataVolume(api, dataVolume, (now) => conditionOf(now, 'Running')?.reason === 'Error');
		expect(retried.status).toMatchObject({phase: 'ImportInProgress', restartCount: 2});
		expect(conditionOf(retried, 'Running')?.message).toContain('503');
	});
});

describe.concurrent('labels and annotations', () => {
	test('KubeVirt §1.5 contentType: is on the claim, also where the DataVolume says none', async () => {
		const dataVolume = await create(await makeNamespace(), {storageClassName: 'late'});
		await inPhase(dataVolume, 'PendingPopulation');
		expect((await claimOf(dataVolume)).metadata.annotations).toHaveProperty([annotations.contentType], 'kubevirt');
	});

	test('KubeVirt §1.5 preallocation: is on the claim after an import that allocates every block', async () => {
		for (const preallocation of [true, false]) {
			const dataVolume = await create(await makeNamespace(), {source: {blank: {}}, preallocation});
			await finishImport(api, dataVolume);
			await inPhase(dataVolume, 'Succeeded');
			const {annotations: said} = (await claimOf(dataVolume)).metadata;
			expect(said?.[annotations.preallocation]).toBe(preallocation ? 'true' : undefined);
		}
	});

	test('CDI §13.11: virtctl finds on the claim that its worker succeeded', async () => {
		const dataVolume = await create(await makeNamespace());
		await finishImport(api, dataVolume);
		await inPhase(dataVolume, 'Succeeded');
		expect((await claimOf(dataVolume)).metadata.annotations).toHaveProperty([annotations.podPhase], 'Succeeded');
	});

	test('KubeVirt §1.5 garbageCollected: a DataVolume stays, whatever it says of its deletion after completion', async () => {
		const dataVolume = await create(await makeNamespace(), {
			annotations: {'cdi.kubevirt.io/storage.deleteAfterCompletion': 'true'},
			finalizers: ['example.com/mine'],
		});
		await finishImport(api, dataVolume);
		const done = await inPhase(dataVolume, 'Succeeded');
		expect(done.metadata.deletionTimestamp).toBeUndefined();
		expect(done.metadata.finalizers).toEqual(['example.com/mine']);
		expect((await claimOf(dataVolume)).metadata.annotations).not.toHaveProperty(['cdi.kubevirt.io/garbageCollected']);
	});

	test('KubeVirt §3.1 2: labels and annotations of the DataVolume are on its claim, and win', async () => {
		const labels = {'instancetype.kubevirt.io/default-preference': 'fedora', app: 'mine'};
		const dataVolume = await create(await makeNamespace(), {
			labels,
			annotations: {'example.com/a': 'b'},
			storageClassName: 'late',
			priorityClassName: 'urgent',
		});
		await inPhase(dataVolume, 'PendingPopulation');
		const {metadata} = await claimOf(dataVolume);
		expect(metadata.labels).toMatchObject(labels);
		expect(metadata.annotations).toMatchObject({'example.com/a': 'b', [annotations.podPriorityClass]: 'urgent'});
	});

	test('CDI §3.1 pod pass-through: annotations about networks and sidecars are on the worker, which has no sidecar of its own', async () => {
		const networks = {'k8s.v1.cni.cncf.io/networks': 'storage'};
		const pod = await importerOf(api, await create(await makeNamespace(), {annotations: networks}));
		expect(pod.metadata.annotations).toMatchObject({
			...networks,
			'sidecar.istio.io/inject': 'false',
			'linkerd.io/inject': 'disabled',
		});
	});
});

const instancetype = {'instancetype.kubevirt.io/default-instancetype': 'u1.medium'};
const preference = {'instancetype.kubevirt.io/default-preference': 'fedora'};

/** What the DataVolume has said of itself, labels and annotations together, until it had its disk and a moment longer. */
async function metadataOf(dataVolume: DataVolume): Promise<Pick<ObjectMeta, 'labels' | 'annotations'>[]> {
	const seen: Pick<ObjectMeta, 'labels' | 'annotations'>[] = [];
	const marker = 'example.com/seen-last';
	const watch = api.watch(resources.dataVolumes, {
		namespace: dataVolume.metadata.namespace ?? '',
		signal: AbortSignal.timeout(60_000),
	});
	for await (const event of watch) {
		if (event.type === 'BOOKMARK') continue;
		const {labels = {}, annotations: said = {}, finalizers = []} = event.object.metadata;
		if (JSON.stringify(seen.at(-1)) !== JSON.stringify({labels, annotations: said}))
			seen.push({labels, annotations: said});
		if (finalizers.includes(marker)) return seen;
		// Whatever is yet to be written is written before what is done about this change.
		if (event.object.status?.phase === 'Succeeded' && !event.object.metadata.deletionTimestamp) {
			await inPhase(await create(await makeNamespace()), 'ImportScheduled');
			await api.mergePatch(resources.dataVolumes, dataVolume.metadata, {metadata: {finalizers: [marker]}});
		}
	}
	return seen;
}

describe.concurrent('a clone of a source with an instance type', () => {
	const labels = {...instancetype, ...preference, team: 'golden'};

	test.each([
		['has its labels', {team: 'mine'}, {team: 'mine', ...instancetype, ...preference}],
		['has only its own where it has one of them', {...preference}, {...preference}],
	])('KubeVirt §3.1 3: from a shared snapshot, %s, in one write with its assignment', async (_, own, after) => {
		const namespace = await makeNamespace();
		const golden = await makeBoundClaim(api, {namespace, name: 'golden', labels});
		const dataVolume = await create(namespace, {source: {pvc: {namespace, name: 'golden'}}, labels: own});
		const said = metadataOf(dataVolume);
		await cut(api, await nextSnapshot(api, golden), golden);
		const claim = await until('the claim', () => api.find(resources.persistentVolumeClaims, dataVolume.metadata));
		expect(claim.metadata.labels).toMatchObject(after);
		await bind(api, claim);
		await inPhase(dataVolume, 'Succeeded');
		const [before, ...changes] = await said;
		expect(changes.slice(1)).toEqual([]);
		const last = changes.at(-1) ?? before;
		expect(last?.labels).toEqual(after);
		expect(Object.keys(last?.annotations ?? {}).toSorted()).toEqual(
			[annotations.cloneType, annotations.reuseRule, annotations.sharedSnapshot].toSorted(),
		);
	});

	test('KubeVirt §3.1 3: from a VolumeSnapshot of its own, in one write with the way it went', async () => {
		const namespace = await makeNamespace();
		const golden = await makeBoundClaim(api, {namespace, name: 'golden'});
		const snapshot = await api.create(resources.volumeSnapshots, {
			apiVersion: 'snapshot.storage.k8s.io/v1',
			kind: 'VolumeSnapshot',
			metadata: {namespace, name: 'cut', labels},
			spec: {source: {persistentVolumeClaimName: 'golden'}, volumeSnapshotClassName: 'snapshots'},
		});
		await cut(api, snapshot, golden);
		const dataVolume = await create(namespace, {source: {snapshot: {namespace, name: 'cut'}}});
		const said = metadataOf(dataVolume);
		const claim = await until('the claim', () => api.find(resources.persistentVolumeClaims, dataVolume.metadata));
		expect(claim.metadata.labels).toMatchObject({...instancetype, ...preference});
		expect(claim.metadata.labels).not.toHaveProperty('team');
		await bind(api, claim);
		const after = {labels: {...instancetype, ...preference}, annotations: {[annotations.cloneType]: 'snapshot'}};
		expect((await said).at(-1)).toEqual(after);
		expect((await said).length).toBeLessThanOrEqual(2);
	});
});

describe.concurrent('the one annotation that every DataVolume has', () => {
	test('CDI §13.9: is written once the disk is there, where there is no other', async () => {
		const dataVolume = await create(await makeNamespace());
		const said = metadataOf(dataVolume);
		await finishImport(api, dataVolume);
		expect(await said).toEqual([
			{labels: {}, annotations: {}},
			{labels: {}, annotations: {[annotations.annotated]: 'true'}},
		]);
	});

	test('CDI §13.9: costs no write where there is one, as KubeVirt makes them', async () => {
		const adopts = {[annotations.allowClaimAdoption]: 'true'};
		const dataVolume = await create(await makeNamespace(), {annotations: adopts});
		const said = metadataOf(dataVolume);
		await finishImport(api, dataVolume);
		expect(await said).toEqual([{labels: {}, annotations: adopts}]);
	});
});

describe.concurrent('an import that fails', () => {
	test('CDI §13.17: is tried again and counted as long as it may succeed, and then succeeds', async () => {
		const dataVolume = await create(await makeNamespace());
		const failure = {outcome: 'failed', reason: 'SourceUnavailable', retryable: true, message: '503'} as const;
		await report(api, await importerOf(api, dataVolume), 'Running', {
			restartCount: 3,
			state: {waiting: {reason: 'CrashLoopBackOff'}},
			lastState: {terminated: {exitCode: 1, message: formatTerminationMessage(failure)}},
		});
		await waitForDataVolume(api, dataVolume, ({status}) => status?.restartCount === 3);
		await finishImport(api, dataVolume);
		expect((await inPhase(dataVolume, 'Succeeded')).status?.restartCount).toBe(3);
	});

	test('CDI §13.17: is Failed where the bytes have another checksum, and stays so', async () => {
		const dataVolume = await create(await makeNamespace());
		const failure = {outcome: 'failed', reason: 'ChecksumMismatch', retryable: false, message: 'other'} as const;
		await report(api, await importerOf(api, dataVolume), 'Succeeded', ended(failure));
		const failed = await inPhase(dataVolume, 'Failed');
		expect(conditionOf(failed, 'Running')).toMatchObject({status: 'False', reason: 'ChecksumError'});
		expect((await claimOf(dataVolume)).status?.phase).toBe('Pending');
	});
});

describe.concurrent('kubectl', () => {
	test('CDI §13.12: waits for a condition of a DataVolume', async () => {
		const dataVolume = await create(await makeNamespace());
		const {namespace = '', name} = dataVolume.metadata;
		const kubectl = new Kubectl(await ensureBinary('kubectl'), controlPlane.kubeconfig);
		const waiting = kubectl.run('-n', namespace, 'wait', `dv/${name}`, '--for=condition=Ready', '--timeout=100s');
		await finishImport(api, dataVolume);
		expect(await waiting).toContain(`datavolume.cdi.kubevirt.io/${name} condition met`);
	});
});

describe.concurrent('what is left', () => {
	test('CDI §13.15: of an import nothing but the claim of its name', async () => {
		const namespace = await makeNamespace();
		const dataVolume = await create(namespace, {annotations: {'example.com/a': 'b'}});
		await finishImport(api, dataVolume);
		await inPhase(dataVolume, 'Succeeded');
		await until('the prime claim goes', async () => {
			const {items} = await api.list(resources.persistentVolumeClaims, {namespace});
			const others = items.filter(({metadata}) => metadata.name !== 'disk' && !metadata.deletionTimestamp);
			return others.length === 0 ? true : undefined;
		});
		const uid = dataVolume.metadata.uid ?? '';
		await until('the source object goes', async () => {
			const source = await api.find(resources.volumeImportSources, {namespace, name: importSourceName(uid)});
			return source ? undefined : true;
		});
		expect((await api.list(resources.pods, {namespace})).items).toEqual([]);
		expect((await get(dataVolume)).metadata.finalizers).toBeUndefined();
	});

	async function makeClone() {
		const namespace = await makeNamespace();
		const golden = await makeBoundClaim(api, {namespace, name: 'golden'});
		const dataVolume = await create(namespace, {source: {pvc: {namespace, name: 'golden'}}});
		const snapshot = await nextSnapshot(api, golden);
		await cut(api, snapshot, golden);
		const claim = await until('the claim', () => api.find(resources.persistentVolumeClaims, dataVolume.metadata));
		await bind(api, claim);
		return {snapshot, clone: await inPhase(dataVolume, 'Succeeded')};
	}

	test('CDI §13.14: of a clone the way it went, on itself and on its claim, and an event that says it', async () => {
		const {clone} = await makeClone();
		for (const {metadata} of [clone, await claimOf(clone)]) {
			expect(metadata.annotations).toHaveProperty([annotations.cloneType], 'snapshot');
		}
		const {namespace} = clone.metadata;
		const text = `Normal CloneSucceeded: Successfully cloned from ${namespace}/golden into ${namespace}/disk: restored from`;
		await until('its event', async () => (await eventsOf(clone)).find((event) => event.startsWith(text)));
	});

	test('CDI §13.15: of a clone no source object, no finalizer, and no snapshot once nobody needs it', async () => {
		const {clone, snapshot} = await makeClone();
		const {namespace = '', uid = '', finalizers} = clone.metadata;
		expect(finalizers).toBeUndefined();
		expect(await api.find(resources.volumeCloneSources, {namespace, name: cloneSourceName(uid)})).toBeUndefined();
		await until('the snapshot is being deleted', async () => {
			const now = await api.find(resources.volumeSnapshots, snapshot.metadata);
			return !now || now.metadata.deletionTimestamp ? true : undefined;
		});
	});
});
