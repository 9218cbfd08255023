/**
 * What to do next for the shared snapshots of one source claim. Questions in order, first answer wins; every answer is
 * one write that a crash may follow.
 *
 * The order matters: what nobody needs any more goes first, requests are assigned before anything is closed, and
 * nothing is cut that is not closed.
 */
import {finalizers, stripeName} from '../api/names.ts';
import type {ReuseRule, SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {VolumeSnapshot, VolumeSnapshotContent} from '../api/snapshot.ts';
import {
	type AliasPlace,
	makeAliasContent,
	makeAliasSnapshot,
	makeSharedSnapshot,
	makeStripeSnapshot,
} from './objects.ts';
import type {Alias, Observed, ObservedShared} from './observe.ts';
import type {CloneRequest} from './requests.ts';
import {isCut, isDeclaredImmutable, nextGeneration, sameContent, stripeOf} from './sharing.ts';

export type RetireReason =
	| 'SourceGone'
	| 'ContentChanged'
	| 'Superseded'
	| 'NobodyNeedsIt'
	| 'SnapshotLost'
	| 'NothingAssigned';

export type SharingPlan =
	| {readonly do: 'nothing'}
	| {readonly do: 'open'; readonly shared: SharedSnapshot}
	| {
			readonly do: 'assign';
			readonly requests: readonly CloneRequest[];
			readonly shared: SharedSnapshot;
			readonly rule: ReuseRule;
	  }
	| {readonly do: 'close'; readonly shared: SharedSnapshot; readonly declaredImmutable: boolean}
	| {readonly do: 'cut'; readonly shared: SharedSnapshot; readonly snapshot: VolumeSnapshot}
	| {
			readonly do: 'createAliasContent';
			readonly shared: SharedSnapshot;
			readonly place: AliasPlace;
			readonly content: VolumeSnapshotContent;
	  }
	| {
			readonly do: 'createAliasSnapshot';
			readonly shared: SharedSnapshot;
			readonly place: AliasPlace;
			readonly snapshot: VolumeSnapshot;
	  }
	| {readonly do: 'deleteSnapshot'; readonly shared: SharedSnapshot; readonly snapshot: VolumeSnapshot}
	| {readonly do: 'deleteContent'; readonly shared: SharedSnapshot; readonly content: VolumeSnapshotContent}
	| {readonly do: 'releaseSnapshot'; readonly shared: SharedSnapshot; readonly snapshot: VolumeSnapshot}
	| {readonly do: 'retire'; readonly shared: SharedSnapshot; readonly reason: RetireReason}
	| {readonly do: 'release'; readonly shared: SharedSnapshot};

const nothing: SharingPlan = {do: 'nothing'};

export function openRequests(shared: Pick<ObservedShared, 'requests'>): number {
	return shared.requests.filter((request) => request.state === 'open').length;
}

/** The namespaces other than the source's in which a restore is open, with the stripe that each request is served from. */
function wantedAliases({object, requests}: ObservedShared): AliasPlace[] {
	const places = new Map<string, AliasPlace>();
	for (const {state, restoresIn: namespace, uid} of requests) {
		if (state !== 'open' || namespace === object.spec.source.namespace) continue;
		const stripe = stripeOf(uid, object.spec.stripes);
		places.set(`${stripe}/${namespace}`, {namespace, stripe});
	}
	return [...places.values()];
}

const samePlace = (a: AliasPlace, b: AliasPlace) => a.namespace === b.namespace && a.stripe === b.stripe;

/** The snapshot before its content: a content waits for its snapshot anyway. */
function removeAlias({object}: ObservedShared, {snapshot, madeContent}: Alias): SharingPlan {
	if (snapshot && !snapshot.metadata.deletionTimestamp) return {do: 'deleteSnapshot', shared: object, snapshot};
	if (!snapshot && madeContent && !madeContent.metadata.deletionTimestamp) {
		return {do: 'deleteContent', shared: object, content: madeContent};
	}
	return nothing;
}

function makeAlias(shared: ObservedShared, place: AliasPlace): SharingPlan {
	const {object, stripes, aliases} = shared;
	const alias = aliases.find((candidate) => samePlace(candidate.place, place));
	const original = stripes[place.stripe]?.content;
	if (!original?.status?.snapshotHandle) return nothing;
	const deleting = alias?.madeContent?.metadata.deletionTimestamp ?? alias?.snapshot?.metadata.deletionTimestamp;
	if (deleting) return alias ? removeAlias(shared, alias) : nothing;
	if (!alias?.madeContent) {
		return {do: 'createAliasContent', shared: object, place, content: makeAliasContent(object, place, original)};
	}
	// Also where the content says that it is bound: the two are watched apart, and creating again what is there harms nothing.
	if (!alias.snapshot) {
		return {do: 'createAliasSnapshot', shared: object, place, snapshot: makeAliasSnapshot(object, place)};
	}
	// A content that was bound to another snapshot of that name never binds again: made anew.
	const boundTo = alias.madeContent.spec.volumeSnapshotRef.uid;
	if (boundTo !== undefined && boundTo !== alias.snapshot.metadata.uid) {
		return {do: 'deleteContent', shared: object, content: alias.madeContent};
	}
	return nothing;
}

/** Identifies an alias among those of all shared snapshots. */
export function aliasKey(shared: SharedSnapshot, place: AliasPlace): string {
	return `${place.namespace}/${stripeName(shared.metadata.uid ?? '', place.stripe)}`;
}

function tendAliases(shared: ObservedShared, refused: ReadonlySet<string>): SharingPlan {
	// Of a snapshot that was deleted or lost, an alias is worth nothing.
	const wanted = wantedAliases(shared).filter(({stripe}) => {
		const original = shared.stripes[stripe];
		return original !== undefined && isCut(original);
	});
	for (const alias of shared.aliases) {
		if (wanted.some((place) => samePlace(place, alias.place))) continue;
		const plan = removeAlias(shared, alias);
		if (plan.do !== 'nothing') return plan;
	}
	for (const place of wanted) {
		if (refused.has(aliasKey(shared.object, place))) continue;
		const plan = makeAlias(shared, place);
		if (plan.do !== 'nothing') return plan;
	}
	return nothing;
}

const holds = (object: SharedSnapshot | VolumeSnapshot) =>
	object.metadata.finalizers?.includes(finalizers.sharedSnapshot) === true;

/** Stripes that an open request is served from. */
function wantedStripes({object, requests}: ObservedShared): ReadonlySet<number> {
	const open = requests.filter((request) => request.state === 'open');
	return new Set(open.map(({uid}) => stripeOf(uid, object.spec.stripes)));
}

/**
 * Draining: a stripe goes when no open request is served from it and no alias of it is left. One that was never cut, or
 * that somebody deleted by hand, starts no restore: its requests are assigned anew, and do not hold it. Then the object.
 */
function drain(shared: ObservedShared): SharingPlan {
	const {object, stripes, aliases} = shared;
	const wanted = wantedStripes(shared);
	for (const [index, stripe] of stripes.entries()) {
		const {snapshot} = stripe;
		if (!snapshot || (wanted.has(index) && isCut(stripe))) continue;
		if (aliases.some(({place}) => place.stripe === index)) continue;
		if (!snapshot.metadata.deletionTimestamp) return {do: 'deleteSnapshot', shared: object, snapshot};
		if (holds(snapshot)) return {do: 'releaseSnapshot', shared: object, snapshot};
	}
	if (stripes.some(({snapshot}) => snapshot !== undefined) || aliases.length > 0) return nothing;
	return holds(object) ? {do: 'release', shared: object} : nothing;
}

/** Whether this one may serve requests that come later than its cut. */
export function reuseRule(
	observed: Pick<Observed, 'claim' | 'content'>,
	shared: SharedSnapshot,
): ReuseRule | undefined {
	if (!observed.content || !sameContent(observed.content, shared.spec.content)) return undefined;
	// What was cut before the declaration may be of what the disk was before.
	return shared.spec.declaredImmutable && isDeclaredImmutable(observed.claim) ? 'DeclaredImmutable' : undefined;
}

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
	if (open > 0) return undefined;
	// A cut as well: one that never succeeds would hold up every later one.
	if (shared.life !== 'Current' || reuseRule(observed, shared.object) === undefined) return 'NobodyNeedsIt';
	const newest = observed.shared.findLast((candidate) => candidate.life === 'Current');
	return newest?.object.metadata.uid === shared.object.metadata.uid ? undefined : 'Superseded';
}

/** The one that waiting requests can be assigned to now, with the rule that allows it. */
function assignable(observed: Observed): {shared: SharedSnapshot; rule: ReuseRule} | undefined {
	const {content} = observed;
	if (!content) return undefined;
	const ofContent = observed.shared.filter(
		({object, life}) => life !== 'Draining' && life !== 'Dead' && sameContent(content, object.spec.content),
	);
	const reusable = ofContent.findLast(({object}) => object.spec.closed && reuseRule(observed, object) !== undefined);
	if (reusable) return {shared: reusable.object, rule: 'DeclaredImmutable'};
	const open = ofContent.find(({life}) => life === 'Open');
	return open && {shared: open.object, rule: 'GroupCommit'};
}

function serveWaiting(observed: Observed): SharingPlan {
	const {waiting, content, claim, snapshotClassName, policy} = observed;
	if (waiting.length === 0 || !content || !claim || claim.metadata.deletionTimestamp) return nothing;
	const found = assignable(observed);
	if (found) return {do: 'assign', requests: waiting, ...found};
	if (!snapshotClassName) return nothing;
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
			stripes: policy.stripes,
		}),
	};
}

/**
 * Closes what has requests, once no other cut of this source is pending: whoever asks meanwhile shares the next one, so
 * N requests at once cost at most two cuts.
 */
function closeNext(observed: Observed): SharingPlan {
	if (observed.shared.some(({life}) => life === 'Cutting')) return nothing;
	const open = observed.shared.find((shared) => shared.life === 'Open' && openRequests(shared) > 0);
	return open ? {do: 'close', shared: open.object, declaredImmutable: isDeclaredImmutable(observed.claim)} : nothing;
}

function cut(shared: ObservedShared): SharingPlan {
	if (shared.life !== 'Cutting') return nothing;
	const stripe = shared.stripes.findIndex(({snapshot}) => snapshot === undefined);
	if (stripe === -1) return nothing;
	return {do: 'cut', shared: shared.object, snapshot: makeStripeSnapshot(shared.object, stripe)};
}

export function decide(observed: Observed): SharingPlan {
	for (const shared of observed.shared) {
		const reason = retirement(observed, shared);
		if (reason) return {do: 'retire', shared: shared.object, reason};
	}
	const perShared = [
		(shared: ObservedShared) => tendAliases(shared, observed.refusedAliases),
		(shared: ObservedShared) => (shared.life === 'Draining' ? drain(shared) : nothing),
		cut,
	];
	for (const next of perShared) {
		for (const shared of observed.shared) {
			const plan = next(shared);
			if (plan.do !== 'nothing') return plan;
		}
	}
	const served = serveWaiting(observed);
	return served.do === 'nothing' ? closeNext(observed) : served;
}
