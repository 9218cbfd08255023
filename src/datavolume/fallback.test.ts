/** What a clone does when the storage does not do what it was asked to: every code, every phase, every deadline. */
import {describe, expect, test} from 'vitest';
import {
	claim,
	type ClaimOptions,
	cloneSource,
	dataVolume,
	pod,
	sharedSnapshot,
	snapshot,
} from '../../test/support/builders.ts';
import {observedClone, observedDataVolume} from '../../test/support/observed.ts';
import {annotations, cdiGroup} from '../api/names.ts';
import type {Population} from '../populate/population.ts';
import {defaultPolicy} from '../smartclone/driver-policy.ts';
import {parseFailure} from '../smartclone/provisioning-failure.ts';
import type {CloneDecision, CloneRoute, CloneWay} from '../smartclone/strategy.ts';
import {type DataVolumePlan, decide} from './decide.ts';
import {decisionEvents} from './events.ts';
import type {GaveUp} from './gave-up.ts';
import type {Observed} from './observe.ts';
import type {ObservedClone} from './observe-clone.ts';
import {statusOf} from './status.ts';

const cloning = dataVolume({source: {pvc: {namespace: 'images', name: 'golden'}}});
const shared = sharedSnapshot();
const ways: Readonly<Record<CloneRoute, CloneWay>> = {
	restore: 'snapshot',
	restoreOrCopy: 'snapshot',
	csiClone: 'csi-clone',
	copySnapshot: 'copy',
	copyClaim: 'copy',
};
const by = (route: CloneRoute): CloneDecision => ({way: ways[route], route, declined: []});
const ready = {state: 'ready', sharedSnapshot: 's', snapshotName: 'onesnap-1-0', minimumBytes: 1n << 30n} as const;
const pending = {state: 'pending', sharedSnapshot: 's', message: 'being cut'} as const;

const world = (given: Partial<Observed>) =>
	observedDataVolume(given.dataVolume ?? cloning, {clone: observedClone({serving: ready, shared}), ...given});

const owned = (options: ClaimOptions = {}) => claim({name: 'disk', phase: 'Pending', owner: cloning, ...options});
const restored = owned({dataSource: {kind: 'VolumeSnapshot', name: 'onesnap-1-0'}});
const byDriver = owned({dataSource: {kind: 'PersistentVolumeClaim', name: 'golden'}});
const populated = owned({dataSourceRef: {apiGroup: cdiGroup, kind: 'VolumeCloneSource', name: 'c'}});
const minute = 60_000;
const hour = 60 * minute;

const says = (code: string) => parseFailure(`rpc error: code = ${code} desc = words of the driver`);
const gaveUp = (...given: readonly CloneWay[]): GaveUp => ({
	ways: given.map((way) => ({way, code: 'OutOfRange', message: 'too small'})),
});

/** A claim that is being made, after so long, with this answer. */
function making(of: Observed['claim'], code: string | undefined, forMs = 0): Partial<Observed> {
	return {claim: of, ...(of && {making: {claim: of, failure: code === undefined ? undefined : says(code), forMs}})};
}

const planOf = (given: Partial<Observed>, clone: Partial<ObservedClone> = {}) =>
	decide(world({...given, clone: observedClone({serving: ready, shared, ...clone})}));
const given = (way: CloneWay, code: string) => ({do: 'recordTries', given: {way, code}});

describe('a restore', () => {
	test.each(['Aborted', 'ResourceExhausted', 'Unavailable', 'DeadlineExceeded', 'Canceled'])(
		'that is put off with %s waits, says so after a while, and ends much later than a silent one',
		(code) => {
			expect(planOf(making(restored, code))).toMatchObject({do: 'wait', reason: 'Restoring'});
			const message = `The storage puts claim ns/disk off (${code}): words of the driver`;
			expect(planOf(making(restored, code, 2 * minute))).toEqual({do: 'wait', reason: 'StorageBusy', message});
			expect(planOf(making(restored, code, 7 * hour))).toMatchObject({do: 'wait', reason: 'StorageBusy'});
			expect(planOf(making(restored, code, 9 * hour))).toMatchObject(given('snapshot', 'RestoreDeadline'));
		},
	);

	test.each(['InvalidArgument', 'OutOfRange', 'Unimplemented', 'FailedPrecondition'])(
		'that is refused with %s gives its way up, and remembers why before anything else',
		(code) => {
			const plan = planOf(making(restored, code));
			expect(plan).toMatchObject({
				...given('snapshot', code),
				dataVolume: {metadata: {uid: 'disk-uid'}},
				gaveUp: {ways: [{way: 'snapshot', code, message: 'words of the driver'}]},
			});
			expect(decisionEvents(plan)).toEqual([
				{
					type: 'Warning',
					reason: 'CloneWayGivenUp',
					message: `No longer tried by snapshot (${code}): words of the driver`,
				},
			]);
		},
	);

	test.each(['Internal', 'Unknown', 'AlreadyExists', 'PermissionDenied', 'Unauthenticated', 'DataLoss'])(
		'that fails with %s is waited for, in words, until its deadline',
		(code) => {
			const message = `The storage does not make claim ns/disk (${code}): words of the driver`;
			expect(planOf(making(restored, code))).toEqual({do: 'wait', reason: 'ProvisioningFailed', message});
			const late = planOf(making(restored, code, 2 * hour));
			expect(late).toMatchObject({given: {code: 'RestoreDeadline', message: expect.stringContaining(code)}});
		},
	);

	test('that a quota refuses is no fault of the storage, however long it takes', () => {
		const failure = parseFailure('persistentvolumes "x" is forbidden: exceeded quota: q');
		const plan = planOf({claim: restored, making: {claim: restored, failure, forMs: 99 * hour}});
		expect(plan).toMatchObject({
			do: 'wait',
			reason: 'ProvisioningFailed',
			message: expect.stringContaining('quota: q'),
		});
	});

	test('of which nothing is heard is given up at its deadline, which class and driver set', () => {
		expect(planOf(making(restored, undefined, 59 * minute))).toMatchObject({do: 'wait', reason: 'Restoring'});
		expect(planOf(making(restored, undefined, 61 * minute))).toMatchObject(given('snapshot', 'RestoreDeadline'));
		const policy = {...defaultPolicy, restoreDeadlineSeconds: 30};
		expect(planOf(making(restored, undefined, minute), {policy})).toMatchObject(given('snapshot', 'RestoreDeadline'));
	});

	test('that was given up is abandoned', () => {
		expect(planOf(making(restored, 'OutOfRange'), {gaveUp: gaveUp('snapshot')})).toEqual({
			do: 'abandonClaim',
			claim: restored,
		});
	});
});

describe('a shared snapshot that the storage lost', () => {
	const lost = {shared, message: 'words of the driver'};
	const once: GaveUp = {ways: [], lostClaim: 'disk-uid'};

	test('is reported and remembered, then the claim is abandoned, which reports it again after a crash', () => {
		expect(planOf(making(restored, 'NotFound'))).toEqual({do: 'recordTries', dataVolume: cloning, gaveUp: once, lost});
		expect(planOf(making(restored, 'NotFound'), {gaveUp: once})).toEqual({do: 'abandonClaim', claim: restored, lost});
		expect(decide(world({clone: observedClone({gaveUp: once})}))).toMatchObject({do: 'askForSnapshot'});
	});

	test('twice for one clone gives the way up', () => {
		const second = {ways: [], lostClaim: 'claim-of-before'};
		expect(planOf(making(restored, 'NotFound'), {gaveUp: second})).toMatchObject({
			...given('snapshot', 'NotFound'),
			lost,
		});
	});

	test('may be on another node, where storage is node-local: the way is given up, the snapshot is not', () => {
		const policy = {...defaultPolicy, nodeLocal: true};
		const plan = planOf(making(restored, 'NotFound'), {policy});
		expect(plan).toMatchObject(given('snapshot', 'NotFound'));
		expect(plan).not.toHaveProperty('lost');
	});

	test('under a copy that is restored from it is the same', () => {
		const copySource = claim({name: 'tmp', phase: 'Pending', dataSource: restored.spec.dataSource});
		const there = {...copying(), ...making(copySource, 'NotFound'), claim: populated};
		const clone = {decision: by('copySnapshot')};
		expect(planOf(there, clone)).toMatchObject({do: 'recordTries', gaveUp: {lostClaim: 'tmp-uid'}, lost});
		expect(planOf(there, {...clone, gaveUp: {ways: [], lostClaim: 'tmp-uid'}})).toEqual({
			do: 'abandonClaim',
			claim: populated,
			lost,
		});
	});
});

describe('a clone by the driver', () => {
	const clone = {decision: by('csiClone'), serving: {state: 'none'}} as const;

	test('names the source, at its size where the driver wants that', () => {
		const equal = {...clone, minimumBytes: 1n << 29n, policy: {...defaultPolicy, equalSizeCsiClone: true}};
		expect(planOf({}, clone)).toMatchObject({
			do: 'restoreClaim',
			pace: {start: 8, most: 32},
			claim: {
				spec: {dataSource: {kind: 'PersistentVolumeClaim', name: 'golden'}, resources: {requests: {storage: '1Gi'}}},
			},
		});
		expect(planOf({}, equal)).toMatchObject({claim: {spec: {resources: {requests: {storage: '512Mi'}}}}});
	});

	test.each(['InvalidArgument', 'Unimplemented', 'NotFound'])('that fails with %s gives its way up', (code) => {
		const plan = planOf(making(byDriver, code), clone);
		expect(plan).toMatchObject(given('csi-clone', code));
		expect(plan).not.toHaveProperty('lost');
		expect(planOf(making(byDriver, code), {...clone, gaveUp: gaveUp('csi-clone')}).do).toBe('abandonClaim');
	});

	test('grows after an equal-size clone', () => {
		const wanted = {...byDriver.metadata.annotations, [annotations.growTo]: '1Gi'};
		const bound = {
			...byDriver,
			status: {phase: 'Bound' as const},
			metadata: {...byDriver.metadata, annotations: wanted},
		};
		const small = {...bound, spec: {...bound.spec, resources: {requests: {storage: '512Mi'}}}};
		expect(planOf({claim: small}, clone)).toMatchObject({do: 'growClaim', request: '1Gi'});
	});
});

describe('a cut', () => {
	const cutting = (error: string | undefined, since = '2026-01-01T00:00:00Z') => ({
		serving: {
			...pending,
			cut: {since, isBegun: true, error: error && `rpc error: code = ${error} desc = words of the driver`},
		},
	});

	test.each(['InvalidArgument', 'OutOfRange', 'Unimplemented', 'FailedPrecondition', 'NotFound'])(
		'that is refused with %s gives its way up',
		(code) => {
			expect(planOf({}, cutting(code))).toMatchObject(given('snapshot', code));
			const copy = {...cutting(code), decision: by('copySnapshot')};
			expect(planOf({}, copy)).toMatchObject(given('copy', code));
			expect(planOf({}, {...copy, decision: by('restoreOrCopy')})).toMatchObject(given('snapshot', code));
		},
	);

	test.each(['Aborted', 'ResourceExhausted', 'Unavailable', 'DeadlineExceeded', 'Canceled', 'Internal'])(
		'that fails with %s is waited for, in the words of the storage',
		(code) => {
			const message = `being cut. The storage says (${code}): words of the driver`;
			expect(planOf({}, cutting(code))).toEqual({do: 'wait', reason: 'SnapshotNotReady', message});
		},
	);

	const after = (ms: number) => ({nowMs: Date.parse('2026-01-01T00:00:00Z') + ms});

	test('that is not ready in time is given up, later where the storage is busy', () => {
		expect(planOf(after(59 * minute), cutting(undefined))).toMatchObject({do: 'wait', message: 'being cut'});
		expect(planOf(after(61 * minute), cutting(undefined))).toMatchObject(given('snapshot', 'CutDeadline'));
		expect(planOf(after(119 * minute), cutting('ResourceExhausted'))).toMatchObject({do: 'wait'});
		expect(planOf(after(121 * minute), cutting('ResourceExhausted'))).toMatchObject(given('snapshot', 'CutDeadline'));
		const policy = {...defaultPolicy, cutDeadlineSeconds: 86_400};
		expect(planOf(after(9 * hour), {...cutting(undefined), policy})).toMatchObject({do: 'wait'});
	});

	test('that has not begun waits much longer, because other cuts come first', () => {
		const serving = {...pending, cut: {since: '2026-01-01T00:00:00Z', isBegun: false, error: undefined}};
		expect(planOf(after(7 * hour), {serving})).toMatchObject({do: 'wait', reason: 'SnapshotNotReady'});
		expect(planOf(after(9 * hour), {serving})).toMatchObject(given('snapshot', 'CutDeadline'));
	});

	test('that cannot be made available in another namespace has no deadline: a quota there is for people to raise', () => {
		expect(planOf(after(99 * hour), {serving: pending})).toMatchObject({do: 'wait', reason: 'SnapshotNotReady'});
	});
});

describe('a snapshot that the sidecar does not find for another namespace', () => {
	const unlisted = 'Failed to check and update snapshot content: can not find snapshot for snapshotID cut-1';
	const since = '2026-01-01T00:00:00Z';
	const after = (ms: number) => ({nowMs: Date.parse(since) + ms});
	const seen = (error: string | undefined) => ({serving: {...pending, alias: {uid: 'alias-uid', since, error}}});
	const lost = {shared, message: unlisted};
	const once: GaveUp = {ways: [], lostClaim: 'alias-uid'};

	test('is lost, once the storage had time to list it: reported and remembered, and again after a crash', () => {
		expect(planOf(after(29_000), seen(unlisted))).toMatchObject({do: 'wait', reason: 'SnapshotNotReady'});
		const tries = {do: 'recordTries', dataVolume: cloning, gaveUp: once, lost};
		expect(planOf(after(31_000), seen(unlisted))).toEqual(tries);
		expect(planOf(after(31_000), {...seen(unlisted), gaveUp: once})).toEqual(tries);
	});

	test('gives its way up the second time', () => {
		const before = {ways: [], lostClaim: 'alias-of-before'};
		expect(planOf(after(31_000), {...seen(unlisted), gaveUp: before})).toMatchObject({
			...given('snapshot', 'NotFound'),
			lost,
		});
	});

	test('or that it says nothing of is waited for until the deadline', () => {
		for (const error of [undefined, 'rpc error: code = Internal desc = on fire']) {
			expect(planOf(after(59 * minute), seen(error))).toMatchObject({do: 'wait', reason: 'SnapshotNotReady'});
			expect(planOf(after(61 * minute), seen(error))).toMatchObject(given('snapshot', 'CutDeadline'));
		}
	});
});

function population(stage: Population['stage']): Population {
	return {
		...{stage, inPlace: false, way: 'copy', reason: undefined, message: 'm', restarts: 0, lastFailure: undefined},
		...{podReason: undefined, podMessage: undefined, podRunning: false},
	};
}
const ofSnapshot = cloneSource({namespace: 'images', of: {kind: 'VolumeSnapshot', name: 'onesnap-1-0'}});
const ofClaim = cloneSource({namespace: 'images'});

/** A claim that the populate layer fills from the shared snapshot. */
function copying(stage: Population['stage'] = 'scheduled'): Partial<Observed> {
	return {claim: populated, cloneSource: ofSnapshot, population: population(stage)};
}

describe('a copy', () => {
	test('asks for a snapshot in the namespace of the source, and reads from that', () => {
		const asked = planOf({}, {decision: by('copySnapshot'), serving: {state: 'none'}});
		expect(asked).toMatchObject({do: 'askForSnapshot', request: {way: 'copy', restoresIn: 'images'}});
		const clone = {decision: by('copySnapshot'), minimumBytes: 1n << 30n};
		expect(planOf({}, clone)).toMatchObject({
			do: 'createCloneSource',
			source: {
				metadata: {namespace: 'images', annotations: {[annotations.minimumSize]: '1Gi'}},
				spec: {source: {kind: 'VolumeSnapshot', name: 'onesnap-1-0'}},
			},
		});
		expect(planOf({cloneSource: ofSnapshot}, clone)).toMatchObject({
			do: 'createClaim',
			claim: {metadata: {annotations: {[annotations.cloneType]: 'copy'}}},
		});
	});

	test('reads from the claim where it cannot be cut', () => {
		const clone = {decision: by('copyClaim'), serving: {state: 'none'}} as const;
		expect(planOf({}, clone)).toMatchObject({
			do: 'createCloneSource',
			source: {spec: {source: {kind: 'PersistentVolumeClaim', name: 'golden'}}},
		});
	});

	test('replaces what named the way before', () => {
		const clone = {decision: by('copyClaim'), serving: {state: 'none'}, gaveUp: gaveUp('copy')} as const;
		expect(planOf({cloneSource: ofSnapshot}, clone)).toEqual({do: 'deleteCloneSource', source: ofSnapshot});
		const leaving = cloneSource({of: {kind: 'VolumeSnapshot', name: 'onesnap-1-0'}, deleting: true});
		expect(planOf({cloneSource: leaving}, clone)).toMatchObject({do: 'wait'});
		expect(planOf({cloneSource: ofClaim}, clone)).toMatchObject({do: 'createClaim'});
	});

	test('whose snapshot is lost before it is read begins anew; later it has what it needs', () => {
		const clone = {decision: by('copySnapshot'), serving: {state: 'none'}} as const;
		expect(planOf(copying('waiting'), clone)).toEqual({do: 'abandonClaim', claim: populated});
		expect(planOf(copying('running'), clone)).toMatchObject({do: 'wait', reason: 'Population'});
		const another = {decision: by('copySnapshot')};
		expect(planOf({...copying('waiting'), snapshotLost: true}, another)).toEqual({
			do: 'abandonClaim',
			claim: populated,
		});
		expect(planOf({...copying('running'), snapshotLost: true}, another)).toMatchObject({do: 'wait'});
	});

	test('whose snapshot is lost while it is restored to be read begins anew', () => {
		const copySource = claim({name: 'tmp', phase: 'Pending', dataSource: restored.spec.dataSource});
		const clone = {decision: by('copySnapshot'), serving: {state: 'none'}} as const;
		const restoring = {...copying('scheduled'), making: {claim: copySource, failure: undefined, forMs: 0}};
		expect(planOf(restoring, clone)).toEqual({do: 'abandonClaim', claim: populated});
	});

	test('whose source is gone with what it was read from says so', () => {
		const problem = {reason: 'CloneWithoutSource', message: 'gone'} as const;
		const clone = {decision: undefined, problem, serving: {state: 'none'}} as const;
		const orphan = {...copying('waiting'), cloneSource: undefined};
		const plan = planOf(orphan, clone);
		expect(plan).toEqual({do: 'wait', ...problem});
		const status = statusOf(world({...orphan, clone: observedClone(clone)}), plan, {});
		expect(status?.conditions).toContainEqual(expect.objectContaining({type: 'Bound', reason: 'CloneWithoutSource'}));
	});

	test('that cannot be restored to be read goes on from the claim itself', () => {
		const copySource = claim({name: 'tmp', phase: 'Pending', dataSource: restored.spec.dataSource});
		const failing = {...copying(), ...making(copySource, 'InvalidArgument'), claim: populated};
		expect(planOf(failing, {decision: by('copySnapshot')})).toMatchObject(given('copy', 'InvalidArgument'));
		expect(planOf(failing, {decision: by('restoreOrCopy')})).toMatchObject(given('snapshot', 'InvalidArgument'));
		const clone = {decision: by('copyClaim'), gaveUp: gaveUp('copy')};
		expect(planOf(failing, clone)).toEqual({do: 'abandonClaim', claim: populated});
	});

	test('that the storage does not make either has no way left: it says what was tried, and waits', () => {
		const prime = claim({name: 'prime', phase: 'Pending'});
		const failing = {...copying(), cloneSource: ofClaim, ...making(prime, 'OutOfRange', 99 * hour), claim: populated};
		const clone = {decision: by('copyClaim'), gaveUp: gaveUp('snapshot', 'csi-clone')};
		const plan = planOf(failing, clone);
		expect(plan).toEqual({
			do: 'wait',
			reason: 'ProvisioningFailed',
			message:
				'The storage does not make claim ns/prime (OutOfRange): words of the driver. Tried before: snapshot (OutOfRange: too small), csi-clone (OutOfRange: too small)',
		});
		const status = statusOf(world({...failing, clone: observedClone(clone)}), plan, {});
		expect(status?.conditions).toContainEqual(expect.objectContaining({type: 'Bound', reason: 'ProvisioningFailed'}));
	});

	test('of a snapshot that the user named, which is lost, has no way left', () => {
		const named = dataVolume({source: {snapshot: {namespace: 'ns', name: 'mine'}}});
		const clone = {origin: {kind: 'VolumeSnapshot', namespace: 'ns', name: 'mine'}, serving: undefined} as const;
		const there = {snapshot: snapshot({name: 'mine'}), ...clone};
		const of = claim({
			name: 'disk',
			phase: 'Pending',
			owner: named,
			dataSource: {kind: 'VolumeSnapshot', name: 'mine'},
		});
		const failing = {...making(of, 'NotFound'), dataVolume: named};
		expect(planOf(failing, there)).toMatchObject({do: 'wait', reason: 'ProvisioningFailed'});
		expect(planOf({...failing, ...making(of, 'OutOfRange')}, there)).toMatchObject(given('snapshot', 'OutOfRange'));
	});
});

describe('a clone whose node is not known yet', () => {
	const clone = {decision: by('restoreOrCopy')};

	test('is left to the populate layer, with no word on its way', () => {
		const plan = planOf({cloneSource: ofSnapshot}, clone);
		expect(plan).toMatchObject({do: 'createClaim', claim: {spec: {dataSourceRef: {kind: 'VolumeCloneSource'}}}});
		expect(plan.do === 'createClaim' && plan.claim.metadata.annotations).not.toHaveProperty([annotations.cloneType]);
	});

	test('is told what happened: on the claim, and when it is there on the DataVolume', () => {
		expect(planOf({...copying(), happened: 'snapshot'}, clone)).toEqual({
			do: 'recordWay',
			on: populated,
			way: 'snapshot',
		});
		expect(planOf({...copying(), happened: 'copy'}, clone)).toMatchObject({
			do: 'recordWay',
			way: 'copy',
			because: {code: 'SourceOnOtherNode'},
		});
		const annotated = owned({...populated.spec, annotations: {[annotations.cloneType]: 'snapshot'}});
		expect(planOf({...copying(), claim: annotated, happened: 'snapshot'}, clone)).toMatchObject({do: 'wait'});
		const bound = {...annotated, status: {phase: 'Bound' as const}};
		const done = {claim: bound, population: population('done')};
		const way = {[annotations.cloneType]: 'snapshot'};
		expect(planOf(done, clone)).toEqual({do: 'markDataVolume', dataVolume: cloning, annotations: way});
		const told = dataVolume({
			...cloning.metadata,
			source: cloning.spec.source ?? {},
			annotations: {[annotations.cloneType]: 'snapshot'},
		});
		expect(planOf({...done, dataVolume: told}, clone)).toEqual({do: 'nothing'});
	});
});

describe('a source in use', () => {
	const writers = [pod({name: 'vm', namespace: 'images', mounts: [{claim: 'golden'}]})];
	const crashConsistent = (plan: DataVolumePlan) => decisionEvents(plan).map(({type, reason}) => `${type} ${reason}`);

	test('is cut all the same, and the clone says what it is then', () => {
		const asked = planOf({}, {writers, serving: {state: 'none'}});
		expect(asked).toMatchObject({do: 'askForSnapshot', writer: 'images/vm'});
		expect(crashConsistent(asked)).toEqual(['Normal CrashConsistent']);
		expect(decisionEvents(asked)[0]?.message).toContain('images/vm');
		const cloned = planOf({}, {writers, decision: by('csiClone')});
		expect(crashConsistent(cloned)).toEqual(['Normal CrashConsistent']);
	});

	test('that is not written to needs no word', () => {
		expect(crashConsistent(planOf({}, {serving: {state: 'none'}}))).toEqual([]);
	});

	test.each(['restore', 'copySnapshot', 'csiClone'] as const)('is waited for where quiet is asked for: %s', (route) => {
		const quiet = {wantsQuiet: true, decision: by(route), serving: {state: 'none'}} as const;
		expect(planOf({}, {...quiet, writers})).toEqual({
			do: 'wait',
			reason: 'CloneSourceInUse',
			message: 'pod images/vm using PersistentVolumeClaim golden',
		});
		expect(planOf({}, quiet).do).not.toBe('wait');
	});

	test('that was seen too late is told when the clone is made, if it was there before the cut', () => {
		const cutAfter = '2026-01-01T00:00:10Z';
		const of = (created: string) => [pod({name: 'vm', namespace: 'images', mounts: [{claim: 'golden'}], created})];
		const late = {serving: {...ready, cutAfter}};
		expect(crashConsistent(planOf({}, {...late, writers: of('2026-01-01T00:00:09Z')}))).toHaveLength(1);
		expect(crashConsistent(planOf({}, {...late, writers: of('2026-01-01T00:00:11Z')}))).toEqual([]);
	});

	test('is asked of the server itself where quiet is asked for', () => {
		const claimed = {quiet: {namespace: 'images', name: 'golden'}};
		const quiet = {wantsQuiet: true, serving: {state: 'none'}} as const;
		expect(planOf({}, quiet)).toMatchObject({do: 'askForSnapshot', ...claimed});
		expect(planOf({}, {...quiet, decision: by('csiClone')})).toMatchObject({do: 'restoreClaim', ...claimed});
		expect(planOf({}, {serving: {state: 'none'}})).toMatchObject({quiet: undefined});
	});

	test('after the cut is of no interest any more', () => {
		expect(planOf({}, {wantsQuiet: true, writers})).toMatchObject({do: 'restoreClaim'});
	});
});

test('a source that goes after the cut does not bring back a way that was given up', () => {
	const problem = {reason: 'CloneWithoutSource', message: 'gone'} as const;
	const gone = {problem, decision: undefined};
	expect(planOf({}, gone)).toMatchObject({do: 'restoreClaim'});
	expect(planOf({}, {...gone, serving: {state: 'none'}})).toMatchObject({do: 'wait', reason: 'CloneWithoutSource'});
	const copied = dataVolume({
		...cloning.metadata,
		source: cloning.spec.source ?? {},
		annotations: {[annotations.cloneType]: 'copy'},
	});
	expect(planOf({dataVolume: copied}, gone)).toMatchObject({do: 'createCloneSource'});
});
