import assert from 'node:assert/strict';
import {open, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {ensureDefinitions} from '../definitions.ts';
import {connect, type CsiClient} from './client.ts';
import {startDriverProcess} from './driver-process.ts';
import type {FaultSettings} from './faults.ts';
import {liveObjects, readJournal} from './journal.ts';
import {makeScratchPool, type ScratchPool} from './scratch-pool.ts';
import {TestNode} from './test-node.ts';

/** What a case about the driver's behaviour works with. */
export type World = {
	readonly node: TestNode;
	readonly call: CsiClient['call'];
	readonly scratch: ScratchPool;
	/** Kills the driver and starts it again. */
	readonly crash: () => Promise<void>;
	/** A text is written as it is. */
	readonly setFaults: (faults: FaultSettings | string) => Promise<void>;
	readonly journal: string;
};

/** Named by sentences. */
export type Behaviours = Readonly<Record<string, (world: World) => Promise<void>>>;

export const mebibyte = 1024 ** 2;

/** Runs a case with a driver and a pool of its own. */
export async function inNewWorld(behaviour: (world: World) => Promise<void>): Promise<void> {
	const scratch = await makeScratchPool();
	let left: readonly string[] = [];
	try {
		await withDriver(scratch, behaviour);
	} finally {
		left = await scratch.dispose();
	}
	assert.deepEqual(left, [], 'left mounted or attached');
}

async function withDriver(scratch: ScratchPool, behaviour: (world: World) => Promise<void>): Promise<void> {
	const faultFile = path.join(scratch.folder, 'faults.json');
	const options = ['--faults', faultFile];
	let driver = await startDriverProcess(scratch, options);
	const client = await connect(driver.csiSocket, (await ensureDefinitions()).csiProto);
	const world: World = {
		node: new TestNode(client, scratch.folder),
		call: client.call,
		scratch,
		crash: async () => {
			await driver.kill();
			driver = await startDriverProcess(scratch, options);
		},
		setFaults: (faults) => writeFile(faultFile, typeof faults === 'string' ? faults : JSON.stringify(faults)),
		journal: driver.journal,
	};
	try {
		await behaviour(world);
		await rm(faultFile, {force: true});
		await requireEmpty(world);
	} finally {
		client.close();
		await driver.stop();
	}
}

/** As the sidecars clean up: unpublish and unstage what is still in use, then delete. */
export async function discard(node: TestNode, volumes: readonly string[], snapshots: readonly string[]): Promise<void> {
	for (const volume of volumes) {
		await node.unpublish(volume);
		await node.unstage(volume);
		await node.deleteVolume(volume);
	}
	for (const snapshot of snapshots) await node.deleteSnapshot(snapshot);
}

/** The pool and the journal agree that nothing is left, and no secret was written down. */
async function requireEmpty({scratch, journal}: World): Promise<void> {
	for (const folder of ['volumes', 'snapshots']) assert.deepEqual(await readdir(path.join(scratch.pool, folder)), []);
	const live = liveObjects(await readJournal(journal));
	assert.deepEqual(live, {volumes: [], snapshots: [], staged: [], published: []});
	assert.doesNotMatch(await readFile(journal, 'utf8'), /never to be seen/);
}

export async function writeAt(file: string, data: string | Buffer, position: number): Promise<void> {
	const handle = await open(file, 'r+');
	try {
		await handle.write(Buffer.from(data), 0, undefined, position);
	} finally {
		await handle.close();
	}
}

export async function readAt(file: string, length: number, position: number): Promise<string> {
	const handle = await open(file, 'r');
	try {
		const {buffer} = await handle.read(Buffer.alloc(length), 0, length, position);
		return buffer.toString();
	} finally {
		await handle.close();
	}
}
