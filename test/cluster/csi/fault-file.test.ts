import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {makeLogger} from '../../../src/process/log.ts';
import {FaultCounts} from './fault-counts.ts';
import {FaultFile} from './fault-file.ts';
import type {Failure} from './faults.ts';

let folder: string;
let file: string;
let logged: string[];
beforeEach(async () => {
	folder = await mkdtemp(path.join(tmpdir(), 'onesnap-faults-'));
	file = path.join(folder, 'faults.json');
	logged = [];
});
afterEach(() => rm(folder, {recursive: true}));

const logger = () => makeLogger({level: 'info', destination: {write: (line) => void logged.push(line)}});
const write = (settings: unknown) => writeFile(file, JSON.stringify(settings));

describe('FaultFile', () => {
	it('without a file has no faults, and says nothing', () => {
		expect(new FaultFile(undefined, logger()).settings()).toEqual({});
		expect(new FaultFile(file, logger()).settings()).toEqual({});
		expect(logged).toEqual([]);
	});

	it('sees each change at once, the removal too', async () => {
		const faults = new FaultFile(file, logger());
		for (const cutMs of [1, 2]) {
			await write({all: {cutMs}});
			expect(faults.settings()).toEqual({all: {cutMs}});
		}
		await rm(file);
		expect(faults.settings()).toEqual({});
	});

	it('keeps what it understood last, and tells once what is wrong', async () => {
		const faults = new FaultFile(file, logger());
		await write({all: {cutMs: 1}});
		faults.settings();
		await write({all: {cutMs: 2, slow: true}});
		for (let again = 0; again < 3; again++) expect(faults.settings()).toEqual({all: {cutMs: 1}});
		const errors = logged.filter((line) => line.includes('"level":"error"'));
		expect(errors).toHaveLength(1);
		expect(errors[0]).toContain('slow');
		await write({all: {cutMs: 3}});
		expect(faults.settings()).toEqual({all: {cutMs: 3}});
	});

	it('keeps faults when the file becomes unreadable', async () => {
		const faults = new FaultFile(folder, logger());
		expect(faults.settings()).toEqual({});
		expect(faults.settings()).toEqual({});
		expect(logged.filter((line) => line.includes('EISDIR'))).toHaveLength(1);
	});
});

describe('FaultCounts', () => {
	const entry: Failure = {method: 'CreateVolume', code: 'ABORTED', times: 2};
	const take = (counts: FaultCounts, times: number, of = entry) => Array.from({length: times}, () => counts.take(of));
	const settings = {volumes: {v: {fail: [entry]}}};

	it('gives as many calls as there are, over restarts', () => {
		expect(take(new FaultCounts(file), 1)).toEqual([true]);
		expect(take(new FaultCounts(file), 3)).toEqual([true, false, false]);
	});

	it('never ends for always', () => {
		expect(take(new FaultCounts(file), 4, {...entry, times: 'always'})).toEqual([true, true, true, true]);
	});

	it('keeps the counts of what is in force, and forgets the others', () => {
		const counts = new FaultCounts(file);
		take(counts, 2);
		counts.keepOnly(settings);
		expect(take(counts, 1)).toEqual([false]);
		counts.keepOnly({});
		expect(take(new FaultCounts(file), 1)).toEqual([true]);
	});

	it('counts entries with ids of their own apart', () => {
		const counts = new FaultCounts(undefined);
		expect(take(counts, 3, {...entry, id: 'a'})).toEqual([true, true, false]);
		expect(take(counts, 3, {...entry, id: 'b'})).toEqual([true, true, false]);
	});

	it('remembers when a volume was cut', () => {
		new FaultCounts(file).noteCut('v', 1000);
		const counts = new FaultCounts(file);
		counts.keepOnly({});
		expect([counts.lastCutOf('v'), counts.lastCutOf('w')]).toEqual([1000, undefined]);
	});
});
