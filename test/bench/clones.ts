/**
 * What N clones of one golden disk cost: by onesnap; as CDI goes, with a snapshot for each clone; and the floor, bare
 * restores of one VolumeSnapshot. Side by side in one run on the local cluster, whose controller manager has the client
 * limits that it has by default (20 requests a second, bursts of 30): the volume binder is the narrow place in all three.
 *
 *     make bench-clone                                     200 clones in 20 namespaces
 *     CLONES=50 NAMESPACES=5 ROUNDS=3 make bench-clone     medians of three rounds
 *     WAYS=bareAtOnce,onesnap make bench-clone             only some; see `compared`, `hardened` and `others`
 *
 * Prints a table, writes .onesnap/bench/clone.json. Fails where a clone fails or something is left; the figures are for
 * people to judge: seconds of one machine mean little, ratios of one run mean something.
 */
import {mkdir, mkdtemp, rm, statfs, writeFile} from 'node:fs/promises';
import {availableParallelism, cpus, loadavg, tmpdir, totalmem} from 'node:os';
import path from 'node:path';
import PQueue from 'p-queue';
import {labels} from '../../src/api/names.ts';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import * as resources from '../../src/kube/resources.ts';
import {ensureLocalCluster} from '../cluster/cluster.ts';
import {run} from '../cluster/command.ts';
import {readJournal} from '../cluster/csi/journal.ts';
import type {FaultSet} from '../cluster/csi/faults.ts';
import {report, withProgress} from '../cluster/progress.ts';
import {until} from '../cluster/until.ts';
import {waitForSucceeded} from '../support/data-volumes.ts';
import {convertToQcow2, makeRawDisk} from '../support/disk-images.ts';
import {auditSize, type Writes, writesSince} from '../support/audit-writes.ts';
import {startImageServer} from '../support/image-server.ts';
import {installOnesnap} from '../support/install.ts';
import {auditLeaks} from '../support/leak-audit.ts';
import {clearFaults, setFaults} from '../support/storage-faults.ts';
import {table} from '../support/table.ts';
import {WatchedApi} from './watched-api.ts';
import {
	cloneByOnesnap,
	cloneByOwnSnapshots,
	type Golden,
	immutable,
	makeDataVolume,
	type Place,
	restoreBare,
} from './ways.ts';

function setting(name: string, otherwise: number): number {
	const text = process.env[name] ?? String(otherwise);
	if (!/^[1-9]\d*$/.test(text)) throw new Error(`${name}=${text}: a whole number from 1 on is expected`);
	return Number(text);
}

const clones = setting('CLONES', 200);
const namespaceCount = setting('NAMESPACES', 20);
const rounds = setting('ROUNDS', 1);
/** Of the ways that make their claims by themselves. */
const inFlight = setting('IN_FLIGHT', 8);
const driver = 'reflink.csi.onesnap.io';
const ofBench = 'onesnap-bench';

const cluster = await ensureLocalCluster();
await installOnesnap(cluster);
await using world = new WatchedApi(cluster.kubeconfig);
const {api} = world;

const golden: Golden = {
	namespace: 'bench-golden',
	name: 'golden',
	storageClassName: cluster.storageClasses.snapshots,
	size: '10Gi',
};
const targets = Array.from({length: namespaceCount}, (_, index) => `bench-${index}`);

/** Of the run's number, so that no name is used twice: spread over the target namespaces, or all in one. */
function placesOf(runNumber: number, namespaces: readonly string[]): Place[] {
	return Array.from({length: clones}, (_, index) => ({
		namespace: namespaces[index % namespaces.length] ?? '',
		name: `disk-${runNumber}-${index}`,
	}));
}

async function removeNamespaces(): Promise<void> {
	const {items} = await api.list(resources.namespaces, {labelSelector: ofBench});
	for (const {metadata} of items) await api.delete(resources.namespaces, metadata);
	await until(
		'namespaces of a bench gone',
		async () =>
			(await api.list(resources.namespaces, {labelSelector: ofBench})).items.length === 0 ? true : undefined,
		{timeoutMs: 300_000, intervalMs: 500},
	);
}

async function makeNamespaces(): Promise<void> {
	for (const name of [golden.namespace, ...targets]) {
		const metadata = {name, labels: {[ofBench]: ''}};
		await api.create<KubeObject>(resources.namespaces, {apiVersion: 'v1', kind: 'Namespace', metadata});
	}
}

/** 10 GiB with little in it: what is measured is the making of disks, not their content. */
async function importGolden(): Promise<void> {
	const folder = await mkdtemp(path.join(tmpdir(), 'onesnap-bench-'));
	try {
		const [raw, image] = [path.join(folder, 'disk.raw'), path.join(folder, 'disk.qcow2')];
		await makeRawDisk(raw, {sizeBytes: 10 * 1024 ** 3, dataBytes: 32 * 1024 ** 2});
		await convertToQcow2(raw, image);
		await using server = await startImageServer({files: {'/disk.qcow2': image}, host: cluster.hostAddress});
		const {metadata, ...rest} = makeDataVolume(golden, {http: {url: `${server.url}/disk.qcow2`}}, golden);
		await api.create(resources.dataVolumes, {...rest, metadata: {...metadata, annotations: immutable}});
		await waitForSucceeded(
			api,
			[golden].map(({namespace, name}) => ({metadata: {namespace, name}})),
		);
	} finally {
		await rm(folder, {recursive: true, force: true});
	}
}

async function goldenHandle(): Promise<string> {
	const claim = await api.get(resources.persistentVolumeClaims, golden);
	const volume = await api.get(resources.persistentVolumes, {name: claim.spec.volumeName ?? ''});
	return volume.spec.csi?.volumeHandle ?? '';
}

const isOfShared = ({metadata}: KubeObject) => metadata.labels?.[labels.sharedSnapshotUid] !== undefined;
const isAlias = (object: KubeObject) => isOfShared(object) && object.metadata.namespace !== golden.namespace;

/** The next clones find no snapshot: each run pays for its own. */
async function forgetSnapshots(): Promise<void> {
	for (const {metadata} of world.list(resources.sharedSnapshots)) await api.delete(resources.sharedSnapshots, metadata);
	await world.untilNone(resources.sharedSnapshots, () => true);
	await world.untilNone(resources.volumeSnapshots, ({metadata}) => metadata.namespace === golden.namespace);
	await world.untilNone(resources.volumeSnapshotContents, ({spec}) => spec.driver === driver);
}

/** Until onesnap has no more to say of what it did: aliases gone, last events and counts written. */
async function untilQuiet(offset: number): Promise<void> {
	await world.untilNone(resources.volumeSnapshots, isAlias);
	await world.untilNone(
		resources.volumeSnapshotContents,
		(content) => isOfShared(content) && content.spec.volumeSnapshotRef.namespace !== golden.namespace,
	);
	let last = -1;
	await until(
		'onesnap writes nothing more',
		async () => {
			const {ours} = await writesSince(cluster.auditLog, offset, WatchedApi.userAgent);
			if (ours === last) return true;
			last = ours;
			return undefined;
		},
		{intervalMs: 3000},
	);
}

async function storedBytes(): Promise<number> {
	await run('sync', ['--file-system', cluster.poolDir]);
	const {bsize, blocks, bfree} = await statfs(cluster.poolDir);
	return (blocks - bfree) * bsize;
}

interface Cuts {
	/** Snapshots that the storage made. */
	readonly made: number;
	/** All that asked for one, repetitions and refusals included. */
	readonly calls: number;
}

async function cutsSince(records: number): Promise<Cuts> {
	const journal = await readJournal(cluster.journals[driver] ?? '');
	const calls = journal.slice(records).filter(({rpc}) => rpc === 'CreateSnapshot');
	return {made: calls.filter(({code, repeated}) => code === 'OK' && repeated !== true).length, calls: calls.length};
}

const journalLength = async () => (await readJournal(cluster.journals[driver] ?? '')).length;

interface Figures {
	readonly seconds: number;
	readonly writes: Writes;
	readonly cuts: Cuts;
	/** On the file system of the storage, all clones there, less the golden disk. */
	readonly bytes: number;
	readonly failures: number;
	readonly leaks: readonly string[];
}

let runNumber = 0;

interface Way {
	readonly what: string;
	readonly namespaces: readonly string[];
	readonly faults?: FaultSet;
	/** Resolves to how many failed. */
	readonly make: (places: readonly Place[]) => Promise<number>;
	readonly isOurs: boolean;
}

async function measure(way: Way, handle: string): Promise<Figures> {
	const places = placesOf(runNumber++, way.namespaces);
	await forgetSnapshots();
	await using _ = await setFaults(cluster, way.faults ? {volumes: {[handle]: way.faults}} : {});
	const [offset, records, bytesBefore] = [
		await auditSize(cluster.auditLog),
		await journalLength(),
		await storedBytes(),
	];
	const startedMs = performance.now();
	const failures = await way.make(places);
	const seconds = (performance.now() - startedMs) / 1000;
	if (way.isOurs) await untilQuiet(offset);
	const writes = await writesSince(cluster.auditLog, offset, WatchedApi.userAgent);
	const cuts = await cutsSince(records);
	const bytes = (await storedBytes()) - bytesBefore;
	await remove(places);
	const leaks = way.isOurs ? await findLeaks() : [];
	return {seconds, writes, cuts, bytes, failures, leaks};
}

async function remove(places: readonly Place[]): Promise<void> {
	const queue = new PQueue({concurrency: 16});
	await queue.addAll(
		places.map((place) => async () => {
			await api.delete(resources.dataVolumes, place);
			await api.delete(resources.persistentVolumeClaims, place);
		}),
	);
	for (const {metadata} of world.list(resources.volumeSnapshots)) {
		if (metadata.namespace === golden.namespace && !isOfShared({kind: '', apiVersion: '', metadata}))
			await api.delete(resources.volumeSnapshots, metadata);
	}
	await world.untilAll(resources.persistentVolumeClaims, places, (claim) => claim === undefined);
	await world.untilNone(
		resources.persistentVolumes,
		({spec: {claimRef}}) =>
			(claimRef?.namespace ?? '').startsWith('bench-') &&
			!(claimRef?.namespace === golden.namespace && claimRef.name === golden.name),
	);
}

/** Deletion takes its time: a leak is what is still there at the end of it. */
async function findLeaks(): Promise<readonly string[]> {
	const deadlineMs = performance.now() + 120_000;
	for (;;) {
		const leaks = await auditLeaks(api, cluster);
		if (leaks.length === 0 || performance.now() > deadlineMs) return leaks;
		await new Promise((resolve) => setTimeout(resolve, 1000));
	}
}

const byOnesnap = (what: string, faults?: FaultSet): Way => ({
	what,
	namespaces: targets,
	isOurs: true,
	make: (places) => cloneByOnesnap(world, golden, places),
	...(faults && {faults}),
});
const byOwnSnapshots = (what: string, faults?: FaultSet): Way => ({
	what,
	namespaces: targets,
	isOurs: false,
	make: (places) => cloneByOwnSnapshots(world, golden, places, inFlight),
	...(faults && {faults}),
});
const bare = (what: string, atOnce: number, faults?: FaultSet): Way => ({
	what,
	namespaces: [golden.namespace],
	isOurs: false,
	make: (places) => restoreBare(world, golden, places, {snapshotName: 'bare', inFlight: atOnce}),
	...(faults && {faults}),
});

const slowCut: FaultSet = {cutMs: 2000};
const slowRestore: FaultSet = {delay: [{method: 'CreateVolume', source: 'snapshot', times: 'always', ms: 3000}]};
const compared = {
	bareWindow: bare(`bare restores, ${inFlight} in flight`, inFlight),
	bareAtOnce: bare('bare restores, all at once', clones),
	onesnap: byOnesnap('onesnap'),
	perClone: byOwnSnapshots('a snapshot per clone'),
	onesnapSlowCut: byOnesnap('onesnap, a cut takes 2 s', slowCut),
	perCloneSlowCut: byOwnSnapshots('a snapshot per clone, a cut takes 2 s', slowCut),
};
/** Once each: they are about whether all clones come through. */
const hardened = {
	onesnapLock: byOnesnap('onesnap, a restore locks its snapshot', {restoreLockMs: 100}),
	onesnapMostThree: byOnesnap('onesnap, at most 3 snapshots of a volume', {maxSnapshots: 3}),
};
/** Only where they are asked for. */
const others = {
	bareSlowRestore: bare('bare restores, each takes 3 s', clones, slowRestore),
	onesnapSlowRestore: byOnesnap('onesnap, a restore takes 3 s', slowRestore),
};
type Name = keyof typeof compared | keyof typeof hardened | keyof typeof others;
const ways: Readonly<Record<string, Way>> = {...compared, ...hardened, ...others};
const chosen = (process.env['WAYS'] ?? Object.keys({...compared, ...hardened}).join()).split(',');
const unknown = chosen.filter((name) => !ways[name]);
if (unknown.length > 0) throw new Error(`WAYS: there is no ${unknown.join()}; there are ${Object.keys(ways).join()}`);

const median = (values: readonly number[]) =>
	values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

const measured = new Map<Name, Figures[]>();

/** Written after each way, so that one that never ends does not take the others with it. */
async function measureAll(): Promise<void> {
	const one = async (name: Name, way: Way, handle: string) => {
		if (!chosen.includes(name)) return;
		const figures = await withProgress(`${clones} x ${way.what}`, () => measure(way, handle));
		report(`${clones} x ${way.what}: ${figures.seconds.toFixed(1)} s`);
		measured.set(name, [...(measured.get(name) ?? []), figures]);
		await write(summarize([]));
	};
	const handle = await goldenHandle();
	for (let round = 0; round < rounds; round++) {
		const order = Object.entries(compared) as [keyof typeof compared, Way][];
		for (const [name, way] of round % 2 === 0 ? order : order.toReversed()) await one(name, way, handle);
	}
	const once = {...hardened, ...others};
	for (const [name, way] of Object.entries(once) as [keyof typeof once, Way][]) await one(name, way, handle);
}

/** What is left when the golden disk is gone as well. */
async function removeGolden(): Promise<readonly string[]> {
	await api.delete(resources.dataVolumes, golden);
	await world.untilAll(resources.persistentVolumeClaims, [golden], (claim) => claim === undefined);
	await world.untilNone(resources.sharedSnapshots, () => true);
	const leaks = await findLeaks();
	await removeNamespaces();
	return leaks;
}

const of = (name: Name) => measured.get(name) ?? [];
const seconds = (name: Name) => median(of(name).map((figures) => figures.seconds));
const perClone = (name: Name, pick: (writes: Writes) => number) =>
	median(of(name).map(({writes}) => pick(writes))) / clones;
/** NaN of none. */
const most = (values: readonly number[]) => (values.length === 0 ? Number.NaN : Math.max(...values));

/** Of what is measured so far. What is not measured has no figure: null in JSON. */
function summarize(leaksAtEnd: readonly string[]) {
	const ours = Object.keys(ways).flatMap((name) => (ways[name]?.isOurs ? of(name as Name) : []));
	const leaks = [...ours.flatMap((figures) => figures.leaks), ...leaksAtEnd];
	const floors = [seconds('bareWindow'), seconds('bareAtOnce')].filter((value) => !Number.isNaN(value));
	const floor = floors.length === 0 ? Number.NaN : Math.min(...floors);
	const [first] = of('onesnap');
	const runs = Object.fromEntries(
		[...measured].map(([name, list]) => [
			name,
			list.map(({writes, leaks: left, ...figures}) => ({
				...figures,
				leaks: left.length,
				ourWritesPerClone: writes.ours / clones,
				otherWritesPerClone: writes.others / clones,
			})),
		]),
	);
	return {
		leaks,
		figures: {
			clones,
			namespaces: namespaceCount,
			rounds,
			snapshots: most(of('onesnap').map(({cuts}) => cuts.made)),
			createSnapshotCalls: most(of('onesnap').map(({cuts}) => cuts.calls)),
			ourWritesPerClone: perClone('onesnap', (writes) => writes.ours),
			otherWritesPerClone: perClone('onesnap', (writes) => writes.others),
			leaks: leaks.length,
			failures: ours.reduce((sum, {failures}) => sum + failures, 0),
			/** Ours / the faster of the two floors: 1 is as fast, more is slower. */
			ratioToRawRestores: seconds('onesnap') / floor,
			/** A snapshot per clone / ours: 1 is as fast, more is in our favour. */
			ratioToOnePerClone: {
				cut0s: seconds('perClone') / seconds('onesnap'),
				cut2s: seconds('perCloneSlowCut') / seconds('onesnapSlowCut'),
			},
			inFlight,
			ourWritesByKind: first?.writes.oursByKind ?? {},
			otherWritesByClient: first?.writes.othersByClient ?? {},
			runs,
			machine: {
				cpus: availableParallelism(),
				model: cpus()[0]?.model,
				memoryBytes: totalmem(),
				load: {before: loadBefore, after: loadavg()[0]},
			},
			date: new Date().toISOString(),
		},
	};
}

const file = path.resolve(import.meta.dirname, '../../.onesnap/bench/clone.json');
async function write({figures}: ReturnType<typeof summarize>): Promise<void> {
	await mkdir(path.dirname(file), {recursive: true});
	await writeFile(file, `${JSON.stringify(figures, undefined, '\t')}\n`);
}

await withProgress('removing what an earlier bench left', async () => {
	await clearFaults(cluster);
	await removeNamespaces();
});
const loadBefore = loadavg()[0] ?? 0;
await withProgress('making the golden disk', async () => {
	await makeNamespaces();
	await importGolden();
});
await measureAll();
const summary = summarize(await withProgress('removing the golden disk', removeGolden));
await write(summary);
const {leaks, figures: found} = summary;

/** A way that was not chosen has no figure. */
const shown = (value: number, digits: number) => (Number.isFinite(value) ? value.toFixed(digits) : '-');
const kibibytes = (bytes: number) => `${(bytes / 1024).toFixed(0)} KiB`;
console.log(
	table([
		[
			`${clones} CLONES, ${namespaceCount} NAMESPACES`,
			'SECONDS',
			'CUTS',
			'STORED',
			'OUR WRITES',
			'OTHER WRITES',
			'FAILED',
		],
		...[...measured].map(([name, list]) => [
			ways[name]?.what ?? name,
			seconds(name).toFixed(1),
			String(Math.max(...list.map(({cuts}) => cuts.made))),
			kibibytes(median(list.map(({bytes}) => bytes))),
			perClone(name, (writes) => writes.ours).toFixed(1),
			perClone(name, (writes) => writes.others).toFixed(1),
			String(list.reduce((sum, figures) => sum + figures.failures, 0)),
		]),
	]),
);
console.log();
const {ratioToRawRestores, ratioToOnePerClone, failures} = found;
console.log(
	table([
		['', 'FOUND', 'WANTED'],
		['CreateSnapshot calls for all clones', shown(found.createSnapshotCalls, 0), '1'],
		['our API writes per clone, events included', shown(found.ourWritesPerClone, 1), '< 8'],
		['onesnap / the faster bare restores', shown(ratioToRawRestores, 2), '<= 1.3'],
		['a snapshot per clone / onesnap', shown(ratioToOnePerClone.cut0s, 2), '>= 1'],
		['the same where a cut takes 2 s', shown(ratioToOnePerClone.cut2s, 2), '>= 3'],
		['clones that failed', String(failures), '0'],
		['left at API, driver and host', String(leaks.length), '0'],
	]),
);
for (const leak of leaks) report(`leak: ${leak}`);
report(`figures: ${file}`);
process.exitCode = failures + leaks.length > 0 ? 1 : 0;
