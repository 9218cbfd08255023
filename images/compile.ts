/**
 * Compiles the program as the images have it: a module for each of src's, except that the copier's are one. Finding and
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
	const copier = path.join(dist, 'bin/copier.js');
	await using bundle = await rolldown({
		input: copier,
		platform: 'node',
		// Packages stay what they are, in node_modules; so do the modules that a short copy never loads.
		external: (id, importer, isResolved) => !isResolved && importer !== undefined && /^[^./]/.test(id),
	});
	await bundle.write({dir: path.dirname(copier), format: 'esm', chunkFileNames: 'copier-[name].js'});
}

if (import.meta.main) {
	const [dist] = process.argv.slice(2);
	if (!dist) throw new Error('usage: node images/compile.ts <dist>');
	await compile(process.cwd(), path.resolve(dist));
}
