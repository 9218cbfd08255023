import {describe, expect, test} from 'vitest';
import type {Condition} from '../../src/api/conditions.ts';
import {findCondition} from '../../src/api/conditions.ts';
import {claim, dataVolume, instance, pod} from './builders.ts';
import type {Readiness} from './readiness.ts';
import {decideInstance, type InstancePlan, type ObservedInstance, type ObservedVolume} from './vmi-decide.ts';

function volume(
	is: Exclude<Readiness['is'], 'quotaExceeded' | 'orphaned'>,
	ready?: Condition['status'],
): ObservedVolume {
	return {
		name: 'vm-root',
		claimName: 'vm-root',
		claim: is === 'claimMissing' ? undefined : claim(),
		dataVolume: dataVolume(ready ? {ready} : {}),
		isDataVolume: true,
		readiness: {is},
	};
}

function decide(changes: Partial<ObservedInstance> = {}): InstancePlan {
	return decideInstance({
		instance: instance(),
		volumes: [volume('ready')],
		pods: [],
		overhead: () => ({value: '0.06'}),
		now: '2026-11-21T20:00:00Z',
		...changes,
	});
}

const actions = (plan: InstancePlan) =>
	plan.actions.map((action) =>
		action.do === 'createPod' ? `create ${action.temporary ? 'temporary' : 'launcher'}` : action.do,
	);

describe('an instance without Pod', () => {
	test.each([
		['ready', ['create launcher'], 'Scheduling'],
		['pendingPopulation', ['create launcher'], 'Scheduling'],
		['waitForFirstConsumer', ['create temporary'], 'Pending'],
		['provisioning', [], 'Pending'],
		['failed', [], 'Failed'],
		['claimMissing', [], 'Pending'],
	] as const)('whose disk is %s: %s, %s', (is, expected, phase) => {
		const plan = decide({volumes: [volume(is)]});
		expect(actions(plan)).toEqual(expected);
		expect(plan.status.phase).toBe(phase);
	});

	test('says that a claim is missing', () => {
		const {status} = decide({volumes: [volume('claimMissing')]});
		expect(findCondition(status.conditions, 'Synchronized')).toMatchObject({
			status: 'False',
			reason: 'FailedPvcNotFound',
		});
	});

	test('whose claim is of a DataVolume that is gone is an error', () => {
		const readiness = {is: 'orphaned', message: 'gone'} as const;
		expect(decide({volumes: [{...volume('ready'), readiness}]}).failure).toBe('gone');
	});

	test('waits for all of its disks', () => {
		expect(actions(decide({volumes: [volume('ready'), volume('provisioning')]}))).toEqual([]);
		expect(actions(decide({volumes: [volume('ready'), volume('pendingPopulation')]}))).toEqual(['create launcher']);
		expect(actions(decide({volumes: [volume('pendingPopulation'), volume('waitForFirstConsumer')]}))).toEqual([
			'create temporary',
		]);
	});
});

describe('a temporary Pod', () => {
	const temporary = (phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed') => [pod({temporary: true, phase})];

	test('is made once', () => {
		expect(actions(decide({volumes: [volume('waitForFirstConsumer')], pods: temporary('Running')}))).toEqual([]);
	});

	test('goes at once when the DataVolume has left its phase, and the real one waits for the end', () => {
		const plan = decide({volumes: [volume('provisioning')], pods: temporary('Succeeded')});
		expect(plan.actions).toMatchObject([{do: 'deletePod', gracePeriodSeconds: 0}]);
		expect(actions(decide({volumes: [volume('provisioning')]}))).toEqual([]);
	});

	test('that fails fails the instance', () => {
		expect(decide({volumes: [volume('waitForFirstConsumer')], pods: temporary('Failed')}).status.phase).toBe('Failed');
	});
});

describe('an instance with a launcher', () => {
	test('runs when its Pod is ready, with the overhead and preallocation of its disks', () => {
		const preallocated = {
			...volume('ready'),
			claim: claim({annotations: {'cdi.kubevirt.io/storage.preallocation': 'true'}}),
		};
		const {status} = decide({volumes: [preallocated], pods: [pod({ready: true})]});
		expect(status.phase).toBe('Running');
		expect(status.volumeStatus).toEqual([
			{name: 'vm-root', claimName: 'vm-root', filesystemOverhead: '0.06', preallocated: true},
		]);
	});

	test('does not run without an overhead, unless its disks are devices', () => {
		const overhead = () => ({error: 'no CDIConfig'});
		const plan = decide({pods: [pod({ready: true})], overhead});
		expect(plan.failure).toContain('no CDIConfig');
		expect(plan.status.phase).not.toBe('Running');
		const block = {...volume('ready'), claim: claim({spec: {volumeMode: 'Block'}})};
		expect(decide({volumes: [block], pods: [pod({ready: true})], overhead}).status.phase).toBe('Running');
	});

	test.each([
		['is being started', pod({phase: 'Pending'}), 'Scheduling'],
		['is up, but has not looked at its disks', pod(), 'Scheduling'],
		['failed', pod({phase: 'Failed'}), 'Failed'],
		['ended', pod({phase: 'Succeeded'}), 'Succeeded'],
		['is deleted by somebody', pod({deleted: true}), 'Failed'],
	] as const)('whose Pod %s', (_, launcher, phase) => {
		expect(decide({pods: [launcher]}).status.phase).toBe(phase);
	});

	test('does not mind what its DataVolume says later', () => {
		expect(decide({volumes: [volume('failed')], pods: [pod({ready: true})]}).status.phase).toBe('Running');
	});

	test('says what its Pod waits for', () => {
		const {conditions} = decide({pods: [pod({phase: 'Pending', unschedulable: true})]}).status;
		expect(findCondition(conditions, 'PodScheduled')).toMatchObject({status: 'False', reason: 'Unschedulable'});
		const pulling = decide({pods: [pod({phase: 'Pending', waiting: 'ImagePullBackOff'})]}).status;
		expect(findCondition(pulling.conditions, 'Synchronized')).toMatchObject({
			status: 'False',
			reason: 'ImagePullBackOff',
		});
	});

	test('has failed when its Pod is gone', () => {
		expect(decide({instance: instance({phase: 'Running'})}).status.phase).toBe('Failed');
	});
});

describe('an instance that is deleted', () => {
	const deleted = instance({phase: 'Running', deleted: true});

	test('takes its Pod with it, and goes when that is gone', () => {
		expect(actions(decide({instance: deleted, pods: [pod({ready: true})]}))).toEqual(['deletePod']);
		expect(actions(decide({instance: deleted, pods: [pod({deleted: true})]}))).toEqual([]);
		expect(actions(decide({instance: deleted}))).toEqual(['removeFinalizer']);
	});
});

describe('the condition DataVolumesReady', () => {
	const told = (...volumes: readonly ObservedVolume[]) =>
		findCondition(decide({volumes}).status.conditions, 'DataVolumesReady')?.reason;

	test('is true when all are', () => {
		expect(told(volume('ready', 'True'), volume('ready', 'True'))).toBe('AllDVsReady');
		expect(told(volume('ready', 'True'), volume('ready', 'False'))).toBe('NotAllDVsReady');
		expect(told(volume('ready', 'True'), volume('ready'))).toBe('NotAllDVsReady');
	});

	test('is not there without DataVolumes', () => {
		expect(told({...volume('ready'), isDataVolume: false})).toBeUndefined();
	});
});
