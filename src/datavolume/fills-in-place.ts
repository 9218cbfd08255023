/**
 * Whether the claim of a DataVolume is filled in place. Asked once, when the claim is made: from then on the claim says it
 * (populate/in-place.ts).
 */
import type {DataVolume} from '../api/datavolume.ts';
import type {StorageClass} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import type {Caches} from '../kube/caches.ts';
import * as resources from '../kube/resources.ts';

const wish = ({metadata}: DataVolume) => metadata.annotations?.[annotations.usePopulator];

/** A driver need not have a CSIDriver object; whoever asks for a populator says that this one does without. */
export function isCsiClass(caches: Caches, dataVolume: DataVolume, {provisioner}: StorageClass): boolean {
	return wish(dataVolume) === 'true' || caches.store(resources.csiDrivers).get(undefined, provisioner) !== undefined;
}

export function fillsInPlace(caches: Caches, dataVolume: DataVolume, storageClass: StorageClass): boolean {
	return wish(dataVolume) === 'false' || !isCsiClass(caches, dataVolume, storageClass);
}
