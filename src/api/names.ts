/**
 * Every group, label, annotation, finalizer and derived object name. Each says who writes it and who reads it.
 * Names of child objects derive from the owner's UID, so that a repeat after a crash meets AlreadyExists instead of a twin.
 */

export const cdiGroup = 'cdi.kubevirt.io';
export const cdiVersion = 'cdi.kubevirt.io/v1beta1';
export const onesnapVersion = 'onesnap.io/v1alpha1';

/** Field manager of every write but status. */
export const fieldManager = 'onesnap-controller';

export const annotations = {
	/** User -> us. On a DataVolume or claim: do not wait for a first consumer. Presence alone counts (CDI). */
	bindImmediate: 'cdi.kubevirt.io/storage.bind.immediate.requested',
	/** Us -> clients. Which way a clone goes: `snapshot`, `csi-clone` or `copy` (CDI). Kept unless the way is given up; on DataVolume and claim. */
	cloneType: 'cdi.kubevirt.io/cloneType',
	/** Us -> people. Why a clone is not shared: the reasons' codes and words. On the claim (CDI). */
	cloneFallbackReason: 'cdi.kubevirt.io/cloneFallbackReason',
	/** Us and users -> us. On a claim with a VolumeCloneSource: the namespace that source lives in (CDI). Guarded by admission. */
	dataSourceNamespace: 'cdi.kubevirt.io/dataSourceNamespace',
	/** Us -> clients. On the claim: UID of the DataVolume it was made for (CDI). */
	createdForDataVolume: 'cdi.kubevirt.io/createdForDataVolume',
	/** Us -> us. `namespace/name` of the DataVolume, on a VolumeCloneSource in another namespace, where no owner reference may point (CDI). */
	ownedByDataVolume: 'cdi.kubevirt.io/ownedByDataVolume',
	contentType: 'cdi.kubevirt.io/storage.contentType',
	/** Us -> us. On a Filesystem claim: bytes of its disk.img, and the claim's capacity when it had them (CDI, which misspells its own domain). See disk-size.ts. */
	virtualSize: 'cdi.Kubervirt.io/virtualSize',
	sourceCapacity: 'cdi.Kubervirt.io/sourceCapacity',
	/** Users and us -> us. On a DataVolume or claim: a clone may be smaller than its source's claim, because its disk fits. Presence alone counts (CDI). */
	permissiveClone: 'cdi.kubevirt.io/permissiveClone',
	/** User -> us. On a DataVolume: whether it may take over a claim of its name that exists. A boolean as Go writes them (CDI). */
	allowClaimAdoption: 'cdi.kubevirt.io/allowClaimAdoption',
	/** Users and us -> us. On a DataVolume: somebody else makes its claim and fills it. Presence alone counts (CDI). */
	prePopulated: 'cdi.kubevirt.io/storage.prePopulated',
	/** User -> us. On a DataVolume: a volume that was made for its claim beforehand is its disk. Presence alone counts (CDI). */
	checkStaticVolume: 'cdi.kubevirt.io/storage.checkStaticVolume',
	/** User -> us. On a claim: name of the DataVolume whose content it has already (CDI). */
	populatedFor: 'cdi.kubevirt.io/storage.populatedFor',
	/** Admin -> us. On a StorageClass: the way its clones go, where its StorageProfile says none (CDI). */
	cloneStrategy: 'cdi.kubevirt.io/clone-strategy',
	/** Us and admin -> us. On a StorageProfile: smallest claim that is made for `spec.storage` (CDI). What is there is kept. */
	minimumSupportedPvcSize: 'cdi.kubevirt.io/minimumSupportedPvcSize',
	/** CDI's operator -> us. On the CDI object: CDIConfig has what it says and nothing else (CDI). Presence alone counts. */
	configAuthority: 'cdi.kubevirt.io/configAuthority',
	/** Us -> us, durable. On CDIConfig: fields of its spec that come from the CDI object, by commas. */
	mirroredFields: 'onesnap.io/mirrored-fields',
	/** Us -> clients. On a claim: its worker's Pod, as virtctl asks for it; and that all its blocks are allocated, which KubeVirt asks (CDI). */
	podPhase: 'cdi.kubevirt.io/storage.pod.phase',
	preallocation: 'cdi.kubevirt.io/storage.preallocation',
	/** Us and users -> us. On a claim: PriorityClass and service account of the Pods that fill it (CDI). */
	podPriorityClass: 'cdi.kubevirt.io/storage.pod.priorityclassname',
	podServiceAccount: 'cdi.kubevirt.io/storage.pod.serviceAccountName',
	/**
	 * User -> us, on a DataVolume: `true` or `false` forces or forbids that its claim stays Pending until it is filled (CDI). Us ->
	 * clients: `false` on a claim that is filled in place.
	 */
	usePopulator: 'cdi.kubevirt.io/storage.usePopulator',
	/** Us -> us, durable. On a claim that is filled in place: from what, as `VolumeImportSource/name` or `VolumeCloneSource/name`. */
	fillFrom: 'onesnap.io/fill-from',
	/** Us -> us, durable. On a claim that a worker fills: "true" where its content is complete. The Pod that filled it may go. */
	populated: 'onesnap.io/populated',
	/** Us -> us, durable. On a DataVolume: UID of its claim that was filled in place and is complete, whatever becomes of the claim's own word. */
	filled: 'onesnap.io/filled',
	/** Us -> nobody. On a DataVolume that would have no annotation: KubeVirt's JSON patches need one to add to. */
	annotated: 'onesnap.io/annotated',
	/** Us -> us, durable: the SharedSnapshot that a clone request is assigned to, as `name/UID/UID of the DataVolume`. On the DataVolume. */
	sharedSnapshot: 'onesnap.io/shared-snapshot',
	/** Us -> us, durable: what a DataVolume with `spec.sourceRef` is made from. On the DataVolume, guarded by admission. See datavolume/source-ref.ts. */
	resolvedSource: 'onesnap.io/resolved-source',
	/** Us -> people: which rule let the snapshot serve this request. On the DataVolume; of a snapshot source, on the claim. */
	reuseRule: 'onesnap.io/reuse-rule',
	/** Us -> us. On a VolumeCloneSource of a snapshot: a restore must ask for at least so much, whatever the snapshot says of its size. */
	minimumSize: 'onesnap.io/minimum-size',
	/** Us -> us, durable: the size that a restored claim is wanted in, where it begins smaller. On the claim. */
	growTo: 'onesnap.io/grow-to',
	/** Us -> us, durable: ways that a clone tried in vain, as JSON with the DataVolume's UID. On the DataVolume. See datavolume/gave-up.ts. */
	gaveUp: 'onesnap.io/gave-up',
	/** User -> us. On a DataVolume: `quiet` waits until no Pod writes to the source, as CDI does. */
	consistency: 'onesnap.io/consistency',
	/** User -> us. On a claim: "true" says that its content never changes again. A claim gets its DataVolume's annotations when it is made. */
	immutable: 'onesnap.io/immutable',
	/** Us -> us. On our own Pod: a number that our Pod watch must show before rule WatchedQuiet is believed. */
	watchBarrier: 'onesnap.io/watch-barrier',
	/** Admin -> us. On a StorageClass: `equal` if restores must be of the source's size and grow afterwards. */
	restoreSize: 'onesnap.io/restore-size',
	/** Admin -> us. On a StorageClass: VolumeSnapshots per content, and restores in flight for each. */
	stripes: 'onesnap.io/stripes',
	restoreWindow: 'onesnap.io/restore-window',
	/** Admin -> us. On a StorageClass: "true" or "false" where the driver's row is wrong for it. */
	clonesDependOnSnapshot: 'onesnap.io/clones-depend-on-snapshot',
	nodeLocal: 'onesnap.io/node-local',
	/** Admin -> us. On a StorageClass: most snapshots of one volume, least seconds between two cuts of it. */
	mostSnapshots: 'onesnap.io/most-snapshots',
	secondsBetweenCuts: 'onesnap.io/seconds-between-cuts',
	/** Admin -> us. On a StorageClass: whether a claim may be cloned by the driver (`first`, `fallback`, `never`), and at its own size only. */
	csiClone: 'onesnap.io/csi-clone',
	csiCloneSize: 'onesnap.io/csi-clone-size',
	/** Admin -> us. On a StorageClass: after how long without an end a snapshot, or a restore, is given up. */
	cutDeadline: 'onesnap.io/cut-deadline-seconds',
	restoreDeadline: 'onesnap.io/restore-deadline-seconds',
	/** scheduler -> provisioner, and us where a claim must bind with no consumer. */
	selectedNode: 'volume.kubernetes.io/selected-node',
	/** Volume binder -> provisioner, and us on a claim to be restored at once: whose business it is. Both names, as the binder writes them. */
	storageProvisioner: 'volume.kubernetes.io/storage-provisioner',
	betaStorageProvisioner: 'volume.beta.kubernetes.io/storage-provisioner',
	defaultStorageClass: 'storageclass.kubernetes.io/is-default-class',
	defaultVirtStorageClass: 'storageclass.kubevirt.io/is-default-virt-class',
	/** external-snapshotter: secrets for DeleteSnapshot; copied to aliases, which nobody else would give them. */
	/** Sidecar -> itself, while it does not know how its CreateSnapshot ended. */
	snapshotBeingCreated: 'snapshot.storage.kubernetes.io/volumesnapshot-being-created',
	/** snapshot-controller -> sidecar: the VolumeSnapshot is being deleted. Us, where there is none any more to be deleted. */
	snapshotBeingDeleted: 'snapshot.storage.kubernetes.io/volumesnapshot-being-deleted',
	deletionSecretName: 'snapshot.storage.kubernetes.io/deletion-secret-name',
	deletionSecretNamespace: 'snapshot.storage.kubernetes.io/deletion-secret-namespace',
} as const;

export const labels = {
	managedBy: 'app.kubernetes.io/managed-by',
	component: 'app.kubernetes.io/component',
	/** On prime claims, worker Pods: UID of the claim they fill. */
	targetUid: 'onesnap.io/target-uid',
	/** On prime claims, worker Pods: where that claim is. An owner reference cannot cross namespaces. */
	targetNamespace: 'onesnap.io/target-namespace',
	/** On VolumeSnapshots, contents: UID of the SharedSnapshot they belong to. */
	sharedSnapshotUid: 'onesnap.io/shared-snapshot-uid',
	/** On a SharedSnapshot: hash of its content key. */
	contentHash: 'onesnap.io/content',
	/** Backup tools skip what carries it (CDI does the same). */
	excludeFromBackup: 'velero.io/exclude-from-backup',
	/** Alerting rules of clusters look at it: a disk image fills its claim by design (CDI). */
	fillingUpAlert: 'alerts.k8s.io/KubePersistentVolumeFillingUp',
	app: 'app',
	/** CDI's component label on its Pods and claims. */
	cdiComponent: 'cdi.kubevirt.io',
} as const;

export const managedByValue = 'onesnap-controller';

/** On prime claims and worker Pods, an annotation because names may be longer than a label value: name of the claim they fill. */
export const targetNameAnnotation = 'onesnap.io/target-name';

export const finalizers = {
	/** On VolumeSnapshots of ours and on SharedSnapshots: removed by us when no clone needs them any more. */
	sharedSnapshot: 'onesnap.io/shared-snapshot',
} as const;

/** CDI's names, tools know them. */
export const importSourceName = (dataVolumeUid: string): string => `volume-import-source-${dataVolumeUid}`;
export const cloneSourceName = (dataVolumeUid: string): string => `volume-clone-source-${dataVolumeUid}`;
/** Prime claim of an import, in the target's namespace. */
export const primeClaimName = (targetUid: string): string => `prime-${targetUid}`;
/** Prime claim of a copy, in the source's namespace: both must be mounted by one Pod. */
export const copyClaimName = (targetUid: string): string => `tmp-pvc-${targetUid}`;
/** Claim restored from a snapshot only to be read by a copy, in the snapshot's namespace. */
export const copySourceClaimName = (targetUid: string): string => `tmp-source-pvc-${targetUid}`;
export const importerPodName = (targetUid: string): string => `importer-prime-${targetUid}`;
export const copierPodName = (targetUid: string): string => `${targetUid}-source-pod`;
/** Reads the source on its own node, for a copier on another one, in the same namespace. */
export const senderPodName = (targetUid: string): string => `${targetUid}-send-pod`;
/** Looks once how large the disk in a claim is (CDI). */
export const sizeDetectionPodName = (sourceUid: string): string => `size-detection-${sourceUid}`;
/** Secret with what of an import is not for a Pod's spec. */
export const importPrivateName = (targetUid: string): string => `import-private-${targetUid}`;
/** Secret that only these two Pods mount; followed by what tells the process that made it from others. */
export const copyKeyName = (targetUid: string): string => `copy-key-${targetUid}`;

/** Both in the source's namespace (stripe) and, under the same name, in a target's namespace (alias). */
export const stripeName = (sharedSnapshotUid: string, stripe: number): string =>
	`onesnap-${sharedSnapshotUid}-${stripe}`;

/** VolumeSnapshots of one SharedSnapshot. */
export const mostStripes = 32;

/** Undefined for any other name, also for one with a number that no SharedSnapshot has. */
export function stripeNumber(sharedSnapshotUid: string, name: string): number | undefined {
	const prefix = stripeName(sharedSnapshotUid, 0).slice(0, -1);
	const digits = name.startsWith(prefix) ? name.slice(prefix.length) : '';
	return /^(0|[1-9]\d?)$/.test(digits) && Number(digits) < mostStripes ? Number(digits) : undefined;
}
