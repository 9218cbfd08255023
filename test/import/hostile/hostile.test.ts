/** A few cases of `make test-import-hostile`, without the trace: whether canaries are connected to is seen all the same. */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {makeBaseImages} from './base-images.ts';
import {type CanaryWatch, placeCanaries} from './canaries.ts';
import type {HostileCase} from './case.ts';
import {allCases} from './cases.ts';
import {runCase} from './run-case.ts';

const chosen = [
	'other files: backing file json:',
	'other files: data file without a name',
	'encrypted: LUKS inside',
	'tables: L1 of 32 GiB',
	'tables: clusters are the L2 itself',
	'tables: the first 60%',
	'snapshots: 65536 empty ones',
	'compressed: a bomb: 64 MiB for one cluster',
	'vmdk: capacity 0 and a text inside that names a file',
	'packed: gz, 128 MiB of zeros',
	'archive: a link out of it, and a file through it',
	'endless sources: a qcow2 stream without an end',
	'two faces: a backing file from the second request on',
];

let folder = '';
let canaries: CanaryWatch;
let cases: readonly HostileCase[] = [];

beforeAll(async () => {
	folder = await mkdtemp(path.join(tmpdir(), 'onesnap-hostile-'));
	canaries = await placeCanaries(folder);
	cases = allCases(await makeBaseImages(path.join(folder, 'base')), canaries, {seed: 1, count: 20});
}, 60_000);
afterAll(async () => {
	await canaries[Symbol.asyncDispose]();
	await rm(folder, {recursive: true});
});

test.each(chosen)(
	'%s',
	async (name) => {
		const hostile = cases.find((each) => `${each.group}: ${each.name}` === name);
		if (!hostile) throw new Error('there is no such case');
		const {violations, outcome, message} = await runCase(hostile, {
			folder: path.join(folder, 'case'),
			canaries,
			traced: false,
		});
		expect({violations, outcome, message}).toMatchObject({violations: []});
	},
	120_000,
);

test('each case has a name of its own', () => {
	const names = cases.map(({group, name}) => `${group}: ${name}`);
	expect(new Set(names).size).toBe(names.length);
	expect(names.length).toBeGreaterThan(300);
});
