/**
 * What a CSI driver wants of whoever clones its volumes. One row a driver, with where it is known from; a StorageClass
 * annotation overrides a cell. Drivers not listed get the defaults.
 */
import {annotations, mostStripes} from '../api/names.ts';
import type {StorageClass} from '../api/kubernetes.ts';

/** Whether a claim is cloned by the driver itself (dataSource = a claim): before sharing, where sharing is impossible, or never. */
export type CsiClone = 'first' | 'fallback' | 'never';

export interface DriverPolicy {
	/** VolumeSnapshots per content. Restores are spread over them. */
	readonly stripes: number;
	/** Restores in flight for each stripe, to begin with. Adapts to the storage's answers, up to {@link mostRestores}. */
	readonly restoreWindow: number;
	/** A restore must be as large as its source; the claim grows after it is bound. */
	readonly equalSizeRestore: boolean;
	/** The storage refuses to delete a snapshot while a volume restored from it exists, or the volume needs it for a while. */
	readonly clonesDependOnSnapshot: boolean;
	/** Volumes and their snapshots live on one node, and are restored there only. */
	readonly nodeLocal: boolean;
	/** Most snapshots of one volume that the storage takes; undefined where no small limit is known. */
	readonly mostSnapshots: number | undefined;
	/** The storage refuses cuts of one volume that follow each other faster. */
	readonly secondsBetweenCuts: number;
	readonly csiClone: CsiClone;
	/** A clone by the driver itself must be as large as its source, as with {@link equalSizeRestore}. */
	readonly equalSizeCsiClone: boolean;
	/** A snapshot, or a restore, that takes longer is given up. Undefined: the controller's own default. */
	readonly cutDeadlineSeconds: number | undefined;
	readonly restoreDeadlineSeconds: number | undefined;
}

export const defaultPolicy: DriverPolicy = {
	stripes: 1,
	restoreWindow: 8,
	equalSizeRestore: false,
	clonesDependOnSnapshot: false,
	nodeLocal: false,
	mostSnapshots: undefined,
	secondsBetweenCuts: 0,
	csiClone: 'fallback',
	equalSizeCsiClone: false,
	cutDeadlineSeconds: undefined,
	restoreDeadlineSeconds: undefined,
};

/** How far the window may grow when the storage takes all that it is given. */
export function mostRestores({restoreWindow}: DriverPolicy): number {
	return Math.min(mostInFlight, 4 * restoreWindow);
}

interface DriverRow {
	readonly drivers: readonly string[];
	/** What differs from {@link defaultPolicy}. */
	readonly cells: Partial<DriverPolicy>;
	/** How it is known. */
	readonly source: string;
}

const day = 86_400;
const prefixed = (driver: string) => [driver, `rook-ceph.${driver}`, `openshift-storage.${driver}`];

export const driverRows: readonly DriverRow[] = [
	{
		drivers: prefixed('rbd.csi.ceph.com'),
		cells: {stripes: 4, restoreWindow: 1, csiClone: 'never'},
		source:
			'ceph-csi up to 3.17.1 locks a snapshot while it is restored (PR 6354); each claim clone is a snapshot more, and 450 on an image are refused (--maxsnapshotsonimage)',
	},
	{
		drivers: prefixed('cephfs.csi.ceph.com'),
		cells: {restoreWindow: 4, restoreDeadlineSeconds: day / 4},
		source: 'a restore is a full copy, 4 at a time (max_concurrent_clones), answered by Aborted until it is done',
	},
	{
		drivers: ['topolvm.io', 'topolvm.cybozu.com'],
		cells: {nodeLocal: true},
		source: 'a thin snapshot is restored on its own node and device class only (InvalidArgument elsewhere)',
	},
	{
		drivers: ['zfs.csi.openebs.io'],
		cells: {equalSizeRestore: true, clonesDependOnSnapshot: true, nodeLocal: true},
		source: 'a ZFS clone has the size, the pool and the node of its snapshot, which cannot be destroyed under it',
	},
	{
		drivers: ['local.csi.openebs.io'],
		cells: {nodeLocal: true},
		source: 'LVM snapshots are of one node; restored since OpenEBS 4.4 only',
	},
	{
		drivers: ['io.openebs.csi-mayastor'],
		cells: {equalSizeRestore: true},
		source: 'a restore of another size is refused',
	},
	{
		drivers: ['cstor.csi.openebs.io'],
		cells: {equalSizeRestore: true, clonesDependOnSnapshot: true},
		source: 'a ZFS clone depends on its snapshot; that sizes must be equal is inferred from that',
	},
	{
		drivers: ['driver.longhorn.io'],
		cells: {restoreWindow: 5, clonesDependOnSnapshot: true, equalSizeCsiClone: true},
		source:
			'a restored volume is said to be there before its data is copied; 5 such tasks a node; a claim clone must be of equal size',
	},
	{
		drivers: ['linstor.csi.linbit.com'],
		cells: {},
		source: 'snapshots are kept apart from their volume, and a restore may be larger',
	},
	{
		drivers: ['pxd.portworx.com'],
		cells: {csiClone: 'first'},
		source: "CDI's choice; on FlashArray, a snapshot is deleted with its volume",
	},
	{
		drivers: ['csi.trident.netapp.io'],
		cells: {equalSizeRestore: true, clonesDependOnSnapshot: true},
		source: 'larger restores are refused; a snapshot with FlexClones is busy and not deleted',
	},
	{
		drivers: ['csi.vsphere.vmware.com'],
		cells: {equalSizeRestore: true, mostSnapshots: 3, restoreDeadlineSeconds: day / 4},
		source: 'a restore is a full copy of equal size; 3 snapshots a volume by default (FailedPrecondition)',
	},
	{
		drivers: ['ebs.csi.aws.com'],
		cells: {secondsBetweenCuts: 15, csiClone: 'never', cutDeadlineSeconds: day},
		source: 'snapshots of a volume about 15 s apart; ready when uploaded, which takes up to hours',
	},
	{
		drivers: ['pd.csi.storage.gke.io'],
		cells: {secondsBetweenCuts: 600, csiClone: 'never', cutDeadlineSeconds: day},
		source: 'about one snapshot of a disk in 10 minutes; ready when uploaded',
	},
	{
		drivers: ['disk.csi.azure.com'],
		cells: {secondsBetweenCuts: 43},
		source: '7 snapshots of a disk in 5 minutes',
	},
	{
		drivers: ['hostpath.csi.k8s.io'],
		cells: {restoreWindow: 1, nodeLocal: true, cutDeadlineSeconds: day / 4, restoreDeadlineSeconds: day / 4},
		source: 'one mutex for all calls, each of which copies everything, on the one node',
	},
	{
		drivers: ['nfs.csi.k8s.io'],
		cells: {cutDeadlineSeconds: day / 4, restoreDeadlineSeconds: day / 4},
		source: 'tar and untar within the call, which times out and goes on',
	},
];

const rowByDriver = new Map(
	driverRows.flatMap(({drivers, cells}) => drivers.map((driver) => [driver, cells] as const)),
);

const mostInFlight = 1000;
const mostSeconds = 7 * day;

/** What an annotation says: a value, or what is wrong with it. */
type Reading<Value> = {readonly value: Value; readonly mistake?: string} | {readonly mistake: string};

function count(text: string, most: number): Reading<number> {
	if (!/^\d+$/.test(text)) return {mistake: `must be a whole number from 1 to ${most}; it is ignored`};
	const value = Math.min(most, Math.max(1, Number(text)));
	return value === Number(text) ? {value} : {value, mistake: `must be from 1 to ${most}; taken as ${value}`};
}

function oneOf<Value>(text: string, meanings: Readonly<Record<string, Value>>): Reading<Value> {
	if (Object.hasOwn(meanings, text)) return {value: meanings[text] as Value};
	return {mistake: `must be one of ${Object.keys(meanings).join(', ')}; it is ignored`};
}

const flags = {true: true, false: false};
const sizes = {equal: true, any: false};
const clones = {first: 'first', fallback: 'fallback', never: 'never'} as const;

type Readers = {
	readonly [Cell in keyof DriverPolicy]: readonly [string, (text: string) => Reading<DriverPolicy[Cell]>];
};

const readers: Readers = {
	stripes: [annotations.stripes, (text) => count(text, mostStripes)],
	restoreWindow: [annotations.restoreWindow, (text) => count(text, mostInFlight)],
	equalSizeRestore: [annotations.restoreSize, (text) => oneOf(text, sizes)],
	clonesDependOnSnapshot: [annotations.clonesDependOnSnapshot, (text) => oneOf(text, flags)],
	nodeLocal: [annotations.nodeLocal, (text) => oneOf(text, flags)],
	mostSnapshots: [annotations.mostSnapshots, (text) => count(text, mostInFlight)],
	secondsBetweenCuts: [annotations.secondsBetweenCuts, (text) => count(text, mostSeconds)],
	csiClone: [annotations.csiClone, (text) => oneOf<CsiClone>(text, clones)],
	equalSizeCsiClone: [annotations.csiCloneSize, (text) => oneOf(text, sizes)],
	cutDeadlineSeconds: [annotations.cutDeadline, (text) => count(text, mostSeconds)],
	restoreDeadlineSeconds: [annotations.restoreDeadline, (text) => count(text, mostSeconds)],
};

/** The driver's row with the class's overrides; one that makes no sense is ignored, and told by {@link policyMistakes}. */
export function driverPolicy(driver: string, storageClass: StorageClass | undefined): DriverPolicy {
	const row: DriverPolicy = {...defaultPolicy, ...rowByDriver.get(driver)};
	const given = storageClass?.metadata.annotations ?? {};
	const overrides = Object.entries(readers).flatMap(([cell, [name, read]]) => {
		const text = given[name];
		const reading = text === undefined ? undefined : read(text);
		return reading && 'value' in reading ? [[cell, reading.value] as const] : [];
	});
	return {...row, ...Object.fromEntries(overrides)};
}

/** Annotations of a StorageClass that make no sense, each in a sentence. */
export function policyMistakes({metadata}: StorageClass): string[] {
	return Object.values(readers).flatMap(([name, read]) => {
		const text = metadata.annotations?.[name];
		const mistake = text === undefined ? undefined : read(text).mistake;
		return mistake === undefined
			? []
			: [`Annotation ${name} of StorageClass ${metadata.name} is "${text}" and ${mistake}`];
	});
}
