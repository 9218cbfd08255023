/**
 * What sharing costs: N clones by onesnap against N bare restores of one ready VolumeSnapshot, which is the least any
 * controller can do; side by side, in turns, on the local cluster. Prints medians and their ratio, and the API writes per
 * clone by onesnap from the API server's audit log. Figures go to .onesnap/bench/clones.json.
 */
import {mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import PQueue from 'p-queue';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {KubeObject, PersistentVolumeClaim} from '../../src/api/kubernetes.ts';
import {annotations} from '../../src/api/names.ts';
import type {VolumeSnapshot} from '../../src/api/snapshot.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import * as resources from '../../src/kube/resources.ts';
import {ensureLocalCluster} from '../cluster/cluster.ts';
import {run} from '../cluster/command.ts';
import {report, withProgress} from '../cluster/progress.ts';
import {until} from '../cluster/until.ts';
import {waitForSucceeded} from '../support/data-volumes.ts';
import {startImageServer} from '../support/image-server.ts';
import {installOnesnap} from '../support/install.ts';
import {table} from '../support/table.ts';

const clones = 50;
const rounds = 5;
/** As the restore window of onesnap's default policy, so that both put the same load on the provisioner. */
const inFlight = 8;
const namespace = 'bench';
const size = '256Mi';

const cluster = await ensureLocalCluster();
await installOnesnap(cluster);
const api = new KubeClient({connection: connect(cluster.kubeconfig), fieldManager: 'onesnap-bench'});

async function makeImage(): Promise<string> {
	const folder = await mkdtemp(path.join(tmpdir(), 'onesnap-bench-'));
	const image = path.join(folder, 'image.qcow2');
	await run('qemu-img', ['create', '-q', '-f', 'qcow2', image, '128M']);
	return image;
}

async function freshNamespace(): Promise<void> {
	await api.delete(resources.namespaces, {name: namespace});
	await until(
		'namespace of an earlier bench gone',
		async () => ((await api.find(resources.namespaces, {name: namespace})) ? undefined : true),
		{timeoutMs: 180_000, intervalMs: 500},
	);
	const object: KubeObject = {apiVersion: 'v1', kind: 'Namespace', metadata: {name: namespace}};
	await api.create(resources.namespaces, object);
}

function makeDataVolume(name: string, source: NonNullable<DataVolume['spec']['source']>): DataVolume {
	return {
		apiVersion: 'cdi.kubevirt.io/v1beta1',
		kind: 'DataVolume',
		metadata: {name, namespace, annotations: {[annotations.immutable]: 'true'}},
		spec: {
			source,
			storage: {storageClassName: cluster.storageClasses.snapshots, resources: {requests: {storage: size}}},
		},
	};
}

async function makeSnapshot(): Promise<VolumeSnapshot> {
	const snapshot = await api.create(resources.volumeSnapshots, {
		apiVersion: 'snapshot.storage.k8s.io/v1',
		kind: 'VolumeSnapshot',
		metadata: {name: 'bare', namespace},
		spec: {source: {persistentVolumeClaimName: 'golden'}, volumeSnapshotClassName: 'reflink'},
	});
	return until('the snapshot is ready', async () => {
		const now = await api.get(resources.volumeSnapshots, snapshot.metadata);
		return now.status?.readyToUse ? now : undefined;
	});
}

const names = (prefix: string) => Array.from({length: clones}, (_, index) => `${prefix}-${index}`);

async function isBound(name: string): Promise<true | undefined> {
	const claim = await api.find(resources.persistentVolumeClaims, {namespace, name});
	return claim?.status?.phase === 'Bound' ? true : undefined;
}

/** The least that N clones of one snapshot take: claims with a data source, so many at a time. */
async function bareRestores(round: number, snapshot: VolumeSnapshot): Promise<void> {
	const queue = new PQueue({concurrency: inFlight});
	const restore = async (name: string) => {
		const claim: PersistentVolumeClaim = {
			apiVersion: 'v1',
			kind: 'PersistentVolumeClaim',
			metadata: {name, namespace},
			spec: {
				accessModes: ['ReadWriteOnce'],
				storageClassName: cluster.storageClasses.snapshots,
				resources: {requests: {storage: snapshot.status?.restoreSize ?? size}},
				dataSource: {apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: snapshot.metadata.name},
			},
		};
		await api.create(resources.persistentVolumeClaims, claim);
		await until(`claim ${name} bound`, () => isBound(name), {timeoutMs: 300_000, intervalMs: 100});
	};
	await queue.addAll(names(`bare-${round}`).map((name) => () => restore(name)));
}

async function onesnapClones(round: number): Promise<void> {
	const all = names(`clone-${round}`).map((name) => makeDataVolume(name, {pvc: {namespace, name: 'golden'}}));
	await Promise.all(all.map((one) => api.create(resources.dataVolumes, one)));
	await waitForSucceeded(api, all);
}

async function seconds(work: () => Promise<void>): Promise<number> {
	const startedAt = performance.now();
	await work();
	return (performance.now() - startedAt) / 1000;
}

/** Writes by onesnap's service account that the API server answered since the audit log had so many bytes. */
async function writesSince(offset: number): Promise<Record<string, number>> {
	const text = (await readFile(cluster.auditLog)).subarray(offset).toString();
	const counts: Record<string, number> = {};
	for (const line of text.split('\n')) {
		if (!line.includes('system:serviceaccount:onesnap:onesnap-controller')) continue;
		const entry: {stage?: string; verb?: string; objectRef?: {resource?: string; subresource?: string}} =
			JSON.parse(line);
		const {resource = '', subresource} = entry.objectRef ?? {};
		if (resource === 'leases') continue;
		const kind = `${entry.verb} ${resource}${subresource ? `/${subresource}` : ''}`;
		counts[kind] = (counts[kind] ?? 0) + 1;
	}
	return counts;
}

const auditBytes = async () => (await readFile(cluster.auditLog)).length;
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const image = await makeImage();
await using server = await startImageServer({files: {'/image.qcow2': image}, host: cluster.hostAddress});
try {
	await withProgress('making the golden image', async () => {
		await freshNamespace();
		const golden = makeDataVolume('golden', {http: {url: `${server.url}/image.qcow2`}});
		await api.create(resources.dataVolumes, golden);
		await waitForSucceeded(api, [golden]);
	});
	const snapshot = await makeSnapshot();
	const bare: number[] = [];
	const shared: number[] = [];
	const auditStart = await auditBytes();
	for (let round = 0; round < rounds; round++) {
		bare.push(
			await withProgress(`round ${round + 1}: ${clones} bare restores`, () =>
				seconds(() => bareRestores(round, snapshot)),
			),
		);
		shared.push(
			await withProgress(`round ${round + 1}: ${clones} clones by onesnap`, () => seconds(() => onesnapClones(round))),
		);
	}
	const counts = await writesSince(auditStart);
	const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
	const made = clones * rounds;
	const figures = {
		clones,
		rounds,
		secondsBare: bare,
		secondsOnesnap: shared,
		ratio: median(shared) / median(bare),
		writesPerClone: total / made,
		writes: counts,
	};
	const file = path.resolve(import.meta.dirname, '../../.onesnap/bench/clones.json');
	await mkdir(path.dirname(file), {recursive: true});
	await writeFile(file, `${JSON.stringify(figures, null, '\t')}\n`);
	console.log(
		table([
			['', `MEDIAN OF ${rounds}`],
			[`${clones} bare restores, ${inFlight} in flight`, `${median(bare).toFixed(1)} s`],
			[`${clones} clones by onesnap`, `${median(shared).toFixed(1)} s`],
			['ratio', figures.ratio.toFixed(2)],
			['API writes by onesnap per clone', figures.writesPerClone.toFixed(1)],
			...Object.entries(counts).map(([kind, count]) => [`  ${kind}`, (count / made).toFixed(2)]),
		]),
	);
	report(`figures: ${file}`);
	await withProgress('cleaning up', freshNamespace);
	await api.delete(resources.namespaces, {name: namespace});
} finally {
	await rm(path.dirname(image), {recursive: true, force: true});
}
