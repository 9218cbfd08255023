/**
 * Compiles the program as the images have it: a module for each of src's, except that the workers' are one. Finding and
 * reading thirty files takes Node longer than the copier needs to begin.
 *
 *     node images/compile.ts <dist>
 */
import {execFile} from 'node:child_process';
import path from 'node:path';
import {promisify} from 'node:util';
import {rolldown} from 'rolldown';

/** `project` is the folder with tsconfig.build.json and node_modules. Rejects with what the compiler found. */
export async function compile(project: string, dist: string): Promise<void> {
	const tsc = path.join(project, 'node_modules/.bin/tsc');
	await promisify(execFile)(tsc, ['-p', 'tsconfig.build.json', '--outDir', dist], {cwd: project}).catch(
		(error: unknown) => {
			// Its findings come on standard output.
			const findings = error instanceof Error && 'stdout' in error ? String(error.stdout) : '';
			throw new Error(`tsc failed: ${findings || String(error)}`, {cause: error});
		},
	);
	for (const program of bundled) await bundle(program, {project, dist});
}

interface Program {
	readonly name: string;
	/** Its packages are in the file as well. Otherwise they stay what they are, in node_modules. */
	readonly withPackages: boolean;
}

const bundled: readonly Program[] = [
	// A short copy loads no package at all.
	{name: 'copier', withPackages: false},
	// Every import needs some hundred modules of got at once.
	{name: 'importer', withPackages: true},
];

/** What is imported late stays in files of its own. */
async function bundle(
	{name, withPackages}: Program,
	{project, dist}: {readonly project: string; readonly dist: string},
): Promise<void> {
	const input = path.join(dist, `bin/${name}.js`);
	await using bundle = await rolldown({
		input,
		platform: 'node',
		resolve: {modules: ['node_modules', path.join(project, 'node_modules')]},
		...(!withPackages && {
			external: (id, importer, isResolved) => !isResolved && importer !== undefined && /^[^./]/.test(id),
		}),
	});
	await bundle.write({dir: path.dirname(input), format: 'esm', chunkFileNames: `${name}-[name].js`});
}

if (import.meta.main) {
	const [dist] = process.argv.slice(2);
	if (!dist) throw new Error('usage: node images/compile.ts <dist>');
	await compile(process.cwd(), path.resolve(dist));
}
