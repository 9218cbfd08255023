/** What the pages say is what the code has: reasons, metrics, settings, links, samples. */
import {existsSync, globSync, readFileSync} from 'node:fs';
import path from 'node:path';
import type {Counter, Metric} from 'prom-client';
import {beforeAll, describe, expect, test} from 'vitest';
import {parseAllDocuments} from 'yaml';
import type {DataVolume} from '../../src/api/datavolume.ts';
import {parseSource} from '../../src/api/source.ts';
import {cloneProgressMetric, importProgressMetric, workerFailures} from '../../src/api/worker-contract.ts';
import {create} from '../../src/cli/create.ts';
import {exitCodes} from '../../src/cli/terminal.ts';
import {ProgressMetric} from '../../src/importer/progress-metric.ts';
import {WorkerError} from '../../src/importer/worker-error.ts';
import {registry} from '../../src/process/metrics.ts';
import {remedies} from '../../src/smartclone/strategy.ts';

const root = path.resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const sorted = (names: Iterable<string>) => [...new Set(names)].toSorted();

/** The cells of all table rows under a heading. */
function rowsUnder(page: string, heading: string): string[][] {
	const section = read(page)
		.split(/^## /m)
		.find((text) => text.startsWith(`${heading}\n`));
	if (section === undefined) throw new Error(`${page} has no section "${heading}"`);
	return section
		.split('\n')
		.filter((line) => line.startsWith('| `'))
		.map((line) =>
			line
				.slice(1, -1)
				.split('|')
				.map((cell) => cell.trim()),
		);
}

const quoted = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].flatMap(([, word]) => word ?? []);
const codeIn = (cell = '') => quoted(cell, /`([^`]+)`/g);
const documented = (page: string, heading: string) =>
	sorted(rowsUnder(page, heading).flatMap(([first]) => codeIn(first)));

/** The strings of a union of strings; names of other types in it are not followed. */
function union(file: string, type: string): string[] {
	const declaration = new RegExp(`type ${type} =([^;]+);`).exec(read(file))?.[1];
	if (declaration === undefined) throw new Error(`${file} has no type ${type}`);
	return quoted(declaration.replaceAll(/\/\*.*?\*\//gs, ''), /'([^']+)'/g);
}

describe('docs/errors.md', () => {
	const page = 'docs/errors.md';

	test('has every reason of the condition Bound, and every one that only the log shows', () => {
		const status = read('src/datavolume/status.ts');
		const bound = /function boundCondition.+?^\}/ms.exec(status)?.[0] ?? '';
		expect(
			sorted([...documented(page, 'Condition Bound'), ...documented(page, 'Waiting that only the log shows')]),
		).toEqual(
			sorted([
				...union('src/datavolume/decide.ts', 'RefusalReason'),
				...union('src/datavolume/decide.ts', 'WaitReason'),
				...union('src/datavolume/observe-clone.ts', 'CloneProblemReason'),
				...union('src/populate/decide.ts', 'WaitReason'),
				...quoted(bound, /(?:no\(\s*|reason: )'([^']+)'/g),
			]),
		);
	});

	test('tells reasons of the condition from those of the log', () => {
		const shown = quoted(read('src/populate/population.ts'), /^\t(\w+): 'waiting',$/gm);
		expect(documented(page, 'Condition Bound')).toEqual(expect.arrayContaining(shown));
	});

	test('has every reason of the condition Running', () => {
		const status = read('src/datavolume/status.ts');
		const running = /function workerCondition.+?(?=^function readyCondition)/ms.exec(status)?.[0] ?? '';
		const others = ['Running', 'False', 'True', 'Clone Complete', 'Import Complete', 'Succeeded', 'ChecksumMismatch'];
		const inCode = quoted(running, /'([A-Z][^']*)'/g).filter(
			(word) => !others.includes(word) && !word.endsWith('InProgress'),
		);
		expect(documented(page, 'Condition Running')).toEqual(sorted(inCode));
	});

	test('has every failure of a worker, and whether it is tried again', () => {
		const rows = rowsUnder(page, 'Worker failures').map(([name, how]) => [codeIn(name)[0] ?? '', how ?? '']);
		const inCode = workerFailures.map((reason) => [
			reason,
			new WorkerError(reason, '').retryable ? 'tried again' : 'final',
		]);
		expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(inCode));
	});

	test('has every reason for a copy, and what would help, in the words of kubectl dv explain', () => {
		const rows = rowsUnder(page, 'Why a clone is copied').map(([code, , remedy = '']) => [
			codeIn(code)[0] ?? '',
			remedy.replaceAll('`', ''),
		]);
		expect(Object.fromEntries(rows)).toEqual(remedies);
	});

	test('has every event', () => {
		const events = quoted(read('src/datavolume/events.ts'), /(?:normal\(\s*|reason: )'(\w+)'/g);
		expect(documented(page, 'Events of a DataVolume')).toEqual(sorted(events));
		for (const reason of quoted(read('src/populate/events.ts'), /reason: '(\w+)'/g)) {
			expect(read(page)).toContain(`\`${reason}\``);
		}
		expect(documented(page, 'Events of a SharedSnapshot')).toEqual(
			sorted([
				...union('src/smartclone/decide.ts', 'RetireReason'),
				...quoted(read('src/smartclone/events.ts'), /reason: '(\w+)'/g),
				...quoted(read('src/smartclone/controller.ts'), /reason: '(\w+)'/g),
			]),
		);
	});

	test('has every message of the CRDs and of the policies', () => {
		const messages: string[] = [];
		const collect = (value: unknown): void => {
			if (typeof value !== 'object' || value === null) return;
			const rules = (value as {'x-kubernetes-validations'?: unknown})['x-kubernetes-validations'];
			if (Array.isArray(rules)) messages.push(...rules.map(({message}: {message: string}) => message));
			for (const member of Object.values(value)) collect(member);
		};
		for (const file of globSync('manifests/base/crd/*.yaml', {cwd: root})) {
			for (const document of parseAllDocuments(read(file))) collect(document.toJS());
		}
		expect(documented(page, 'Refused at creation')).toEqual(sorted(messages));
		const sentence = /'( has insufficient permissions in clone source namespace )'/;
		const [, words = 'none'] = sentence.exec(read('manifests/base/clone-authorization.yaml')) ?? [];
		expect(read(page)).toContain(words);
	});
});

describe('docs/metrics.md', () => {
	beforeAll(async () => {
		for (const file of globSync('src/*/metrics.ts', {cwd: root})) await import(path.join(root, file));
		for (const metricName of [importProgressMetric, cloneProgressMetric]) {
			new ProgressMetric({metricName, help: 'for this test', ownerUid: 'uid'}).set(0);
		}
	});

	test('has every metric, with its type and labels', async () => {
		const inCode = (await registry.getMetricsAsJSON()).map(({name, type}) => {
			// prom-client has no public way to ask for them.
			const {labelNames} = registry.getSingleMetric(name) as Metric as Counter & {labelNames: readonly string[]};
			return [name, `${type} ${sorted(labelNames).join(' ')}`];
		});
		const pages = read('docs/metrics.md')
			.split('\n')
			.filter((line) => line.startsWith('| `'))
			.map((line) => {
				const [, name = '', type = '', labels = ''] = line.split('|').map((cell) => cell.trim());
				return [codeIn(name)[0] ?? '', `${type} ${sorted(codeIn(labels)).join(' ')}`];
			});
		expect(Object.fromEntries(pages)).toEqual(Object.fromEntries(inCode));
	});
});

test('docs/operating.md has every setting of the controller and every annotation for storage classes', () => {
	const page = read('docs/operating.md');
	const source = read('src/bin/controller.ts');
	const flags = quoted(
		source,
		/^\t'?([a-z-]+)'?: (?:text|optionalText|optionalSecret|integer|choice|toggle|duration)\(/gm,
	);
	expect(sorted(quoted(page, /^\| `--([a-z-]+)`/gm))).toEqual(sorted(flags));
	for (const variable of quoted(source, /env: '([A-Z_]+)'/g)) expect(page).toContain(`\`${variable}\``);
	for (const name of quoted(read('src/api/names.ts'), /'(onesnap\.io\/(?:restore|stripes)[a-z-]*)'/g)) {
		expect(page).toContain(name);
	}
});

test('docs/kubectl.md has every flag of the plugins, and every exit code', () => {
	const page = read('docs/kubectl.md');
	const shown = sorted(quoted(page, /`--([a-z-]+)/g));
	for (const flag of Object.keys(create.flags)) expect(shown).toContain(flag);
	const known = Object.values(exitCodes).map(String);
	expect(quoted(page, /^\| (\d+) \|/gm).toSorted()).toEqual(known.toSorted());
});

test.each(globSync(['*.md', 'docs/**/*.md', 'test/**/*.md'], {cwd: root}))('links of %s lead somewhere', (page) => {
	const targets = quoted(read(page), /\]\(([^)\s]+)\)/g).filter((target) => !/^[a-z]+:/.test(target));
	const anchors = (file: string) =>
		quoted(read(file), /^#+ (.+)$/gm).map((heading) =>
			heading
				.toLowerCase()
				.replaceAll(/[^\w\- ]/g, '')
				.replaceAll(' ', '-'),
		);
	const broken = targets.filter((target) => {
		const [file = '', anchor] = target.split('#', 2);
		const found = file === '' ? page : path.join(path.dirname(page), file);
		if (!existsSync(path.join(root, found))) return true;
		return anchor !== undefined && !anchors(found).includes(anchor);
	});
	expect(broken).toEqual([]);
});

test.each(globSync('manifests/samples/*.yaml', {cwd: root}))('%s is something that onesnap can do', (file) => {
	interface Sample {
		readonly kind?: string;
		readonly spec?: {readonly dataVolumeTemplates?: readonly DataVolume[]};
	}
	const objects = parseAllDocuments(read(file)).map((document) => document.toJS() as Sample);
	const dataVolumes = objects.flatMap((object) =>
		object.kind === 'DataVolume' ? [object as DataVolume] : (object.spec?.dataVolumeTemplates ?? []),
	);
	expect(dataVolumes.length).toBeGreaterThan(0);
	for (const dataVolume of dataVolumes) {
		expect(parseSource(dataVolume)).not.toHaveProperty('reason');
	}
});
