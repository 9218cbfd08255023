/** The claim and the source objects of a DataVolume, as they are written. Pure. */
import type {DataVolume, HttpSource} from '../api/datavolume.ts';
import type {OwnerReference, PersistentVolumeClaim, PersistentVolumeClaimSpec} from '../api/kubernetes.ts';
import {
	annotations,
	cdiGroup,
	cdiVersion,
	cloneSourceName,
	importSourceName,
	labels,
	managedByValue,
} from '../api/names.ts';
import {parseQuantity} from '../api/quantity.ts';
import type {VolumeCloneSource, VolumeImportSource} from '../api/populator.ts';
import type {ReuseRule} from '../api/sharedsnapshot.ts';
import {fillFrom} from '../populate/in-place.ts';
import type {CloneDecision, CloneWay} from '../smartclone/strategy.ts';
import {describeDeclined} from '../smartclone/strategy.ts';

function uidOf(dataVolume: DataVolume): string {
	if (!dataVolume.metadata.uid)
		throw new Error(`DataVolume ${dataVolume.metadata.name} has no UID: it does not come from the API server`);
	return dataVolume.metadata.uid;
}

/** What makes an object go with its DataVolume. */
export function ownedBy(dataVolume: DataVolume): OwnerReference {
	return {
		apiVersion: cdiVersion,
		kind: 'DataVolume',
		name: dataVolume.metadata.name,
		uid: uidOf(dataVolume),
		controller: true,
		blockOwnerDeletion: true,
	};
}

/** Annotations that are about the DataVolume itself and would say something else on its claim. */
const notForClaims: readonly string[] = [
	'kubectl.kubernetes.io/last-applied-configuration',
	annotations.sharedSnapshot,
	annotations.reuseRule,
	annotations.gaveUp,
	annotations.growTo,
	annotations.consistency,
	annotations.resolvedSource,
	// Of the request that was assigned; a claim has its own.
	annotations.cloneType,
	// Of a claim, which of this name was filled with this name's data.
	annotations.fillFrom,
	annotations.populated,
	annotations.filled,
	annotations.annotated,
	annotations.podPhase,
	// Admission asks the author of a claim whether he may clone from there. Of ours the author is the controller, who may.
	annotations.dataSourceNamespace,
	annotations.populatedFor,
];

export interface ClaimWanted {
	readonly spec: PersistentVolumeClaimSpec;
	/** From what is cloned; the DataVolume's own win. */
	readonly labels?: Readonly<Record<string, string>> | undefined;
	readonly annotations?: Readonly<Record<string, string>>;
}

/** Named as the DataVolume, with all its labels and annotations; goes with it. */
export function makeClaim(dataVolume: DataVolume, wanted: ClaimWanted): PersistentVolumeClaim {
	const copied = Object.entries(dataVolume.metadata.annotations ?? {}).filter(([name]) => !notForClaims.includes(name));
	const {contentType = 'kubevirt', priorityClassName, serviceAccountName} = dataVolume.spec;
	return {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata: {
			name: dataVolume.metadata.name,
			namespace: dataVolume.metadata.namespace ?? '',
			labels: {
				[labels.app]: 'containerized-data-importer',
				[labels.managedBy]: managedByValue,
				...(wanted.spec.volumeMode !== 'Block' && {[labels.fillingUpAlert]: 'disabled'}),
				...wanted.labels,
				...dataVolume.metadata.labels,
			},
			annotations: {
				...Object.fromEntries(copied),
				[annotations.createdForDataVolume]: uidOf(dataVolume),
				[annotations.contentType]: contentType,
				...(priorityClassName && {[annotations.podPriorityClass]: priorityClassName}),
				...(serviceAccountName && {[annotations.podServiceAccount]: serviceAccountName}),
				...wanted.annotations,
			},
			ownerReferences: [ownedBy(dataVolume)],
		},
		spec: wanted.spec,
	};
}

/** Bound to this volume, whose content is there already: a claim that is left alone. */
export function makeStaticClaim(
	dataVolume: DataVolume,
	spec: PersistentVolumeClaimSpec,
	volumeName: string,
): PersistentVolumeClaim {
	const {dataSource: _, dataSourceRef: __, ...bare} = spec;
	const marks = {[annotations.populatedFor]: dataVolume.metadata.name};
	const claim = makeClaim(dataVolume, {spec: {...bare, volumeName}, annotations: marks});
	const {[annotations.createdForDataVolume]: ___, ...rest} = claim.metadata.annotations ?? {};
	return {...claim, metadata: {...claim.metadata, annotations: rest}};
}

export function makeImportSource(
	dataVolume: DataVolume,
	source: {readonly http: HttpSource} | {readonly blank: object},
): VolumeImportSource {
	const {contentType, preallocation} = dataVolume.spec;
	return {
		apiVersion: cdiVersion,
		kind: 'VolumeImportSource',
		metadata: {
			name: importSourceName(uidOf(dataVolume)),
			namespace: dataVolume.metadata.namespace ?? '',
			labels: {[labels.managedBy]: managedByValue},
			ownerReferences: [ownedBy(dataVolume)],
		},
		spec: {source, ...(contentType && {contentType}), ...(preallocation !== undefined && {preallocation})},
	};
}

export interface CloneOrigin {
	readonly kind: 'PersistentVolumeClaim' | 'VolumeSnapshot';
	readonly namespace: string;
	readonly name: string;
	/** What a restore must ask for at least, where the snapshot itself does not say enough. */
	readonly minimumSize?: string;
}

/**
 * In the namespace of what is cloned; an owner reference cannot reach there from another one, an annotation can.
 *
 * @param namespace of a second one beside the claim, see `Observed.cloneSourceAtClaim`
 */
export function makeCloneSource(
	dataVolume: DataVolume,
	origin: CloneOrigin,
	namespace = origin.namespace,
): VolumeCloneSource {
	const {preallocation, priorityClassName} = dataVolume.spec;
	const sameNamespace = namespace === dataVolume.metadata.namespace;
	return {
		apiVersion: cdiVersion,
		kind: 'VolumeCloneSource',
		metadata: {
			name: cloneSourceName(uidOf(dataVolume)),
			namespace,
			labels: {[labels.managedBy]: managedByValue},
			annotations: {
				[annotations.ownedByDataVolume]: `${dataVolume.metadata.namespace}/${dataVolume.metadata.name}`,
				...(origin.minimumSize && {[annotations.minimumSize]: origin.minimumSize}),
			},
			...(sameNamespace && {ownerReferences: [ownedBy(dataVolume)]}),
		},
		spec: {
			source: {
				...(origin.kind === 'VolumeSnapshot' && {apiGroup: 'snapshot.storage.k8s.io'}),
				kind: origin.kind,
				name: origin.name,
			},
			...(preallocation !== undefined && {preallocation}),
			...(priorityClassName && {priorityClassName}),
		},
	};
}

/** Filled by the populate layer from the source object of this DataVolume: through a populator, or in place. */
export function makePopulatedClaim(
	dataVolume: DataVolume,
	spec: PersistentVolumeClaimSpec,
	from:
		| {readonly kind: 'import'; readonly inPlace?: boolean}
		| {
				readonly kind: 'clone';
				readonly inPlace?: boolean;
				readonly origin: CloneOrigin;
				readonly decision: CloneDecision;
				/** May be smaller than the claim of its source: the disk fits. */
				readonly permissive?: boolean;
				readonly labels?: ClaimWanted['labels'];
		  },
): PersistentVolumeClaim {
	const clone = from.kind === 'clone' ? from : undefined;
	const elsewhere = clone !== undefined && clone.origin.namespace !== dataVolume.metadata.namespace;
	const reason = clone && describeDeclined(clone.decision.declined);
	const uid = uidOf(dataVolume);
	const source = clone
		? {kind: 'VolumeCloneSource', name: cloneSourceName(uid)}
		: {kind: 'VolumeImportSource', name: importSourceName(uid)};
	return makeClaim(dataVolume, {
		spec: {...spec, ...(!from.inPlace && {dataSourceRef: {apiGroup: cdiGroup, ...source}})},
		labels: clone?.labels,
		annotations: {
			...(from.inPlace && fillFrom(source)),
			[annotations.usePopulator]: String(!from.inPlace),
			// Of one whose node is not known yet, nobody knows the way either: it is written when it is.
			...(clone && clone.decision.route !== 'restoreOrCopy' && {[annotations.cloneType]: clone.decision.way}),
			...(reason && {[annotations.cloneFallbackReason]: reason}),
			...(clone?.permissive && {[annotations.permissiveClone]: 'true'}),
			...(elsewhere && {[annotations.dataSourceNamespace]: clone.origin.namespace}),
		},
	});
}

/** What the provisioner makes a claim from, in the claim's own namespace. */
export interface DriverOrigin {
	readonly kind: 'VolumeSnapshot' | 'PersistentVolumeClaim';
	readonly name: string;
	readonly request: string;
	readonly rule?: ReuseRule | undefined;
	readonly labels?: ClaimWanted['labels'];
	readonly declined?: CloneDecision['declined'];
	/** Of a class that binds at once. */
	readonly provisioner?: string | undefined;
}

/**
 * Made by the storage driver from a snapshot or another claim: binds only when it is complete.
 *
 * Where it need not wait for a consumer it names its provisioner itself. The volume binder would do so, in one update and
 * one event of the 20 requests a second that it has for all claims of the cluster; it leaves an annotation that is right
 * as it is, and a burst of clones is done the sooner.
 */
export function makeRestoredClaim(
	dataVolume: DataVolume,
	spec: PersistentVolumeClaimSpec,
	from: DriverOrigin,
): PersistentVolumeClaim {
	const way: CloneWay = from.kind === 'VolumeSnapshot' ? 'snapshot' : 'csi-clone';
	const reason = describeDeclined(from.declined ?? []);
	const wanted = spec.resources?.requests?.['storage'] ?? '0';
	const grows = (parseQuantity(from.request) ?? 0n) < (parseQuantity(wanted) ?? 0n);
	return makeClaim(dataVolume, {
		spec: {
			...spec,
			resources: {...spec.resources, requests: {storage: from.request}},
			dataSource: {
				...(from.kind === 'VolumeSnapshot' && {apiGroup: 'snapshot.storage.k8s.io'}),
				kind: from.kind,
				name: from.name,
			},
		},
		labels: from.labels,
		annotations: {
			[annotations.cloneType]: way,
			...(reason && {[annotations.cloneFallbackReason]: reason}),
			...(grows && {[annotations.growTo]: wanted}),
			...(from.rule && {[annotations.reuseRule]: from.rule}),
			...(from.provisioner && {
				[annotations.storageProvisioner]: from.provisioner,
				[annotations.betaStorageProvisioner]: from.provisioner,
			}),
		},
	});
}
