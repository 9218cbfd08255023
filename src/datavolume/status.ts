/**
 * The whole status of a DataVolume, computed anew from observation, plan and outcome. Pure. Phases, reasons and messages
 * are CDI's where clients read them; the phase is derived each time and remembers nothing but what must not go backwards
 * (progress, restart count).
 */
import {type ConditionNews, upsertCondition} from '../api/conditions.ts';
import type {DataVolumePhase, DataVolumeStatus} from '../api/datavolume.ts';
import {isRefusal} from '../api/source.ts';
import type {Population} from '../populate/population.ts';
import {isMadeFor} from './claim-standing.ts';
import type {DataVolumePlan, RefusalReason, WaitReason} from './decide.ts';
import {isMadeByDriver, isStillFilled} from './decide.ts';
import type {Observed} from './observe.ts';

/** What the API server said to the plan, where that is to be reported. */
export interface Outcome {
	/** The claim was refused by a ResourceQuota: the server's sentence. */
	readonly quota?: string;
	/** The claim was refused for another reason. */
	readonly invalid?: string;
	/** The snapshot's restore window is full: the claim waits its turn. */
	readonly paced?: boolean;
}

type Kind = 'import' | 'clone' | 'other';

function kindOf({source}: Observed): Kind {
	if (isRefusal(source) || source.kind === 'external') return 'other';
	return source.kind === 'http' || source.kind === 'blank' ? 'import' : 'clone';
}

function populationPhase({stage, way, inPlace, reason}: Population): DataVolumePhase {
	const importing = way === 'import';
	switch (stage) {
		case 'failed':
			return 'Failed';
		case 'firstConsumer':
			return inPlace ? 'WaitForFirstConsumer' : 'PendingPopulation';
		case 'waiting':
		case 'binding':
			// KubeVirt looks for a quota in this phase only.
			return importing || reason === 'ErrExceededQuota' ? 'Pending' : 'CloneScheduled';
		case 'scheduled':
			return importing ? 'ImportScheduled' : way === 'restore' ? 'CloneFromSnapshotSourceInProgress' : 'CloneScheduled';
		case 'running':
			return importing ? 'ImportInProgress' : 'CloneInProgress';
		case 'moving':
		case 'done':
			if (importing) return 'ImportInProgress';
			return inPlace ? 'CloneInProgress' : 'RebindInProgress';
		default:
			return stage satisfies never;
	}
}

const refusalPhases: Readonly<Record<RefusalReason, DataVolumePhase>> = {
	NotSupported: 'Failed',
	Invalid: 'Failed',
	// CDI leaves the phase empty where no claim could be rendered.
	ErrClaimNotValid: '',
	ErrResourceExists: 'Pending',
};

const waitPhases: Readonly<Record<WaitReason, DataVolumePhase>> = {
	CloneNotAuthorized: 'Pending',
	CloneWithoutSource: 'Pending',
	CloneSourceNotReady: 'CloneScheduled',
	CloneValidationFailed: 'Pending',
	CloneSourceInUse: 'CloneScheduled',
	SnapshotNotReady: 'SnapshotForSmartCloneInProgress',
	ClaimTerminating: 'Pending',
	// The disk is as complete as before, and whoever uses it goes on.
	ClaimMarkedForDeletion: 'Succeeded',
	PrePopulated: 'Pending',
	FirstConsumer: 'PendingPopulation',
	Restoring: 'CloneFromSnapshotSourceInProgress',
	StorageBusy: 'CloneFromSnapshotSourceInProgress',
	ProvisioningFailed: 'CloneFromSnapshotSourceInProgress',
	Growing: 'PrepClaimInProgress',
	Population: 'Pending',
	Binding: 'Pending',
	// Not PendingPopulation: whoever wants it bound at once is no consumer to be started.
	NoNode: 'CloneScheduled',
};

function phaseOf(observed: Observed, plan: DataVolumePlan, outcome: Outcome): DataVolumePhase {
	const {claim, population} = observed;
	if (plan.do === 'refuse') return refusalPhases[plan.reason];
	if (outcome.invalid) return '';
	// What fills a claim that goes says nothing any more.
	const goes = plan.do === 'wait' && (plan.reason === 'ClaimTerminating' || plan.reason === 'ClaimMarkedForDeletion');
	if (goes) return waitPhases[plan.reason];
	if (claim?.status?.phase === 'Lost') return 'Failed';
	const isThere = claim?.status?.phase === 'Bound' && !isStillFilled(observed);
	if (isThere && plan.do !== 'wait' && plan.do !== 'growClaim') return 'Succeeded';
	if (claim && population) return populationPhase(population);
	switch (plan.do) {
		case 'wait':
			return waitPhases[plan.reason];
		case 'askForSnapshot':
		case 'abandonClaim':
			return 'SnapshotForSmartCloneInProgress';
		case 'restoreClaim':
			return outcome.quota ? 'Pending' : 'CloneFromSnapshotSourceInProgress';
		case 'growClaim':
			return 'PrepClaimInProgress';
		case 'adoptClaim':
		case 'markDataVolume':
			return 'Pending';
		case 'selectNode':
			return 'CloneFromSnapshotSourceInProgress';
		case 'recordTries':
			return 'CloneScheduled';
		case 'recordSource':
		case 'measureSource':
		case 'createClaim':
		case 'createImportSource':
		case 'createCloneSource':
		case 'deleteImportSource':
		case 'deleteCloneSource':
		case 'recordWay':
		case 'nothing':
			return 'Pending';
		default:
			return plan satisfies never;
	}
}

/** Of a claim that waits for its volume, these say more than that. */
const toldOfClaims: ReadonlySet<WaitReason> = new Set([
	'NoNode',
	'StorageBusy',
	'ProvisioningFailed',
	'CloneWithoutSource',
	'CloneSourceNotReady',
	'CloneNotAuthorized',
	'CloneValidationFailed',
]);

function boundCondition(observed: Observed, plan: DataVolumePlan, outcome: Outcome): ConditionNews {
	const {claim, population} = observed;
	const no = (reason: string, message: string): ConditionNews => ({type: 'Bound', status: 'False', reason, message});
	if (outcome.quota) return no('ErrExceededQuota', outcome.quota);
	if (outcome.invalid) return no('ErrClaimNotValid', outcome.invalid);
	if (outcome.paced)
		return no(
			'RestoreWindowFull',
			'Waiting for a place: as many clones as the driver takes at once are being restored',
		);
	if (plan.do === 'refuse') return no(plan.reason, plan.message);
	const name = claim?.metadata.name;
	if (!claim) {
		if (plan.do === 'measureSource') return no('SizeDetectionPodNotReady', plan.message);
		if (plan.do !== 'wait') return no('NotFound', 'No PVC found');
		return no(plan.reason === 'PrePopulated' ? 'NotFound' : plan.reason, plan.message);
	}
	// Of somebody else's claim nothing else is said, however it is bound.
	if (plan.do === 'wait' && plan.reason === 'ClaimTerminating') return no(plan.reason, plan.message);
	if (claim.status?.phase === 'Lost') return no('ClaimLost', 'Claim Lost');
	if (claim.status?.phase === 'Bound')
		return {type: 'Bound', status: 'True', reason: 'Bound', message: `PVC ${name} Bound`};
	if (plan.do === 'wait' && toldOfClaims.has(plan.reason)) return no(plan.reason, plan.message);
	if (population?.stage === 'waiting' && population.reason) return no(population.reason, population.message);
	return no('Pending', `PVC ${name} Pending`);
}

function doneMessage(observed: Observed): string {
	const {dataVolume, claim} = observed;
	if (dataVolume && claim && !isMadeFor(claim, dataVolume)) return 'Claim Adopted';
	return kindOf(observed) === 'clone' ? 'Clone Complete' : 'Import Complete';
}

const imageTrouble = new Set(['ImagePullBackOff', 'ErrImagePull', 'InvalidImageName']);

function workerCondition(population: Population): ConditionNews | undefined {
	const no = (reason: string, message: string): ConditionNews => ({type: 'Running', status: 'False', reason, message});
	if (population.stage === 'failed') {
		const reason = population.reason === 'ChecksumMismatch' ? 'ChecksumError' : 'Error';
		return no(reason, `${population.reason}: ${population.message}`);
	}
	if (population.podRunning) return {type: 'Running', status: 'True', reason: 'Pod is running', message: ''};
	if (population.lastFailure) return no('Error', population.lastFailure);
	if (population.podReason) {
		const reason = imageTrouble.has(population.podReason) ? 'ImagePullFailed' : population.podReason;
		return no(reason, population.podMessage ?? '');
	}
	return undefined;
}

function runningCondition(observed: Observed, phase: DataVolumePhase): ConditionNews {
	if (phase === 'Succeeded')
		return {type: 'Running', status: 'False', reason: 'Completed', message: doneMessage(observed)};
	const worker = observed.population && workerCondition(observed.population);
	if (worker) return worker;
	if (observed.claim && isMadeByDriver(observed.claim) && phase === 'CloneFromSnapshotSourceInProgress') {
		return {type: 'Running', status: 'True', reason: 'Populator is running', message: ''};
	}
	return {type: 'Running', status: 'False', reason: '', message: ''};
}

function readyCondition(
	phase: DataVolumePhase,
	bound: ConditionNews,
	running: ConditionNews,
	hasClaim: boolean,
): ConditionNews {
	if (phase === 'Succeeded') return {type: 'Ready', status: 'True', reason: '', message: ''};
	const no = (reason: string, message: string): ConditionNews => ({type: 'Ready', status: 'False', reason, message});
	if (!hasClaim && bound.reason !== 'NotFound') return no(bound.reason ?? '', bound.message ?? '');
	if (running.status === 'True') return no('TransferRunning', '');
	return running.message ? no(running.reason ?? '', running.message) : no('', '');
}

function progressOf(observed: Observed, phase: DataVolumePhase): string {
	if (phase === 'Succeeded') return '100.0%';
	const before = /^(\d+(?:\.\d+)?)%$/.exec(observed.dataVolume?.status?.progress ?? '')?.[1];
	const known = before === undefined ? undefined : Number(before);
	// 100 % is said when the disk can be used, not when its last byte was written.
	const now = observed.percent === undefined ? undefined : Math.min(observed.percent, 99.99);
	const best = Math.max(now ?? -1, known !== undefined && known < 100 ? known : -1);
	return best < 0 ? 'N/A' : `${best.toFixed(2)}%`;
}

/** Undefined where there is nothing to report on. */
export function statusOf(observed: Observed, plan: DataVolumePlan, outcome: Outcome): DataVolumeStatus | undefined {
	const {dataVolume, claim, now, population} = observed;
	if (!dataVolume || dataVolume.metadata.deletionTimestamp || observed.namespaceLeaves) return undefined;
	const phase = phaseOf(observed, plan, outcome);
	const bound = boundCondition(observed, plan, outcome);
	const running = runningCondition(observed, phase);
	const ready = readyCondition(phase, bound, running, claim !== undefined);
	const conditions = [bound, running, ready].reduce(
		(list, news) => upsertCondition(list, news, now),
		dataVolume.status?.conditions ?? [],
	);
	const restarts = Math.max(dataVolume.status?.restartCount ?? 0, population?.restarts ?? 0);
	return {
		...(claim && {claimName: claim.metadata.name}),
		phase,
		progress: progressOf(observed, phase),
		...(restarts > 0 && {restartCount: restarts}),
		conditions,
	};
}
