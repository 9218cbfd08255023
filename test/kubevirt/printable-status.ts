/** The word that people see of a VM (§1.6): of these questions, in this order, the first that is answered with yes. Pure. */
import {findCondition} from '../../src/api/conditions.ts';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {PersistentVolumeClaim} from '../../src/api/kubernetes.ts';
import type {PrintableStatus, VirtualMachine, VirtualMachineInstance} from './api.ts';
import {quotaMessage} from './readiness.ts';
import {isFinal, wantsToRun} from './vm-decide.ts';

export interface Seen {
	readonly vm: VirtualMachine;
	readonly instance: VirtualMachineInstance | undefined;
	/** Those that there are of `volumes[].dataVolume`. */
	readonly dataVolumes: readonly DataVolume[];
	/** Those that there are of all volumes. */
	readonly claims: readonly PersistentVolumeClaim[];
}

const workerTrouble = new Set(['Error', 'ImagePullFailed']);

/** Also of one that is still being imported: the worker failed, and is tried again. */
function hasError(dataVolume: DataVolume): boolean {
	const {phase, conditions} = dataVolume.status ?? {};
	const running = findCondition(conditions, 'Running');
	return (
		phase === 'Failed' ||
		(running?.status === 'False' && workerTrouble.has(running.reason ?? '')) ||
		quotaMessage(dataVolume) !== undefined
	);
}

function isProvisioning({status}: DataVolume): boolean {
	if (status?.phase === 'Succeeded' || status?.phase === 'PendingPopulation') return false;
	if (status?.phase === 'WaitForFirstConsumer') return findCondition(status.conditions, 'Bound')?.status === 'True';
	return true;
}

const questions: readonly (readonly [PrintableStatus, (seen: Seen) => boolean])[] = [
	['Terminating', ({vm}) => vm.metadata.deletionTimestamp !== undefined],
	['Stopping', ({instance}) => instance?.metadata.deletionTimestamp !== undefined],
	['Running', ({instance}) => instance?.status?.phase === 'Running'],
	['ErrorPvcNotFound', ({instance}) => unsynchronized(instance) === 'FailedPvcNotFound'],
	['DataVolumeError', ({dataVolumes}) => dataVolumes.some(hasError)],
	['ErrorUnschedulable', ({instance}) => unscheduled(instance) === 'Unschedulable'],
	['Provisioning', ({dataVolumes}) => dataVolumes.some(isProvisioning)],
	[
		'WaitingForVolumeBinding',
		({vm, instance, claims}) => wantsToRun(vm, instance) && claims.some(({status}) => status?.phase !== 'Bound'),
	],
	['ErrImagePull', ({instance}) => unsynchronized(instance) === 'ErrImagePull'],
	['ImagePullBackOff', ({instance}) => unsynchronized(instance) === 'ImagePullBackOff'],
	['Starting', ({instance}) => instance !== undefined && !isFinal(instance)],
	['CrashLoopBackOff', ({vm, instance}) => wantsToRun(vm, instance) && vm.status?.startFailure !== undefined],
	['Stopped', ({instance}) => instance === undefined || isFinal(instance)],
];

const falseReason = (type: string) => (instance: VirtualMachineInstance | undefined) => {
	const condition = findCondition(instance?.status?.conditions, type);
	return condition?.status === 'False' ? condition.reason : undefined;
};
const unsynchronized = falseReason('Synchronized');
const unscheduled = falseReason('PodScheduled');

export function printableStatus(seen: Seen): PrintableStatus {
	return questions.find(([, isSo]) => isSo(seen))?.[0] ?? 'Unknown';
}
