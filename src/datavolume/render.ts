/**
 * The claim that a DataVolume asks for: `spec.pvc` as it is, `spec.storage` with what is missing filled in. Pure.
 *
 * `spec.storage` sizes are those of the disk: on a Filesystem claim, what the file system needs for itself is added. A clone
 * without a size is as large as the disk that it is made from.
 */
import type {DataVolume} from '../api/datavolume.ts';
import type {PersistentVolumeClaim, PersistentVolumeClaimSpec, StorageClass} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import {
	formatQuantity,
	inflateForFilesystem,
	mebibyte,
	parseQuantity,
	roundUp,
	usableOnFilesystem,
} from '../api/quantity.ts';

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
}

export interface RenderFacts {
	readonly storageClasses: readonly StorageClass[];
	/** Where the size is not given: what is cloned. */
	readonly source?: {
		readonly claim?: PersistentVolumeClaim | undefined;
		readonly restoreSize?: string | undefined;
		readonly volumeMode?: string | undefined;
		/** Bytes of the source's disk image, where it is a file on the claim. */
		readonly disk?: bigint | 'unknown' | undefined;
	};
	readonly filesystemOverhead: number;
}

const problem = (message: string): RenderProblem => ({reason: 'ErrClaimNotValid', message});

export function isRenderProblem(rendered: Rendered | RenderProblem): rendered is RenderProblem {
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

/** The default for virtual machines first, then the cluster's; of several the newest, then by name: CDI's order. */
function chooseClass(name: string | undefined, classes: readonly StorageClass[]): StorageClass | RenderProblem {
	if (name === undefined) {
		const found =
			newestMarked(classes, annotations.defaultVirtStorageClass) ??
			newestMarked(classes, annotations.defaultStorageClass);
		return (
			found ??
			problem(
				'No storageClassName is given and the cluster has no default StorageClass: name one, or mark one as default',
			)
		);
	}
	const known = classes.map(({metadata}) => metadata.name).toSorted();
	return (
		classes.find(({metadata}) => metadata.name === name) ??
		problem(`StorageClass "${name}" does not exist; the cluster has: ${known.join(', ') || 'none'}`)
	);
}

/** Size of a disk that holds the source's: its usable part where the mode changes, its capacity where it stays. */
function inferredBytes(facts: RenderFacts, volumeMode: string): bigint | undefined {
	const {source, filesystemOverhead} = facts;
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
		? usableOnFilesystem(capacity, filesystemOverhead)
		: inflateForFilesystem(capacity, filesystemOverhead);
}

export function renderClaim(dataVolume: DataVolume, facts: RenderFacts): Rendered | RenderProblem {
	const {pvc, storage} = dataVolume.spec;
	const wanted = pvc ?? storage;
	if (!wanted) return problem('Missing Data volume PVC');
	const storageClass = chooseClass(wanted.storageClassName, facts.storageClasses);
	if ('reason' in storageClass) return storageClass;
	const volumeMode = wanted.volumeMode ?? 'Filesystem';
	// CDI's words. A device has no place for files.
	if (dataVolume.spec.contentType === 'archive' && volumeMode === 'Block') {
		return problem('ContentType Archive cannot have block volumeMode');
	}
	const asked = wanted.resources?.requests?.['storage'];
	const askedBytes = asked === undefined ? undefined : parseQuantity(String(asked));
	if (asked !== undefined && askedBytes === undefined) return problem(`Storage size "${asked}" is not a quantity`);
	const disk = asked === undefined ? facts.source?.disk : undefined;
	if (disk === 'unknown')
		return {reason: 'SizeUnknown', message: 'The size of the disk that is cloned is not known yet'};
	const inferred = asked === undefined && disk === undefined ? inferredBytes(facts, volumeMode) : undefined;
	const diskBytes = disk === undefined ? askedBytes : roundUp(disk, mebibyte);
	const bytes = diskBytes ?? inferred;
	if (bytes === undefined) return problem('PVC size is missing, and the source does not tell one');
	if (bytes <= 0n) return problem("PVC size can't be equal or less than zero");
	if (bytes < mebibyte) return problem('PVC size should be at least 1MiB');
	const inflates = storage !== undefined && diskBytes !== undefined && volumeMode === 'Filesystem';
	const requestBytes = inflates ? inflateForFilesystem(bytes, facts.filesystemOverhead) : bytes;
	const {volumeName, selector, dataSource, dataSourceRef} = wanted;
	const spec: PersistentVolumeClaimSpec = {
		accessModes: wanted.accessModes?.length ? wanted.accessModes : ['ReadWriteOnce'],
		volumeMode,
		storageClassName: storageClass.metadata.name,
		resources: {
			requests: {storage: inflates || asked === undefined ? formatQuantity(requestBytes) : String(asked)},
			...(wanted.resources?.limits && {limits: wanted.resources.limits}),
		},
		...(volumeName && {volumeName}),
		...(selector !== undefined && {selector}),
		...(dataSource && {dataSource}),
		...(dataSourceRef && {dataSourceRef}),
		...(pvc?.volumeAttributesClassName && {volumeAttributesClassName: pvc.volumeAttributesClassName}),
	};
	return {spec, storageClass, requestBytes, ...(disk !== undefined && {sizedByDisk: true})};
}
