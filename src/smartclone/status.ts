/** The whole status of a SharedSnapshot, computed anew from what was observed. Pure. */
import type {SharedSnapshot, SharedSnapshotStripe} from '../api/sharedsnapshot.ts';
import {cutWaitsFor, openRequests, reuseRule} from './decide.ts';
import type {Observed, ObservedShared} from './observe.ts';
import {type Stripe, stripeState} from './sharing.ts';

type Status = NonNullable<SharedSnapshot['status']>;

function stripeStatus(shared: SharedSnapshot, stripe: Stripe): SharedSnapshotStripe[] {
	const {snapshot, content} = stripe;
	if (!snapshot) return [];
	return [
		{
			snapshotName: snapshot.metadata.name,
			...(snapshot.metadata.uid && {snapshotUid: snapshot.metadata.uid}),
			...(content && {contentName: content.metadata.name}),
			...(content?.status?.snapshotHandle && {snapshotHandle: content.status.snapshotHandle}),
			...(snapshot.status?.restoreSize && {restoreSize: snapshot.status.restoreSize}),
			readyToUse: stripeState(shared, stripe) === 'ready',
			...(snapshot.status?.error?.message && {error: snapshot.status.error.message}),
		},
	];
}

function messageOf(observed: Observed, shared: ObservedShared): string {
	const open = openRequests(shared);
	switch (shared.life) {
		case 'Open': {
			const waitsFor = open > 0 ? cutWaitsFor(observed) : undefined;
			return `Collecting clone requests${waitsFor ? `; the cut waits for ${waitsFor}` : ''}`;
		}
		case 'Cutting':
			return 'Waiting until the storage has cut the snapshot';
		case 'Current':
			return open > 0 ? `${open} clones are being made` : 'Ready';
		case 'Draining': {
			if (shared.dependents > 0)
				return `Waiting until the storage lets it go: ${shared.dependents} volumes restored from it depend on it`;
			if (open > 0) return `Waiting for ${open} clones that are being made`;
			if (shared.aliases.length > 0) return `Waiting until ${shared.aliases.length} aliases are gone`;
			return 'Waiting until the storage has deleted the snapshot';
		}
		case 'Dead':
			return `The snapshot was deleted or lost in the storage; clones get a new one${shared.lost ? `: ${shared.lost}` : ''}`;
		default:
			return shared.life satisfies never;
	}
}

export function statusOf(observed: Observed, shared: ObservedShared): Status {
	const reuse = reuseRule(observed, shared);
	const open = openRequests(shared);
	return {
		state: shared.life,
		...(reuse && {reuse}),
		stripes: shared.stripes.flatMap((stripe) => stripeStatus(shared.object, stripe)),
		clonesServed: shared.requests.length - open,
		clonesInFlight: open,
		message: messageOf(observed, shared),
	};
}
