/**
 * `kubectl dv explain`, in situations that a controller has made: it runs as a program, what the storage and the nodes would
 * write the test writes itself.
 */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {findCondition} from '../../src/api/conditions.ts';
import type {DataSourceSource} from '../../src/api/data-source.ts';
import type {DataVolume, DataVolumeSource} from '../../src/api/datavolume.ts';
import type {PersistentVolumeClaim, StorageClass} from '../../src/api/kubernetes.ts';
import {annotations, cdiVersion, copierPodName, importerPodName} from '../../src/api/names.ts';
import {formatTerminationMessage, type WorkerFailure} from '../../src/api/worker-contract.ts';
import type {Explanation} from '../../src/cli/explain/explanation.ts';
import {dv} from '../../src/cli/program.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import * as resources from '../../src/kube/resources.ts';
import type {CloneWay} from '../../src/smartclone/strategy.ts';
import {type ControlPlane, startControlPlane} from '../cluster/control-plane.ts';
import {until} from '../cluster/until.ts';
import {waitForDataVolume} from '../support/data-volumes.ts';
import {makeNamespace} from './cluster.ts';
import {type ControllerProcess, startController} from './controller-process.ts';
import {grant, installManifests} from './onesnap.ts';
import {
	bind,
	cut,
	makeBoundClaim,
	makeSnapshotClass,
	makeStorage,
	nextSnapshot,
	refuse,
	untilAbandoned,
} from './storage.ts';
import {say} from './terminal.ts';

let dir: string;
let controlPlane: ControlPlane;
let api: KubeClient;
let controller: ControllerProcess;

const bareDriver = 'bare.example.com';

async function makeClass(name: string, change: Partial<StorageClass> & {readonly notes?: Record<string, string>} = {}) {
	const {notes = {}, ...more} = change;
	await api.create(resources.storageClasses, {
		apiVersion: 'storage.k8s.io/v1',
		kind: 'StorageClass',
		metadata: {name, annotations: notes},
		provisioner: 'csi.example.com',
		volumeBindingMode: 'Immediate',
		...more,
	});
}

const serviceAccounts = {...resources.configMaps, plural: 'serviceaccounts', kind: 'ServiceAccount'};

/** The controller manager would make it, and without it no Pod is admitted. */
async function makeServiceAccount(namespace: string) {
	const metadata = {namespace, name: 'default'};
	await api.create(serviceAccounts, {apiVersion: 'v1', kind: 'ServiceAccount', metadata});
}

async function makePod(namespace: string, name: string, claimName?: string) {
	const volumes = claimName ? [{name: 'disk', persistentVolumeClaim: {claimName}}] : [];
	const volumeMounts = claimName ? [{name: 'disk', mountPath: '/disk'}] : [];
	const container = {allowPrivilegeEscalation: false, capabilities: {drop: ['ALL']}};
	const securityContext = {runAsNonRoot: true, seccompProfile: {type: 'RuntimeDefault'}};
	const spec = {
		containers: [{name: 'main', image: 'image', volumeMounts, securityContext: container}],
		volumes,
		securityContext,
	};
	await makeServiceAccount(namespace);
	return api.create(resources.pods, {apiVersion: 'v1', kind: 'Pod', metadata: {namespace, name}, spec});
}

beforeAll(async () => {
	dir = await mkdtemp(path.join(tmpdir(), 'onesnap-explain-'));
	controlPlane = await startControlPlane({dir});
	await installManifests(controlPlane.kubeconfig);
	api = new KubeClient({connection: connect(controlPlane.kubeconfig), fieldManager: 'test'});
	await makeStorage(api);
	await makeSnapshotClass(api);
	await api.create(resources.csiDrivers, {
		apiVersion: 'storage.k8s.io/v1',
		kind: 'CSIDriver',
		metadata: {name: bareDriver},
		spec: {},
	});
	await makeClass('bare', {provisioner: bareDriver});
	const notes = {[annotations.nodeLocal]: 'true'};
	await makeClass('local', {volumeBindingMode: 'WaitForFirstConsumer', notes});
	await makePod('onesnap', 'controller-of-the-test');
	controller = await startController(controlPlane.kubeconfig, 'explain', ['--pod-name=controller-of-the-test']);
});

afterAll(async () => {
	await controller?.end('SIGKILL');
	api?.close();
	await controlPlane?.stop();
	await rm(dir, {recursive: true, force: true});
});

/** No profile knows the driver. */
const accessModes = {accessModes: ['ReadWriteOnce' as const]};

interface Wanted {
	readonly name?: string;
	readonly source?: DataVolumeSource;
	readonly notes?: Readonly<Record<string, string>>;
	readonly storage?: object;
}

function create(namespace: string, {name = 'disk', source, notes, storage = {}}: Wanted = {}): Promise<DataVolume> {
	return api.create(resources.dataVolumes, {
		apiVersion: cdiVersion,
		kind: 'DataVolume',
		metadata: {namespace, name, ...(notes && {annotations: notes})},
		spec: {
			source: source ?? {pvc: {namespace, name: 'golden'}},
			storage: {...accessModes, storageClassName: 'standard', resources: {requests: {storage: '1Gi'}}, ...storage},
		},
	});
}

function makeDataSource(namespace: string, source: DataSourceSource) {
	const metadata = {namespace, name: 'stable'};
	return api.create(resources.dataSources, {apiVersion: cdiVersion, kind: 'DataSource', metadata, spec: {source}});
}

function createFrom(namespace: string): Promise<DataVolume> {
	const storage = {...accessModes, storageClassName: 'standard', resources: {requests: {storage: '1Gi'}}};
	const spec = {sourceRef: {kind: 'DataSource', name: 'stable'}, storage};
	const metadata = {namespace, name: 'disk'};
	return api.create(resources.dataVolumes, {apiVersion: cdiVersion, kind: 'DataVolume', metadata, spec});
}

const image = {http: {url: 'https://images.example.com/debian.qcow2'}};
const isBound = (reason: string) => (now: DataVolume) =>
	findCondition(now.status?.conditions, 'Bound')?.reason === reason;

function claimOf({metadata}: DataVolume, way?: CloneWay): Promise<PersistentVolumeClaim> {
	return until(`the claim of ${metadata.namespace}/${metadata.name}`, async () => {
		const claim = await api.find(resources.persistentVolumeClaims, metadata);
		return claim && (way === undefined || claim.metadata.annotations?.[annotations.cloneType] === way)
			? claim
			: undefined;
	});
}

const uidOf = async (disk: DataVolume, way?: CloneWay) => (await claimOf(disk, way)).metadata.uid ?? '';

const untilWorker = (namespace: string, name: string) =>
	until(`Pod ${name}`, () => api.find(resources.pods, {namespace, name}));

const goldenIn = (namespace: string, change: {storage?: string; storageClassName?: string} = {}) =>
	makeBoundClaim(api, {namespace, name: 'golden', ...change});

async function declareImmutable({metadata}: PersistentVolumeClaim) {
	const patch = {metadata: {annotations: {[annotations.immutable]: 'true'}}};
	return api.mergePatch(resources.persistentVolumeClaims, metadata, patch);
}

/** A clone that is restored and done. */
async function makeClone(golden: PersistentVolumeClaim, name: string) {
	const clone = await create(golden.metadata.namespace ?? '', {name});
	await cut(api, await nextSnapshot(api, golden), golden);
	await bind(api, await claimOf(clone, 'snapshot'));
	return waitForDataVolume(api, clone, ({status}) => status?.phase === 'Succeeded');
}

/** The importer ends, for good. */
async function failImport(namespace: string, reason: WorkerFailure, message: string) {
	await makeServiceAccount(namespace);
	const disk = await create(namespace, {source: image});
	const pod = {namespace, name: importerPodName(await uidOf(disk))};
	await untilWorker(namespace, pod.name);
	const terminated = {
		exitCode: 0,
		message: formatTerminationMessage({outcome: 'failed', reason, retryable: false, message}),
	};
	const containerStatuses = [
		{name: 'importer', image: 'image', imageID: 'id', ready: false, restartCount: 0, state: {terminated}},
	];
	await api.mergePatchStatus(resources.pods, pod, {status: {phase: 'Succeeded', containerStatuses}});
	return waitForDataVolume(api, disk, ({status}) => status?.phase === 'Failed');
}

interface Situation {
	readonly what: string;
	/** Makes the DataVolume `disk` in this namespace, and waits until the controller is where it is to be explained. */
	readonly arrange: (namespace: string) => Promise<unknown>;
	/** What is waited for; absent: nothing. */
	readonly waits?: string;
	readonly taken?: CloneWay;
	/** Codes against the ways that are better. */
	readonly against?: readonly string[];
	/** In the text, with NS for the namespace. */
	readonly says: readonly string[];
}

const situations: readonly Situation[] = [
	{
		what: 'a snapshot that the user named (rule 1)',
		async arrange(namespace) {
			const golden = await goldenIn(namespace);
			const snapshot = await api.create(resources.volumeSnapshots, {
				apiVersion: 'snapshot.storage.k8s.io/v1',
				kind: 'VolumeSnapshot',
				metadata: {namespace, name: 'by-hand'},
				spec: {source: {persistentVolumeClaimName: 'golden'}},
			});
			await cut(api, snapshot, golden);
			await claimOf(await create(namespace, {source: {snapshot: {namespace, name: 'by-hand'}}}), 'snapshot');
		},
		waits: 'Restoring',
		taken: 'snapshot',
		says: [
			'Source     snapshot NS/by-hand: 1Gi, ready to use',
			'rule 1, SnapshotSource: you named the snapshot, and a snapshot never changes',
			'snapshot    taken: the storage restores it from the snapshot',
		],
	},
	{
		what: 'a shared snapshot that was cut for it (rule 2)',
		async arrange(namespace) {
			await makeClone(await goldenIn(namespace), 'disk');
		},
		taken: 'snapshot',
		says: [
			'Succeeded, ready ',
			'Source     claim NS/golden: 1Gi Filesystem, storage class standard, driver csi.example.com, Bound',
			'rule 2, GroupCommit: it was cut after this clone was asked for',
			', cut after this clone was asked for',
			'csi-clone   not needed',
			'claim disk bound',
		],
	},
	{
		what: 'a shared snapshot that nobody can have outdated (rule 3)',
		async arrange(namespace) {
			await makeClone(await goldenIn(namespace), 'first');
			await claimOf(await create(namespace), 'snapshot');
		},
		waits: 'Restoring',
		taken: 'snapshot',
		says: ['rule 3, WatchedQuiet: from its cut until this clone was asked for, nobody could write to the source'],
	},
	{
		what: 'a shared snapshot of what never changes (rule 4)',
		async arrange(namespace) {
			await makeClone(await declareImmutable(await goldenIn(namespace)), 'first');
			await claimOf(await create(namespace), 'snapshot');
		},
		waits: 'Restoring',
		taken: 'snapshot',
		says: ['rule 4, DeclaredImmutable: the source was declared immutable before the cut and still is'],
	},
	{
		what: 'a snapshot that is being cut',
		async arrange(namespace) {
			const golden = await goldenIn(namespace);
			await create(namespace);
			await nextSnapshot(api, golden);
		},
		waits: 'SnapshotNotReady',
		taken: 'snapshot',
		says: ['Waiting for the snapshot of NS/golden (shared snapshot ', 'kubectl describe shs shows what it says'],
	},
	{
		what: 'a driver without VolumeSnapshotClass',
		async arrange(namespace) {
			await goldenIn(namespace, {storageClassName: 'bare'});
			await claimOf(await create(namespace, {storage: {storageClassName: 'bare'}}), 'csi-clone');
		},
		waits: 'Restoring',
		taken: 'csi-clone',
		against: ['NoVolumeSnapshotClass'],
		says: [
			`NoVolumeSnapshotClass: No VolumeSnapshotClass has the driver ${bareDriver}: create one`,
			"possible with a VolumeSnapshotClass with the source's driver",
			'csi-clone   taken: the storage driver clones the source claim',
		],
	},
	{
		what: 'a class of another driver',
		async arrange(namespace) {
			const golden = await goldenIn(namespace);
			await makeServiceAccount(namespace);
			const clone = await create(namespace, {storage: {storageClassName: 'bare'}});
			await cut(api, await nextSnapshot(api, golden), golden);
			await untilWorker(namespace, copierPodName(await uidOf(clone, 'copy')));
		},
		waits: 'WorkerStarting',
		taken: 'copy',
		against: ['IncompatibleProvisioners'],
		says: [
			`Source and target are of different drivers (csi.example.com, ${bareDriver})`,
			"possible with a storage class of the source's driver for the clone",
			'csi-clone   not possible, for the same reason',
			'a Pod copies it from a restore of the snapshot',
		],
	},
	{
		what: 'another volume mode',
		async arrange(namespace) {
			const golden = await goldenIn(namespace);
			await makeServiceAccount(namespace);
			const clone = await create(namespace, {storage: {volumeMode: 'Block'}});
			await cut(api, await nextSnapshot(api, golden), golden);
			await untilWorker(namespace, copierPodName(await uidOf(clone, 'copy')));
		},
		waits: 'WorkerStarting',
		taken: 'copy',
		against: ['IncompatibleVolumeModes'],
		says: ['Source is Filesystem, target Block', 'possible with the same volumeMode as the source'],
	},
	{
		what: 'a size that is too small',
		async arrange(namespace) {
			await goldenIn(namespace, {storage: '5Gi'});
			await waitForDataVolume(api, await create(namespace), isBound('CloneValidationFailed'));
		},
		waits: 'CloneValidationFailed',
		says: ['is smaller than the source', 'Create the DataVolume again with at least the size of the source'],
	},
	{
		what: 'a DataSource, and what it leads to',
		async arrange(namespace) {
			const golden = await goldenIn(namespace);
			await makeDataSource(namespace, {pvc: {namespace, name: 'golden'}});
			const clone = await createFrom(namespace);
			await cut(api, await nextSnapshot(api, golden), golden);
			await claimOf(clone, 'snapshot');
		},
		waits: 'Restoring',
		taken: 'snapshot',
		says: ['Source     DataSource NS/stable, which is claim NS/golden: 1Gi'],
	},
	{
		what: 'a DataSource that leads nowhere',
		async arrange(namespace) {
			await makeDataSource(namespace, {});
			await waitForDataVolume(api, await createFrom(namespace), isBound('CloneWithoutSource'));
		},
		waits: 'CloneWithoutSource',
		says: ['The DataSource NS/stable leads to no source'],
	},
	{
		what: 'a source that does not exist',
		arrange: async (namespace) => waitForDataVolume(api, await create(namespace), isBound('CloneWithoutSource')),
		waits: 'CloneWithoutSource',
		says: ["The source pvc NS/golden doesn't exist", 'claim NS/golden, which does not exist'],
	},
	{
		what: 'a source that is being imported',
		async arrange(namespace) {
			await makeServiceAccount(namespace);
			const golden = await create(namespace, {name: 'golden', source: image});
			await waitForDataVolume(api, golden, ({status}) => status?.phase === 'ImportScheduled');
			await waitForDataVolume(api, await create(namespace), isBound('CloneSourceNotReady'));
		},
		waits: 'CloneSourceNotReady',
		says: ['(DataVolume NS/golden is in phase Import', 'it goes on by itself when the source is complete'],
	},
	{
		what: 'a source in use, where quiet is asked for',
		async arrange(namespace) {
			await goldenIn(namespace);
			await makePod(namespace, 'writer', 'golden');
			const clone = await create(namespace, {notes: {[annotations.consistency]: 'quiet'}});
			await waitForDataVolume(api, clone, isBound('CloneSourceInUse'));
		},
		waits: 'CloneSourceInUse',
		taken: 'snapshot',
		says: ['pod NS/writer using PersistentVolumeClaim golden', 'Stop the Pod or virtual machine that uses the source'],
	},
	{
		what: 'a storage that does not make the claim',
		async arrange(namespace) {
			const golden = await goldenIn(namespace);
			const clone = await create(namespace);
			await cut(api, await nextSnapshot(api, golden), golden);
			await refuse(api, await claimOf(clone, 'snapshot'), 'rpc error: code = Internal desc = pool is degraded');
			await waitForDataVolume(api, clone, isBound('ProvisioningFailed'));
		},
		waits: 'ProvisioningFailed',
		taken: 'snapshot',
		says: [
			'The storage does not make claim NS/disk (Internal): pool is degraded',
			'To do      Mend what the storage says',
		],
	},
	{
		what: 'a way that was given up',
		async arrange(namespace) {
			const golden = await goldenIn(namespace);
			const clone = await create(namespace);
			await cut(api, await nextSnapshot(api, golden), golden);
			const restored = await claimOf(clone, 'snapshot');
			await refuse(api, restored, 'rpc error: code = OutOfRange desc = not of that size');
			await untilAbandoned(api, restored);
			await claimOf(clone, 'csi-clone');
		},
		waits: 'Restoring',
		taken: 'csi-clone',
		against: ['GaveUp'],
		says: [
			'GaveUp: Tried in vain (OutOfRange): not of that size',
			'possible with a new DataVolume, once the cause is mended',
			'CloneWayGivenUp: No longer tried by snapshot (OutOfRange): not of that size',
		],
	},
	{
		what: 'a storage class that does not exist',
		arrange: async (namespace) =>
			waitForDataVolume(
				api,
				await create(namespace, {source: image, storage: {storageClassName: 'other'}}),
				isBound('ErrClaimNotValid'),
			),
		waits: 'ErrClaimNotValid',
		says: ['StorageClass "other" does not exist; the cluster has: '],
	},
	{
		what: 'no storage class, where there is no default',
		arrange: async (namespace) =>
			waitForDataVolume(
				api,
				await create(namespace, {source: image, storage: {storageClassName: undefined}}),
				isBound('ErrClaimNotValid'),
			),
		waits: 'ErrClaimNotValid',
		says: ['the cluster has no default StorageClass: name one, or mark one as default'],
	},
	{
		what: 'a quota',
		async arrange(namespace) {
			const quotas = {group: '', version: 'v1', plural: 'resourcequotas', kind: 'ResourceQuota', namespaced: true};
			const hard = {persistentvolumeclaims: '0'};
			const quota = {apiVersion: 'v1', kind: 'ResourceQuota', metadata: {namespace, name: 'none'}, spec: {hard}};
			await api.create(quotas, quota);
			// What the controller manager would write.
			await api.mergePatchStatus(quotas, quota.metadata, {
				status: {hard, used: {persistentvolumeclaims: '0'}},
			} as object);
			await waitForDataVolume(api, await create(namespace, {source: image}), isBound('ErrExceededQuota'));
		},
		waits: 'ErrExceededQuota',
		says: ['exceeded quota: none', 'Raise the ResourceQuota of the namespace'],
	},
	{
		what: 'a class that waits for a consumer',
		async arrange(namespace) {
			const disk = await create(namespace, {source: image, storage: {storageClassName: 'late'}});
			await waitForDataVolume(api, disk, ({status}) => status?.phase === 'PendingPopulation');
		},
		waits: 'FirstConsumer',
		says: ['Start a Pod or virtual machine that uses the disk', 'storage class late'],
	},
	{
		what: 'an image that is not there',
		arrange: (namespace) => failImport(namespace, 'SourceNotFound', 'GET https://images.example.com/debian.qcow2: 404'),
		waits: 'SourceNotFound',
		says: [
			'Failed, asked for',
			'Failed by  SourceNotFound: ',
			'GET https://images.example.com/debian.qcow2: 404',
			'To do      Check the URL.',
		],
	},
	{
		what: 'a checksum that does not fit',
		arrange: (namespace) => failImport(namespace, 'ChecksumMismatch', 'sha256 is 12, not 34'),
		waits: 'ChecksumMismatch',
		says: ['ChecksumMismatch: sha256 is 12, not 34', 'Correct the checksum, or the file behind the URL'],
	},
	{
		what: 'a source that is not supported',
		arrange: async (namespace) =>
			waitForDataVolume(
				api,
				await create(namespace, {source: {s3: {url: 'https://s3.example.com/a'}}}),
				isBound('NotSupported'),
			),
		waits: 'NotSupported',
		says: ['spec.source.s3 is not supported yet', 'Use another source: http, blank, pvc or snapshot'],
	},
	{
		what: 'storage that is local to a node',
		async arrange(namespace) {
			const golden = await goldenIn(namespace);
			const clone = await create(namespace, {storage: {storageClassName: 'local'}});
			await cut(api, await nextSnapshot(api, golden), golden);
			await claimOf(clone);
		},
		waits: 'FirstConsumer',
		says: [
			'snapshot    open: the storage is local to a node: restored if the first consumer runs on the node of the source',
			'copy        open: if it runs on another node',
			'it is made on the node of that',
		],
	},
	{
		what: 'a claim of its name that is of somebody else',
		async arrange(namespace) {
			await makeBoundClaim(api, {namespace, name: 'disk'});
			await waitForDataVolume(api, await create(namespace, {source: image}), isBound('ErrResourceExists'));
		},
		waits: 'ErrResourceExists',
		says: ['Delete that claim if nobody needs it, or give the DataVolume another name'],
	},
	{
		what: 'an import that is going on',
		async arrange(namespace) {
			await makeServiceAccount(namespace);
			const disk = await create(namespace, {source: image});
			await waitForDataVolume(api, disk, ({status}) => status?.phase === 'ImportScheduled');
			await untilWorker(namespace, importerPodName(await uidOf(disk)));
		},
		waits: 'WorkerStarting',
		says: ['Source     https://images.example.com/debian.qcow2', 'Worker     Pod NS/importer-prime-', ' is Pending'],
	},
];

async function explained(namespace: string, ...more: string[]) {
	const flags = ['--kubeconfig', controlPlane.kubeconfig, '-n', namespace, ...more];
	const text = await say(dv, ['explain', 'disk', ...flags]);
	const json = await say(dv, ['explain', 'disk', '-o', 'json', ...flags]);
	expect({...text, out: ''}).toEqual({code: 0, out: '', err: ''});
	return {text: text.out, told: JSON.parse(json.out) as Explanation};
}

const passing = ['Bound', 'NotFound', 'Pending'];

describe.concurrent('explain tells of', () => {
	test.each(situations)('$what', async ({arrange, waits, taken, against = [], says}) => {
		const namespace = await makeNamespace(api);
		await arrange(namespace);
		const {text, told} = await explained(namespace);
		expect(told.waiting?.reason).toBe(waits);
		// Whatever is waited for, there is something to be said about it.
		expect(told.waiting?.toDo === undefined).toBe(waits === undefined);
		expect(told.ways.find(({state}) => state === 'taken')?.way).toBe(taken);
		expect(told.ways.flatMap(({reasons}) => reasons.map(({code}) => code))).toEqual(against);
		for (const words of says) expect(text).toContain(words.replaceAll('NS', namespace));
		expect(told.unread).toEqual([]);
		// What the controller says is in the way is what is explained; it writes what is only in between a little later.
		await until('the status says the same', async () => {
			const {status} = await api.get(resources.dataVolumes, {namespace, name: 'disk'});
			const {reason} = findCondition(status?.conditions, 'Bound') ?? {};
			return [undefined, ...passing, (await explained(namespace)).told.waiting?.reason].includes(reason)
				? true
				: undefined;
		});
	});

	test('what a user may read, and what not', async () => {
		const namespace = await makeNamespace(api);
		await makeClone(await goldenIn(namespace), 'disk');
		const rules = [
			{apiGroups: ['cdi.kubevirt.io'], resources: ['datavolumes'], verbs: ['get', 'list']},
			{apiGroups: [''], resources: ['persistentvolumeclaims', 'events'], verbs: ['get', 'list']},
		];
		await grant(api, {namespace, user: 'jane', rules});
		const {text, told} = await explained(namespace, '--as', 'jane');
		expect(told.ways.find(({state}) => state === 'taken')?.way).toBe('snapshot');
		expect(text).toContain('rule 2, GroupCommit');
		expect(text).toContain('Could not be read: ');
		for (const what of ['persistentvolumes', 'storageclasses', 'sharedsnapshots', `pods in namespace ${namespace}`]) {
			expect(told.unread).toContainEqual({what, why: 'forbidden'});
		}
	});
});

test('explain tells of a clone from another namespace that nobody was asked about', async () => {
	const [namespace, elsewhere] = [await makeNamespace(api), await makeNamespace(api)];
	const source = {pvc: {namespace: elsewhere, name: 'golden'}};
	const binding = resources.validatingAdmissionPolicyBindings;
	await api.delete(binding, {name: 'onesnap-clone-authorization'});
	const clone = await create(namespace, {source});
	await waitForDataVolume(api, clone, isBound('CloneNotAuthorized'));
	const {text, told} = await explained(namespace);
	expect(told.waiting?.reason).toBe('CloneNotAuthorized');
	expect(text).toContain(
		'install what asks (manifests/base/clone-authorization.yaml), then create the DataVolume again',
	);
	expect(text).toContain(`Source     claim ${elsewhere}/golden`);
});
