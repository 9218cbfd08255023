import {describe, expect, test} from 'vitest';
import type {DataVolumePhase} from '../../src/api/datavolume.ts';
import {claim, dataVolume} from './builders.ts';
import {letsStart, phaseReadiness, readinessOf} from './readiness.ts';

describe('a phase', () => {
	test.each<[DataVolumePhase, boolean]>([
		['', false],
		['Pending', false],
		['PVCBound', false],
		['ImportScheduled', false],
		['ImportInProgress', false],
		['CloneScheduled', false],
		['CloneInProgress', false],
		['SnapshotForSmartCloneInProgress', false],
		['CloneFromSnapshotSourceInProgress', false],
		['PrepClaimInProgress', false],
		['RebindInProgress', false],
		['Unknown', false],
		['Failed', false],
		['WaitForFirstConsumer', true],
		['PendingPopulation', true],
		['Succeeded', true],
	])('"%s" lets a VM start: %s', (phase, expected) => {
		expect(letsStart(phaseReadiness(dataVolume({phase})))).toBe(expected);
	});

	test('Pending for a quota is an error, another phase with that condition is not', () => {
		const bound = {status: 'False', reason: 'ErrExceededQuota', message: 'exceeded quota: disks'} as const;
		expect(phaseReadiness(dataVolume({phase: 'Pending', bound}))).toEqual({
			is: 'quotaExceeded',
			message: 'exceeded quota: disks',
		});
		expect(phaseReadiness(dataVolume({phase: 'CloneScheduled', bound}))).toEqual({is: 'provisioning'});
		expect(phaseReadiness(dataVolume({phase: 'Pending', bound: {...bound, status: 'True'}}))).toEqual({
			is: 'provisioning',
		});
	});
});

describe('a claim', () => {
	const none = () => undefined;

	test('that is not there is missing', () => {
		expect(readinessOf(undefined, none)).toEqual({is: 'claimMissing'});
	});

	test('without a DataVolume as controller is ready, bound or not', () => {
		expect(readinessOf(claim({phase: 'Pending', dataVolume: undefined}), none)).toEqual({is: 'ready'});
	});

	test('of a DataVolume is as far as that one says', () => {
		expect(readinessOf(claim({phase: 'Bound'}), () => dataVolume({phase: 'ImportInProgress'}))).toEqual({
			is: 'provisioning',
		});
		expect(readinessOf(claim({phase: 'Pending'}), () => dataVolume({phase: 'PendingPopulation'}))).toEqual({
			is: 'pendingPopulation',
		});
	});

	test('of a DataVolume that is not there is an error', () => {
		expect(readinessOf(claim({phase: 'Bound'}), none)).toMatchObject({is: 'orphaned'});
	});
});
