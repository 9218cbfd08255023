/** What {@link observe} and the layers below it read, for whoever fills caches for them. */
import type {CachedKind} from '../kube/caches.ts';
import * as resources from '../kube/resources.ts';

const required = [
	...[resources.dataVolumes, resources.volumeImportSources, resources.volumeCloneSources, resources.sharedSnapshots],
	...[
		resources.persistentVolumeClaims,
		resources.persistentVolumes,
		resources.pods,
		resources.nodes,
		resources.namespaces,
	],
	...[resources.storageClasses, resources.csiDrivers, resources.csiNodes],
	...[resources.validatingAdmissionPolicies, resources.validatingAdmissionPolicyBindings],
].map((resource) => ({resource}));

const optional = [
	// External-snapshotter's: a cluster without them copies.
	...[resources.volumeSnapshots, resources.volumeSnapshotContents, resources.volumeSnapshotClasses],
	// Our own that an older release's manifests lack.
	...[resources.storageProfiles, resources.cdiConfigs, resources.cdis, resources.dataSources],
].map((resource) => ({resource, optional: true}));

/** All but events. */
export const cachedKinds: readonly CachedKind[] = [...required, ...optional];

/** What provisioners say of claims that they could not make a volume for; of all events only these. */
export const failures: CachedKind = {
	resource: resources.events,
	fieldSelector: 'reason=ProvisioningFailed,involvedObject.kind=PersistentVolumeClaim',
};
