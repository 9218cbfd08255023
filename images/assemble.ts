/**
 * Lays out what goes into the images on top of their bases: the Node binary, the compiled program, and for each image the
 * packages it needs at run time. Runs in the Dockerfile's `build` stage and, for local builds, from build.ts; so it imports
 * nothing but Node itself.
 *
 *     node images/assemble.ts <dist> <out>
 *
 *     out/node                      the Node binary
 *     out/app/{package.json,dist}   the program, the same for both images
 *     out/<image>/node_modules
 */
import {chmod, cp, lstat, lutimes, mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';

/** The part of package-lock.json (version 3) that is read here; keys of `packages` are paths such as `node_modules/a`. */
export interface Lockfile {
	readonly packages: Readonly<Record<string, LockedPackage>>;
}

export interface LockedPackage {
	readonly version?: string;
	readonly dependencies?: Readonly<Record<string, string>>;
	readonly optionalDependencies?: Readonly<Record<string, string>>;
	readonly peerDependencies?: Readonly<Record<string, string>>;
	readonly peerDependenciesMeta?: Readonly<Record<string, {readonly optional?: boolean}>>;
}

/** Direct dependencies that an image does without, with all that only they need. */
const leftOut = {
	// What only the kubectl plugins print with.
	controller: ['yaml'],
	// A worker never talks to the API server, and this one is the largest package by far; it writes its log lines itself.
	worker: ['@kubernetes/client-node', 'pino', 'yaml'],
} as const;

/** Every file gets this time, so that unchanged content is an unchanged layer. */
const epoch = new Date('2020-01-01T00:00:00Z');

/**
 * Folders of all packages that the project needs at run time without the direct dependencies in `leftOut`. Looks names up
 * as Node does: in the package's own node_modules, then in those above it.
 */
export function runtimePackages(lock: Lockfile, leftOut: readonly string[]): string[] {
	const found = new Set<string>();
	const visit = (folder: string, skipped: readonly string[]) => {
		const entry = lock.packages[folder];
		const optional = Object.keys(entry?.optionalDependencies ?? {});
		const peers = Object.keys(entry?.peerDependencies ?? {}).filter(
			(name) => !entry?.peerDependenciesMeta?.[name]?.optional,
		);
		for (const name of [...Object.keys(entry?.dependencies ?? {}), ...optional, ...peers]) {
			// Declarations only: nothing of them exists at run time.
			if (skipped.includes(name) || name.startsWith('@types/') || name === 'undici-types') continue;
			const dependency = locate(lock, folder, name);
			if (dependency === undefined) {
				if (optional.includes(name)) continue;
				throw new Error(`package-lock.json: ${folder || 'the project'} needs ${name}, which has no entry`);
			}
			if (found.has(dependency)) continue;
			found.add(dependency);
			visit(dependency, []);
		}
	};
	visit('', leftOut);
	return [...found].sort();
}

function locate(lock: Lockfile, folder: string, name: string): string | undefined {
	for (let place = folder; ; ) {
		const candidate = `${place === '' ? '' : `${place}/`}node_modules/${name}`;
		if (candidate in lock.packages) return candidate;
		if (place === '') return undefined;
		place = place.slice(0, Math.max(0, place.lastIndexOf('node_modules/') - 1));
	}
}

/** Whether Node may read the file at run time: not declarations, TypeScript sources, source maps or handbooks. */
export function isRuntimeFile(file: string): boolean {
	if (/\.(ts|cts|mts|map)$/.test(file)) return false;
	return !/\.(md|markdown)$/i.test(file) || /^(licen[cs]e|notice|copying)/i.test(path.basename(file));
}

/** `project` is the folder with package.json, package-lock.json and node_modules. */
export async function assemble(project: string, dist: string, out: string): Promise<void> {
	const lock: Lockfile = JSON.parse(await readFile(path.join(project, 'package-lock.json'), 'utf8'));
	for (const [image, skipped] of Object.entries(leftOut)) {
		for (const folder of runtimePackages(lock, skipped)) {
			await copyPackage(path.join(project, folder), path.join(out, image, folder), lock.packages[folder]?.version);
		}
	}
	await cp(dist, path.join(out, 'app/dist'), {recursive: true});
	const {name, version, license} = JSON.parse(await readFile(path.join(project, 'package.json'), 'utf8'));
	await writeFile(path.join(out, 'app/package.json'), `${JSON.stringify({name, version, license, type: 'module'})}\n`);
	await cp(path.join(project, 'node_modules/node/bin/node'), path.join(out, 'node'));
	await chmod(path.join(out, 'node'), 0o755);
	await normalise(out);
}

async function copyPackage(source: string, target: string, version: string | undefined): Promise<void> {
	const manifest = await readFile(path.join(source, 'package.json'), 'utf8').catch(() => '{}');
	const installed: {version?: string} = JSON.parse(manifest);
	const found = installed.version ?? 'nothing';
	if (found !== version) {
		throw new Error(`${source}: package-lock.json says ${version}, installed is ${found}; run npm ci`);
	}
	await mkdir(path.dirname(target), {recursive: true});
	await cp(source, target, {
		recursive: true,
		// A nested package has its own entry in the lock file.
		filter: (file) => path.relative(source, file) !== 'node_modules' && isRuntimeFile(file),
	});
}

/** The same bytes, modes and times whatever the umask and the day. */
async function normalise(folder: string): Promise<void> {
	for (const entry of await readdir(folder, {withFileTypes: true})) {
		const file = path.join(folder, entry.name);
		if (entry.isDirectory()) await normalise(file);
		else if (entry.isFile()) await chmod(file, (await lstat(file)).mode & 0o100 ? 0o755 : 0o644);
		await lutimes(file, epoch, epoch);
	}
	await chmod(folder, 0o755);
	await lutimes(folder, epoch, epoch);
}

if (import.meta.main) {
	const [dist, out] = process.argv.slice(2);
	if (!dist || !out) throw new Error('usage: node images/assemble.ts <dist> <out>');
	await assemble(process.cwd(), dist, out);
}
