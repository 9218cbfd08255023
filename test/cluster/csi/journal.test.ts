import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import type {RpcCall} from './chain.ts';
import {CsiError} from './errors.ts';
import {type JournalRecord, liveObjects, parseJournal, readJournal} from './journal.ts';
import {JournalWriter, journalInterceptor} from './journal-writer.ts';

function record(rpc: string, request: JournalRecord['request'], rest: Partial<JournalRecord> = {}): JournalRecord {
	return {at: '2026-11-21T04:00:00.000Z', rpc, durationMs: 1, request, code: 'OK', ...rest};
}

const volumeMade = record('CreateVolume', {name: 'v'}, {result: {volumeId: 'v', sourceSnapshotId: 's'}});
const snapshotMade = record('CreateSnapshot', {name: 's'}, {result: {snapshotId: 's', sourceVolumeId: 'v'}});
const staged = record('NodeStageVolume', {volume_id: 'v', staging_target_path: '/stage'});
const published = record('NodePublishVolume', {volume_id: 'v', target_path: '/pod', staging_target_path: '/stage'});

describe('liveObjects', () => {
	it('has what was made and is used', () => {
		expect(liveObjects([volumeMade, snapshotMade, staged, published])).toEqual({
			volumes: [{volumeId: 'v', createdAt: volumeMade.at, sourceSnapshotId: 's'}],
			snapshots: [{snapshotId: 's', createdAt: snapshotMade.at, sourceVolumeId: 'v'}],
			staged: [{volumeId: 'v', path: '/stage'}],
			published: [{volumeId: 'v', path: '/pod'}],
		});
	});

	it('has nothing once everything was undone', () => {
		const undone = [
			record('NodeUnpublishVolume', {volume_id: 'v', target_path: '/pod'}),
			record('NodeUnstageVolume', {volume_id: 'v', staging_target_path: '/stage'}),
			record('DeleteVolume', {volume_id: 'v'}),
			record('DeleteSnapshot', {snapshot_id: 's'}),
		];
		const nothing = {volumes: [], snapshots: [], staged: [], published: []};
		expect(liveObjects([volumeMade, snapshotMade, staged, published, ...undone])).toEqual(nothing);
	});

	it('takes a failed deletion for none, and a failed creation as well', () => {
		const deleteFailed = record('DeleteVolume', {volume_id: 'v'}, {code: 'FAILED_PRECONDITION'});
		const createFailed = record('CreateVolume', {name: 'w'}, {code: 'INTERNAL'});
		expect(liveObjects([volumeMade, deleteFailed, createFailed]).volumes.map(({volumeId}) => volumeId)).toEqual(['v']);
	});

	it('keeps the time of the first of repeated calls', () => {
		const again = {...volumeMade, at: '2026-11-21T05:00:00.000Z', repeated: true};
		expect(liveObjects([volumeMade, again]).volumes).toMatchObject([{createdAt: volumeMade.at}]);
	});

	it('tells two paths of one volume apart', () => {
		const other = record('NodePublishVolume', {volume_id: 'v', target_path: '/other'});
		const unpublished = record('NodeUnpublishVolume', {volume_id: 'v', target_path: '/pod'});
		expect(liveObjects([published, other, unpublished]).published).toEqual([{volumeId: 'v', path: '/other'}]);
	});
});

describe('parseJournal', () => {
	const line = JSON.stringify(volumeMade);

	it.each([
		['at the end', `${line}\n${line.slice(0, 40)}`, 1],
		['at the end, by chance after a brace', `${line}\n{"request":{}`, 1],
		['in the middle, from a run before', `${line.slice(0, 40)}\n${line}\n`, 1],
		['nowhere', `${line}\n${line}\n`, 2],
	])('skips a line cut %s', (_, text, count) => expect(parseJournal(text)).toHaveLength(count));
});

describe('the journal of calls', () => {
	let folder: string;
	beforeEach(async () => {
		folder = await mkdtemp(path.join(tmpdir(), 'onesnap-journal-'));
	});
	afterEach(() => rm(folder, {recursive: true}));

	const call = (rpc: string, request: object): RpcCall => ({service: 'csi.v1.Controller', rpc, request, notes: {}});

	it('has what was asked and answered, and no secrets', async () => {
		const file = path.join(folder, 'new', 'journal.jsonl');
		const writer = new JournalWriter(file);
		const intercept = journalInterceptor((line) => writer.append(line));
		const request = {name: 'v', secrets: {password: 'hush'}, parameters: {class: 'gold'}};
		await intercept(call('CreateVolume', request), async () => ({
			volume: {volume_id: 'v', capacity_bytes: 4096, content_source: {volume: {volume_id: 'golden'}}},
		}));
		writer.close();
		expect(await readJournal(file)).toEqual([
			{
				at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
				rpc: 'CreateVolume',
				durationMs: expect.any(Number),
				id: 'v',
				request: {name: 'v', parameters: {class: 'gold'}},
				code: 'OK',
				result: {volumeId: 'v', capacityBytes: 4096, sourceVolumeId: 'golden'},
			},
		]);
		expect(await readFile(file, 'utf8')).not.toContain('hush');
	});

	it('has failures with their codes, and passes them on', async () => {
		const lines: JournalRecord[] = [];
		const intercept = journalInterceptor((line) => lines.push(line));
		const failed = intercept(call('DeleteSnapshot', {snapshot_id: 's'}), async () => {
			throw new CsiError('ABORTED', 'busy');
		});
		await expect(failed).rejects.toThrow('busy');
		await expect(intercept(call('CreateVolume', {name: 'v'}), () => Promise.reject(new Error('odd')))).rejects.toThrow(
			'odd',
		);
		expect(lines).toMatchObject([
			{id: 's', code: 'ABORTED', message: 'busy'},
			{id: 'v', code: 'INTERNAL', message: 'odd'},
		]);
	});

	it.each(['Probe', 'GetPluginInfo', 'NodeGetVolumeStats', 'ControllerGetCapabilities'])(
		'leaves %s out',
		async (rpc) => {
			const lines: JournalRecord[] = [];
			await journalInterceptor((line) => lines.push(line))(call(rpc, {}), async () => ({}));
			expect(lines).toEqual([]);
		},
	);

	it('is empty before there is a file', async () => {
		expect(await readJournal(path.join(folder, 'none'))).toEqual([]);
	});

	it('goes on in a new line after one that was cut', async () => {
		const file = path.join(folder, 'journal.jsonl');
		await writeFile(file, '{"at":"2026');
		const writer = new JournalWriter(file);
		writer.append(volumeMade);
		writer.close();
		expect(await readJournal(file)).toEqual([volumeMade]);
	});
});
