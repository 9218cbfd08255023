import path from 'node:path';
import {z} from 'zod';
import {run, tryRun} from './command.ts';
import {modulesDir} from './go-mod.ts';
import {installableVersion, installPackages} from './packages.ts';
import {compareVersions, parseVersion, type Version} from './version.ts';

/**
 * Since 1.21 Go fetches the toolchain that a go.mod asks for by itself; Debian switches that off, hence the explicit GOTOOLCHAIN. An older
 * Go cannot read our go.mod files.
 */
const oldestUsable: Version = [1, 21, 0];

const goEnvironment = {GOTOOLCHAIN: 'auto', CGO_ENABLED: '0', GOWORK: 'off'};

function isUsable(version: Version): boolean {
	return compareVersions(version, oldestUsable) >= 0;
}

async function installedGo(): Promise<Version | undefined> {
	const answer = await tryRun('go', ['version'], {env: {GOTOOLCHAIN: 'local'}});
	return answer === undefined ? undefined : parseVersion(answer);
}

/** Makes sure that a usable `go` is on PATH, from the distribution if need be. */
export async function ensureGo(): Promise<void> {
	let found = await installedGo();
	if (!found) {
		const candidate = parseVersion((await installableVersion('golang-go')) ?? '');
		if (candidate && isUsable(candidate)) {
			await installPackages(['golang-go']);
			found = await installedGo();
		}
	}
	if (found && isUsable(found)) return;
	throw new Error(
		`building the cluster's binaries needs Go 1.21 or later on PATH (found ${found ? found.join('.') : 'none'}): install it from https://go.dev/dl/, or put the finished binaries on PATH or into ONESNAP_BIN_DIR`,
	);
}

/** Runs `go` in the folder of a tool. */
export function runGo(tool: string, args: readonly string[], onStderr?: (chunk: string) => void): Promise<string> {
	return run('go', args, {
		cwd: path.join(modulesDir, tool),
		env: goEnvironment,
		...(onStderr && {onStderr}),
	});
}

/** The folder of a module's sources in Go's module cache, downloaded if need be. */
export async function downloadModule(tool: string, module: string, version: string): Promise<string> {
	await ensureGo();
	const answer: unknown = JSON.parse(await runGo(tool, ['mod', 'download', '-json', `${module}@${version}`]));
	return z.object({Dir: z.string()}).parse(answer).Dir;
}
