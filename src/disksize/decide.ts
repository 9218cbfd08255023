/**
 * What to do next to learn how large the disk in a claim is: a Pod looks once, what it saw is remembered on the claim, and the
 * Pod goes. Each step shows in the API before the next one, so a controller that dies between two begins where it was.
 */
import {diskSizeAnnotations} from '../api/disk-size.ts';
import type {PersistentVolumeClaim, Pod} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import {sameQuantity} from '../api/quantity.ts';
import {parseTerminationMessage} from '../api/worker-contract.ts';
import {workerEnd, workerRetryMs} from '../populate/decide.ts';
import {isBeingFilled} from '../populate/in-place.ts';
import {makeSizePod, type WorkerSettings} from '../populate/objects.ts';
import {unschedulableOf} from '../populate/population.ts';
import type {Observed} from './observe.ts';

export type DiskSizePlan =
	| {readonly do: 'nothing'}
	/** For something that no watch shows. */
	| {readonly do: 'wait'; readonly recheckAfterMs: number}
	| {readonly do: 'createPod'; readonly pod: Pod}
	| {
			readonly do: 'remember';
			readonly claim: PersistentVolumeClaim;
			readonly annotations: Readonly<Record<string, string>>;
	  }
	| {readonly do: 'deletePod'; readonly pod: Pod; readonly why: 'Finished' | 'Failed' | 'Outdated' | 'Unwanted'};

const nothing: DiskSizePlan = {do: 'nothing'};

/** Nobody asks: who does asks in each round, though a controller that has just begun has not heard it yet. */
const unwantedMs = 60_000;

const ageMs = ({metadata}: Pod, nowMs: number) => nowMs - Date.parse(metadata.creationTimestamp ?? '');

const capacityOf = ({status}: PersistentVolumeClaim) => status?.capacity?.['storage'];

function start({claim, volume, usedOn}: Observed, settings: WorkerSettings): DiskSizePlan {
	const capacity = claim && capacityOf(claim);
	if (!claim || claim.metadata.deletionTimestamp || claim.status?.phase !== 'Bound' || !capacity) return nothing;
	if (isBeingFilled(claim)) return nothing;
	return {do: 'createPod', pod: makeSizePod({claim, volume, usedOn, capacity, settings})};
}

/** Ended without a size: again a little later, for as long as somebody wants it. */
function tendFailed(observed: Observed, pod: Pod): DiskSizePlan {
	const waitMs = workerRetryMs - ageMs(pod, observed.nowMs);
	return waitMs > 0 ? {do: 'wait', recheckAfterMs: waitMs} : {do: 'deletePod', pod, why: 'Failed'};
}

function tendPod(observed: Observed, claim: PersistentVolumeClaim, pod: Pod): DiskSizePlan {
	if (pod.metadata.deletionTimestamp) return nothing;
	if (observed.isKnown || claim.metadata.deletionTimestamp) return {do: 'deletePod', pod, why: 'Finished'};
	// What was seen is of the disk as it was: with its claim it may have grown.
	const seenAt = pod.metadata.annotations?.[annotations.sourceCapacity];
	if (!sameQuantity(seenAt, capacityOf(claim))) return {do: 'deletePod', pod, why: 'Outdated'};
	const result = pod.status?.phase === 'Succeeded' ? workerEnd(pod)?.result : undefined;
	if (result?.outcome === 'succeeded' && seenAt !== undefined) {
		const bytes = BigInt(result.virtualBytes ?? '0');
		return {do: 'remember', claim, annotations: diskSizeAnnotations(bytes, seenAt)};
	}
	if (pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return tendFailed(observed, pod);
	if (observed.isWanted) return nothing;
	const waitMs = unwantedMs - ageMs(pod, observed.nowMs);
	return waitMs > 0 ? {do: 'wait', recheckAfterMs: waitMs} : {do: 'deletePod', pod, why: 'Unwanted'};
}

export function decide(observed: Observed, settings: WorkerSettings): DiskSizePlan {
	const {claim, pod, isWanted, isKnown} = observed;
	if (!claim) return nothing;
	if (pod) return tendPod(observed, claim, pod);
	return isWanted && !isKnown ? start(observed, settings) : nothing;
}

/**
 * In words, what is waited for.
 *
 * @param problem why there can be no Pod
 */
export function describe(claim: PersistentVolumeClaim, pod: Pod | undefined, problem?: string): string {
	const what = `The size of the disk in pvc ${claim.metadata.namespace}/${claim.metadata.name} is not known yet`;
	if (!pod) return `${what}: ${problem === undefined ? 'a Pod is about to look' : `no Pod can look: ${problem}`}`;
	const name = `Pod ${pod.metadata.namespace}/${pod.metadata.name}`;
	const [container] = pod.status?.containerStatuses ?? [];
	const last = container?.state?.terminated ?? container?.lastState?.terminated;
	const failure = parseTerminationMessage(last?.message);
	if (failure?.outcome === 'failed') return `${what}: ${name} could not tell: ${failure.message}`;
	if (pod.status?.phase === 'Failed') {
		const {reason = 'no reason given', message = ''} = pod.status;
		return `${what}: ${name} failed (${reason})${message && `: ${message}`}; it is made anew`;
	}
	const unschedulable = unschedulableOf(pod);
	if (unschedulable) return `${what}: ${name} cannot be scheduled: ${unschedulable.message ?? ''}`;
	const waiting = container?.state?.waiting;
	if (waiting) return `${what}: ${name} is waiting (${waiting.reason})${waiting.message ? `: ${waiting.message}` : ''}`;
	return `${what}: ${name} looks`;
}
