/** Many runs, some at a time, and what came of them in a table. */
import path from 'node:path';
import {table} from '../../support/table.ts';
import type {ImageName, TestImage} from './images.ts';
import {type RunReport, runScenario} from './run-scenario.ts';
import type {Scenario} from './scenario.ts';

export interface FinishedRun {
	readonly scenario: Scenario;
	readonly report: RunReport;
}

export interface BatchOptions {
	readonly images: Readonly<Record<ImageName, TestImage>>;
	readonly folder: string;
	/** Runs at a time. */
	readonly workers: number;
	readonly onRun?: (run: FinishedRun) => void;
}

export async function runAll(
	scenarios: readonly Scenario[],
	{images, folder, workers, onRun}: BatchOptions,
): Promise<readonly FinishedRun[]> {
	const finished: FinishedRun[] = [];
	const left = scenarios.values();
	const work = async () => {
		for (const scenario of left) {
			const place = path.join(folder, `run-${scenario.run}`);
			const report = await runScenario(scenario, {image: images[scenario.image], folder: place});
			finished.push({scenario, report});
			onRun?.({scenario, report});
		}
	};
	await Promise.all(Array.from({length: workers}, work));
	return finished;
}

/** For each thing that happened: in how many runs, and how these ended. */
export function summary(runs: readonly FinishedRun[]): string {
	const kinds = new Map<string, FinishedRun[]>();
	for (const run of runs) {
		for (const kind of labels(run)) kinds.set(kind, [...(kinds.get(kind) ?? []), run]);
	}
	const rows = [...kinds]
		.toSorted(([a], [b]) => a.localeCompare(b))
		.map(([kind, those]) => [kind, String(those.length), outcomes(those)]);
	return table([['WHAT HAPPENED', 'RUNS', 'HOW THEY ENDED'], ...rows, ['all', String(runs.length), outcomes(runs)]]);
}

function labels({scenario, report}: FinishedRun): readonly string[] {
	const {truth, nature, image, volumeMode} = scenario;
	return [
		...[...report.happened].map((what) => `happened: ${what}`),
		`image: ${image}`,
		`target: ${volumeMode}`,
		`server: ranges ${nature.ranges}`,
		`server: length ${nature.length}`,
		`source: ${truth.is}${'how' in truth ? ` (${truth.how})` : ''}`,
	];
}

function outcomes(runs: readonly FinishedRun[]): string {
	const counts = new Map<string, number>();
	for (const {report} of runs) {
		const outcome = report.violations.length > 0 ? 'WRONG' : report.outcome;
		counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
	}
	return [...counts]
		.toSorted(([, a], [, b]) => b - a)
		.map(([outcome, count]) => `${count} ${outcome}`)
		.join(', ');
}
