/** What a StorageProfile is made of, read from the caches. */
import type {PersistentVolume, StorageClass} from '../api/kubernetes.ts';
import type {StorageProfile} from '../api/storage-profile.ts';
import {timestampOf} from '../api/timestamp.ts';
import type {Caches} from '../kube/caches.ts';
import * as resources from '../kube/resources.ts';
import type {Index} from '../kube/store.ts';
import {noProvisioner} from './known-provisioners.ts';
import {type ProfileFacts, type ResolvedProfile, resolveProfile} from './resolve.ts';

export const volumesByClass: Index<PersistentVolume> = {
	name: 'storageClass',
	keys: ({spec}) => (spec.storageClassName ? [spec.storageClassName] : []),
};

export interface Observed {
	/** Of the profile, and of its class. */
	readonly name: string;
	/** RFC 3339 */
	readonly now: string;
	readonly storageClass: StorageClass | undefined;
	readonly profile: StorageProfile | undefined;
	/** Undefined without a class. */
	readonly resolved: ResolvedProfile | undefined;
}

export function profileOf(caches: Pick<Caches, 'store'>, {metadata}: StorageClass): StorageProfile | undefined {
	return caches.store(resources.storageProfiles).get(undefined, metadata.name);
}

/** Index needed: {@link volumesByClass}. */
export function profileFacts(caches: Caches, storageClass: StorageClass): ProfileFacts {
	const {name} = storageClass.metadata;
	return {
		storageClass,
		profile: profileOf(caches, storageClass),
		snapshotClasses: caches.store(resources.volumeSnapshotClasses).list(),
		volumes:
			storageClass.provisioner === noProvisioner
				? caches.store(resources.persistentVolumes).byIndex(volumesByClass.name, name)
				: [],
	};
}

export function observe(name: string, caches: Caches, nowMs: number): Observed {
	const storageClass = caches.store(resources.storageClasses).get(undefined, name);
	return {
		name,
		now: timestampOf(nowMs),
		storageClass,
		profile: caches.store(resources.storageProfiles).get(undefined, name),
		resolved: storageClass && resolveProfile(profileFacts(caches, storageClass)),
	};
}
