/** StorageProfiles, CDIConfig and the CDI object, kept by the controller as a program on an API server of its own. */
import {randomBytes} from 'node:crypto';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import type {Cdi, CdiConfig} from '../../src/api/cdi-config.ts';
import {findCondition} from '../../src/api/conditions.ts';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {Pod, StorageClass} from '../../src/api/kubernetes.ts';
import {annotations} from '../../src/api/names.ts';
import type {StorageProfile} from '../../src/api/storage-profile.ts';
import {version} from '../../src/api/version.ts';
import {workerTaskVariable} from '../../src/api/worker-contract.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import * as resources from '../../src/kube/resources.ts';
import {parseSets} from '../../src/storageprofile/known-provisioners.ts';
import {type ControlPlane, startControlPlane} from '../cluster/control-plane.ts';
import {until} from '../cluster/until.ts';
import {type ControllerProcess, startController} from './controller-process.ts';
import {installManifests} from './onesnap.ts';
import {waitForDataVolume} from '../support/data-volumes.ts';
import {makeNamespace} from './cluster.ts';
import {makeBoundClaim, makeSnapshotClass, makeStorage, nextSnapshot} from './storage.ts';

let dir: string;
let controlPlane: ControlPlane;
let api: KubeClient;
let controller: ControllerProcess;

beforeAll(async () => {
	dir = await mkdtemp(path.join(tmpdir(), 'onesnap-settings-'));
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

const config = {name: 'config'};
const getConfig = () => api.find(resources.cdiConfigs, config);

function untilConfig(what: string, is: (config: CdiConfig) => boolean): Promise<CdiConfig> {
	return until(`CDIConfig: ${what}`, async () => {
		const now = await getConfig();
		return now && is(now) ? now : undefined;
	});
}

function untilProfile(name: string, is: (profile: StorageProfile) => boolean): Promise<StorageProfile> {
	return until(`StorageProfile ${name}`, async () => {
		const now = await api.find(resources.storageProfiles, {name});
		return now && is(now) ? now : undefined;
	});
}

function makeClass(name: string, provisioner: string, given: Partial<StorageClass> = {}): Promise<StorageClass> {
	return api.create(resources.storageClasses, {
		apiVersion: 'storage.k8s.io/v1',
		kind: 'StorageClass',
		metadata: {name},
		provisioner,
		...given,
	});
}

async function metric(name: string): Promise<readonly string[]> {
	const text = await (await fetch(`${controller.url}/metrics`)).text();
	return text.split('\n').filter((line) => line.startsWith(name));
}

const editCdi = (spec: object) => api.mergePatch(resources.cdis, {name: 'cdi'}, {spec});
const editConfig = (spec: object) => api.mergePatch(resources.cdiConfigs, config, {spec});

describe('CDIConfig and CDI', () => {
	test('KubeVirt §2: CDIConfig is there with its status when the CDI object comes, and that says that it is available', async () => {
		const cdi = await until('the CDI object', async () => {
			const {items} = await api.list(resources.cdis);
			return items.find(({status}) => findCondition(status?.conditions, 'Available')?.status === 'True');
		});
		const made = await api.get(resources.cdiConfigs, config);
		expect(made.metadata.creationTimestamp).toBeDefined();
		expect(Number(made.metadata.resourceVersion)).toBeLessThan(Number(cdi.metadata.resourceVersion));
		expect(cdi).toMatchObject({metadata: {name: 'cdi'}, status: {phase: 'Deployed', observedVersion: `v${version}`}});
		expect((await api.list(resources.cdis)).items).toHaveLength(1);
		expect(made).toMatchObject({
			spec: {featureGates: ['HonorWaitForFirstConsumer']},
			status: {filesystemOverhead: {global: '0.06', storageClass: {late: '0.06', 'not-csi': '0.06', standard: '0.06'}}},
		});
		await until('the metric', async () =>
			(await metric('kubevirt_cdi_cr_ready')).includes('kubevirt_cdi_cr_ready 1') ? true : undefined,
		);
	});

	test('what is written into either counts, and the CDI object’s word is taken back with it', async () => {
		await editConfig({preallocation: true});
		await untilConfig('preallocation', ({status}) => status?.preallocation === true);
		await editCdi({config: {filesystemOverhead: {global: '0.1', storageClass: {late: '0'}}}});
		const both = await untilConfig('overheads', ({status}) => status?.filesystemOverhead?.global === '0.1');
		expect(both.spec).toMatchObject({preallocation: true, filesystemOverhead: {global: '0.1'}});
		expect(both.status?.filesystemOverhead?.storageClass).toMatchObject({late: '0', 'not-csi': '0.1', standard: '0.1'});
		await editConfig({filesystemOverhead: {global: '0.2'}});
		await untilConfig('the CDI object counts', ({spec}) => spec.filesystemOverhead?.global === '0.1');
		await editCdi({config: null});
		const then = await untilConfig('as before', ({spec}) => spec.filesystemOverhead === undefined);
		expect(then.status).toMatchObject({preallocation: true, filesystemOverhead: {global: '0.06'}});
		await editConfig({preallocation: null});
	});

	test('a class that comes has its overhead there, and goes with it', async () => {
		await makeClass('passing', 'example.com/passing');
		await untilConfig('the class', ({status}) => status?.filesystemOverhead?.storageClass?.['passing'] === '0.06');
		await api.delete(resources.storageClasses, {name: 'passing'});
		await untilConfig('no class', ({status}) => !('passing' in (status?.filesystemOverhead?.storageClass ?? {})));
	});

	test('where CDI’s operator was, the CDI object alone counts', async () => {
		await editConfig({preallocation: true});
		await api.mergePatch(resources.cdis, {name: 'cdi'}, {metadata: {annotations: {[annotations.configAuthority]: ''}}});
		await untilConfig('nothing else', ({spec}) => Object.keys(spec).length === 0);
		await api.mergePatch(
			resources.cdis,
			{name: 'cdi'},
			{metadata: {annotations: {[annotations.configAuthority]: null}}},
		);
		await untilConfig('the defaults', ({spec}) => spec.featureGates?.length === 1);
	});

	test('the object that is made by default gives way to one that somebody makes, and comes back', async () => {
		const names = async () => (await api.list(resources.cdis)).items.map(({metadata}) => metadata.name);
		const mine: Cdi = {apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'CDI', metadata: {name: 'mine'}, spec: {}};
		await api.create(resources.cdis, mine);
		await until('one', async () => ((await names()).join() === 'mine' ? true : undefined));
		await until('its status', async () =>
			(await api.get(resources.cdis, mine.metadata)).status?.phase === 'Deployed' ? true : undefined,
		);
		await api.delete(resources.cdis, mine.metadata);
		await until('the other', async () => ((await names()).join() === 'cdi' ? true : undefined));
	});

	test('CDIConfig that is deleted is made again, complete', async () => {
		await api.delete(resources.cdiConfigs, config);
		const made = await untilConfig('is back', () => true);
		expect(made.status?.filesystemOverhead?.global).toBe('0.06');
	});
});

describe('StorageProfiles', () => {
	test('CDI §13.8: every class has one, which says what is known of its provisioner', async () => {
		await makeClass('ceph', 'rook-ceph.rbd.csi.ceph.com');
		const profile = await untilProfile('ceph', ({status}) => status !== undefined);
		expect(profile).toMatchObject({
			spec: {},
			status: {
				storageClass: 'ceph',
				provisioner: 'rook-ceph.rbd.csi.ceph.com',
				cloneStrategy: 'csi-clone',
				dataImportCronSourceFormat: 'pvc',
			},
		});
		expect(profile.status?.claimPropertySets?.[0]).toEqual({accessModes: ['ReadWriteMany'], volumeMode: 'Block'});
		expect(findCondition(profile.status?.conditions, 'Recognized')).toMatchObject({
			status: 'True',
			reason: 'RecognizedProvisioner',
		});
		const [series] = (await metric('kubevirt_cdi_storageprofile_info')).filter((line) => line.includes('"ceph"'));
		expect(series).toMatch(/complete="true".*rwx="true",smartclone="true",degraded="false"\} 1$/);
	});

	test('of an unknown provisioner says so, and what the admin says counts', async () => {
		await makeClass('unknown', 'example.com/unknown');
		const first = await untilProfile('unknown', ({status}) => status !== undefined);
		expect(first.status).not.toHaveProperty('claimPropertySets');
		expect(findCondition(first.status?.conditions, 'Recognized')?.reason).toBe('UnrecognizedProvisioner');
		const spec = {
			claimPropertySets: [{accessModes: ['ReadWriteOnce'], volumeMode: 'Block'}],
			cloneStrategy: 'copy',
		} as const;
		await api.mergePatch(resources.storageProfiles, {name: 'unknown'}, {spec});
		const then = await untilProfile('unknown', ({status}) => status?.claimPropertySets !== undefined);
		expect(then.spec).toEqual(spec);
		expect(then.status).toMatchObject(spec);
	});

	test('have a snapshot class, and clone by it, as soon as there is one', async () => {
		await untilProfile('standard', ({status}) => status?.cloneStrategy === 'copy');
		await makeSnapshotClass(api);
		const profile = await untilProfile('standard', ({status}) => status?.snapshotClass === 'snapshots');
		expect(profile.status?.cloneStrategy).toBe('snapshot');
	});

	test('go with their class, whoever made them, and come back with it', async () => {
		const owned = await makeClass('owned', 'ebs.csi.aws.com', {parameters: {type: 'io2'}});
		const profile = await untilProfile('owned', ({status}) => status !== undefined);
		expect(profile.metadata.annotations?.[annotations.minimumSupportedPvcSize]).toBe('4Gi');
		expect(profile.metadata.ownerReferences).toMatchObject([{kind: 'StorageClass', uid: owned.metadata.uid}]);
		await api.delete(resources.storageClasses, owned.metadata);
		await makeClass('owned', 'ebs.csi.aws.com', {parameters: {type: 'gp3'}});
		const again = await untilProfile('owned', ({metadata}) => metadata.uid !== profile.metadata.uid);
		expect(again.metadata.annotations?.[annotations.minimumSupportedPvcSize]).toBe('1Gi');
		await api.delete(resources.storageClasses, owned.metadata);
		await until('it is gone', async () =>
			(await api.find(resources.storageProfiles, owned.metadata)) ? undefined : true,
		);
		expect((await metric('kubevirt_cdi_storageprofile_info')).filter((line) => line.includes('"owned"'))).toEqual([]);
	});

	test('that somebody makes before the class wait for it', async () => {
		const early: StorageProfile = {
			apiVersion: 'cdi.kubevirt.io/v1beta1',
			kind: 'StorageProfile',
			metadata: {name: 'early'},
			spec: {claimPropertySets: [{accessModes: ['ReadWriteMany'], volumeMode: 'Filesystem'}]},
		};
		const {metadata} = await api.create(resources.storageProfiles, early);
		await makeClass('early', 'example.com/early');
		const profile = await untilProfile('early', ({status}) => status !== undefined);
		expect(profile.metadata.uid).toBe(metadata.uid);
		expect(profile.status).toMatchObject({...early.spec, provisioner: 'example.com/early'});
	});
});

describe('a claim for spec.storage', () => {
	const source = {http: {url: 'http://images.example.com/disk.qcow2'}};
	const create = async (storage: object): Promise<DataVolume> => {
		const metadata = {namespace: await makeNamespace(api), name: 'disk'};
		const resources1Gi = {resources: {requests: {storage: '1Gi'}}};
		const spec = {source, storage: {...resources1Gi, ...storage}};
		return api.create(resources.dataVolumes, {
			apiVersion: 'cdi.kubevirt.io/v1beta1',
			kind: 'DataVolume',
			metadata,
			spec,
		});
	};
	const claimFor = async (storage: object) => {
		const {metadata} = await create(storage);
		return (await until('the claim', () => api.find(resources.persistentVolumeClaims, metadata))).spec;
	};
	const profile = (name: string, sets: string): StorageProfile => ({
		...{apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'StorageProfile', metadata: {name}},
		spec: {claimPropertySets: parseSets(sets)},
	});

	test('looks as the profile of its class says, and is as large as its overhead asks', async () => {
		await api.create(resources.storageProfiles, profile('shared', 'Xb Of'));
		await makeClass('shared', 'csi.example.com');
		expect(await claimFor({storageClassName: 'shared'})).toMatchObject({
			accessModes: ['ReadWriteMany'],
			volumeMode: 'Block',
			resources: {requests: {storage: '1Gi'}},
		});
		await editCdi({config: {filesystemOverhead: {global: '0.1', storageClass: {shared: '0.5'}}}});
		await untilConfig('the overhead', ({status}) => status?.filesystemOverhead?.storageClass?.['shared'] === '0.5');
		expect(await claimFor({storageClassName: 'shared', volumeMode: 'Filesystem'})).toMatchObject({
			accessModes: ['ReadWriteOnce'],
			resources: {requests: {storage: '1536Mi'}},
		});
		await editCdi({config: null});
	});

	test('is as large as its storage makes one', async () => {
		await makeClass('ebs', 'ebs.csi.aws.com', {parameters: {type: 'io1'}});
		expect(await claimFor({storageClassName: 'ebs'})).toMatchObject({
			...{accessModes: ['ReadWriteOnce'], volumeMode: 'Block', resources: {requests: {storage: '4Gi'}}},
		});
	});

	test('is not made where nobody knows how it could look, in CDI’s words, until somebody says it', async () => {
		await makeClass('strange', 'example.com/strange');
		const dataVolume = await create({storageClassName: 'strange'});
		const refused = await waitForDataVolume(
			api,
			dataVolume,
			({status}) => findCondition(status?.conditions, 'Bound')?.reason === 'ErrClaimNotValid',
		);
		expect(refused.status?.phase).toBe('');
		expect(findCondition(refused.status?.conditions, 'Bound')?.message).toBe(
			'no accessMode specified in StorageProfile strange',
		);
		const words = 'Spec is missing accessMode and volumeMode, cannot get access mode from StorageProfile strange';
		await until('the event', async () => {
			const {items} = await api.list(resources.events, {namespace: dataVolume.metadata.namespace});
			return items.some(({reason, message}) => reason === 'ErrClaimNotValid' && message === words) ? true : undefined;
		});
		await until('the metric', async () =>
			(await metric('kubevirt_cdi_datavolume_pending')).includes('kubevirt_cdi_datavolume_pending 1')
				? true
				: undefined,
		);
		await api.mergePatch(resources.storageProfiles, {name: 'strange'}, {spec: profile('', 'Ob').spec});
		const {spec} = await until('the claim', () => api.find(resources.persistentVolumeClaims, dataVolume.metadata));
		expect(spec).toMatchObject({accessModes: ['ReadWriteOnce'], volumeMode: 'Block'});
	});
});

describe('a worker Pod', () => {
	const importInto = async (namespace: string, name: string) => {
		const source = {http: {url: 'http://images.example.com/disk.qcow2'}};
		const storage = {resources: {requests: {storage: '1Gi'}}, storageClassName: 'standard'};
		const metadata = {namespace, name};
		const apiVersion = 'cdi.kubevirt.io/v1beta1';
		await api.create(resources.dataVolumes, {apiVersion, kind: 'DataVolume', metadata, spec: {source, storage}});
		return until('the worker', async () => {
			const {items} = await api.list(resources.pods, {namespace});
			return items.find(({metadata: {annotations: given}}) => given?.['onesnap.io/target-name'] === name);
		});
	};
	const taskOf = ({spec}: Pod): unknown =>
		JSON.parse(spec.containers[0]?.env?.find(({name}) => name === workerTaskVariable)?.value ?? '');

	test('is made as CDIConfig and the CDI object say', async () => {
		const namespace = await makeNamespace(api);
		// The controller manager would make it, and without it no Pod is admitted.
		const accounts = {group: '', version: 'v1', plural: 'serviceaccounts', kind: 'ServiceAccount', namespaced: true};
		await api.create(accounts, {apiVersion: 'v1', kind: 'ServiceAccount', metadata: {namespace, name: 'default'}});
		const plain = await importInto(namespace, 'plain');
		expect(plain.spec).toMatchObject({
			nodeSelector: {'kubernetes.io/os': 'linux'},
			containers: [{resources: {requests: {cpu: '100m', memory: '64Mi'}, limits: {memory: '600Mi'}}}],
		});
		const workload = {nodeSelector: {disks: 'fast'}, tolerations: [{key: 'disks', operator: 'Exists'}]};
		await editCdi({
			workload,
			config: {
				podResourceRequirements: {limits: {cpu: '2'}},
				imagePullSecrets: [{name: 'pull'}],
				preallocation: true,
				importProxy: {HTTPProxy: 'http://proxy.example.com:3128', noProxy: 'local'},
			},
		});
		await untilConfig('all of it', ({status}) => status?.importProxy !== undefined);
		const pod = await until('a worker that is placed', async () => {
			const made = await importInto(namespace, `told-${randomBytes(3).toString('hex')}`);
			// The CDI object and CDIConfig are watched apart, and come in any order.
			return made.spec.nodeSelector?.['disks'] ? made : undefined;
		});
		expect(pod.spec).toMatchObject({
			imagePullSecrets: [{name: 'pull'}],
			containers: [{resources: {requests: {cpu: '100m'}, limits: {cpu: '2', memory: '600Mi'}}}],
		});
		expect(pod.spec.tolerations).toEqual(expect.arrayContaining(workload.tolerations));
		expect(taskOf(pod)).toMatchObject({
			preallocation: true,
			source: {proxy: {http: 'http://proxy.example.com:3128/', noProxy: 'local'}},
		});
		await editCdi({config: null, workload: null});
		await untilConfig('nothing of it', ({spec}) => spec.importProxy === undefined);
	});
});

test('CDI §4.5: where the gate HonorWaitForFirstConsumer is shut, nothing waits for a consumer', async () => {
	const metadata = {namespace: await makeNamespace(api), name: 'disk'};
	const storage = {resources: {requests: {storage: '1Gi'}}, storageClassName: 'late'};
	const blank = (name: string) => {
		const spec = {source: {blank: {}}, storage};
		const object = {apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: {...metadata, name}, spec};
		return api.create(resources.dataVolumes, object);
	};
	const open = await blank('open');
	await waitForDataVolume(api, open, ({status}) => status?.phase === 'PendingPopulation');
	await editCdi({config: {featureGates: []}});
	await untilConfig('no gate', ({spec}) => spec.featureGates?.length === 0);
	const shut = await blank('shut');
	await waitForDataVolume(api, shut, ({status}) => status?.phase === 'ImportScheduled');
	const claim = await api.get(resources.persistentVolumeClaims, shut.metadata);
	expect(claim.metadata.annotations).toHaveProperty([annotations.bindImmediate], '');
	await editCdi({config: null});
	await untilConfig('the gate', ({spec}) => spec.featureGates?.length === 1);
});

test('CDI §5.2: clones go the way that an admin asks for, and are cut with the class that the profile names', async () => {
	const namespace = await makeNamespace(api);
	const golden = await makeBoundClaim(api, {namespace, name: 'golden'});
	const clone = (name: string) =>
		api.create(resources.dataVolumes, {
			apiVersion: 'cdi.kubevirt.io/v1beta1',
			kind: 'DataVolume',
			metadata: {namespace, name},
			spec: {
				source: {pvc: {namespace, name: 'golden'}},
				storage: {storageClassName: 'standard', resources: {requests: {storage: '2Gi'}}},
			},
		});
	const [first, second] = ['b-first', 'a-other'];
	for (const name of [first, second]) {
		await api.create(resources.volumeSnapshotClasses, {
			...{apiVersion: 'snapshot.storage.k8s.io/v1', kind: 'VolumeSnapshotClass', metadata: {name}},
			...{driver: 'csi.example.com', deletionPolicy: 'Delete'},
		});
	}
	await api.mergePatch(resources.storageProfiles, {name: 'standard'}, {spec: {snapshotClass: first}});
	await editCdi({cloneStrategyOverride: 'copy'});
	const copied = await until('a copy', async () => {
		const made = await clone(`copy-${randomBytes(3).toString('hex')}`);
		const claim = await until('its claim', () => api.find(resources.persistentVolumeClaims, made.metadata));
		return claim.metadata.annotations?.[annotations.cloneType] === 'copy' ? claim : undefined;
	});
	expect(copied.metadata.annotations?.[annotations.cloneFallbackReason]).toBe(
		'CloneStrategy: spec.cloneStrategyOverride of CDI cdi asks for copies',
	);
	await editCdi({cloneStrategyOverride: null});
	await clone('shared');
	const snapshot = await nextSnapshot(api, golden);
	expect(snapshot.spec.volumeSnapshotClassName).toBe(first);
	await api.mergePatch(resources.storageProfiles, {name: 'standard'}, {spec: {snapshotClass: null}});
	for (const name of [first, second]) await api.delete(resources.volumeSnapshotClasses, {name});
});

test.each([
	['create', 'cdiconfigs', undefined],
	['update', 'cdiconfigs', undefined],
	['create', 'cdis', undefined],
	['patch', 'cdis', undefined],
	['delete', 'cdis', undefined],
	['create', 'storageprofiles', undefined],
	['patch', 'storageprofiles', undefined],
	['patch', 'storageprofiles', 'status'],
	['delete', 'storageprofiles', undefined],
])('the role of the controller lets it %s %s %s', async (verb, resource, subresource) => {
	const user = 'system:serviceaccount:onesnap:onesnap-controller';
	const resourceAttributes = {verb, group: 'cdi.kubevirt.io', resource, subresource};
	const review = await api.post<{status: {allowed: boolean}}>('/apis/authorization.k8s.io/v1/subjectaccessreviews', {
		...{apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview'},
		spec: {user, resourceAttributes},
	});
	expect(review.status.allowed).toBe(true);
});

test('a controller that is killed after any of these writes is followed by one that ends the same', async () => {
	await controller.end('SIGKILL');
	await api.delete(resources.cdis, {name: 'cdi'});
	await api.mergePatch(resources.cdiConfigs, config, {status: null} as object);
	await api.delete(resources.storageProfiles, {name: 'standard'});
	controller = await startController(controlPlane.kubeconfig, 'second');
	await untilConfig('its status', ({status}) => status?.filesystemOverhead?.global === '0.06');
	await until('the CDI object', async () => {
		const {items} = await api.list(resources.cdis);
		return items.length === 1 && items[0]?.status?.phase === 'Deployed' ? true : undefined;
	});
	await untilProfile('standard', ({status}) => status?.snapshotClass === 'snapshots');
	expect(controller.log()).not.toContain('"level":"fatal"');
});
