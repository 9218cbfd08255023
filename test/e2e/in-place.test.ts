/** A class whose provisioner is no CSI driver: claims are bound first and filled then, and the DataVolume says when. */
import {beforeAll, describe, expect, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {Pod} from '../../src/api/kubernetes.ts';
import {annotations, cdiGroup, importerPodName, labels} from '../../src/api/names.ts';
import * as resources from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {waitForDataVolume, waitForSucceeded} from '../support/data-volumes.ts';
import {onDisk, removePod, startDiskPod} from '../support/disk-pod.ts';
import {startImageServer} from '../support/image-server.ts';
import {
	api,
	bindImmediate,
	claimOf,
	context,
	createDataVolume,
	deleteWithoutTrace,
	digest,
	httpSource,
	images,
	immutable,
	local,
	makeNamespace,
	pvcSource,
	untilNoByproducts,
} from './world.ts';

/** In the middle of it for many seconds. */
const crawl = {bytesPerSecond: 1024 ** 2};
const slowServer = () =>
	startImageServer({host: context.hostAddress, files: {'/disk.raw': images.raw.file}, behaviour: crawl});

/** As KubeVirt's stand-in: a Pod that mounts the claim, does nothing with it, and so decides where it is. */
function standIn({metadata: {namespace = '', name}}: DataVolume): Promise<Pod> {
	return startDiskPod(api, {namespace, claim: name, image: context.workerImage, script: 'sleep 600'});
}

function workerOf(dataVolume: DataVolume): Promise<Pod> {
	const {namespace} = dataVolume.metadata;
	return until('a worker', async () => {
		const {metadata} = await claimOf(dataVolume);
		return api.find(resources.pods, {namespace, name: importerPodName(metadata.uid ?? '')});
	});
}

/** Secrets go with what they were needed for, not with the claim, which stays. */
async function untilNoSecrets(namespace: string): Promise<void> {
	await until(`no Secrets in ${namespace}`, async () => {
		const {items} = await api.list(resources.secrets, {namespace, labelSelector: labels.targetUid});
		return items.length === 0 ? true : undefined;
	});
}

if (local) {
	const storageClass = local.storageClasses.notCsi;
	let goldens: string;
	let team: string;
	let folder: DataVolume;
	let csi: DataVolume;

	beforeAll(async () => {
		[goldens, team] = await Promise.all([makeNamespace('golden'), makeNamespace('team')]);
		const wanted = {namespace: goldens, source: httpSource(images.qcow2.path)};
		[folder, csi] = await Promise.all([
			createDataVolume({...wanted, name: 'folder', storageClass, annotations: bindImmediate}),
			createDataVolume({...wanted, name: 'csi', annotations: immutable}),
		]);
		await waitForSucceeded(api, [folder, csi]);
		return async () => {
			for (const namespace of [goldens, team]) {
				await untilNoByproducts(namespace);
				await untilNoSecrets(namespace);
			}
		};
	});

	describe.concurrent('on a class that is not CSI', () => {
		test('KubeVirt §1.4 WaitForFirstConsumer: the consumer binds the claim, which is filled then, also by a worker that is killed', async () => {
			await using server = await slowServer();
			const source = {http: {url: `${server.url}/disk.raw`}};
			const dataVolume = await createDataVolume({namespace: team, name: 'late', source, storageClass});
			const waiting = await waitForDataVolume(api, dataVolume, ({status}) => status?.phase === 'WaitForFirstConsumer');
			expect(waiting.status?.claimName).toBe('late');
			expect((await claimOf(dataVolume)).status?.phase).toBe('Pending');
			const consumer = await standIn(dataVolume);
			const worker = await workerOf(dataVolume);
			expect((await claimOf(dataVolume)).status?.phase).toBe('Bound');
			const filling = await waitForDataVolume(api, dataVolume, ({status}) => status?.phase === 'ImportInProgress');
			expect(filling.status?.conditions).toEqual(
				expect.arrayContaining([
					expect.objectContaining({type: 'Bound', status: 'True'}),
					expect.objectContaining({type: 'Ready', status: 'False'}),
				]),
			);
			// KubeVirt removes it as soon as the phase is another one.
			await removePod(api, consumer);
			await until('some bytes', async () => (server.bytesServed('/disk.raw') > 4 * 1024 ** 2 ? true : undefined));
			server.behave('/disk.raw', {});
			await api.delete(resources.pods, worker.metadata, {gracePeriodSeconds: 0});
			await waitForSucceeded(api, [dataVolume]);
			expect((await claimOf(dataVolume)).metadata.annotations?.[annotations.podPhase]).toBe('Succeeded');
			expect(await digest(dataVolume)).toBe(images.raw.rawSha256);
		});

		test('a blank disk is made at once where its owner asks for that', async () => {
			const wanted = {namespace: team, name: 'blank', source: {blank: {}}, size: '32Mi'};
			const dataVolume = await createDataVolume({...wanted, storageClass, annotations: bindImmediate});
			await waitForSucceeded(api, [dataVolume]);
			expect(await digest(dataVolume, 1)).toBe('6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d');
		});

		test.each([
			['within a namespace', () => ({namespace: goldens, source: pvcSource(folder)})],
			['from another namespace', () => ({namespace: team, source: pvcSource(folder)})],
			['from a CSI class in another namespace', () => ({namespace: team, source: pvcSource(csi)})],
		])('a clone %s is copied', async (where, wanted) => {
			const name = where.replaceAll(' ', '-').toLowerCase();
			const clone = await createDataVolume({...wanted(), name, storageClass, annotations: bindImmediate});
			await waitForSucceeded(api, [clone]);
			const {annotations: told = {}} = (await claimOf(clone)).metadata;
			expect(told[annotations.cloneType]).toBe('copy');
			expect(told[annotations.cloneFallbackReason]).toMatch(/^NoPopulator: In tree storage class does not support/);
			expect(await digest(clone)).toBe(images.qcow2.rawSha256);
		});

		test('a clone from there to a CSI class is copied', async () => {
			const clone = await createDataVolume({namespace: team, name: 'to-csi', source: pvcSource(folder)});
			await waitForSucceeded(api, [clone]);
			expect((await claimOf(clone)).metadata.annotations?.[annotations.cloneFallbackReason]).toMatch(/^SourceNotCsi: /);
			expect(await digest(clone)).toBe(images.qcow2.rawSha256);
		});

		test('a DataVolume that is deleted while its claim is filled leaves nothing', async () => {
			await using server = await slowServer();
			const namespace = await makeNamespace('gone');
			const source = {http: {url: `${server.url}/disk.raw`}};
			const wanted = {namespace, name: 'disk', source, storageClass, annotations: bindImmediate};
			const dataVolume = await createDataVolume(wanted);
			await until('some bytes', async () => (server.bytesServed('/disk.raw') > 1024 ** 2 ? true : undefined));
			await deleteWithoutTrace(dataVolume);
		});

		test('a claim with a dataSourceRef is bound empty by such a provisioner, and is not filled behind its user', async () => {
			const metadata = {namespace: team, name: 'bare'};
			await api.create(resources.volumeImportSources, {
				apiVersion: 'cdi.kubevirt.io/v1beta1',
				kind: 'VolumeImportSource',
				metadata,
				spec: {source: {blank: {}}},
			});
			const claim = await api.create(resources.persistentVolumeClaims, {
				apiVersion: 'v1',
				kind: 'PersistentVolumeClaim',
				metadata,
				spec: {
					accessModes: ['ReadWriteOnce'],
					storageClassName: storageClass,
					resources: {requests: {storage: '16Mi'}},
					dataSourceRef: {apiGroup: cdiGroup, kind: 'VolumeImportSource', name: 'bare'},
				},
			});
			const script = 'ls /data | wc -l > /dev/termination-log';
			expect(await onDisk(api, {namespace: team, claim: 'bare', image: context.workerImage, script})).toBe('0');
			const {items} = await api.list(resources.events, {namespace: team});
			const ofClaim = items.filter(({involvedObject: {uid}}) => uid === claim.metadata.uid);
			expect(ofClaim.map(({reason}) => reason)).toContain('StorageClassNotCsi');
			await api.delete(resources.persistentVolumeClaims, metadata);
			await api.delete(resources.volumeImportSources, metadata);
		});
	});
}
