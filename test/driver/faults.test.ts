/** What the fault switches do, seen through the driver's socket. */
import {access, readdir} from 'node:fs/promises';
import path from 'node:path';
import {expect, test} from 'vitest';
import type {FaultSet} from '../cluster/csi/faults.ts';
import {readJournal} from '../cluster/csi/journal.ts';
import type {Snapshot} from '../cluster/csi/messages.ts';
import {until} from '../cluster/until.ts';
import {block, type TestNode} from './test-node.ts';
import {discard, type OneNode, onOneNode} from './world.ts';

const ofGolden = (faults: FaultSet) => ({volumes: {golden: faults}});

async function makeGolden(node: TestNode): Promise<void> {
	await node.createVolume('golden', {capability: block, sizeMiB: 16});
}

const restore = (node: TestNode, name: string, sizeMiB = 16) =>
	node.createVolume(name, {capability: block, sizeMiB, fromSnapshot: 'snapshot'});

async function shownSnapshot(call: OneNode['call'], name: string): Promise<Snapshot> {
	const {snapshot} = await call('Controller/CreateSnapshot', {name, source_volume_id: 'golden'});
	if (!snapshot) throw new Error('no snapshot in the answer');
	return snapshot;
}

async function listed(call: OneNode['call']): Promise<readonly (string | undefined)[]> {
	const {entries = []} = await call('Controller/ListSnapshots', {});
	return entries.map(({snapshot}) => snapshot?.snapshot_id);
}

const elapsed = async (work: Promise<unknown>): Promise<number> => {
	const startedAt = performance.now();
	await work;
	return performance.now() - startedAt;
};

const storedVolumes = async ({scratch}: OneNode): Promise<readonly string[]> =>
	(await readdir(path.join(scratch.pool, 'volumes'))).filter((file) => !file.endsWith('.json'));

test.concurrent(
	'the next two restores fail, also when the driver dies between them; other calls work',
	onOneNode(async (world) => {
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
		await expect(restore(node, 'clone')).rejects.toThrow(/INTERNAL: on fire/);
		await node.createVolume('other', {capability: block, sizeMiB: 16});
		await node.createVolume('clone-of-volume', {capability: block, sizeMiB: 16, fromVolume: 'golden'});
		await crash();
		await expect(restore(node, 'clone')).rejects.toThrow(/INTERNAL: on fire/);
		await restore(node, 'clone');
		const met = (await readJournal(journal)).filter(({faults}) => faults?.includes('fail'));
		expect(met.map(({rpc, id, code}) => `${rpc} ${id} ${code}`)).toEqual([
			'CreateVolume clone INTERNAL',
			'CreateVolume clone INTERNAL',
		]);
		await discard(node, ['golden', 'clone', 'other', 'clone-of-volume'], ['snapshot']);
	}),
);

test.concurrent(
	'a call that fails after its work has done it',
	onOneNode(async (world) => {
		const {node, setFaults} = world;
		await makeGolden(node);
		const failure = {method: 'CreateVolume', source: 'volume', when: 'after', times: 1} as const;
		await setFaults(ofGolden({fail: [{...failure, code: 'DEADLINE_EXCEEDED'}]}));
		const clone = () => node.createVolume('clone', {capability: block, sizeMiB: 16, fromVolume: 'golden'});
		await expect(clone()).rejects.toThrow(/DEADLINE_EXCEEDED/);
		expect(await storedVolumes(world)).toEqual(['clone', 'golden']);
		await clone();
		await discard(node, ['golden', 'clone']);
	}),
);

test.concurrent(
	'a call whose answer is late has done its work',
	onOneNode(async (world) => {
		const {node, setFaults, crash, faultCounts, journal} = world;
		await setFaults({all: {delay: [{method: 'CreateVolume', when: 'after', times: 1, ms: 60_000}]}});
		const create = () => node.createVolume('late', {capability: block, sizeMiB: 16});
		const answer = create().then(() => 'OK', String);
		// Killed sooner, the driver would not know that it was to be late once only.
		await until('the delay is counted', () => access(faultCounts).then(() => true));
		expect(await storedVolumes(world)).toEqual(['late']);
		await crash();
		expect(await answer).toContain('UNAVAILABLE');
		await create();
		expect(await readJournal(journal)).toMatchObject([{rpc: 'CreateVolume', id: 'late', code: 'OK', repeated: true}]);
		await discard(node, ['late']);
	}),
);

test.concurrent(
	'a call waits before its work',
	onOneNode(async ({node, setFaults}) => {
		await setFaults({all: {delay: [{method: 'CreateVolume', times: 1, ms: 300}]}});
		const took = await elapsed(node.createVolume('late', {capability: block, sizeMiB: 16}));
		expect(took).toBeGreaterThanOrEqual(290);
		await discard(node, ['late']);
	}),
);

test.concurrent(
	'a cut costs time, and a snapshot is not ready for a while',
	onOneNode(async ({node, call, setFaults}) => {
		await makeGolden(node);
		await setFaults(ofGolden({cutMs: 300, notReadyMs: 60_000}));
		const took = await elapsed(node.createSnapshot('snapshot', 'golden'));
		expect(took).toBeGreaterThanOrEqual(290);
		expect((await shownSnapshot(call, 'snapshot')).ready_to_use).toBe(false);
		await expect(restore(node, 'clone')).rejects.toThrow(/UNAVAILABLE: .*not ready/);
		await setFaults(ofGolden({notReadyMs: 1}));
		expect((await shownSnapshot(call, 'snapshot')).ready_to_use).toBe(true);
		await restore(node, 'clone');
		await discard(node, ['golden', 'clone'], ['snapshot']);
	}),
);

test.concurrent(
	'snapshots without a size',
	onOneNode(async ({node, call, setFaults}) => {
		await makeGolden(node);
		await setFaults(ofGolden({noRestoreSize: true}));
		expect((await shownSnapshot(call, 'snapshot')).size_bytes).toBe(0);
		await setFaults({});
		expect((await shownSnapshot(call, 'snapshot')).size_bytes).toBe(16 * 1024 ** 2);
		await discard(node, ['golden'], ['snapshot']);
	}),
);

test.concurrent(
	'no ListSnapshots, neither announced nor served',
	onOneNode(async ({node, call, setFaults}) => {
		await makeGolden(node);
		await node.createSnapshot('snapshot', 'golden');
		const announced = async () => JSON.stringify(await call('Controller/ControllerGetCapabilities', {}));
		expect(await announced()).toMatch(/LIST_SNAPSHOTS/);
		await setFaults({noListSnapshots: true});
		expect(await announced()).not.toMatch(/LIST_SNAPSHOTS/);
		await expect(listed(call)).rejects.toThrow(/UNIMPLEMENTED/);
		await setFaults({});
		expect(await listed(call)).toEqual(['snapshot']);
		await discard(node, ['golden'], ['snapshot']);
	}),
);

test.concurrent(
	'restores and clones only of the size of their source',
	onOneNode(async ({node, setFaults}) => {
		await makeGolden(node);
		await node.createSnapshot('snapshot', 'golden');
		await setFaults(ofGolden({equalSizeRestore: true}));
		await expect(restore(node, 'larger', 32)).rejects.toThrow(/OUT_OF_RANGE/);
		const larger = {capability: block, sizeMiB: 32, fromVolume: 'golden'};
		await expect(node.createVolume('larger', larger)).rejects.toThrow(/OUT_OF_RANGE/);
		await restore(node, 'equal');
		await discard(node, ['golden', 'equal'], ['snapshot']);
	}),
);

test.concurrent(
	'of many cuts at once no more than the limit are made',
	onOneNode(async ({node, call, setFaults}) => {
		await makeGolden(node);
		await setFaults(ofGolden({maxSnapshots: 2}));
		const names = ['a', 'b', 'c', 'd', 'e'];
		for (const result of await Promise.allSettled(names.map((name) => node.createSnapshot(name, 'golden')))) {
			if (result.status === 'rejected') expect(String(result.reason)).toMatch(/RESOURCE_EXHAUSTED/);
		}
		const made = await listed(call);
		expect(made.length).toBeGreaterThanOrEqual(1);
		expect(made.length).toBeLessThanOrEqual(2);
		for (const name of names.filter((each) => !made.includes(each)).slice(0, 2 - made.length)) {
			await node.createSnapshot(name, 'golden');
		}
		const full = await listed(call);
		await expect(node.createSnapshot('f', 'golden')).rejects.toThrow(/RESOURCE_EXHAUSTED/);
		await node.createSnapshot(full[0] ?? '', 'golden');
		await node.deleteSnapshot(full[0] ?? '');
		await node.createSnapshot('f', 'golden');
		await discard(node, ['golden'], [full[1] ?? '', 'f']);
	}),
);

test.concurrent(
	'the time between cuts counts also from one that is deleted, and over a crash',
	onOneNode(async (world) => {
		const {node, setFaults, crash} = world;
		await makeGolden(node);
		await setFaults(ofGolden({betweenCutsMs: 60_000}));
		await node.createSnapshot('first', 'golden');
		await node.deleteSnapshot('first');
		await crash();
		await expect(node.createSnapshot('second', 'golden')).rejects.toThrow(/RESOURCE_EXHAUSTED.*again in \d+ ms/);
		await setFaults(ofGolden({betweenCutsMs: 1}));
		await node.createSnapshot('second', 'golden');
		await discard(node, ['golden'], ['second']);
	}),
);

test.concurrent(
	'a restore locks its snapshot against another one',
	onOneNode(async ({node, setFaults, crash}) => {
		await makeGolden(node);
		await node.createSnapshot('snapshot', 'golden');
		await setFaults(ofGolden({restoreLockMs: 60_000}));
		const both = ['a', 'b'].map((name) => restore(node, name));
		await expect(Promise.all(both)).rejects.toThrow(/ABORTED.*snapshot snapshot/);
		await crash();
		await Promise.allSettled(both);
		await setFaults(ofGolden({restoreLockMs: 10}));
		for (const name of ['a', 'b']) await restore(node, name);
		await discard(node, ['golden', 'a', 'b'], ['snapshot']);
	}),
);

test.concurrent(
	'a snapshot that vanished is not there, and can be deleted',
	onOneNode(async ({node, call, setFaults}) => {
		await makeGolden(node);
		await node.createSnapshot('snapshot', 'golden');
		await node.createSnapshot('other', 'golden');
		await setFaults(ofGolden({vanished: ['snapshot'], maxSnapshots: 2}));
		await expect(restore(node, 'clone')).rejects.toThrow(/NOT_FOUND/);
		expect(await listed(call)).toEqual(['other']);
		await node.createSnapshot('replacement', 'golden');
		await node.deleteSnapshot('snapshot');
		await setFaults({});
		expect(await listed(call)).toEqual(['other', 'replacement']);
		await discard(node, ['golden'], ['other', 'replacement']);
	}),
);

test.concurrent(
	'a snapshot stays while clones depend on it',
	onOneNode(async ({node, setFaults}) => {
		await makeGolden(node);
		await node.createSnapshot('snapshot', 'golden');
		await restore(node, 'clone');
		await setFaults(ofGolden({clonesDepend: true}));
		await expect(node.deleteSnapshot('snapshot')).rejects.toThrow(/FAILED_PRECONDITION.*clone/);
		await node.deleteVolume('clone');
		await node.deleteSnapshot('snapshot');
		await discard(node, ['golden']);
	}),
);

test.concurrent(
	'a file that cannot be understood changes nothing',
	onOneNode(async ({node, setFaults}) => {
		await makeGolden(node);
		await setFaults(ofGolden({maxSnapshots: 1}));
		await node.createSnapshot('snapshot', 'golden');
		for (const wrong of ['{"all": ', '{"every": {}}']) {
			await setFaults(wrong);
			await expect(node.createSnapshot('second', 'golden')).rejects.toThrow(/RESOURCE_EXHAUSTED/);
		}
		await discard(node, ['golden'], ['snapshot']);
	}),
);
