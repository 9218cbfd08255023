/** Where blocks cannot be shared, a clone is copied, and says why. */
import {beforeAll, describe, expect, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import {annotations} from '../../src/api/names.ts';
import {formatQuantity} from '../../src/api/quantity.ts';
import * as resources from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {waitForSucceeded} from '../support/data-volumes.ts';
import {removePod, startDiskPod, waitForPod} from '../support/disk-pod.ts';
import {cutsOf} from './journal.ts';
import {
	api,
	claimOf,
	context,
	createDataVolume,
	digest,
	handleOf,
	httpSource,
	images,
	immutable,
	local,
	makeNamespace,
	pvcSource,
	runOn,
	untilEvents,
	untilNoByproducts,
	type Wanted,
} from './world.ts';

let goldens: string;
let team: string;
let filesystem: DataVolume;
let block: DataVolume;

const source = httpSource(images.qcow2.path);

beforeAll(async () => {
	goldens = await makeNamespace('golden');
	team = await makeNamespace('team');
	filesystem = await createDataVolume({namespace: goldens, name: 'filesystem', source, annotations: immutable});
	block = await createDataVolume({namespace: goldens, name: 'block', source, volumeMode: 'Block'});
	await waitForSucceeded(api, [filesystem, block]);
	return async () => {
		// A copy leaves nothing in the namespace of its source either.
		await untilNoByproducts(goldens);
		await untilNoByproducts(team);
	};
});

async function expectCopy(wanted: Wanted, reason: string): Promise<DataVolume> {
	const clone = await createDataVolume(wanted);
	await waitForSucceeded(api, [clone]);
	const claim = await claimOf(clone);
	expect(claim.metadata.annotations).toMatchObject({[annotations.cloneType]: 'copy'});
	expect(claim.metadata.annotations?.[annotations.cloneFallbackReason]).toMatch(new RegExp(`^${reason}: `));
	await untilEvents(
		clone,
		{type: 'Warning', reason, message: 'Not cloned by snapshot: '},
		{type: 'Normal', reason: 'CloneSucceeded'},
	);
	expect(await digest(clone)).toBe(images.qcow2.rawSha256);
	return clone;
}

describe.concurrent('a clone is copied', () => {
	test('from Filesystem to Block', async () => {
		await expectCopy(
			{namespace: team, name: 'to-block', source: pvcSource(filesystem), volumeMode: 'Block'},
			'IncompatibleVolumeModes',
		);
	});

	test('without a size: as large as its disk, which a Pod looks for where onesnap did not write it', async () => {
		const golden = await createDataVolume({namespace: goldens, name: 'of-others', source});
		await waitForSucceeded(api, [golden]);
		const {metadata} = await claimOf(golden);
		const written = metadata.annotations?.[annotations.virtualSize];
		const size = await runOn(golden, 'stat --format=%s "$DISK" > /dev/termination-log');
		expect(written).toBe(size);
		const forgotten = {[annotations.virtualSize]: null, [annotations.sourceCapacity]: null};
		await api.mergePatch(resources.persistentVolumeClaims, metadata, {metadata: {annotations: forgotten}});
		const wanted = {namespace: team, name: 'unsized', source: pvcSource(golden), size: undefined};
		const clone = await expectCopy({...wanted, volumeMode: 'Block'}, 'IncompatibleVolumeModes');
		expect((await claimOf(clone)).spec.resources?.requests?.['storage']).toBe(formatQuantity(BigInt(size)));
		expect((await claimOf(golden)).metadata.annotations).toMatchObject({[annotations.virtualSize]: size});
		const shared = await createDataVolume({...wanted, name: 'unsized-shared'});
		await waitForSucceeded(api, [shared]);
		expect((await claimOf(shared)).metadata.annotations).toMatchObject({[annotations.cloneType]: 'snapshot'});
		expect(await runOn(shared, 'stat --format=%s "$DISK" > /dev/termination-log')).toBe(size);
	});

	test('from Block to Filesystem, in the namespace of its source', async () => {
		await expectCopy(
			{namespace: goldens, name: 'to-filesystem', source: pvcSource(block), volumeMode: 'Filesystem'},
			'IncompatibleVolumeModes',
		);
	});

	if (local) {
		const {noSnapshots} = local.storageClasses;

		test('to the class of another driver, in another namespace', async () => {
			const wanted = {namespace: team, name: 'other-driver', source: pvcSource(filesystem), storageClass: noSnapshots};
			await expectCopy(wanted, 'IncompatibleProvisioners');
		});

		test('on storage without snapshots', async () => {
			const golden = await createDataVolume({namespace: goldens, name: 'plain', source, storageClass: noSnapshots});
			await waitForSucceeded(api, [golden]);
			const wanted = {namespace: team, name: 'of-plain', source: pvcSource(golden), storageClass: noSnapshots};
			await expectCopy(wanted, 'NoVolumeSnapshotClass');
			expect(await cutsOf(await handleOf(golden))).toBe(0);
		});

		test('from a VolumeSnapshot to the class of another driver', async () => {
			const metadata = {namespace: goldens, name: 'mine'};
			await api.create(resources.volumeSnapshots, {
				apiVersion: 'snapshot.storage.k8s.io/v1',
				kind: 'VolumeSnapshot',
				metadata,
				spec: {source: {persistentVolumeClaimName: filesystem.metadata.name}},
			});
			await until('the snapshot is ready', async () =>
				(await api.get(resources.volumeSnapshots, metadata)).status?.readyToUse ? true : undefined,
			);
			const wanted = {namespace: team, name: 'of-snapshot', source: {snapshot: metadata}, storageClass: noSnapshots};
			await expectCopy(wanted, 'NoProvisionerMatch');
			await api.delete(resources.volumeSnapshots, metadata);
		});
	}
});

test('a copy of a source in use does not wait: it reads from a snapshot', async () => {
	const user = {namespace: goldens, claim: filesystem.metadata.name, image: context.workerImage};
	const machine = await startDiskPod(api, {...user, script: 'sleep 600', name: 'machine'});
	await waitForPod(api, machine, 'Running');
	const clone = await expectCopy(
		{namespace: team, name: 'of-busy', source: pvcSource(filesystem), volumeMode: 'Block'},
		'IncompatibleVolumeModes',
	);
	await untilEvents(clone, {type: 'Normal', reason: 'CrashConsistent', message: `Pod ${goldens}/machine`});
	await removePod(api, machine);
});

test('a Block clone of a Block claim is not copied', async () => {
	const clone = await createDataVolume({
		namespace: team,
		name: 'block',
		source: pvcSource(block),
		volumeMode: 'Block',
	});
	await waitForSucceeded(api, [clone]);
	expect((await claimOf(clone)).metadata.annotations).toMatchObject({[annotations.cloneType]: 'snapshot'});
	expect(await digest(clone)).toBe(images.qcow2.rawSha256);
});
