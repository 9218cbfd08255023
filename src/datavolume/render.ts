/**
 * The claim that a DataVolume asks for: `spec.pvc` as it is, `spec.storage` with what is missing filled in from the
 * StorageProfile of its class. CDI's rules and words. Pure.
 *
 * `spec.storage` sizes are those of the disk: on a Filesystem claim, what the file system needs for itself is added. A clone
 * without a size is as large as the disk that it is made from.
 */
import type {DataVolume, DataVolumeSpec} from '../api/datavolume.ts';
import type {
	AccessMode,
	PersistentVolumeClaim,
	PersistentVolumeClaimSpec,
	StorageClass,
	VolumeMode,
} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import {
	formatQuantity,
	inflateForFilesystem,
	largest,
	mebibyte,
	parseQuantity,
	roundUp,
	usableOnFilesystem,
} from '../api/quantity.ts';
import type {ClaimPropertySet} from '../api/storage-profile.ts';
import type {ResolvedProfile} from '../storageprofile/resolve.ts';

export interface Rendered {
	readonly spec: PersistentVolumeClaimSpec;
	readonly storageClass: StorageClass;
	readonly requestBytes: bigint;
	/** The size is that of the source's disk, and not of the claim that it is in. */
	readonly sizedByDisk?: boolean;
}

export interface RenderProblem {
	/** `SizeUnknown`: somebody has to look into the source first. */
	readonly reason: 'ErrClaimNotValid' | 'SizeUnknown';
	readonly message: string;
	/** In more words, as an event. */
	readonly event?: string;
}

/** What the StorageProfile of a class comes to. */
export type ClassProfile = Pick<ResolvedProfile, 'claimPropertySets' | 'minimumSize'>;

export interface RenderFacts {
	readonly storageClasses: readonly StorageClass[];
	readonly profileOf: (storageClass: StorageClass) => ClassProfile;
	/** Share of a Filesystem claim of this class that the file system keeps for itself. */
	readonly overheadOf: (storageClassName: string | undefined) => number;
	/** Where the size is not given: what is cloned. */
	readonly source?: {
		readonly claim?: PersistentVolumeClaim | undefined;
		readonly restoreSize?: string | undefined;
		readonly volumeMode?: string | undefined;
		/** Bytes of the source's disk image, where it is a file on the claim. */
		readonly disk?: bigint | 'unknown' | undefined;
	};
}

const problem = (message: string, event?: string): RenderProblem => ({
	reason: 'ErrClaimNotValid',
	message,
	...(event !== undefined && {event}),
});

export function isRenderProblem(rendered: object): rendered is RenderProblem {
	return 'reason' in rendered;
}

function newestMarked(classes: readonly StorageClass[], annotation: string): StorageClass | undefined {
	return classes
		.filter(({metadata}) => metadata.annotations?.[annotation] === 'true')
		.toSorted(
			({metadata: a}, {metadata: b}) =>
				(b.creationTimestamp ?? '').localeCompare(a.creationTimestamp ?? '') || a.name.localeCompare(b.name),
		)[0];
}

/** Of several the newest, then by name: CDI's order. A claim as it is gets what Kubernetes would give it. */
function defaultClass({spec}: DataVolume, classes: readonly StorageClass[]): StorageClass | undefined {
	const isDisk = spec.storage !== undefined && spec.contentType !== 'archive';
	const ofDisks = isDisk ? newestMarked(classes, annotations.defaultVirtStorageClass) : undefined;
	return ofDisks ?? newestMarked(classes, annotations.defaultStorageClass);
}

function chooseClass(dataVolume: DataVolume, classes: readonly StorageClass[]): StorageClass | RenderProblem {
	const {pvc, storage} = dataVolume.spec;
	const {storageClassName: name, accessModes} = pvc ?? storage ?? {};
	if (name === undefined) {
		const found = defaultClass(dataVolume, classes);
		if (found) return found;
		if (storage && !accessModes?.length) {
			return problem('PVC spec is missing accessMode and no storageClass to choose profile');
		}
		return problem(
			'No storageClassName is given and the cluster has no default StorageClass: name one, or mark one as default',
		);
	}
	const known = classes.map(({metadata}) => metadata.name).toSorted();
	return (
		classes.find(({metadata}) => metadata.name === name) ??
		problem(`StorageClass "${name}" does not exist; the cluster has: ${known.join(', ') || 'none'}`)
	);
}

interface Modes {
	readonly accessModes: readonly AccessMode[];
	readonly volumeMode: VolumeMode;
}

/** From the property sets of the class what `spec.storage` does not say: the first that fits what it does. */
function modesOf(
	{contentType, storage}: DataVolumeSpec,
	name: string,
	sets: readonly ClaimPropertySet[],
): Modes | RenderProblem {
	const {accessModes: given = []} = storage ?? {};
	// A device has no place for files.
	const wanted = contentType === 'archive' ? 'Filesystem' : storage?.volumeMode;
	if (given.length > 0) {
		const sharing = sets.find(({accessModes}) => accessModes.some((mode) => given.includes(mode)));
		return {accessModes: given, volumeMode: wanted ?? sharing?.volumeMode ?? 'Filesystem'};
	}
	const found = wanted === undefined ? sets[0] : sets.find(({volumeMode}) => volumeMode === wanted);
	if (found) return found;
	return wanted === undefined
		? problem(
				`no accessMode specified in StorageProfile ${name}`,
				`Spec is missing accessMode and volumeMode, cannot get access mode from StorageProfile ${name}`,
			)
		: problem(
				`no matching accessMode specified in StorageProfile ${name}`,
				`Spec is missing accessMode and cannot get access mode from StorageProfile ${name}`,
			);
}

/** Size of a disk that holds the source's: its usable part where the mode changes, its capacity where it stays. */
function inferredBytes({source, overheadOf}: RenderFacts, volumeMode: string, className: string): bigint | undefined {
	const text = source?.claim
		? (source.claim.status?.capacity?.['storage'] ?? source.claim.spec.resources?.requests?.['storage'])
		: source?.restoreSize;
	const capacity = text === undefined ? undefined : parseQuantity(text);
	if (capacity === undefined || capacity === 0n) return undefined;
	const sourceMode = source?.claim
		? (source.claim.spec.volumeMode ?? 'Filesystem')
		: (source?.volumeMode ?? 'Filesystem');
	if (sourceMode === volumeMode) return capacity;
	return volumeMode === 'Block'
		? usableOnFilesystem(capacity, overheadOf(source?.claim?.spec.storageClassName))
		: inflateForFilesystem(capacity, overheadOf(className));
}

/** In bytes, and as it was written where nothing was added. */
interface Size {
	readonly bytes: bigint;
	readonly text: string;
	readonly sizedByDisk: boolean;
}

function sizeOf(
	{spec: {pvc, storage}}: DataVolume,
	facts: RenderFacts,
	{name, volumeMode, minimumSize}: {name: string; volumeMode: VolumeMode; minimumSize: string | undefined},
): Size | RenderProblem {
	const asked = (pvc ?? storage)?.resources?.requests?.['storage'];
	const askedBytes = asked === undefined ? undefined : parseQuantity(String(asked));
	if (asked !== undefined && askedBytes === undefined) return problem(`Storage size "${asked}" is not a quantity`);
	const disk = asked === undefined ? facts.source?.disk : undefined;
	if (disk === 'unknown') {
		return {reason: 'SizeUnknown', message: 'The size of the disk that is cloned is not known yet'};
	}
	const diskBytes = disk === undefined ? askedBytes : roundUp(disk, mebibyte);
	const given = diskBytes ?? (asked === undefined ? inferredBytes(facts, volumeMode, name) : undefined);
	if (given === undefined) return problem('PVC size is missing, and the source does not tell one');
	if (given <= 0n) return problem("PVC size can't be equal or less than zero");
	if (given < mebibyte) return problem('PVC size should be at least 1MiB');
	const inflates = storage !== undefined && diskBytes !== undefined && volumeMode === 'Filesystem';
	const inflated = inflates ? inflateForFilesystem(given, facts.overheadOf(name)) : given;
	const bytes = storage ? largest(inflated, parseQuantity(minimumSize ?? '0') ?? 0n) : inflated;
	const text = asked !== undefined && bytes === askedBytes ? String(asked) : formatQuantity(bytes);
	return {bytes, text, sizedByDisk: disk !== undefined};
}

export function renderClaim(dataVolume: DataVolume, facts: RenderFacts): Rendered | RenderProblem {
	const {pvc, storage} = dataVolume.spec;
	const wanted = pvc ?? storage;
	if (!wanted) return problem('Missing Data volume PVC');
	if (dataVolume.spec.contentType === 'archive' && wanted.volumeMode === 'Block') {
		return problem('ContentType Archive cannot have block volumeMode');
	}
	const storageClass = chooseClass(dataVolume, facts.storageClasses);
	if (isRenderProblem(storageClass)) return storageClass;
	const {name} = storageClass.metadata;
	const {claimPropertySets, minimumSize} = facts.profileOf(storageClass);
	const asItIs: Modes = {
		accessModes: wanted.accessModes?.length ? wanted.accessModes : ['ReadWriteOnce'],
		volumeMode: wanted.volumeMode ?? 'Filesystem',
	};
	const modes = pvc ? asItIs : modesOf(dataVolume.spec, name, claimPropertySets);
	if (isRenderProblem(modes)) return modes;
	const size = sizeOf(dataVolume, facts, {name, volumeMode: modes.volumeMode, minimumSize});
	if (isRenderProblem(size)) return size;
	const {volumeName, selector, dataSource, dataSourceRef} = wanted;
	const spec: PersistentVolumeClaimSpec = {
		accessModes: modes.accessModes,
		volumeMode: modes.volumeMode,
		storageClassName: name,
		resources: {
			requests: {storage: size.text},
			...(wanted.resources?.limits && {limits: wanted.resources.limits}),
		},
		...(volumeName && {volumeName}),
		...(selector !== undefined && {selector}),
		...(dataSource && {dataSource}),
		...(dataSourceRef && {dataSourceRef}),
		...(pvc?.volumeAttributesClassName && {volumeAttributesClassName: pvc.volumeAttributesClassName}),
	};
	return {spec, storageClass, requestBytes: size.bytes, ...(size.sizedByDisk && {sizedByDisk: true})};
}
