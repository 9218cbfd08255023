/** Debian trees without an image registry: debootstrap, pointed at the mirror that apt on this machine uses. */
import {access, mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {CommandError, run, tryRun} from '../test/cluster/command.ts';
import {withProgress} from '../test/cluster/progress.ts';
import {
	type AptProxies,
	type AptSource,
	chooseMirror,
	type Mirror,
	parseAptProxies,
	parseListFile,
	parseSourcesFile,
} from './apt-sources.ts';
import {runContained} from './contained.ts';

export interface DebianTree {
	readonly suite: string;
	/** Packages on top of variant minbase. */
	readonly packages: readonly string[];
}

/** Folders that a container does without; licences (doc/…/copyright) stay. */
const ballast = [
	'usr/share/man',
	'usr/share/info',
	'usr/share/locale',
	'var/cache/apt',
	'var/lib/apt/lists',
	'var/log',
];

/** Fills the empty or absent folder `tree`. */
export async function bootstrapDebian({suite, packages}: DebianTree, tree: string): Promise<void> {
	if (process.getuid?.() !== 0) throw new Error('debootstrap makes device nodes and changes owners: run this as root');
	const mirror = chooseMirror(await readAptSources(), suite);
	const proxies = parseAptProxies((await tryRun('apt-config', ['dump'])) ?? '', mirror.uri);
	await mkdir(path.dirname(tree), {recursive: true});
	const args = ['--variant=minbase', ...(await signatureArgs(mirror))];
	if (packages.length > 0) args.push(`--include=${packages.join(',')}`);
	await withProgress(`debootstrap of ${suite} from ${withoutCredentials(mirror.uri)}`, async () => {
		try {
			await runContained('debootstrap', [...args, suite, tree, mirror.uri], {env: environment(proxies)});
		} catch (error) {
			const log = await readFile(path.join(tree, 'debootstrap/debootstrap.log'), 'utf8').catch(() => '');
			throw withDebootstrapLog(error, log);
		}
		await forgetThisMachine(tree, suite);
	});
}

async function readAptSources(): Promise<AptSource[]> {
	const read = (file: string) => readFile(file, 'utf8').catch(() => '');
	const sources = parseListFile(await read('/etc/apt/sources.list'));
	const parts = '/etc/apt/sources.list.d';
	for (const name of (await readdir(parts).catch((): string[] => [])).sort((a, b) => (a < b ? -1 : 1))) {
		const text = await read(path.join(parts, name));
		if (name.endsWith('.list')) sources.push(...parseListFile(text));
		if (name.endsWith('.sources')) sources.push(...parseSourcesFile(text));
	}
	return sources;
}

async function signatureArgs({keyring, trusted}: Mirror): Promise<string[]> {
	if (trusted) return ['--no-check-gpg'];
	const exists = (file: string) =>
		access(file).then(
			() => true,
			() => false,
		);
	// Otherwise debootstrap looks for debian-archive-keyring by itself.
	return keyring !== undefined && (await exists(keyring)) ? [`--keyring=${keyring}`] : [];
}

function environment({http, https}: AptProxies): Record<string, string> {
	return {
		LC_ALL: 'C',
		DEBIAN_FRONTEND: 'noninteractive',
		PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`,
		...(http === undefined ? {} : {http_proxy: http}),
		...(https === undefined ? {} : {https_proxy: https}),
	};
}

function withDebootstrapLog(error: unknown, log: string): unknown {
	if (!(error instanceof CommandError) || log === '') return error;
	const message = `${error.message}\ndebootstrap.log ends with:\n${log.trim().slice(-2000)}`;
	return new CommandError(message, {exitCode: error.exitCode, stderr: error.stderr, cause: error});
}

async function forgetThisMachine(tree: string, suite: string): Promise<void> {
	const inTree = (file: string) => path.join(tree, file);
	// Copied from here by debootstrap.
	await rm(inTree('etc/resolv.conf'), {force: true});
	await rm(inTree('etc/hostname'), {force: true});
	// Not this machine's mirror, which may be private.
	await writeFile(inTree('etc/apt/sources.list'), `deb http://deb.debian.org/debian ${suite} main\n`);
	for (const folder of ['var/cache/apt/archives', 'var/lib/apt/lists']) await empty(inTree(folder));
}

/** Takes manuals, translations and logs out of a tree that becomes a container image. */
export async function slimTree(tree: string): Promise<void> {
	for (const folder of ballast) await empty(path.join(tree, folder));
	const documents = await readdir(path.join(tree, 'usr/share/doc'), {recursive: true, withFileTypes: true});
	for (const entry of documents) {
		if (!entry.isDirectory() && entry.name !== 'copyright') await rm(path.join(entry.parentPath, entry.name));
	}
}

async function empty(folder: string): Promise<void> {
	for (const name of await readdir(folder).catch(() => [])) await rm(path.join(folder, name), {recursive: true});
}

function withoutCredentials(uri: string): string {
	return uri.replace(/\/\/[^@/]*@/, '//');
}

/** An archive of the tree with owners and modes; nothing of /dev, which every runtime fills itself. */
export async function archiveTree(tree: string, archive: string): Promise<void> {
	await run('tar', ['--numeric-owner', '--sort=name', '--exclude=./dev/*', '-C', tree, '-cf', archive, '.']);
}
