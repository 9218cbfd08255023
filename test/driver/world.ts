import {open, readdir, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {expect} from 'vitest';
import {type CsiClient, connect} from '../cluster/csi/client.ts';
import type {FaultSettings} from '../cluster/csi/faults.ts';
import {liveObjects, readJournal} from '../cluster/csi/journal.ts';
import {ensureDefinitions} from '../cluster/definitions.ts';
import {TestNode} from './test-node.ts';
import {type Driver, withDriver} from './with-driver.ts';

/** A driver of one's own. Every test has to leave its pool as empty as it found it. */
type World = Driver & {
	/** A text is written as it is. */
	readonly setFaults: (faults: FaultSettings | string) => Promise<void>;
};

/** As in a cluster of one node. */
export type OneNode = World & {readonly node: TestNode; readonly call: CsiClient['call']};

/** As in a cluster of two. */
type TwoNodes = World & {
	readonly node1: TestNode;
	readonly node2: TestNode;
	readonly clients: {readonly node1: CsiClient; readonly node2: CsiClient};
};

export const mebibyte = 1024 ** 2;

/** A test of a driver that serves one node. */
export function onOneNode(behaviour: (world: OneNode) => Promise<void>): () => Promise<void> {
	return () =>
		inNewWorld({}, async (world, connectTo) => {
			const client = await connectTo('node1');
			await behaviour({...world, node: new TestNode(client, world.scratch.folder), call: client.call});
		});
}

/** A test of a driver that serves two nodes. */
export function onTwoNodes(
	options: readonly string[],
	behaviour: (world: TwoNodes) => Promise<void>,
): () => Promise<void> {
	return () =>
		inNewWorld({options, otherNodes: ['node2']}, async (world, connectTo) => {
			const clients = {node1: await connectTo('node1'), node2: await connectTo('node2')};
			/** The Controller service is the first node's, for all. */
			const second: CsiClient = {
				call: (rpc, request) => clients[rpc.startsWith('Node/') ? 'node2' : 'node1'].call(rpc, request),
				close: () => {},
			};
			const folderOf = (node: string) => path.join(world.scratch.folder, node);
			const node1 = new TestNode(clients.node1, folderOf('node1'));
			await behaviour({...world, node1, node2: new TestNode(second, folderOf('node2')), clients});
		});
}

async function inNewWorld(
	setup: Parameters<typeof withDriver>[0],
	behaviour: (world: World, connectTo: (node: string) => Promise<CsiClient>) => Promise<void>,
): Promise<void> {
	const {csiProto} = await ensureDefinitions();
	await withDriver(setup, async (driver) => {
		const clients: CsiClient[] = [];
		const connectTo = async (node: string) => {
			const client = await connect(driver.socketOf(node), csiProto);
			clients.push(client);
			return client;
		};
		const setFaults = (faults: FaultSettings | string) =>
			writeFile(driver.faultFile, typeof faults === 'string' ? faults : JSON.stringify(faults));
		try {
			await behaviour({...driver, setFaults}, connectTo);
			await requireEmpty(driver);
		} finally {
			for (const client of clients) client.close();
		}
	});
}

/** The pool and the journal agree that nothing is left, and no secret was written down. */
async function requireEmpty({scratch, journal}: Driver): Promise<void> {
	const files = (await readdir(scratch.pool, {recursive: true, withFileTypes: true})).filter((entry) => entry.isFile());
	expect(files.map(({name}) => name)).toEqual([]);
	const nothing = {volumes: [], snapshots: [], staged: [], published: []};
	expect(liveObjects(await readJournal(journal))).toEqual(nothing);
	expect(await readFile(journal, 'utf8')).not.toContain('never to be seen');
}

/** As the sidecars clean up: unpublish and unstage what is still in use, then delete. */
export async function discard(
	node: TestNode,
	volumes: readonly string[],
	snapshots: readonly string[] = [],
): Promise<void> {
	for (const volume of volumes) {
		await node.unpublish(volume);
		await node.unstage(volume);
		await node.deleteVolume(volume);
	}
	for (const snapshot of snapshots) await node.deleteSnapshot(snapshot);
}

/** As the sidecars and the kubelet repeat what was ABORTED. */
export async function repeatedly<T>(work: () => Promise<T>): Promise<T> {
	const deadline = Date.now() + 60_000;
	for (;;) {
		try {
			return await work();
		} catch (error) {
			if (!String(error).includes('ABORTED') || Date.now() > deadline) throw error;
			await sleep(50);
		}
	}
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
