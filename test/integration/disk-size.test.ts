/**
 * Clones that ask for no size are as large as the disk they are made from: known where onesnap wrote it, else looked for by one
 * Pod. The controller is a program on an API server of its own; what kubelet, provisioner and binder do, a test does itself.
 */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {beforeAll, describe, expect, test} from 'vitest';
import {findCondition} from '../../src/api/conditions.ts';
import type {DataVolume} from '../../src/api/datavolume.ts';
import {diskSizeAnnotations} from '../../src/api/disk-size.ts';
import type {KubeObject, PersistentVolumeClaim, Pod} from '../../src/api/kubernetes.ts';
import {annotations, importerPodName, primeClaimName, sizeDetectionPodName} from '../../src/api/names.ts';
import {type WorkerResult, workerTaskVariable} from '../../src/api/worker-contract.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import * as resources from '../../src/kube/resources.ts';
import {startControlPlane} from '../cluster/control-plane.ts';
import {until} from '../cluster/until.ts';
import {waitForDataVolume} from '../support/data-volumes.ts';
import {makeNamespace} from './cluster.ts';
import {startController} from './controller-process.ts';
import {installManifests} from './onesnap.ts';
import {bind, makeBoundClaim, makeStorage} from './storage.ts';

let api: KubeClient;
let kubeconfig: string;

beforeAll(async () => {
	const dir = await mkdtemp(path.join(tmpdir(), 'onesnap-disk-size-'));
	const controlPlane = await startControlPlane({dir});
	({kubeconfig} = controlPlane);
	await installManifests(kubeconfig);
	api = new KubeClient({connection: connect(kubeconfig), fieldManager: 'test'});
	await makeStorage(api);
	const controller = await startController(kubeconfig, 'only');
	return async () => {
		await controller.end('SIGKILL');
		api.close();
		await controlPlane.stop();
		await rm(dir, {recursive: true, force: true});
	};
});

const serviceAccounts: resources.Resource<KubeObject> = {
	group: '',
	version: 'v1',
	plural: 'serviceaccounts',
	kind: 'ServiceAccount',
	namespaced: true,
};

/** With the service account that the controller manager would make: without it no Pod is admitted. */
async function makeHome(): Promise<string> {
	const namespace = await makeNamespace(api);
	await api.create(serviceAccounts, {apiVersion: 'v1', kind: 'ServiceAccount', metadata: {namespace, name: 'default'}});
	return namespace;
}

function create(namespace: string, name: string, spec: object): Promise<DataVolume> {
	const metadata = {namespace, name};
	return api.create(resources.dataVolumes, {apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata, spec});
}

const cloneOf = (source: PersistentVolumeClaim, storage: object = {}) => ({
	source: {pvc: {namespace: source.metadata.namespace, name: source.metadata.name}},
	storage: {storageClassName: 'standard', ...storage},
});

/** As the kubelet reports a Pod that has ended. */
function end(pod: Pod, result: WorkerResult): Promise<Pod> {
	const terminated = {exitCode: 0, message: JSON.stringify(result)};
	const container = {name: pod.spec.containers[0]?.name ?? '', restartCount: 0, state: {terminated}};
	const complete = {...container, ready: false, image: 'worker', imageID: 'worker'};
	return api.mergePatchStatus(resources.pods, pod.metadata, {
		status: {phase: 'Succeeded', containerStatuses: [complete]},
	});
}

const sizePod = ({metadata}: PersistentVolumeClaim) =>
	until('the Pod that looks', () =>
		api.find(resources.pods, {
			namespace: metadata.namespace,
			name: sizeDetectionPodName(metadata.uid ?? ''),
		}),
	);
const claimOf = ({metadata}: DataVolume) =>
	until('the claim', () => api.find(resources.persistentVolumeClaims, metadata));
const live = ({metadata}: PersistentVolumeClaim) => api.get(resources.persistentVolumeClaims, metadata);
const requestOf = ({spec}: PersistentVolumeClaim) => spec.resources?.requests?.['storage'];
const boundOf = ({status}: DataVolume) => findCondition(status?.conditions, 'Bound');
const measuring = (dataVolume: DataVolume, words: string) =>
	waitForDataVolume(
		api,
		dataVolume,
		(now) => boundOf(now)?.reason === 'SizeDetectionPodNotReady' && boundOf(now)?.message?.includes(words) === true,
	);

const seen = (virtualBytes: bigint): WorkerResult => ({
	outcome: 'succeeded',
	message: 'seen',
	virtualBytes: virtualBytes.toString(),
});
const threeGibibytes = 3n << 30n;

describe.concurrent('a clone without a size', () => {
	test('CDI §5.7: of a disk that nobody knows waits for one Pod that looks, which is remembered and goes', async () => {
		const namespace = await makeHome();
		const golden = await makeBoundClaim(api, {namespace, name: 'golden', storage: '5Gi'});
		const copies = cloneOf(golden, {volumeMode: 'Block'});
		const clones = [await create(namespace, 'a', copies), await create(namespace, 'b', copies)];
		const pod = await sizePod(golden);
		for (const clone of clones) await measuring(clone, `Pod ${namespace}/${pod.metadata.name}`);
		const {items: claims} = await api.list(resources.persistentVolumeClaims, {namespace});
		expect(claims.map(({metadata}) => metadata.name)).toEqual(['golden']);
		await end(pod, seen(threeGibibytes));
		for (const clone of clones) {
			const claim = await claimOf(clone);
			expect(requestOf(claim)).toBe('3Gi');
			expect(claim.metadata.annotations).toMatchObject({[annotations.permissiveClone]: 'true'});
		}
		expect((await live(golden)).metadata.annotations).toMatchObject(diskSizeAnnotations(threeGibibytes, '5Gi'));
		await until('the Pod is gone', async () =>
			(await api.find(resources.pods, pod.metadata)) === undefined ? true : undefined,
		);
		// Smaller than the claim of their source, and begun all the same.
		await until('both are filled', async () => {
			const {items} = await api.list(resources.pods, {namespace});
			return items.filter(({metadata}) => metadata.name.endsWith('-source-pod')).length === 2 ? true : undefined;
		});
		const later = await create(namespace, 'later', copies);
		expect(requestOf(await claimOf(later))).toBe('3Gi');
		// Made by the driver, which makes it no smaller than what it makes it from.
		const shared = await create(namespace, 'by-driver', cloneOf(golden));
		expect(requestOf(await claimOf(shared))).toBe('5Gi');
		expect(await api.find(resources.pods, pod.metadata)).toBeUndefined();
	});

	test('is told why nobody could look, and goes on when somebody has', async () => {
		const namespace = await makeHome();
		const golden = await makeBoundClaim(api, {namespace, name: 'golden', storage: '2Gi'});
		const clone = await create(namespace, 'clone', cloneOf(golden));
		const first = await sizePod(golden);
		await end(first, {
			outcome: 'failed',
			reason: 'SourceVolumeInvalid',
			retryable: false,
			message: 'disk.img is no file.',
		});
		await measuring(clone, 'could not tell: disk.img is no file.');
		const second = await until('another Pod', async () => {
			const pod = await sizePod(golden);
			return pod.metadata.uid === first.metadata.uid ? undefined : pod;
		});
		await end(second, {outcome: 'succeeded', message: 'The claim has no disk.img.'});
		// Files without a disk: the capacity of their claim counts, which is not inflated.
		expect(requestOf(await claimOf(clone))).toBe('2Gi');
	});

	test('is told of a quota that takes no Pod', async () => {
		const namespace = await makeHome();
		const quotas = {group: '', version: 'v1', plural: 'resourcequotas', kind: 'ResourceQuota', namespaced: true};
		const hard = {pods: '0'};
		const quota = {apiVersion: 'v1', kind: 'ResourceQuota', metadata: {namespace, name: 'none'}, spec: {hard}};
		await api.create(quotas, quota);
		// What the controller manager would write.
		await api.mergePatchStatus(quotas, quota.metadata, {status: {hard, used: {pods: '0'}}} as object);
		const golden = await makeBoundClaim(api, {namespace, name: 'golden'});
		const clone = await create(namespace, 'clone', cloneOf(golden));
		await measuring(clone, 'exceeded quota: none');
	});

	test('of what a DataSource leads to waits likewise', async () => {
		const namespace = await makeHome();
		const golden = await makeBoundClaim(api, {namespace, name: 'golden', storage: '5Gi'});
		await api.create(resources.dataSources, {
			apiVersion: 'cdi.kubevirt.io/v1beta1',
			kind: 'DataSource',
			metadata: {namespace, name: 'latest'},
			spec: {source: {pvc: {namespace, name: 'golden'}}},
		});
		const clone = await create(namespace, 'clone', {
			sourceRef: {kind: 'DataSource', name: 'latest'},
			storage: {storageClassName: 'standard', volumeMode: 'Block'},
		});
		const pod = await sizePod(golden);
		await measuring(clone, `Pod ${namespace}/${pod.metadata.name}`);
		await end(pod, seen(threeGibibytes));
		expect(requestOf(await claimOf(clone))).toBe('3Gi');
	});

	test('of a disk that has grown with its claim is looked at again', async () => {
		const namespace = await makeHome();
		const stale = diskSizeAnnotations(threeGibibytes, '4Gi');
		const golden = await makeBoundClaim(api, {namespace, name: 'golden', storage: '5Gi', annotations: stale});
		const clone = await create(namespace, 'clone', cloneOf(golden));
		// As large as the whole claim: with what the file system needs it takes more.
		await end(await sizePod(golden), seen(5n << 30n));
		expect(requestOf(await claimOf(clone))).toBe('5690831668');
	});

	test.each<[string, Readonly<Record<string, string>>, object, string]>([
		['of an archive is as large as its claim', {[annotations.contentType]: 'archive'}, {}, '5Gi'],
		['that has one gets it', {}, {resources: {requests: {storage: '6Gi'}}}, '6828998001'],
		['of a disk that is known is at once', diskSizeAnnotations(threeGibibytes, '5Gi'), {volumeMode: 'Block'}, '3Gi'],
	])('%s', async (_, given, storage, request) => {
		const namespace = await makeHome();
		const golden = await makeBoundClaim(api, {namespace, name: 'golden', storage: '5Gi', annotations: given});
		const clone = await create(namespace, 'clone', cloneOf(golden, storage));
		expect(requestOf(await claimOf(clone))).toBe(request);
		const name = sizeDetectionPodName(golden.metadata.uid ?? '');
		expect(await api.find(resources.pods, {namespace, name})).toBeUndefined();
	});
});

test('an import leaves on its claim how large its disk is, so that no Pod has to look', async () => {
	const namespace = await makeHome();
	const http = {url: 'http://images.example.com/disk.qcow2'};
	const storage = {storageClassName: 'standard', resources: {requests: {storage: '1Gi'}}};
	const dataVolume = await create(namespace, 'disk', {source: {http}, storage});
	const uid = (await claimOf(dataVolume)).metadata.uid ?? '';
	const prime = await until('the prime claim', () =>
		api.find(resources.persistentVolumeClaims, {namespace, name: primeClaimName(uid)}),
	);
	await bind(api, prime);
	const pod = await until('the worker', () => api.find(resources.pods, {namespace, name: importerPodName(uid)}));
	const task: unknown = JSON.parse(
		pod.spec.containers[0]?.env?.find(({name}) => name === workerTaskVariable)?.value ?? '',
	);
	expect(task).toMatchObject({source: {kind: 'http'}});
	await end(pod, {...seen(1n << 30n), message: 'Imported'});
	const remembered = await until('what is remembered', async () => {
		const {metadata} = await api.get(resources.persistentVolumeClaims, dataVolume.metadata);
		return metadata.annotations?.[annotations.virtualSize] === undefined ? undefined : metadata.annotations;
	});
	expect(remembered).toMatchObject(diskSizeAnnotations(1n << 30n, requestOf(prime) ?? ''));
	await until('the volume is handed over', async () => {
		const {items} = await api.list(resources.persistentVolumes);
		return items.some(({spec}) => spec.claimRef?.uid === uid) ? true : undefined;
	});
});
