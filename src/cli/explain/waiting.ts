/** What a disk waits for, or why it will not be made. Pure. */
import {findCondition} from '../../api/conditions.ts';
import {cloneSourceOf} from '../../datavolume/source-ref.ts';
import * as resources from '../../kube/resources.ts';
import type {Population} from '../../populate/population.ts';
import type {Failure} from '../../smartclone/provisioning-failure.ts';
import {heldUpBy} from '../state.ts';
import {adviceOn} from './advice.ts';
import type {Sight} from './look.ts';

export interface Waiting {
	readonly reason: string;
	readonly message: string;
	readonly toDo: string | undefined;
	/** Nothing more will happen by itself. */
	readonly isFinal: boolean;
}

interface Found {
	readonly reason: string;
	readonly message: string;
}

/** What the API server answered to the claim, which only the controller heard. */
const outcomes = new Set([
	...['ErrExceededQuota', 'ErrClaimNotValid', 'RestoreWindowFull'],
	...['ErrCreatingPVCPrime', 'ErrStartingPod'],
]);

/** A controller that is there has said something by then. */
const seenWithinMs = 15_000;

function ofPopulation(population: Population, heldUp: Found | undefined): Found {
	const {stage, reason, message, podReason, podMessage, lastFailure} = population;
	if (stage === 'failed') return {reason: reason ?? 'Failed', message};
	if (lastFailure) return {reason: heldUp?.reason ?? 'Error', message: `The last try ended so: ${lastFailure}`};
	if (podReason && podReason !== 'ContainerCreating' && podReason !== 'PodInitializing') {
		const isImage = ['ImagePullBackOff', 'ErrImagePull', 'InvalidImageName'].includes(podReason);
		return {reason: isImage ? 'ImagePullFailed' : podReason, message: podMessage ?? ''};
	}
	if (reason) return {reason, message};
	return heldUp ?? {reason: 'Population', message: 'It is being filled'};
}

/** How far the disk is that this one is a clone of. */
function progressOfSource({caches, observed}: Sight): string {
	const {origin} = observed.clone ?? {};
	if (origin?.kind !== 'PersistentVolumeClaim') return '';
	const source = caches.store(resources.dataVolumes).get(origin.namespace, origin.name);
	const {progress} = source?.status ?? {};
	return progress && /\d/.test(progress) ? `, ${progress} done` : '';
}

/** The controller says so only when it lasts. */
function saidOf(failure: Failure | undefined): string {
	return failure ? `. The storage puts it off (${failure.code}): ${failure.message}` : '';
}

/** What the shared snapshot waits for in turn. */
function sharingOf({caches, dataVolume}: Sight): string {
	const {pvc} = cloneSourceOf(dataVolume);
	const open = caches
		.store(resources.sharedSnapshots)
		.list()
		.filter(({spec}) => spec.source.namespace === pvc?.namespace && spec.source.name === pvc?.name)
		.find(({status}) => status?.state === 'Open' || status?.state === 'Cutting');
	return open?.status?.message ?? '';
}

function judged(sight: Sight, heldUp: Found | undefined): Found | undefined {
	const {plan, observed} = sight;
	const {population, claim} = observed;
	if (claim?.status?.phase === 'Lost')
		return {reason: 'ClaimLost', message: `The volume of claim ${claim.metadata.name} is gone`};
	if (plan.do === 'refuse') return plan;
	if (heldUp && outcomes.has(heldUp.reason)) return heldUp;
	if (population && claim?.status?.phase !== 'Bound' && (plan.do !== 'wait' || plan.reason === 'Population')) {
		return ofPopulation(population, heldUp);
	}
	if (plan.do === 'wait') {
		if (plan.reason === 'CloneSourceNotReady') return {...plan, message: `${plan.message}${progressOfSource(sight)}`};
		if (plan.reason === 'Restoring') return {...plan, message: `${plan.message}${saidOf(observed.making?.failure)}`};
		if (plan.reason !== 'SnapshotNotReady') return plan;
		const sharing = sharingOf(sight);
		return {...plan, message: `${plan.message}${sharing && `. ${sharing}`}`};
	}
	if (plan.do === 'measureSource') {
		// The controller has seen the Pod that looks.
		const reason = 'SizeDetectionPodNotReady';
		return heldUp?.reason === reason ? heldUp : {reason, message: plan.message};
	}
	if (plan.do === 'askForSnapshot') {
		const sharing = sharingOf(sight);
		return {
			reason: 'SnapshotNotReady',
			message: `Asks for a shared snapshot of its source${sharing && `. ${sharing}`}`,
		};
	}
	return undefined;
}

/** Undefined where it is ready, or about to be without anything to wait for. */
export function waitingOf(sight: Sight): Waiting | undefined {
	const {dataVolume, nowMs, isJudged} = sight;
	const {metadata, status} = dataVolume;
	if (status?.phase === 'Succeeded' && !metadata.deletionTimestamp) return undefined;
	const told = heldUpBy(dataVolume);
	// Of a worker's failure the reason is in front of the words, and says more than that there is one.
	const [, failure, words] = /^(\w+): (.*)$/s.exec(told?.message ?? '') ?? [];
	const heldUp = failure && adviceOn(failure) ? {reason: failure, message: words ?? ''} : told;
	const ageMs = nowMs - Date.parse(metadata.creationTimestamp ?? '');
	const isNotSeen = !findCondition(status?.conditions, 'Bound') && !status?.phase && ageMs > seenWithinMs;
	const found = metadata.deletionTimestamp
		? {reason: 'Deleting', message: 'The DataVolume is being deleted'}
		: isNotSeen
			? {reason: 'NotSeen', message: 'No controller has said anything about this DataVolume'}
			: isJudged
				? (judged(sight, heldUp) ?? heldUp)
				: heldUp;
	const isFinal = status?.phase === 'Failed';
	return found && {reason: found.reason, message: found.message, toDo: adviceOn(found.reason), isFinal};
}
