/** The kubectl plugins as commands: installed by npm from the package, found by kubectl, against a real API server. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import type {DataVolume, DataVolumeStatus} from '../../src/api/datavolume.ts';
import {annotations} from '../../src/api/names.ts';
import {createDv, dv} from '../../src/cli/program.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import * as resources from '../../src/kube/resources.ts';
import {ensureBinary} from '../cluster/binaries.ts';
import {run} from '../cluster/command.ts';
import {type ControlPlane, startControlPlane} from '../cluster/control-plane.ts';
import {until} from '../cluster/until.ts';
import {makeNamespace} from './cluster.ts';
import {grant, installManifests} from './onesnap.ts';
import {makeBoundClaim, makeStorage} from './storage.ts';
import {type Said, say} from './terminal.ts';

const project = path.resolve(import.meta.dirname, '../..');

let dir: string;
let controlPlane: ControlPlane;
let api: KubeClient;
let namespace: string;
/** Variables that let kubectl find the plugins, and them the cluster. */
let environment: Readonly<Record<string, string>>;
let kubectl: string;
/** What commands say to a cluster that has no onesnap. */
const beforeInstall: Said[] = [];

/** From the package as a user gets it; without its dependencies, because each command has all that it needs. */
async function installPlugins(prefix: string): Promise<string> {
	await run('npm', ['pack', '--silent', '--pack-destination', prefix], {cwd: project});
	const [tarball = ''] = (await readdir(prefix)).filter((name) => name.endsWith('.tgz'));
	const unpacked = path.join(prefix, 'package');
	await run('tar', ['-xzf', path.join(prefix, tarball), '-C', prefix]);
	await run('npm', [
		'install',
		'--global',
		'--prefix',
		prefix,
		'--no-package-lock',
		'--omit=dev',
		'--ignore-scripts',
		'--offline',
		'--install-links=false',
		unpacked,
	]);
	return path.join(prefix, 'bin');
}

beforeAll(async () => {
	dir = await mkdtemp(path.join(tmpdir(), 'onesnap-plugins-'));
	controlPlane = await startControlPlane({dir: path.join(dir, 'control-plane')});
	for (const command of [['list'], ['explain', 'x'], ['wait', 'x']]) {
		beforeInstall.push(await say(dv, [...command, '--kubeconfig', controlPlane.kubeconfig]));
	}
	await installManifests(controlPlane.kubeconfig);
	api = new KubeClient({connection: connect(controlPlane.kubeconfig), fieldManager: 'test'});
	await makeStorage(api);
	namespace = await makeNamespace(api);
	kubectl = await ensureBinary('kubectl');
	const bin = await installPlugins(dir);
	const node = path.dirname(process.execPath);
	environment = {PATH: [bin, node, process.env['PATH']].join(path.delimiter), KUBECONFIG: controlPlane.kubeconfig};
});

afterAll(async () => {
	api?.close();
	await controlPlane?.stop();
	await rm(dir, {recursive: true, force: true});
});

const flags = () => ['--kubeconfig', controlPlane.kubeconfig, '-n', namespace];
const createSays = (...args: string[]) => say(createDv, [...args, ...flags()]);
const dvSays = (...args: string[]) => say(dv, [...args, ...flags()]);
const disk = (name: string) => api.find(resources.dataVolumes, {namespace, name});
const setStatus = (name: string, status: DataVolumeStatus) =>
	api.mergePatchStatus<DataVolume>(resources.dataVolumes, {namespace, name}, {status});

describe('kubectl', () => {
	const asUser = (...args: string[]) => run(kubectl, args, {env: environment});

	test('runs create dv and dv list', async () => {
		const url = 'https://images.example.com/debian.qcow2';
		const said = await asUser('create', 'dv', 'by-kubectl', '--http', url, '--size=1Gi', '-n', namespace);
		expect(said).toBe('datavolume.cdi.kubevirt.io/by-kubectl created\n');
		expect((await disk('by-kubectl'))?.spec.source).toEqual({http: {url}});
		expect(await asUser('dv', 'list', '-n', namespace)).toMatch(
			/^NAME +PHASE .*\nby-kubectl +- +- +import +1Gi +https:/,
		);
	});

	test('completes commands, flags and names', async () => {
		await createSays('to-complete', '--blank', '--size=1Gi');
		const complete = async (...words: string[]) => (await asUser('__complete', 'dv', ...words)).split('\n');
		expect(await complete('li')).toEqual(expect.arrayContaining([expect.stringMatching(/^list\t/), ':4']));
		expect(await complete('explain', '-n', namespace, 'to-')).toEqual(expect.arrayContaining(['to-complete', ':4']));
		expect(await complete('create', 'x', '--vol')).toEqual(
			expect.arrayContaining([expect.stringMatching(/^--volume-mode\t/)]),
		);
		expect(await complete('create', 'x', '--class', 'st')).toContain('standard');
		expect(await complete('create', 'x', '--pvc', namespace.slice(0, -1))).toEqual(
			expect.arrayContaining([`${namespace}/`, ':6']),
		);
	});

	test('is told nothing by a completion that has no cluster to ask', async () => {
		const nowhere = {...environment, KUBECONFIG: '/does/not/exist'};
		expect(await run('kubectl_complete-create-dv', ['vm-1', '--pvc', ''], {env: nowhere})).toBe(':4\n');
	});

	test('says nothing of a reader who has left', async () => {
		const child = spawn('kubectl-dv', ['--help'], {env: {...process.env, ...environment}});
		child.stdout.destroy();
		let err = '';
		child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
		expect(await once(child, 'close')).toEqual([0, null]);
		expect(err).toBe('');
	});
});

describe('create dv', () => {
	test.each(['yaml', 'json'])('prints what it would make as %s, and makes nothing', async (output) => {
		const said = await createSays('dry', '--pvc=golden/debian', '--dry-run=client', '-o', output);
		expect(said).toMatchObject({code: 0, err: ''});
		expect(said.out).toMatch(/kind"?: "?DataVolume/);
		await run(kubectl, ['apply', '--dry-run=server', '-f', '-'], {env: environment, input: said.out});
		expect(await disk('dry')).toBeUndefined();
	});

	test('has the server check it', async () => {
		const said = await createSays('dry', '--blank', '--size=1Gi', '--dry-run=server');
		expect(said).toEqual({code: 0, out: 'datavolume.cdi.kubevirt.io/dry created (server dry run)\n', err: ''});
		expect(await disk('dry')).toBeUndefined();
	});

	test('passes on what the server says, and ends with 1', async () => {
		await createSays('twice', '--blank', '--size=1Gi');
		const again = await createSays('twice', '--blank', '--size=1Gi');
		expect(again).toMatchObject({code: 1, err: 'error: Datavolumes.cdi.kubevirt.io "twice" already exists\n'});
	});

	test('names the mistakes, and ends with 2', async () => {
		expect(await createSays('disk', '--blank', '--timeout=1s')).toEqual({
			code: 2,
			out: '',
			err: 'error: --timeout is of use with --wait only: add it\nSee kubectl create dv --help\n',
		});
	});

	test('waits until it is ready', async () => {
		const saying = createSays('waited-for', '--blank', '--size=1Gi', '--wait');
		await until('it is made', () => disk('waited-for'));
		await setStatus('waited-for', {phase: 'ImportInProgress', progress: '50.00%'});
		await setStatus('waited-for', {phase: 'Succeeded', progress: '100.0%'});
		const {code, out, err} = await saying;
		expect({code, out}).toEqual({
			code: 0,
			out: 'datavolume.cdi.kubevirt.io/waited-for created\nwaited-for is ready\n',
		});
		expect(err).toMatch(/^waited-for {2}Pending {2}0s\n/);
	});
});

describe('dv wait', () => {
	const make = async (name: string, status?: DataVolumeStatus) => {
		await createSays(name, '--blank', '--size=1Gi');
		if (status) await setStatus(name, status);
	};

	test('ends with the reason at a failure, after all have ended', async () => {
		const message = 'SourceNotFound: 404';
		const failed = {
			phase: 'Failed' as const,
			conditions: [{type: 'Running', status: 'False' as const, reason: 'Error', message}],
		};
		await make('good', {phase: 'Succeeded'});
		await make('bad', failed);
		const said = await dvSays('wait', 'good', 'dv/bad');
		expect(said).toMatchObject({code: 1, out: 'good is ready\n'});
		expect(said.err).toMatch(/\nbad failed \(Error\): SourceNotFound: 404\n$/);
	});

	test('ends with what is waited for at its timeout', async () => {
		const conditions = [
			{type: 'Bound', status: 'False' as const, reason: 'ErrExceededQuota', message: 'exceeded quota'},
		];
		await make('slow', {phase: 'Pending', conditions});
		for (const timeout of ['0', '1s']) {
			const said = await dvSays('wait', 'slow', `--timeout=${timeout}`);
			expect(said.code).toBe(3);
			expect(said.err).toContain('it is Pending (ErrExceededQuota: exceeded quota)\n');
		}
	});

	test('ends where one is deleted, and where there is none', async () => {
		await make('going', {phase: 'Pending'});
		const saying = dvSays('wait', 'going');
		// Only who is there already sees it go.
		await api.delete(resources.dataVolumes, {namespace, name: 'going'});
		const said = await saying;
		expect(said.code).toBe(1);
		expect(said.err).toMatch(/going(: namespace .* has no DataVolume of this name| was deleted)\n$/);
		expect((await dvSays('wait', 'never')).err).toBe(`never: namespace ${namespace} has no DataVolume of this name\n`);
	});

	test('ends well where a first consumer is what is missing', async () => {
		await make('late', {phase: 'PendingPopulation'});
		expect(await dvSays('wait', 'late')).toMatchObject({
			code: 0,
			out: 'late waits for its first consumer: it is made when a Pod or virtual machine uses it\n',
		});
	});

	test('draws a bar over itself on a screen', async () => {
		await make('drawn', {phase: 'ImportInProgress', progress: '50.00%'});
		let err = '';
		const waiting = dv(['wait', 'drawn', ...flags()], {
			...{out: () => {}, isScreen: true, columns: 100, outColumns: 100, now: () => Date.now()},
			err: (text) => (err += text),
			signal: new AbortController().signal,
		});
		await until('the bar', async () => (err.includes('50.0%') ? true : undefined));
		await setStatus('drawn', {phase: 'Succeeded', progress: '100.0%'});
		expect(await waiting).toBe(0);
		expect(err).toContain('drawn  [===============>              ]   50.0%  ImportInProgress');
		expect(err).toContain('\u001B[1A');
		expect(err).toContain('100.0%  Succeeded');
	});

	test('ends with 130 at Ctrl-C', async () => {
		await make('endless', {phase: 'Pending'});
		const child = spawn('kubectl-dv', ['wait', 'endless', '-n', namespace], {env: {...process.env, ...environment}});
		let err = '';
		child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
		const ended = once(child, 'exit');
		await until('it waits', async () => (err.includes('endless') ? true : undefined));
		child.kill('SIGINT');
		expect(await ended).toEqual([130, null]);
		expect(err).toMatch(/\nInterrupted; what was begun in the cluster goes on\.\n$/);
	});
});

test('dv list watches, of one namespace or of all', async () => {
	const stop = new AbortController();
	let out = '';
	const listing = dv(['list', '-w', ...flags()], {
		...{err: () => {}, isScreen: false, columns: 80, outColumns: Infinity, now: () => Date.now(), signal: stop.signal},
		out: (text) => (out += text),
	});
	await until('the list', async () =>
		out === '' && !(await disk('watched')) ? createSays('watched', '--blank', '--size=2Gi') : out || undefined,
	);
	await setStatus('watched', {phase: 'Succeeded', progress: '100.0%'});
	await until('the change', async () => (/watched +Succeeded +100\.0% +blank +2Gi/.test(out) ? true : undefined));
	await api.delete(resources.dataVolumes, {namespace, name: 'watched'});
	await until('the end of it', async () => (/watched .* Deleted\n/.test(out) ? true : undefined));
	stop.abort(new Error('enough'));
	expect(await listing).toBe(130);
	const all = await say(dv, ['list', '-A', '--kubeconfig', controlPlane.kubeconfig]);
	expect(all.out).toMatch(/^NAMESPACE +NAME /);
});

test('dv tree shows a golden claim with its clones, also to who may read only one namespace', async () => {
	await makeBoundClaim(api, {namespace, name: 'golden'});
	await createSays('copied', '--pvc=golden');
	await api.mergePatch(
		resources.dataVolumes,
		{namespace, name: 'copied'},
		{metadata: {annotations: {[annotations.cloneType]: 'copy'}}},
	);
	const tree = `${namespace}/golden, 1Gi, Bound, driver csi.example.com\n└─ copied\n   └─ ${namespace}/copied   -   Pending   copy\n`;
	expect(await dvSays('tree', 'golden')).toEqual({code: 0, out: tree, err: ''});
	const rules = [
		{apiGroups: ['cdi.kubevirt.io'], resources: ['datavolumes'], verbs: ['get', 'list']},
		{apiGroups: [''], resources: ['persistentvolumeclaims'], verbs: ['get', 'list']},
	];
	await grant(api, {namespace, user: 'jane', rules});
	const said = await dvSays('tree', `${namespace}/golden`, '--as', 'jane');
	expect(said.out).toBe(tree.replace(', driver csi.example.com', ''));
	expect(said.err).toMatch(/^Could not be read, so that disks may be missing: .*datavolumes of other namespaces/);
	expect((await dvSays('tree', 'none')).err).toContain('has no claim none, and nothing was cloned from it');
});

describe('what cannot be done is one sentence', () => {
	const kubeconfig = (text: string) => ['--kubeconfig', text];

	test.each<[string, () => readonly string[], number, RegExp]>([
		['no kubeconfig of that name', () => kubeconfig('/does/not/exist'), 1, /^error: .*\/does\/not\/exist/],
		[
			'no context of that name',
			() => [...kubeconfig(controlPlane.kubeconfig), '--context=x'],
			1,
			/^error: The kubeconfig has no context "x"; it has: onesnap\n$/,
		],
		[
			'a command that is none',
			() => ['quux'],
			2,
			/^error: kubectl dv has no command "quux": use list, explain, tree, wait or create\n$/,
		],
		['a name too many', () => ['explain', 'a', 'b'], 2, /^error: one at a time: "b" is too many\n/],
	])('%s', async (_, args, code, sentence) => {
		const words = args();
		const said = await say(dv, words[0]?.startsWith('-') ? ['list', ...words] : words);
		expect(said).toMatchObject({code, out: ''});
		expect(said.err).toMatch(sentence);
	});

	test('a cluster without onesnap', () => {
		expect(beforeInstall).toHaveLength(3);
		for (const said of beforeInstall) {
			expect(said).toMatchObject({code: 1, out: ''});
			expect(said.err).toMatch(/^error: This cluster has no DataVolumes: onesnap is not installed in it \(.*\n$/);
		}
	});

	test('a cluster that is not there', async () => {
		const gone = path.join(dir, 'gone');
		const text = await run('sed', ['s#https://[^"]*#https://127.0.0.1:1#', controlPlane.kubeconfig]);
		await run('tee', [gone], {input: text});
		const said = await say(dv, ['list', '--kubeconfig', gone]);
		expect(said).toMatchObject({code: 1, out: ''});
		expect(said.err).toMatch(
			/^error: No answer from the API server \(.*ECONNREFUSED.*\): is the cluster running, .*\n$/,
		);
	});

	test('what one may not do', async () => {
		const said = await dvSays('list', '--as', 'nobody');
		expect(said.err).toMatch(
			/^error: Refused: datavolumes.cdi.kubevirt.io is forbidden: User "nobody" cannot list .*\n$/,
		);
	});
});
