/**
 * Runs the test projects in steps and ends with one line over all of them: `N passed, N failed`. Side by side are those
 * that wait more than they compute; the others would only wait for each other.
 */
import {spawn} from 'node:child_process';
import {mkdir, readFile, rm} from 'node:fs/promises';
import path from 'node:path';
import {createInterface} from 'node:readline';
import type {Readable} from 'node:stream';

const steps = [['unit'], ['integration', 'driver'], ['e2e']] as const;
const reports = path.resolve(import.meta.dirname, '../.onesnap/test');

interface Report {
	readonly numPassedTests: number;
	readonly numFailedTests: number;
	readonly testResults?: readonly {
		readonly name: string;
		readonly message: string;
		readonly assertionResults: readonly {
			readonly status: string;
			readonly fullName: string;
			readonly failureMessages: readonly string[] | null;
		}[];
	}[];
}

function vitest(project: string, report: string, alone: boolean): Promise<number> {
	const args = ['run', '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
	const child = spawn('vitest', args, {
		stdio: alone ? 'inherit' : ['ignore', 'pipe', 'pipe'],
		env: {...process.env, ...(process.stdout.isTTY && {FORCE_COLOR: '1'})},
	});
	for (const stream of [child.stdout, child.stderr]) if (stream) printLines(stream, project);
	return new Promise((resolve, reject) => {
		child.once('error', reject);
		child.once('close', (code) => resolve(code ?? 1));
	});
}

/** Whose each line is: two projects write in turn. */
function printLines(stream: Readable, project: string): void {
	createInterface({input: stream}).on('line', (line) => console.log(`${project.padEnd(11)} | ${line}`));
}

/** Once more at the end, where whoever reads only the last lines finds them. */
function failuresOf({testResults = []}: Report): string[] {
	return testResults.flatMap(({name, message, assertionResults}) => {
		const failed = assertionResults.filter(({status}) => status === 'failed');
		const file = path.relative(process.cwd(), name);
		// Without one of its tests, the file itself: it could not be loaded, or its set-up failed.
		if (failed.length === 0) return message ? [`${file}: ${message}`] : [];
		return failed.map(({fullName, failureMessages}) => `${file}: ${fullName}\n  ${failureMessages?.[0] ?? ''}`);
	});
}

async function runProject(project: string, alone: boolean): Promise<Report> {
	const report = path.join(reports, `${project}.json`);
	await rm(report, {force: true});
	const startedAt = Date.now();
	console.log(`\n== ${project} tests`);
	const code = await vitest(project, report, alone);
	const ended: Report = await readFile(report, 'utf8').then(
		(text): Report => JSON.parse(text),
		() => ({numPassedTests: 0, numFailedTests: 0}),
	);
	const {numPassedTests, numFailedTests} = ended;
	console.log(
		`== ${project}: ${numPassedTests} passed, ${numFailedTests} failed, ${Math.round((Date.now() - startedAt) / 1000)} s`,
	);
	// A set-up or a leak audit that failed is no test of its own, and must not look like success.
	return {...ended, numFailedTests: Math.max(numFailedTests, code === 0 ? 0 : 1)};
}

await mkdir(reports, {recursive: true});
const wanted = process.argv.slice(2);
const all: Report[] = [];
for (const step of steps) {
	const projects = step.filter((project) => wanted.length === 0 || wanted.includes(project));
	all.push(...(await Promise.all(projects.map((project) => runProject(project, projects.length === 1)))));
}
const sum = (count: (report: Report) => number) => all.reduce((total, report) => total + count(report), 0);
const failed = sum(({numFailedTests}) => numFailedTests);
for (const failure of all.flatMap(failuresOf)) console.log(`\nfailed: ${failure.slice(0, 600)}`);
console.log(`\n${sum(({numPassedTests}) => numPassedTests)} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
