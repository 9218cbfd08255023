/**
 * The controller, as a program, on an API server of its own: what it reports of DataVolumes that cannot go on, how it
 * begins the others, what it does without its admission policies, and who leads.
 *
 * There are no nodes and no storage: what they would do to objects, a test does itself.
 */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {findCondition} from '../../src/api/conditions.ts';
import type {DataVolume, DataVolumePhase} from '../../src/api/datavolume.ts';
import {importSourceName, importerPodName, primeClaimName} from '../../src/api/names.ts';
import {workerTaskVariable} from '../../src/api/worker-contract.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import * as resources from '../../src/kube/resources.ts';
import {type ControlPlane, startControlPlane} from '../cluster/control-plane.ts';
import {until} from '../cluster/until.ts';
import {waitForDataVolume} from '../support/data-volumes.ts';
import {allowPods, makeNamespace} from './cluster.ts';
import {type ControllerProcess, startController} from './controller-process.ts';
import {installManifests} from './onesnap.ts';
import {makeBoundClaim, makeStorage} from './storage.ts';

let dir: string;
let controlPlane: ControlPlane;
let api: KubeClient;
let controller: ControllerProcess;

beforeAll(async () => {
	dir = await mkdtemp(path.join(tmpdir(), 'onesnap-controller-'));
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

const image = {http: {url: 'http://images.example.com/disk.qcow2'}};
const gibibyte = {resources: {requests: {storage: '1Gi'}}};
const standard = {...gibibyte, storageClassName: 'standard'};

function create(namespace: string, spec: object, name = 'disk'): Promise<DataVolume> {
	const metadata = {namespace, name};
	return api.create(resources.dataVolumes, {apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata, spec});
}

const boundOf = ({status}: DataVolume) => findCondition(status?.conditions, 'Bound');
const readyOf = ({status}: DataVolume) => findCondition(status?.conditions, 'Ready');

interface Refused {
	readonly what: string;
	readonly spec: object;
	readonly phase: DataVolumePhase;
	readonly reason: string;
	readonly message: string;
}

const later = (kind: string, source: object): Refused => ({
	what: `a source of kind ${kind}`,
	spec: {source: {[kind]: source}, storage: standard},
	phase: 'Failed',
	reason: 'NotSupported',
	message: `spec.source.${kind} is not supported yet`,
});

const refused: readonly Refused[] = [
	later('s3', {url: 'https://s3.example.com/bucket/object'}),
	later('gcs', {url: 'https://storage.example.com/bucket/object'}),
	later('registry', {url: 'docker://registry.example.com/image'}),
	later('imageio', {url: 'https://engine.example.com/api', diskId: '1'}),
	later('vddk', {url: 'https://vcenter.example.com', uuid: '1', backingFile: 'a', thumbprint: 'b', secretRef: 'c'}),
	later('upload', {}),
	{
		what: 'a DataSource that does not exist',
		spec: {
			sourceRef: {kind: 'DataSource', namespace: 'default', name: 'fedora'},
			storage: {storageClassName: 'standard'},
		},
		phase: 'Pending',
		reason: 'CloneWithoutSource',
		message: "The DataSource default/fedora doesn't exist",
	},
	{
		what: 'an archive on a device',
		spec: {source: image, contentType: 'archive', storage: {...standard, volumeMode: 'Block'}},
		phase: '',
		reason: 'ErrClaimNotValid',
		message: 'ContentType Archive cannot have block volumeMode',
	},
	{
		what: 'a storage class that does not exist',
		spec: {source: image, storage: {...gibibyte, storageClassName: 'other'}},
		phase: '',
		reason: 'ErrClaimNotValid',
		message: 'StorageClass "other" does not exist; the cluster has: late, not-csi, not-csi-late, standard',
	},
	{
		what: 'no storage class where there is no default',
		spec: {source: image, storage: gibibyte},
		phase: '',
		reason: 'ErrClaimNotValid',
		message: 'PVC spec is missing accessMode and no storageClass to choose profile',
	},
	{
		what: 'a source claim that does not exist',
		spec: {source: {pvc: {namespace: 'default', name: 'golden'}}, storage: standard},
		phase: 'Pending',
		reason: 'CloneWithoutSource',
		message: "The source pvc default/golden doesn't exist",
	},
	{
		what: 'a source claim that does not exist, and no size',
		spec: {source: {pvc: {namespace: 'default', name: 'golden'}}, storage: {storageClassName: 'standard'}},
		phase: 'Pending',
		reason: 'CloneWithoutSource',
		message: "The source pvc default/golden doesn't exist",
	},
	{
		what: 'a source snapshot that does not exist',
		spec: {source: {snapshot: {namespace: 'default', name: 'golden'}}, storage: standard},
		phase: 'Pending',
		reason: 'CloneWithoutSource',
		message: "The source snapshot default/golden doesn't exist",
	},
];

describe.concurrent('a DataVolume that cannot go on says why', () => {
	test.each(refused)('$what', async ({spec, phase, reason, message}) => {
		const namespace = await makeNamespace(api);
		const dataVolume = await create(namespace, spec);
		const reported = await waitForDataVolume(api, dataVolume, (now) => boundOf(now)?.reason === reason, 20_000);
		expect(reported.status).toMatchObject({phase, progress: 'N/A'});
		expect(boundOf(reported)).toMatchObject({status: 'False', reason});
		expect(boundOf(reported)?.message).toContain(message);
		expect(readyOf(reported)?.status).toBe('False');
		await until('the event', async () => {
			const {items} = await api.list(resources.events, {namespace, fieldSelector: 'involvedObject.kind=DataVolume'});
			return items.some((event) => event.reason === reason && event.message?.includes(message)) ? true : undefined;
		});
		if (reason === 'StorageClassNotCsi') return;
		expect((await api.list(resources.persistentVolumeClaims, {namespace})).items).toEqual([]);
		expect((await api.list(resources.volumeImportSources, {namespace})).items).toEqual([]);
	});
});

describe.concurrent('a clone waits', () => {
	test('for a source claim that is not bound, and then for its size', async () => {
		const namespace = await makeNamespace(api);
		const source = {pvc: {namespace, name: 'golden'}};
		const dataVolume = await create(namespace, {source, storage: standard});
		await waitForDataVolume(api, dataVolume, (now) => boundOf(now)?.reason === 'CloneWithoutSource');
		await api.create(resources.persistentVolumeClaims, {
			apiVersion: 'v1',
			kind: 'PersistentVolumeClaim',
			metadata: {namespace, name: 'golden'},
			spec: {accessModes: ['ReadWriteOnce'], storageClassName: 'late', resources: {requests: {storage: '1Gi'}}},
		});
		const waiting = await waitForDataVolume(api, dataVolume, (now) => boundOf(now)?.reason === 'CloneSourceNotReady');
		expect(waiting.status?.phase).toBe('CloneScheduled');
		expect(boundOf(waiting)?.message).toBe(`The source pvc ${namespace}/golden is not bound yet`);
	});

	test('where it is smaller than its source', async () => {
		const namespace = await makeNamespace(api);
		await makeBoundClaim(api, {namespace, name: 'golden', storage: '5Gi'});
		const source = {pvc: {namespace, name: 'golden'}};
		const pvc = {...standard, accessModes: ['ReadWriteOnce']};
		const dataVolume = await create(namespace, {source, pvc});
		const waiting = await waitForDataVolume(api, dataVolume, (now) => boundOf(now)?.reason === 'CloneValidationFailed');
		expect(boundOf(waiting)?.message).toContain('size is smaller than the source 1Gi < 5Gi');
	});

	test('CDI §13.6: where a claim of its name is of somebody else, until that is gone', async () => {
		const namespace = await makeNamespace(api);
		const claim = await makeBoundClaim(api, {namespace, name: 'disk'});
		const dataVolume = await create(namespace, {source: image, storage: {...gibibyte, storageClassName: 'late'}});
		const waiting = await waitForDataVolume(api, dataVolume, (now) => boundOf(now)?.reason === 'ErrResourceExists');
		expect(boundOf(waiting)?.message).toContain('exists already and is not of this DataVolume');
		await api.mergePatch(resources.persistentVolumeClaims, claim.metadata, {metadata: {finalizers: null}});
		await api.delete(resources.persistentVolumeClaims, claim.metadata);
		await waitForDataVolume(api, dataVolume, ({status}) => status?.phase === 'PendingPopulation');
	});

	test('for a quota', async () => {
		const namespace = await makeNamespace(api);
		const quotas = {group: '', version: 'v1', plural: 'resourcequotas', kind: 'ResourceQuota', namespaced: true};
		const hard = {persistentvolumeclaims: '0'};
		const quota = {apiVersion: 'v1', kind: 'ResourceQuota', metadata: {namespace, name: 'none'}, spec: {hard}};
		await api.create(quotas, quota);
		// What the controller manager would write.
		await api.mergePatchStatus(quotas, quota.metadata, {status: {hard, used: {persistentvolumeclaims: '0'}}} as object);
		const dataVolume = await create(namespace, {source: image, storage: standard});
		const waiting = await waitForDataVolume(api, dataVolume, (now) => boundOf(now)?.reason === 'ErrExceededQuota');
		expect(boundOf(waiting)?.message).toContain('exceeded quota: none');
		expect(waiting.status?.phase).toBe('Pending');
	});
});

test('an import is begun with a source object, a claim that waits for it, a prime claim and a restricted Pod', async () => {
	const namespace = await makeNamespace(api);
	await allowPods(api, namespace);
	const dataVolume = await create(namespace, {source: image, storage: standard});
	await waitForDataVolume(api, dataVolume, ({status}) => status?.phase === 'ImportScheduled');
	const sourceName = importSourceName(dataVolume.metadata.uid ?? '');
	const source = await api.get(resources.volumeImportSources, {namespace, name: sourceName});
	expect(source).toMatchObject({spec: {source: image}, metadata: {ownerReferences: [{name: 'disk'}]}});
	const claim = await api.get(resources.persistentVolumeClaims, dataVolume.metadata);
	expect(claim.spec.dataSourceRef).toMatchObject({kind: 'VolumeImportSource', name: sourceName});
	const uid = claim.metadata.uid ?? '';
	const prime = await api.get(resources.persistentVolumeClaims, {namespace, name: primeClaimName(uid)});
	expect(prime.spec).toMatchObject({storageClassName: 'standard', resources: claim.spec.resources});
	expect(prime.spec.dataSourceRef).toBeUndefined();
	const pod = await until('the worker', () => api.find(resources.pods, {namespace, name: importerPodName(uid)}));
	const [container] = pod.spec.containers;
	const task: unknown = JSON.parse(container?.env?.find(({name}) => name === workerTaskVariable)?.value ?? '');
	expect(task).toMatchObject({source: {kind: 'http', ...image.http}, ownerUid: uid, requestedBytes: '1138166334'});
	await api.delete(resources.dataVolumes, dataVolume.metadata);
});

test('a disk whose class waits for a consumer is left alone until one has a node', async () => {
	const namespace = await makeNamespace(api);
	const dataVolume = await create(namespace, {source: image, storage: {...gibibyte, storageClassName: 'late'}});
	const waiting = await waitForDataVolume(api, dataVolume, ({status}) => status?.phase === 'PendingPopulation');
	expect(waiting.status?.claimName).toBe('disk');
	const claim = await api.get(resources.persistentVolumeClaims, dataVolume.metadata);
	const prime = {namespace, name: primeClaimName(claim.metadata.uid ?? '')};
	expect(await api.find(resources.persistentVolumeClaims, prime)).toBeUndefined();
	const selected = {'volume.kubernetes.io/selected-node': 'node-1'};
	await api.mergePatch(resources.persistentVolumeClaims, claim.metadata, {metadata: {annotations: selected}});
	const made = await until('the prime claim', () => api.find(resources.persistentVolumeClaims, prime));
	expect(made.metadata.annotations).toMatchObject(selected);
});

describe('without an admission policy', () => {
	const policy = {name: 'onesnap-clone-authorization'};
	const binding = resources.validatingAdmissionPolicyBindings;

	test('clones from other namespaces are refused, also when it comes back, unless they are made again', async () => {
		const [namespace, elsewhere] = [await makeNamespace(api), await makeNamespace(api)];
		const spec = {source: {pvc: {namespace: elsewhere, name: 'golden'}}, storage: standard};
		const before = await create(namespace, spec, 'before');
		await waitForDataVolume(api, before, (now) => boundOf(now)?.reason === 'CloneWithoutSource');
		const {apiVersion, kind, ...installed} = await api.get(binding, policy);
		await api.delete(binding, policy);
		const dataVolume = await create(namespace, spec, 'clone');
		const own = await create(namespace, {...spec, source: {pvc: {namespace, name: 'golden'}}}, 'own');
		const waiting = await waitForDataVolume(api, dataVolume, (now) => boundOf(now)?.reason === 'CloneNotAuthorized');
		expect(waiting.status?.phase).toBe('Pending');
		expect(boundOf(waiting)?.message).toBe(
			'Clones from other namespaces are refused because ValidatingAdmissionPolicyBinding onesnap-clone-authorization is not installed: apply manifests/base/clone-authorization.yaml',
		);
		await waitForDataVolume(api, own, (now) => boundOf(now)?.reason === 'CloneWithoutSource');
		// Timestamps have seconds: what is made within one cannot be told apart.
		await until('the next second', async () => {
			const created = Date.parse(dataVolume.metadata.creationTimestamp ?? '');
			return Date.now() >= created + 1000 ? true : undefined;
		});
		await api.create(binding, {...installed, apiVersion, kind, metadata: policy});
		await waitForDataVolume(
			api,
			dataVolume,
			(now) => boundOf(now)?.message?.includes('is younger than this DataVolume') === true,
		);
		const again = await create(namespace, spec, 'again');
		await waitForDataVolume(api, again, (now) => boundOf(now)?.reason === 'CloneWithoutSource');
	});
});

describe('of two replicas', () => {
	const lease = () => api.get(resources.leases, {namespace: 'onesnap', name: 'onesnap-controller'});
	const leads = (identity: string) =>
		until(`${identity} leads`, async () =>
			(await lease()).spec?.holderIdentity?.startsWith(`${identity}_`) ? true : undefined,
		);
	const works = async () => {
		const dataVolume = await create(await makeNamespace(api), {source: image, storage: standard});
		await waitForDataVolume(api, dataVolume, ({status}) => status?.phase === 'ImportScheduled');
		await api.delete(resources.dataVolumes, dataVolume.metadata);
	};

	test('the second takes over when the first stops, and when it is killed', async () => {
		await leads('first');
		await using second = await startController(controlPlane.kubeconfig, 'second');
		await leads('first');
		const startedMs = performance.now();
		expect(await controller.end('SIGTERM')).toBe(0);
		// Although DataVolumes wait, which it would have looked at again in a minute.
		expect(performance.now() - startedMs).toBeLessThan(10_000);
		await leads('second');
		await works();
		controller = await startController(controlPlane.kubeconfig, 'third');
		await second.end('SIGKILL');
		await leads('third');
		await works();
		expect(controller.log()).not.toContain('"level":"fatal"');
	});
});
