import assert from 'node:assert/strict';
import {readdir} from 'node:fs/promises';
import path from 'node:path';
import {type Behaviours, discard, type World} from './behaviour-world.ts';
import type {FaultSet} from './faults.ts';
import {readJournal} from './journal.ts';
import type {Snapshot} from './messages.ts';
import {block, type TestNode} from './test-node.ts';

const ofGolden = (faults: FaultSet) => ({volumes: {golden: faults}});

async function makeGolden(node: TestNode): Promise<void> {
	await node.createVolume('golden', {capability: block, sizeMiB: 16});
}

const restore = (node: TestNode, name: string, sizeMiB = 16) =>
	node.createVolume(name, {capability: block, sizeMiB, fromSnapshot: 'snapshot'});

async function shownSnapshot(call: World['call'], name: string): Promise<Snapshot> {
	const {snapshot} = await call('Controller/CreateSnapshot', {name, source_volume_id: 'golden'});
	assert.ok(snapshot);
	return snapshot;
}

async function listed(call: World['call']): Promise<readonly (string | undefined)[]> {
	const {entries = []} = await call('Controller/ListSnapshots', {});
	return entries.map(({snapshot}) => snapshot?.snapshot_id);
}

const elapsed = async (work: Promise<unknown>): Promise<number> => {
	const startedAt = performance.now();
	await work;
	return performance.now() - startedAt;
};

const storedVolumes = async ({scratch}: World): Promise<readonly string[]> =>
	(await readdir(path.join(scratch.pool, 'volumes'))).filter((file) => !file.endsWith('.json'));

/** What the fault switches do, seen through the driver's socket. */
export const faultBehaviours: Behaviours = {
	'fault: the next two restores fail, also when the driver dies between them; other calls work': async (world) => {
		const {node, setFaults, crash, journal} = world;
		await makeGolden(node);
		await node.createSnapshot('snapshot', 'golden');
		const failure = {
			method: 'CreateVolume',
			source: 'snapshot',
			code: 'INTERNAL',
			times: 2,
			message: 'on fire',
		} as const;
		await setFaults(ofGolden({fail: [failure]}));
		await assert.rejects(restore(node, 'clone'), /INTERNAL: on fire/);
		await node.createVolume('other', {capability: block, sizeMiB: 16});
		await node.createVolume('clone-of-volume', {capability: block, sizeMiB: 16, fromVolume: 'golden'});
		await crash();
		await assert.rejects(restore(node, 'clone'), /INTERNAL: on fire/);
		await restore(node, 'clone');
		const met = (await readJournal(journal)).filter(({faults}) => faults?.includes('fail'));
		assert.deepEqual(
			met.map(({rpc, id, code}) => `${rpc} ${id} ${code}`),
			['CreateVolume clone INTERNAL', 'CreateVolume clone INTERNAL'],
		);
		await discard(node, ['golden', 'clone', 'other', 'clone-of-volume'], ['snapshot']);
	},
	'fault: a call that fails after its work has done it': async (world) => {
		const {node, setFaults} = world;
		await makeGolden(node);
		const failure = {method: 'CreateVolume', source: 'volume', when: 'after', times: 1} as const;
		await setFaults(ofGolden({fail: [{...failure, code: 'DEADLINE_EXCEEDED'}]}));
		const clone = () => node.createVolume('clone', {capability: block, sizeMiB: 16, fromVolume: 'golden'});
		await assert.rejects(clone(), /DEADLINE_EXCEEDED/);
		assert.deepEqual(await storedVolumes(world), ['clone', 'golden']);
		await clone();
		await discard(node, ['golden', 'clone'], []);
	},
	'fault: a call whose answer is late has done its work': async (world) => {
		const {node, setFaults, crash} = world;
		await setFaults({all: {delay: [{method: 'CreateVolume', when: 'after', times: 1, ms: 60_000}]}});
		const answer = assert.rejects(node.createVolume('late', {capability: block, sizeMiB: 16}), /UNAVAILABLE/);
		await untilStored(world, 'late');
		await crash();
		await answer;
		await node.createVolume('late', {capability: block, sizeMiB: 16});
		await discard(node, ['late'], []);
	},
	'fault: a call waits before its work': async ({node, setFaults}) => {
		await setFaults({all: {delay: [{method: 'CreateVolume', times: 1, ms: 300}]}});
		const took = await elapsed(node.createVolume('late', {capability: block, sizeMiB: 16}));
		assert.ok(took >= 290, `${took} ms`);
		await discard(node, ['late'], []);
	},
	'fault: a cut costs time, and a snapshot is not ready for a while': async ({node, call, setFaults}) => {
		await makeGolden(node);
		await setFaults(ofGolden({cutMs: 300, notReadyMs: 60_000}));
		const took = await elapsed(node.createSnapshot('snapshot', 'golden'));
		assert.ok(took >= 290, `${took} ms`);
		assert.equal((await shownSnapshot(call, 'snapshot')).ready_to_use, false);
		await assert.rejects(restore(node, 'clone'), /UNAVAILABLE: .*not ready/);
		await setFaults(ofGolden({notReadyMs: 1}));
		assert.equal((await shownSnapshot(call, 'snapshot')).ready_to_use, true);
		await restore(node, 'clone');
		await discard(node, ['golden', 'clone'], ['snapshot']);
	},
	'fault: snapshots without a size': async ({node, call, setFaults}) => {
		await makeGolden(node);
		await setFaults(ofGolden({noRestoreSize: true}));
		assert.equal((await shownSnapshot(call, 'snapshot')).size_bytes, 0);
		await setFaults({});
		assert.equal((await shownSnapshot(call, 'snapshot')).size_bytes, 16 * 1024 ** 2);
		await discard(node, ['golden'], ['snapshot']);
	},
	'fault: no ListSnapshots, neither announced nor served': async ({node, call, setFaults}) => {
		await makeGolden(node);
		await node.createSnapshot('snapshot', 'golden');
		const announced = async () => JSON.stringify(await call('Controller/ControllerGetCapabilities', {}));
		assert.match(await announced(), /LIST_SNAPSHOTS/);
		await setFaults({noListSnapshots: true});
		assert.doesNotMatch(await announced(), /LIST_SNAPSHOTS/);
		await assert.rejects(listed(call), /UNIMPLEMENTED/);
		await setFaults({});
		assert.deepEqual(await listed(call), ['snapshot']);
		await discard(node, ['golden'], ['snapshot']);
	},
	'fault: restores and clones only of the size of their source': async ({node, setFaults}) => {
		await makeGolden(node);
		await node.createSnapshot('snapshot', 'golden');
		await setFaults(ofGolden({equalSizeRestore: true}));
		await assert.rejects(restore(node, 'larger', 32), /OUT_OF_RANGE/);
		const larger = {capability: block, sizeMiB: 32, fromVolume: 'golden'};
		await assert.rejects(node.createVolume('larger', larger), /OUT_OF_RANGE/);
		await restore(node, 'equal');
		await discard(node, ['golden', 'equal'], ['snapshot']);
	},
	'fault: of many cuts at once no more than the limit are made': async ({node, call, setFaults}) => {
		await makeGolden(node);
		await setFaults(ofGolden({maxSnapshots: 2}));
		const names = ['a', 'b', 'c', 'd', 'e'];
		for (const result of await Promise.allSettled(names.map((name) => node.createSnapshot(name, 'golden')))) {
			if (result.status === 'rejected') assert.match(String(result.reason), /RESOURCE_EXHAUSTED/);
		}
		const made = await listed(call);
		assert.ok(made.length >= 1 && made.length <= 2, String(made));
		for (const name of names.filter((each) => !made.includes(each)).slice(0, 2 - made.length)) {
			await node.createSnapshot(name, 'golden');
		}
		const full = await listed(call);
		await assert.rejects(node.createSnapshot('f', 'golden'), /RESOURCE_EXHAUSTED/);
		await node.createSnapshot(full[0] ?? '', 'golden');
		await node.deleteSnapshot(full[0] ?? '');
		await node.createSnapshot('f', 'golden');
		await discard(node, ['golden'], [full[1] ?? '', 'f']);
	},
	'fault: the time between cuts counts also from one that is deleted, and over a crash': async (world) => {
		const {node, setFaults, crash} = world;
		await makeGolden(node);
		await setFaults(ofGolden({betweenCutsMs: 60_000}));
		await node.createSnapshot('first', 'golden');
		await node.deleteSnapshot('first');
		await crash();
		await assert.rejects(node.createSnapshot('second', 'golden'), /RESOURCE_EXHAUSTED.*again in \d+ ms/);
		await setFaults(ofGolden({betweenCutsMs: 1}));
		await node.createSnapshot('second', 'golden');
		await discard(node, ['golden'], ['second']);
	},
	'fault: a restore locks its snapshot against another one': async ({node, setFaults, crash}) => {
		await makeGolden(node);
		await node.createSnapshot('snapshot', 'golden');
		await setFaults(ofGolden({restoreLockMs: 60_000}));
		const both = ['a', 'b'].map((name) => restore(node, name));
		await assert.rejects(Promise.all(both), /ABORTED.*snapshot snapshot/);
		await crash();
		await Promise.allSettled(both);
		await setFaults(ofGolden({restoreLockMs: 10}));
		for (const name of ['a', 'b']) await restore(node, name);
		await discard(node, ['golden', 'a', 'b'], ['snapshot']);
	},
	'fault: a snapshot that vanished is not there, and can be deleted': async ({node, call, setFaults}) => {
		await makeGolden(node);
		await node.createSnapshot('snapshot', 'golden');
		await node.createSnapshot('other', 'golden');
		await setFaults(ofGolden({vanished: ['snapshot'], maxSnapshots: 2}));
		await assert.rejects(restore(node, 'clone'), /NOT_FOUND/);
		assert.deepEqual(await listed(call), ['other']);
		await node.createSnapshot('replacement', 'golden');
		await node.deleteSnapshot('snapshot');
		await setFaults({});
		assert.deepEqual(await listed(call), ['other', 'replacement']);
		await discard(node, ['golden'], ['other', 'replacement']);
	},
	'fault: a snapshot stays while clones depend on it': async ({node, setFaults}) => {
		await makeGolden(node);
		await node.createSnapshot('snapshot', 'golden');
		await restore(node, 'clone');
		await setFaults(ofGolden({clonesDepend: true}));
		await assert.rejects(node.deleteSnapshot('snapshot'), /FAILED_PRECONDITION.*clone/);
		await node.deleteVolume('clone');
		await node.deleteSnapshot('snapshot');
		await discard(node, ['golden'], []);
	},
	'fault: a file that cannot be understood changes nothing': async ({node, setFaults}) => {
		await makeGolden(node);
		await setFaults(ofGolden({maxSnapshots: 1}));
		await node.createSnapshot('snapshot', 'golden');
		for (const wrong of ['{"all": ', '{"every": {}}']) {
			await setFaults(wrong);
			await assert.rejects(node.createSnapshot('second', 'golden'), /RESOURCE_EXHAUSTED/);
		}
		await discard(node, ['golden'], ['snapshot']);
	},
};

async function untilStored(world: World, volume: string): Promise<void> {
	const deadline = Date.now() + 10_000;
	while (!(await storedVolumes(world)).includes(volume)) assert.ok(Date.now() < deadline, `no ${volume}`);
}
