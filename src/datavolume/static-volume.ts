/**
 * A volume that was made beforehand for the claim of a DataVolume, as after a disaster: its content is there already. Pure.
 * Only an administrator can make volumes, and only one that names the claim counts.
 */
import type {DataVolume} from '../api/datavolume.ts';
import type {PersistentVolume, PersistentVolumeClaimSpec} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import {parseQuantity} from '../api/quantity.ts';
import type {Index} from '../kube/store.ts';

/** Presence alone counts (CDI). */
export function mayBeStatic({metadata}: DataVolume): boolean {
	return metadata.annotations?.[annotations.checkStaticVolume] !== undefined;
}

/** Volumes by the claim that they are bound to or kept for, as `namespace/name`. */
export const volumesByClaim: Index<PersistentVolume> = {
	name: 'claim',
	keys: ({spec: {claimRef}}) => (claimRef?.name ? [`${claimRef.namespace}/${claimRef.name}`] : []),
};

const bytesOf = (quantity: string | undefined) => parseQuantity(quantity ?? '0') ?? 0n;

function satisfies({spec, status}: PersistentVolume, wanted: PersistentVolumeClaimSpec): boolean {
	return (
		status?.phase === 'Available' &&
		(spec.storageClassName ?? '') === (wanted.storageClassName ?? '') &&
		(spec.volumeMode ?? 'Filesystem') === (wanted.volumeMode ?? 'Filesystem') &&
		(wanted.accessModes ?? []).every((mode) => spec.accessModes?.includes(mode)) &&
		bytesOf(spec.capacity?.['storage']) >= bytesOf(wanted.resources?.requests?.['storage'])
	);
}

/** Of those that are kept for the claim, the first by name that fits it. */
export function chooseStaticVolume(
	keptForIt: readonly PersistentVolume[],
	wanted: PersistentVolumeClaimSpec,
): PersistentVolume | undefined {
	return keptForIt
		.filter((volume) => satisfies(volume, wanted))
		.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))[0];
}
