import {mkdtemp, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {silentLogger} from '../../../src/process/log.ts';
import type {Handlers} from './chain.ts';
import type {CsiResponse} from './client.ts';
import {controllerService} from './controller.ts';
import {FaultSwitches, openFaults} from './fault-switches.ts';
import {openPool, type Pool} from './pool.ts';
import {topologyController} from './topology.ts';

/** Contents are in test/driver; where things go needs no reflink, so any folder serves here. */
const key = 'example.test/node';
const faults = openFaults(undefined, silentLogger);
let folder: string;
let pools: Readonly<Record<'node1' | 'node2', Pool>>;
let handlers: Handlers;
beforeEach(async () => {
	folder = await mkdtemp(path.join(tmpdir(), 'onesnap-pools-'));
	const open = (nodeId: string) => openPool(path.join(folder, nodeId));
	pools = {node1: await open('node1'), node2: await open('node2')};
	const locals = Object.entries(pools).map(([nodeId, pool]) => ({
		nodeId,
		pool,
		handlers: controllerService(pool, {snapshots: true}, new FaultSwitches(pool, faults)),
	}));
	handlers = topologyController(key, locals);
});
afterEach(() => rm(folder, {recursive: true}));

async function call(rpc: string, request: object): Promise<CsiResponse> {
	return {...(await handlers[rpc]?.(request, {}))};
}

const on = (...nodes: string[]) => nodes.map((node) => ({segments: {[key]: node}}));
const blank = {
	name: 'v',
	capacity_range: {required_bytes: 8192},
	volume_capabilities: [{block: {}, access_mode: {mode: 'SINGLE_NODE_WRITER'}}],
};
const files = async (node: 'node1' | 'node2', kind: 'volumes' | 'snapshots' = 'volumes') =>
	readdir(path.join(folder, node, kind));

const snapshotOn = (node: 'node1' | 'node2', id: string, sourceVolumeId = 'v') =>
	pools[node].snapshots.write({id, name: id, sourceVolumeId, sizeBytes: 8192, createdAt: '2026-11-21T04:00:00.250Z'});

describe('a new volume', () => {
	it.each([
		['nobody says where', undefined, 'node1'],
		['one node is allowed', {requisite: on('node2')}, 'node2'],
		['one of two is preferred', {requisite: on('node1', 'node2'), preferred: on('node2', 'node1')}, 'node2'],
		['there are preferences only', {preferred: on('node2')}, 'node2'],
		['what is preferred is not allowed', {requisite: on('node1'), preferred: on('node2')}, 'node1'],
		['what is preferred does not exist', {preferred: on('node3', 'node2')}, 'node2'],
	] as const)('when %s', async (_, accessibility_requirements, node) => {
		const {volume} = await call('CreateVolume', {
			...blank,
			...(accessibility_requirements && {accessibility_requirements}),
		});
		expect(volume?.accessible_topology).toEqual(on(node));
		expect(await files(node)).toEqual(['v', 'v.json']);
		expect(await files(node === 'node1' ? 'node2' : 'node1')).toEqual([]);
	});

	it.each([
		['a node without storage', {requisite: on('node3')}],
		['a place of another kind', {requisite: [{segments: {zone: 'a'}}]}],
	])('cannot be on %s', async (_, accessibility_requirements) => {
		const request = {...blank, accessibility_requirements};
		await expect(call('CreateVolume', request)).rejects.toMatchObject({code: 'RESOURCE_EXHAUSTED'});
	});

	it('stays where it is when it is asked for again, and cannot be elsewhere as well', async () => {
		await call('CreateVolume', {...blank, accessibility_requirements: {requisite: on('node2')}});
		const anywhere = {requisite: on('node1', 'node2'), preferred: on('node1')};
		const {volume} = await call('CreateVolume', {...blank, accessibility_requirements: anywhere});
		expect(volume?.accessible_topology).toEqual(on('node2'));
		const elsewhere = {...blank, accessibility_requirements: {requisite: on('node1')}};
		await expect(call('CreateVolume', elsewhere)).rejects.toMatchObject({code: 'ALREADY_EXISTS'});
		expect(await files('node1')).toEqual([]);
	});
});

describe('what is made from a source', () => {
	const sources = {
		snapshot: {snapshot: {snapshot_id: 's'}},
		volume: {volume: {volume_id: 'v'}},
	};

	it.each(Object.entries(sources))('is refused where its %s is not', async (_, volume_content_source) => {
		await call('CreateVolume', {...blank, accessibility_requirements: {requisite: on('node2')}});
		await snapshotOn('node2', 's');
		const request = {
			...blank,
			name: 'clone',
			volume_content_source,
			accessibility_requirements: {requisite: on('node1')},
		};
		await expect(call('CreateVolume', request)).rejects.toMatchObject({
			code: 'INVALID_ARGUMENT',
			message: 'source node is not in the requirements: it is node2',
		});
		expect(await files('node1')).toEqual([]);
		expect(await files('node2')).toEqual(['v', 'v.json']);
	});

	it('cannot be, without one', async () => {
		const request = {
			...blank,
			volume_content_source: sources.snapshot,
			accessibility_requirements: {requisite: on('node2')},
		};
		await expect(call('CreateVolume', request)).rejects.toMatchObject({code: 'NOT_FOUND'});
	});
});

describe('snapshots', () => {
	it('of a volume that no node has: NOT_FOUND', async () => {
		const request = {name: 's', source_volume_id: 'v'};
		await expect(call('CreateSnapshot', request)).rejects.toMatchObject({code: 'NOT_FOUND'});
	});

	it('of two volumes on two nodes cannot have the same name', async () => {
		await call('CreateVolume', {...blank, accessibility_requirements: {requisite: on('node2')}});
		await snapshotOn('node1', 's', 'another');
		const request = {name: 's', source_volume_id: 'v'};
		await expect(call('CreateSnapshot', request)).rejects.toMatchObject({code: 'ALREADY_EXISTS'});
		expect(await files('node2', 'snapshots')).toEqual([]);
	});

	it('are listed over all nodes, page by page', async () => {
		await Promise.all([snapshotOn('node2', 'a'), snapshotOn('node1', 'b'), snapshotOn('node2', 'c', 'w')]);
		const ids = ({entries = []}: CsiResponse) => entries.map(({snapshot}) => snapshot?.snapshot_id);
		const first = await call('ListSnapshots', {max_entries: 2});
		expect(ids(first)).toEqual(['a', 'b']);
		expect(ids(await call('ListSnapshots', {max_entries: 2, starting_token: first.next_token}))).toEqual(['c']);
		expect(ids(await call('ListSnapshots', {source_volume_id: 'w'}))).toEqual(['c']);
		expect(ids(await call('ListSnapshots', {snapshot_id: 'b'}))).toEqual(['b']);
	});

	it('are deleted wherever they are', async () => {
		await Promise.all([snapshotOn('node1', 'a'), snapshotOn('node2', 'b')]);
		for (const snapshot_id of ['a', 'b', 'never']) await call('DeleteSnapshot', {snapshot_id});
		expect([...(await files('node1', 'snapshots')), ...(await files('node2', 'snapshots'))]).toEqual([]);
	});
});

describe('a volume on the second node', () => {
	beforeEach(() => call('CreateVolume', {...blank, accessibility_requirements: {requisite: on('node2')}}));

	it('is listed with its place', async () => {
		const {volume} = await call('CreateVolume', {...blank, name: 'a'});
		expect(volume?.accessible_topology).toEqual(on('node1'));
		expect(await call('ListVolumes', {})).toEqual({
			entries: [
				{volume: {volume_id: 'a', capacity_bytes: 8192, accessible_topology: on('node1')}},
				{volume: {volume_id: 'v', capacity_bytes: 8192, accessible_topology: on('node2')}},
			],
		});
	});

	it('grows there', async () => {
		await call('ControllerExpandVolume', {volume_id: 'v', capacity_range: {required_bytes: 16384}});
		expect(await pools.node2.volumes.read('v')).toMatchObject({capacityBytes: 16384});
	});

	it('is deleted there, and with it what an interrupted attempt left on another node', async () => {
		await writeFile(pools.node1.volumeImage('v'), '');
		await call('DeleteVolume', {volume_id: 'v'});
		expect([...(await files('node1')), ...(await files('node2'))]).toEqual([]);
	});
});

it('has no snapshots where the pools have none', () => {
	const locals = Object.entries(pools).map(([nodeId, pool]) => ({
		nodeId,
		pool,
		handlers: controllerService(pool, {snapshots: false}, new FaultSwitches(pool, faults)),
	}));
	expect(Object.keys(topologyController(key, locals))).not.toContain('CreateSnapshot');
});
