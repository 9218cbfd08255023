/**
 * `make test-mutations`: breaks one guard of the sharing protocol after the other, in a copy of the sources, and runs the
 * tests that touch it. A mutant that no test notices fails the check: then a guard could go and nobody would know.
 */
import {spawn} from 'node:child_process';
import {cp, mkdtemp, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {table} from '../support/table.ts';

interface Mutation {
	readonly file: string;
	readonly name: string;
	/** Exactly once in the file. */
	readonly before: string;
	readonly after: string;
	readonly tests: readonly string[];
}

const root = path.resolve(import.meta.dirname, '../..');
const smartclone = 'src/smartclone';
const ruleTests = [
	`${smartclone}/rules.test.ts`,
	`${smartclone}/decide.test.ts`,
	`${smartclone}/sharing-model.test.ts`,
];
const sharingTests = [`${smartclone}/sharing.test.ts`, ...ruleTests];

/** The body of a function, from its signature to its end, becomes `return true`. */
const always = (name: string, tests: readonly string[]): Mutation => ({
	...{file: `${smartclone}/rules.ts`, name: `${name}: always`, tests},
	before: `export function ${name}(`,
	after: '',
});

const sameContentFields = ['driver', 'volumeHandle', 'persistentVolumeUid', 'claimUid', 'volumeMode'] as const;

const sharing = (name: string, before: string, after: string): Mutation => ({
	...{file: `${smartclone}/sharing.ts`, name, before, after},
	tests: sharingTests,
});
const execution = (name: string, before: string, after: string): Mutation => ({
	...{file: `${smartclone}/execute.ts`, name, before, after},
	tests: [`${smartclone}/execute.test.ts`, `${smartclone}/sharing-model.test.ts`],
});

const mutations: readonly Mutation[] = [
	always('snapshotSource', [...ruleTests, 'src/datavolume/observe-clone.test.ts']),
	always('groupCommit', ruleTests),
	always('watchedQuiet', ruleTests),
	always('declaredImmutable', ruleTests),
	...sameContentFields.map((field) => sharing(`sameContent: any ${field}`, `a.${field} === b.${field} &&`, 'true &&')),
	sharing('sameContent: any capacity', 'sameQuantity(a.capacity, b.capacity)', 'true'),
	sharing(
		'stripeState: bound in one direction only',
		'content.spec.volumeSnapshotRef.uid === snapshot.metadata.uid;',
		'true;',
	),
	sharing(
		'stripeState: one that is being deleted serves',
		"if (snapshot.metadata.deletionTimestamp) return 'lost';",
		'',
	),
	sharing('isOfSource: of any volume', 'spec.source.volumeHandle === volumeHandle;', 'true;'),
	execution('isStill: open and closed alike', "return live?.spec.closed === (state === 'closed');", 'return true;'),
	execution(
		'hasAnything: nothing is left',
		'return snapshots.items.length + contents.items.length > 0;',
		'return false;',
	),
];

function broken(source: string, {name, before, after}: Mutation): string {
	const at = source.indexOf(before);
	if (at === -1 || source.includes(before, at + 1))
		throw new Error(`"${before}" is not exactly once in the file: adapt the mutation "${name}"`);
	if (after !== '' || !before.startsWith('export function'))
		return source.slice(0, at) + after + source.slice(at + before.length);
	const body = source.indexOf('): boolean {\n', at) + '): boolean {\n'.length;
	return `${source.slice(0, body)}\treturn true;\n${source.slice(source.indexOf('\n}\n', body) + 1)}`;
}

interface Report {
	readonly testResults: readonly {
		readonly assertionResults: readonly {readonly status: string; readonly fullName: string}[];
	}[];
}

function run(cwd: string, args: readonly string[]): Promise<void> {
	const child = spawn(path.join(root, 'node_modules/.bin/vitest'), args, {cwd, stdio: 'ignore'});
	return new Promise((resolve, reject) => {
		child.once('error', reject);
		child.once('exit', () => resolve());
	});
}

/** @returns the test that failed; undefined where none did. */
async function notice(copy: string, test: string): Promise<string | undefined> {
	const report = path.join(copy, 'report.json');
	await rm(report, {force: true});
	await run(copy, ['run', '--project', 'unit', '--bail', '1', '--reporter=json', `--outputFile=${report}`, test]);
	// Without a report nothing ran, which is no proof of anything.
	const {testResults}: Report = JSON.parse(await readFile(report, 'utf8'));
	const all = testResults.flatMap(({assertionResults}) => assertionResults);
	if (!all.some(({status}) => status === 'passed' || status === 'failed')) throw new Error(`no test ran of ${test}`);
	return all.find(({status}) => status === 'failed')?.fullName;
}

const copy = await mkdtemp(path.join(tmpdir(), 'onesnap-mutations-'));
const rows: string[][] = [];
try {
	for (const each of [
		'src',
		'test',
		'manifests',
		'docs',
		'images',
		'package.json',
		'tsconfig.json',
		'vitest.config.ts',
	])
		await cp(path.join(root, each), path.join(copy, each), {recursive: true});
	await symlink(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
	for (const mutation of mutations) {
		const file = path.join(copy, mutation.file);
		const source = await readFile(file, 'utf8');
		await writeFile(file, broken(source, mutation));
		// The quick ones first, and each only if those before it saw nothing.
		let failed: string | undefined;
		for (const test of mutation.tests) failed ??= await notice(copy, test);
		await writeFile(file, source);
		rows.push([mutation.name, failed ? 'noticed' : 'SURVIVED', failed ?? '']);
		console.log(`${rows.length} of ${mutations.length}: ${mutation.name}: ${failed ? 'noticed' : 'SURVIVED'}`);
	}
} finally {
	await rm(copy, {recursive: true, force: true});
}
console.log(`\n${table([['MUTATION', '', 'BY THE TEST'], ...rows])}`);
process.exitCode = rows.every(([, result]) => result === 'noticed') ? 0 : 1;
