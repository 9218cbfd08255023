/**
 * SharedSnapshot, onesnap.io/v1alpha1, cluster-scoped, short name `shs`: one content of one claim, cut once, restored as
 * often as asked for. What an operator looks at, and the durable memory of the sharing protocol:
 *
 * - `spec.closed` false (Open): clone requests may still be assigned; nothing is cut yet.
 * - `spec.closed` true: no request is assigned any more on the strength of group commit; the cut may happen.
 *   (Cutting until every stripe is ready, then Current.)
 * - `metadata.deletionTimestamp` (Draining): no new request; our finalizer goes when nobody needs it.
 *
 * The state in `status` is derived from these and from the VolumeSnapshots. Deleting `status` changes nothing.
 */
import type {KubeObject, VolumeMode} from './kubernetes.ts';

/** What makes two snapshots "of the same thing". Namespace and name are not in it: a name can be given to other content. */
export interface ContentKey {
	readonly driver: string;
	readonly volumeHandle: string;
	readonly persistentVolumeUid: string;
	readonly claimUid: string;
	readonly volumeMode: VolumeMode;
	/** Capacity of the volume as a quantity: a grown volume is other content. */
	readonly capacity: string;
}

export type SharedSnapshotState = 'Open' | 'Cutting' | 'Current' | 'Draining' | 'Dead';

/** Which rule lets a snapshot serve a request: see docs/design.md, "When a snapshot may serve a clone". */
export type ReuseRule = 'SnapshotSource' | 'GroupCommit' | 'WatchedQuiet' | 'DeclaredImmutable';

export interface SharedSnapshotStripe {
	readonly snapshotName: string;
	readonly snapshotUid?: string;
	readonly contentName?: string;
	readonly snapshotHandle?: string;
	readonly restoreSize?: string;
	readonly readyToUse: boolean;
	readonly error?: string;
}

export interface SharedSnapshot extends KubeObject {
	readonly spec: {
		readonly content: ContentKey;
		/** The claim that is cut. */
		readonly source: {readonly namespace: string; readonly name: string};
		readonly volumeSnapshotClassName: string;
		/** How many VolumeSnapshots of this content are cut (drivers that serialise restores of one snapshot want several). */
		readonly stripes: number;
		readonly closed: boolean;
		/** Whether the source was declared immutable when it was closed: then the cut is of what it will always be. */
		readonly declaredImmutable: boolean;
	};
	readonly status?: {
		readonly state?: SharedSnapshotState;
		/** Why it may serve more requests than it was cut for; absent where it may not. */
		readonly reuse?: ReuseRule;
		readonly stripes?: readonly SharedSnapshotStripe[];
		/** Clone requests that were assigned and are done, as far as their objects still exist. */
		readonly clonesServed?: number;
		readonly clonesInFlight?: number;
		/** What is waited for, in words. */
		readonly message?: string;
	};
}
