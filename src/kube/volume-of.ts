import type {PersistentVolume, PersistentVolumeClaim} from '../api/kubernetes.ts';
import type {Caches} from './caches.ts';
import * as resources from './resources.ts';

/** The volume that the claim names, as the cache shows it. */
export function volumeOf(
	caches: Pick<Caches, 'store'>,
	claim: PersistentVolumeClaim | undefined,
): PersistentVolume | undefined {
	const name = claim?.spec.volumeName;
	return name ? caches.store(resources.persistentVolumes).get(undefined, name) : undefined;
}
