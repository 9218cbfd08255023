import {describe as suite, expect, test} from 'vitest';
import {
	claim,
	type ClaimOptions,
	cloneSource,
	pod,
	type PodOptions,
	volume,
	workerDefaults,
} from '../../test/support/builders.ts';
import {diskSizeAnnotations} from '../api/disk-size.ts';
import type {Pod} from '../api/kubernetes.ts';
import {annotations, labels} from '../api/names.ts';
import {workerTaskVariable} from '../api/worker-contract.ts';
import {makeCopierPod, type WorkerSettings} from '../populate/objects.ts';
import {isWriter} from '../smartclone/writers.ts';
import {decide, describe} from './decide.ts';
import type {Observed} from './observe.ts';

const settings: WorkerSettings = {...workerDefaults, image: 'registry/worker:1'};
const golden = (options: ClaimOptions = {}) => claim({name: 'golden', namespace: 'images', request: '5Gi', ...options});
const nowMs = Date.parse('2026-01-01T00:10:00Z');
const secondsAgo = (seconds: number) => new Date(nowMs - seconds * 1000).toISOString();

const observed = (given: Partial<Observed> = {}): Observed => ({
	nowMs,
	claim: golden(),
	volume: volume(),
	pod: undefined,
	usedOn: undefined,
	isWanted: true,
	isKnown: false,
	...given,
});
const planOf = (given: Partial<Observed> = {}) => decide(observed(given), settings);
const looking = (options: PodOptions = {}): Pod =>
	pod({
		name: 'size-detection-golden-uid',
		namespace: 'images',
		created: secondsAgo(5),
		annotations: {[annotations.sourceCapacity]: '5Gi'},
		...options,
	});
const seen = (virtualBytes?: string) =>
	looking({
		phase: 'Succeeded',
		said: {outcome: 'succeeded', message: 'seen', ...(virtualBytes && {virtualBytes})},
	});
const failed = (created: string) =>
	looking({
		phase: 'Succeeded',
		created,
		said: {outcome: 'failed', reason: 'SourceVolumeInvalid', retryable: false, message: 'disk.img is no file.'},
	});

suite('the size of a disk is looked for', () => {
	test.each<[string, Partial<Observed>, object]>([
		['by a Pod, where somebody asks', {}, {do: 'createPod', pod: {metadata: {name: 'size-detection-golden-uid'}}}],
		['not where nobody does', {isWanted: false}, {do: 'nothing'}],
		['not where it is known', {isKnown: true}, {do: 'nothing'}],
		['not in a claim that is gone', {claim: undefined}, {do: 'nothing'}],
		['nor in one that leaves', {claim: golden({deleting: true})}, {do: 'nothing'}],
		['nor in one that has no volume', {claim: golden({phase: 'Pending'})}, {do: 'nothing'}],
		[
			'nor in one that is still being filled',
			{claim: golden({annotations: {[annotations.fillFrom]: 'VolumeImportSource/import'}})},
			{do: 'nothing'},
		],
		['its Pod is waited for', {pod: looking()}, {do: 'nothing'}],
		[
			'what it saw is remembered on the claim',
			{pod: seen('5000000')},
			{do: 'remember', annotations: diskSizeAnnotations(5_000_000n, '5Gi')},
		],
		[
			'also that there is no disk, or it would be looked for again and again',
			{pod: seen()},
			{do: 'remember', annotations: diskSizeAnnotations(0n, '5Gi')},
		],
		['and for whoever asks next, though nobody asks now', {pod: seen('1'), isWanted: false}, {do: 'remember'}],
		['then the Pod goes', {pod: seen('5000000'), isKnown: true}, {do: 'deletePod', why: 'Finished'}],
		['once', {pod: looking({phase: 'Succeeded', deleting: true}), isKnown: true}, {do: 'nothing'}],
		[
			'a disk that may have grown with its claim is looked at again',
			{claim: golden({request: '6Gi'}), pod: seen('5000000')},
			{do: 'deletePod', why: 'Outdated'},
		],
		['a claim that leaves is let go', {claim: golden({deleting: true}), pod: looking()}, {do: 'deletePod'}],
		['a Pod that could not tell is made anew', {pod: failed(secondsAgo(30))}, {do: 'deletePod', why: 'Failed'}],
		['but not at once', {pod: failed(secondsAgo(4))}, {do: 'wait', recheckAfterMs: 6000}],
		['nor one that was evicted', {pod: looking({phase: 'Failed'})}, {do: 'wait', recheckAfterMs: 5000}],
		[
			'one that ended without a word is no success',
			{pod: looking({phase: 'Succeeded', created: secondsAgo(30), exitCode: 0})},
			{do: 'deletePod', why: 'Failed'},
		],
		[
			'one that nobody waits for any more goes in the end',
			{pod: looking({phase: 'Pending', created: secondsAgo(90)}), isWanted: false},
			{do: 'deletePod', why: 'Unwanted'},
		],
		[
			'a controller that has just begun has not heard who asks',
			{pod: looking({phase: 'Pending'}), isWanted: false},
			{do: 'wait', recheckAfterMs: 55_000},
		],
	])('%s', (_, given, plan) => {
		expect(planOf(given)).toMatchObject(plan);
	});
});

suite('the Pod that looks', () => {
	function made(given: Partial<Observed> = {}): Pod {
		const plan = planOf(given);
		if (plan.do !== 'createPod') throw new Error(plan.do);
		return plan.pod;
	}

	test('is beside the claim, goes with it, and only reads', () => {
		const {metadata, spec} = made();
		expect(metadata).toMatchObject({
			namespace: 'images',
			name: 'size-detection-golden-uid',
			annotations: {[annotations.sourceCapacity]: '5Gi'},
			ownerReferences: [{kind: 'PersistentVolumeClaim', uid: 'golden-uid'}],
		});
		expect(metadata.labels?.[labels.cdiComponent]).toBe('cdi-clone-source');
		expect(spec.containers[0]?.volumeMounts).toContainEqual({name: 'source', mountPath: '/source', readOnly: true});
		expect(isWriter(made(), 'golden')).toBe(false);
		const task = spec.containers[0]?.env?.find(({name}) => name === workerTaskVariable)?.value ?? '';
		expect(JSON.parse(task)).toEqual({role: 'measure', source: {volumeMode: 'Filesystem', path: '/source'}});
	});

	test('has no more rights than any worker', () => {
		const orders = {atSource: cloneSource(), atTarget: cloneSource()};
		const claims = {target: golden(), filled: golden(), source: golden()};
		const wanted = {...claims, orders, sourceIsFixed: true, readFrom: undefined};
		const copier = makeCopierPod({...wanted, preallocation: false, priorityClassName: undefined, settings});
		const rightsOf = ({spec}: Pod) => {
			const [{securityContext, resources, ports} = {}] = spec.containers;
			const {volumes: _, containers: __, affinity: ___, ...rest} = spec;
			return {...rest, container: {securityContext, resources, ports}};
		};
		expect(rightsOf(made())).toEqual(rightsOf(copier));
	});

	test('is where the claim is used, unless many nodes may use it', () => {
		const where = (given: Partial<Observed>) => JSON.stringify(made(given).spec.affinity ?? {});
		expect(where({usedOn: 'two'})).toContain('"two"');
		const claimOfMany = golden();
		const many = {...claimOfMany, spec: {...claimOfMany.spec, accessModes: ['ReadWriteMany'] as const}};
		expect(where({usedOn: 'two', claim: many})).toBe('{}');
		const nodeAffinity = {
			required: {nodeSelectorTerms: [{matchExpressions: [{key: 'host', operator: 'In', values: ['one']}]}]},
		};
		expect(where({volume: volume({nodeAffinity})})).toContain('"one"');
	});
});

suite('whoever waits is told', () => {
	test.each<[string, Pod | undefined, string]>([
		['that nobody looks yet', undefined, 'a Pod is about to look'],
		['who looks', looking({running: true}), 'Pod images/size-detection-golden-uid looks'],
		[
			'why it cannot be scheduled',
			looking({phase: 'Pending', unschedulable: '0/2 nodes are available'}),
			'cannot be scheduled: 0/2 nodes are available',
		],
		[
			'what its container waits for',
			looking({phase: 'Pending', waiting: {reason: 'ImagePullBackOff', message: 'no such image'}}),
			'is waiting (ImagePullBackOff): no such image',
		],
		['what it could not do', failed(secondsAgo(1)), 'could not tell: disk.img is no file.'],
		[
			'also of a try before',
			looking({
				waiting: {reason: 'CrashLoopBackOff'},
				lastTry: {
					exitCode: 1,
					message: JSON.stringify({outcome: 'failed', reason: 'Internal', retryable: true, message: 'I/O error'}),
				},
			}),
			'could not tell: I/O error',
		],
	])('%s', (_, there, sentence) => {
		const message = describe(golden(), there);
		expect(message).toMatch(/^The size of the disk in pvc images\/golden is not known yet: /);
		expect(message).toContain(sentence);
	});

	test('why there can be no Pod', () => {
		expect(describe(golden(), undefined, 'exceeded quota: none')).toContain('no Pod can look: exceeded quota: none');
	});

	test('that the node gave its Pod up', () => {
		const evicted = looking({phase: 'Failed'});
		const status = {...evicted.status, reason: 'Evicted', message: 'low on memory'};
		expect(describe(golden(), {...evicted, status})).toContain('failed (Evicted): low on memory; it is made anew');
	});
});
