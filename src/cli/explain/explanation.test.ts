import {describe, expect, test} from 'vitest';
import {
	assignedTo,
	claim,
	csiDriver,
	dataVolume,
	type DataVolumeOptions,
	driver,
	importSource,
	madeFor,
	plainSets,
	pod,
	provisioningFailed,
	readyStripe,
	sharedSnapshot,
	snapshotClass,
	storageClass,
	storageProfile,
	volume,
} from '../../../test/support/builders.ts';
import type {KubeObject} from '../../api/kubernetes.ts';
import {annotations, cdiGroup, importerPodName, importSourceName, primeClaimName} from '../../api/names.ts';
import {formatGaveUp} from '../../datavolume/gave-up.ts';
import type {KubeApi} from '../../kube/client.ts';
import {ApiError} from '../../kube/errors.ts';
import {type Explanation, explain} from './explanation.ts';
import {look} from './look.ts';
import {render, wrap} from './render.ts';

const createdAt = '2026-01-01T00:00:00Z';
const nowMs = Date.parse('2026-01-01T00:05:00Z');
const {signal} = new AbortController();

/** What an API server with these objects answers; `forbidden` are plurals that may not be listed, `missing` are not served. */
function serving(
	objects: readonly KubeObject[],
	{forbidden = [], missing = []}: {readonly forbidden?: readonly string[]; readonly missing?: readonly string[]} = {},
): Pick<KubeApi, 'list' | 'find'> {
	const fail = (plural: string) => {
		if (forbidden.includes(plural)) {
			const message = `${plural} is forbidden`;
			throw new ApiError({method: 'GET', path: plural}, {code: 403, reason: 'Forbidden', message});
		}
		if (missing.includes(plural))
			throw new ApiError({method: 'GET', path: plural}, {code: 404, message: 'page not found'});
	};
	const of = (kind: string, namespace?: string) =>
		objects.filter(
			(object) => object.kind === kind && (namespace === undefined || object.metadata.namespace === namespace),
		);
	return {
		async list({plural, kind}, {namespace} = {}) {
			fail(plural);
			return {items: of(kind, namespace) as never[], resourceVersion: '1'};
		},
		async find({kind}, {namespace, name}) {
			return of(kind, namespace).find(({metadata}) => metadata.name === name) as never;
		},
	};
}

const golden = claim({name: 'golden', uid: 'golden-uid', volumeName: 'golden-volume'});
const goldenVolume = volume({name: 'golden-volume', uid: 'golden-volume-uid', boundTo: golden});
const fast = storageClass({annotations: {[annotations.defaultStorageClass]: 'true'}});
const profile = storageProfile({spec: {claimPropertySets: plainSets}});
const cluster = [golden, goldenVolume, fast, profile, csiDriver(), snapshotClass()];
const pending = {phase: 'Pending' as const, conditions: [{type: 'Bound', status: 'False' as const, reason: 'Pending'}]};
const cloning = (options: DataVolumeOptions = {}) =>
	dataVolume({source: {pvc: {namespace: 'ns', name: 'golden'}}, status: pending, ...options});
const shared = sharedSnapshot({
	source: {namespace: 'ns', name: 'golden'},
	content: {claimUid: 'golden-uid', persistentVolumeUid: 'golden-volume-uid'},
	status: {state: 'Current'},
});
const stripe = readyStripe(shared);

async function explained(
	objects: readonly KubeObject[],
	limits: Parameters<typeof serving>[1] = {},
): Promise<Explanation> {
	const api = serving(objects, limits);
	return explain(await look({api, namespace: 'ns', name: 'disk', nowMs, signal}));
}

const wayOf = ({ways}: Explanation, wanted: string) => ways.find(({way}) => way === wanted);
const factOf = ({facts}: Explanation, wanted: string) => facts.find(({name}) => name === wanted)?.text;

describe('the ways of a clone', () => {
	test('are named before anything is made, each with its reasons and what would help', async () => {
		const without = [golden, goldenVolume, fast, profile, csiDriver()];
		const told = await explained([
			...without,
			cloning({spec: {storage: {volumeMode: 'Block', resources: {requests: {storage: '1Gi'}}}}}),
		]);
		expect(told.ways).toMatchObject([
			{
				way: 'snapshot',
				state: 'not possible',
				reasons: [
					{code: 'NoVolumeSnapshotClass', remedy: "a VolumeSnapshotClass with the source's driver"},
					{code: 'IncompatibleVolumeModes', remedy: 'the same volumeMode as the source'},
				],
			},
			{way: 'csi-clone', state: 'not possible', reasons: []},
			{way: 'copy', state: 'taken'},
		]);
		const text = render(told, Infinity);
		expect(text).toContain(`NoVolumeSnapshotClass: No VolumeSnapshotClass has the driver ${driver}: create one`);
		expect(text).toContain("possible with a VolumeSnapshotClass with the source's driver");
		expect(text).toContain('not possible, for the same reason');
	});

	test('that was taken is told from what was written at that moment, whatever would be decided now', async () => {
		const uid = 'disk-uid';
		const gaveUp = formatGaveUp(uid, {ways: [{way: 'snapshot', code: 'OutOfRange', message: 'too large'}]});
		const notes = {[annotations.cloneType]: 'copy', [annotations.cloneFallbackReason]: 'GaveUp: x; OtherNamespace: y'};
		const made = claim({name: 'disk', uid: 'claim-of-disk', annotations: notes, volumeName: 'v'});
		const done = cloning({status: {phase: 'Succeeded'}, annotations: {[annotations.gaveUp]: gaveUp}});
		const told = await explained([...cluster, done, made]);
		expect(told.ways).toMatchObject([
			{way: 'snapshot', reasons: [{code: 'GaveUp', message: 'Tried in vain (OutOfRange): too large'}]},
			{way: 'csi-clone', reasons: [{code: 'OtherNamespace', message: 'y'}]},
			{way: 'copy', state: 'taken'},
		]);
		expect(told.waiting).toBeUndefined();
	});

	test('are in the order of the driver', async () => {
		const first = storageClass({annotations: {...fast.metadata.annotations, [annotations.csiClone]: 'first'}});
		const told = await explained([...cluster.filter((each) => each !== fast), first, cloning()]);
		expect(told.ways.map(({way, state}) => `${way} ${state}`)).toEqual([
			'csi-clone taken',
			'snapshot not needed',
			'copy not needed',
		]);
	});

	test('are in the order that an admin asks for', async () => {
		const wished = {
			...profile,
			spec: {...profile.spec, cloneStrategy: 'copy' as const},
			status: {cloneStrategy: 'copy' as const},
		};
		const told = await explained([...cluster.filter((each) => each !== profile), wished, cloning()]);
		expect(told.ways.map(({way, state, reasons}) => `${way} ${state} ${reasons.map(({code}) => code).join()}`)).toEqual(
			['snapshot not possible CloneStrategy', 'csi-clone not possible ', 'copy taken '],
		);
	});

	test('are none of an import', async () => {
		expect((await explained([...cluster, dataVolume({source: {blank: {}}})])).ways).toEqual([]);
	});
});

describe('the snapshot', () => {
	test('is named with its rule and its age', async () => {
		const notes = {...assignedTo(shared), [annotations.cloneType]: 'snapshot', [annotations.reuseRule]: 'WatchedQuiet'};
		const late = cloning({created: '2026-01-01T00:04:00Z', annotations: notes});
		const [cut] = [{...stripe.snapshot, metadata: {...stripe.snapshot.metadata, creationTimestamp: createdAt}}];
		const withStatus = {
			...shared,
			status: {
				state: 'Current' as const,
				stripes: [{snapshotName: cut.metadata.name, snapshotUid: cut.metadata.uid ?? '', readyToUse: true}],
			},
		};
		const told = await explained([...cluster, late, withStatus, cut, stripe.content]);
		expect(factOf(told, 'Snapshot')).toBe(`${shared.metadata.name}, Current, cut 4m before this clone was asked for`);
		expect(factOf(told, 'Reuse')).toContain('rule 3, WatchedQuiet: ');
		expect(wayOf(told, 'snapshot')?.state).toBe('taken');
	});
});

describe('what is waited for', () => {
	test('is the source, with how far it is', async () => {
		const source = dataVolume({name: 'golden', status: {phase: 'ImportInProgress', progress: '45.00%'}});
		const unbound = claim({name: 'golden', phase: 'Pending'});
		const told = await explained([fast, csiDriver(), snapshotClass(), unbound, source, cloning()]);
		expect(told.waiting).toMatchObject({
			reason: 'CloneSourceNotReady',
			message:
				'The source pvc ns/golden is not bound yet (DataVolume ns/golden is in phase ImportInProgress), 45.00% done',
			toDo: 'Nothing: it goes on by itself when the source is complete',
		});
	});

	test('is the shared snapshot, with what that waits for', async () => {
		const open = sharedSnapshot({
			...{source: {namespace: 'ns', name: 'golden'}, closed: false, generation: 2},
			status: {state: 'Open', message: 'Collecting clone requests; the cut waits for the cut before it'},
		});
		const told = await explained([...cluster, open, cloning()]);
		expect(told.waiting).toMatchObject({
			reason: 'SnapshotNotReady',
			message:
				'Asks for a shared snapshot of its source. Collecting clone requests; the cut waits for the cut before it',
		});
	});

	test('is the storage, in its words', async () => {
		const notes = {...assignedTo(shared), [annotations.cloneType]: 'snapshot'};
		const clone = cloning({annotations: notes});
		const made = claim({
			...{name: 'disk', uid: 'claim-of-disk', phase: 'Pending', owner: clone},
			annotations: {[annotations.cloneType]: 'snapshot'},
			dataSource: {apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: stripe.snapshot.metadata.name},
		});
		const said = provisioningFailed(made, {message: 'rpc error: code = Internal desc = no disk left'});
		const told = await explained([...cluster, clone, shared, stripe.snapshot, stripe.content, made, said]);
		expect(told.waiting).toMatchObject({
			reason: 'ProvisioningFailed',
			message: 'The storage does not make claim ns/disk (Internal): no disk left',
		});
		expect(told.steps.map(({what}) => what)).toContain(
			'ProvisioningFailed: rpc error: code = Internal desc = no disk left',
		);
	});

	test('is a storage that is busy, in its words, also before the controller says so', async () => {
		const clone = cloning({annotations: {...assignedTo(shared), [annotations.cloneType]: 'snapshot'}});
		const made = claim({
			...{name: 'disk', uid: 'claim-of-disk', phase: 'Pending', owner: clone, created: '2026-01-01T00:04:50Z'},
			annotations: {[annotations.cloneType]: 'snapshot'},
			dataSource: {apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: stripe.snapshot.metadata.name},
		});
		const said = provisioningFailed(made, {message: 'rpc error: code = ResourceExhausted desc = too many'});
		const told = await explained([...cluster, clone, shared, stripe.snapshot, stripe.content, made, said]);
		expect(told.waiting).toMatchObject({reason: 'Restoring', isFinal: false});
		expect(told.waiting?.message).toContain('. The storage puts it off (ResourceExhausted): too many');
	});

	test.each([
		[{waiting: {reason: 'ImagePullBackOff', message: 'no such image'}}, 'ImagePullFailed', 'no such image'],
		[{unschedulable: '0/3 nodes are available', phase: 'Pending' as const}, 'Unschedulable', '0/3 nodes are available'],
		[
			{lastTry: {exitCode: 1, message: 'connection refused'}, restarts: 2},
			'Error',
			'The last try ended so: connection refused',
		],
		[
			{waiting: {reason: 'ContainerCreating'}, phase: 'Pending' as const},
			'WorkerStarting',
			'Pod importer-prime-claim-of-disk is starting',
		],
	])('is the worker: %o', async (how, reason, message) => {
		const disk = dataVolume({source: {http: {url: 'http://example.com/a'}}, status: pending});
		const target = claim({
			...{name: 'disk', uid: 'claim-of-disk', phase: 'Pending', owner: disk},
			dataSourceRef: {apiGroup: cdiGroup, kind: 'VolumeImportSource', name: importSourceName('disk-uid')},
		});
		const prime = claim({...madeFor(target), name: primeClaimName('claim-of-disk'), phase: 'Pending'});
		const worker = pod({...madeFor(target), name: importerPodName('claim-of-disk'), nodeName: 'node-1', ...how});
		const source = importSource({name: importSourceName('disk-uid')});
		const told = await explained([fast, csiDriver(), disk, target, prime, worker, source]);
		expect(told.waiting).toMatchObject({reason, message});
		expect(factOf(told, 'Worker')).toContain(`Pod ns/${worker.metadata.name} is `);
	});

	test('is a quota, which only the controller heard of', async () => {
		const message = 'exceeded quota: none';
		const status = {
			phase: 'Pending' as const,
			conditions: [{type: 'Bound', status: 'False' as const, reason: 'ErrExceededQuota', message}],
		};
		const told = await explained([...cluster, cloning({status})]);
		expect(told.waiting).toMatchObject({reason: 'ErrExceededQuota', message});
	});

	test('is a controller, where none has said anything', async () => {
		const told = await explained([...cluster, dataVolume({source: {blank: {}}})]);
		expect(told.waiting).toMatchObject({
			reason: 'NotSeen',
			toDo: 'Is the controller running? kubectl -n onesnap get pods',
		});
	});
});

describe('of somebody with few rights', () => {
	const forbidden = [
		'persistentvolumes',
		'storageclasses',
		'sharedsnapshots',
		'volumesnapshotclasses',
		'nodes',
		'pods',
	];

	test('what cannot be read is said, and nothing is made up', async () => {
		const told = await explained([...cluster, cloning()], {forbidden});
		expect(told.unread.map(({what}) => what).toSorted()).toEqual([
			'persistentvolumes',
			'pods in namespace ns',
			'sharedsnapshots',
			'storageclasses',
			'volumesnapshotclasses',
		]);
		expect(told.ways).toEqual([]);
		expect(told.waiting).toBeUndefined();
		expect(render(told, Infinity)).toMatch(/\nCould not be read: .*persistentvolumes \(forbidden\)/);
	});

	test('what the controller wrote is told', async () => {
		const notes = {...assignedTo(shared), [annotations.cloneType]: 'snapshot', [annotations.reuseRule]: 'GroupCommit'};
		const done = cloning({status: {phase: 'Succeeded'}, annotations: notes});
		const made = claim({name: 'disk', uid: 'claim-of-disk', annotations: {[annotations.cloneType]: 'snapshot'}});
		const told = await explained([...cluster, done, made], {forbidden});
		expect(wayOf(told, 'snapshot')?.state).toBe('taken');
		expect(factOf(told, 'Reuse')).toContain('rule 2, GroupCommit');
		expect(factOf(told, 'Snapshot')).toBe(`${shared.metadata.name}, which is gone or cannot be read`);
		const message = 'StorageClass "x" does not exist; the cluster has: none';
		const conditions = [{type: 'Bound', status: 'False' as const, reason: 'ErrClaimNotValid', message}];
		const waits = await explained([...cluster, cloning({status: {phase: '', conditions}})], {forbidden});
		expect(waits.waiting).toMatchObject({reason: 'ErrClaimNotValid', message});
	});

	test('a failed worker is told by its own reason', async () => {
		const conditions = [
			{type: 'Running', status: 'False' as const, reason: 'Error', message: 'SourceNotFound: 404 Not Found'},
		];
		const failed = dataVolume({source: {http: {url: 'http://a/b'}}, status: {phase: 'Failed', conditions}});
		expect((await explained([failed], {forbidden})).waiting).toMatchObject({
			...{reason: 'SourceNotFound', message: '404 Not Found'},
			toDo: 'Check the URL. Delete the DataVolume and create it again when that is mended',
		});
	});
});

test('a cluster without snapshots is told from one in which they may not be read', async () => {
	const missing = ['volumesnapshots', 'volumesnapshotcontents', 'volumesnapshotclasses'];
	const told = await explained([...cluster, cloning()], {missing});
	expect(told.unread).toEqual([]);
	expect(wayOf(told, 'snapshot')?.reasons[0]?.code).toBe('SnapshotsNotServed');
	expect(wayOf(told, 'csi-clone')?.state).toBe('taken');
});

test('steps are in order, each with how long it took', async () => {
	const conditions = [
		{type: 'Bound', status: 'True' as const, lastTransitionTime: '2026-01-01T00:00:07Z'},
		{type: 'Ready', status: 'True' as const, lastTransitionTime: '2026-01-01T00:00:08Z'},
	];
	const done = cloning({status: {phase: 'Succeeded', conditions}});
	const made = claim({name: 'disk', uid: 'claim-of-disk', created: '2026-01-01T00:00:03Z', volumeName: 'v'});
	const told = await explained([...cluster, done, made]);
	expect(told.summary).toBe('Succeeded, ready 8s after it was asked for');
	expect(told.steps.map(({what, tookMs}) => `${what} ${tookMs}`)).toEqual([
		'asked for undefined',
		'claim disk made 3000',
		'claim disk bound 4000',
		'ready 1000',
	]);
});

test('a name that is none is told with what to do', async () => {
	await expect(explained([])).rejects.toThrow(
		'Namespace ns has no DataVolume disk: it has none at all; --namespace names another',
	);
});

test('text is wrapped at the edge of the screen', () => {
	expect(wrap('a bb ccc '.repeat(12).trim(), {indent: 10, columns: 60}).split('\n')).toHaveLength(3);
	expect(wrap('a '.repeat(500).trim(), {indent: 0, columns: Infinity})).not.toContain('\n');
});
