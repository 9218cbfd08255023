/**
 * What to do next for the shared snapshots of one source claim. Questions in order, first answer wins; every answer is
 * one write that a crash may follow.
 *
 * The order matters: what nobody needs any more goes first, requests are assigned before anything is closed, and
 * nothing is cut that is not closed.
 */
import type {ReuseRule, SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {VolumeSnapshot, VolumeSnapshotContent} from '../api/snapshot.ts';
import {type AliasPlan, tendAliases} from './aliases.ts';
import {drain, type DrainPlan, wantedStripes} from './drain.ts';
import {makeSharedSnapshot, makeStripeSnapshot} from './objects.ts';
import type {Observed, ObservedShared} from './observe.ts';
import type {CloneRequest} from './requests.ts';
import {declaredImmutable, groupCommit, isDeclaredImmutable, watchedQuiet} from './rules.ts';
import {isCut, isProtected, nextGeneration, sameContent} from './sharing.ts';

export type RetireReason =
	| 'SourceGone'
	| 'ContentChanged'
	| 'Superseded'
	| 'NobodyNeedsIt'
	| 'Idle'
	| 'SnapshotLost'
	| 'NothingAssigned'
	| 'SnapshotClassGone';

export type SharingPlan =
	| {readonly do: 'nothing'}
	| {readonly do: 'open'; readonly shared: SharedSnapshot}
	| {
			readonly do: 'assign';
			readonly requests: readonly CloneRequest[];
			readonly shared: SharedSnapshot;
			readonly rule: ReuseRule;
	  }
	/** Ask how far the Pod watch has come: rule WatchedQuiet may hold for requests up to this number then. */
	| {readonly do: 'passBarrier'; readonly shared: SharedSnapshot; readonly number: number}
	| {readonly do: 'close'; readonly shared: SharedSnapshot; readonly declaredImmutable: boolean}
	| {readonly do: 'cut'; readonly shared: SharedSnapshot; readonly snapshot: VolumeSnapshot; readonly isFirst: boolean}
	/** From now on nothing that happens to the VolumeSnapshot deletes what the storage has. */
	| {readonly do: 'protect'; readonly shared: SharedSnapshot; readonly content: VolumeSnapshotContent}
	| AliasPlan
	| DrainPlan
	| {readonly do: 'retire'; readonly shared: SharedSnapshot; readonly reason: RetireReason};

const nothing: SharingPlan = {do: 'nothing'};

export function openRequests(shared: Pick<ObservedShared, 'requests'>): number {
	return shared.requests.filter((request) => request.state === 'open').length;
}

/** Whether this one may serve requests that come later than its cut. */
export function reuseRule(
	observed: Pick<Observed, 'claim' | 'content' | 'barrier'>,
	{object, undisturbed}: Pick<ObservedShared, 'object' | 'undisturbed'>,
): Extract<ReuseRule, 'DeclaredImmutable' | 'WatchedQuiet'> | undefined {
	if (!observed.content || !sameContent(observed.content, object.spec.content)) return undefined;
	if (declaredImmutable(object, observed.claim)) return 'DeclaredImmutable';
	return undisturbed && observed.barrier.available ? 'WatchedQuiet' : undefined;
}

/** Serves, or will: cut or about to be, and not retired. */
const isServing = ({object, life}: ObservedShared) => object.spec.closed && (life === 'Cutting' || life === 'Current');

/** Why a shared snapshot that is not draining yet should. */
function retirement(observed: Observed, shared: ObservedShared): RetireReason | undefined {
	if (shared.life === 'Draining') return undefined;
	if (shared.life === 'Dead') return 'SnapshotLost';
	const claim = observed.claim;
	if (!claim || claim.metadata.uid !== shared.object.spec.content.claimUid) return 'SourceGone';
	if (claim.metadata.deletionTimestamp) return 'SourceGone';
	if (observed.content && !sameContent(observed.content, shared.object.spec.content)) return 'ContentChanged';
	const open = openRequests(shared);
	if (shared.life === 'Open') return open === 0 && observed.waiting.length === 0 ? 'NothingAssigned' : undefined;
	// Controller and sidecar both need it until the storage was asked; whether it was shows when the cut is made.
	const isCutWhole = shared.stripes.every(({content}) => content?.status?.snapshotHandle !== undefined);
	if (!isCutWhole && !observed.snapshotClasses.has(shared.object.spec.volumeSnapshotClassName))
		return 'SnapshotClassGone';
	const reuse = reuseRule(observed, shared);
	const newest = observed.shared.findLast(isServing);
	const isNewest = newest?.object.metadata.uid === shared.object.metadata.uid;
	// Draining it still serves those that were assigned to it; only one of a content takes new ones.
	if (shared.life === 'Current' && !reuse && !isNewest) return 'Superseded';
	if (open > 0) return undefined;
	// A cut as well: one that never succeeds would hold up every later one.
	if (shared.life !== 'Current' || !reuse) return 'NobodyNeedsIt';
	if (observed.shared.findLast(({life}) => life === 'Current')?.object.metadata.uid !== shared.object.metadata.uid)
		return 'Superseded';
	return reuse === 'WatchedQuiet' && shared.idleMs >= observed.idleLimitMs ? 'Idle' : undefined;
}

/** Of an immutable source: assigned in the time that one takes, and the cut waits for no more of them. */
const enoughToCut = 8;
/** Assigned before the cut is looked at again: it may be ready, and the first of them begin. */
const betweenLooks = 32;

/** Assigns waiting requests to what may serve them now, by the first rule that allows it. */
function assign(observed: Observed): SharingPlan {
	const {content, claim, waiting, barrier} = observed;
	if (!content) return nothing;
	const ofContent = observed.shared.filter(({object}) => sameContent(content, object.spec.content));
	const immutable = ofContent.findLast((shared) => isServing(shared) && declaredImmutable(shared.object, claim));
	if (immutable) {
		const requests = waiting.slice(0, betweenLooks);
		return {do: 'assign', requests, shared: immutable.object, rule: 'DeclaredImmutable'};
	}
	const open = ofContent.find(({object, life}) => life === 'Open' && groupCommit(object));
	// What is declared immutable serves the others while it is being cut.
	const first = isDeclaredImmutable(claim) && cutWaitsFor(observed) === undefined ? enoughToCut : waiting.length;
	if (open) return {do: 'assign', requests: waiting.slice(0, first), shared: open.object, rule: 'GroupCommit'};
	const serving = ofContent.findLast(isServing);
	if (!serving) return nothing;
	const quiet = {undisturbed: serving.undisturbed, passed: barrier.passed};
	const requests = waiting.filter(({asked}) => watchedQuiet(quiet, asked));
	if (requests.length > 0) return {do: 'assign', requests, shared: serving.object, rule: 'WatchedQuiet'};
	if (!serving.undisturbed || !barrier.available) return nothing;
	return {do: 'passBarrier', shared: serving.object, number: Math.max(...waiting.map(({asked}) => asked))};
}

function serveWaiting(observed: Observed): SharingPlan {
	const {waiting, content, claim, snapshotClassName, policy} = observed;
	if (waiting.length === 0 || !content || !claim || claim.metadata.deletionTimestamp) return nothing;
	const assigned = assign(observed);
	if (assigned.do !== 'nothing' || !snapshotClassName) return assigned;
	const generation = nextGeneration(
		content,
		observed.shared.map(({object}) => object.metadata.name),
	);
	const source = {namespace: claim.metadata.namespace ?? '', name: claim.metadata.name};
	return {
		do: 'open',
		shared: makeSharedSnapshot({
			content,
			generation,
			source,
			volumeSnapshotClassName: snapshotClassName,
			stripes: Math.min(policy.stripes, policy.mostSnapshots ?? policy.stripes),
		}),
	};
}

/**
 * What the next cut of this source waits for, in words; undefined where it may be made.
 *
 * Whoever asks while a cut is pending shares the next one, so N requests at once cost at most two cuts. And where restores
 * are slower than requests come, two generations are being restored from at most: the storage holds twice the stripes, not
 * one more with each burst. Clones that wait for their first consumer restore nothing and may do so for ever; they hold
 * their snapshot, but not the next cut.
 */
export function cutWaitsFor(observed: Observed): string | undefined {
	if (observed.shared.some(({life}) => life === 'Cutting')) return 'the cut before it';
	const restoring = observed.shared.filter(
		({object, life, requests}) =>
			object.spec.closed && life !== 'Dead' && requests.some(({state, parked}) => state === 'open' && !parked),
	);
	if (restoring.length >= 2) return 'clones that are being restored from the two snapshots before it';
	const {mostSnapshots} = observed.policy;
	const there = observed.shared.flatMap(({stripes}) => stripes).filter(({snapshot}) => snapshot !== undefined).length;
	const wanted = observed.shared.find(({life}) => life === 'Open')?.object.spec.stripes ?? 0;
	if (mostSnapshots !== undefined && there + wanted > mostSnapshots)
		return `earlier snapshots to be deleted: the storage takes ${mostSnapshots} of one volume, ${there} are there`;
	if (observed.cutPauseMs > 0)
		return `${Math.ceil(observed.cutPauseMs / 1000)} s that the storage wants between two cuts`;
	return undefined;
}

/** Closes what has requests, once it may be cut. */
function closeNext(observed: Observed): SharingPlan {
	const open = observed.shared.find((shared) => shared.life === 'Open' && openRequests(shared) > 0);
	if (!open || cutWaitsFor(observed) !== undefined) return nothing;
	return {do: 'close', shared: open.object, declaredImmutable: isDeclaredImmutable(observed.claim)};
}

function cut(shared: ObservedShared): SharingPlan {
	if (shared.life !== 'Cutting') return nothing;
	const stripe = shared.stripes.findIndex(({snapshot}) => snapshot === undefined);
	if (stripe === -1) return nothing;
	const isFirst = shared.stripes.every(({snapshot}) => snapshot === undefined);
	return {do: 'cut', shared: shared.object, snapshot: makeStripeSnapshot(shared.object, stripe), isFirst};
}

/** Before any alias: whoever may delete the VolumeSnapshot in its namespace must not delete it for all others. */
function protect(shared: ObservedShared): SharingPlan {
	const {object, stripes, life, aliases} = shared;
	// Somebody changed it: with Delete, the end of this alias would be the end of the snapshot for everybody.
	const dangerous = aliases.find(({madeContent}) => madeContent?.spec.deletionPolicy === 'Delete');
	if (dangerous?.madeContent) return {do: 'protect', shared: object, content: dangerous.madeContent};
	// What is being taken down is not protected again.
	const wanted = life === 'Draining' ? wantedStripes(shared) : undefined;
	const bare = stripes.find(
		(stripe, index) => (wanted?.has(index) ?? true) && isCut(stripe) && !isProtected(object, stripe),
	);
	return bare?.content ? {do: 'protect', shared: object, content: bare.content} : nothing;
}

export function decide(observed: Observed): SharingPlan {
	for (const shared of observed.shared) {
		const reason = retirement(observed, shared);
		if (reason) return {do: 'retire', shared: shared.object, reason};
	}
	const perShared = [
		cut,
		protect,
		(shared: ObservedShared) => tendAliases(shared, observed.refusedAliases) ?? nothing,
		(shared: ObservedShared) => (shared.life === 'Draining' ? (drain(shared) ?? nothing) : nothing),
	];
	for (const next of perShared) {
		for (const shared of observed.shared) {
			const plan = next(shared);
			if (plan.do !== 'nothing') return plan;
		}
	}
	const closing = closeNext(observed);
	if (closing.do === 'close' && closing.declaredImmutable) return closing;
	const served = serveWaiting(observed);
	return served.do === 'nothing' ? closing : served;
}
