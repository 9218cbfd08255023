import {readFileSync} from 'node:fs';
import path from 'node:path';

/** Each tool of the cluster has a folder here with its own go.mod, because their k8s.io versions differ. */
export const modulesDir = path.join(import.meta.dirname, 'binaries');

/** The parts of a go.mod that say what is built: module versions and the packages of its `tool` lines. */
export type GoMod = {
	readonly versions: ReadonlyMap<string, string>;
	readonly tools: readonly string[];
};

export function parseGoMod(text: string): GoMod {
	const versions = new Map<string, string>();
	const tools: string[] = [];
	let block = '';
	for (const rawLine of text.split('\n')) {
		const line = rawLine.replace(/\/\/.*$/, '').trim();
		if (line === '') continue;
		if (line === ')') {
			block = '';
			continue;
		}
		const opening = /^(\w+)\s*\($/.exec(line);
		if (opening?.[1]) {
			block = opening[1];
			continue;
		}
		const [directive = '', ...fields] = block ? [block, ...line.split(/\s+/)] : line.split(/\s+/);
		const [first, second] = fields;
		if (directive === 'require' && first && second) versions.set(first, second);
		if (directive === 'tool' && first) tools.push(first);
	}
	return {versions, tools};
}

function readGoMod(tool: string): GoMod {
	return parseGoMod(readFileSync(path.join(modulesDir, tool, 'go.mod'), 'utf8'));
}

/** The version of a module as a tool's go.mod has it, `v1.34.4`. The go.mod files are the only place where versions are written. */
export function moduleVersion(tool: string, module: string): string {
	const version = readGoMod(tool).versions.get(module);
	if (!version) throw new Error(`test/cluster/binaries/${tool}/go.mod does not require ${module}`);
	return version;
}
