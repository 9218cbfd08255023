/**
 * What to do next for one DataVolume. Questions in order, first answer wins; a plan is one write, or what is waited for.
 */
import type {DataVolume} from '../api/datavolume.ts';
import type {PersistentVolumeClaim} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import type {VolumeCloneSource, VolumeImportSource} from '../api/populator.ts';
import {formatQuantity, parseQuantity} from '../api/quantity.ts';
import type {ReuseRule, SharedSnapshot} from '../api/sharedsnapshot.ts';
import {isRefusal, type Source, type SourceReference} from '../api/source.ts';
import type {CloneableSource} from '../datasource/resolve.ts';
import {isBeingFilled} from '../populate/in-place.ts';
import type {Population} from '../populate/population.ts';
import {mostRestores} from '../smartclone/driver-policy.ts';
import type {CloneRequest} from '../smartclone/requests.ts';
import {type Failure, parseFailure} from '../smartclone/provisioning-failure.ts';
import type {PaceLimits} from '../smartclone/restore-pace.ts';
import type {Serving} from '../smartclone/serving.ts';
import {
	type CloneDecision,
	type CloneWay,
	type Declined,
	type GivenUpWay,
	sourceOnOtherNode,
} from '../smartclone/strategy.ts';
import {controllerOf, isLeftAlone, isPopulatedFor, isPrePopulated, standingOf} from './claim-standing.ts';
import {describeGaveUp, type GaveUp, isGivenUp, withWay} from './gave-up.ts';
import {
	type CloneOrigin,
	makeClaim,
	makeCloneSource,
	makeImportSource,
	makePopulatedClaim,
	makeRestoredClaim,
	makeStaticClaim,
} from './objects.ts';
import {inheritedLabels} from './instancetype-labels.ts';
import type {Observed, ObservedMaking} from './observe.ts';
import {type CloneProblemReason, needsShared, type ObservedClone, requestWay} from './observe-clone.ts';
import {isRenderProblem, type Rendered, type RenderProblem} from './render.ts';
import {requestOf, writtenWay} from './requests.ts';
import {isProblem, type ObservedReference} from './source-ref.ts';

/** Nothing was made, and nothing will be until a person acts. */
export type RefusalReason = 'NotSupported' | 'Invalid' | 'ErrClaimNotValid' | 'ErrResourceExists';

/** Waiting for something that comes by itself or that somebody makes. */
export type WaitReason =
	| CloneProblemReason
	/** Asked for quiet, and a Pod writes to the source. */
	| 'CloneSourceInUse'
	| 'SnapshotNotReady'
	| 'ClaimTerminating'
	/** The disk is complete, and goes when nobody uses it any more. */
	| 'ClaimMarkedForDeletion'
	/** Somebody else makes the claim. */
	| 'PrePopulated'
	| 'FirstConsumer'
	| 'Restoring'
	/** The storage says that it is asked too much. Said after a while only. */
	| 'StorageBusy'
	| 'ProvisioningFailed'
	| 'Growing'
	| 'Population'
	| 'Binding'
	| 'NoNode';

/** A shared snapshot that the storage no longer has, although nothing shows it. */
export interface LostSnapshot {
	readonly shared: SharedSnapshot;
	readonly message: string;
}

export type DataVolumePlan =
	| {readonly do: 'nothing'}
	/** `event`: told besides, in other words. */
	| {
			readonly do: 'refuse';
			readonly reason: RefusalReason;
			readonly message: string;
			readonly event?: string | undefined;
	  }
	| {readonly do: 'wait'; readonly reason: WaitReason; readonly message: string}
	| {
			readonly do: 'askForSnapshot';
			readonly request: CloneRequest;
			/** A Pod that writes to the source while it is asked for. */
			readonly writer: string | undefined;
			/** Nobody may write to this claim: asked of the server itself, because Pods are watched apart. */
			readonly quiet?: {readonly namespace: string; readonly name: string} | undefined;
	  }
	/** What `spec.sourceRef` leads to, before anything is made of it. On condition that the DataVolume did not change. */
	| {
			readonly do: 'recordSource';
			readonly dataVolume: DataVolume;
			/** The DataSource. */
			readonly reference: {readonly namespace: string; readonly name: string};
			readonly source: CloneableSource;
			readonly labels: Readonly<Record<string, string>>;
	  }
	| {readonly do: 'createImportSource'; readonly source: VolumeImportSource}
	| {readonly do: 'createCloneSource'; readonly source: VolumeCloneSource}
	| {readonly do: 'createClaim'; readonly claim: PersistentVolumeClaim; readonly decision?: CloneDecision}
	/** Its size is not given, and whoever makes the claim has to know it. */
	| {
			readonly do: 'measureSource';
			readonly source: {readonly namespace: string; readonly name: string};
			readonly message: string;
	  }
	/** Paced: the window of what it is made from is asked first, the claim may have to wait. */
	| {
			readonly do: 'restoreClaim';
			readonly claim: PersistentVolumeClaim;
			readonly pace: PaceLimits;
			readonly decision: CloneDecision;
			readonly writer?: string | undefined;
			readonly quiet?: {readonly namespace: string; readonly name: string} | undefined;
	  }
	/** Remembers what was tried in vain, before anything is done about it. */
	| {
			readonly do: 'recordTries';
			readonly dataVolume: DataVolume;
			readonly gaveUp: GaveUp;
			readonly given?: GivenUpWay;
			readonly lost?: LostSnapshot;
	  }
	/** What it should be made from is gone for good, or its way is given up. It is bound to nothing and holds nothing. */
	| {readonly do: 'abandonClaim'; readonly claim: PersistentVolumeClaim; readonly lost?: LostSnapshot}
	/** Which way the clone went, where that was not known when its claim was made. */
	| {
			readonly do: 'recordWay';
			readonly on: PersistentVolumeClaim;
			readonly way: string;
			/** Why it is no better one. */
			readonly because?: Declined;
	  }
	/** Somebody else made it: from now on it goes with the DataVolume. On condition that it did not change. */
	| {readonly do: 'adoptClaim'; readonly claim: PersistentVolumeClaim; readonly dataVolume: DataVolume}
	/** What tools read on a DataVolume whose disk is there. */
	| {
			readonly do: 'markDataVolume';
			readonly dataVolume: DataVolume;
			readonly annotations: Readonly<Record<string, string>>;
			readonly labels?: Readonly<Record<string, string>>;
	  }
	| {readonly do: 'growClaim'; readonly claim: PersistentVolumeClaim; readonly request: string}
	| {readonly do: 'selectNode'; readonly claim: PersistentVolumeClaim; readonly node: string}
	| {readonly do: 'deleteImportSource'; readonly source: VolumeImportSource}
	| {readonly do: 'deleteCloneSource'; readonly source: VolumeCloneSource};

const bytesOf = (quantity: string | undefined) => parseQuantity(quantity ?? '0') ?? 0n;

const nothing: DataVolumePlan = {do: 'nothing'};
const wait = (reason: WaitReason, message: string): DataVolumePlan => ({do: 'wait', reason, message});
const refuse = (reason: RefusalReason, message: string): DataVolumePlan => ({do: 'refuse', reason, message});

/** Made by the storage driver from a snapshot or from another claim. */
export function isMadeByDriver(claim: PersistentVolumeClaim): boolean {
	const kind = claim.spec.dataSource?.kind;
	return kind === 'VolumeSnapshot' || kind === 'PersistentVolumeClaim';
}

/** On record beside the claim's own mark, which somebody may take away: then the disk would be cleared and filled anew. */
function isFilled({metadata}: DataVolume, claim: PersistentVolumeClaim): boolean {
	return metadata.annotations?.[annotations.filled] === claim.metadata.uid;
}

/** Whether its claim, though bound, is not complete: it is filled in place. */
export function isStillFilled({dataVolume, claim, population}: Observed): boolean {
	if (!dataVolume || !claim || population?.inPlace !== true || isFilled(dataVolume, claim)) return false;
	if (!isLeftAlone(claim, dataVolume)) return population.stage !== 'done';
	// Somebody else answers for what is in it, unless a worker of ours is at it.
	return population.stage !== 'done' && population.stage !== 'waiting' && population.stage !== 'failed';
}

/** What a DataVolume with a disk should say and does not. */
function newsOf(
	{clone, population}: Observed,
	dataVolume: DataVolume,
	claim: PersistentVolumeClaim,
): DataVolumePlan | undefined {
	const {annotations: has = {}} = dataVolume.metadata;
	const way = claim.metadata.annotations?.[annotations.cloneType];
	const isNew = way !== undefined && way !== has[annotations.cloneType];
	const isNewWay = clone !== undefined && isNew && !isLeftAlone(claim, dataVolume);
	// Before what it is filled from is deleted, which would be made again for a claim that is not complete.
	const isComplete = population?.inPlace === true && population.stage === 'done' && !isLeftAlone(claim, dataVolume);
	const news = {
		...(isNewWay && {[annotations.cloneType]: way}),
		...(isComplete && !isFilled(dataVolume, claim) && {[annotations.filled]: claim.metadata.uid ?? ''}),
		...(isPopulatedFor(claim, dataVolume) &&
			!isPrePopulated(dataVolume) && {[annotations.prePopulated]: claim.metadata.name}),
	};
	if (Object.keys(news).length === 0) return undefined;
	// A shared snapshot's clones have them since they were assigned. Once: what becomes of the claim's labels later is not ours.
	const labels = isNewWay ? inheritedLabels(dataVolume, claim) : {};
	return {
		do: 'markDataVolume',
		dataVolume,
		annotations: news,
		...(Object.keys(labels).length > 0 && {labels}),
	};
}

/**
 * A DataVolume always has an annotation: KubeVirt restores its disk by a JSON patch that adds two, which fails where there is
 * none yet. One that nobody reads: CDI's would say how the claim is to be filled where its YAML is used again.
 */
function firstAnnotation({metadata}: DataVolume): Readonly<Record<string, string>> | undefined {
	return Object.keys(metadata.annotations ?? {}).length > 0 ? undefined : {[annotations.annotated]: 'true'};
}

/**
 * What the claim should ask for in the end, where its restore began smaller. As it was wanted then: what the source or the
 * claim itself is grown to afterwards is none of this.
 */
function growth({claim, volume}: Pick<Observed, 'claim' | 'volume'>): {
	readonly request?: string;
	readonly grown: boolean;
} {
	const growTo = claim?.metadata.annotations?.[annotations.growTo];
	if (!claim || growTo === undefined || !isMadeByDriver(claim)) return {grown: true};
	const wants = bytesOf(growTo);
	if (bytesOf(claim.spec.resources?.requests?.['storage']) < wants) return {request: growTo, grown: false};
	// The file system grows at the next mount, the kubelet sees to it; the volume must be large enough now.
	return {grown: bytesOf(volume?.spec.capacity?.['storage']) >= wants};
}

/** Of a claim that is filled, or that was taken over: it was shown too late for its source object not to be made. */
function deleteSource({importSource, cloneSource, cloneSourceAtClaim}: Observed): DataVolumePlan | undefined {
	if (importSource && !importSource.metadata.deletionTimestamp) return {do: 'deleteImportSource', source: importSource};
	const left = [cloneSource, cloneSourceAtClaim].find((source) => source && !source.metadata.deletionTimestamp);
	return left && {do: 'deleteCloneSource', source: left};
}

/** The claim is the disk now: grown if it began smaller, and the objects that described its content are not needed any more. */
function tendBound(observed: Observed, dataVolume: DataVolume, claim: PersistentVolumeClaim): DataVolumePlan {
	const {population} = observed;
	if (population && isStillFilled(observed)) {
		return isLeftAlone(claim, dataVolume)
			? wait('Population', population.message || `Claim ${claim.metadata.name} is still being filled`)
			: tendPopulated(observed, dataVolume, claim, population);
	}
	const {request, grown} = isLeftAlone(claim, dataVolume) ? {grown: true} : growth(observed);
	if (request) return {do: 'growClaim', claim, request};
	if (!grown)
		return wait(
			'Growing',
			`Claim ${claim.metadata.name} is being grown to ${claim.spec.resources?.requests?.['storage']}`,
		);
	const news = newsOf(observed, dataVolume, claim);
	if (news) return news;
	// They stay until the prime claim is gone: without them nobody would know what it is for.
	if (population && population.stage !== 'done') return nothing;
	const unneeded = deleteSource(observed);
	if (unneeded) return unneeded;
	const first = firstAnnotation(dataVolume);
	return first ? {do: 'markDataVolume', dataVolume, annotations: first} : nothing;
}

/** Said only when it lasts: that a storage is busy for a moment is how pacing finds out. */
const busyForMs = 60_000;
/** Back-pressure ends by itself; that it never does is believed later than that a silent storage has forgotten. */
const busyPatience = 8;
/** Others that hold a cut up are soon done; a storage that is full of snapshots stays so until somebody deletes some. */
const busyCutPatience = 2;

const sayNo = (what: string, {code, message}: {code: string; message: string}) => `${what} (${code}): ${message}`;

function triedBefore(gaveUp: GaveUp): string {
	return gaveUp.ways.length === 0 ? '' : `. Tried before: ${describeGaveUp(gaveUp)}`;
}

function giveUp(dataVolume: DataVolume, clone: ObservedClone, given: GivenUpWay, lost?: LostSnapshot): DataVolumePlan {
	return {do: 'recordTries', dataVolume, gaveUp: withWay(clone.gaveUp, given), given, ...(lost && {lost})};
}

/**
 * What follows from how long the storage has been making a claim and from what it said: undefined as long as it is to be
 * waited for.
 *
 * @param way that fails with it; undefined where no other is left.
 */
function judge(
	observed: Observed,
	dataVolume: DataVolume,
	clone: ObservedClone,
	{making, way}: {readonly making: ObservedMaking; readonly way: CloneWay | undefined},
): DataVolumePlan | undefined {
	const {claim, failure, forMs} = making;
	const fromShared = claim.spec.dataSource?.kind === 'VolumeSnapshot' && clone.origin.kind === 'PersistentVolumeClaim';
	const give = (code: string, message: string) =>
		way && giveUp(dataVolume, clone, {way, code, message}, code === 'NotFound' ? lost : undefined);
	// On node-local storage NotFound may mean: not on this node.
	const isLost = failure?.kind === 'notFound' && fromShared && !clone.policy.nodeLocal;
	const lost = isLost && clone.shared ? {shared: clone.shared, message: failure.message} : undefined;
	if (lost) {
		const {lostClaim} = clone.gaveUp;
		const uid = claim.metadata.uid ?? '';
		if (lostClaim === undefined) {
			return {do: 'recordTries', dataVolume, gaveUp: {...clone.gaveUp, lostClaim: uid}, lost};
		}
		if (lostClaim === uid && observed.claim) return {do: 'abandonClaim', claim: observed.claim, lost};
	}
	if (failure?.kind === 'permanent' || failure?.kind === 'notFound') {
		return give(failure.code, failure.message) ?? failing(clone, making);
	}
	const patience = failure?.kind === 'busy' ? busyPatience : 1;
	const deadlineMs = (clone.policy.restoreDeadlineSeconds ?? observed.deadlines.restoreMs / 1000) * 1000;
	// A quota is for people to raise: the storage was not even asked.
	if (failure?.kind !== 'refused' && forMs > deadlineMs * patience) {
		const said = failure ? `, last answer ${failure.code}: ${failure.message}` : '';
		const given = give('RestoreDeadline', `Not made within ${(deadlineMs * patience) / 1000} s${said}`);
		if (given) return given;
	}
	return failing(clone, making);
}

/** What a person is told of a storage that says no. */
function failing({gaveUp}: ObservedClone, {claim, failure, forMs}: ObservedMaking): DataVolumePlan | undefined {
	if (!failure || (failure.kind === 'busy' && forMs < busyForMs)) return undefined;
	const where = `claim ${claim.metadata.namespace}/${claim.metadata.name}`;
	return failure.kind === 'busy'
		? wait('StorageBusy', `${sayNo(`The storage puts ${where} off`, failure)}${triedBefore(gaveUp)}`)
		: wait('ProvisioningFailed', `${sayNo(`The storage does not make ${where}`, failure)}${triedBefore(gaveUp)}`);
}

function tendRestore(
	observed: Observed,
	dataVolume: DataVolume,
	clone: ObservedClone,
	claim: PersistentVolumeClaim,
): DataVolumePlan {
	const {serving, gaveUp, origin} = clone;
	const way: CloneWay = claim.spec.dataSource?.kind === 'VolumeSnapshot' ? 'snapshot' : 'csi-clone';
	if (isGivenUp(gaveUp, way)) return {do: 'abandonClaim', claim};
	// What it should be restored from is lost, or about to be: made anew from another snapshot.
	const isLost = serving?.state === 'none' || observed.snapshotLost;
	if (way === 'snapshot' && isLost) return {do: 'abandonClaim', claim};
	// The snapshot that the user named is all there is, for a copy as well.
	const isOnlySource = origin.kind === 'VolumeSnapshot' && observed.making?.failure?.kind === 'notFound';
	const judged =
		observed.making &&
		judge(observed, dataVolume, clone, {making: observed.making, way: isOnlySource ? undefined : way});
	const from = `${way === 'snapshot' ? 'snapshot' : 'claim'} ${claim.spec.dataSource?.name}`;
	return judged ?? wait('Restoring', `Claim ${claim.metadata.name} is being restored from ${from}`);
}

/** The populate layer fills it; what it reads from can be lost, and the storage can fail it, as with a restore. */
function tendPopulated(
	observed: Observed,
	dataVolume: DataVolume,
	claim: PersistentVolumeClaim,
	population: Population,
): DataVolumePlan {
	const {clone, cloneSource, making, happened, snapshotLost} = observed;
	const waiting = wait('Population', population.message);
	if (!clone) return sourceObject(observed, dataVolume) ?? waiting;
	const {gaveUp, serving, origin, decision, problem} = clone;
	const ofShared = origin.kind === 'PersistentVolumeClaim' && cloneSource?.spec.source.kind === 'VolumeSnapshot';
	if (ofShared && (isGivenUp(gaveUp, 'snapshot') || isGivenUp(gaveUp, 'copy'))) return {do: 'abandonClaim', claim};
	const reads = making?.claim.spec.dataSource?.kind === 'VolumeSnapshot';
	const needsOne = ofShared || (!cloneSource && decision !== undefined && needsShared(decision));
	// Nothing was read yet of what is gone: made anew. What was restored already is its own.
	const hasBegun = population.stage !== 'waiting' && !reads;
	const isLost = serving?.state === 'none' || (ofShared && snapshotLost);
	if (needsOne && isLost && !hasBegun) return {do: 'abandonClaim', claim};
	// To be copied from a claim that is gone, while what was cut for it is there: caches were late when it was begun.
	const hasLost = cloneSource?.spec.source.kind === 'PersistentVolumeClaim' && problem?.reason === 'CloneWithoutSource';
	if (hasLost && serving && serving.state !== 'none' && !hasBegun) return {do: 'abandonClaim', claim};
	const missing = sourceObject(observed, dataVolume);
	if (missing && problem) return wait(problem.reason, problem.message);
	if (missing) return missing;
	if (happened && claim.metadata.annotations?.[annotations.cloneType] === undefined)
		return {
			...{do: 'recordWay', on: claim, way: happened},
			...(happened === 'copy' && decision?.route === 'restoreOrCopy' && {because: sourceOnOtherNode}),
		};
	const way: CloneWay = decision?.route === 'restoreOrCopy' ? 'snapshot' : 'copy';
	// Without a word of the storage, a restore of the populate layer may be waiting for a node.
	const judged =
		making?.failure && judge(observed, dataVolume, clone, {making, way: ofShared && reads ? way : undefined});
	return judged ?? waiting;
}

function tendPending(observed: Observed, dataVolume: DataVolume, claim: PersistentVolumeClaim): DataVolumePlan {
	const {claimClass, population, node, clone} = observed;
	const isMade = !isLeftAlone(claim, dataVolume);
	if (population && isMade) return tendPopulated(observed, dataVolume, claim, population);
	const given = claim.metadata.annotations ?? {};
	const waitsForConsumer =
		claimClass?.volumeBindingMode === 'WaitForFirstConsumer' &&
		given[annotations.selectedNode] === undefined &&
		claim.spec.volumeName === undefined;
	if (waitsForConsumer && given[annotations.bindImmediate] !== undefined && clone && isMadeByDriver(claim)) {
		return node ? {do: 'selectNode', claim, node} : wait('NoNode', 'No node is ready that has the storage driver');
	}
	if (waitsForConsumer) return wait('FirstConsumer', `Claim ${claim.metadata.name} waits for its first consumer`);
	return clone && isMade
		? tendRestore(observed, dataVolume, clone, claim)
		: wait('Binding', `PVC ${claim.metadata.name} Pending`);
}

/** A claim that is in the way: why, and what to do about it. */
function tendOthers(observed: Observed, dataVolume: DataVolume, claim: PersistentVolumeClaim): DataVolumePlan {
	const name = `PersistentVolumeClaim ${claim.metadata.namespace}/${claim.metadata.name}`;
	const controller = controllerOf(claim);
	if (claim.metadata.deletionTimestamp) return wait('ClaimTerminating', `${name} is being deleted`);
	if (standingOf(claim, dataVolume, observed.adoptsByDefault) === 'predecessors') {
		return wait('ClaimTerminating', `${name} is of an earlier DataVolume of this name, and goes with it`);
	}
	return refuse(
		'ErrResourceExists',
		controller
			? `${name} exists already and is of ${controller.kind} ${controller.name}: choose another name`
			: `${name} exists already and is not of this DataVolume: delete it, choose another name, or let the DataVolume take it over by its annotation ${annotations.allowClaimAdoption}: "true"`,
	);
}

function tendClaim(observed: Observed, dataVolume: DataVolume, claim: PersistentVolumeClaim): DataVolumePlan {
	const standing = standingOf(claim, dataVolume, observed.adoptsByDefault);
	const isOurs = standing === 'own' || standing === 'adopted';
	if (!isOurs && (standing !== 'adoptable' || claim.metadata.deletionTimestamp))
		return tendOthers(observed, dataVolume, claim);
	if (!isOurs) return {do: 'adoptClaim', claim, dataVolume};
	const {namespace, name, deletionTimestamp} = claim.metadata;
	if (deletionTimestamp) {
		const isComplete = !isBeingFilled(claim) || isFilled(dataVolume, claim);
		const isThere = claim.status?.phase === 'Bound' && growth(observed).grown && isComplete;
		return wait(
			isThere ? 'ClaimMarkedForDeletion' : 'ClaimTerminating',
			`PersistentVolumeClaim ${namespace}/${name} is being deleted`,
		);
	}
	switch (claim.status?.phase) {
		case 'Lost':
			return nothing;
		case 'Bound':
			return tendBound(observed, dataVolume, claim);
		default:
			return (standing === 'adopted' && deleteSource(observed)) || tendPending(observed, dataVolume, claim);
	}
}

/** What a copy reads from; undefined while that is not there. */
function populatedFrom({origin, decision, serving, minimumBytes}: ObservedClone): CloneOrigin | undefined {
	const size = minimumBytes > 0n ? {minimumSize: formatQuantity(minimumBytes)} : {};
	if (origin.kind === 'VolumeSnapshot') return {...origin, ...size};
	if (decision && !needsShared(decision)) return origin;
	switch (serving?.state) {
		case 'ready':
			return {kind: 'VolumeSnapshot', namespace: origin.namespace, name: serving.snapshotName, ...size};
		case 'pending':
			return undefined;
		default:
			return decision ? undefined : origin;
	}
}

/** The object that the claim's dataSourceRef names comes first: without it nobody knows what to fill the claim with. */
function sourceObject(
	{source, importSource, cloneSource, cloneSourceAtClaim, inPlace, clone}: Observed,
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
		case 'snapshot': {
			const {namespace} = dataVolume.metadata;
			const wantsTwo = inPlace && clone?.origin.namespace !== namespace;
			const isThere = cloneSource !== undefined && (!wantsTwo || cloneSourceAtClaim !== undefined);
			const from = isThere ? undefined : clone && populatedFrom(clone);
			const missing = from && makeCloneSource(dataVolume, from, cloneSource ? namespace : from.namespace);
			return missing && {do: 'createCloneSource', source: missing};
		}
		case 'external':
		case 'reference':
			return undefined;
		default:
			return source satisfies never;
	}
}

/** Equal-size drivers begin at the source's size and grow afterwards; the others begin at the size that is wanted. */
function restoreRequest({minimumBytes}: ObservedClone, rendered: Rendered, equalSize: boolean): string {
	if (equalSize && minimumBytes > 0n) return formatQuantity(minimumBytes);
	if (minimumBytes > rendered.requestBytes) return formatQuantity(minimumBytes);
	return rendered.spec.resources?.requests?.['storage'] ?? formatQuantity(rendered.requestBytes);
}

const paceOf = ({policy}: ObservedClone): PaceLimits => ({start: policy.restoreWindow, most: mostRestores(policy)});

function writerOf({writers: [writer]}: ObservedClone): string | undefined {
	return writer && `${writer.metadata.namespace}/${writer.metadata.name}`;
}

/** One that was there before the cut, although Pods were shown too late for it to be seen when the clone was asked for. */
function writerAtCut(clone: ObservedClone): string | undefined {
	const cutAfter = clone.serving?.state === 'ready' ? clone.serving.cutAfter : undefined;
	const before = (at: string | undefined) => at !== undefined && cutAfter !== undefined && at <= cutAfter;
	return writerOf({...clone, writers: clone.writers.filter(({metadata}) => before(metadata.creationTimestamp))});
}

const quietOf = ({wantsQuiet, origin: {namespace, name}}: ObservedClone) =>
	wantsQuiet ? {namespace, name} : undefined;

/** Who makes it, where nothing is to be waited for. */
function provisionerOf({storageClass: {volumeBindingMode, provisioner}}: Rendered) {
	return volumeBindingMode === 'WaitForFirstConsumer' ? {} : {provisioner};
}

interface Start {
	readonly dataVolume: DataVolume;
	readonly clone: ObservedClone;
	readonly rendered: Rendered;
	readonly decision: CloneDecision;
}

function restore({dataVolume, clone, rendered, decision}: Start, name: string, rule?: ReuseRule): DataVolumePlan {
	const request = restoreRequest(clone, rendered, clone.policy.equalSizeRestore);
	const given = {name, request, rule, labels: clone.inherits, ...provisionerOf(rendered)};
	const from = {kind: 'VolumeSnapshot', ...given} as const;
	const claim = makeRestoredClaim(dataVolume, rendered.spec, from);
	return {do: 'restoreClaim', claim, pace: paceOf(clone), decision, writer: writerAtCut(clone)};
}

function cloneByDriver({dataVolume, clone, rendered, decision}: Start): DataVolumePlan {
	const {equalSizeRestore, equalSizeCsiClone} = clone.policy;
	const request = restoreRequest(clone, rendered, equalSizeRestore || equalSizeCsiClone);
	const {declined} = decision;
	const given = {name: clone.origin.name, request, declined, labels: clone.inherits, ...provisionerOf(rendered)};
	const from = {kind: 'PersistentVolumeClaim', ...given} as const;
	const claim = makeRestoredClaim(dataVolume, rendered.spec, from);
	// The driver copies the claim as it is after this claim was made: fresh by itself.
	return {do: 'restoreClaim', claim, pace: paceOf(clone), decision, writer: writerOf(clone), quiet: quietOf(clone)};
}

function populate(observed: Observed, {dataVolume, clone, rendered, decision}: Start): DataVolumePlan {
	const {cloneSource} = observed;
	const from = populatedFrom(clone);
	if (!from) return wait('SnapshotNotReady', 'Waiting for the snapshot to copy from');
	// Of a way that was given up, or of a snapshot that is lost; its spec cannot change.
	const isOther =
		cloneSource &&
		(cloneSource.spec.source.name !== from.name ||
			cloneSource.spec.source.kind !== from.kind ||
			cloneSource.metadata.namespace !== from.namespace);
	if (isOther) {
		const {name, namespace, deletionTimestamp} = cloneSource.metadata;
		return deletionTimestamp
			? wait('ClaimTerminating', `VolumeCloneSource ${namespace}/${name} is being deleted`)
			: {do: 'deleteCloneSource', source: cloneSource};
	}
	const {inPlace} = observed;
	const permissive = rendered.sizedByDisk === true;
	const order = {kind: 'clone', inPlace, origin: from, decision, permissive, labels: clone.inherits} as const;
	const claim = makePopulatedClaim(dataVolume, rendered.spec, order);
	return sourceObject(observed, dataVolume) ?? {do: 'createClaim', claim, decision};
}

/** As CDI does where it is asked to: no clone is begun while a Pod may write to the source. */
function notQuiet(clone: ObservedClone): DataVolumePlan | undefined {
	const writer = writerOf(clone);
	return clone.wantsQuiet && writer !== undefined
		? wait('CloneSourceInUse', `pod ${writer} using PersistentVolumeClaim ${clone.origin.name}`)
		: undefined;
}

const cutDeadlineMs = ({deadlines}: Observed, {policy}: ObservedClone) =>
	policy.cutDeadlineSeconds === undefined ? deadlines.cutMs : policy.cutDeadlineSeconds * 1000;

const storageSays = (failure: Failure | undefined) =>
	failure ? `. The storage says (${failure.code}): ${failure.message}` : '';

/** ListSnapshots of some storages shows a new snapshot late. */
const unlistedMs = 30_000;

/** Cut, but not found by the sidecar for the VolumeSnapshot in the clone's namespace: lost, or nobody says why. */
function tendAlias(
	observed: Observed,
	{dataVolume, clone}: Start,
	{alias, message}: Extract<Serving, {state: 'pending'}>,
): DataVolumePlan | undefined {
	if (!alias) return undefined;
	const {shared, gaveUp} = clone;
	const failure = alias.error === undefined ? undefined : parseFailure(alias.error);
	const deadlineMs = cutDeadlineMs(observed, clone);
	const forMs = observed.nowMs - Date.parse(alias.since ?? '');
	const way = 'snapshot';
	if (shared && failure?.kind === 'notFound' && forMs > Math.min(unlistedMs, deadlineMs)) {
		const lost = {shared, message: failure.message};
		return gaveUp.lostClaim === undefined || gaveUp.lostClaim === alias.uid
			? {do: 'recordTries', dataVolume, gaveUp: {...gaveUp, lostClaim: alias.uid}, lost}
			: giveUp(dataVolume, clone, {way, code: failure.code, message: failure.message}, lost);
	}
	const said = storageSays(failure);
	if (forMs <= deadlineMs) return wait('SnapshotNotReady', `${message}${said}`);
	const why = `The snapshot was not available in the namespace within ${deadlineMs / 1000} s${said}`;
	return giveUp(dataVolume, clone, {way, code: 'CutDeadline', message: why});
}

/** The storage makes the snapshot: what it said, and for how long, may be enough to go another way. */
function tendCut(observed: Observed, given: Start): DataVolumePlan {
	const {dataVolume, clone, decision} = given;
	const {serving} = clone;
	if (serving?.state !== 'pending') return nothing;
	const {cut, message} = serving;
	if (!cut) return tendAlias(observed, given, serving) ?? wait('SnapshotNotReady', message);
	const failure = cut.error === undefined ? undefined : parseFailure(cut.error);
	const way = requestWay(decision.route) === 'copy' && decision.route !== 'restoreOrCopy' ? 'copy' : 'snapshot';
	if (failure?.kind === 'permanent' || failure?.kind === 'notFound') {
		return giveUp(dataVolume, clone, {
			way,
			code: failure.code,
			message: `The snapshot was not cut: ${failure.message}`,
		});
	}
	// What has not begun waits for other cuts, or for snapshots to go of which the storage takes no more.
	const patience = !cut.isBegun ? busyPatience : failure?.kind === 'busy' ? busyCutPatience : 1;
	const deadlineMs = cutDeadlineMs(observed, clone) * patience;
	const forMs = observed.nowMs - Date.parse(cut.since ?? '');
	const said = storageSays(failure);
	if (forMs > deadlineMs) {
		const why = `The snapshot was not ready within ${deadlineMs / 1000} s${said}`;
		return giveUp(dataVolume, clone, {way, code: 'CutDeadline', message: why});
	}
	return wait('SnapshotNotReady', `${message}${said}`);
}

function startShared(observed: Observed, given: Start): DataVolumePlan {
	const {dataVolume, clone, decision} = given;
	const request = requestOf(dataVolume, requestWay(decision.route));
	if (!request || !clone.serving) return nothing;
	switch (clone.serving.state) {
		case 'none':
			return notQuiet(clone) ?? {do: 'askForSnapshot', request, writer: writerOf(clone), quiet: quietOf(clone)};
		case 'pending':
			return tendCut(observed, given);
		case 'ready':
			return decision.route === 'restore' ? restore(given, clone.serving.snapshotName) : populate(observed, given);
		default:
			return clone.serving satisfies never;
	}
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
		const copies = writtenWay(dataVolume) === 'copy';
		const kept = {way: copies ? 'copy' : 'snapshot', route: copies ? 'copySnapshot' : 'restore', declined: []} as const;
		return startShared(observed, {dataVolume, clone, rendered, decision: kept});
	}
	if (problem) return wait(problem.reason, problem.message);
	if (!decision) return nothing;
	const given: Start = {dataVolume, clone, rendered, decision};
	if (origin.kind === 'VolumeSnapshot') {
		// One of another namespace is restored there and moved here.
		return decision.route === 'restore' && snapshot
			? restore(given, snapshot.metadata.name, 'SnapshotSource')
			: populate(observed, given);
	}
	switch (decision.route) {
		case 'restore':
		case 'restoreOrCopy':
		case 'copySnapshot':
			return startShared(observed, given);
		case 'csiClone':
			return notQuiet(clone) ?? cloneByDriver(given);
		case 'copyClaim':
			return populate(observed, given);
		default:
			return decision.route satisfies never;
	}
}

/** Nobody looks into a source that may not be cloned, or is not there: that was asked before. */
function measureOrRefuse({clone, measuring}: Observed, {reason, message, event}: RenderProblem): DataVolumePlan {
	if (reason !== 'SizeUnknown') return {do: 'refuse', reason, message, event};
	return clone ? {do: 'measureSource', source: clone.origin, message: measuring ?? message} : nothing;
}

function start(observed: Observed, dataVolume: DataVolume, source: Source | SourceReference): DataVolumePlan {
	const {rendered, clone} = observed;
	// A source that is not there yet may be what the size is taken from, so it is looked at first.
	if (isRenderProblem(rendered)) {
		return clone?.problem ? wait(clone.problem.reason, clone.problem.message) : measureOrRefuse(observed, rendered);
	}
	if (clone) return startClone(observed, dataVolume, clone, rendered);
	if (source.kind === 'external') return {do: 'createClaim', claim: makeClaim(dataVolume, {spec: rendered.spec})};
	return (
		sourceObject(observed, dataVolume) ?? {
			do: 'createClaim',
			claim: makePopulatedClaim(dataVolume, rendered.spec, {kind: 'import', inPlace: observed.inPlace}),
		}
	);
}

/** A DataSource may lead elsewhere tomorrow: what it leads to now is written down before it is made use of, and not earlier. */
function startFromReference(
	{clone, rendered}: Observed,
	dataVolume: DataVolume,
	{recorded, now, to, inherits}: ObservedReference,
): DataVolumePlan | undefined {
	if (recorded) return undefined;
	if (isProblem(now)) return wait(now.reason, now.message);
	if (!clone || clone.problem || isRenderProblem(rendered)) return undefined;
	return notQuiet(clone) ?? {do: 'recordSource', dataVolume, reference: to, source: now, labels: inherits};
}

export function decide(observed: Observed): DataVolumePlan {
	const {dataVolume, source, claim, orphanSources, reference} = observed;
	const orphan = orphanSources.find(({metadata}) => !metadata.deletionTimestamp);
	if (orphan) return {do: 'deleteCloneSource', source: orphan};
	if (!dataVolume || dataVolume.metadata.deletionTimestamp || observed.namespaceLeaves) return nothing;
	if (claim) return tendClaim(observed, dataVolume, claim);
	if (isPrePopulated(dataVolume)) {
		return wait(
			'PrePopulated',
			`No PVC found: annotation ${annotations.prePopulated} says that somebody else makes it`,
		);
	}
	const {staticVolume, rendered} = observed;
	if (staticVolume && !isRenderProblem(rendered)) {
		return {do: 'createClaim', claim: makeStaticClaim(dataVolume, rendered.spec, staticVolume.metadata.name)};
	}
	if (isRefusal(source)) return refuse(source.reason, source.message);
	const plan =
		(reference && startFromReference(observed, dataVolume, reference)) ?? start(observed, dataVolume, source);
	return observed.bindsAtOnce ? bindingAtOnce(plan) : plan;
}

/** As if its DataVolume had asked for it. */
function bindingAtOnce(plan: DataVolumePlan): DataVolumePlan {
	if (plan.do !== 'createClaim' && plan.do !== 'restoreClaim') return plan;
	const {metadata} = plan.claim;
	const given = {[annotations.bindImmediate]: '', ...metadata.annotations};
	return {...plan, claim: {...plan.claim, metadata: {...metadata, annotations: given}}};
}
