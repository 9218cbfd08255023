import {describe, expect, test} from 'vitest';
import {
	claim,
	type ClaimOptions,
	cloneSource,
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
import type {Pod} from '../api/kubernetes.ts';
import {annotations, cdiGroup} from '../api/names.ts';
import {decide} from './decide.ts';
import {fillFrom, fillFromOf, isBeingFilled} from './in-place.ts';
import type {WorkerSettings} from './objects.ts';
import type {ClaimCloneOrder, Observed, Order} from './observe.ts';
import {describe as describePopulation} from './population.ts';

const settings: WorkerSettings = {...workerDefaults, image: 'worker'};
const marked = fillFrom({kind: 'VolumeImportSource', name: 'import'});
const done = {[annotations.populated]: 'true'};

const target = (options: ClaimOptions = {}) =>
	claim({name: 'target', ...options, annotations: {...marked, ...options.annotations}});
const pending = (more: Readonly<Record<string, string>> = {}) => target({phase: 'Pending', annotations: more});
const clone = (options: ClaimOptions = {}) =>
	target({
		...options,
		annotations: {...fillFrom({kind: 'VolumeCloneSource', name: 'clone'}), ...options.annotations},
	});
const filled = target({annotations: done});

const worker = (options: PodOptions = {}) => pod({name: 'importer-prime-target-uid', ...options});
const said = {outcome: 'succeeded', message: 'done'} as const;
const succeeded = worker({phase: 'Succeeded', said});

const local = storageClass({provisioner: 'example.com/local', waitsForConsumer: true});
const importOrder: Order = {kind: 'import', source: importSource()};
const cloneOrder = (given: Partial<ClaimCloneOrder> = {}): ClaimCloneOrder => ({
	kind: 'cloneClaim',
	source: cloneSource(),
	claim: claim({name: 'golden'}),
	volume: undefined,
	writers: [],
	...given,
});

function world(given: Partial<Observed> = {}): Observed {
	return {
		key: 'ns/target',
		nowMs: Date.parse('2026-01-01T01:00:00Z'),
		target: target(),
		order: importOrder,
		storageClass: storageClass({provisioner: 'example.com/nfs'}),
		targetIsCsi: false,
		node: undefined,
		inPlace: true,
		sourceAtTarget: cloneSource(),
		prime: undefined,
		primeVolume: undefined,
		filledVolume: undefined,
		worker: undefined,
		sender: undefined,
		readFrom: undefined,
		apart: false,
		made: [],
		orphans: {pods: [], claims: []},
		...given,
	};
}

const planOf = (given: Partial<Observed> = {}) => decide(world(given), settings);
const stageOf = (given: Partial<Observed> = {}) => {
	const observed = world(given);
	return describePopulation(observed, decide(observed, settings)).stage;
};

describe('the mark', () => {
	test('is on the claim, which has no other source', () => {
		expect(fillFromOf(target())).toEqual({kind: 'VolumeImportSource', name: 'import'});
		expect(fillFromOf(claim())).toBeUndefined();
		expect(fillFromOf(target({dataSource: {kind: 'VolumeSnapshot', name: 's'}}))).toBeUndefined();
		const dataSourceRef = {apiGroup: cdiGroup, kind: 'VolumeImportSource', name: 'import'};
		expect(fillFromOf(target({dataSourceRef}))).toBeUndefined();
		expect(fillFromOf(claim({annotations: {[annotations.fillFrom]: 'nonsense'}}))).toBeUndefined();
	});

	test('is what keeps others from it until it is populated', () => {
		expect([claim(), pending(), target(), filled].map(isBeingFilled)).toEqual([false, true, true, false]);
	});
});

describe('an import in place, step by step', () => {
	test.each<[string, Partial<Observed>, object, string]>([
		['its volume is waited for', {target: pending()}, {do: 'wait', reason: 'TargetBinding'}, 'binding'],
		['the worker mounts the claim itself', {}, {do: 'createWorker', pod: {metadata: {namespace: 'ns'}}}, 'scheduled'],
		[
			'its start is waited for',
			{worker: worker({phase: 'Pending'})},
			{do: 'wait', reason: 'WorkerStarting'},
			'scheduled',
		],
		['its end is waited for', {worker: worker({running: true})}, {do: 'wait', reason: 'WorkerRunning'}, 'running'],
		[
			'its success is put on record',
			{worker: succeeded},
			{
				do: 'recordPopulated',
				claim: target(),
				annotations: {[annotations.populated]: 'true', [annotations.podPhase]: 'Succeeded'},
			},
			'moving',
		],
		['it is deleted', {target: filled, worker: succeeded}, {do: 'deletePod', why: 'Finished'}, 'moving'],
		[
			'its leave is waited for, so that the volume is unmounted',
			{target: filled, worker: worker({deleting: true})},
			{do: 'wait', reason: 'WorkerLeaving'},
			'moving',
		],
		['all is done', {target: filled}, {do: 'nothing'}, 'done'],
	])('%s', (_, given, plan, stage) => {
		expect(planOf(given)).toMatchObject(plan);
		expect(stageOf(given)).toBe(stage);
	});

	test('a worker mounts the claim that it fills, and goes with it', () => {
		const plan = planOf();
		const made: Pod | undefined = plan.do === 'createWorker' ? plan.pod : undefined;
		expect(made?.spec.volumes).toContainEqual({name: 'target', persistentVolumeClaim: {claimName: 'target'}});
		expect(made?.metadata.ownerReferences).toMatchObject([{kind: 'PersistentVolumeClaim', uid: 'target-uid'}]);
	});
});

describe('a claim that is filled in place', () => {
	test('and complete stays so, whatever somebody labels as if it were made for it', () => {
		const strangers = {pods: [worker({namespace: 'theirs'})], claims: []};
		expect(planOf({target: filled, orphans: strangers})).toMatchObject({do: 'deletePod', why: 'Orphan'});
		expect(stageOf({target: filled, orphans: strangers})).toBe('done');
		const made = {pods: [], claims: [claim({name: 'stray'})]};
		expect(stageOf({target: filled, orphans: made})).toBe('done');
	});

	test('that is populated is never filled again, whatever is gone or came back', () => {
		const gone: Order = {kind: 'import', source: undefined};
		expect(planOf({target: filled, order: gone, storageClass: undefined})).toEqual({do: 'nothing'});
		expect(planOf({target: filled})).toEqual({do: 'nothing'});
		expect(stageOf({target: target({phase: 'Pending', annotations: done})})).toBe('waiting');
	});

	test('that was restored from a backup, without what it is filled from, is left as it is', () => {
		expect(planOf({order: {kind: 'import', source: undefined}})).toMatchObject({reason: 'SourceObjectMissing'});
		expect(planOf({target: clone(), order: {kind: 'cloneMissing'}})).toMatchObject({reason: 'SourceObjectMissing'});
	});

	test('is filled so also where its class is of a CSI driver by now', () => {
		expect(planOf({targetIsCsi: true})).toMatchObject({do: 'createWorker'});
	});

	test('that is bound needs its class no longer', () => {
		expect(planOf({storageClass: undefined})).toMatchObject({do: 'createWorker'});
		expect(planOf({target: pending(), storageClass: undefined})).toMatchObject({reason: 'StorageClassMissing'});
	});

	test.each<[string, Pod, object]>([
		['evicted', worker({phase: 'Failed'}), {do: 'deletePod', why: 'Failed'}],
		['that ended without a word', worker({phase: 'Succeeded', exitCode: 0}), {do: 'deletePod', why: 'Failed'}],
		[
			'that can never succeed',
			worker({phase: 'Succeeded', said: {outcome: 'failed', reason: 'ImageTooLarge', retryable: false, message: 'm'}}),
			{do: 'giveUp', failure: 'ImageTooLarge'},
		],
	])('whose worker is one %s is not done, though it is bound', (_, ended, plan) => {
		expect(planOf({worker: ended})).toMatchObject(plan);
		expect(stageOf({worker: ended})).toMatch(/^(running|failed)$/);
	});

	test('whose owner deletes it lets go of its worker at once, without which it would never go', () => {
		const orphans = {pods: [worker({running: true})], claims: []};
		expect(planOf({target: target({deleting: true}), orphans})).toMatchObject({do: 'deletePod', why: 'Orphan'});
	});

	test('that is lost is left alone', () => {
		expect(planOf({target: target({phase: 'Lost'})})).toEqual({do: 'nothing'});
	});
});

describe('a class that waits for consumers', () => {
	const late = {storageClass: local};

	test('its consumer decides where the claim is, and the worker comes when it is bound', () => {
		expect(planOf({...late, target: pending()})).toMatchObject({do: 'wait', reason: 'FirstConsumer'});
		expect(stageOf({...late, target: pending()})).toBe('firstConsumer');
		// The consumer has a node, but there is no volume yet.
		const placed = pending({[annotations.selectedNode]: 'node1'});
		expect(planOf({...late, target: placed})).toMatchObject({do: 'wait', reason: 'FirstConsumer'});
		const bound = target({annotations: {[annotations.selectedNode]: 'node1'}});
		const plan = planOf({...late, target: bound});
		expect(plan).toMatchObject({do: 'createWorker'});
		expect(plan.do === 'createWorker' && JSON.stringify(plan.pod.spec.affinity)).toContain('"node1"');
	});

	test('the worker is the first consumer where the owner is in a hurry', () => {
		expect(planOf({...late, target: pending({[annotations.bindImmediate]: ''})})).toMatchObject({do: 'createWorker'});
	});
});

describe('a clone in place', () => {
	const given = (more: Partial<Observed> = {}) => ({target: clone(), order: cloneOrder(), ...more});

	test('is copied by a Pod that mounts both claims', () => {
		const plan = planOf(given());
		expect(plan).toMatchObject({do: 'createWorker', pod: {metadata: {name: 'target-uid-source-pod'}}});
		expect(
			plan.do === 'createWorker' &&
				plan.pod.spec.volumes?.flatMap(({persistentVolumeClaim}) => persistentVolumeClaim?.claimName ?? []),
		).toEqual(['target', 'golden']);
	});

	test('waits for a source that is itself still being filled', () => {
		const order = cloneOrder({claim: target({name: 'golden'})});
		expect(planOf(given({order}))).toMatchObject({do: 'wait', reason: 'CloneSourceNotReady'});
		expect(planOf(given({order: cloneOrder({claim: target({name: 'golden', annotations: done})})}))).toMatchObject({
			do: 'createWorker',
		});
	});

	test('of a snapshot is copied from a restore, which goes when the copy is done', () => {
		const order: Order = {
			kind: 'cloneSnapshot',
			source: cloneSource({of: {kind: 'VolumeSnapshot', name: 'snapshot'}}),
			snapshot: snapshot(),
			content: snapshotContent(),
			classesOfDriver: [storageClass()],
			sourceVolume: undefined,
			sourceClass: undefined,
			copySource: undefined,
			copySourceVolume: undefined,
		};
		expect(planOf(given({order}))).toMatchObject({
			do: 'createClaim',
			claim: {metadata: {name: 'tmp-source-pvc-target-uid'}, spec: {dataSource: {name: 'snapshot'}}},
		});
		const copySource = claim({name: 'tmp-source-pvc-target-uid', ...madeFor(target())});
		const restored = {...order, copySource};
		expect(planOf(given({order: restored, made: [copySource]}))).toMatchObject({
			do: 'createWorker',
			pod: {metadata: {name: 'target-uid-source-pod'}},
		});
		const complete = given({target: clone({annotations: done}), order: restored, made: [copySource]});
		expect(planOf(complete)).toMatchObject({do: 'deleteClaim', claim: copySource});
		expect(stageOf(complete)).toBe('moving');
	});

	test('from another node is sent there, with a key that goes with the clone source', () => {
		const readFrom = volume({
			nodeAffinity: {
				required: {nodeSelectorTerms: [{matchExpressions: [{key: 'host', operator: 'In', values: ['one']}]}]},
			},
		});
		const plan = planOf(given({apart: true, readFrom}));
		expect(plan).toMatchObject({
			do: 'createWorker',
			pod: {metadata: {name: 'target-uid-send-pod', namespace: 'ns'}},
			keys: [{metadata: {namespace: 'ns', ownerReferences: [{kind: 'VolumeCloneSource'}]}}],
		});
	});
});

describe('a clone in place from another namespace', () => {
	const there = cloneSource({namespace: 'images', uid: 'there'});
	const given = (more: Partial<Observed> = {}): Partial<Observed> => ({
		target: clone({annotations: {[annotations.dataSourceNamespace]: 'images'}}),
		order: cloneOrder({source: there, claim: claim({name: 'golden', namespace: 'images'})}),
		apart: true,
		...more,
	});
	const sender: Pod = (() => {
		const plan = planOf(given());
		if (plan.do !== 'createWorker') throw new Error(plan.do);
		return {...plan.pod, status: {phase: 'Running', podIP: '10.0.0.1'}};
	})();
	const receiver: Pod = (() => {
		const plan = planOf(given({sender}));
		if (plan.do !== 'createWorker') throw new Error(plan.do);
		return plan.pod;
	})();

	test('is sent by a Pod beside the source to one beside the claim, each with the same key', () => {
		expect(planOf(given())).toMatchObject({
			do: 'createWorker',
			pod: {metadata: {namespace: 'images'}},
			keys: [{metadata: {namespace: 'ns'}}, {metadata: {namespace: 'images'}}],
		});
		expect(receiver.metadata).toMatchObject({name: 'target-uid-source-pod', namespace: 'ns'});
		expect(receiver.spec.volumes).toContainEqual({name: 'target', persistentVolumeClaim: {claimName: 'target'}});
		const keyOf = ({spec}: Pod) => spec.volumes?.find(({name}) => name === 'copy-key');
		expect(keyOf(receiver)).toEqual(keyOf(sender));
	});

	test('is not begun before there is something on either side that its Secrets go with', () => {
		expect(planOf(given({sourceAtTarget: undefined}))).toMatchObject({
			do: 'wait',
			reason: 'SourceObjectMissing',
			message: 'VolumeCloneSource clone does not exist in namespace ns',
		});
	});

	test('is recorded when the receiver is done, then both Pods go', () => {
		const ended: Pod = {...receiver, ...pod({phase: 'Succeeded', said}), spec: receiver.spec};
		expect(planOf(given({sender, worker: ended}))).toMatchObject({do: 'recordPopulated'});
		const complete = clone({annotations: {[annotations.dataSourceNamespace]: 'images', ...done}});
		expect(planOf(given({target: complete, sender, worker: ended}))).toMatchObject({do: 'deletePod', pod: ended});
		expect(planOf(given({target: complete, sender}))).toMatchObject({do: 'deletePod', pod: sender});
		expect(stageOf(given({target: complete}))).toBe('done');
	});
});

describe('a claim with a dataSourceRef, in a class that knows nothing of it', () => {
	const given = {
		inPlace: false,
		target: claim({
			phase: 'Pending',
			dataSourceRef: {apiGroup: cdiGroup, kind: 'VolumeImportSource', name: 'import'},
		}),
	};

	test('is not filled, and says what would be', () => {
		expect(planOf(given)).toMatchObject({do: 'wait', reason: 'StorageClassNotCsi'});
	});

	test('is filled where its owner knows that the driver does without a CSIDriver object', () => {
		const asked = {
			...given.target,
			metadata: {...given.target.metadata, annotations: {[annotations.usePopulator]: 'true'}},
		};
		expect(planOf({...given, target: asked})).toMatchObject({do: 'createClaim'});
	});
});
