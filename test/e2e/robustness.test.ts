/** What goes wrong in the middle: workers, controllers and sources that go away, people who change their minds. */
import {beforeAll, describe, expect, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {Pod} from '../../src/api/kubernetes.ts';
import {annotations, copierPodName, importerPodName, labels} from '../../src/api/names.ts';
import {assignmentOf} from '../../src/datavolume/requests.ts';
import * as resources from '../../src/kube/resources.ts';
import {assignmentTo} from '../../src/smartclone/requests.ts';
import {ensureLocalCluster} from '../cluster/cluster.ts';
import {until} from '../cluster/until.ts';
import {waitForSucceeded} from '../support/data-volumes.ts';
import {type ImageServer, startImageServer} from '../support/image-server.ts';
import {cutsOf, storedSnapshotsOf} from './journal.ts';
import {
	api,
	claimOf,
	context,
	createDataVolume,
	deleteWithoutTrace,
	digest,
	handleOf,
	httpSource,
	images,
	immutable,
	kubectl,
	local,
	makeNamespace,
	makeStorageClass,
	pvcSource,
	runOn,
	untilNoByproducts,
	sweptMs,
} from './world.ts';

/** Slow enough to be in the middle of it for many seconds. */
const crawl = {bytesPerSecond: 1024 ** 2};

const slowServer = (): Promise<ImageServer> =>
	startImageServer({host: context.hostAddress, files: {'/disk.raw': images.raw.file}, behaviour: crawl});

const slowSource = (server: ImageServer) => ({http: {url: `${server.url}/disk.raw`}});

/** As soon as the worker of this DataVolume's claim is there: a copy of a small disk may be over before anybody says that it runs. */
async function workerOf(
	dataVolume: DataVolume,
	nameOf: (claimUid: string) => string,
	namespace = dataVolume.metadata.namespace,
): Promise<Pod> {
	return until(
		'a worker',
		async () => {
			const claim = await claimOf(dataVolume);
			return api.find(resources.pods, {namespace, name: nameOf(claim.metadata.uid ?? '')});
		},
		{intervalMs: 20},
	);
}

async function untilNothingSharedOf(namespace: string): Promise<void> {
	await until('no shared snapshot', async () => {
		const {items} = await api.list(resources.sharedSnapshots);
		return items.some(({spec}) => spec.source.namespace === namespace) ? undefined : true;
	});
	await untilNoByproducts(namespace);
}

describe.concurrent('an import', () => {
	test('whose worker is killed begins again and ends right', async () => {
		await using server = await slowServer();
		const namespace = await makeNamespace('kill');
		const dataVolume = await createDataVolume({namespace, name: 'disk', source: slowSource(server)});
		const worker = await workerOf(dataVolume, importerPodName);
		await until('some bytes', async () => (server.bytesServed('/disk.raw') > 4 * 1024 ** 2 ? true : undefined));
		server.behave('/disk.raw', {});
		await api.delete(resources.pods, worker.metadata, {gracePeriodSeconds: 0});
		await waitForSucceeded(api, [dataVolume]);
		expect(await digest(dataVolume)).toBe(images.raw.rawSha256);
		await untilNoByproducts(namespace);
	});

	test('whose connection breaks again and again ends right', async () => {
		await using server = await startImageServer({
			host: context.hostAddress,
			files: {'/disk.qcow2': images.qcow2.file},
			behaviour: {times: 3, cutAfterBytes: 100_000},
		});
		const namespace = await makeNamespace('cut');
		const source = {http: {url: `${server.url}/disk.qcow2`}};
		const dataVolume = await createDataVolume({namespace, name: 'disk', source});
		await waitForSucceeded(api, [dataVolume]);
		expect(await digest(dataVolume)).toBe(images.qcow2.rawSha256);
	});

	test('that is deleted in the middle leaves nothing', async () => {
		await using server = await slowServer();
		const namespace = await makeNamespace('delete');
		const dataVolume = await createDataVolume({namespace, name: 'disk', source: slowSource(server)});
		await until('some bytes', async () => (server.bytesServed('/disk.raw') > 1024 ** 2 ? true : undefined));
		await deleteWithoutTrace(dataVolume);
	});
});

describe('clones', () => {
	let namespace: string;
	let golden: DataVolume;

	beforeAll(async () => {
		namespace = await makeNamespace('golden');
		golden = await createDataVolume({namespace, name: 'golden', source: httpSource(images.qcow2.path)});
		await waitForSucceeded(api, [golden]);
	});

	const burst = (team: string, count: number, storageClass?: string) =>
		Promise.all(
			Array.from({length: count}, (_, index) =>
				createDataVolume({
					namespace: index % 2 === 0 ? team : namespace,
					name: `${team}-${index}`,
					source: pvcSource(golden),
					...(storageClass && {storageClass}),
				}),
			),
		);

	/** A Pod that could write: nothing is kept for later clones then. */
	async function endSharing(): Promise<void> {
		await runOn(golden, 'true');
		await untilNothingSharedOf(namespace);
	}

	test('that are deleted in the middle of a copy leave nothing, here and in the namespace of their source', async () => {
		const team = await makeNamespace('copy');
		const source = pvcSource(golden);
		const clone = await createDataVolume({namespace: team, name: 'copy', source, volumeMode: 'Block'});
		await workerOf(clone, copierPodName, namespace);
		await deleteWithoutTrace(clone);
		await endSharing();
	});

	test('whose SharedSnapshot somebody takes away with force leave nothing of it', async () => {
		const goldens = await makeNamespace('force-golden');
		const team = await makeNamespace('force');
		const annotations = immutable;
		const kept = await createDataVolume({namespace: goldens, name: 'kept', source: pvcSource(golden), annotations});
		await waitForSucceeded(api, [kept]);
		const clone = await createDataVolume({namespace: team, name: 'clone', source: pvcSource(kept)});
		await waitForSucceeded(api, [clone]);
		const {items} = await api.list(resources.sharedSnapshots);
		const shared = items.find(({spec}) => spec.source.namespace === goldens);
		if (!shared) throw new Error('no shared snapshot is kept');
		await kubectl('patch', 'shs', shared.metadata.name, '--type=merge', '-p', '{"metadata":{"finalizers":null}}');
		await kubectl('delete', 'shs', shared.metadata.name);
		await until('nothing of it is left', async () => {
			const labelSelector = `${labels.sharedSnapshotUid}=${shared.metadata.uid}`;
			const snapshots = await api.list(resources.volumeSnapshots, {labelSelector});
			const contents = await api.list(resources.volumeSnapshotContents, {labelSelector});
			return snapshots.items.length + contents.items.length === 0 ? true : undefined;
		});
		if (local) expect(await storedSnapshotsOf(await handleOf(kept))).toEqual([]);
		expect(await digest(clone)).toBe(images.qcow2.rawSha256);
	});

	test.each<[string, (clone: DataVolume) => Promise<boolean>]>([
		[
			'when they have their snapshot',
			async ({metadata}) =>
				(await api.get(resources.dataVolumes, metadata)).metadata.annotations?.[annotations.sharedSnapshot] !==
				undefined,
		],
		[
			'while they are restored',
			async ({metadata}) => (await api.find(resources.persistentVolumeClaims, metadata)) !== undefined,
		],
	])(
		'that are deleted %s leave nothing',
		async (_, isSo) => {
			const team = await makeNamespace('clone');
			const clone = await createDataVolume({namespace: team, name: 'clone', source: pvcSource(golden)});
			await until('the moment', async () => ((await isSo(clone)) ? true : undefined), {intervalMs: 20});
			await deleteWithoutTrace(clone);
			await endSharing();
			if (!local) return;
			const handle = await handleOf(golden);
			await until(
				'the storage has no snapshot of it',
				async () => ((await storedSnapshotsOf(handle)).length === 0 ? true : undefined),
				{timeoutMs: sweptMs},
			);
		},
		2 * sweptMs,
	);

	test('all are made, of at most two snapshots, when every controller is killed in the middle', async () => {
		const cutsBefore = local ? await cutsOf(await handleOf(golden)) : 0;
		const team = await makeNamespace('killed');
		const clones = await burst(team, 8);
		await until('a shared snapshot', async () =>
			(await api.list(resources.sharedSnapshots)).items.some(({spec}) => spec.source.namespace === namespace)
				? true
				: undefined,
		);
		const selector = 'app.kubernetes.io/name=onesnap-controller';
		await kubectl('delete', 'pod', '-n', 'onesnap', '-l', selector, '--grace-period=0', '--force', '--wait=false');
		await waitForSucceeded(api, clones);
		await endSharing();
		await untilNoByproducts(team);
		if (local) expect((await cutsOf(await handleOf(golden))) - cutsBefore).toBeLessThanOrEqual(2);
		const digests = await Promise.all(clones.slice(0, 3).map((clone) => digest(clone)));
		expect(digests).toEqual(digests.map(() => images.qcow2.rawSha256));
	});

	if (local) {
		test('that have their snapshot are made although the golden DataVolume is deleted, and then the snapshot goes', async () => {
			// One restore at a time, and none gets done: most of them have not begun when their source goes away.
			const storageClass = await makeStorageClass('window', {annotations: {[annotations.restoreWindow]: '1'}});
			const handle = await handleOf(golden);
			const cluster = await ensureLocalCluster();
			const team = await makeNamespace('orphans');
			await cluster.stopDaemon('csi-provisioner-reflink');
			let clones: readonly DataVolume[];
			try {
				clones = await burst(team, 6, storageClass);
				await until('every clone has a snapshot that is cut', async () => {
					const shared = (await api.list(resources.sharedSnapshots)).items;
					const current = shared.filter(({status}) => status?.state === 'Current').map((each) => assignmentTo(each));
					const now = await Promise.all(clones.map(({metadata}) => api.get(resources.dataVolumes, metadata)));
					const assigned = now.map((clone) => assignmentOf(clone));
					return assigned.every((name) => name !== undefined && current.includes(name)) ? true : undefined;
				});
				await api.delete(resources.dataVolumes, golden.metadata);
				await until('the golden claim is gone', async () =>
					(await api.find(resources.persistentVolumeClaims, golden.metadata)) ? undefined : true,
				);
			} finally {
				await cluster.startDaemon('csi-provisioner-reflink');
			}
			await waitForSucceeded(api, clones, 120_000);
			await untilNothingSharedOf(namespace);
			expect(await digest(clones.at(-1) ?? golden)).toBe(images.qcow2.rawSha256);
			await until('the storage has no snapshot of it', async () =>
				(await storedSnapshotsOf(handle)).length === 0 ? true : undefined,
			);
		});
	}
});
