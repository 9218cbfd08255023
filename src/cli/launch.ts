/**
 * Begins a program, on a Node that can run it. Nothing but this is read before the version is known: an older one stops at
 * syntax that it does not know, and shows a page of source.
 */
const leastMajor = 24;

/** A sentence; undefined where this version will do. */
export function versionProblem(version: string): string | undefined {
	const isOld = Number(version.split('.', 1)[0]) < leastMajor;
	return isOld ? `kubectl dv needs Node ${leastMajor} or later, this is ${version}` : undefined;
}

/** @param name of the program, as program.ts has it. */
export async function launch(name: 'createDv' | 'dv' | 'completeCreateDv' | 'completeDv'): Promise<void> {
	const problem = versionProblem(process.versions.node);
	if (problem) {
		process.stderr.write(`error: ${problem}\n`);
		process.exitCode = 1;
		return;
	}
	const [programs, {start}] = await Promise.all([import('./program.ts'), import('./start.ts')]);
	await start(programs[name]);
}
