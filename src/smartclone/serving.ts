/**
 * What a shared snapshot can do for one request right now: the answer the layer above builds a claim from. Pure reading.
 */
import {stripeName} from '../api/names.ts';
import {largest, parseQuantity} from '../api/quantity.ts';
import type {Caches} from '../kube/caches.ts';
import * as resources from '../kube/resources.ts';
import {observeAlias, stripesOf} from './observe.ts';
import {type Assignment, assignmentTo, type CloneRequest} from './requests.ts';
import type {LostSnapshots} from './lost-snapshots.ts';
import {snapshotSource} from './rules.ts';
import {isCut, isHeld, isProtected, stripeOf, stripeState} from './sharing.ts';

export type Serving =
	/** Ask for an assignment: there is none, or what it names is gone, lost, or of another source. */
	| {readonly state: 'none'}
	| {
			readonly state: 'pending';
			readonly sharedSnapshot: string;
			readonly message: string;
			/** Until it is cut: since when that is waited for, whether the storage was asked, and what it said if that went wrong. */
			readonly cut?: {
				readonly since: string | undefined;
				readonly isBegun: boolean;
				readonly error: string | undefined;
			};
			/** Where it is cut and made available in the clone's namespace, but the sidecar has not found it in the storage. */
			readonly alias?: {
				readonly uid: string;
				readonly since: string | undefined;
				readonly error: string | undefined;
			};
	  }
	| {
			readonly state: 'ready';
			readonly sharedSnapshot: string;
			/** In the namespace that the request is restored in. */
			readonly snapshotName: string;
			/** What a restore must ask for at least: the snapshot's size or the volume's, whichever is larger. */
			readonly minimumBytes: bigint;
			/** When the VolumeSnapshot was made: the cut was later. */
			readonly cutAfter?: string | undefined;
	  };

/**
 * @param assignment as written on the request; a user can forge it, so its source is compared.
 * @param lost snapshots that the storage no longer has.
 */
export function servingOf(
	caches: Caches,
	request: CloneRequest,
	assignment: Assignment | undefined,
	lost: Pick<LostSnapshots, 'messageOf'>,
): Serving {
	const [assigned = ''] = assignment?.split('/', 1) ?? [];
	const object = assigned ? caches.store(resources.sharedSnapshots).get(undefined, assigned) : undefined;
	if (!object || assignmentTo(object) !== assignment) return {state: 'none'};
	const {namespace, name} = object.spec.source;
	if (namespace !== request.source.namespace || name !== request.source.name) return {state: 'none'};
	const sharedSnapshot = object.metadata.name;
	const number = stripeOf(request.uid, object.spec.stripes);
	const stripe = stripesOf(caches, object)[number];
	if (!stripe || lost.messageOf(object.metadata.uid ?? '') !== undefined) return {state: 'none'};
	const isHere = namespace === request.restoresIn;
	const state = stripeState(object, stripe);
	// An alias outlives the VolumeSnapshot of a snapshot that is protected.
	const isKept = !isHere && stripe.content !== undefined && isProtected(object, stripe) && isHeld(object, stripe);
	if (state === 'lost' && !isKept) return {state: 'none'};
	if (state !== 'ready' && !isKept) {
		// A snapshot that is going away and is not there yet will never be.
		if (object.metadata.deletionTimestamp && !isCut(stripe)) return {state: 'none'};
		const error = stripe.snapshot?.status?.error?.message ?? stripe.content?.status?.error?.message;
		return {
			state: 'pending',
			sharedSnapshot,
			message: `Waiting for the snapshot of ${namespace}/${name} (shared snapshot ${sharedSnapshot})`,
			cut: {
				since: (stripe.snapshot ?? object).metadata.creationTimestamp,
				isBegun: stripe.snapshot !== undefined,
				error,
			},
		};
	}
	const restoreSize = parseQuantity(stripe.snapshot?.status?.restoreSize ?? '0') ?? 0n;
	const capacity = parseQuantity(object.spec.content.capacity) ?? 0n;
	const snapshotName = stripeName(object.metadata.uid ?? '', number);
	const cutAfter = stripe.snapshot?.metadata.creationTimestamp;
	const minimumBytes = largest(restoreSize, capacity);
	const ready: Serving = {state: 'ready', sharedSnapshot, snapshotName, minimumBytes, cutAfter};
	if (isHere) return ready;
	const alias = observeAlias(caches, object, {namespace: request.restoresIn, stripe: number});
	const usable =
		snapshotSource(alias.snapshot, alias.content) &&
		alias.content?.spec.source.snapshotHandle === stripe.content?.status?.snapshotHandle &&
		alias.snapshot?.status?.readyToUse === true &&
		!alias.snapshot.metadata.deletionTimestamp;
	if (alias.content && usable) return ready;
	const {uid, creationTimestamp: since} = alias.snapshot?.metadata ?? {};
	const error = alias.madeContent?.status?.error?.message ?? alias.snapshot?.status?.error?.message;
	return {
		state: 'pending',
		sharedSnapshot,
		message: `Waiting until the snapshot of ${namespace}/${name} is available in namespace ${request.restoresIn}`,
		...(uid !== undefined && {alias: {uid, since, error}}),
	};
}
