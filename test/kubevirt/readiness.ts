/**
 * How far a volume is (§1.4), for the VM controller and the VMI controller alike. It is told from the controller of the
 * claim and from that DataVolume's phase; nothing on the claim itself is believed.
 */
import {findCondition} from '../../src/api/conditions.ts';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {PersistentVolumeClaim} from '../../src/api/kubernetes.ts';
import {controllerOf} from './api.ts';

export type Readiness =
	/** The VM controller goes on, the VMI controller makes the real launcher Pod. */
	| {readonly is: 'ready'}
	/** As above: scheduling that Pod is what the claim waits for. */
	| {readonly is: 'pendingPopulation'}
	/** The VM controller goes on, the VMI controller makes a Pod that only mounts. */
	| {readonly is: 'waitForFirstConsumer'}
	| {readonly is: 'provisioning'}
	| {readonly is: 'failed'}
	/** An error: retried at a limited rate, and reported. */
	| {readonly is: 'quotaExceeded'; readonly message: string}
	| {readonly is: 'claimMissing'}
	/** The claim is controlled by a DataVolume that does not exist: a hard error of the sync. */
	| {readonly is: 'orphaned'; readonly message: string};

export function quotaMessage({status}: DataVolume): string | undefined {
	const bound = findCondition(status?.conditions, 'Bound');
	if (bound?.status === 'True' || bound?.reason !== 'ErrExceededQuota') return undefined;
	return bound.message ?? bound.reason;
}

/** Phases that are not named behave like Pending, those of later CDIs included. */
export function phaseReadiness(dataVolume: DataVolume): Readiness {
	switch (dataVolume.status?.phase) {
		case 'Succeeded':
			return {is: 'ready'};
		case 'PendingPopulation':
			return {is: 'pendingPopulation'};
		case 'WaitForFirstConsumer':
			return {is: 'waitForFirstConsumer'};
		case 'Failed':
			return {is: 'failed'};
		case 'Pending': {
			const message = quotaMessage(dataVolume);
			return message === undefined ? {is: 'provisioning'} : {is: 'quotaExceeded', message};
		}
		default:
			return {is: 'provisioning'};
	}
}

/** @param find a DataVolume in the claim's namespace by name. */
export function readinessOf(
	claim: PersistentVolumeClaim | undefined,
	find: (name: string) => DataVolume | undefined,
): Readiness {
	if (!claim) return {is: 'claimMissing'};
	const controller = controllerOf(claim);
	if (controller?.kind !== 'DataVolume') return {is: 'ready'};
	const dataVolume = find(controller.name);
	if (dataVolume) return phaseReadiness(dataVolume);
	const {namespace, name} = claim.metadata;
	return {
		is: 'orphaned',
		message: `claim ${namespace}/${name} is of DataVolume ${controller.name}, which is not there`,
	};
}

/** Whether the VM controller may go on to make the instance. */
export function letsStart({is}: Readiness): boolean {
	return is === 'ready' || is === 'pendingPopulation' || is === 'waitForFirstConsumer';
}
