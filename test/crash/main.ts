/**
 * The crash matrix: three stories, each told undisturbed once and then again for every write that the controller makes,
 * with the controller killed the moment that write is answered. All must end alike: the same objects, as many snapshots
 * cut, the same disks, and nothing left after all is deleted. Figures go to .onesnap/test/crash.json.
 */
import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {parseArgs} from 'node:util';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import {ensureLocalCluster} from '../cluster/cluster.ts';
import {report, withProgress} from '../cluster/progress.ts';
import {testLabel, testLabels} from '../e2e/labels.ts';
import {installOnesnap} from '../support/install.ts';
import {removeNamespaces} from '../support/labelled-namespaces.ts';
import {table} from '../support/table.ts';
import type {CrashPoint} from './crash-point.ts';
import {ControllerHost} from './host-controller.ts';
import {type Ending, runStory, type Telling} from './run-story.ts';
import {type Scenario, scenarios} from './scenarios.ts';
import {type CrashWorld, openCrashWorld} from './world.ts';

const help = `node test/crash/main.ts [--scenario WORDS] [--from K] [--to K] [--after WRITE] [--how killed|answer-lost]

  --scenario   only those whose name has these words
  --from, --to only these writes
  --after      only the first write of this kind, see writes.ts: 'SharedSnapshot closed'
  --how        killed (default), or answer-lost: the process lives, the answer to its K-th write does not reach it`;

const {values} = parseArgs({
	options: {
		scenario: {type: 'string', default: ''},
		from: {type: 'string', default: '1'},
		to: {type: 'string', default: 'Infinity'},
		after: {type: 'string'},
		how: {type: 'string', default: 'killed'},
		help: {type: 'boolean', default: false},
	},
});
if (values.help) {
	console.log(help);
	process.exit(0);
}
const how = values.how === 'answer-lost' ? 'answer lost' : 'killed';
const [from, to] = [Number(values.from), Number(values.to)];
if (!(from >= 1 && to >= from) || !['killed', 'answer-lost'].includes(values.how)) {
	console.error(help);
	process.exit(2);
}

const folder = path.resolve(import.meta.dirname, '../../.onesnap/test');

/** Of a difference; all of it is in the figures. */
const shownLines = 20;

interface Row {
	readonly scenario: string;
	/** The undisturbed run is number 0. */
	readonly write: number;
	/** The last write before the kill. */
	readonly what: string;
	readonly equal: boolean;
	readonly seconds: number;
	readonly wrong: readonly string[];
}

function rowOf(scenario: Scenario, write: number, {writes, wrong, seconds}: Ending): Row {
	const isReached = write > 0 && writes.length >= write;
	return {
		scenario: scenario.name,
		write,
		what: isReached ? (writes[write - 1] ?? '') : 'not disturbed',
		equal: wrong.length === 0,
		seconds: Number(seconds.toFixed(1)),
		wrong,
	};
}

const line = ({scenario, write, what, equal, seconds}: Row) => [
	scenario,
	String(write),
	what,
	equal ? 'equal' : 'DIFFERENT',
	seconds.toFixed(1),
];

class ScenarioRun {
	readonly #rows: Row[];
	readonly #scenario: Scenario;
	readonly #stage: Pick<Telling, 'world' | 'host' | 'story'>;

	/** @param rows gets one for each ending, at once. */
	constructor(rows: Row[], scenario: Scenario, stage: Pick<Telling, 'world' | 'host' | 'story'>) {
		this.#rows = rows;
		this.#scenario = scenario;
		this.#stage = stage;
	}

	async undisturbed(): Promise<Ending> {
		const ending = await runStory({...this.#stage, name: this.#nameOf(0)});
		this.#add(rowOf(this.#scenario, 0, ending));
		return ending;
	}

	async disturbed(after: CrashPoint['after'], expected: readonly string[]): Promise<Ending> {
		const ending = await runStory({...this.#stage, name: this.#nameOf(after), point: {after, how}, expected});
		this.#add(rowOf(this.#scenario, typeof after === 'number' ? after : ending.writes.length, ending));
		return ending;
	}

	#nameOf(after: CrashPoint['after']): string {
		return `${this.#scenario.name}-${after}`.replaceAll(' ', '-');
	}

	#add(row: Row): void {
		this.#rows.push(row);
		report(line(row).join('  '));
		for (const words of row.wrong.slice(0, shownLines)) report(`    ${words}`);
		if (row.wrong.length > shownLines) report(`    and ${row.wrong.length - shownLines} more lines`);
	}
}

/**
 * Until a run ends before its write is reached. Writes do not come in quite the same order each time, so the numbers may
 * miss one kind of write: it is killed by its name at the end.
 */
async function runScenario(rows: Row[], world: CrashWorld, host: ControllerHost, scenario: Scenario): Promise<void> {
	await using story = await scenario.prepare(world);
	const run = new ScenarioRun(rows, scenario, {world, host, story});
	const {objects, wrong, writes} = await run.undisturbed();
	if (wrong.length > 0) return;
	if (values.after !== undefined) {
		await run.disturbed(values.after, objects);
		return;
	}
	const reached = new Set<string | undefined>();
	for (let write = from; write <= to; write++) {
		const ending = await run.disturbed(write, objects);
		if (ending.writes.length < write) break;
		reached.add(ending.writes[write - 1]);
	}
	if (from > 1 || to < Number.POSITIVE_INFINITY) return;
	for (const kind of new Set(writes)) if (!reached.has(kind)) await run.disturbed(kind, objects);
}

// So that the controller, a process of ours, ends with us.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const startedAt = performance.now();
const cluster = await ensureLocalCluster();
const {workerImage} = await installOnesnap(cluster);
const api = new KubeClient({connection: connect(cluster.kubeconfig), fieldManager: 'onesnap-crash-test'});
await withProgress('removing what an earlier run left', () => removeNamespaces(api, testLabel));
const rows: Row[] = [];
try {
	await using host = await ControllerHost.take({api, cluster, workerImage, folder: path.join(folder, 'crash')});
	await using world = await openCrashWorld({api, cluster, workerImage, prefix: 'crash', labels: testLabels});
	for (const scenario of scenarios.filter(({name}) => name.includes(values.scenario))) {
		await runScenario(rows, world, host, scenario);
	}
} finally {
	const seconds = Math.round((performance.now() - startedAt) / 1000);
	const different = rows.filter(({equal}) => !equal);
	await mkdir(folder, {recursive: true});
	const file = path.join(folder, 'crash.json');
	await writeFile(
		file,
		`${JSON.stringify({how, seconds, cases: rows.length, different: different.length, rows}, null, '\t')}\n`,
	);
	console.log(table([['SCENARIO', 'WRITE', 'WHICH WAS', 'ENDED', 'SECONDS'], ...rows.map(line)]));
	console.log(`\n${rows.length - different.length} ended equal, ${different.length} different; ${seconds} s; ${file}`);
	process.exitCode = rows.length > 0 && different.length === 0 ? 0 : 1;
}
await withProgress('cleaning up', () => removeNamespaces(api, testLabel));
api.close();
