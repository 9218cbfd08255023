import assert from 'node:assert/strict';
import {readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {ensureDefinitions} from '../definitions.ts';
import {discard} from './behaviour-world.ts';
import {type CsiClient, connect} from './client.ts';
import {startDriverProcess} from './driver-process.ts';
import type {FaultSettings} from './faults.ts';
import {liveObjects, readJournal} from './journal.ts';
import {loopsUnder} from './loop.ts';
import {makeScratchPool, type ScratchPool} from './scratch-pool.ts';
import {filesystem, TestNode} from './test-node.ts';

/** The driver with two nodes, as in a cluster of two. Needs root; run by the e2e suite, or alone. */
type World = {
	readonly node1: TestNode;
	readonly node2: TestNode;
	readonly clients: {readonly node1: CsiClient; readonly node2: CsiClient};
	readonly scratch: ScratchPool;
	readonly setFaults: (faults: FaultSettings) => Promise<void>;
	/** A killed driver, started again. */
	readonly crash: () => Promise<void>;
};

type Behaviour = {readonly options: readonly string[]; readonly check: (world: World) => Promise<void>};

const key = 'scratch.onesnap.test/node';
const local = ['--topology-key', key];
const onNode = (node: string) => [{segments: {[key]: node}}];
const small = {capability: filesystem(), sizeMiB: 64};

/** Every case has to leave its pools as empty as it found them. */
const behaviours: Readonly<Record<string, Behaviour>> = {
	'node-local: the driver says so, and where each node is': {
		options: local,
		check: async ({clients}) => {
			assert.deepEqual(await clients.node1.call('Identity/GetPluginCapabilities', {}), {
				capabilities: [
					{service: {type: 'CONTROLLER_SERVICE'}},
					{service: {type: 'VOLUME_ACCESSIBILITY_CONSTRAINTS'}},
					{volume_expansion: {type: 'ONLINE'}},
				],
			});
			for (const node of ['node1', 'node2'] as const) {
				const info = await clients[node].call('Node/NodeGetInfo', {});
				assert.deepEqual(info, {node_id: node, accessible_topology: onNode(node)[0]});
			}
		},
	},
	'node-local: a volume is used on its node and refused on the other': {
		options: local,
		check: async ({node1, node2}) => {
			await node2.createVolume('volume', {...small, requirements: {requisite: onNode('node2')}});
			await assert.rejects(node1.publish('volume', filesystem()), /NOT_FOUND/);
			await node2.publish('volume', filesystem());
			await discard(node2, ['volume'], []);
		},
	},
	'node-local: a snapshot is beside its volume and restores there, not elsewhere, also after a crash': {
		options: local,
		check: async ({node1, node2, crash}) => {
			await node2.createVolume('golden', {...small, requirements: {requisite: onNode('node2')}});
			await writeFile(path.join(await node2.publish('golden', filesystem()), 'file'), 'before');
			await node2.createSnapshot('snapshot', 'golden');
			await crash();
			const restore = {...small, fromSnapshot: 'snapshot'};
			await assert.rejects(
				node1.createVolume('clone', {...restore, requirements: {requisite: onNode('node1')}}),
				/INVALID_ARGUMENT.*source node is not in the requirements/,
			);
			const preferred = {requisite: [...onNode('node1'), ...onNode('node2')], preferred: onNode('node1')};
			await node2.createVolume('clone', {...restore, requirements: preferred});
			const clone = await node2.publish('clone', filesystem());
			assert.equal(await readFile(path.join(clone, 'file'), 'utf8'), 'before');
			await discard(node2, ['golden', 'clone'], ['snapshot']);
		},
	},
	'node-local: a fault switch of a volume holds on whichever node it is': {
		options: local,
		check: async ({node2, setFaults}) => {
			await node2.createVolume('golden', {...small, requirements: {requisite: onNode('node2')}});
			await node2.createSnapshot('snapshot', 'golden');
			const failure = {method: 'CreateVolume', code: 'INTERNAL', times: 1, message: 'on fire'} as const;
			await setFaults({volumes: {golden: {fail: [failure], maxSnapshots: 1}}});
			await assert.rejects(node2.createVolume('clone', {...small, fromSnapshot: 'snapshot'}), /INTERNAL: on fire/);
			await node2.createVolume('clone', {...small, fromSnapshot: 'snapshot'});
			await assert.rejects(node2.createSnapshot('another', 'golden'), /RESOURCE_EXHAUSTED/);
			await discard(node2, ['golden', 'clone'], ['snapshot']);
		},
	},
	'shared: two nodes that stage a volume at the same time see one file system on one device': {
		options: [],
		check: async ({node1, node2, scratch}) => {
			await node1.createVolume('volume', small);
			const [first, second] = await Promise.all(
				[node1, node2].map((node) => repeatedly(() => node.publish('volume', filesystem()))),
			);
			await writeFile(path.join(first ?? '', 'file'), 'seen by both');
			assert.equal(await readFile(path.join(second ?? '', 'file'), 'utf8'), 'seen by both');
			assert.equal((await loopsUnder(`${scratch.pool}/`)).length, 1);
			await node1.unpublish('volume');
			await node1.unstage('volume');
			assert.equal(await readFile(path.join(second ?? '', 'file'), 'utf8'), 'seen by both');
			await discard(node2, ['volume'], []);
			assert.deepEqual(await loopsUnder(`${scratch.pool}/`), [], 'detached with the last node');
		},
	},
};

/** As the sidecars and the kubelet repeat what was ABORTED. */
async function repeatedly<T>(work: () => Promise<T>): Promise<T> {
	const deadline = Date.now() + 30_000;
	for (;;) {
		try {
			return await work();
		} catch (error) {
			if (!String(error).includes('ABORTED') || Date.now() > deadline) throw error;
			await sleep(50);
		}
	}
}

export type TopologyResult = {readonly passed: number; readonly failed: number; readonly output: string};

/** Runs all cases, each with a driver and pools of its own, and says what each came to. */
export async function runTopologyBehaviours(): Promise<TopologyResult> {
	const lines: string[] = [];
	let failed = 0;
	for (const [name, behaviour] of Object.entries(behaviours)) {
		try {
			await inNewWorld(behaviour);
			lines.push(`ok      ${name}`);
		} catch (error) {
			failed++;
			lines.push(`FAILED  ${name}: ${error instanceof Error ? error.stack : String(error)}`);
		}
	}
	return {passed: lines.length - failed, failed, output: lines.join('\n')};
}

async function inNewWorld(behaviour: Behaviour): Promise<void> {
	const scratch = await makeScratchPool();
	let left: readonly string[] = [];
	try {
		await withDriver(scratch, behaviour);
	} finally {
		left = await scratch.dispose();
	}
	assert.deepEqual(left, [], 'left mounted or attached');
}

async function withDriver(scratch: ScratchPool, {options, check}: Behaviour): Promise<void> {
	const secondSocket = path.join(scratch.folder, 'node2.sock');
	const faultFile = path.join(scratch.folder, 'faults.json');
	const allOptions = [...options, '--other-node', `node2,unix://${secondSocket}`, '--faults', faultFile];
	const start = () => startDriverProcess(scratch, allOptions, [secondSocket]);
	let driver = await start();
	const {csiProto} = await ensureDefinitions();
	const clients = {node1: await connect(driver.csiSocket, csiProto), node2: await connect(secondSocket, csiProto)};
	/** The Controller service is the first node's, for all. */
	const second: CsiClient = {
		call: (rpc, request) => clients[rpc.startsWith('Node/') ? 'node2' : 'node1'].call(rpc, request),
		close: () => {},
	};
	try {
		await check({
			node1: new TestNode(clients.node1, path.join(scratch.folder, 'node1')),
			node2: new TestNode(second, path.join(scratch.folder, 'node2')),
			clients,
			scratch,
			setFaults: (faults) => writeFile(faultFile, JSON.stringify(faults)),
			crash: async () => {
				await driver.kill();
				driver = await start();
			},
		});
		const live = liveObjects(await readJournal(driver.journal));
		assert.deepEqual(live, {volumes: [], snapshots: [], staged: [], published: []});
	} finally {
		clients.node1.close();
		clients.node2.close();
		await driver.stop();
	}
}

if (import.meta.main) {
	const {passed, failed, output} = await runTopologyBehaviours();
	console.log(output);
	console.log(`${passed} passed, ${failed} failed`);
	process.exitCode = failed === 0 ? 0 : 1;
}
