/**
 * What to do next for one DataVolume. Questions in order, first answer wins; a plan is one write, or what is waited for.
 */
import type {DataVolume} from '../api/datavolume.ts';
import type {PersistentVolumeClaim} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import type {VolumeCloneSource, VolumeImportSource} from '../api/populator.ts';
import {formatQuantity, parseQuantity} from '../api/quantity.ts';
import type {ReuseRule} from '../api/sharedsnapshot.ts';
import {isRefusal, type Source} from '../api/source.ts';
import type {CloneRequest} from '../smartclone/requests.ts';
import type {CloneDecision} from '../smartclone/strategy.ts';
import {makeClaim, makeCloneSource, makeImportSource, makePopulatedClaim, makeRestoredClaim} from './objects.ts';
import type {CloneProblemReason, Observed, ObservedClone} from './observe.ts';
import {isRenderProblem, type Rendered} from './render.ts';
import {requestOf} from './requests.ts';

/** Nothing was made, and nothing will be until a person acts. */
export type RefusalReason = 'NotSupported' | 'Invalid' | 'ErrClaimNotValid' | 'ErrResourceExists';

/** Waiting for something that comes by itself or that somebody makes. */
export type WaitReason =
	| CloneProblemReason
	| 'SnapshotNotReady'
	| 'ClaimTerminating'
	| 'FirstConsumer'
	| 'Restoring'
	| 'Growing'
	| 'Population'
	| 'Binding'
	| 'NoNode';

export type DataVolumePlan =
	| {readonly do: 'nothing'}
	| {readonly do: 'refuse'; readonly reason: RefusalReason; readonly message: string}
	| {readonly do: 'wait'; readonly reason: WaitReason; readonly message: string}
	| {readonly do: 'askForSnapshot'; readonly request: CloneRequest}
	| {readonly do: 'createImportSource'; readonly source: VolumeImportSource}
	| {readonly do: 'createCloneSource'; readonly source: VolumeCloneSource}
	| {readonly do: 'createClaim'; readonly claim: PersistentVolumeClaim; readonly decision?: CloneDecision}
	/** Paced: the snapshot's window is asked first, the claim may have to wait. */
	| {
			readonly do: 'restoreClaim';
			readonly claim: PersistentVolumeClaim;
			readonly snapshotName: string;
			readonly window: number;
			readonly decision: CloneDecision;
	  }
	/** What it should be restored from is gone for good. */
	| {readonly do: 'abandonClaim'; readonly claim: PersistentVolumeClaim}
	| {readonly do: 'growClaim'; readonly claim: PersistentVolumeClaim; readonly request: string}
	| {readonly do: 'selectNode'; readonly claim: PersistentVolumeClaim; readonly node: string}
	| {readonly do: 'deleteImportSource'; readonly source: VolumeImportSource}
	| {readonly do: 'deleteCloneSource'; readonly source: VolumeCloneSource};

const nothing: DataVolumePlan = {do: 'nothing'};
const wait = (reason: WaitReason, message: string): DataVolumePlan => ({do: 'wait', reason, message});
const refuse = (reason: RefusalReason, message: string): DataVolumePlan => ({do: 'refuse', reason, message});

export function belongsTo(claim: PersistentVolumeClaim, dataVolume: DataVolume): boolean {
	return (
		claim.metadata.ownerReferences?.some(
			({controller, uid}) => controller === true && uid === dataVolume.metadata.uid,
		) === true
	);
}

export function isRestoredFromSnapshot(claim: PersistentVolumeClaim): boolean {
	return claim.spec.dataSource?.kind === 'VolumeSnapshot';
}

/** What the claim should ask for in the end; a restore may have begun smaller. */
function growth({claim, volume, rendered}: Observed): {readonly request?: string; readonly grown: boolean} {
	if (!claim || isRenderProblem(rendered) || !isRestoredFromSnapshot(claim)) return {grown: true};
	const wants = rendered.requestBytes;
	const asks = parseQuantity(claim.spec.resources?.requests?.['storage'] ?? '0') ?? 0n;
	if (asks < wants) return {request: formatQuantity(wants), grown: false};
	// The file system grows at the next mount, the kubelet sees to it; the volume must be large enough now.
	const has = parseQuantity(volume?.spec.capacity?.['storage'] ?? '0') ?? 0n;
	return {grown: has >= asks};
}

/** The claim is the disk now: grown if it began smaller, and the objects that described its content are not needed any more. */
function tendBound(observed: Observed, claim: PersistentVolumeClaim): DataVolumePlan {
	const {request, grown} = growth(observed);
	if (request) return {do: 'growClaim', claim, request};
	if (!grown)
		return wait(
			'Growing',
			`Claim ${claim.metadata.name} is being grown to ${claim.spec.resources?.requests?.['storage']}`,
		);
	const {importSource, cloneSource, population} = observed;
	// They stay until the prime claim is gone: without them nobody would know what it is for.
	if (population && population.stage !== 'done') return nothing;
	if (importSource && !importSource.metadata.deletionTimestamp) return {do: 'deleteImportSource', source: importSource};
	if (cloneSource && !cloneSource.metadata.deletionTimestamp) return {do: 'deleteCloneSource', source: cloneSource};
	return nothing;
}

function cannotBeRestored({clone}: Observed): boolean {
	const serving = clone?.serving;
	return serving?.state === 'none' || (serving?.state === 'pending' && serving.aliasLeaves === true);
}

function tendPending(observed: Observed, dataVolume: DataVolume, claim: PersistentVolumeClaim): DataVolumePlan {
	const {source, rendered, population, node} = observed;
	if (population) return sourceObject(observed, dataVolume) ?? wait('Population', population.message);
	const given = claim.metadata.annotations ?? {};
	const waitsForConsumer =
		!isRenderProblem(rendered) &&
		rendered.storageClass.volumeBindingMode === 'WaitForFirstConsumer' &&
		!given[annotations.selectedNode];
	if (waitsForConsumer && given[annotations.bindImmediate] !== undefined && isRestoredFromSnapshot(claim)) {
		return node ? {do: 'selectNode', claim, node} : wait('NoNode', 'No node is ready that has the storage driver');
	}
	if (waitsForConsumer) return wait('FirstConsumer', `Claim ${claim.metadata.name} waits for its first consumer`);
	const external = !isRefusal(source) && source.kind === 'external';
	// What it should be restored from is lost. It is bound to nothing and holds nothing: made anew from another snapshot.
	if (cannotBeRestored(observed) && isRestoredFromSnapshot(claim)) return {do: 'abandonClaim', claim};
	return external
		? wait('Binding', `PVC ${claim.metadata.name} Pending`)
		: wait('Restoring', `Claim ${claim.metadata.name} is being restored from snapshot ${claim.spec.dataSource?.name}`);
}

function tendClaim(observed: Observed, dataVolume: DataVolume, claim: PersistentVolumeClaim): DataVolumePlan {
	const {namespace, name} = claim.metadata;
	if (!belongsTo(claim, dataVolume)) {
		return refuse(
			'ErrResourceExists',
			`PersistentVolumeClaim ${namespace}/${name} exists already and is not of this DataVolume: delete it, or choose another name`,
		);
	}
	if (claim.metadata.deletionTimestamp)
		return wait('ClaimTerminating', `PersistentVolumeClaim ${namespace}/${name} is being deleted`);
	switch (claim.status?.phase) {
		case 'Lost':
			return nothing;
		case 'Bound':
			return tendBound(observed, claim);
		default:
			return tendPending(observed, dataVolume, claim);
	}
}

/** The object that the claim's dataSourceRef names comes first: without it nobody knows what to fill the claim with. */
function sourceObject(
	{source, importSource, cloneSource, clone}: Observed,
	dataVolume: DataVolume,
): DataVolumePlan | undefined {
	if (isRefusal(source)) return undefined;
	switch (source.kind) {
		case 'http':
			return importSource
				? undefined
				: {do: 'createImportSource', source: makeImportSource(dataVolume, {http: source.http})};
		case 'blank':
			return importSource ? undefined : {do: 'createImportSource', source: makeImportSource(dataVolume, {blank: {}})};
		case 'pvc':
		case 'snapshot':
			return cloneSource || !clone
				? undefined
				: {do: 'createCloneSource', source: makeCloneSource(dataVolume, clone.origin)};
		case 'external':
			return undefined;
		default:
			return source satisfies never;
	}
}

/** Equal-size drivers restore at the source's size and grow afterwards; the others restore at the size that is wanted. */
function restoreRequest(clone: ObservedClone, rendered: Rendered): string {
	const {minimumBytes, equalSizeRestore} = clone;
	if (equalSizeRestore && minimumBytes > 0n) return formatQuantity(minimumBytes);
	if (minimumBytes > rendered.requestBytes) return formatQuantity(minimumBytes);
	return rendered.spec.resources?.requests?.['storage'] ?? formatQuantity(rendered.requestBytes);
}

function restore(
	dataVolume: DataVolume,
	clone: ObservedClone,
	rendered: Rendered,
	decision: CloneDecision,
	snapshotName: string,
	rule?: ReuseRule,
): DataVolumePlan {
	const request = restoreRequest(clone, rendered);
	const claim = makeRestoredClaim(dataVolume, rendered.spec, {name: snapshotName, request, rule});
	return {do: 'restoreClaim', claim, snapshotName, window: clone.restoreWindow, decision};
}

function startClone(
	observed: Observed,
	dataVolume: DataVolume,
	clone: ObservedClone,
	rendered: Rendered,
): DataVolumePlan {
	const {problem, decision, serving, snapshot, origin} = clone;
	if (problem?.reason === 'CloneNotAuthorized') return wait(problem.reason, problem.message);
	// What was cut for this request serves it, whatever became of its source meanwhile.
	if (problem && serving?.state === 'ready') {
		return restore(dataVolume, clone, rendered, {way: 'snapshot', declined: []}, serving.snapshotName);
	}
	if (problem) return wait(problem.reason, problem.message);
	if (!decision) return nothing;
	const request = requestOf(dataVolume);
	if (decision.way === 'snapshot' && request && serving) {
		switch (serving.state) {
			case 'none':
				return {do: 'askForSnapshot', request};
			case 'pending':
				return wait('SnapshotNotReady', serving.message);
			case 'ready':
				return restore(dataVolume, clone, rendered, decision, serving.snapshotName);
			default:
				return serving satisfies never;
		}
	}
	if (decision.way === 'snapshot' && snapshot)
		return restore(dataVolume, clone, rendered, decision, snapshot.metadata.name, 'SnapshotSource');
	// A copy; or a snapshot of another namespace, restored there and moved here.
	return (
		sourceObject(observed, dataVolume) ?? {
			do: 'createClaim',
			claim: makePopulatedClaim(dataVolume, rendered.spec, {kind: 'clone', origin, decision}),
			decision,
		}
	);
}

function start(observed: Observed, dataVolume: DataVolume, source: Source): DataVolumePlan {
	const {rendered, clone} = observed;
	// A source that is not there yet may be what the size is taken from, so it is looked at first.
	if (isRenderProblem(rendered)) {
		return clone?.problem
			? wait(clone.problem.reason, clone.problem.message)
			: refuse(rendered.reason, rendered.message);
	}
	if (clone) return startClone(observed, dataVolume, clone, rendered);
	if (source.kind === 'external') return {do: 'createClaim', claim: makeClaim(dataVolume, {spec: rendered.spec})};
	return (
		sourceObject(observed, dataVolume) ?? {
			do: 'createClaim',
			claim: makePopulatedClaim(dataVolume, rendered.spec, {kind: 'import'}),
		}
	);
}

export function decide(observed: Observed): DataVolumePlan {
	const {dataVolume, source, claim, orphanSources} = observed;
	const orphan = orphanSources.find(({metadata}) => !metadata.deletionTimestamp);
	if (orphan) return {do: 'deleteCloneSource', source: orphan};
	if (!dataVolume || dataVolume.metadata.deletionTimestamp || observed.namespaceLeaves) return nothing;
	if (claim) return tendClaim(observed, dataVolume, claim);
	if (isRefusal(source)) return refuse(source.reason, source.message);
	return start(observed, dataVolume, source);
}
