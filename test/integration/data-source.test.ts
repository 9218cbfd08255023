/**
 * DataSources, and the DataVolumes that are made from them, with the controller as a program on an API server of its own:
 * what a DataSource says of itself, what a reference waits for, that a clone in flight stays what it was begun as, and
 * that no reference leads where its user may not clone.
 */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {findCondition} from '../../src/api/conditions.ts';
import type {DataSource, DataSourceSource} from '../../src/api/data-source.ts';
import type {DataVolume} from '../../src/api/datavolume.ts';
import {annotations} from '../../src/api/names.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import * as resources from '../../src/kube/resources.ts';
import {type ControlPlane, startControlPlane} from '../cluster/control-plane.ts';
import {until} from '../cluster/until.ts';
import {waitForDataVolume} from '../support/data-volumes.ts';
import {makeNamespace} from './cluster.ts';
import {type ControllerProcess, startController} from './controller-process.ts';
import {answerTo, grant, installManifests, makeClientAs} from './onesnap.ts';
import {cut, makeBoundClaim, makeSnapshotClass, makeStorage, nextSnapshot} from './storage.ts';

let dir: string;
let controlPlane: ControlPlane;
let api: KubeClient;
let controller: ControllerProcess;

beforeAll(async () => {
	dir = await mkdtemp(path.join(tmpdir(), 'onesnap-data-source-'));
	controlPlane = await startControlPlane({dir});
	await installManifests(controlPlane.kubeconfig);
	api = new KubeClient({connection: connect(controlPlane.kubeconfig), fieldManager: 'test'});
	await makeStorage(api);
	await makeSnapshotClass(api);
	controller = await startController(controlPlane.kubeconfig, 'sources');
});

afterAll(async () => {
	await controller.end('SIGKILL');
	api.close();
	await controlPlane.stop();
	await rm(dir, {recursive: true, force: true});
});

const cdi = 'cdi.kubevirt.io/v1beta1';

function makeDataSource(namespace: string, name: string, source: DataSourceSource, more: object = {}) {
	const metadata = {namespace, name, ...more};
	return api.create(resources.dataSources, {apiVersion: cdi, kind: 'DataSource', metadata, spec: {source}});
}

/** Whoever changes it, at whatever version: as kubectl patch does. */
const point = ({metadata}: DataSource, source: object) =>
	api.mergePatch(resources.dataSources, metadata, {spec: {source}} as object);

const readyOf = ({status}: DataSource) => findCondition(status?.conditions, 'Ready');

function untilReady({metadata}: DataSource, reason = 'Ready') {
	return until(`DataSource ${metadata.name} says ${reason}`, async () => {
		const now = await api.get(resources.dataSources, metadata);
		return readyOf(now)?.reason === reason ? now : undefined;
	});
}

interface Wanted {
	readonly namespace: string;
	/** Of the DataSource `os`. Default: its own. */
	readonly from?: string;
	readonly name?: string;
}

const standard = {storageClassName: 'standard', resources: {requests: {storage: '1Gi'}}};

function referring({namespace, from, name = 'disk'}: Wanted): DataVolume {
	const sourceRef = {kind: 'DataSource', name: 'os', ...(from !== undefined && {namespace: from})};
	return {apiVersion: cdi, kind: 'DataVolume', metadata: {namespace, name}, spec: {sourceRef, storage: standard}};
}

const create = (wanted: Wanted, client = api) => client.create(resources.dataVolumes, referring(wanted));
const boundOf = ({status}: DataVolume) => findCondition(status?.conditions, 'Bound');
const untilSays = (dataVolume: DataVolume, text: string) =>
	waitForDataVolume(api, dataVolume, (now) => boundOf(now)?.message?.includes(text) === true, 30_000);

const untilClaim = ({metadata}: DataVolume) =>
	until(`the claim of ${metadata.name}`, () => api.find(resources.persistentVolumeClaims, metadata));

describe.concurrent('a DataSource', () => {
	test('KubeVirt §1.3: says what it comes to and that it is ready in one write, and drops nothing of others', async () => {
		const namespace = await makeNamespace(api);
		const others = {
			labels: {mine: 'yes'},
			annotations: {note: 'kept'},
			finalizers: ['example.com/mine'],
			ownerReferences: [
				{apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: '11111111-1111-1111-1111-111111111111'},
			],
		};
		const dataSource = await makeDataSource(namespace, 'os', {pvc: {namespace, name: 'golden'}}, others);
		expect(readyOf(await untilReady(dataSource, 'NotFound'))).toMatchObject({
			status: 'False',
			message: 'PVC not found',
		});
		const seen: DataSource[] = [];
		const stop = new AbortController();
		const watching = (async () => {
			const events = api.watch(resources.dataSources, {namespace, signal: stop.signal});
			for await (const event of events) if (event.type !== 'BOOKMARK') seen.push(event.object);
		})().catch(() => {});
		const golden = await makeBoundClaim(api, {namespace, name: 'golden'});
		const ready = await untilReady(dataSource);
		expect(readyOf(ready)).toMatchObject({status: 'True', message: 'DataSource is ready to be consumed'});
		expect(ready.metadata).toMatchObject(others);
		stop.abort();
		await watching;
		for (const each of seen) {
			if (readyOf(each)?.status === 'True') expect(each.status?.source).toEqual({pvc: {namespace, name: 'golden'}});
		}
		const label = {'instancetype.kubevirt.io/default-instancetype': 'u1.small'};
		await api.mergePatch(resources.persistentVolumeClaims, golden.metadata, {metadata: {labels: label}});
		await until('the label', async () => {
			const {metadata} = await api.get(resources.dataSources, dataSource.metadata);
			return metadata.labels?.['instancetype.kubevirt.io/default-instancetype'] ? true : undefined;
		});
		expect((await api.get(resources.dataSources, dataSource.metadata)).metadata).toMatchObject({
			...others,
			labels: {...others.labels, ...label},
		});
		await api.mergePatch(resources.dataSources, dataSource.metadata, {metadata: {finalizers: []}});
	});

	test('CDI §9: has the phase of the DataVolume that fills its claim as its reason', async () => {
		const namespace = await makeNamespace(api);
		const dataSource = await makeDataSource(namespace, 'os', {pvc: {namespace, name: 'golden'}});
		const http = {url: 'http://images.example.com/disk.qcow2'};
		await api.create(resources.dataVolumes, {
			apiVersion: cdi,
			kind: 'DataVolume',
			metadata: {namespace, name: 'golden'},
			spec: {source: {http}, storage: {...standard, storageClassName: 'late'}},
		});
		const waiting = await untilReady(dataSource, 'PendingPopulation');
		expect(readyOf(waiting)?.message).toBe('Import DataVolume phase PendingPopulation');
	});

	test('KubeVirt §1.3: of a DataSource has the source of that one, and follows it', async () => {
		const namespace = await makeNamespace(api);
		const reference = await makeDataSource(namespace, 'os', {dataSource: {namespace, name: 'stable'}});
		await untilReady(reference, 'NotFound');
		const snapshot = {apiVersion: 'snapshot.storage.k8s.io/v1', kind: 'VolumeSnapshot'};
		const source = {persistentVolumeClaimName: 'golden'};
		const cutOf = await api.create(resources.volumeSnapshots, {
			...{...snapshot, metadata: {namespace, name: 'golden', labels: {'kubevirt.io/os': 'linux'}}},
			spec: {source, volumeSnapshotClassName: 'snapshots'},
		});
		const stable = await makeDataSource(namespace, 'stable', {snapshot: {namespace, name: 'golden'}});
		await untilReady(reference, 'SnapshotNotReady');
		await api.mergePatchStatus(resources.volumeSnapshots, cutOf.metadata, {status: {readyToUse: true}});
		const ready = await untilReady(reference);
		expect(ready.status?.source).toEqual({snapshot: {namespace, name: 'golden'}});
		expect(ready.metadata.labels).toEqual({'kubevirt.io/os': 'linux'});
		await point(stable, {snapshot: null, pvc: {namespace, name: 'other'}});
		const moved = await untilReady(reference, 'NotFound');
		expect(moved.status?.source).toEqual({pvc: {namespace, name: 'other'}});
		await point(stable, {pvc: null, dataSource: {namespace, name: 'os'}});
		const tooDeep = await untilReady(reference, 'MaxReferenceDepthReached');
		expect(tooDeep.status?.source).toBeUndefined();
	});
});

describe.concurrent('a DataVolume with a sourceRef', () => {
	test('waits for its DataSource, for what that names, and goes on by itself', async () => {
		const namespace = await makeNamespace(api);
		const dataVolume = await create({namespace});
		const waiting = await untilSays(dataVolume, `The DataSource ${namespace}/os doesn't exist`);
		expect(waiting.status?.phase).toBe('Pending');
		expect(boundOf(waiting)?.reason).toBe('CloneWithoutSource');
		const dataSource = await makeDataSource(namespace, 'os', {});
		await untilSays(dataVolume, 'leads to no source: No source PVC set');
		await point(dataSource, {pvc: {namespace, name: 'golden'}});
		await untilSays(dataVolume, `The source pvc ${namespace}/golden doesn't exist`);
		const golden = await makeBoundClaim(api, {namespace, name: 'golden'});
		await cut(api, await nextSnapshot(api, golden), golden);
		const claim = await untilClaim(dataVolume);
		expect(claim.metadata.annotations).not.toHaveProperty(annotations.resolvedSource);
		const made = await api.get(resources.dataVolumes, dataVolume.metadata);
		expect(made.spec).toEqual(dataVolume.spec);
	});

	test('stays what it was begun as when the DataSource moves; the next one is made from what there is then', async () => {
		const namespace = await makeNamespace(api);
		const golden = await makeBoundClaim(api, {namespace, name: 'golden'});
		const later = await makeBoundClaim(api, {namespace, name: 'later'});
		const dataSource = await makeDataSource(namespace, 'os', {pvc: {namespace, name: 'golden'}});
		const first = await create({namespace, name: 'first'});
		const snapshot = await nextSnapshot(api, golden);
		await point(dataSource, {pvc: {namespace, name: 'later'}});
		const second = await create({namespace, name: 'second'});
		const other = await nextSnapshot(api, later);
		await cut(api, snapshot, golden);
		await cut(api, other, later);
		const claim = await untilClaim(first);
		expect(claim.spec.dataSource?.name).toBe(snapshot.metadata.name);
		expect((await untilClaim(second)).spec.dataSource?.name).toBe(other.metadata.name);
		await api.delete(resources.dataSources, dataSource.metadata);
		// Something that makes the controller look again.
		await api.mergePatch(resources.dataVolumes, first.metadata, {metadata: {labels: {looked: 'again'}}});
		await waitForDataVolume(api, first, ({status}) => status?.phase === 'CloneFromSnapshotSourceInProgress');
		expect((await api.get(resources.persistentVolumeClaims, first.metadata)).metadata.uid).toBe(claim.metadata.uid);
	});

	test('takes what the DataSource names now where what it named before is gone and nothing was made of it', async () => {
		const namespace = await makeNamespace(api);
		const dataSource = await makeDataSource(namespace, 'os', {pvc: {namespace, name: 'missing'}});
		const dataVolume = await create({namespace});
		await untilSays(dataVolume, `The source pvc ${namespace}/missing doesn't exist`);
		const golden = await makeBoundClaim(api, {namespace, name: 'golden'});
		await point(dataSource, {pvc: {namespace, name: 'golden'}});
		await nextSnapshot(api, golden);
	});

	test('restores a snapshot', async () => {
		const namespace = await makeNamespace(api);
		const golden = await makeBoundClaim(api, {namespace, name: 'golden'});
		const snapshot = await api.create(resources.volumeSnapshots, {
			apiVersion: 'snapshot.storage.k8s.io/v1',
			kind: 'VolumeSnapshot',
			metadata: {namespace, name: 'image'},
			spec: {source: {persistentVolumeClaimName: 'golden'}, volumeSnapshotClassName: 'snapshots'},
		});
		await makeDataSource(namespace, 'os', {snapshot: {namespace, name: 'image'}});
		const dataVolume = await create({namespace});
		await untilSays(dataVolume, 'is not ready to use');
		await cut(api, snapshot, golden);
		expect((await untilClaim(dataVolume)).spec.dataSource).toMatchObject({kind: 'VolumeSnapshot', name: 'image'});
	});

	test('of another namespace clones what is there, and what that is is written on it', async () => {
		const [namespace, images] = [await makeNamespace(api), await makeNamespace(api)];
		const golden = await makeBoundClaim(api, {namespace: images, name: 'golden'});
		await makeDataSource(images, 'os', {pvc: {namespace: images, name: 'golden'}});
		const dataVolume = await create({namespace, from: images});
		await cut(api, await nextSnapshot(api, golden), golden);
		await until('the alias', async () =>
			(await api.list(resources.volumeSnapshots, {namespace})).items.length > 0 ? true : undefined,
		);
		const {annotations: written} = (await api.get(resources.dataVolumes, dataVolume.metadata)).metadata;
		expect(written?.[annotations.resolvedSource]).toBe(
			`${dataVolume.metadata.uid}/PersistentVolumeClaim/${images}/golden`,
		);
	});
});

describe.concurrent('a sourceRef leads to no claim that its user may not clone', () => {
	const source = {apiGroups: ['cdi.kubevirt.io'], resources: ['datavolumes/source'], verbs: ['create']};

	/** A user who may do everything with DataVolumes and DataSources in a namespace, and clone from these. */
	async function makeUser(namespace: string, clonesFrom: readonly string[] = []) {
		const user = `user-of-${namespace}`;
		const own = {apiGroups: ['cdi.kubevirt.io'], resources: ['datavolumes', 'datasources'], verbs: ['*']};
		await grant(api, {namespace, user, rules: [own]});
		for (const from of clonesFrom) await grant(api, {namespace: from, user, rules: [source]});
		const client = makeClientAs(user, controlPlane.kubeconfig);
		// The authorizer learns of new roles by a watch of its own.
		await until('the roles of the user', async () => {
			for (const from of [namespace, ...clonesFrom]) {
				const asked = referring({namespace, from, name: 'asked'});
				const said = await answerTo(client.create(resources.dataVolumes, asked, {dryRun: true}));
				if (said !== 'admitted') return undefined;
			}
			return true;
		});
		return {user, client};
	}

	/** A namespace that nobody may clone from, with a claim and a snapshot that anybody would like to. */
	async function makeSecrets(): Promise<string> {
		const namespace = await makeNamespace(api);
		const claim = await makeBoundClaim(api, {namespace, name: 'secret'});
		const snapshot = await api.create(resources.volumeSnapshots, {
			apiVersion: 'snapshot.storage.k8s.io/v1',
			kind: 'VolumeSnapshot',
			metadata: {namespace, name: 'secret'},
			spec: {source: {persistentVolumeClaimName: 'secret'}, volumeSnapshotClassName: 'snapshots'},
		});
		await cut(api, snapshot, claim);
		return namespace;
	}

	/** Refused in these words, and nothing made of it: neither a claim, nor what one is made from. */
	async function expectRefused(dataVolume: DataVolume, secrets: string): Promise<void> {
		const refused = await untilSays(dataVolume, `nobody could ask whether you may clone from namespace ${secrets}`);
		expect(boundOf(refused)?.reason).toBe('CloneNotAuthorized');
		expect(refused.status?.phase).toBe('Pending');
		expect(refused.metadata.annotations ?? {}).not.toHaveProperty(annotations.resolvedSource);
		expect(await api.find(resources.persistentVolumeClaims, dataVolume.metadata)).toBeUndefined();
		expect((await api.list(resources.volumeSnapshots, {namespace: secrets})).items).toHaveLength(1);
		expect((await api.list(resources.volumeCloneSources, {namespace: secrets})).items).toEqual([]);
		expect((await api.list(resources.volumeSnapshots, {namespace: dataVolume.metadata.namespace ?? ''})).items).toEqual(
			[],
		);
	}

	test.each(['pvc', 'snapshot'] as const)(
		'a DataSource of the own namespace, made later by an admin, that names a %s elsewhere',
		async (kind) => {
			const [namespace, secrets] = [await makeNamespace(api), await makeSecrets()];
			const {client} = await makeUser(namespace);
			const dataVolume = await create({namespace}, client);
			await untilSays(dataVolume, "doesn't exist");
			await makeDataSource(namespace, 'os', {[kind]: {namespace: secrets, name: 'secret'}});
			await expectRefused(dataVolume, secrets);
			client.close();
		},
	);

	test('a DataSource of the user’s own making', async () => {
		const [namespace, secrets] = [await makeNamespace(api), await makeSecrets()];
		const {client} = await makeUser(namespace);
		await client.create(resources.dataSources, {
			apiVersion: cdi,
			kind: 'DataSource',
			metadata: {namespace, name: 'os'},
			spec: {source: {pvc: {namespace: secrets, name: 'secret'}}},
			// There is no status subresource: a user can write what we write.
			status: {source: {pvc: {namespace: secrets, name: 'secret'}}},
		});
		await expectRefused(await create({namespace}, client), secrets);
		client.close();
	});

	test('a DataSource of another namespace: only for who may clone there, and it leads to no third one later', async () => {
		const [namespace, images, secrets] = [await makeNamespace(api), await makeNamespace(api), await makeSecrets()];
		const dataSource = await makeDataSource(images, 'os', {pvc: {namespace: images, name: 'golden'}});
		const {user, client} = await makeUser(namespace, [images]);
		const dataVolume = await create({namespace, from: images}, client);
		await untilSays(dataVolume, `The source pvc ${images}/golden doesn't exist`);
		await point(dataSource, {pvc: {namespace: secrets, name: 'secret'}});
		await expectRefused(dataVolume, secrets);
		expect(await answerTo(create({namespace, from: secrets, name: 'direct'}, client))).toContain(
			`User ${user} has insufficient permissions in clone source namespace ${secrets}`,
		);
		client.close();
	});

	test('a chain of DataSources', async () => {
		const [namespace, images, secrets] = [await makeNamespace(api), await makeNamespace(api), await makeSecrets()];
		await makeDataSource(secrets, 'os', {pvc: {namespace: secrets, name: 'secret'}});
		const reference = await makeDataSource(images, 'os', {dataSource: {namespace: secrets, name: 'os'}});
		const {client} = await makeUser(namespace, [images]);
		const dataVolume = await create({namespace, from: images}, client);
		await untilSays(dataVolume, 'a DataSource can refer to one of its own namespace');
		await makeDataSource(images, 'next', {snapshot: {namespace: secrets, name: 'secret'}});
		await point(reference, {dataSource: {namespace: images, name: 'next'}});
		await expectRefused(dataVolume, secrets);
		client.close();
	});

	test('a record that was pointed elsewhere', async () => {
		const [namespace, images] = [await makeNamespace(api), await makeSecrets()];
		const dataSource = await makeDataSource(images, 'os', {pvc: {namespace: images, name: 'golden'}});
		// Made by somebody who may, and then in the hands of somebody who may not.
		const dataVolume = await create({namespace, from: images});
		const {user, client} = await makeUser(namespace);
		const {uid} = dataVolume.metadata;
		const record = (kind: string, where: string) => ({
			metadata: {annotations: {[annotations.resolvedSource]: `${uid}/${kind}/${where}/secret`}},
		});
		for (const kind of ['PersistentVolumeClaim', 'VolumeSnapshot']) {
			const said = await answerTo(client.mergePatch(resources.dataVolumes, dataVolume.metadata, record(kind, images)));
			expect(said).toContain(`User ${user} has insufficient permissions in clone source namespace ${images}`);
		}
		// Within the own namespace everybody may clone, and what else he writes there is his own affair.
		const own = record('PersistentVolumeClaim', namespace);
		expect(await answerTo(client.mergePatch(resources.dataVolumes, dataVolume.metadata, own))).toBe('admitted');
		const label = client.mergePatch(resources.dataVolumes, dataVolume.metadata, {metadata: {labels: {a: 'b'}}});
		expect(await answerTo(label)).toBe('admitted');
		// Out of reach of the reference, it counts for nothing, whoever wrote it.
		const secrets = await makeSecrets();
		await api.mergePatch(resources.dataVolumes, dataVolume.metadata, record('PersistentVolumeClaim', secrets));
		await point(dataSource, {pvc: {namespace: images, name: 'other'}});
		await untilSays(dataVolume, `The source pvc ${images}/other doesn't exist`);
		expect((await api.list(resources.volumeSnapshots, {namespace: secrets})).items).toHaveLength(1);
		client.close();
	});
});
