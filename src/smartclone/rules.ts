/**
 * When a snapshot may serve a clone request: if it shows the source as it was at some moment at or after the request was
 * made, or if nothing can have changed between. Four rules, each a pure function of facts; the one that held is recorded
 * on the clone. Timestamps prove nothing (drivers take them before, after or apart from the cut), so none is looked at.
 *
 * Whether it is a snapshot of the right content, and still there, is asked apart: `sameContent`, `stripeState`.
 */
import type {PersistentVolumeClaim} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import type {SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {VolumeSnapshot, VolumeSnapshotContent} from '../api/snapshot.ts';

/**
 * Rule 1, SnapshotSource: the user named a VolumeSnapshot. What it shows never changes, as long as it is that snapshot:
 * bound in both directions, because either side alone can be forged.
 */
export function snapshotSource(
	snapshot: VolumeSnapshot | undefined,
	content: VolumeSnapshotContent | undefined,
): boolean {
	if (!snapshot?.metadata.uid || !content) return false;
	const ref = content.spec.volumeSnapshotRef;
	return (
		snapshot.status?.boundVolumeSnapshotContentName === content.metadata.name &&
		ref.uid === snapshot.metadata.uid &&
		ref.namespace === snapshot.metadata.namespace &&
		ref.name === snapshot.metadata.name
	);
}

/**
 * Rule 2, GroupCommit: the request is assigned before the cut is begun. Needs no clock and no trust, and holds for a disk
 * that is being written. Open means that no VolumeSnapshot of it exists yet (see sharing.ts for why).
 */
export function groupCommit(shared: SharedSnapshot): boolean {
	return !shared.spec.closed && shared.metadata.deletionTimestamp === undefined;
}

/** What this replica knows of writers, see writer-watch.ts. */
export interface Quiet {
	/** From before the cut until now, as far as the Pod watch has come, no Pod existed that could write to the claim. */
	readonly undisturbed: boolean;
	/** Requests up to this number were asked before the Pod watch was where it is now. */
	readonly passed: number;
}

/**
 * Rule 3, WatchedQuiet: this replica has watched without a gap since before the cut and has seen nobody who could write,
 * and its watch has come past the moment of the request.
 *
 * @param asked number of the request, counted up as requests are seen.
 */
export function watchedQuiet(quiet: Quiet, asked: number): boolean {
	return quiet.undisturbed && asked <= quiet.passed;
}

/** Its owner says that it never changes again. The word counts on the claim, where the content is. */
export function isDeclaredImmutable(claim: PersistentVolumeClaim | undefined): boolean {
	return claim?.metadata.annotations?.[annotations.immutable] === 'true';
}

/**
 * Rule 4, DeclaredImmutable: the source was declared immutable when the snapshot was closed, before its cut, and still is.
 * What was cut before the declaration may be of what the disk was before.
 */
export function declaredImmutable(shared: SharedSnapshot, claim: PersistentVolumeClaim | undefined): boolean {
	return shared.spec.declaredImmutable && isDeclaredImmutable(claim);
}
