/**
 * The main job, for somebody who has never seen it: one download, one snapshot, eleven disks. Run by `make demo`; leaves
 * its cluster running to be looked at. Figures are counted at the HTTP server and in the storage driver's journal, not
 * asked of onesnap; they go to .onesnap/demo.json.
 */
import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {annotations} from '../../src/api/names.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import * as resources from '../../src/kube/resources.ts';
import PQueue from 'p-queue';
import {ensureCluster, type LocalCluster} from '../cluster/cluster.ts';
import {run} from '../cluster/command.ts';
import {readJournal} from '../cluster/csi/journal.ts';
import {bytesStored} from '../cluster/csi/usage.ts';
import {report, withProgress} from '../cluster/progress.ts';
import {until} from '../cluster/until.ts';
import {waitForSucceeded} from '../support/data-volumes.ts';
import {digestOf, onDisk} from '../support/disk-pod.ts';
import {startImageServer} from '../support/image-server.ts';
import {installOnesnap} from '../support/install.ts';
import {auditLeaks} from '../support/leak-audit.ts';
import {table} from '../support/table.ts';
import {ensureDebianImage} from './debian-image.ts';

const resultFile = path.resolve(import.meta.dirname, '../../.onesnap/demo.json');
const seconds: Record<string, number> = {};

/** Times a step for the table. */
async function timed<T>(name: string, work: () => Promise<T>): Promise<T> {
	const startedAt = performance.now();
	const result = await work();
	seconds[name] = Math.round((performance.now() - startedAt) / 100) / 10;
	return result;
}

/** The same, and shows that it is going on: for work that does not say so itself. */
function step<T>(name: string, what: string, work: () => Promise<T>): Promise<T> {
	return timed(name, () => withProgress(what, work));
}

const goldenNamespace = 'golden';
const teams = ['team-a', 'team-b'] as const;
const namespaces = [goldenNamespace, ...teams];

function makeDataVolume(
	namespace: string,
	name: string,
	source: DataVolume['spec']['source'],
	storageClassName: string | undefined,
): DataVolume {
	return {
		apiVersion: 'cdi.kubevirt.io/v1beta1',
		kind: 'DataVolume',
		metadata: {
			name,
			namespace,
			// A golden image never changes: its owner says so, and every later clone may share the first snapshot.
			...(namespace === goldenNamespace && {annotations: {[annotations.immutable]: 'true'}}),
		},
		spec: {
			...(source && {source}),
			storage: {resources: {requests: {storage: '10Gi'}}, ...(storageClassName && {storageClassName})},
		},
	};
}

const mebibytes = (bytes: number) => `${(bytes / 1024 ** 2).toFixed(bytes < 10 * 1024 ** 2 ? 1 : 0)} MiB`;

const cluster = await timed('cluster', ensureCluster);
if (cluster.kind === 'user') report('using the cluster of ONESNAP_KUBECONFIG');
const image = await timed('image', ensureDebianImage);
const {workerImage} = await timed('install', () => installOnesnap(cluster));
const api = new KubeClient({connection: connect(cluster.kubeconfig), fieldManager: 'onesnap-demo'});
const local: LocalCluster | undefined = cluster.kind === 'local' ? cluster : undefined;
const storageClass = cluster.kind === 'user' ? cluster.storageClass : cluster.storageClasses.snapshots;
const kubectl = (...args: string[]) => run(cluster.kubectl, ['--kubeconfig', cluster.kubeconfig, ...args]);

async function makeNamespaces(): Promise<void> {
	for (const name of namespaces) {
		await api.delete(resources.namespaces, {name});
	}
	await until(
		'namespaces of an earlier demo gone',
		async () => {
			const left = await Promise.all(namespaces.map((name) => api.find(resources.namespaces, {name})));
			return left.some(Boolean) ? undefined : true;
		},
		{timeoutMs: 180_000, intervalMs: 500},
	);
	for (const name of namespaces) {
		const namespace: KubeObject = {apiVersion: 'v1', kind: 'Namespace', metadata: {name}};
		await api.create(resources.namespaces, namespace);
	}
}

/** Where Pods reach this process: the cluster's bridge address, or what the user says. */
function serverAddress(): string {
	const address = local?.hostAddress ?? process.env['ONESNAP_HOST_ADDRESS'];
	if (!address)
		throw new Error('set ONESNAP_HOST_ADDRESS to an address of this machine that Pods of your cluster can reach');
	return address;
}

await step('clean', 'removing an earlier demo', makeNamespaces);
const journalLength = async () =>
	local ? (await Promise.all(Object.values(local.journals).map(readJournal))).map(({length}) => length) : [];
const journalStart = await journalLength();

await using server = await startImageServer({files: {'/debian.qcow2': image.path}, host: serverAddress()});
report(
	`serving ${image.path} (${mebibytes(image.fileBytes)}, ${image.virtualBytes / 1024 ** 3} GiB virtual) at ${server.url}/debian.qcow2`,
);

const golden = makeDataVolume(goldenNamespace, 'debian', {http: {url: `${server.url}/debian.qcow2`}}, storageClass);
await step('import', 'importing the golden image', async () => {
	await api.create(resources.dataVolumes, golden);
	await waitForSucceeded(api, [golden]);
});

const source = {pvc: {namespace: goldenNamespace, name: golden.metadata.name}};
const smart = Array.from({length: 10}, (_, index) =>
	makeDataVolume(teams[index % 2] ?? 'team-a', `vm-${index + 1}`, source, storageClass),
);
const copied = local ? [makeDataVolume('team-a', 'vm-copied', source, local.storageClasses.noSnapshots)] : [];
const clones = [...smart, ...copied];
await step('smartClones', 'cloning ten disks by snapshot', async () => {
	await Promise.all(smart.map((dataVolume) => api.create(resources.dataVolumes, dataVolume)));
	await waitForSucceeded(api, smart);
});
if (copied.length > 0) {
	await step('copy', 'copying one disk to the class without snapshots', async () => {
		await Promise.all(copied.map((dataVolume) => api.create(resources.dataVolumes, dataVolume)));
		await waitForSucceeded(api, copied);
	});
}

/** What the storage did since the demo began. */
async function storageCalls(cluster: LocalCluster) {
	const journals = await Promise.all(Object.values(cluster.journals).map(readJournal));
	return journals
		.flatMap((records, index) => records.slice(journalStart[index] ?? 0))
		.filter(({code, repeated}) => code === 'OK' && !repeated);
}

/** Measured before anybody writes into a clone. */
async function storedByClones(cluster: LocalCluster): Promise<{stored: number; ifCopied: number}> {
	const handleOf = async ({metadata}: DataVolume) => {
		const claim = await api.get(resources.persistentVolumeClaims, metadata);
		const volume = await api.get(resources.persistentVolumes, {name: claim.spec.volumeName ?? ''});
		return {driver: volume.spec.csi?.driver ?? '', handle: volume.spec.csi?.volumeHandle ?? ''};
	};
	const goldenHandle = (await handleOf(golden)).handle;
	const handles = await Promise.all(clones.map(handleOf));
	const [reflink = '', nosnap = ''] = ['reflink', 'nosnap'].map((folder) => path.join(cluster.poolDir, folder));
	const inPool = (driver: string) => handles.filter((volume) => volume.driver === driver).map(({handle}) => handle);
	const shared = await bytesStored({
		pool: reflink,
		volumes: inPool('reflink.csi.onesnap.io'),
		excludingVolumes: [goldenHandle],
	});
	const apart = await bytesStored({pool: nosnap, volumes: inPool('nosnap.csi.onesnap.io')});
	const one = await bytesStored({pool: reflink, volumes: [goldenHandle]});
	return {stored: shared + apart, ifCopied: one * clones.length};
}

const usage = local && (await step('measure', 'measuring what the storage holds', () => storedByClones(local)));

const digestsEqual = await step('digests', 'reading all disks back through Pods (SHA-256 of 10 GiB each)', async () => {
	const queue = new PQueue({concurrency: 2});
	const digests = await queue.addAll(
		[golden, ...clones].map((dataVolume) => async () => {
			const where = {
				namespace: dataVolume.metadata.namespace ?? '',
				claim: dataVolume.metadata.name,
				image: workerImage,
			};
			const digest = await digestOf(api, where, BigInt(image.virtualBytes));
			if (digest !== image.rawSha256)
				report(`${where.namespace}/${where.claim} has SHA-256 ${digest}, the image ${image.rawSha256}`);
			return digest;
		}),
	);
	return digests.every((digest) => digest === image.rawSha256);
});

const isolated = await step('isolation', 'writing into one clone, reading the others', async () => {
	const words = 'written by one clone';
	const at = 1024 ** 3;
	const write = `printf '%s' '${words}' | dd of="$DISK" bs=1 seek=${at} conv=notrunc,fsync status=none`;
	const read = `dd if="$DISK" bs=1 skip=${at} count=${words.length} status=none | tr -d '\\000' > /dev/termination-log`;
	const on = (dataVolume: DataVolume, script: string) =>
		onDisk(api, {
			namespace: dataVolume.metadata.namespace ?? '',
			claim: dataVolume.metadata.name,
			image: workerImage,
			script,
		});
	const [writer = golden, ...others] = smart;
	const before = await on(writer, read);
	await on(writer, write);
	const written = await on(writer, read);
	const elsewhere = await Promise.all([golden, ...others.slice(0, 3)].map((dataVolume) => on(dataVolume, read)));
	return written === words && before !== words && elsewhere.every((text) => text === before);
});

const leaks = local
	? await step('leakAudit', 'looking for leaks', () =>
			until('no leaks', async () => ((await auditLeaks(api, local)).length === 0 ? [] : undefined), {
				timeoutMs: 60_000,
				intervalMs: 1000,
			}).catch(() => auditLeaks(api, local)),
		)
	: [];
for (const leak of leaks) report(`leak: ${leak}`);

const calls = local ? await storageCalls(local) : [];
const count = (rpc: string) => calls.filter((call) => call.rpc === rpc).length;
/** Of the clones' own volumes: a copy reads from a restore too, which goes when it is done. */
const handles = await Promise.all(
	clones.map(async ({metadata}) => {
		const {spec} = await api.get(resources.persistentVolumeClaims, metadata);
		const volume = await api.get(resources.persistentVolumes, {name: spec.volumeName ?? ''});
		return volume.spec.csi?.volumeHandle;
	}),
);
const restored = calls.filter(
	({rpc, result}) =>
		rpc === 'CreateVolume' && result?.sourceSnapshotId !== undefined && handles.includes(result.volumeId),
).length;
const fetched = server.bytesServed('/debian.qcow2');
const figures = {
	/** How many times over the image's bytes went out of the server. */
	downloads: Math.round(fetched / image.fileBytes),
	bytesDownloaded: fetched,
	createSnapshot: count('CreateSnapshot'),
	clones: clones.length,
	smart: restored,
	copied: clones.length - restored,
	digestsEqual,
	isolated,
	leaks: leaks.length,
	bytesStored: usage?.stored ?? 0,
	bytesIfCopied: usage?.ifCopied ?? 0,
	seconds,
};
await mkdir(path.dirname(resultFile), {recursive: true});
await writeFile(resultFile, `${JSON.stringify(figures, null, '\t')}\n`);

console.log(`\n$ kubectl get dv -A\n${await kubectl('get', 'dv', '-A')}`);
console.log(`$ kubectl get shs\n${await kubectl('get', 'shs')}`);
console.log(
	table([
		['WHAT', 'HOW MUCH', 'COUNTED AT'],
		['downloads of the image', `${figures.downloads} (${mebibytes(fetched)})`, 'the HTTP server'],
		['CreateSnapshot', String(figures.createSnapshot), "the storage driver's journal"],
		[
			'clones',
			`${figures.clones} (${figures.smart} from the snapshot, ${figures.copied} copied)`,
			"the storage driver's journal",
		],
		['stored by all clones', mebibytes(figures.bytesStored), 'physical extents in the pool'],
		['what as many copies would take', mebibytes(figures.bytesIfCopied), "the golden volume's extents x clones"],
		['all disks as the image (SHA-256)', String(digestsEqual), 'Pods that read them'],
		['a write stays in its clone', String(isolated), 'Pods that read the others'],
		['leaks', String(figures.leaks), 'API, journal, host'],
		...Object.entries(seconds).map(([name, value]) => [`seconds: ${name}`, value.toFixed(1), '']),
	]),
);
console.log(`\nfigures: ${resultFile}`);
if (local) {
	console.log(`look at it:  export KUBECONFIG=${cluster.kubeconfig}; ${cluster.kubectl} get dv,pvc -A`);
	console.log('stop it:     make cluster-down');
}
const good =
	digestsEqual &&
	isolated &&
	leaks.length === 0 &&
	(!local || (figures.createSnapshot === 1 && figures.downloads === 1 && figures.smart === smart.length));
process.exitCode = good ? 0 : 1;
