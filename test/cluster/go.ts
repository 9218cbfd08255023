import {mkdir, mkdtemp, rename, rm} from 'node:fs/promises';
import path from 'node:path';
import {z} from 'zod';
import {cacheDir} from './cache-folder.ts';
import {run, tryRun} from './command.ts';
import {fileExists} from './file-exists.ts';
import {modulesDir} from './go-mod.ts';
import {installableVersion, installPackages} from './packages.ts';
import {withProgress} from './progress.ts';
import {compareVersions, parseVersion, type Version} from './version.ts';

/**
 * Since 1.21 Go fetches the toolchain that a go.mod asks for by itself; Debian switches that off, hence the explicit GOTOOLCHAIN. An older
 * Go cannot read our go.mod files, but it can download a toolchain: to it, that is a module like any other, checksum and all.
 */
const oldestUsable: Version = [1, 21, 0];
const fetchedToolchain = '1.26.8';

const goEnvironment = {GOTOOLCHAIN: 'auto', CGO_ENABLED: '0', GOWORK: 'off'};

function isUsable(version: Version): boolean {
	return compareVersions(version, oldestUsable) >= 0;
}

async function installedGo(): Promise<Version | undefined> {
	const answer = await tryRun('go', ['version'], {env: {GOTOOLCHAIN: 'local'}});
	return answer === undefined ? undefined : parseVersion(answer);
}

/** A Go that can build everything, installed or fetched if need be; its path, or just `go`. */
async function findGo(): Promise<string> {
	let found = await installedGo();
	if (!found && (await installableVersion('golang-go'))) {
		await installPackages(['golang-go']);
		found = await installedGo();
	}
	if (found && isUsable(found)) return 'go';
	if (found) return fetchToolchain(found);
	throw new Error(
		"building the cluster's binaries needs Go, and this machine's packages have none: install it from https://go.dev/dl/, or put the finished binaries on PATH or into ONESNAP_BIN_DIR",
	);
}

/** Debian 12's Go is 1.19. */
async function fetchToolchain(installed: Version): Promise<string> {
	const home = path.join(cacheDir, `go-${fetchedToolchain}`);
	const program = path.join(home, 'bin', 'go');
	if (await fileExists(program)) return program;
	const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
	const module = `golang.org/toolchain@v0.0.1-go${fetchedToolchain}.linux-${architecture}`;
	await withProgress(`fetching Go ${fetchedToolchain}, the installed ${installed.join('.')} is too old`, async () => {
		await mkdir(cacheDir, {recursive: true});
		const work = await mkdtemp(path.join(cacheDir, 'go-'));
		try {
			const answer: unknown = JSON.parse(
				await run('go', ['mod', 'download', '-json', module], {cwd: work, env: {GOFLAGS: '-mod=mod'}}),
			);
			const {Dir} = z.object({Dir: z.string()}).parse(answer);
			const copy = path.join(work, 'go');
			// A module's files come without the right to be run, and read-only.
			await run('cp', ['-R', '--reflink=auto', Dir, copy]);
			await run('chmod', ['-R', 'u+wX', copy]);
			await run('chmod', ['-R', 'a+x', path.join(copy, 'bin'), path.join(copy, 'pkg', 'tool')]);
			// Another process may have been quicker; then there is one already.
			await rename(copy, home).catch(async (error: unknown) => {
				if (!(await fileExists(program))) throw error;
			});
		} finally {
			await rm(work, {recursive: true, force: true});
		}
	});
	return program;
}

let program: Promise<string> | undefined;

/** Makes sure, once, that there is a usable Go. */
export async function ensureGo(): Promise<string> {
	program ??= findGo();
	return program;
}

/** Runs `go` in the folder of a tool. */
export async function runGo(
	tool: string,
	args: readonly string[],
	onStderr?: (chunk: string) => void,
): Promise<string> {
	return run(await ensureGo(), args, {
		cwd: path.join(modulesDir, tool),
		env: goEnvironment,
		...(onStderr && {onStderr}),
	});
}

/** The folder of a module's sources in Go's module cache, downloaded if need be. */
export async function downloadModule(tool: string, module: string, version: string): Promise<string> {
	const answer: unknown = JSON.parse(await runGo(tool, ['mod', 'download', '-json', `${module}@${version}`]));
	return z.object({Dir: z.string()}).parse(answer).Dir;
}
