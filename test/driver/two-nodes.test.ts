/** One driver for two nodes, with one pool for both or with one for each. */
import {readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {expect, test} from 'vitest';
import {loopsUnder} from '../cluster/csi/loop.ts';
import {filesystem} from './test-node.ts';
import {discard, onTwoNodes, repeatedly} from './world.ts';

const key = 'scratch.onesnap.test/node';
const local = ['--topology-key', key];
const onNode = (node: string) => [{segments: {[key]: node}}];
const small = {capability: filesystem(), sizeMiB: 64};

test.concurrent(
	'node-local: the driver says so, and where each node is',
	onTwoNodes(local, async ({clients}) => {
		expect(await clients.node1.call('Identity/GetPluginCapabilities', {})).toEqual({
			capabilities: [
				{service: {type: 'CONTROLLER_SERVICE'}},
				{service: {type: 'VOLUME_ACCESSIBILITY_CONSTRAINTS'}},
				{volume_expansion: {type: 'ONLINE'}},
			],
		});
		for (const node of ['node1', 'node2'] as const) {
			const info = await clients[node].call('Node/NodeGetInfo', {});
			expect(info).toEqual({node_id: node, accessible_topology: onNode(node)[0]});
		}
	}),
);

test.concurrent(
	'node-local: a volume is used on its node and refused on the other',
	onTwoNodes(local, async ({node1, node2}) => {
		await node2.createVolume('volume', {...small, requirements: {requisite: onNode('node2')}});
		await expect(node1.publish('volume', filesystem())).rejects.toThrow(/NOT_FOUND/);
		await node2.publish('volume', filesystem());
		await discard(node2, ['volume']);
	}),
);

test.concurrent(
	'node-local: a snapshot is beside its volume and restores there, not elsewhere, also after a crash',
	onTwoNodes(local, async ({node1, node2, crash}) => {
		await node2.createVolume('golden', {...small, requirements: {requisite: onNode('node2')}});
		await writeFile(path.join(await node2.publish('golden', filesystem()), 'file'), 'before');
		await node2.createSnapshot('snapshot', 'golden');
		await crash();
		const restore = {...small, fromSnapshot: 'snapshot'};
		await expect(node1.createVolume('clone', {...restore, requirements: {requisite: onNode('node1')}})).rejects.toThrow(
			/INVALID_ARGUMENT.*source node is not in the requirements/,
		);
		const preferred = {requisite: [...onNode('node1'), ...onNode('node2')], preferred: onNode('node1')};
		await node2.createVolume('clone', {...restore, requirements: preferred});
		const clone = await node2.publish('clone', filesystem());
		expect(await readFile(path.join(clone, 'file'), 'utf8')).toBe('before');
		await discard(node2, ['golden', 'clone'], ['snapshot']);
	}),
);

test.concurrent(
	'node-local: a fault switch of a volume holds on whichever node it is',
	onTwoNodes(local, async ({node2, setFaults}) => {
		await node2.createVolume('golden', {...small, requirements: {requisite: onNode('node2')}});
		await node2.createSnapshot('snapshot', 'golden');
		const failure = {method: 'CreateVolume', code: 'INTERNAL', times: 1, message: 'on fire'} as const;
		await setFaults({volumes: {golden: {fail: [failure], maxSnapshots: 1}}});
		await expect(node2.createVolume('clone', {...small, fromSnapshot: 'snapshot'})).rejects.toThrow(
			/INTERNAL: on fire/,
		);
		await node2.createVolume('clone', {...small, fromSnapshot: 'snapshot'});
		await expect(node2.createSnapshot('another', 'golden')).rejects.toThrow(/RESOURCE_EXHAUSTED/);
		await discard(node2, ['golden', 'clone'], ['snapshot']);
	}),
);

test.concurrent(
	'shared: two nodes that stage a volume at the same time see one file system on one device',
	onTwoNodes([], async ({node1, node2, scratch}) => {
		await node1.createVolume('volume', small);
		const [first, second] = await Promise.all(
			[node1, node2].map((node) => repeatedly(() => node.publish('volume', filesystem()))),
		);
		await writeFile(path.join(first ?? '', 'file'), 'seen by both');
		expect(await readFile(path.join(second ?? '', 'file'), 'utf8')).toBe('seen by both');
		expect((await loopsUnder(`${scratch.pool}/`)).length).toBe(1);
		await node1.unpublish('volume');
		await node1.unstage('volume');
		expect(await readFile(path.join(second ?? '', 'file'), 'utf8')).toBe('seen by both');
		await discard(node2, ['volume']);
		expect(await loopsUnder(`${scratch.pool}/`), 'detached with the last node').toEqual([]);
	}),
);
