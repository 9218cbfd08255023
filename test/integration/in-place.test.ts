/**
 * The controller, as a program, on an API server of its own: claims whose provisioner knows nothing of populators. What
 * provisioner, scheduler and kubelet would do, the test does itself.
 */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import type {DataVolume, DataVolumePhase, DataVolumeSource} from '../../src/api/datavolume.ts';
import type {PersistentVolumeClaim, Pod} from '../../src/api/kubernetes.ts';
import {
	annotations,
	cdiGroup,
	cloneSourceName,
	copierPodName,
	importerPodName,
	importSourceName,
	senderPodName,
} from '../../src/api/names.ts';
import type {WorkerResult} from '../../src/api/worker-contract.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import * as resources from '../../src/kube/resources.ts';
import {type ControlPlane, startControlPlane} from '../cluster/control-plane.ts';
import {until} from '../cluster/until.ts';
import {waitForDataVolume} from '../support/data-volumes.ts';
import {allowPods, makeNamespace} from './cluster.ts';
import {type ControllerProcess, startController} from './controller-process.ts';
import {installManifests} from './onesnap.ts';
import {bind, makeBoundClaim, makeStorage} from './storage.ts';

let dir: string;
let controlPlane: ControlPlane;
let api: KubeClient;
let controller: ControllerProcess;

beforeAll(async () => {
	dir = await mkdtemp(path.join(tmpdir(), 'onesnap-in-place-'));
	controlPlane = await startControlPlane({dir});
	await installManifests(controlPlane.kubeconfig);
	api = new KubeClient({connection: connect(controlPlane.kubeconfig), fieldManager: 'test'});
	await makeStorage(api);
	controller = await startController(controlPlane.kubeconfig, 'first');
});

afterAll(async () => {
	await controller.end('SIGKILL');
	api.close();
	await controlPlane.stop();
	await rm(dir, {recursive: true, force: true});
});

// A query is kept in a Secret.
const image: DataVolumeSource = {http: {url: 'http://images.example.com/disk.qcow2?signature=1'}};

interface Wanted {
	readonly source?: DataVolumeSource;
	readonly storageClass?: string;
	readonly annotations?: Readonly<Record<string, string>>;
}

async function create({source = image, storageClass = 'not-csi', annotations: given = {}}: Wanted = {}) {
	const namespace = await makeNamespace(api);
	await allowPods(api, namespace);
	return api.create(resources.dataVolumes, {
		apiVersion: 'cdi.kubevirt.io/v1beta1',
		kind: 'DataVolume',
		metadata: {namespace, name: 'disk', annotations: given},
		spec: {source, storage: {storageClassName: storageClass, resources: {requests: {storage: '1Gi'}}}},
	});
}

const claimOf = ({metadata}: DataVolume) =>
	until('its claim', () => api.find(resources.persistentVolumeClaims, metadata));
const inPhase = (dataVolume: DataVolume, phase: DataVolumePhase) =>
	waitForDataVolume(api, dataVolume, ({status}) => status?.phase === phase);
const podCalled = (namespace: string, name: string) =>
	until(`Pod ${name}`, () => api.find(resources.pods, {namespace, name}));

/** What the kubelet says of a Pod whose container runs, or ended with this. */
async function report(pod: Pod, said?: WorkerResult): Promise<void> {
	const state = said
		? {terminated: {exitCode: 0, message: JSON.stringify(said)}}
		: {running: {startedAt: '2026-01-01T00:00:00Z'}};
	const status = {
		phase: said ? 'Succeeded' : 'Running',
		podIP: '127.0.0.1',
		containerStatuses: [
			{name: pod.spec.containers[0]?.name ?? '', ready: true, restartCount: 0, image: 'i', imageID: 'i', state},
		],
	} as const;
	await api.mergePatchStatus(resources.pods, pod.metadata, {status});
}

const untilGone = (what: string, find: () => Promise<unknown>) =>
	until(`${what} is gone`, async () => ((await find()) === undefined ? true : undefined));

const mountsOf = ({spec}: Pod) =>
	(spec.volumes ?? []).flatMap(({persistentVolumeClaim}) => persistentVolumeClaim?.claimName ?? []);

const succeeded: WorkerResult = {outcome: 'succeeded', message: 'done'};

test('an import: the claim is bound long before the DataVolume is Succeeded, and nothing is left of it', async () => {
	const dataVolume = await create();
	const {namespace = '', uid = ''} = dataVolume.metadata;
	const claim = await claimOf(dataVolume);
	expect(claim.spec.dataSourceRef).toBeUndefined();
	expect(claim.metadata.annotations).toMatchObject({
		[annotations.fillFrom]: `VolumeImportSource/${importSourceName(uid)}`,
		[annotations.usePopulator]: 'false',
	});
	await inPhase(dataVolume, 'Pending');
	await bind(api, claim);
	const worker = await podCalled(namespace, importerPodName(claim.metadata.uid ?? ''));
	expect(mountsOf(worker)).toEqual(['disk']);
	await inPhase(dataVolume, 'ImportScheduled');
	await report(worker);
	await inPhase(dataVolume, 'ImportInProgress');
	await report(worker, succeeded);
	await inPhase(dataVolume, 'Succeeded');
	expect((await claimOf(dataVolume)).metadata.annotations).toMatchObject({
		[annotations.populated]: 'true',
		[annotations.podPhase]: 'Succeeded',
	});
	await untilGone('the worker', () => api.find(resources.pods, worker.metadata));
	await untilGone('the source', () =>
		api.find(resources.volumeImportSources, {namespace, name: importSourceName(uid)}),
	);
	// The garbage collector, which is not here, takes the Secret with the source, not with the claim, which stays.
	const {items} = await api.list(resources.secrets, {namespace});
	expect(items.map(({metadata}) => metadata.ownerReferences?.[0]?.kind)).toEqual(['VolumeImportSource']);
});

describe('a class that waits for consumers', () => {
	test('KubeVirt §1.4 WaitForFirstConsumer: until the claim is bound by its consumer, no worker before', async () => {
		const dataVolume = await create({storageClass: 'not-csi-late'});
		const {namespace = ''} = dataVolume.metadata;
		const claim = await claimOf(dataVolume);
		await inPhase(dataVolume, 'WaitForFirstConsumer');
		const placed = {metadata: {annotations: {[annotations.selectedNode]: 'node1'}}};
		await api.mergePatch(resources.persistentVolumeClaims, claim.metadata, placed);
		await inPhase(dataVolume, 'WaitForFirstConsumer');
		expect((await api.list(resources.pods, {namespace})).items).toEqual([]);
		await bind(api, claim);
		const worker = await podCalled(namespace, importerPodName(claim.metadata.uid ?? ''));
		expect(JSON.stringify(worker.spec.affinity)).toContain('node1');
		await report(worker, succeeded);
		await inPhase(dataVolume, 'Succeeded');
	});

	test('the worker is the first consumer where its owner asks for that', async () => {
		const dataVolume = await create({storageClass: 'not-csi-late', annotations: {[annotations.bindImmediate]: ''}});
		const claim = await claimOf(dataVolume);
		await podCalled(dataVolume.metadata.namespace ?? '', importerPodName(claim.metadata.uid ?? ''));
		expect((await claimOf(dataVolume)).status?.phase).toBe('Pending');
	});
});

test('a claim of a CSI class is filled in place where populators are forbidden', async () => {
	const dataVolume = await create({storageClass: 'standard', annotations: {[annotations.usePopulator]: 'false'}});
	const claim = await claimOf(dataVolume);
	await bind(api, claim);
	const worker = await podCalled(dataVolume.metadata.namespace ?? '', importerPodName(claim.metadata.uid ?? ''));
	expect(mountsOf(worker)).toEqual(['disk']);
});

test('a failure that is final is told, though the claim is bound', async () => {
	const dataVolume = await create();
	const claim = await claimOf(dataVolume);
	await bind(api, claim);
	const worker = await podCalled(dataVolume.metadata.namespace ?? '', importerPodName(claim.metadata.uid ?? ''));
	await report(worker, {outcome: 'failed', reason: 'SourceNotFound', retryable: false, message: '404'});
	await inPhase(dataVolume, 'Failed');
	expect((await claimOf(dataVolume)).metadata.annotations).not.toHaveProperty([annotations.populated]);
});

test('a worker goes with a claim that its owner deletes midway', async () => {
	const dataVolume = await create();
	const claim = await claimOf(dataVolume);
	await bind(api, claim);
	const worker = await podCalled(dataVolume.metadata.namespace ?? '', importerPodName(claim.metadata.uid ?? ''));
	// It has the finalizer that protects it as long as a Pod uses it.
	await api.delete(resources.persistentVolumeClaims, claim.metadata);
	await untilGone('the worker', () => api.find(resources.pods, worker.metadata));
	expect((await claimOf(dataVolume)).metadata.deletionTimestamp).toBeDefined();
});

describe('a clone', () => {
	async function makeGolden(): Promise<PersistentVolumeClaim> {
		const namespace = await makeNamespace(api);
		await allowPods(api, namespace);
		return makeBoundClaim(api, {namespace, name: 'golden'});
	}

	test('from another namespace is sent from there with one key, and leaves no clone source on either side', async () => {
		const golden = await makeGolden();
		const {namespace: images = ''} = golden.metadata;
		const dataVolume = await create({source: {pvc: {namespace: images, name: 'golden'}}});
		const {namespace = '', uid = ''} = dataVolume.metadata;
		const claim = await claimOf(dataVolume);
		expect(claim.metadata.annotations).toMatchObject({
			[annotations.cloneType]: 'copy',
			[annotations.cloneFallbackReason]: expect.stringMatching(/^NoPopulator: /),
			[annotations.dataSourceNamespace]: images,
		});
		await inPhase(dataVolume, 'CloneScheduled');
		await bind(api, claim);
		const sender = await podCalled(images, senderPodName(claim.metadata.uid ?? ''));
		expect(mountsOf(sender)).toEqual(['golden']);
		await report(sender);
		const receiver = await podCalled(namespace, copierPodName(claim.metadata.uid ?? ''));
		expect(mountsOf(receiver)).toEqual(['disk']);
		const keys = await Promise.all(
			[images, namespace].map(async (where) => (await api.list(resources.secrets, {namespace: where})).items),
		);
		expect(keys.map((secrets) => secrets.map(({metadata}) => metadata.ownerReferences?.[0]?.kind))).toEqual([
			['VolumeCloneSource'],
			['VolumeCloneSource'],
		]);
		expect(keys[0]?.[0]?.data).toEqual(keys[1]?.[0]?.data);
		await report(receiver);
		await inPhase(dataVolume, 'CloneInProgress');
		await report(receiver, succeeded);
		await inPhase(dataVolume, 'Succeeded');
		for (const pod of [sender, receiver]) await untilGone('a worker', () => api.find(resources.pods, pod.metadata));
		for (const where of [images, namespace]) {
			const name = cloneSourceName(uid);
			await untilGone('a clone source', () => api.find(resources.volumeCloneSources, {namespace: where, name}));
		}
	});

	test('waits for a source that is bound and still being filled', async () => {
		const golden = await create();
		const {namespace = ''} = golden.metadata;
		const source = await claimOf(golden);
		await bind(api, source);
		const worker = await podCalled(namespace, importerPodName(source.metadata.uid ?? ''));
		const clone = await api.create(resources.dataVolumes, {
			...golden,
			metadata: {namespace, name: 'clone'},
			spec: {...golden.spec, source: {pvc: {namespace, name: 'disk'}}},
		});
		await waitForDataVolume(api, clone, ({status}) =>
			(status?.conditions ?? []).some(({message = ''}) => message.includes('is still being filled')),
		);
		await report(worker, succeeded);
		await inPhase(golden, 'Succeeded');
		expect((await claimOf(clone)).metadata.annotations?.[annotations.fillFrom]).toMatch(/^VolumeCloneSource\//);
	});
});

test('a claim with a dataSourceRef is not filled: whoever mounts it would see it empty', async () => {
	const namespace = await makeNamespace(api);
	const claim = await api.create(resources.persistentVolumeClaims, {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata: {namespace, name: 'bare'},
		spec: {
			accessModes: ['ReadWriteOnce'],
			storageClassName: 'not-csi',
			resources: {requests: {storage: '1Gi'}},
			dataSourceRef: {apiGroup: cdiGroup, kind: 'VolumeImportSource', name: 'import'},
		},
	});
	await until('it is told', async () => {
		const {items} = await api.list(resources.events, {namespace});
		return items.some(
			({reason, involvedObject}) => reason === 'StorageClassNotCsi' && involvedObject.uid === claim.metadata.uid,
		)
			? true
			: undefined;
	});
	await bind(api, claim);
	expect((await api.list(resources.pods, {namespace})).items).toEqual([]);
});
