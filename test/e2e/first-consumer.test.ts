/** Storage classes that wait for a consumer: the disk is made where the machine that uses it runs. */
import {beforeAll, describe, expect, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import * as resources from '../../src/kube/resources.ts';
import {waitForDataVolume, waitForSucceeded} from '../support/data-volumes.ts';
import {removePod, startDiskPod, waitForPod} from '../support/disk-pod.ts';
import {
	api,
	bindImmediate,
	claimOf,
	context,
	createDataVolume,
	digest,
	httpSource,
	images,
	immutable,
	local,
	makeNamespace,
	makeStorageClass,
	pvcSource,
	untilNoByproducts,
	type Wanted,
} from './world.ts';

let namespace: string;
let storageClass: string;
let golden: DataVolume;

beforeAll(async () => {
	namespace = await makeNamespace('wffc');
	storageClass =
		local?.storageClasses.waitForFirstConsumer ??
		(await makeStorageClass('wffc', {volumeBindingMode: 'WaitForFirstConsumer'}));
	golden = await createDataVolume({
		namespace,
		name: 'golden',
		source: httpSource(images.qcow2.path),
		annotations: immutable,
	});
	await waitForSucceeded(api, [golden]);
	return () => untilNoByproducts(namespace);
});

const sources: Readonly<Record<string, () => Pick<Wanted, 'source' | 'volumeMode'>>> = {
	import: () => ({source: httpSource(images.qcow2.path)}),
	clone: () => ({source: pvcSource(golden)}),
	copy: () => ({source: pvcSource(golden), volumeMode: 'Block'}),
};

/** What a Pod that uses the claim at once sees: the disk, whole. */
const readAll = `head -c ${images.qcow2.virtualBytes} "$DISK" | openssl dgst -sha256 -r | cut -d ' ' -f 1 > /dev/termination-log`;

describe.concurrent('without a consumer', () => {
	test.each(Object.keys(sources))(
		'a disk by %s waits in PendingPopulation, and is made when a Pod comes',
		async (way) => {
			const wanted = {...sources[way]?.(), namespace, name: way, storageClass};
			const dataVolume = await createDataVolume({source: {blank: {}}, ...wanted});
			const waiting = await waitForDataVolume(api, dataVolume, ({status}) => status?.phase === 'PendingPopulation');
			expect(waiting.status?.claimName).toBe(way);
			expect((await claimOf(dataVolume)).status?.phase).toBe('Pending');
			const consumer = await startDiskPod(api, {namespace, claim: way, image: context.workerImage, script: readAll});
			const ended = await waitForPod(api, consumer, 'Succeeded');
			expect(ended.status?.containerStatuses?.[0]?.state?.terminated?.message?.trim()).toBe(images.qcow2.rawSha256);
			await waitForSucceeded(api, [dataVolume]);
			await removePod(api, consumer);
		},
	);

	test.each(Object.keys(sources))('a disk by %s is made at once where its owner asks for that', async (way) => {
		const wanted = {...sources[way]?.(), namespace, name: `${way}-at-once`, storageClass, annotations: bindImmediate};
		const dataVolume = await createDataVolume({source: {blank: {}}, ...wanted});
		await waitForSucceeded(api, [dataVolume]);
		expect(await digest(dataVolume)).toBe(images.qcow2.rawSha256);
	});

	test('a blank disk is made at once where its owner asks for that', async () => {
		const wanted = {namespace, name: 'blank-at-once', source: {blank: {}}, storageClass, annotations: bindImmediate};
		const dataVolume = await createDataVolume({...wanted, size: '32Mi'});
		await waitForSucceeded(api, [dataVolume]);
	});
});

test('a DataVolume that waits is deleted without a trace', async () => {
	const wanted = {namespace, name: 'unused', source: httpSource(images.qcow2.path), storageClass};
	const dataVolume = await createDataVolume(wanted);
	await waitForDataVolume(api, dataVolume, ({status}) => status?.phase === 'PendingPopulation');
	await api.delete(resources.dataVolumes, dataVolume.metadata);
	await expect
		.poll(() => api.find(resources.persistentVolumeClaims, dataVolume.metadata), {timeout: 30_000})
		.toBeUndefined();
});
