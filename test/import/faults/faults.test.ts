/** A few runs of `make test-import-faults`, other ones with ONESNAP_FAULTS_SEED, and what makes them. */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {beforeAll, describe, expect, test} from 'vitest';
import {runAll} from './batch.ts';
import {imageNames, makeImages, type TestImage} from './images.ts';
import {describeScenario, makeScenario} from './scenario.ts';

const seed = Number(process.env['ONESNAP_FAULTS_SEED'] ?? 1);
const choices = {seed, images: imageNames, devices: process.getuid?.() === 0};
const scenarios = Array.from({length: 12}, (_, run) => makeScenario({...choices, run}));

let folder = '';
let images: Readonly<Record<string, TestImage>> = {};

beforeAll(async () => {
	folder = await mkdtemp(path.join(tmpdir(), 'onesnap-faults-'));
	images = await makeImages(path.join(folder, 'images'));
	return () => rm(folder, {recursive: true});
}, 60_000);

test('a run is made from its seed and number alone', () => {
	expect(scenarios).toEqual(scenarios.map(({run}) => makeScenario({...choices, run})));
	expect(new Set(scenarios.map((scenario) => describeScenario(scenario))).size).toBe(scenarios.length);
});

describe('every kind of fault, server and source comes up', () => {
	const many = Array.from({length: 200}, (_, run) => makeScenario({...choices, run}));
	test.each([
		['faults', many.flatMap(({faults}) => faults.map(({kind}) => kind)), 8],
		['sources', many.map(({truth}) => truth.is), 7],
		['servers', many.map(({nature}) => nature.ranges), 6],
		['kills', many.map(({kills}) => kills.length), 4],
		['images', many.map(({image}) => image), imageNames.length],
	])('%s', (_, kinds, expected) => {
		expect(new Set<unknown>(kinds).size).toBe(expected);
	});
});

describe('the right bytes, or the right reason', () => {
	test.concurrent.each(scenarios.map((scenario) => [describeScenario(scenario), scenario] as const))(
		'%s',
		async (_, scenario) => {
			const [run] = await runAll([scenario], {images, folder, workers: 1});
			expect({wrong: run?.report.violations, story: run?.report.story}).toMatchObject({wrong: []});
		},
		120_000,
	);
});
