/** Disks that are filled in place, on a class that is not CSI and whose volumes are folders of a node. */
import {beforeAll, expect, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import {waitForDataVolume, waitForSucceeded} from '../support/data-volumes.ts';
import {removePod} from '../support/disk-pod.ts';
import {
	api,
	createDataVolume,
	digest,
	httpSource,
	images,
	local,
	makeNamespace,
	pvcSource,
	untilNoByproducts,
} from '../e2e/world.ts';
import {consume, node1, node2, nodesOf} from './two-nodes.ts';

let namespace: string;

beforeAll(async () => {
	namespace = await makeNamespace('folders');
	return () => untilNoByproducts(namespace);
});

/** As KubeVirt does it: a stand-in decides where the disk is, and leaves as soon as that is known. */
async function madeOn(node: string, name: string, source: DataVolume['spec']['source'] = {}): Promise<DataVolume> {
	const dataVolume = await createDataVolume({namespace, name, source, storageClass: local?.storageClasses.notCsi});
	await waitForDataVolume(api, dataVolume, ({status}) => status?.phase === 'WaitForFirstConsumer');
	const standIn = await consume(dataVolume, node);
	await waitForDataVolume(api, dataVolume, ({status}) => status?.phase !== 'WaitForFirstConsumer');
	await removePod(api, standIn);
	await waitForSucceeded(api, [dataVolume]);
	return dataVolume;
}

test('a disk is filled where its consumer is, and cloned to where the consumer of the clone is', async () => {
	const golden = await madeOn(node2, 'golden', httpSource(images.qcow2.path));
	expect(await nodesOf(golden)).toEqual([node2]);
	for (const node of [node2, node1]) {
		const clone = await madeOn(node, `on-${node}`, pvcSource(golden));
		expect(await nodesOf(clone)).toEqual([node]);
		expect(await digest(clone)).toBe(images.qcow2.rawSha256);
	}
});
