/** docs/compatibility.md and the tests name the same rows: no behaviour is claimed that no test shows, none is shown and not told. */
import {globSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {expect, test} from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const page = 'docs/compatibility.md';
const verdicts = ['same', 'better', 'different', 'not yet'] as const;

interface Row {
	/** `KubeVirt §1.4 Succeeded`, `CDI §13.5`. */
	readonly id: string;
	readonly verdict: string;
	readonly how: string;
	/** `path: title` of tests beyond those that begin with the row's own name. */
	readonly tests: readonly (readonly [file: string, title: string])[];
}

const isId = /^(KubeVirt|CDI) §\d/;

function readRows(): Row[] {
	return readFileSync(path.join(root, page), 'utf8')
		.split('\n')
		.filter((line) => /^\| (KubeVirt|CDI) §/.test(line))
		.map((line) => {
			const cells = line
				.slice(1, -1)
				.split(/(?<!\\)\|/)
				.map((cell) => cell.trim());
			const [id = '', , verdict = '', how = '', shown = ''] = cells;
			const tests = [...shown.matchAll(/`([^`:]+): ([^`]+)`/g)].map(
				([, file = '', title = '']) => [file, title] as const,
			);
			return {id, verdict, how, tests};
		});
}

/** Names of rows in titles of tests: `test('KubeVirt §1.4 Succeeded: …')`, also in tables of test.each. */
function idsInTests(): Set<string> {
	const files = globSync('{src,test}/**/*.test.ts', {cwd: root}).filter(
		(file) => !file.endsWith('compatibility.test.ts'),
	);
	const titles = /['"`]((?:KubeVirt|CDI) §\d[^:'"`\n]*):/g;
	return new Set(
		files.flatMap((file) => [...readFileSync(path.join(root, file), 'utf8').matchAll(titles)].map(([, id = '']) => id)),
	);
}

const rows = readRows();

test('each row has a name, a verdict, and says how or why where it is not the same', () => {
	const odd = rows.filter(
		({id, verdict, how}) =>
			!isId.test(id) || !verdicts.some((known) => known === verdict) || (verdict !== 'same' && how === ''),
	);
	expect(odd).toEqual([]);
	const names = rows.map(({id}) => id);
	expect(names.filter((id, index) => names.indexOf(id) !== index)).toEqual([]);
});

test('what is said to work is shown by a test, and every such test has its row', () => {
	const shown = idsInTests();
	const claimed = new Set(rows.filter(({verdict}) => verdict !== 'not yet').map(({id}) => id));
	const withOwnTests = new Set(rows.filter(({tests}) => tests.length > 0).map(({id}) => id));
	expect({
		unshown: [...claimed].filter((id) => !shown.has(id) && !withOwnTests.has(id)),
		untold: [...shown].filter((id) => !rows.some((row) => row.id === id)),
		shownThough: rows.filter(({id, verdict}) => verdict === 'not yet' && shown.has(id)).map(({id}) => id),
	}).toEqual({unshown: [], untold: [], shownThough: []});
});

test('tests that a row names exist under that title', () => {
	const missing = rows.flatMap(({id, tests}) =>
		tests
			.filter(([file, title]) => !readFileSync(path.join(root, file), 'utf8').includes(title))
			.map(([file, title]) => `${id}: ${file}: ${title}`),
	);
	expect(missing).toEqual([]);
});
