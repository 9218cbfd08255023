import {describe, expect, test} from 'vitest';
import {
	claim,
	type ClaimOptions,
	cloneSource,
	driver,
	importSource,
	madeFor,
	pod,
	type PodOptions,
	snapshot,
	snapshotContent,
	storageClass,
	volume,
	workerDefaults,
} from '../../test/support/builders.ts';
import type {PersistentVolume, PersistentVolumeClaim, Pod} from '../api/kubernetes.ts';
import {diskSizeAnnotations} from '../api/disk-size.ts';
import {annotations, cdiGroup} from '../api/names.ts';
import {decide, restoresDirectly, waitsForConsumer} from './decide.ts';
import {eventOf} from './events.ts';
import {makeImporterPod, type WorkerSettings} from './objects.ts';
import type {ClaimCloneOrder, Observed, Order, SnapshotCloneOrder} from './observe.ts';
import {describe as describePopulation} from './population.ts';

const settings: WorkerSettings = {...workerDefaults, image: 'worker'};

const target = (options: ClaimOptions = {}) =>
	claim({
		name: 'target',
		phase: 'Pending',
		dataSourceRef: {apiGroup: cdiGroup, kind: 'VolumeImportSource', name: 'import'},
		...options,
	});
const cloneTarget = (options: ClaimOptions = {}) =>
	target({
		dataSourceRef: {apiGroup: cdiGroup, kind: 'VolumeCloneSource', name: 'clone'},
		annotations: {[annotations.dataSourceNamespace]: 'images'},
		...options,
	});

const made = (options: ClaimOptions = {}) =>
	claim({name: 'prime', phase: 'Pending', volumeName: 'prime-volume', ...madeFor(target()), ...options});
const bound = made({phase: 'Bound'});
const populated = made({phase: 'Bound', annotations: {[annotations.populated]: 'true'}});
const worker = (options: PodOptions = {}) => pod({name: 'worker', ...options});
const succeeded = worker({phase: 'Succeeded', said: {outcome: 'succeeded', message: 'done'}});
const primeVolume = (capacity = '1Gi') => volume({name: 'prime-volume', capacity, boundTo: bound});

const importOrder: Order = {kind: 'import', source: importSource()};
const golden = claim({name: 'golden', namespace: 'images'});
const cloneOrder = (given: Partial<ClaimCloneOrder> = {}): ClaimCloneOrder => ({
	kind: 'cloneClaim',
	source: cloneSource({namespace: 'images'}),
	claim: golden,
	volume: undefined,
	writers: [],
	...given,
});
/** The clone source of a DataVolume that knows how large its source is. */
const asking = (size: string) =>
	cloneSource({
		namespace: 'images',
		of: {kind: 'VolumeSnapshot', name: 'snapshot'},
		annotations: {[annotations.minimumSize]: size},
	});
const snapshotOrder = (given: Partial<SnapshotCloneOrder> = {}): SnapshotCloneOrder => ({
	kind: 'cloneSnapshot',
	source: cloneSource({namespace: 'images', of: {kind: 'VolumeSnapshot', name: 'snapshot'}}),
	snapshot: snapshot({namespace: 'images', restoreSize: '2Gi'}),
	content: snapshotContent(),
	classesOfDriver: [storageClass({name: 'theirs', provisioner: 'other'})],
	sourceVolume: undefined,
	sourceClass: undefined,
	copySource: undefined,
	copySourceVolume: undefined,
	...given,
});
const on = (hostname: string) => ({
	required: {nodeSelectorTerms: [{matchExpressions: [{key: 'host', operator: 'In', values: [hostname]}]}]},
});
const otherDriver = {content: snapshotContent({driver: 'other'})};

function world(given: Partial<Observed> = {}): Observed {
	return {
		key: 'ns/target',
		nowMs: Date.parse('2026-01-01T01:00:00Z'),
		target: target(),
		order: importOrder,
		storageClass: storageClass(),
		targetIsCsi: true,
		node: undefined,
		inPlace: false,
		sourceAtTarget: undefined,
		prime: undefined,
		primeVolume: undefined,
		filledVolume: given.primeVolume,
		worker: undefined,
		sender: undefined,
		readFrom: undefined,
		apart: false,
		made: given.prime ? [given.prime] : [],
		orphans: {pods: [], claims: []},
		...given,
	};
}

const planOf = (given: Partial<Observed> = {}) => decide(world(given), settings);

describe('what the target says of its content when it gets it', () => {
	const annotationsOf = (given: Partial<Observed>) => {
		const plan = planOf({primeVolume: primeVolume(), ...given});
		return plan.do === 'moveVolume' ? plan.annotations : plan;
	};
	const allocated = made({
		phase: 'Bound',
		annotations: {[annotations.populated]: 'true', [annotations.preallocation]: 'true'},
	});
	const imported = {[annotations.podPhase]: 'Succeeded', [annotations.contentType]: 'kubevirt'};

	test('of an import: that its worker succeeded, and what it is', () => {
		expect(annotationsOf({prime: populated})).toEqual(imported);
		const archive: Observed['order'] = {
			kind: 'import',
			source: importSource({spec: {source: {blank: {}}, contentType: 'archive'}}),
		};
		expect(annotationsOf({prime: populated, order: archive})).toMatchObject({[annotations.contentType]: 'archive'});
	});

	test('that every block is allocated, where the worker was told to', () => {
		const blank = importSource({spec: {source: {blank: {}}, preallocation: true}});
		const pod = {...makeImporterPod(target(), bound, blank, settings), status: succeeded.status ?? {}};
		expect(planOf({prime: bound, worker: pod})).toMatchObject({
			do: 'recordPopulated',
			annotations: {[annotations.preallocation]: 'true'},
		});
		expect(planOf({prime: bound, worker: succeeded})).toHaveProperty('annotations', {[annotations.populated]: 'true'});
		expect(annotationsOf({prime: allocated})).toEqual({...imported, [annotations.preallocation]: 'true'});
	});

	test('of a copy: nothing but that', () => {
		expect(annotationsOf({prime: populated, order: cloneOrder()})).toEqual({});
		expect(annotationsOf({prime: allocated, order: cloneOrder()})).toEqual({[annotations.preallocation]: 'true'});
	});
});

describe('an import, step by step', () => {
	test.each<[string, Partial<Observed>, object]>([
		[
			'the prime claim is made',
			{},
			{do: 'createClaim', claim: {metadata: {name: 'prime-target-uid', namespace: 'ns'}}},
		],
		[
			'the worker is started',
			{prime: made()},
			{do: 'createWorker', pod: {metadata: {name: 'importer-prime-target-uid'}}},
		],
		[
			'its start is waited for',
			{prime: made(), worker: worker({phase: 'Pending'})},
			{do: 'wait', reason: 'WorkerStarting'},
		],
		['its end is waited for', {prime: bound, worker: worker()}, {do: 'wait', reason: 'WorkerRunning'}],
		['its success is put on record', {prime: bound, worker: succeeded}, {do: 'recordPopulated'}],
		['it is deleted', {prime: populated, worker: succeeded}, {do: 'deletePod', why: 'Finished'}],
		[
			'its leave is waited for, so that the volume is unmounted',
			{prime: populated, worker: worker({deleting: true})},
			{do: 'wait', reason: 'WorkerLeaving'},
		],
		['the volume is moved', {prime: populated, primeVolume: primeVolume()}, {do: 'moveVolume'}],
		[
			'the binding is waited for',
			{prime: populated, primeVolume: volume({name: 'prime-volume', boundTo: target()})},
			{do: 'wait', reason: 'Binding'},
		],
		[
			'the binding goes on',
			{target: target({volumeName: 'prime-volume'}), prime: made({phase: 'Lost'})},
			{do: 'wait', reason: 'Binding'},
		],
		[
			'the prime claim goes',
			{target: target({phase: 'Bound'}), prime: made({phase: 'Lost'})},
			{do: 'deleteClaim', why: 'Moved'},
		],
		['all is done', {target: target({phase: 'Bound'})}, {do: 'nothing'}],
	])('%s', (_, given, plan) => {
		expect(planOf(given)).toMatchObject(plan);
	});
});

describe('an import that does not go well', () => {
	const failed = (retryable: boolean) =>
		worker({
			phase: 'Succeeded',
			said: {outcome: 'failed', reason: 'ChecksumMismatch', retryable, message: 'sha256 differs'},
		});

	test('a permanent failure gives up, with its reason, and keeps saying so', () => {
		const given = {prime: bound, worker: failed(false)};
		expect(planOf(given)).toEqual({do: 'giveUp', failure: 'ChecksumMismatch', message: 'sha256 differs'});
		expect(eventOf(planOf(given))).toMatchObject({type: 'Warning', reason: 'importFailed'});
	});

	test.each<[string, Pod]>([
		['evicted', worker({phase: 'Failed'})],
		['that ended without a word of its own', worker({phase: 'Succeeded', exitCode: 0})],
		['that said something else', worker({phase: 'Succeeded', said: 'bye'})],
	])('a Pod %s is deleted, and made anew when it is gone', (_, ended) => {
		expect(planOf({prime: bound, worker: ended})).toMatchObject({do: 'deletePod', why: 'Failed'});
		// Not as fast as a node can refuse it.
		const nowMs = Date.parse(ended.metadata.creationTimestamp ?? '') + 1000;
		expect(planOf({prime: bound, worker: ended, nowMs})).toMatchObject({do: 'wait', reason: 'WorkerFailed'});
		expect(planOf({prime: bound})).toMatchObject({do: 'createWorker'});
	});

	test('a container that is started again is waited for: the kubelet sees to it', () => {
		const again = worker({phase: 'Running', waiting: {reason: 'CrashLoopBackOff'}, restarts: 3});
		expect(planOf({prime: bound, worker: again})).toMatchObject({do: 'wait', reason: 'WorkerRunning'});
	});

	test('a success on record is not imported again, though its Pod is gone', () => {
		expect(planOf({prime: populated, primeVolume: primeVolume()})).toMatchObject({do: 'moveVolume'});
	});

	test('a success that is not on record yet is recorded after a crash, not imported again', () => {
		expect(planOf({prime: bound, primeVolume: primeVolume(), worker: succeeded})).toMatchObject({
			do: 'recordPopulated',
		});
	});

	describe('how large the disk is, for clones that ask for no size', () => {
		const said = {outcome: 'succeeded', message: 'done', virtualBytes: '1012924416'} as const;
		const done = {prime: bound, primeVolume: primeVolume('1Gi'), worker: worker({phase: 'Succeeded', said})};
		const remembered = diskSizeAnnotations(1_012_924_416n, '1Gi');
		test('is remembered on the claim, before the success is on record', () => {
			expect(planOf(done)).toMatchObject({
				do: 'rememberDisk',
				claim: {metadata: {name: 'target'}},
				annotations: remembered,
			});
			expect(planOf({...done, target: target({annotations: remembered})})).toMatchObject({do: 'recordPopulated'});
		});
		test('and written anew where the claim says something else', () => {
			const other = target({annotations: diskSizeAnnotations(7n, '1Gi')});
			expect(planOf({...done, target: other})).toMatchObject({do: 'rememberDisk', annotations: remembered});
		});
		test.each<[string, Partial<Observed>]>([
			['of an archive', {order: {kind: 'import', source: importSource({spec: {contentType: 'archive'}})}}],
			['of a device, which is the disk', {target: target({volumeMode: 'Block'})}],
			['of files without a disk', {worker: succeeded}],
			['where the capacity is not shown yet', {primeVolume: undefined}],
		])('not %s', (_, given) => {
			expect(planOf({...done, ...given})).toMatchObject({do: 'recordPopulated'});
		});
	});

	test('a prime claim deleted by hand is waited for, and made anew', () => {
		expect(planOf({prime: made({deleting: true})})).toMatchObject({do: 'wait', reason: 'PrimeBinding'});
		expect(planOf()).toMatchObject({do: 'createClaim'});
	});
});

describe('an import through a proxy', () => {
	const prime = made({phase: 'Bound'});
	const http = {url: 'https://example.com/disk?signature=1'};
	const order: Order = {kind: 'import', source: importSource({spec: {source: {http}}})};

	test('begins when the authorities of the proxy are there', () => {
		const problem = {reason: 'ProxyCertificatesMissing', message: 'ConfigMap a/b does not exist'} as const;
		const importProxy = {https: 'http://proxy/', problem};
		const plan = decide(world({prime, order}), {...settings, importProxy});
		expect(plan).toEqual({do: 'wait', ...problem});
		const blank: Order = {kind: 'import', source: importSource({spec: {source: {blank: {}}}})};
		expect(decide(world({prime, order: blank}), {...settings, importProxy})).toMatchObject({do: 'createWorker'});
	});

	test('has a Secret where there is something to keep', () => {
		expect(planOf({prime, order})).toMatchObject({
			do: 'createWorker',
			secret: {kind: 'Secret', metadata: {name: 'import-private-target-uid', namespace: 'ns'}},
		});
	});
});

test('CDI §4.5: where the gate HonorWaitForFirstConsumer is shut, nothing waits for a consumer', () => {
	const waiting = storageClass({waitsForConsumer: true});
	expect(decide(world({storageClass: waiting}), settings)).toMatchObject({do: 'wait', reason: 'FirstConsumer'});
	const shut = {...settings, honorsFirstConsumer: false};
	expect(decide(world({storageClass: waiting}), shut)).toMatchObject({do: 'createClaim'});
});

describe('what is not begun', () => {
	const waiting = storageClass({waitsForConsumer: true});
	test.each<[string, Partial<Observed>, string]>([
		['a class that does not exist', {storageClass: undefined}, 'StorageClassMissing'],
		['no class at all', {target: {...target(), spec: {}}, storageClass: undefined}, 'StorageClassMissing'],
		['a provisioner that is no CSI driver', {targetIsCsi: false}, 'StorageClassNotCsi'],
		['a first consumer', {storageClass: waiting}, 'FirstConsumer'],
		['a missing import source', {order: {kind: 'import', source: undefined}}, 'SourceObjectMissing'],
		['a missing clone source', {order: {kind: 'cloneMissing'}}, 'SourceObjectMissing'],
		['a missing source claim', {order: cloneOrder({claim: undefined})}, 'CloneWithoutSource'],
		[
			'a source claim that is being deleted',
			{order: cloneOrder({claim: claim({deleting: true})})},
			'CloneWithoutSource',
		],
		[
			'a source claim that is not bound',
			{order: cloneOrder({claim: claim({phase: 'Pending'})})},
			'CloneSourceNotReady',
		],
		['a missing source snapshot', {order: snapshotOrder({snapshot: undefined})}, 'CloneWithoutSource'],
		[
			'a source snapshot that is not ready',
			{order: snapshotOrder({snapshot: snapshot({ready: false})})},
			'SnapshotNotReady',
		],
		[
			'a source snapshot whose content does not know it',
			{order: snapshotOrder({content: undefined})},
			'SnapshotNotReady',
		],
	])('%s is waited for', (_, given, reason) => {
		expect(planOf(given)).toMatchObject({do: 'wait', reason});
	});

	test.each<[string, Partial<Observed>]>([
		['asks for nothing of ours', {order: undefined}],
		['is being deleted', {target: target({deleting: true})}],
		['does not exist', {target: undefined, order: undefined}],
	])('a claim that %s is left alone', (_, given) => {
		expect(planOf(given)).toEqual({do: 'nothing'});
	});

	test('a consumer that has a node, or a user in a hurry, lets it begin', () => {
		for (const name of [annotations.selectedNode, annotations.bindImmediate]) {
			const given = {target: target({annotations: {[name]: 'node'}}), storageClass: waiting};
			expect(planOf(given)).toMatchObject({do: 'createClaim'});
		}
		expect(waitsForConsumer(target(), storageClass())).toBe(false);
	});
});

describe('a copy of a claim', () => {
	const given = (order: ClaimCloneOrder, rest: Partial<Observed> = {}) => ({target: cloneTarget(), order, ...rest});

	test('is made in the namespace of the source, by a Pod that reads it', () => {
		expect(planOf(given(cloneOrder()))).toMatchObject({
			do: 'createClaim',
			claim: {metadata: {name: 'tmp-pvc-target-uid', namespace: 'images'}},
		});
		expect(planOf(given(cloneOrder(), {prime: made({namespace: 'images'})}))).toMatchObject({
			do: 'createWorker',
			pod: {metadata: {name: 'target-uid-source-pod', namespace: 'images'}},
		});
	});

	test('waits while a Pod may write to the source, and says which', () => {
		const plan = planOf(given(cloneOrder({writers: [pod({name: 'vm', namespace: 'images'})]})));
		expect(plan).toMatchObject({
			do: 'wait',
			reason: 'CloneSourceInUse',
			message: 'pod images/vm using PersistentVolumeClaim golden',
		});
		expect(eventOf(plan)).toMatchObject({type: 'Warning', reason: 'CloneSourceInUse'});
	});

	test('that was begun goes on, whoever uses the source now', () => {
		const order = cloneOrder({writers: [pod()]});
		const reading = worker({nodeName: 'node1'});
		expect(planOf(given(order, {prime: bound, worker: reading}))).toMatchObject({reason: 'WorkerRunning'});
		expect(planOf(given(order, {prime: populated, primeVolume: primeVolume()}))).toMatchObject({do: 'moveVolume'});
	});

	test('whose source goes before a node has its Pod does not wait for that Pod', () => {
		const order = cloneOrder({claim: undefined});
		const pending = worker({phase: 'Pending', unschedulable: 'persistentvolumeclaim "golden" not found'});
		expect(planOf(given(order, {prime: bound, worker: pending}))).toMatchObject({reason: 'CloneWithoutSource'});
	});

	test.each<[string, ClaimOptions, ClaimOptions, boolean]>([
		['an equal target', {}, {}, true],
		['a larger target', {}, {request: '2Gi'}, true],
		['a smaller target', {request: '2Gi'}, {}, false],
		['a Block target as large as the usable part', {request: '1138166334'}, {volumeMode: 'Block'}, true],
		['a Filesystem target of a Block source of the same size', {volumeMode: 'Block'}, {}, false],
	])('to %s', (_, source, wanted, possible) => {
		const order = cloneOrder({claim: claim({name: 'golden', namespace: 'images', ...source})});
		const plan = planOf({target: cloneTarget(wanted), order});
		if (possible) expect(plan.do).toBe('createClaim');
		else expect(plan).toMatchObject({do: 'wait', reason: 'CloneValidationFailed'});
	});

	test('to a smaller target, where the disk is known to fit', () => {
		const order = cloneOrder({claim: claim({name: 'golden', namespace: 'images', request: '2Gi'})});
		const [refused, permitted] = [{}, {[annotations.permissiveClone]: ''}].map((more) =>
			planOf({target: cloneTarget({annotations: {[annotations.dataSourceNamespace]: 'images', ...more}}), order}),
		);
		expect(refused).toMatchObject({do: 'wait', reason: 'CloneValidationFailed'});
		expect(permitted).toMatchObject({do: 'createClaim'});
	});
});

describe('a clone of a snapshot', () => {
	const given = (order: SnapshotCloneOrder, rest: Partial<Observed> = {}) => ({target: cloneTarget(), order, ...rest});
	const restored = made({
		namespace: 'images',
		phase: 'Bound',
		request: '2Gi',
		dataSource: {kind: 'VolumeSnapshot', name: 'snapshot'},
	});

	test('of the same driver and mode is restored beside it, at its own size at least', () => {
		expect(planOf(given(snapshotOrder()))).toMatchObject({
			do: 'createClaim',
			claim: {spec: {dataSource: {name: 'snapshot'}, resources: {requests: {storage: '2Gi'}}}},
		});
	});

	test('is complete when it is bound: no worker, the volume is moved', () => {
		const rest = {prime: restored, primeVolume: primeVolume('2Gi')};
		expect(planOf(given(snapshotOrder(), rest))).toMatchObject({do: 'moveVolume'});
		const pending = made({phase: 'Pending', dataSource: {kind: 'VolumeSnapshot', name: 'snapshot'}});
		expect(planOf(given(snapshotOrder(), {prime: pending}))).toMatchObject({reason: 'PrimeBinding'});
	});

	test('is complete when it is bound, whatever became of the snapshot', () => {
		const gone = snapshotOrder({snapshot: undefined, content: undefined});
		expect(planOf(given(gone, {prime: restored, primeVolume: primeVolume('2Gi')}))).toMatchObject({do: 'moveVolume'});
		expect(planOf(given(gone, {prime: made({dataSource: {kind: 'VolumeSnapshot', name: 'snapshot'}})}))).toMatchObject({
			reason: 'CloneWithoutSource',
		});
	});

	test('that shall bind at once waits for a node, where nobody would be scheduled for it', () => {
		const waiting = storageClass({waitsForConsumer: true});
		const hurried = cloneTarget({
			annotations: {[annotations.dataSourceNamespace]: 'images', [annotations.bindImmediate]: ''},
		});
		const rest = {target: hurried, storageClass: waiting};
		const readFrom = volume({name: 'golden-volume', nodeAffinity: on('one')});
		expect(planOf({...given(snapshotOrder()), ...rest, readFrom})).toMatchObject({
			do: 'wait',
			reason: 'NoNode',
			message: expect.stringContaining('golden-volume'),
		});
		expect(planOf({...given(snapshotOrder()), ...rest, node: 'one'})).toMatchObject({
			claim: {metadata: {annotations: {[annotations.selectedNode]: 'one'}}},
		});
	});

	test.each<[string, Partial<SnapshotCloneOrder>, string]>([
		['as the snapshot says', {snapshot: snapshot({namespace: 'images', restoreSize: '6Gi'})}, '6Gi'],
		['as its source, where the driver says less, what is used of it perhaps', {}, '5Gi'],
		[
			'as its source, where the driver does not say',
			{snapshot: snapshot({namespace: 'images', restoreSize: '0'})},
			'5Gi',
		],
		['as who asks for it knows, where that is gone', {sourceVolume: undefined, source: asking('8Gi')}, '8Gi'],
		['as the snapshot says, where nobody knows more', {sourceVolume: undefined, source: asking('much')}, '2Gi'],
	])('is restored to be copied from in the class of its source, as large %s', (_, more, storage) => {
		const classesOfDriver = ['a', 'theirs'].map((name) => storageClass({name, provisioner: 'other'}));
		const sourceVolume = volume({name: 'golden-volume', capacity: '5Gi'});
		const order = snapshotOrder({...otherDriver, classesOfDriver, sourceClass: 'theirs', sourceVolume, ...more});
		expect(planOf(given(order, {prime: made({namespace: 'images'})}))).toMatchObject({
			do: 'createClaim',
			claim: {spec: {storageClassName: 'theirs', resources: {requests: {storage}}}},
		});
		expect(planOf(given({...order, sourceClass: 'gone'}, {prime: made({namespace: 'images'})}))).toMatchObject({
			claim: {spec: {storageClassName: 'a'}},
		});
	});

	test('is grown first where the target wants more', () => {
		const order = snapshotOrder();
		const wanted = cloneTarget({request: '3Gi'});
		const small = {target: wanted, order, prime: restored, primeVolume: primeVolume('2Gi')};
		expect(planOf(small)).toMatchObject({do: 'grow', request: '3Gi'});
		const asked = made({phase: 'Bound', request: '3Gi', dataSource: {kind: 'VolumeSnapshot', name: 'snapshot'}});
		expect(planOf({...small, prime: asked})).toMatchObject({reason: 'Growing'});
		expect(planOf({...small, prime: asked, primeVolume: primeVolume('3Gi')})).toMatchObject({do: 'moveVolume'});
	});

	test('of a driver that restores at equal size asks for that size, and grows afterwards', () => {
		const zfs = 'zfs.csi.openebs.io';
		const plan = planOf({
			target: cloneTarget({request: '3Gi'}),
			order: snapshotOrder({content: snapshotContent({driver: zfs})}),
			storageClass: storageClass({provisioner: zfs}),
		});
		expect(plan).toMatchObject({do: 'createClaim', claim: {spec: {resources: {requests: {storage: '2Gi'}}}}});
	});

	test('of another driver is restored where it is, and copied from there', () => {
		const order = snapshotOrder(otherDriver);
		expect(planOf(given(order))).toMatchObject({do: 'createClaim', claim: {metadata: {name: 'tmp-pvc-target-uid'}}});
		expect(planOf(given(order, {prime: made({namespace: 'images'})}))).toMatchObject({
			do: 'createClaim',
			claim: {metadata: {name: 'tmp-source-pvc-target-uid', namespace: 'images'}, spec: {storageClassName: 'theirs'}},
		});
		const copySource = claim({name: 'tmp-source-pvc-target-uid', namespace: 'images'});
		expect(planOf(given({...order, copySource}, {prime: made({namespace: 'images'})}))).toMatchObject({
			do: 'createWorker',
			pod: {
				spec: {
					volumes: expect.arrayContaining([
						{name: 'source', persistentVolumeClaim: {claimName: copySource.metadata.name}},
					]),
				},
			},
		});
	});

	test('of a driver without any class cannot be restored, and says so', () => {
		const order = snapshotOrder({...otherDriver, classesOfDriver: []});
		expect(planOf(given(order, {prime: made()}))).toMatchObject({do: 'wait', reason: 'StorageClassMissing'});
	});

	test('restores directly where driver and mode agree, a content without mode being a file system', () => {
		const {sourceVolumeMode: _, ...spec} = snapshotContent().spec;
		const order = snapshotOrder({content: {...snapshotContent(), spec}});
		expect(restoresDirectly(order, cloneTarget(), storageClass({provisioner: driver}))).toBe(true);
		expect(restoresDirectly(order, cloneTarget({volumeMode: 'Block'}), storageClass())).toBe(false);
		expect(restoresDirectly(snapshotOrder(otherDriver), cloneTarget(), storageClass())).toBe(false);
	});
});

describe('a copy between two nodes', () => {
	const readFrom = volume({name: 'golden-volume', nodeAffinity: on('one')});
	const placed = cloneTarget({
		annotations: {[annotations.dataSourceNamespace]: 'images', [annotations.selectedNode]: 'two'},
	});
	const prime = made({namespace: 'images', phase: 'Bound'});
	const given = (more: Partial<Observed> = {}): Partial<Observed> => ({
		target: placed,
		order: cloneOrder(),
		apart: true,
		readFrom,
		prime,
		...more,
	});
	const sender = (options: PodOptions = {}, podIP: string | undefined = '10.0.0.1', key = 'a-key') => {
		const made = pod({name: 'target-uid-send-pod', namespace: 'images', ...options});
		const volumes = [{name: 'copy-key', secret: {secretName: key}}];
		return {...made, spec: {...made.spec, volumes}, status: {...made.status, ...(podIP && {podIP})}};
	};
	const planned = (more: Partial<Observed>): Pod => {
		const plan = planOf(given(more));
		if (plan.do !== 'createWorker') throw new Error(plan.do);
		const [key, ...others] = plan.keys ?? [];
		expect(others).toEqual([]);
		if (key) expect(key).toMatchObject({kind: 'Secret', metadata: {namespace: 'images'}});
		return plan.pod;
	};
	const keyOf = ({spec}: Pod) => spec.volumes?.find(({secret}) => secret)?.secret?.secretName;
	const receiver = (host = '10.0.0.1', options: PodOptions = {}): Pod => ({
		...pod(options),
		...(({metadata, spec}) => ({metadata, spec}))(planned({sender: sender({}, host)})),
	});

	test('reads where the source is, then writes where the target is used', () => {
		const first = planned({});
		expect(first.metadata.name).toBe('target-uid-send-pod');
		expect(JSON.stringify(first.spec.affinity)).toContain('"one"');
		const second = planned({sender: sender()});
		expect(second.metadata.name).toBe('target-uid-source-pod');
		expect(JSON.stringify(second.spec.affinity)).toContain('"two"');
		expect(second.spec.volumes?.map(({persistentVolumeClaim}) => persistentVolumeClaim?.claimName)).not.toContain(
			'golden',
		);
	});

	test.each<[string, Pod, object]>([
		['has no address yet', sender({phase: 'Pending'}, ''), {do: 'wait', reason: 'WorkerStarting'}],
		['is being deleted', sender({deleting: true}), {do: 'wait', reason: 'WorkerLeaving'}],
		['was evicted', sender({phase: 'Failed'}), {do: 'deletePod', pod: {metadata: {name: 'target-uid-send-pod'}}}],
		['ended', sender({phase: 'Succeeded'}), {do: 'deletePod', pod: {metadata: {name: 'target-uid-send-pod'}}}],
	])('a sender that %s', (_, there, plan) => {
		expect(planOf(given({sender: there}))).toMatchObject(plan);
		// A receiver that runs is left alone: it tries again by itself.
		expect(planOf(given({sender: there, worker: receiver()}))).toMatchObject(plan);
	});

	test('a sender on a drained node is told', () => {
		const there = sender({phase: 'Pending', unschedulable: '0/2 nodes are available'}, '');
		// The receiver did not reach it and is between two tries; that is not what holds the copy up.
		const tried = receiver('10.0.0.1', {restarts: 1, lastTry: {exitCode: 1, message: 'no answer'}});
		const observed = world(given({sender: there, worker: tried}));
		expect(describePopulation(observed, decide(observed, settings))).toMatchObject({
			way: 'copy',
			podReason: 'Unschedulable',
			podMessage: '0/2 nodes are available',
			podRunning: false,
			lastFailure: undefined,
		});
	});

	test('the receiver has the key of its sender, whatever it is called', () => {
		const plan = planOf(given());
		expect(plan.do === 'createWorker' && plan.keys?.map(({metadata}) => metadata.name)).toEqual([
			'copy-key-target-uid',
		]);
		expect(plan.do === 'createWorker' && keyOf(plan.pod)).toBe('copy-key-target-uid');
		expect(keyOf(receiver())).toBe('a-key');
	});

	test.each<[string, Pod]>([
		['address', sender({}, '10.0.0.2')],
		['key', sender({}, '10.0.0.1', 'another-key')],
	])('a sender that was made anew has another %s, and its receiver is made anew', (_, anew) => {
		expect(planOf(given({sender: anew, worker: receiver()}))).toMatchObject({
			do: 'deletePod',
			pod: {metadata: {name: 'target-uid-source-pod'}},
		});
		expect(planOf(given({sender: sender(), worker: receiver()}))).toMatchObject({reason: 'WorkerRunning'});
	});

	test('that is complete is recorded, its Pods go, its volume is moved', () => {
		const worker = receiver('10.0.0.1', {phase: 'Succeeded', said: {outcome: 'succeeded', message: 'done'}});
		expect(planOf(given({sender: sender(), worker}))).toMatchObject({do: 'recordPopulated'});
		// Also where the sender is gone by then.
		expect(planOf(given({worker}))).toMatchObject({do: 'recordPopulated'});
		const recorded = made({...populated.metadata, namespace: 'images', phase: 'Bound'});
		const rest = {prime: {...prime, metadata: recorded.metadata}, primeVolume: primeVolume()};
		expect(planOf(given({...rest, sender: sender(), worker}))).toMatchObject({do: 'deletePod', pod: worker});
		expect(planOf(given({...rest, sender: sender()}))).toMatchObject({
			do: 'deletePod',
			pod: {metadata: {name: 'target-uid-send-pod'}},
		});
		expect(planOf(given(rest))).toMatchObject({do: 'moveVolume'});
	});

	test('that can never succeed lets go of its source, and keeps the reason', () => {
		const said = {outcome: 'failed', reason: 'ImageTooLarge', retryable: false, message: 'too large'} as const;
		const worker = receiver('10.0.0.1', {phase: 'Succeeded', said});
		expect(planOf(given({sender: sender(), worker}))).toMatchObject({
			do: 'deletePod',
			pod: {metadata: {name: 'target-uid-send-pod'}},
		});
		expect(planOf(given({worker}))).toMatchObject({do: 'giveUp', failure: 'ImageTooLarge'});
	});

	test('leaves no Pod behind when the target is bound', () => {
		const done = cloneTarget({phase: 'Bound'});
		expect(planOf({target: done, order: cloneOrder(), sender: sender()})).toMatchObject({
			do: 'deletePod',
			why: 'Finished',
		});
	});

	test('of a snapshot restores it on its node, to be read there, and does not restore the target', () => {
		const order = snapshotOrder({classesOfDriver: [storageClass({name: 'local'})]});
		const empty = planOf(given({order, prime: undefined}));
		expect(empty).toMatchObject({do: 'createClaim', claim: {metadata: {name: 'tmp-pvc-target-uid'}}});
		expect(empty.do === 'createClaim' && empty.claim.spec.dataSource).toBeUndefined();
		expect(planOf(given({order}))).toMatchObject({
			do: 'createClaim',
			claim: {metadata: {name: 'tmp-source-pvc-target-uid'}, spec: {dataSource: {name: 'snapshot'}}},
		});
		const copySource = claim({name: 'tmp-source-pvc-target-uid', namespace: 'images', phase: 'Pending'});
		const first = planned({order: {...order, copySource}});
		expect(JSON.stringify(first.spec.affinity)).toContain('"one"');
	});

	test('is not begun before it is known where an immediate class put the target', () => {
		const unplaced = {target: cloneTarget(), apart: false, prime: made({namespace: 'images'})};
		expect(planOf(given(unplaced))).toMatchObject({do: 'wait', reason: 'PrimeBinding'});
		expect(planOf(given({...unplaced, primeVolume: primeVolume()}))).toMatchObject({do: 'createWorker'});
	});

	test('a copy that was begun by one Pod stays one', () => {
		expect(planOf(given({worker: worker()}))).toMatchObject({reason: 'WorkerRunning'});
	});
});

describe('what was made for a claim that is gone', () => {
	const orphans = {pods: [worker()], claims: [made()]};

	test('goes, Pods before claims, whatever the claim of that name is doing now', () => {
		expect(planOf({orphans})).toMatchObject({do: 'deletePod', why: 'Orphan'});
		expect(planOf({orphans: {...orphans, pods: [worker({deleting: true})]}})).toMatchObject({
			do: 'deleteClaim',
			why: 'Orphan',
		});
		expect(planOf({target: undefined, order: undefined, orphans})).toMatchObject({do: 'deletePod'});
	});

	test('that is being deleted already holds up nothing', () => {
		const going = {pods: [worker({deleting: true})], claims: [made({deleting: true})]};
		expect(planOf({orphans: going})).toMatchObject({do: 'createClaim'});
	});

	test('a copy leaves nothing behind: worker, prime claim and the claim it read from', () => {
		const target_ = cloneTarget({phase: 'Bound'});
		const copySource = made({name: 'copy-source'});
		const all = {target: target_, order: undefined, orphans: {pods: [], claims: []}};
		expect(planOf({...all, order: cloneOrder(), prime: bound, worker: succeeded})).toMatchObject({do: 'deletePod'});
		expect(planOf({...all, order: cloneOrder(), made: [made({deleting: true}), copySource]})).toMatchObject({
			do: 'deleteClaim',
			claim: {metadata: {name: 'copy-source'}},
		});
	});
});

describe('crash between any two steps', () => {
	/** What the world becomes when a plan is carried out and what it started comes to its end. */
	function carryOut(observed: Observed): Observed | undefined {
		const plan = decide(observed, settings);
		switch (plan.do) {
			case 'createClaim': {
				const prime: PersistentVolumeClaim = {
					...plan.claim,
					metadata: {...plan.claim.metadata, uid: 'prime-uid'},
					status: {phase: 'Pending'},
				};
				return {...observed, prime, made: [prime]};
			}
			case 'createWorker': {
				const prime = observed.prime && {
					...observed.prime,
					spec: {...observed.prime.spec, volumeName: 'prime-volume'},
					status: {phase: 'Bound' as const},
				};
				const {status} = succeeded;
				return {
					...observed,
					prime,
					made: prime ? [prime] : [],
					primeVolume: primeVolume(),
					worker: {...plan.pod, ...(status && {status})},
				};
			}
			case 'recordPopulated': {
				const {metadata} = plan.claim;
				const prime = {
					...plan.claim,
					metadata: {...metadata, annotations: {...metadata.annotations, [annotations.populated]: 'true'}},
				};
				return {...observed, prime, made: [prime]};
			}
			case 'deletePod':
				return {...observed, worker: undefined};
			case 'moveVolume': {
				const moved: PersistentVolume = volume({name: 'prime-volume', boundTo: plan.target});
				return {...observed, target: target({phase: 'Bound', volumeName: moved.metadata.name}), primeVolume: moved};
			}
			case 'deleteClaim':
				return {...observed, prime: undefined, made: []};
			default:
				return undefined;
		}
	}

	test('is harmless: each step follows from what exists, to the end, each thing being made once', () => {
		const plans: string[] = [];
		for (let observed: Observed | undefined = world(); observed; ) {
			// Asked twice: the first answer was lost.
			expect(decide(observed, settings)).toEqual(decide(structuredClone(observed), settings));
			plans.push(decide(observed, settings).do);
			observed = carryOut(observed);
		}
		expect(plans).toEqual([
			'createClaim',
			'createWorker',
			'recordPopulated',
			'deletePod',
			'moveVolume',
			'deleteClaim',
			'nothing',
		]);
	});
});

describe('the population that is reported', () => {
	const report = (given: Partial<Observed>) => {
		const observed = world(given);
		return describePopulation(observed, decide(observed, settings));
	};

	test.each<[string, Partial<Observed>, object]>([
		[
			'waiting, with the reason',
			{order: {kind: 'import', source: undefined}},
			{stage: 'waiting', way: 'import', reason: 'SourceObjectMissing'},
		],
		['waiting for a consumer', {storageClass: storageClass({waitsForConsumer: true})}, {stage: 'firstConsumer'}],
		[
			'scheduled',
			{prime: made(), worker: worker({phase: 'Pending', waiting: {reason: 'ContainerCreating'}})},
			{stage: 'scheduled', podReason: 'ContainerCreating'},
		],
		['running', {prime: bound, worker: worker({running: true})}, {stage: 'running', podRunning: true, restarts: 0}],
		[
			'running between two tries, with what went wrong',
			{
				prime: bound,
				worker: worker({
					restarts: 2,
					waiting: {reason: 'CrashLoopBackOff'},
					lastTry: {
						exitCode: 1,
						message: '{"outcome":"failed","reason":"SourceUnavailable","retryable":true,"message":"503"}',
					},
				}),
			},
			{stage: 'running', restarts: 2, lastFailure: '503', podReason: 'CrashLoopBackOff'},
		],
		[
			'without a node',
			{prime: made(), worker: worker({phase: 'Pending', unschedulable: '0/3 nodes'})},
			{stage: 'scheduled', podReason: 'Unschedulable', podMessage: '0/3 nodes'},
		],
		['moving', {prime: populated, primeVolume: primeVolume()}, {stage: 'moving'}],
		['done', {target: target({phase: 'Bound'})}, {stage: 'done', reason: undefined, message: ''}],
		[
			'failed',
			{
				prime: bound,
				worker: worker({
					phase: 'Succeeded',
					said: {outcome: 'failed', reason: 'InvalidImage', retryable: false, message: 'no image'},
				}),
			},
			{stage: 'failed', reason: 'InvalidImage', message: 'no image'},
		],
		[
			'a copy',
			{target: cloneTarget(), order: cloneOrder(), prime: bound, worker: worker({running: true})},
			{way: 'copy', stage: 'running'},
		],
		[
			'a restore',
			{
				target: cloneTarget(),
				order: snapshotOrder(),
				prime: made({dataSource: {kind: 'VolumeSnapshot', name: 'snapshot'}}),
			},
			{way: 'restore', stage: 'scheduled'},
		],
	])('%s', (_, given, population) => {
		expect(report(given)).toMatchObject(population);
	});

	test('a last try that the kernel ended has the words of the kubelet', () => {
		const killed = {
			...worker({restarts: 1}),
			status: {
				phase: 'Running' as const,
				containerStatuses: [
					{name: 'main', restartCount: 1, lastState: {terminated: {exitCode: 137, reason: 'OOMKilled'}}},
				],
			},
		};
		expect(report({prime: bound, worker: killed}).lastFailure).toBe('OOMKilled');
	});
});
