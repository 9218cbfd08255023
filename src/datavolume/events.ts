/**
 * Every event on a DataVolume, told once per transition. Reasons and messages as CDI has them. A clone from a snapshot
 * tells one when it is done, which says the way it went; the phases before are told only of one that takes long.
 */
import {findCondition} from '../api/conditions.ts';
import type {DataVolumePhase, DataVolumeStatus} from '../api/datavolume.ts';
import {annotations} from '../api/names.ts';
import type {EventText} from '../kube/events.ts';
import type {CloneDecision, CloneWay} from '../smartclone/strategy.ts';
import {isMadeFor} from './claim-standing.ts';
import type {DataVolumePlan} from './decide.ts';
import type {Observed} from './observe.ts';

/** Bound=False with one of these is something a person should look at. */
const warnings = new Set([
	'NotSupported',
	'Invalid',
	'ErrClaimNotValid',
	'ErrResourceExists',
	'ErrExceededQuota',
	'CloneNotAuthorized',
	'CloneWithoutSource',
	'CloneValidationFailed',
	'StorageClassMissing',
	'StorageClassNotCsi',
	'CloneSourceInUse',
	'ProvisioningFailed',
	'ClaimLost',
]);

/** The same of Running. */
const workerTrouble = new Set(['Error', 'ChecksumError', 'ImagePullFailed', 'ErrStartingPod', 'ErrCreatingPVCPrime']);

const passing = new Set(['NotFound', 'Pending', 'RestoreWindowFull', 'SnapshotNotReady']);

/** They pass within a moment each, and a thousand clones at once go through all of them. */
const quietPhases: ReadonlySet<DataVolumePhase> = new Set([
	'SnapshotForSmartCloneInProgress',
	'CloneFromSnapshotSourceInProgress',
	'PrepClaimInProgress',
]);

function failedEvent({claim, population, dataVolume}: Observed): EventText | undefined {
	const name = dataVolume?.metadata.name ?? '';
	if (claim?.status?.phase === 'Lost') return {type: 'Warning', reason: 'ErrClaimLost', message: `PVC ${name} lost`};
	if (population?.stage !== 'failed') return undefined;
	return population.way === 'import'
		? {type: 'Warning', reason: 'ImportFailed', message: `Failed to import into PVC ${name}`}
		: {type: 'Warning', reason: 'CloneFailed', message: `Failed to clone into PVC ${name}`};
}

/** How a clone was made, in words. */
function wayOf({claim, dataVolume}: Observed): string {
	const way = claim?.metadata.annotations?.[annotations.cloneType];
	if (way !== 'snapshot') return way === 'copy' ? 'copied' : 'cloned by the storage driver';
	const {[annotations.sharedSnapshot]: assignment = '', [annotations.reuseRule]: rule} =
		dataVolume?.metadata.annotations ?? {};
	const [shared] = assignment.split('/', 1);
	return shared ? `restored from shared snapshot ${shared}${rule ? ` (${rule})` : ''}` : 'restored from the snapshot';
}

function phaseEvent(observed: Observed, phase: DataVolumePhase): EventText | undefined {
	const {dataVolume, claim, clone, source} = observed;
	const name = dataVolume?.metadata.name ?? '';
	const target = `${dataVolume?.metadata.namespace}/${name}`;
	const origin = clone ? `${clone.origin.namespace}/${clone.origin.name}` : '';
	const kind = clone?.origin.kind === 'VolumeSnapshot' ? 'snapshot' : 'pvc';
	const imported = 'kind' in source && (source.kind === 'http' || source.kind === 'blank');
	const normal = (reason: string, message: string): EventText => ({type: 'Normal', reason, message});
	switch (phase) {
		case 'ImportScheduled':
			return normal('ImportScheduled', `Import into ${name} scheduled`);
		case 'ImportInProgress':
			return normal('ImportInProgress', `Import into ${name} in progress`);
		case 'CloneScheduled':
			return normal('CloneScheduled', `Cloning from ${origin} into ${target} scheduled`);
		case 'CloneInProgress':
			return normal('CloneInProgress', `Cloning from ${origin} into ${target} in progress`);
		case 'SnapshotForSmartCloneInProgress':
			return normal(
				'SnapshotForSmartCloneInProgress',
				`Creating snapshot for smart-clone is in progress (for pvc ${origin})`,
			);
		case 'CloneFromSnapshotSourceInProgress':
			return normal(
				'CloneFromSnapshotSourceInProgress',
				`Creating PVC from snapshot source is in progress (for ${kind} ${origin})`,
			);
		case 'PrepClaimInProgress':
			return normal('PrepClaimInProgress', `Prepping PersistentVolumeClaim for DataVolume ${target}`);
		case 'RebindInProgress':
			return normal('RebindInProgress', `Rebinding PersistentVolumeClaim for DataVolume ${target}`);
		case 'PendingPopulation':
			return normal('PendingPopulation', `PVC ${name} waits for its first consumer`);
		case 'Succeeded':
			if (dataVolume && claim && !isMadeFor(claim, dataVolume))
				return normal(
					'ClaimAdopted',
					`PVC ${name} has its content from somebody else, and is the disk of this DataVolume now`,
				);
			if (clone)
				return normal('CloneSucceeded', `Successfully cloned from ${origin} into ${target}: ${wayOf(observed)}`);
			return imported
				? normal('ImportSucceeded', `Successfully imported into PVC ${name}`)
				: normal('ExternalPopulationSucceeded', `PVC ${name} was populated`);
		case 'Failed':
			return failedEvent(observed);
		case '':
		case 'Pending':
		case 'PVCBound':
		case 'WaitForFirstConsumer':
		case 'Unknown':
			return undefined;
		default:
			return phase satisfies never;
	}
}

function conditionEvents(before: DataVolumeStatus | undefined, after: DataVolumeStatus, isClone: boolean): EventText[] {
	return ['Bound', 'Running'].flatMap((type): EventText[] => {
		const old = findCondition(before?.conditions, type);
		const now = findCondition(after.conditions, type);
		if (!now?.reason || (old?.reason === now.reason && old.message === now.message)) return [];
		// What every claim goes through tells nobody anything.
		if (type === 'Bound' && passing.has(now.reason)) return [];
		// ErrClaimLost says it.
		if (now.reason === 'ClaimLost') return [];
		// CloneSucceeded says it.
		if (isClone && now.reason === 'Bound' && after.phase === 'Succeeded') return [];
		if (type === 'Bound')
			return [{type: warnings.has(now.reason) ? 'Warning' : 'Normal', reason: now.reason, message: now.message ?? ''}];
		return workerTrouble.has(now.reason) ? [{type: 'Warning', reason: now.reason, message: now.message ?? ''}] : [];
	});
}

/** What changed between the status that is there and the one that is written now. */
export function transitionEvents(observed: Observed, after: DataVolumeStatus): EventText[] {
	const before = observed.dataVolume?.status;
	const phase = after.phase ?? '';
	const isTold = phase !== (before?.phase ?? '') && !quietPhases.has(phase);
	const ofPhase = isTold ? phaseEvent(observed, phase) : undefined;
	return [...conditionEvents(before, after, observed.clone !== undefined), ...(ofPhase ? [ofPhase] : [])];
}

/** Of a phase that has lasted longer than it should. To wait in line for a restore is no news, however long it is. */
export function slowEvent(observed: Observed, status: DataVolumeStatus): EventText | undefined {
	const {phase = ''} = status;
	if (!quietPhases.has(phase) || findCondition(status.conditions, 'Bound')?.reason === 'RestoreWindowFull')
		return undefined;
	return phaseEvent(observed, phase);
}

/** Something that a person should hear of at once. */
export function hasWarning({conditions}: DataVolumeStatus): boolean {
	const bound = findCondition(conditions, 'Bound');
	const running = findCondition(conditions, 'Running');
	return warnings.has(bound?.reason ?? '') || workerTrouble.has(running?.reason ?? '');
}

const ways: Readonly<Record<CloneWay, string>> = {
	snapshot: 'by snapshot',
	'csi-clone': 'by the storage driver',
	copy: 'by a copy of a snapshot',
};

/** Why a clone is not shared, and what it shows of a source in use: once, when that is decided. */
export function decisionEvents(plan: DataVolumePlan): EventText[] {
	switch (plan.do) {
		case 'refuse':
			return plan.event === undefined ? [] : [{type: 'Warning', reason: plan.reason, message: plan.event}];
		case 'askForSnapshot':
			return crashConsistent(plan.writer);
		case 'restoreClaim':
			return [...declinedEvents(plan.decision), ...crashConsistent(plan.writer)];
		case 'createClaim':
			return plan.decision ? declinedEvents(plan.decision) : [];
		case 'wait':
			if (plan.reason !== 'ClaimMarkedForDeletion') return [];
			return [{type: 'Warning', reason: 'ErrResourceMarkedForDeletion', message: plan.message}];
		case 'recordTries': {
			if (!plan.given) return [];
			const {way, code, message} = plan.given;
			const text = `No longer tried ${ways[way]} (${code}): ${message}`;
			return [{type: 'Warning', reason: 'CloneWayGivenUp', message: text}];
		}
		default:
			return [];
	}
}

function declinedEvents({way, declined}: CloneDecision): EventText[] {
	// Restored from a snapshot, nothing is worse than it could be.
	if (way === 'snapshot') return [];
	return declined.map(({way: before, code, message}) => ({
		type: 'Warning',
		reason: code,
		message: `Not cloned ${ways[before]}: ${message}`,
	}));
}

function crashConsistent(writer: string | undefined): EventText[] {
	if (writer === undefined) return [];
	const message = `Pod ${writer} may be writing to the source: the clone is as after a power cut at one moment; annotation onesnap.io/consistency: quiet waits instead`;
	return [{type: 'Normal', reason: 'CrashConsistent', message}];
}
