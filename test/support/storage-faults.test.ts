import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {type FaultSettings, parseFaultSettings} from '../cluster/csi/faults.ts';
import {clearFaults, setFaults} from './storage-faults.ts';

let folder: string;
let restarts: string[];
let cluster: Parameters<typeof setFaults>[0];
beforeEach(async () => {
	folder = await mkdtemp(path.join(tmpdir(), 'onesnap-faults-'));
	restarts = [];
	cluster = {
		faultFiles: {'reflink.csi.onesnap.io': path.join(folder, 'faults.json')},
		stopDaemon: async (name) => void restarts.push(`stop ${name}`),
		startDaemon: async (name) => void restarts.push(`start ${name}`),
	};
});
afterEach(() => rm(folder, {recursive: true}));

const set = async (): Promise<FaultSettings> =>
	parseFaultSettings(await readFile(path.join(folder, 'faults.json'), 'utf8'));

describe('setFaults', () => {
	it('keeps what others set, and takes back its own alone', async () => {
		await using _ = await setFaults(cluster, {all: {cutMs: 5}, volumes: {other: {cutMs: 1}}});
		{
			await using mine = await setFaults(cluster, {volumes: {mine: {cutMs: 2}}});
			expect(await set()).toEqual({all: {cutMs: 5}, volumes: {other: {cutMs: 1}, mine: {cutMs: 2}}});
			await mine.change({volumes: {next: {maxSnapshots: 1}}});
			expect(await set()).toEqual({all: {cutMs: 5}, volumes: {other: {cutMs: 1}, next: {maxSnapshots: 1}}});
		}
		expect(await set()).toEqual({all: {cutMs: 5}, volumes: {other: {cutMs: 1}}});
	});

	it('loses nothing when many set theirs at once', async () => {
		const names = Array.from({length: 8}, (_, index) => `v${index}`);
		const all = await Promise.all(names.map((name) => setFaults(cluster, {volumes: {[name]: {cutMs: 1}}})));
		expect(Object.keys((await set()).volumes ?? {}).toSorted()).toEqual(names);
		await Promise.all(all.map((faults) => faults[Symbol.asyncDispose]()));
		expect(await set()).toEqual({volumes: {}});
	});

	it('lets calls be counted anew each time', async () => {
		const settings: FaultSettings = {all: {fail: [{method: 'CreateVolume', code: 'ABORTED', times: 1}]}};
		const ids: unknown[] = [];
		for (let again = 0; again < 2; again++) {
			await using _ = await setFaults(cluster, settings);
			ids.push((await set()).all?.fail?.[0]?.id);
		}
		expect(new Set(ids).size).toBe(2);
		expect(ids).not.toContain(undefined);
	});

	it.each<FaultSettings>([{all: {}}, {noListSnapshots: true}, {volumes: {v: {}}}])(
		'refuses %o where another test has it',
		async (settings) => {
			await using _ = await setFaults(cluster, settings);
			await expect(setFaults(cluster, settings)).rejects.toThrow('set by another test already');
		},
	);

	it('refuses what the driver would not understand', async () => {
		await expect(setFaults(cluster, {all: {maxSnapshots: 0}})).rejects.toThrow('maxSnapshots');
		expect(await set().catch(() => 'nothing')).toBe('nothing');
	});

	it('restarts the sidecar that asks for capabilities once, both times', async () => {
		const once = ['stop csi-snapshotter-reflink', 'start csi-snapshotter-reflink'];
		{
			await using faults = await setFaults(cluster, {noListSnapshots: true});
			await faults.change({noListSnapshots: true, all: {cutMs: 1}});
			expect(restarts).toEqual(once);
		}
		expect(restarts).toEqual([...once, ...once]);
	});
});

describe('clearFaults', () => {
	it('removes what a killed run left', async () => {
		await setFaults(cluster, {noListSnapshots: true, all: {cutMs: 1}, volumes: {v: {cutMs: 1}}});
		await clearFaults(cluster);
		expect(await set()).toEqual({});
		expect(restarts).toHaveLength(4);
	});
});
