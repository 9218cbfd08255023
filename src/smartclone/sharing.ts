/**
 * Identity and life of a shared snapshot. All pure.
 *
 * The protocol, and why a clone never shows content older than its request (csi: a cut happens after its VolumeSnapshot
 * was created and before its first status):
 *
 *   create SharedSnapshot (Open) -> assign waiting requests -> close it -> create VolumeSnapshots -> verify -> Current
 *
 * One worker per source does all of this, in this order, so whatever was assigned while Open was asked for before the
 * cut: rule GroupCommit, which needs no clock and holds for a disk that is being written. Names derive from the content
 * and a generation (SharedSnapshot) and from the SharedSnapshot's UID (VolumeSnapshots): a crash between any two steps
 * meets what exists instead of cutting twice.
 */
import {createHash} from 'node:crypto';
import type {PersistentVolume, PersistentVolumeClaim} from '../api/kubernetes.ts';
import {labels} from '../api/names.ts';
import {sameQuantity} from '../api/quantity.ts';
import type {ContentKey, SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {VolumeSnapshot, VolumeSnapshotContent} from '../api/snapshot.ts';

/** Undefined where the claim is not bound to a CSI volume (yet). */
export function contentOf(
	claim: PersistentVolumeClaim | undefined,
	volume: PersistentVolume | undefined,
): ContentKey | undefined {
	if (!claim?.metadata.uid || claim.status?.phase !== 'Bound') return undefined;
	if (!volume?.metadata.uid || volume.spec.claimRef?.uid !== claim.metadata.uid || !volume.spec.csi) return undefined;
	const capacity = volume.spec.capacity?.['storage'];
	if (capacity === undefined) return undefined;
	return {
		driver: volume.spec.csi.driver,
		volumeHandle: volume.spec.csi.volumeHandle,
		persistentVolumeUid: volume.metadata.uid,
		claimUid: claim.metadata.uid,
		volumeMode: volume.spec.volumeMode ?? 'Filesystem',
		capacity,
	};
}

export function sameContent(a: ContentKey, b: ContentKey): boolean {
	return (
		a.driver === b.driver &&
		a.volumeHandle === b.volumeHandle &&
		a.persistentVolumeUid === b.persistentVolumeUid &&
		a.claimUid === b.claimUid &&
		a.volumeMode === b.volumeMode &&
		sameQuantity(a.capacity, b.capacity)
	);
}

/** 16 hexadecimal digits; a label value and part of a name. */
export function contentHash(content: ContentKey): string {
	const {driver, volumeHandle, persistentVolumeUid, claimUid, volumeMode, capacity} = content;
	const text = JSON.stringify([driver, volumeHandle, persistentVolumeUid, claimUid, volumeMode, capacity]);
	return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

export function sharedSnapshotName(content: ContentKey, generation: number): string {
	return `${contentHash(content)}-${generation}`;
}

/** One more than any that exists for this content: 1, 2, … */
export function nextGeneration(content: ContentKey, existing: readonly string[]): number {
	const prefix = `${contentHash(content)}-`;
	const taken = existing.filter((name) => name.startsWith(prefix)).map((name) => Number(name.slice(prefix.length)));
	return Math.max(0, ...taken.filter(Number.isInteger)) + 1;
}

/** Spreads requests over stripes, the same request always to the same one. */
export function stripeOf(requestUid: string, stripes: number): number {
	return createHash('sha256').update(requestUid).digest().readUInt32BE() % stripes;
}

export interface Stripe {
	readonly snapshot: VolumeSnapshot | undefined;
	readonly content: VolumeSnapshotContent | undefined;
}

export type StripeState = 'missing' | 'cutting' | 'ready' | 'lost';

/** A sidecar says so of a snapshot that the storage no longer has. */
function saysNotFound(message: string | undefined): boolean {
	return message !== undefined && /code = NotFound/.test(message);
}

/**
 * What a stripe is worth: bound in both directions (one side alone can be forged), of the right volume, not being
 * deleted, and ready.
 */
export function stripeState(shared: SharedSnapshot, {snapshot, content}: Stripe): StripeState {
	if (!snapshot) return 'missing';
	if (snapshot.metadata.deletionTimestamp) return 'lost';
	if (content?.metadata.deletionTimestamp) return 'lost';
	if (snapshot.status?.readyToUse !== true && !content?.status?.snapshotHandle) return 'cutting';
	// Of a cut that was never made, NotFound speaks of the source volume.
	if (saysNotFound(snapshot.status?.error?.message)) return 'lost';
	if (snapshot.status?.readyToUse !== true || !content) return 'cutting';
	const bound =
		snapshot.status.boundVolumeSnapshotContentName === content.metadata.name &&
		content.spec.volumeSnapshotRef.uid === snapshot.metadata.uid;
	if (!bound || content.status?.snapshotHandle === undefined) return 'cutting';
	return isOfSource(shared, content) ? 'ready' : 'lost';
}

/** Not of a namesake that took the claim's place before the cut. */
export function isOfSource(shared: SharedSnapshot, {spec}: VolumeSnapshotContent): boolean {
	const {driver, volumeHandle} = shared.spec.content;
	return spec.driver === driver && spec.source.volumeHandle === volumeHandle;
}

/** The cut was made, and nobody deletes it: it serves, or will as soon as the storage has it ready. */
export function isCut({snapshot, content}: Stripe): boolean {
	return (
		snapshot !== undefined &&
		snapshot.metadata.deletionTimestamp === undefined &&
		content?.status?.snapshotHandle !== undefined &&
		content.metadata.deletionTimestamp === undefined
	);
}

/**
 * What the storage has is kept: nothing that happens to the VolumeSnapshot deletes it. The snapshotter deletes a snapshot as
 * soon as its VolumeSnapshot is deleted, whatever finalizers that still has; policy Retain is what holds it.
 */
export function isProtected(shared: SharedSnapshot, {content}: Stripe): boolean {
	return (
		content?.spec.deletionPolicy === 'Retain' &&
		content.metadata.labels?.[labels.sharedSnapshotUid] === shared.metadata.uid
	);
}

/** The storage has the snapshot and keeps it: an alias of it serves, although its VolumeSnapshot may be deleted by hand. */
export function isHeld(shared: SharedSnapshot, stripe: Stripe): boolean {
	const {content} = stripe;
	if (content?.status?.snapshotHandle === undefined || content.metadata.deletionTimestamp) return false;
	return isOfSource(shared, content) && (isCut(stripe) || isProtected(shared, stripe));
}

export type Life = 'Open' | 'Cutting' | 'Current' | 'Draining' | 'Dead';

/**
 * Derived from what exists, never read from status.
 *
 * @param lost the storage no longer has it, says whoever tried to restore from it.
 */
export function lifeOf(shared: SharedSnapshot, stripes: readonly Stripe[], lost = false): Life {
	if (shared.metadata.deletionTimestamp) return 'Draining';
	if (lost) return 'Dead';
	if (!shared.spec.closed) return 'Open';
	const states = stripes.map((stripe) => stripeState(shared, stripe));
	if (states.includes('lost')) return 'Dead';
	return states.every((state) => state === 'ready') ? 'Current' : 'Cutting';
}
