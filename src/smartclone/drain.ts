/**
 * The end of a shared snapshot: what to take down next, so that nothing is taken that an open restore needs, and nothing is
 * left in the storage. Pure.
 *
 * For each stripe: no open request is served from it, no alias of it is left, no volume depends on it -> its content gets
 * policy Delete again -> its VolumeSnapshot is deleted, with it the content and what the storage has -> our finalizer off.
 * At last the object itself.
 */
import {annotations, finalizers, labels} from '../api/names.ts';
import type {SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {VolumeSnapshot, VolumeSnapshotContent} from '../api/snapshot.ts';
import type {ObservedShared} from './observe.ts';
import {isCut, isHeld, isOfSource, type Stripe, stripeOf} from './sharing.ts';

export type DrainPlan =
	/** `orphaned`: no VolumeSnapshot is left whose deletion would make the sidecar act. */
	| {
			readonly do: 'unprotect';
			readonly shared: SharedSnapshot;
			readonly content: VolumeSnapshotContent;
			readonly orphaned: boolean;
	  }
	/** A content that was deleted while it was being cut is forgotten by the sidecar until it looks at all; a change wakes it. */
	| {readonly do: 'wakeSidecar'; readonly shared: SharedSnapshot; readonly content: VolumeSnapshotContent}
	| {readonly do: 'deleteSnapshot'; readonly shared: SharedSnapshot; readonly snapshot: VolumeSnapshot}
	| {readonly do: 'deleteContent'; readonly shared: SharedSnapshot; readonly content: VolumeSnapshotContent}
	| {readonly do: 'releaseSnapshot'; readonly shared: SharedSnapshot; readonly snapshot: VolumeSnapshot}
	| {readonly do: 'release'; readonly shared: SharedSnapshot};

const holds = (object: SharedSnapshot | VolumeSnapshot) =>
	object.metadata.finalizers?.includes(finalizers.sharedSnapshot) === true;

/** The snapshot-controller has done its part: it lets go of a VolumeSnapshot when no restore in its namespace is open. */
const isLetGo = ({metadata}: VolumeSnapshot) =>
	metadata.finalizers?.some((name) => name.startsWith('snapshot.storage.kubernetes.io/')) !== true;

/**
 * Stripes that an open request can still be served from. One that was never cut, was lost, or (for requests beside it) was
 * deleted by hand starts no restore: its requests are assigned anew, and do not hold it.
 */
export function wantedStripes({object, requests, stripes, lost}: ObservedShared): ReadonlySet<number> {
	if (lost !== undefined) return new Set();
	const wanted = requests
		.filter(({state}) => state === 'open')
		.map(({uid, restoresIn}) => ({index: stripeOf(uid, object.spec.stripes), restoresIn}))
		.filter(({index, restoresIn}) => {
			const stripe = stripes[index];
			if (!stripe?.content || !isOfSource(object, stripe.content)) return false;
			return restoresIn === object.spec.source.namespace ? isCut(stripe) : isHeld(object, stripe);
		});
	return new Set(wanted.map(({index}) => index));
}

/**
 * Seen with external-snapshotter 8.7: the last thing it does after a cut is to take its annotation off, and that change it
 * does not look at. Whoever deleted the content before waits up to 15 minutes, its resync. Our label tells that it was woken.
 */
function isForgotten(object: SharedSnapshot, {metadata, status}: VolumeSnapshotContent): boolean {
	return (
		status?.snapshotHandle !== undefined &&
		metadata.annotations?.[annotations.snapshotBeingCreated] === undefined &&
		metadata.labels?.[labels.sharedSnapshotUid] !== object.metadata.uid
	);
}

function removeStray(object: SharedSnapshot, content: VolumeSnapshotContent): DrainPlan | undefined {
	const {annotations: given, deletionTimestamp} = content.metadata;
	if (content.spec.deletionPolicy !== 'Delete' || given?.[annotations.snapshotBeingDeleted] === undefined)
		return {do: 'unprotect', shared: object, content, orphaned: true};
	return deletionTimestamp ? undefined : {do: 'deleteContent', shared: object, content};
}

function removeStripe(object: SharedSnapshot, {snapshot, content}: Stripe): DrainPlan | undefined {
	if (!snapshot) return undefined;
	if (content && content.spec.deletionPolicy !== 'Delete')
		return {do: 'unprotect', shared: object, content, orphaned: false};
	if (!snapshot.metadata.deletionTimestamp) return {do: 'deleteSnapshot', shared: object, snapshot};
	if (content) {
		// The snapshot-controller may have looked at it when it was still protected, and does not look again.
		if (!content.metadata.deletionTimestamp)
			return isLetGo(snapshot) ? {do: 'deleteContent', shared: object, content} : undefined;
		return isForgotten(object, content) ? {do: 'wakeSidecar', shared: object, content} : undefined;
	}
	return holds(snapshot) ? {do: 'releaseSnapshot', shared: object, snapshot} : undefined;
}

export function drain(shared: ObservedShared): DrainPlan | undefined {
	const {object, stripes, aliases, strays, dependents} = shared;
	const wanted = wantedStripes(shared);
	if (dependents === 0) {
		for (const [index, stripe] of stripes.entries()) {
			if (wanted.has(index) || aliases.some(({place}) => place.stripe === index)) continue;
			const plan = removeStripe(object, stripe);
			if (plan) return plan;
		}
		for (const stray of aliases.length === 0 && wanted.size === 0 ? strays : []) {
			const plan = removeStray(object, stray);
			if (plan) return plan;
		}
	}
	if (stripes.some(({snapshot}) => snapshot !== undefined) || aliases.length > 0 || strays.length > 0) return undefined;
	return holds(object) ? {do: 'release', shared: object} : undefined;
}
