/**
 * The double of KubeVirt's virt-controller by itself, on a real API server: CDI and the kubelet are played by the tests. It
 * has to be as strict and as easily stalled as what it stands for, or scenarios with it would show nothing.
 */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import type {DataVolume, DataVolumePhase} from '../../src/api/datavolume.ts';
import type {KubeObject, PersistentVolumeClaim, Pod} from '../../src/api/kubernetes.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import * as resources from '../../src/kube/resources.ts';
import type {Resource} from '../../src/kube/resources.ts';
import {type ControlPlane, startControlPlane} from '../cluster/control-plane.ts';
import {until} from '../cluster/until.ts';
import {
	type DataSource,
	dataSources,
	type DataVolumeTemplate,
	definitions as all,
	storageProfiles,
} from '../kubevirt/api.ts';
import {installKubevirt} from '../kubevirt/install.ts';
import {Machines} from '../kubevirt/machines.ts';
import {VirtController} from '../kubevirt/virt-controller.ts';
import {makeNamespace as makeEmptyNamespace} from './cluster.ts';
import {grant, installManifests} from './onesnap.ts';

interface Definition extends KubeObject {
	readonly spec: {readonly versions: readonly object[]};
}
const definitions = {...all} as Resource<KubeObject> as Resource<Definition>;

let dir: string;
let controlPlane: ControlPlane;
let api: KubeClient;
let double: VirtController;
let machines: Machines;

const launcherImage = 'launcher.example.com/launcher:test';
const start = (startDeadlineMs?: number) =>
	VirtController.start({
		kubeconfig: controlPlane.kubeconfig,
		launcherImage,
		...(startDeadlineMs !== undefined && {startDeadlineMs}),
	});

beforeAll(async () => {
	dir = await mkdtemp(path.join(tmpdir(), 'onesnap-double-'));
	controlPlane = await startControlPlane({dir});
	api = new KubeClient({connection: connect(controlPlane.kubeconfig), fieldManager: 'test'});
	await installKubevirt(api);
	await expect(start()).rejects.toThrow('CDI is not installed');
	await installManifests(controlPlane.kubeconfig);
	double = await start();
	machines = new Machines(api, double);
});

afterAll(async () => {
	await double?.stop();
	api.close();
	await controlPlane.stop();
	await rm(dir, {recursive: true, force: true});
});

const serviceAccounts = {group: '', version: 'v1', plural: 'serviceaccounts', kind: 'ServiceAccount', namespaced: true};

/** Without a controller manager nobody makes the account that Pods want. */
async function makeNamespace(): Promise<string> {
	const namespace = await makeEmptyNamespace(api);
	const metadata = {namespace, name: 'default'};
	await api.create(serviceAccounts, {apiVersion: 'v1', kind: 'ServiceAccount', metadata});
	return namespace;
}

const blank = (name: string): DataVolumeTemplate => ({
	metadata: {name},
	spec: {source: {blank: {}}, storage: {resources: {requests: {storage: '1Gi'}}}},
});
const from = (name: string, spec: DataVolumeTemplate['spec']): DataVolumeTemplate => ({
	metadata: {name},
	spec: {...spec, storage: {resources: {requests: {storage: '1Gi'}}}},
});

function untilDataVolume(namespace: string, name: string): Promise<DataVolume> {
	return until(`DataVolume ${name}`, () => api.find(resources.dataVolumes, {namespace, name}));
}

/** As CDI reports. */
async function report({metadata}: DataVolume, phase: DataVolumePhase): Promise<void> {
	await api.mergePatchStatus(resources.dataVolumes, metadata, {status: {phase}});
}

/** As CDI makes it. */
function makeClaim({apiVersion, kind, metadata}: DataVolume): Promise<PersistentVolumeClaim> {
	const {namespace = '', name, uid = ''} = metadata;
	return api.create(resources.persistentVolumeClaims, {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata: {
			namespace,
			name,
			ownerReferences: [{apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true}],
		},
		spec: {accessModes: ['ReadWriteOnce'], storageClassName: 'fast', resources: {requests: {storage: '1Gi'}}},
	});
}

const bind = ({metadata}: PersistentVolumeClaim) =>
	api.mergePatchStatus(resources.persistentVolumeClaims, metadata, {
		status: {phase: 'Bound', capacity: {storage: '1Gi'}},
	});

function untilPod(namespace: string, isIt: (pod: Pod) => boolean = () => true): Promise<Pod> {
	return until('a launcher Pod', async () => (await api.list(resources.pods, {namespace})).items.find(isIt));
}

/** As a kubelet does. */
const runPod = ({metadata}: Pod) =>
	api.mergePatchStatus(resources.pods, metadata, {
		status: {phase: 'Running', conditions: [{type: 'Ready', status: 'True'}]},
	});

describe.concurrent('a VM', () => {
	test('comes up when its disk is done, restarts, and stops', async () => {
		const namespace = await makeNamespace();
		const vm = await machines.create({namespace, name: 'vm', templates: [blank('vm-root')]});
		const dataVolume = await untilDataVolume(namespace, 'vm-root');
		expect(dataVolume.metadata).toMatchObject({
			labels: {'kubevirt.io/created-by': vm.metadata.uid},
			annotations: {'cdi.kubevirt.io/allowClaimAdoption': 'true'},
			ownerReferences: [{kind: 'VirtualMachine', uid: vm.metadata.uid, controller: true}],
		});
		await report(dataVolume, 'ImportInProgress');
		await machines.untilStatus(vm, 'Provisioning');
		await bind(await makeClaim(dataVolume));
		await report(dataVolume, 'Succeeded');
		await machines.untilStatus(vm, 'Starting');
		const pod = await untilPod(namespace);
		expect(pod.spec.volumes).toEqual([{name: 'vm-root', persistentVolumeClaim: {claimName: 'vm-root'}}]);
		await runPod(pod);
		await machines.untilStatus(vm, 'Running');
		const restarted = machines.restart(vm);
		await runPod(await untilPod(namespace, ({metadata}) => metadata.uid !== pod.metadata.uid));
		await restarted;
		await machines.stop(vm);
		await machines.untilStatus(vm, 'Stopped');
		await machines.start(vm);
		await machines.untilStatus(vm, 'Starting');
		await machines.stop(vm);
		await machines.untilStatus(vm, 'Stopped');
	});

	test('is woken by its DataVolume, and not by a claim that is bound', async () => {
		const namespace = await makeNamespace();
		const vm = await machines.create({namespace, name: 'vm', templates: [blank('vm-root')]});
		const dataVolume = await untilDataVolume(namespace, 'vm-root');
		const claim = await makeClaim(dataVolume);
		await report(dataVolume, 'PendingPopulation');
		await machines.untilStatus(vm, 'WaitingForVolumeBinding');
		const pod = await untilPod(namespace);
		await machines.until(vm, 'is shown as it is', () => double.notes(`${namespace}/vm createPod`).length > 0);
		const before = double.notes(`VirtualMachine ${namespace}/vm is`);
		await bind(claim);
		// Another VM's whole beginning is long enough to be woken.
		await machines.create({namespace, name: 'other', templates: [blank('other-root')]});
		await untilDataVolume(namespace, 'other-root');
		expect(double.notes(`VirtualMachine ${namespace}/vm is`)).toEqual(before);
		await report(dataVolume, 'Succeeded');
		await machines.untilStatus(vm, 'Starting');
		await runPod(pod);
		await machines.untilStatus(vm, 'Running');
	});

	test('with a disk that waits for a consumer gets a Pod that only mounts, then a real one', async () => {
		const namespace = await makeNamespace();
		const vm = await machines.create({namespace, name: 'vm', templates: [blank('vm-root')]});
		const dataVolume = await untilDataVolume(namespace, 'vm-root');
		await makeClaim(dataVolume);
		await report(dataVolume, 'WaitForFirstConsumer');
		await machines.untilStatus(vm, 'WaitingForVolumeBinding');
		const temporary = await untilPod(namespace);
		expect(temporary.metadata.annotations).toHaveProperty('kubevirt.io/ephemeral-provisioning');
		await report(dataVolume, 'ImportInProgress');
		await until('it is gone', async () => ((await api.find(resources.pods, temporary.metadata)) ? undefined : true));
		await machines.untilStatus(vm, 'Provisioning');
		await report(dataVolume, 'Succeeded');
		const pod = await untilPod(namespace);
		expect(pod.metadata.annotations ?? {}).not.toHaveProperty('kubevirt.io/ephemeral-provisioning');
	});

	test('of a DataSource that points at another one waits for its status', async () => {
		const namespace = await makeNamespace();
		const sourceRef = {kind: 'DataSource', name: 'os'};
		const vm = await machines.create({namespace, name: 'vm', templates: [from('vm-root', {sourceRef})]});
		const failed = ({status}: typeof vm) =>
			status?.conditions?.some(({type, reason}) => type === 'Failure' && reason === 'FailedCreate') === true;
		await machines.until(vm, 'fails for want of a DataSource', failed);
		const dataSource: DataSource = {
			apiVersion: 'cdi.kubevirt.io/v1beta1',
			kind: 'DataSource',
			metadata: {namespace, name: 'os'},
			spec: {source: {dataSource: {namespace, name: 'os-latest'}}},
		};
		await api.create(dataSources, dataSource);
		await machines.until(vm, 'fails for want of its status', ({status}) =>
			JSON.stringify(status?.conditions).includes('neither a claim nor a snapshot'),
		);
		const pvc = {namespace, name: 'os-2026'};
		const status = {source: {pvc}};
		await api.mergePatch(dataSources, dataSource.metadata, {status});
		const {spec} = await untilDataVolume(namespace, 'vm-root');
		expect(spec.source).toEqual({pvc});
		expect(spec.sourceRef).toBeUndefined();
		await machines.until(vm, 'fails no more', (now) => !failed(now));
	});

	test('whose service account may not clone waits for the right to', async () => {
		const namespace = await makeNamespace();
		const golden = await makeNamespace();
		const template = from('vm-root', {source: {pvc: {namespace: golden, name: 'os'}}});
		const vm = await machines.create({namespace, name: 'vm', templates: [template]});
		await machines.until(vm, 'is denied', ({status}) =>
			JSON.stringify(status?.conditions).includes('insufficient permissions'),
		);
		const user = `system:serviceaccount:${namespace}:default`;
		const rules = [{apiGroups: ['cdi.kubevirt.io'], resources: ['datavolumes/source'], verbs: ['create']}];
		await grant(api, {namespace: golden, user, rules});
		await untilDataVolume(namespace, 'vm-root');
	});
});

describe('the double', () => {
	const storageProfile = {apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'StorageProfile', metadata: {name: 'wrong'}};

	/** As an older or a careless definition would: any object passes. */
	async function withoutSchema(work: () => Promise<void>): Promise<void> {
		const name = 'storageprofiles.cdi.kubevirt.io';
		const {spec} = await api.get<Definition>(definitions, {name});
		const anything = {type: 'object', 'x-kubernetes-preserve-unknown-fields': true};
		const versions = spec.versions.map((version) => ({...version, schema: {openAPIV3Schema: anything}}));
		await api.mergePatch<Definition>(definitions, {name}, {spec: {versions}});
		await work();
		await api.mergePatch<Definition>(definitions, {name}, {spec: {versions: spec.versions}});
	}

	test('ends with one object whose field has the wrong type, and does not begin with it', async () => {
		await withoutSchema(async () => {
			const another = await start();
			const wrong = {...storageProfile, spec: {claimPropertySets: {accessModes: 'ReadWriteOnce'}}};
			await until('the wrong object is taken', () => api.create<KubeObject>(storageProfiles, wrong));
			await until('the other double has ended', async () => {
				try {
					another.assertAlive();
					return undefined;
				} catch (error) {
					return String(error);
				}
			});
			expect(() => another.assertAlive()).toThrow('cannot decode StorageProfile wrong: spec.claimPropertySets');
			await another.stop();
			await expect(start()).rejects.toThrow('cannot decode StorageProfile wrong');
			await api.delete<KubeObject>(storageProfiles, wrong.metadata);
		});
	});
});
