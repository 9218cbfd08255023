import {constants} from 'node:fs';
import {access, mkdir, mkdtemp, readdir, rename, rm} from 'node:fs/promises';
import path from 'node:path';
import {cacheDir} from './cache-folder.ts';
import {run, tryRun} from './command.ts';
import {withFileLock} from './file-lock.ts';
import {ensureGo, runGo} from './go.ts';
import {moduleVersion} from './go-mod.ts';
import {report, withProgress} from './progress.ts';
import {fitsVersion, parseVersion} from './version.ts';

/** A Go module of test/cluster/binaries and the programs that are built from it. */
type Tool = {
	/** Folder under test/cluster/binaries. */
	readonly folder: string;
	/** Its version in go.mod is the tool's version. */
	readonly module: string;
	/** The Go variable that the program reports as its version; without it the node would call itself v0.0.0-master. */
	readonly versionVariable?: string;
	/** Program name to Go package. */
	readonly programs: Readonly<Record<string, string>>;
};

const csiTool = (name: string, major: string, programs: readonly string[]): Tool => ({
	folder: name,
	module: `github.com/kubernetes-csi/${name}/${major}`,
	versionVariable: 'main.version',
	programs: Object.fromEntries(
		programs.map((program) => [program, `github.com/kubernetes-csi/${name}/${major}/cmd/${program}`]),
	),
});

const tools: readonly Tool[] = [
	{
		folder: 'kubernetes',
		module: 'k8s.io/kubernetes',
		versionVariable: 'k8s.io/component-base/version.gitVersion',
		programs: Object.fromEntries(
			['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy', 'kubectl'].map(
				(program) => [program, `k8s.io/kubernetes/cmd/${program}`],
			),
		),
	},
	{
		folder: 'etcd',
		module: 'go.etcd.io/etcd/server/v3',
		programs: {etcd: 'go.etcd.io/etcd/server/v3'},
	},
	csiTool('external-snapshotter', 'v8', ['snapshot-controller', 'csi-snapshotter']),
	csiTool('external-provisioner', 'v6', ['csi-provisioner']),
	csiTool('external-resizer', 'v2', ['csi-resizer']),
	csiTool('csi-test', 'v5', ['csi-sanity']),
	{
		folder: 'local-path-provisioner',
		module: 'github.com/rancher/local-path-provisioner',
		versionVariable: 'main.VERSION',
		programs: {'local-path-provisioner': 'github.com/rancher/local-path-provisioner'},
	},
	{folder: 'coredns', module: 'github.com/coredns/coredns', programs: {coredns: '.'}},
];

export const programNames = [
	'kube-apiserver',
	'kube-controller-manager',
	'kube-scheduler',
	'kubelet',
	'kube-proxy',
	'kubectl',
	'etcd',
	'coredns',
	'snapshot-controller',
	'csi-snapshotter',
	'csi-provisioner',
	'csi-resizer',
	'local-path-provisioner',
	'csi-sanity',
] as const;

export type ProgramName = (typeof programNames)[number];

/** Absolute path of a program, in the version that go.mod names (or a newer patch of it, if the user has one). */
export async function ensureBinary(name: ProgramName): Promise<string> {
	const tool = tools.find((candidate) => name in candidate.programs);
	if (!tool) throw new Error(`no tool builds ${name}`);
	const version = moduleVersion(tool.folder, tool.module);

	const provided = await findProvided(name, version);
	if (provided) return provided;
	const cached = path.join(cacheDir, 'binaries', `${tool.folder}-${version}`, name);
	if (await isExecutable(cached)) return cached;
	await ensureGo();
	// One build at a time on this machine: each uses all cores and the build cache serves the next one.
	await withFileLock(path.join(cacheDir, 'binaries', 'build.lock'), 'it builds binaries', async () => {
		if (!(await isExecutable(cached))) await build(tool, name, version, cached);
	});
	return cached;
}

/** What the user already has: in ONESNAP_BIN_DIR, then on PATH. */
async function findProvided(name: ProgramName, version: string): Promise<string | undefined> {
	const binDir = process.env['ONESNAP_BIN_DIR'];
	const folders = [...(binDir ? [binDir] : []), ...(process.env['PATH'] ?? '').split(path.delimiter)];
	for (const folder of folders.filter((each) => each !== '')) {
		const candidate = path.resolve(folder, name);
		if (!(await isExecutable(candidate))) continue;
		const has = await reportedVersion(name, candidate);
		const wanted = parseVersion(version);
		const hasVersion = parseVersion(has);
		if (hasVersion && wanted && fitsVersion(hasVersion, wanted)) return candidate;
		if (folder === binDir) report(`${candidate} reports "${has}", not ${version}: not used`);
	}
	return undefined;
}

async function reportedVersion(name: ProgramName, program: string): Promise<string> {
	const answer = await tryRun(program, name === 'kubectl' ? ['version', '--client'] : ['--version']);
	// The CSI sidecars print their own path first, and a path may have a version in it.
	return (answer?.split('\n')[0] ?? '').replace(program, '').trim();
}

async function build(tool: Tool, name: ProgramName, version: string, target: string): Promise<void> {
	const folder = path.dirname(target);
	await mkdir(folder, {recursive: true});
	// We hold the lock: what another build left there, it left by dying.
	for (const name of await readdir(folder)) {
		if (name.startsWith('.build-')) await rm(path.join(folder, name), {recursive: true, force: true});
	}
	const unfinished = await mkdtemp(path.join(folder, '.build-'));
	try {
		let lastWord = '';
		await withProgress(
			`building ${name} ${version} from its Go module`,
			() =>
				runGo(
					tool.folder,
					[
						'build',
						'-trimpath',
						`-ldflags=${linkerFlags(tool, version)}`,
						'-o',
						path.join(unfinished, name),
						tool.programs[name] ?? '.',
					],
					(chunk) => (lastWord = chunk.trim().split('\n').at(-1) ?? lastWord),
				),
			() => lastWord,
		);
		await run('chmod', ['0755', path.join(unfinished, name)]);
		await rename(path.join(unfinished, name), target);
	} finally {
		await rm(unfinished, {recursive: true, force: true});
	}
}

function linkerFlags(tool: Tool, version: string): string {
	const flags = ['-s', '-w'];
	if (tool.versionVariable) flags.push(`-X ${tool.versionVariable}=${version}`);
	if (tool.folder === 'kubernetes') {
		const [major, minor] = parseVersion(version) ?? [];
		flags.push(`-X k8s.io/component-base/version.gitMajor=${major}`);
		flags.push(`-X k8s.io/component-base/version.gitMinor=${minor}`);
	}
	return flags.join(' ');
}

async function isExecutable(file: string): Promise<boolean> {
	return access(file, constants.X_OK).then(
		() => true,
		() => false,
	);
}
