/**
 * How far the filling of a claim is, for whoever reports it. Derived each time from what was observed and planned.
 */
import type {PersistentVolumeClaim, Pod} from '../api/kubernetes.ts';
import type {WorkerFailure} from '../api/worker-contract.ts';
import type {Caches} from '../kube/caches.ts';
import {keyOf} from '../kube/object-key.ts';
import * as resources from '../kube/resources.ts';
import {podsByClaim} from '../smartclone/writers.ts';
import {decide, type PopulatePlan, type WaitReason, workerEnd} from './decide.ts';
import {isPopulated} from './in-place.ts';
import type {WorkerSettings} from './objects.ts';
import {claimsByTarget, type Observed, observe, podsByTarget} from './observe.ts';
import {type Refusal, unlessRefused} from './refusals.ts';

export type PopulationStage =
	/** Something is missing that is not ours to make; `reason` says what. */
	| 'waiting'
	| 'firstConsumer'
	/** Of a claim that is filled in place: it has no volume yet. */
	| 'binding'
	| 'scheduled'
	| 'running'
	/** The content is complete, and on its way to the claim, or its worker is leaving it. */
	| 'moving'
	| 'failed'
	| 'done';

export interface Population {
	readonly stage: PopulationStage;
	/** Being Bound does not mean that it is complete: only the stage `done` does. */
	readonly inPlace: boolean;
	readonly way: 'import' | 'copy' | 'restore';
	readonly reason: WaitReason | WorkerFailure | undefined;
	readonly message: string;
	readonly restarts: number;
	/** The last try of the worker that will be made again, if it ended badly. */
	readonly lastFailure: string | undefined;
	/**
	 * A worker Pod's container state, as the kubelet words it: `ContainerCreating`, `ImagePullBackOff`, …; or why there is no
	 * such Pod: `ErrStartingPod`, `ErrCreatingPVCPrime`.
	 */
	readonly podReason: string | undefined;
	readonly podMessage: string | undefined;
	readonly podRunning: boolean;
}

function stageOf(plan: PopulatePlan, observed: Observed): PopulationStage {
	const {target, inPlace} = observed;
	const isDone = target?.status?.phase === 'Bound' && (!inPlace || isPopulated(target));
	switch (plan.do) {
		case 'nothing':
			return isDone ? 'done' : 'waiting';
		case 'deleteClaim':
			if (!isDone) return 'waiting';
			return inPlace && plan.why !== 'Orphan' ? 'moving' : 'done';
		case 'giveUp':
			return 'failed';
		case 'createClaim':
		case 'createWorker':
			return 'scheduled';
		case 'deletePod':
			// What anybody may have labelled so says nothing of a disk that is complete.
			if (isDone && (!inPlace || plan.why === 'Orphan')) return 'done';
			return plan.why === 'Finished' ? 'moving' : 'running';
		case 'rememberDisk':
		case 'recordPopulated':
		case 'grow':
		case 'moveVolume':
			return 'moving';
		case 'wait':
			return waitStages[plan.reason];
		default:
			return plan satisfies never;
	}
}

const waitStages: Readonly<Record<WaitReason, PopulationStage>> = {
	StorageClassMissing: 'waiting',
	StorageClassNotCsi: 'waiting',
	FirstConsumer: 'firstConsumer',
	SourceObjectMissing: 'waiting',
	ProxyCertificatesMissing: 'waiting',
	ImportProxyNotValid: 'waiting',
	CloneWithoutSource: 'waiting',
	CloneSourceNotReady: 'waiting',
	CloneSourceInUse: 'waiting',
	CloneValidationFailed: 'waiting',
	SnapshotNotReady: 'waiting',
	NoNode: 'waiting',
	ErrExceededQuota: 'waiting',
	ErrCreatingPVCPrime: 'scheduled',
	ErrStartingPod: 'scheduled',
	PrimeBinding: 'scheduled',
	TargetBinding: 'binding',
	WorkerStarting: 'scheduled',
	WorkerRunning: 'running',
	WorkerLeaving: 'moving',
	WorkerFailed: 'running',
	Growing: 'moving',
	Binding: 'moving',
};

function lastFailureOf(worker: Pod): string | undefined {
	const status = worker.status?.containerStatuses?.[0];
	const terminated = status?.state?.terminated ?? status?.lastState?.terminated;
	if (!terminated || terminated.exitCode === 0) return undefined;
	const end = workerEnd({...worker, status: {containerStatuses: [{name: '', state: {terminated}}]}});
	return end?.result?.message ?? end?.text;
}

/** The scheduler's word on why a Pod has no node. */
export function unschedulableOf({status}: Pod): {readonly message?: string} | undefined {
	return status?.conditions?.find((condition) => condition.type === 'PodScheduled' && condition.status === 'False');
}

export function describe(observed: Observed, plan: PopulatePlan): Population {
	const {worker, sender, order} = observed;
	const status = worker?.status?.containerStatuses?.[0];
	// Of a copy between two nodes the half that does not run is what holds it up.
	const late = sender && sender.status?.phase !== 'Running' ? sender : worker;
	const unschedulable = late && unschedulableOf(late);
	const waiting = late?.status?.containerStatuses?.[0]?.state?.waiting;
	const isRefused = plan.do === 'wait' && (plan.reason === 'ErrCreatingPVCPrime' || plan.reason === 'ErrStartingPod');
	const refused = isRefused ? plan : undefined;
	const running = status?.state?.running !== undefined && late === worker;
	const began = worker !== undefined && (running || (status?.restartCount ?? 0) > 0);
	const stage = stageOf(plan, observed);
	return {
		// A container between two tries is not "scheduled" any more: the transfer is going on.
		stage: stage === 'scheduled' && began ? 'running' : stage,
		inPlace: observed.inPlace,
		way: order?.kind === 'import' ? 'import' : observed.prime?.spec.dataSource ? 'restore' : 'copy',
		reason: plan.do === 'wait' ? plan.reason : plan.do === 'giveUp' ? plan.failure : undefined,
		message: plan.do === 'wait' || plan.do === 'giveUp' ? plan.message : '',
		restarts: status?.restartCount ?? 0,
		lastFailure: late && lastFailureOf(late),
		podReason: refused?.reason ?? (unschedulable ? 'Unschedulable' : waiting?.reason),
		podMessage: refused?.message ?? unschedulable?.message ?? waiting?.message,
		podRunning: running,
	};
}

/** What {@link populationOf} looks things up by. */
export function addPopulationIndexes(caches: Caches): void {
	caches.addIndex(resources.persistentVolumeClaims, claimsByTarget);
	caches.addIndex(resources.pods, podsByTarget);
	caches.addIndex(resources.pods, podsByClaim);
}

export interface PopulationContext {
	readonly caches: Caches;
	readonly settings: WorkerSettings;
	readonly nowMs: number;
	/** What the API server said to the last try, if it said no. */
	readonly refusal?: Refusal | undefined;
}

/** How far the filling of this claim is. No I/O. */
export function populationOf(
	claim: PersistentVolumeClaim,
	{caches, settings, nowMs, refusal}: PopulationContext,
): Population {
	const observed = observe(keyOf(claim), caches, nowMs);
	return describe(observed, unlessRefused(decide(observed, settings), refusal));
}
