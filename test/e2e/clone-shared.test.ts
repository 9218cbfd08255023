/** Clones of a golden claim whose owner says that it never changes: one snapshot for all of them, for good. */
import {beforeAll, describe, expect, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {annotations} from '../../src/api/names.ts';
import {parseQuantity} from '../../src/api/quantity.ts';
import type {VolumeSnapshot} from '../../src/api/snapshot.ts';
import * as resources from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {waitForSucceeded} from '../support/data-volumes.ts';
import {birthOf, cutsOf, storedSnapshotsOf} from './journal.ts';
import {
	api,
	claimOf,
	createDataVolume,
	digest,
	handleOf,
	httpSource,
	images,
	immutable,
	local,
	makeNamespace,
	makeStorageClass,
	pvcSource,
	read,
	runOn,
	untilEvents,
	untilNoByproducts,
	write,
} from './world.ts';

let namespaces: {readonly golden: string; readonly a: string; readonly b: string};
let golden: DataVolume;
let burst: readonly DataVolume[];

beforeAll(async () => {
	namespaces = {golden: await makeNamespace('golden'), a: await makeNamespace('a'), b: await makeNamespace('b')};
	golden = await createDataVolume({
		namespace: namespaces.golden,
		name: 'golden',
		source: httpSource(images.qcow2.path),
		annotations: immutable,
	});
	await waitForSucceeded(api, [golden]);
	const wanted = Object.values(namespaces).flatMap((namespace) =>
		['clone-1', 'clone-2'].map((name) => ({namespace, name, source: pvcSource(golden)})),
	);
	burst = await Promise.all(wanted.map(createDataVolume));
	await waitForSucceeded(api, burst);
});

/** In MiB, as the claim has it. */
async function capacityOf(dataVolume: DataVolume): Promise<number> {
	const capacity = parseQuantity((await claimOf(dataVolume)).status?.capacity?.['storage'] ?? '');
	return Number(capacity ?? 0n) / 1024 ** 2;
}

test('clones made at once, in three namespaces, all hold the image', async () => {
	const digests = await Promise.all(burst.map((clone) => digest(clone)));
	expect(digests).toEqual(burst.map(() => images.qcow2.rawSha256));
});

test('they say which way they went, and why the snapshot could serve them', async () => {
	for (const {metadata} of burst) {
		const clone = await api.get(resources.dataVolumes, metadata);
		expect(clone.status).toMatchObject({phase: 'Succeeded', progress: '100.0%'});
		expect(clone.metadata.annotations).toMatchObject({[annotations.cloneType]: 'snapshot'});
		expect((await claimOf(clone)).metadata.annotations?.[annotations.cloneFallbackReason]).toBeUndefined();
		await untilEvents(clone, {reason: 'CloneSucceeded', message: 'restored from shared snapshot '});
	}
});

test('what a clone in another namespace was restored from is gone there when it is done', async () => {
	await untilNoByproducts(namespaces.a);
	await untilNoByproducts(namespaces.b);
	const contents = (await api.list(resources.volumeSnapshotContents)).items;
	const inTeams = contents.filter(({spec}) => spec.volumeSnapshotRef.namespace !== namespaces.golden);
	expect(
		inTeams.filter(({spec}) => Object.values(namespaces).includes(spec.volumeSnapshotRef.namespace ?? '')),
	).toEqual([]);
});

test('a write to one clone is seen in no other disk', async () => {
	const [first, second, third] = burst;
	if (!first || !second || !third) throw new Error('too few clones');
	const words = 'written by one clone';
	await write(first, words);
	expect(await read(first, words.length)).toBe(words);
	for (const other of [golden, second, third]) expect(await digest(other)).toBe(images.qcow2.rawSha256);
});

describe.concurrent('a later clone', () => {
	test('that is larger has the size it asks for', async () => {
		const clone = await createDataVolume({
			namespace: namespaces.a,
			name: 'larger',
			source: pvcSource(golden),
			size: '1Gi',
		});
		await waitForSucceeded(api, [clone]);
		expect(await capacityOf(clone)).toBeGreaterThan(1024);
		expect(await digest(clone)).toBe(images.qcow2.rawSha256);
		const room = await runOn(clone, 'df --output=size -B1048576 /data | tail -1 > /dev/termination-log');
		expect(Number(room)).toBeGreaterThan(900);
	});

	test('without a size has that of its source', async () => {
		const clone = await createDataVolume({
			namespace: namespaces.b,
			name: 'same-size',
			source: pvcSource(golden),
			size: undefined,
		});
		await waitForSucceeded(api, [clone]);
		expect((await claimOf(clone)).status?.capacity).toEqual((await claimOf(golden)).status?.capacity);
		expect(await digest(clone)).toBe(images.qcow2.rawSha256);
	});

	test('where restores must be of the size of the source begins so, and grows', async () => {
		const storageClass = await makeStorageClass('equal', {annotations: {[annotations.restoreSize]: 'equal'}});
		const clone = await createDataVolume({
			namespace: namespaces.a,
			name: 'grown',
			source: pvcSource(golden),
			size: '1Gi',
			storageClass,
		});
		await waitForSucceeded(api, [clone]);
		// Reading mounts it, and mounting grows the file system.
		expect(await digest(clone)).toBe(images.qcow2.rawSha256);
		expect(await capacityOf(clone)).toBeGreaterThan(1024);
		if (!local) return;
		const birth = await birthOf(await handleOf(clone));
		expect(birth?.result?.capacityBytes).toBe(318 * 1024 ** 2);
	});
});

describe('a VolumeSnapshot as source', () => {
	const apiVersion = 'snapshot.storage.k8s.io/v1';
	let snapshot: VolumeSnapshot;

	beforeAll(async () => {
		snapshot = await api.create(resources.volumeSnapshots, {
			apiVersion,
			kind: 'VolumeSnapshot',
			metadata: {namespace: namespaces.golden, name: 'mine'},
			spec: {source: {persistentVolumeClaimName: golden.metadata.name}},
		});
		await until('the snapshot is ready', async () =>
			(await api.get(resources.volumeSnapshots, snapshot.metadata)).status?.readyToUse ? true : undefined,
		);
		return async () => {
			await api.delete<KubeObject>(resources.volumeSnapshots, snapshot.metadata);
		};
	});

	test.each(['golden', 'a'] as const)('is restored in namespace %s, and stays', async (where) => {
		const source = {snapshot: {namespace: namespaces.golden, name: 'mine'}};
		const clone = await createDataVolume({namespace: namespaces[where], name: 'of-snapshot', source, size: undefined});
		await waitForSucceeded(api, [clone]);
		expect(await digest(clone)).toBe(images.qcow2.rawSha256);
		expect(await api.find(resources.volumeSnapshots, snapshot.metadata)).toBeDefined();
	});
});

if (local) {
	test('for all of this the storage cut one snapshot, and one more for the snapshot of the user', async () => {
		const handle = await handleOf(golden);
		expect(await cutsOf(handle)).toBe(2);
		await until('only the shared snapshot is left', async () =>
			(await storedSnapshotsOf(handle)).length === 1 ? true : undefined,
		);
	});
}

test('the shared snapshot goes with its golden claim, the clones stay', async () => {
	await api.delete(resources.dataVolumes, golden.metadata);
	await until(
		'the shared snapshot is gone',
		async () => {
			const {items} = await api.list(resources.sharedSnapshots);
			return items.some(({spec}) => spec.source.namespace === namespaces.golden) ? undefined : true;
		},
		{timeoutMs: 60_000},
	);
	await untilNoByproducts(namespaces.golden);
	const [, , clone] = burst;
	if (!clone) throw new Error('too few clones');
	expect(await digest(clone)).toBe(images.qcow2.rawSha256);
});
