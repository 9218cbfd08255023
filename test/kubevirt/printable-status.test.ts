import {expect, test} from 'vitest';
import {claim, dataVolume, instance, vm} from './builders.ts';
import {printableStatus, type Seen} from './printable-status.ts';

const halted = vm({runStrategy: 'Halted'});
const failing = {consecutiveFailCount: 1, lastFailedUid: 'other', retryAfter: ''};
const seen = (changes: Partial<Seen>): Seen => ({
	vm: vm(),
	instance: undefined,
	dataVolumes: [dataVolume()],
	claims: [claim()],
	...changes,
});
const synchronized = (reason: string) => [{type: 'Synchronized', status: 'False', reason} as const];
const no = (reason: string) => ({status: 'False', reason}) as const;

test.each<[string, string, Partial<Seen>]>([
	['a VM that is deleted', 'Terminating', {vm: vm({deleted: true}), instance: instance({deleted: true})}],
	['an instance that is deleted', 'Stopping', {instance: instance({phase: 'Running', deleted: true})}],
	['an instance that runs', 'Running', {instance: instance({phase: 'Running'})}],
	[
		'a running instance whose DataVolume has failed since',
		'Running',
		{instance: instance({phase: 'Running'}), dataVolumes: [dataVolume({phase: 'Failed'})]},
	],
	[
		'an instance without its claim',
		'ErrorPvcNotFound',
		{instance: instance({conditions: synchronized('FailedPvcNotFound')}), dataVolumes: [], claims: []},
	],
	['a DataVolume that Failed', 'DataVolumeError', {dataVolumes: [dataVolume({phase: 'Failed'})]}],
	[
		'a worker that failed and is tried again',
		'DataVolumeError',
		{dataVolumes: [dataVolume({phase: 'ImportInProgress', running: no('Error')})]},
	],
	[
		'a worker whose image cannot be pulled',
		'DataVolumeError',
		{dataVolumes: [dataVolume({phase: 'ImportScheduled', running: no('ImagePullFailed')})]},
	],
	[
		'a worker that is being made',
		'Provisioning',
		{dataVolumes: [dataVolume({phase: 'ImportScheduled', running: no('ContainerCreating')})]},
	],
	[
		'a DataVolume without quota',
		'DataVolumeError',
		{dataVolumes: [dataVolume({phase: 'Pending', bound: no('ErrExceededQuota')})], claims: []},
	],
	[
		'a Pod that fits nowhere',
		'ErrorUnschedulable',
		{
			instance: instance({
				phase: 'Scheduling',
				conditions: [{type: 'PodScheduled', status: 'False', reason: 'Unschedulable'}],
			}),
		},
	],
	[
		'an import',
		'Provisioning',
		{dataVolumes: [dataVolume({phase: 'ImportInProgress'})], claims: [claim({phase: 'Pending'})]},
	],
	['a Halted VM with an import', 'Provisioning', {vm: halted, dataVolumes: [dataVolume({phase: 'ImportInProgress'})]}],
	[
		'a DataVolume that waits for a consumer',
		'WaitingForVolumeBinding',
		{dataVolumes: [dataVolume({phase: 'WaitForFirstConsumer'})], claims: [claim({phase: 'Pending'})]},
	],
	[
		'one that waits, and is Bound',
		'Provisioning',
		{dataVolumes: [dataVolume({phase: 'WaitForFirstConsumer', bound: {status: 'True'}})]},
	],
	[
		'one that waits to be populated',
		'WaitingForVolumeBinding',
		{
			instance: instance({phase: 'Scheduling'}),
			dataVolumes: [dataVolume({phase: 'PendingPopulation'})],
			claims: [claim({phase: 'Pending'})],
		},
	],
	[
		'a Halted VM whose disk waits for a consumer',
		'Stopped',
		{vm: halted, dataVolumes: [dataVolume({phase: 'PendingPopulation'})], claims: [claim({phase: 'Pending'})]},
	],
	[
		'an image that cannot be pulled',
		'ErrImagePull',
		{instance: instance({phase: 'Scheduling', conditions: synchronized('ErrImagePull')})},
	],
	[
		'an image that is not pulled any more',
		'ImagePullBackOff',
		{instance: instance({phase: 'Scheduling', conditions: synchronized('ImagePullBackOff')})},
	],
	['an instance that is being started', 'Starting', {instance: instance({phase: 'Scheduling'})}],
	['a VM that waits after a start that failed', 'CrashLoopBackOff', {vm: vm({status: {startFailure: failing}})}],
	['a VM without instance', 'Stopped', {vm: halted}],
	['a Halted VM without anything', 'Stopped', {vm: halted, dataVolumes: [], claims: []}],
])('%s: %s', (_, expected, changes) => {
	expect(printableStatus(seen(changes))).toBe(expected);
});
