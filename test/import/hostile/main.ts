/**
 * `make test-import-hostile`: images and servers that mean no good. Each is refused for good, or imported as qemu-img itself
 * would read it, within the limits of memory, room and time; and no process of the worker looks at anything that is not its
 * own, which strace tells.
 *
 *     node test/import/hostile/main.ts [--seed N] [--fuzz 100] [--only TEXT] [--workers N] [--no-trace]
 *
 * `--only` takes the cases with this text in their name; a fuzzed one is named after its seed and number.
 */
import {execFile} from 'node:child_process';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {availableParallelism, tmpdir} from 'node:os';
import path from 'node:path';
import {parseArgs, promisify} from 'node:util';
import {ensurePackages} from '../../cluster/packages.ts';
import {table} from '../../support/table.ts';
import {makeBaseImages} from './base-images.ts';
import {placeCanaries} from './canaries.ts';
import type {HostileCase} from './case.ts';
import {allCases} from './cases.ts';
import {type CaseReport, runCase} from './run-case.ts';
import {parseTrace, straceCommand} from './trace.ts';

const {values} = parseArgs({
	options: {
		seed: {type: 'string', default: String(Date.now() % 2 ** 31)},
		fuzz: {type: 'string', default: '100'},
		only: {type: 'string', default: ''},
		workers: {type: 'string', default: String(availableParallelism())},
		trace: {type: 'boolean', default: true},
	},
	allowNegative: true,
});

/** The whole takes ten minutes. */
const progressCases = 50;
/** A wrong folder shows itself in hundreds of files. */
const shownViolations = 8;

function tell({group, name}: HostileCase, {violations, outcome, message}: CaseReport): void {
	if (violations.length === 0) return;
	console.log(`WRONG: ${group}: ${name} [${outcome}: ${message}]`);
	for (const violation of violations.slice(0, shownViolations)) console.log(`    ${violation}`);
	if (violations.length > shownViolations) console.log(`    and ${violations.length - shownViolations} more`);
}

/** Without this, a trace that sees nothing would look like a worker that does nothing wrong. */
async function checkTrace(): Promise<void> {
	const canary = path.join(folder, 'canary-of-the-trace');
	const trace = path.join(folder, 'trace');
	await writeFile(canary, '');
	const [command = 'strace', ...args]: readonly string[] = [...straceCommand(trace), 'cat', canary];
	await promisify(execFile)(command, args);
	const touched = parseTrace(await readFile(trace, 'utf8'), folder);
	if (!touched.some(({what}) => what === canary)) throw new Error('strace does not see that a file is opened');
}

const startedMs = performance.now();
const folder = await mkdtemp(path.join(tmpdir(), 'onesnap-hostile-'));
try {
	if (values.trace) {
		await ensurePackages('hostileImages');
		await checkTrace();
	}
	const images = await makeBaseImages(path.join(folder, 'base'));
	const cases = (canaries: Parameters<typeof allCases>[1]) =>
		allCases(images, canaries, {seed: Number(values.seed), count: Number(values.fuzz)}).filter(({group, name}) =>
			`${group}: ${name}`.includes(values.only),
		);
	const reports: Array<{hostile: HostileCase; report: CaseReport}> = [];
	let next = 0;
	// A worker's cases have canaries of their own, so that what is touched is known to be touched by it.
	const work = async (_: unknown, worker: number) => {
		await using canaries = await placeCanaries(path.join(folder, `canaries-${worker}`));
		const own = cases(canaries);
		for (let index = next++; index < own.length; index = next++) {
			const hostile = own[index];
			if (!hostile) return;
			const place = path.join(folder, `case-${worker}`);
			const report = await runCase(hostile, {folder: place, canaries, traced: values.trace});
			reports.push({hostile, report});
			tell(hostile, report);
			if (reports.length % progressCases === 0) console.log(`${reports.length} of ${own.length} cases`);
		}
	};
	await Promise.all(Array.from({length: Number(values.workers)}, work));
	const rows = reports
		.toSorted((a, b) => `${a.hostile.group}${a.hostile.name}`.localeCompare(`${b.hostile.group}${b.hostile.name}`))
		.map(({hostile, report}) => [
			hostile.group,
			hostile.name,
			report.violations.length > 0 ? 'WRONG' : report.outcome,
			`${Math.round(report.peakRssKiB / 1024)} MiB`,
			`${(report.ms / 1000).toFixed(1)} s`,
			report.message.replace(/http:\S+/, 'it').slice(0, 110),
		]);
	console.log(table([['GROUP', 'CASE', 'OUTCOME', 'MEMORY', 'TIME', 'MESSAGE'], ...rows]));
	const wrong = reports.filter(({report}) => report.violations.length > 0).length;
	const peak = Math.max(...reports.map(({report}) => report.peakRssKiB));
	console.log(
		`\nseed ${values.seed}: ${reports.length} cases in ${Math.round((performance.now() - startedMs) / 1000)} s, most memory ${Math.round(peak / 1024)} MiB: ${reports.length - wrong} right, ${wrong} wrong`,
	);
	process.exitCode = wrong === 0 && reports.length > 0 ? 0 : 1;
} finally {
	await rm(folder, {recursive: true, force: true});
}
