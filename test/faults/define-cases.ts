/** Makes a test of every case, side by side where the switches allow it, and prints a table of what became of them. */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {annotations} from '../../src/api/names.ts';
import {ensureLocalCluster} from '../cluster/cluster.ts';
import {api, context, createDataVolume, immutable, makeNamespace, makeStorageClass} from '../e2e/world.ts';
import {waitForSucceeded} from '../support/data-volumes.ts';
import {digestOf, makeRawDisk} from '../support/disk-images.ts';
import {startImageServer} from '../support/image-server.ts';
import {setFaults, type StorageFaults} from '../support/storage-faults.ts';
import {table} from '../support/table.ts';
import {type CaseResult, type FaultWorld, runCase} from './run-case.ts';
import {type FaultCase, type FaultSwitch, mostCuts, nameOf} from './switches.ts';

const imageBytes = 16 * 1024 ** 2;

/** What could still come about is given up after so long; eight times as long where the storage says that it is busy. */
const deadline = (seconds: number) => ({
	annotations: {[annotations.cutDeadline]: String(seconds), [annotations.restoreDeadline]: String(seconds)},
});

const isOfWholeDriver = (faultCase: FaultCase) => faultCase.some(({wholeDriver}) => wholeDriver !== undefined);

const passes = ({prevents, larger}: FaultSwitch) => prevents === undefined && larger === undefined;

export function defineCases(cases: readonly FaultCase[]): void {
	let world: FaultWorld;
	const rows: string[][] = [];

	beforeAll(async () => {
		world = await makeWorld();
	});

	afterAll(() => {
		console.log(table([['SWITCHES', 'WAY', 'CUTS', 'SECONDS', 'OUTCOME'], ...rows]));
	});

	const run = async (faultCase: FaultCase, index: number) => {
		const result = await runCase(world, faultCase, `c${index}`);
		rows.push(rowOf(faultCase, result));
		expectRight(faultCase, result);
	};
	const named = cases.map((faultCase, index) => ({name: nameOf(faultCase), faultCase, index}));

	describe.concurrent('storage whose', () => {
		const apart = named.filter(({faultCase}) => !isOfWholeDriver(faultCase));
		test.each(apart)('$name', ({faultCase, index}) => run(faultCase, index));
	});

	describe('storage that lists no snapshots, whose', () => {
		let faults: StorageFaults;
		beforeAll(async () => {
			faults = await setFaults(world.cluster, {noListSnapshots: true});
			return () => faults[Symbol.asyncDispose]();
		});
		describe.concurrent('at the same time', () => {
			const together = named.filter(({faultCase}) => isOfWholeDriver(faultCase));
			test.each(together)('$name', ({faultCase, index}) => run(faultCase, index));
		});
	});
}

async function makeWorld(): Promise<FaultWorld> {
	const cluster = await ensureLocalCluster();
	const patient = await makeStorageClass('patient', deadline(60));
	const impatient = await makeStorageClass('impatient', deadline(5));
	const namespaces = {golden: await makeNamespace('golden'), other: await makeNamespace('other')};
	const folder = await mkdtemp(path.join(tmpdir(), 'onesnap-faults-'));
	try {
		const file = path.join(folder, 'disk.raw');
		await makeRawDisk(file, {sizeBytes: imageBytes, dataBytes: imageBytes / 4});
		await using server = await startImageServer({host: context.hostAddress, files: {'/disk.raw': file}});
		const base = await createDataVolume({
			namespace: namespaces.golden,
			name: 'base',
			source: {http: {url: `${server.url}/disk.raw`}},
			storageClass: patient,
			volumeMode: 'Block',
			size: '16Mi',
			annotations: immutable,
		});
		await waitForSucceeded(api, [base]);
		return {
			cluster,
			base,
			storageClasses: {patient, impatient},
			imageBytes,
			imageSha256: await digestOf(file),
			namespaces,
		};
	} finally {
		await rm(folder, {recursive: true, force: true});
	}
}

function outcomeOf({clones, left}: CaseResult): string {
	const stuck = clones.filter(({end}) => end !== 'Succeeded').map(({end}) => end.replaceAll(/\s+/g, ' ').slice(0, 200));
	const wrong = clones.filter(({content}) => content === 'wrong').map(() => 'wrong content');
	const leaked = left.length > 0 ? [`left: ${left.join(', ')}`] : [];
	return [...stuck, ...wrong, ...leaked].join('; ') || 'right';
}

function rowOf(faultCase: FaultCase, result: CaseResult): string[] {
	const ways = [...new Set(result.clones.map(({way}) => way))].join(', ');
	return [nameOf(faultCase), ways, String(result.cuts), result.seconds.toFixed(1), outcomeOf(result)];
}

function expectRight(faultCase: FaultCase, result: CaseResult): void {
	expect(outcomeOf(result)).toBe('right');
	const prevents = faultCase.flatMap(({prevents: cause}) => cause ?? []);
	for (const {way, reason} of result.clones) {
		// A copy is always possible; whoever does not get the best way is told why.
		expect(['snapshot', 'csi-clone', 'copy']).toContain(way);
		if (way !== 'snapshot') expect(reason).not.toBe('');
		// Nothing stands in the way of one that passes.
		if (faultCase.length === 1 && faultCase.every(passes)) expect(way).toBe('snapshot');
		if (prevents.length === 0) continue;
		expect(way).not.toBe('snapshot');
		expect(reason).toMatch(new RegExp(prevents.map(({source}) => source).join('|')));
	}
	expect(result.cuts).toBeLessThanOrEqual(mostCuts(faultCase));
	// In a pair, one switch may keep the other from being met.
	const mustMeet = faultCase.length === 1 && faultCase.every(({mayBeMissed = false}) => !mayBeMissed);
	if (mustMeet) expect(result.met.length).toBeGreaterThan(0);
}
