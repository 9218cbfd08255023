/**
 * `make test-import-faults`: the importer against a server that does everything wrong, killed now and then. Every run ends with
 * the bytes that qemu-img itself makes of the image, or with the right reason why there are none.
 *
 *     node test/import/faults/main.ts [--seed N] [--runs 200] [--run K] [--workers N]
 *
 * A run is made from the seed and its number alone: `--seed N --run K` repeats it, with all it logs.
 */
import {mkdtemp, rm} from 'node:fs/promises';
import {availableParallelism, tmpdir} from 'node:os';
import path from 'node:path';
import {parseArgs} from 'node:util';
import {imageNames, makeImages} from './images.ts';
import {type FinishedRun, runAll, summary} from './batch.ts';
import {describeScenario, makeScenario} from './scenario.ts';

const {values} = parseArgs({
	options: {
		seed: {type: 'string', default: String(Date.now() % 2 ** 31)},
		runs: {type: 'string', default: '200'},
		run: {type: 'string'},
		workers: {type: 'string', default: String(availableParallelism())},
	},
});

function whole(name: string, text: string): number {
	const number = Number(text);
	if (!Number.isSafeInteger(number) || number < 0) throw new Error(`--${name} is ${text}: give a whole number`);
	return number;
}

const seed = whole('seed', values.seed);
const numbers =
	values.run === undefined
		? Array.from({length: whole('runs', values.runs)}, (_, run) => run)
		: [whole('run', values.run)];
/** The first ones, and the last. */
const shownTries = 6;
const devices = process.getuid?.() === 0;

function tell({scenario, report}: FinishedRun): void {
	const {outcome, violations, tries, ms, story} = report;
	console.log(
		`${String(scenario.run).padStart(4)}  ${outcome}, ${tries} tries, ${(ms / 1000).toFixed(1)} s  ${describeScenario(scenario)}`,
	);
	if (violations.length === 0 && values.run === undefined) return;
	for (const line of [...story.slice(0, shownTries), ...story.slice(shownTries).slice(-1)])
		console.log(`      ${line}`);
	for (const violation of violations) console.log(`      WRONG: ${violation}`);
	if (violations.length > 0)
		console.log(`      again: node test/import/faults/main.ts --seed ${scenario.seed} --run ${scenario.run}`);
}

const startedMs = performance.now();
const folder = await mkdtemp(path.join(tmpdir(), 'onesnap-faults-'));
try {
	console.log(`seed ${seed}${devices ? '' : '; not root: no block devices'}`);
	const images = await makeImages(path.join(folder, 'images'));
	const scenarios = numbers.map((run) => makeScenario({seed, run, images: imageNames, devices}));
	const runs = await runAll(scenarios, {images, folder, workers: whole('workers', values.workers), onRun: tell});
	const wrong = runs.filter(({report}) => report.violations.length > 0);
	console.log(`\n${summary(runs)}`);
	console.log(
		`\n${runs.length} runs in ${Math.round((performance.now() - startedMs) / 1000)} s: ${runs.length - wrong.length} right, ${wrong.length} wrong`,
	);
	for (const {scenario} of wrong)
		console.log(`again: node test/import/faults/main.ts --seed ${seed} --run ${scenario.run}`);
	process.exitCode = wrong.length === 0 ? 0 : 1;
} finally {
	await rm(folder, {recursive: true, force: true});
}
