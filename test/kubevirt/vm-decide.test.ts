import {describe, expect, test} from 'vitest';
import type {DataVolumePhase} from '../../src/api/datavolume.ts';
import {claim, dataVolume, instance, template, vm, type VmOptions} from './builders.ts';
import {decideVm, type ObservedTemplate, type ObservedVm} from './vm-decide.ts';

const nowMs = Date.parse('2026-11-21T20:00:00Z');

function observed(changes: Partial<ObservedVm> = {}): ObservedVm {
	const given = changes.vm ?? vm();
	const templates: readonly ObservedTemplate[] =
		changes.templates ??
		(given.spec.dataVolumeTemplates ?? []).map((template) => ({
			template,
			dataVolume: dataVolume({name: template.metadata.name}),
			claim: claim({name: template.metadata.name}),
		}));
	return {
		vm: given,
		instance: undefined,
		templates,
		findDataVolume: (name) => templates.find(({dataVolume}) => dataVolume?.metadata.name === name)?.dataVolume,
		expecting: false,
		nowMs,
		pace: 1,
		jitter: 0,
		...changes,
	};
}

const without = (more: Partial<ObservedTemplate> = {}): ObservedTemplate => ({
	template: template(),
	dataVolume: undefined,
	claim: undefined,
	...more,
});
const withPhase = (phase: DataVolumePhase, more: Partial<ObservedTemplate> = {}): ObservedTemplate => ({
	template: template(),
	dataVolume: dataVolume({phase}),
	claim: claim({phase: 'Pending'}),
	...more,
});

const doings = (plan: ReturnType<typeof decideVm>) => plan.actions.map((action) => action.do);
const reasons = (plan: ReturnType<typeof decideVm>) => plan.events.map(({reason}) => reason);

describe('the DataVolumes of a VM', () => {
	test.each<[string, VmOptions]>([
		['one that is to run', {}],
		['one that is Halted', {runStrategy: 'Halted'}],
		[
			'one that is to run, with immediate creation switched off',
			{annotations: {'kubevirt.io/immediate-data-volume-creation': 'false'}},
		],
	])('are made for %s', (_, options) => {
		expect(doings(decideVm(observed({vm: vm(options), templates: [without()]})))).toEqual(['createDataVolume']);
	});

	test('are not made for a Halted one with immediate creation switched off', () => {
		const annotations = {'kubevirt.io/immediate-data-volume-creation': 'false'};
		const halted = vm({runStrategy: 'Halted', annotations});
		expect(doings(decideVm(observed({vm: halted, templates: [without()]})))).toEqual([]);
	});

	test('are made together', () => {
		const templates = [without(), without({template: template({name: 'vm-data'})})];
		expect(doings(decideVm(observed({templates})))).toEqual(['createDataVolume', 'createDataVolume']);
	});

	test('are made where a claim of that name is there already, and are told from others then', () => {
		const {actions} = decideVm(observed({templates: [without({claim: claim({dataVolume: undefined})})]}));
		expect(actions).toMatchObject([{do: 'createDataVolume', claimExists: true}]);
	});

	test('are not made twice while the first is not seen yet, nor for a VM that is deleted', () => {
		expect(doings(decideVm(observed({templates: [without()], expecting: true})))).toEqual([]);
		expect(doings(decideVm(observed({vm: vm({deleted: true}), templates: [without()]})))).toEqual([]);
	});

	test('wait for a DataSource that is not there, as a failure', () => {
		const plan = decideVm(observed({templates: [without({resolved: {error: 'DataSource ns/os is not there'}})]}));
		expect(doings(plan)).toEqual([]);
		expect(plan.failure).toBe('DataSource ns/os is not there');
	});

	test('are made although their source claim is not there, with a warning', () => {
		const plan = decideVm(observed({templates: [without({missingSource: 'golden/os'})]}));
		expect(doings(plan)).toEqual(['createDataVolume']);
		expect(reasons(plan)).toEqual(['SourcePVCNotAvailabe']);
	});

	test('are not made without the right to clone', () => {
		const plan = decideVm(observed({templates: [without({denied: 'no'})]}));
		expect(doings(plan)).toEqual([]);
		expect(reasons(plan)).toEqual(['UnauthorizedDataVolumeCreate']);
		expect(plan.failure).toContain('no');
	});

	test('that are nobody’s are taken over, those of somebody else are not', () => {
		const owned = (owners: Parameters<typeof dataVolume>[0]) => [
			{template: template(), dataVolume: dataVolume(owners), claim: claim()},
		];
		expect(doings(decideVm(observed({templates: owned({owners: []})})))).toEqual(['adopt', 'createInstance']);
		const other = {apiVersion: 'v1', kind: 'Other', name: 'other', uid: 'other', controller: true};
		const plan = decideVm(observed({templates: owned({owners: [other]})}));
		expect(doings(plan)).toEqual([]);
		expect(plan.failure).toContain('somebody else');
	});
});

describe('an instance', () => {
	test.each<[DataVolumePhase, boolean]>([
		['', false],
		['Pending', false],
		['ImportInProgress', false],
		['SnapshotForSmartCloneInProgress', false],
		['Unknown', false],
		['WaitForFirstConsumer', true],
		['PendingPopulation', true],
		['Succeeded', true],
	])('with a disk in phase "%s" is made: %s', (phase, expected) => {
		expect(doings(decideVm(observed({templates: [withPhase(phase)]})))).toEqual(expected ? ['createInstance'] : []);
	});

	test('is not made for a disk that Failed, which is told each time', () => {
		const plan = decideVm(observed({templates: [withPhase('Failed')]}));
		expect(doings(plan)).toEqual([]);
		expect(reasons(plan)).toEqual(['FailedDataVolumeImport']);
		expect(plan.failure).toBeUndefined();
	});

	test('is not made for a disk that has no quota, which is an error', () => {
		const refused = dataVolume({
			phase: 'Pending',
			bound: {status: 'False', reason: 'ErrExceededQuota', message: 'full'},
		});
		const plan = decideVm(observed({templates: [withPhase('Pending', {dataVolume: refused, claim: undefined})]}));
		expect(doings(plan)).toEqual([]);
		expect(plan.failure).toBe('full');
	});

	test('is not made before there is a claim, whatever the DataVolume says', () => {
		expect(doings(decideVm(observed({templates: [withPhase('Succeeded', {claim: undefined})]})))).toEqual([]);
	});

	test('of a claim without a DataVolume as its controller is made, whatever the DataVolume says', () => {
		const given = withPhase('Pending', {claim: claim({dataVolume: undefined})});
		expect(doings(decideVm(observed({templates: [given]})))).toEqual(['createInstance']);
	});

	test('of a claim whose DataVolume is gone is an error', () => {
		const given = withPhase('Succeeded', {claim: claim({dataVolume: 'gone'})});
		expect(decideVm(observed({templates: [given]})).failure).toContain('gone');
	});

	test('is deleted when the VM is halted, also while a disk is not ready', () => {
		const halted = {vm: vm({runStrategy: 'Halted'}), instance: instance({phase: 'Running'})};
		expect(doings(decideVm(observed(halted)))).toEqual(['deleteInstance']);
		expect(doings(decideVm(observed({...halted, templates: [withPhase('CloneInProgress')]})))).toEqual([
			'deleteInstance',
		]);
	});

	test('is frozen when a disk leaves its phase: a restart is not carried out', () => {
		const asked = vm({status: {stateChangeRequests: [{action: 'Stop', uid: 'instance-uid'}, {action: 'Start'}]}});
		const running = {vm: asked, instance: instance({phase: 'Running'})};
		expect(doings(decideVm(observed({...running, templates: [withPhase('Pending')]})))).toEqual([]);
		expect(doings(decideVm(observed(running)))).toEqual(['deleteInstance']);
	});

	test('that is restarted goes, and comes again', () => {
		const status = {stateChangeRequests: [{action: 'Stop', uid: 'instance-uid'}, {action: 'Start'}]} as const;
		const asked = vm({status, runStrategy: 'Manual'});
		expect(doings(decideVm(observed({vm: asked, instance: instance({phase: 'Running'})})))).toEqual(['deleteInstance']);
		expect(doings(decideVm(observed({vm: asked, instance: instance({deleted: true})})))).toEqual([]);
		const gone = decideVm(observed({vm: asked}));
		expect(doings(gone)).toEqual(['createInstance']);
		expect(gone.requests).toEqual([{action: 'Start'}]);
		const there = decideVm(observed({vm: vm({status: {stateChangeRequests: gone.requests}}), instance: instance()}));
		expect(there.requests).toEqual([]);
	});

	test('that ended is made anew', () => {
		expect(doings(decideVm(observed({instance: instance({phase: 'Succeeded'})})))).toEqual(['deleteInstance']);
	});

	test('that never came up is made anew after a pause that grows', () => {
		const failed = instance({phase: 'Failed'});
		const first = decideVm(observed({instance: failed}));
		expect(doings(first)).toEqual(['deleteInstance']);
		expect(first.startFailure).toMatchObject({consecutiveFailCount: 1, retryAfter: '2026-11-21T20:00:10.000Z'});
		const again = vm({status: {startFailure: {consecutiveFailCount: 3, lastFailedUid: 'other', retryAfter: ''}}});
		expect(decideVm(observed({vm: again, instance: failed})).startFailure).toMatchObject({
			consecutiveFailCount: 4,
			retryAfter: '2026-11-21T20:02:40.000Z',
		});
		const counted = vm({status: {startFailure: first.startFailure!}});
		expect(decideVm(observed({vm: counted, instance: failed})).startFailure?.consecutiveFailCount).toBe(1);
		const waiting = decideVm(observed({vm: counted}));
		expect(doings(waiting)).toEqual([]);
		expect(waiting.recheckAfterMs).toBe(10_000);
		expect(doings(decideVm(observed({vm: counted, nowMs: nowMs + 10_000})))).toEqual(['createInstance']);
	});

	test('that came up once and failed is no start failure', () => {
		const failed = instance({phase: 'Failed', conditions: [{type: 'Ready', status: 'True'}]});
		expect(decideVm(observed({instance: failed})).startFailure).toBeUndefined();
	});
});
