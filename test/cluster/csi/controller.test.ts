import {mkdtemp, readdir, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {silentLogger} from '../../../src/process/log.ts';
import type {Handlers, RpcNotes} from './chain.ts';
import type {CsiResponse} from './client.ts';
import {controllerService} from './controller.ts';
import {FaultSwitches, openFaults} from './fault-switches.ts';
import {openPool, type Pool} from './pool.ts';

/** Empty volumes need no reflink, so any folder serves here; snapshots and clones are in test/driver. */
let folder: string;
let pool: Pool;
let handlers: Handlers;
beforeEach(async () => {
	folder = await mkdtemp(path.join(tmpdir(), 'onesnap-pool-'));
	pool = await openPool(folder);
	handlers = controllerService(pool, {snapshots: true}, new FaultSwitches(pool, openFaults(undefined, silentLogger)));
});
afterEach(() => rm(folder, {recursive: true}));

async function call(rpc: string, request: object, notes: RpcNotes = {}): Promise<CsiResponse> {
	return {...(await handlers[rpc]?.(request, notes))};
}

const capability = {block: {}, access_mode: {mode: 'SINGLE_NODE_WRITER'}};
const blank = {name: 'v', capacity_range: {required_bytes: 8192}, volume_capabilities: [capability]};

describe('CreateVolume', () => {
	it('makes a sparse image with its record', async () => {
		expect(await call('CreateVolume', blank)).toEqual({volume: {volume_id: 'v', capacity_bytes: 8192}});
		expect(await stat(pool.volumeImage('v'))).toMatchObject({size: 8192, blocks: 0});
		expect(await readdir(path.join(folder, 'volumes'))).toEqual(['v', 'v.json']);
	});

	it('gives the same volume to a repeated call, and says so to the journal', async () => {
		const notes: RpcNotes = {};
		const first = await call('CreateVolume', blank);
		expect(await call('CreateVolume', blank, notes)).toEqual(first);
		expect(notes).toEqual({repeated: true});
	});

	it.each([
		['size', {...blank, capacity_range: {required_bytes: 16384}}],
		['source', {...blank, volume_content_source: {snapshot: {snapshot_id: 's'}}}],
	])('answers ALREADY_EXISTS when the name is taken with another %s', async (_, other) => {
		await call('CreateVolume', blank);
		await expect(call('CreateVolume', other)).rejects.toMatchObject({code: 'ALREADY_EXISTS'});
	});

	it.each([
		['no name', {...blank, name: ''}, 'INVALID_ARGUMENT'],
		['no capability', {...blank, volume_capabilities: []}, 'INVALID_ARGUMENT'],
		['no such snapshot', {...blank, volume_content_source: {snapshot: {snapshot_id: 's'}}}, 'NOT_FOUND'],
		['no such volume', {...blank, volume_content_source: {volume: {volume_id: '../x'}}}, 'NOT_FOUND'],
		['an empty source', {...blank, volume_content_source: {}}, 'INVALID_ARGUMENT'],
	])('refuses %s', (_, request, code) => expect(call('CreateVolume', request)).rejects.toMatchObject({code}));

	it.each([
		['in the middle of the image', ['v.tmp']],
		['between image and record', ['v']],
		['in the middle of the record', ['v', 'v.json.tmp']],
	])('makes a clean volume after a crash %s', async (_, leftovers) => {
		for (const file of leftovers) await writeFile(path.join(folder, 'volumes', file), 'x'.repeat(20_000));
		await call('CreateVolume', blank);
		expect(await stat(pool.volumeImage('v'))).toMatchObject({size: 8192, blocks: 0});
		expect(await readdir(path.join(folder, 'volumes'))).toEqual(['v', 'v.json']);
	});

	it('makes no clones where there are no snapshots', async () => {
		handlers = controllerService(
			pool,
			{snapshots: false},
			new FaultSwitches(pool, openFaults(undefined, silentLogger)),
		);
		const clone = {...blank, volume_content_source: {volume: {volume_id: 'v'}}};
		await expect(call('CreateVolume', clone)).rejects.toMatchObject({code: 'INVALID_ARGUMENT'});
	});
});

describe('DeleteVolume', () => {
	it.each([
		['a volume', ['v', 'v.json']],
		['what a crash left of one', ['v', 'v.tmp', 'v.json.tmp']],
		['nothing', []],
	])('removes %s', async (_, files) => {
		for (const file of files) await writeFile(path.join(folder, 'volumes', file), '');
		await call('DeleteVolume', {volume_id: 'v'});
		expect(await readdir(path.join(folder, 'volumes'))).toEqual([]);
	});

	it('takes an id that leads elsewhere for the id of nothing', async () => {
		await writeFile(path.join(folder, 'precious'), '');
		await call('DeleteVolume', {volume_id: '../precious'});
		expect(await readdir(folder)).toContain('precious');
	});
});

describe('ControllerExpandVolume', () => {
	beforeEach(() => call('CreateVolume', blank));
	const grow = (required_bytes: number) => ({volume_id: 'v', capacity_range: {required_bytes}});

	it('grows image and record; a file system still has to follow on its node', async () => {
		const response = await call('ControllerExpandVolume', grow(16384));
		expect(response).toEqual({capacity_bytes: 16384, node_expansion_required: true});
		expect((await stat(pool.volumeImage('v'))).size).toBe(16384);
		expect(await pool.volumes.read('v')).toMatchObject({capacityBytes: 16384});
	});

	it('is all there is to do for a block volume that no node uses', async () => {
		const response = await call('ControllerExpandVolume', {...grow(16384), volume_capability: capability});
		expect(response).toMatchObject({node_expansion_required: false});
	});

	it('never shrinks', async () => {
		expect(await call('ControllerExpandVolume', grow(4096))).toMatchObject({capacity_bytes: 8192});
	});
});

describe('lists', () => {
	const snapshot = (id: string, sourceVolumeId: string) =>
		pool.snapshots.write({id, name: id, sourceVolumeId, sizeBytes: 8192, createdAt: '2026-11-21T04:00:00.250Z'});
	const ids = ({entries = []}: CsiResponse) => entries.map(({snapshot}) => snapshot?.snapshot_id);

	it.each([
		['all', {}, ['s1', 's2', 't']],
		['by source', {source_volume_id: 'v'}, ['s1', 's2']],
		['by id', {snapshot_id: 't'}, ['t']],
		['by id and another source', {snapshot_id: 't', source_volume_id: 'v'}, []],
		['by an id that cannot be', {snapshot_id: '../volumes/v'}, []],
		['a page', {max_entries: 1, starting_token: 'after:s1'}, ['s2']],
	])('ListSnapshots: %s', async (_, request, expected) => {
		await Promise.all([snapshot('s1', 'v'), snapshot('s2', 'v'), snapshot('t', 'w')]);
		expect(ids(await call('ListSnapshots', request))).toEqual(expected);
	});

	it('shows when a snapshot was taken', async () => {
		await snapshot('s', 'v');
		expect(await call('ListSnapshots', {})).toMatchObject({
			entries: [{snapshot: {creation_time: {seconds: 1795233600, nanos: 250_000_000}, ready_to_use: true}}],
		});
	});

	it('ListVolumes: all', async () => {
		await call('CreateVolume', blank);
		expect(await call('ListVolumes', {})).toEqual({entries: [{volume: {volume_id: 'v', capacity_bytes: 8192}}]});
	});
});
