/** Clones of a golden disk that lives on one node: shared where its blocks are, copied where they are not. */
import {afterEach, beforeAll, describe, expect, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import {annotations} from '../../src/api/names.ts';
import * as resources from '../../src/kube/resources.ts';
import {waitForDataVolume, waitForSucceeded} from '../support/data-volumes.ts';
import {removePod} from '../support/disk-pod.ts';
import {cutsOf} from '../e2e/journal.ts';
import {
	api,
	bindImmediate,
	claimOf,
	createDataVolume,
	digest,
	handleOf,
	httpSource,
	images,
	immutable,
	kubectl,
	makeNamespace,
	pvcSource,
	untilNoByproducts,
	type Wanted,
} from '../e2e/world.ts';
import {consume, node1, node2, nodeLocalClass, nodeLocalImmediateClass, nodesOf} from './two-nodes.ts';

let goldens: string;
let team: string;
let golden: DataVolume;

beforeAll(async () => {
	goldens = await makeNamespace('goldens');
	team = await makeNamespace('team');
	golden = await createDataVolume({
		namespace: goldens,
		name: 'golden',
		source: httpSource(images.qcow2.path),
		storageClass: nodeLocalClass,
		annotations: immutable,
	});
	await firstConsumer(golden, node2);
	return async () => {
		await untilNoByproducts(goldens);
		await untilNoByproducts(team);
	};
});

/** A Pod on this node wants the disk; returns when it is there and the Pod has gone again. */
async function firstConsumer(dataVolume: DataVolume, node: string): Promise<void> {
	await waitForDataVolume(api, dataVolume, ({status}) => status?.phase === 'PendingPopulation');
	const pod = await consume(dataVolume, node);
	await waitForSucceeded(api, [dataVolume]);
	await removePod(api, pod);
}

async function cloneTypeOf(dataVolume: DataVolume): Promise<string | undefined> {
	return (await claimOf(dataVolume)).metadata.annotations?.[annotations.cloneType];
}

const cloneWanted = (name: string, more: Partial<Wanted> = {}): Wanted => ({
	namespace: goldens,
	name,
	source: pvcSource(golden),
	storageClass: nodeLocalClass,
	...more,
});

test('the golden disk is where its first consumer was', async () => {
	expect(await nodesOf(golden)).toEqual([node2]);
	expect(await digest(golden)).toBe(images.qcow2.rawSha256);
});

describe('a clone is shared', () => {
	const ways: Readonly<Record<string, () => Promise<DataVolume>>> = {
		'where its consumer runs on the node of its source': async () => {
			const clone = await createDataVolume(cloneWanted('same-node'));
			await firstConsumer(clone, node2);
			return clone;
		},
		'the same in another namespace': async () => {
			const clone = await createDataVolume(cloneWanted('same-node', {namespace: team}));
			await firstConsumer(clone, node2);
			return clone;
		},
		'where it is to be made without a consumer': async () => {
			const clone = await createDataVolume(cloneWanted('at-once', {annotations: bindImmediate}));
			await waitForSucceeded(api, [clone]);
			return clone;
		},
		'where its class binds immediately': async () => {
			const clone = await createDataVolume(cloneWanted('immediate', {storageClass: nodeLocalImmediateClass}));
			await waitForSucceeded(api, [clone]);
			return clone;
		},
	};

	test.each(Object.entries(ways))('%s', async (_, make) => {
		const clone = await make();
		expect(await cloneTypeOf(clone)).toBe('snapshot');
		expect(await nodesOf(clone)).toEqual([node2]);
		expect(await digest(clone)).toBe(images.qcow2.rawSha256);
	});

	test('and one snapshot was enough for all of them', async () => {
		expect(await cutsOf(await handleOf(golden))).toBe(1);
	});
});

describe('a clone is copied', () => {
	afterEach(() => kubectl('uncordon', node2));

	test.each(['same', 'other'] as const)(
		'where its consumer runs on another node, in the %s namespace',
		async (where) => {
			const clone = await createDataVolume(cloneWanted('other-node', {namespace: where === 'same' ? goldens : team}));
			await firstConsumer(clone, node1);
			expect(await cloneTypeOf(clone)).toBe('copy');
			expect(await nodesOf(clone)).toEqual([node1]);
			expect(await digest(clone)).toBe(images.qcow2.rawSha256);
		},
	);

	test('when the node of its source takes Pods again; until then it says what it waits for', async () => {
		const clone = await createDataVolume(cloneWanted('drained'));
		await waitForDataVolume(api, clone, ({status}) => status?.phase === 'PendingPopulation');
		await kubectl('cordon', node2);
		const pod = await consume(clone, node1);
		await waitForDataVolume(api, clone, saysWhy);
		await kubectl('uncordon', node2);
		await waitForSucceeded(api, [clone]);
		await removePod(api, pod);
		expect(await digest(clone)).toBe(images.qcow2.rawSha256);
	});

	test('also when the node of its source is drained while it is under way', async () => {
		const clone = await createDataVolume(cloneWanted('interrupted'));
		await waitForDataVolume(api, clone, ({status}) => status?.phase === 'PendingPopulation');
		const pod = await consume(clone, node1);
		// What it sends to is not there yet, and will have been told an address that nobody answers at.
		await expect.poll(() => workersOn(node2), {timeout: 60_000, interval: 50}).not.toEqual([]);
		await kubectl('cordon', node2);
		for (const worker of await workersOn(node2)) await api.delete(resources.pods, worker, {gracePeriodSeconds: 0});
		await waitForDataVolume(api, clone, saysWhy);
		await kubectl('uncordon', node2);
		await waitForSucceeded(api, [clone]);
		await removePod(api, pod);
		expect(await digest(clone)).toBe(images.qcow2.rawSha256);
	});

	test('and no restore was tried on the wrong node', async () => {
		const lists = await Promise.all(
			[goldens, team].map(async (namespace) => (await api.list(resources.events, {namespace})).items),
		);
		const refusals = lists.flat().filter(({message}) => message?.includes('source node is not in the requirements'));
		expect(refusals.map(({message}) => message)).toEqual([]);
	});

	/** A person who looks at the clone sees that it waits for a Pod that no node can take. */
	function saysWhy({status}: DataVolume): boolean {
		return (status?.conditions ?? []).some(({reason, message}) => /unschedulable/i.test(`${reason} ${message}`));
	}

	/** Pods that run there and work on disks of these tests. */
	async function workersOn(node: string) {
		const lists = await Promise.all(
			[goldens, team].map(async (namespace) => (await api.list(resources.pods, {namespace})).items),
		);
		return lists
			.flat()
			.filter(({spec, status}) => spec.nodeName === node && status?.phase === 'Running')
			.map(({metadata: {namespace = '', name}}) => ({namespace, name}));
	}
});
