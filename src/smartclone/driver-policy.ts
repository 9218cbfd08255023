/**
 * What a CSI driver wants of whoever restores from its snapshots. One row a driver; a StorageClass annotation overrides
 * a cell. Drivers not listed get the defaults.
 *
 * Sources: ceph-csi takes a try-lock on the snapshot during a restore up to 3.17.1 (removed by its PR 6354), so one
 * snapshot restores one volume at a time; ZFS LocalPV, Mayastor and vSphere refuse a restore of another size than the
 * source's; Trident refuses a larger one.
 */
import {annotations} from '../api/names.ts';
import type {StorageClass} from '../api/kubernetes.ts';

export interface DriverPolicy {
	/** VolumeSnapshots per content. Restores are spread over them. */
	readonly stripes: number;
	/** Restores in flight for each stripe. */
	readonly restoreWindow: number;
	/** A restore must be as large as its source; the claim grows after it is bound. */
	readonly equalSizeRestore: boolean;
	/** The storage refuses to delete a snapshot while a volume restored from it exists. */
	readonly clonesDependOnSnapshot: boolean;
	/** Volumes and their snapshots live on one node, and are restored there only. */
	readonly nodeLocal: boolean;
	/** Most snapshots of one volume that the storage takes; undefined where no small limit is known. */
	readonly mostSnapshots: number | undefined;
	/** The storage refuses cuts of one volume that follow each other faster. */
	readonly secondsBetweenCuts: number;
}

export const defaultPolicy: DriverPolicy = {
	stripes: 1,
	restoreWindow: 8,
	equalSizeRestore: false,
	clonesDependOnSnapshot: false,
	nodeLocal: false,
	mostSnapshots: undefined,
	secondsBetweenCuts: 0,
};

const cephRbd: Partial<DriverPolicy> = {stripes: 4, restoreWindow: 1};

const policies: Readonly<Record<string, Partial<DriverPolicy>>> = {
	'rbd.csi.ceph.com': cephRbd,
	'rook-ceph.rbd.csi.ceph.com': cephRbd,
	'openshift-storage.rbd.csi.ceph.com': cephRbd,
	'zfs.csi.openebs.io': {equalSizeRestore: true, clonesDependOnSnapshot: true, nodeLocal: true},
	'io.openebs.csi-mayastor': {equalSizeRestore: true},
	'csi.vsphere.vmware.com': {equalSizeRestore: true},
	'csi.trident.netapp.io': {equalSizeRestore: true},
	'hostpath.csi.k8s.io': {restoreWindow: 1},
	'topolvm.io': {nodeLocal: true},
	'topolvm.cybozu.com': {nodeLocal: true},
};

const mostStripes = 32;
const mostInFlight = 1000;
const mostSeconds = 86_400;

function flag(text: string | undefined, row: boolean): boolean {
	return text === undefined ? row : text === 'true';
}

function count(text: string | undefined, most: number): number | undefined {
	if (!text || !/^\d+$/.test(text)) return undefined;
	return Math.min(most, Math.max(1, Number(text)));
}

/** The driver's row with the class's overrides; an override that is no number of at least 1 is ignored. */
export function driverPolicy(driver: string, storageClass: StorageClass | undefined): DriverPolicy {
	const row = {...defaultPolicy, ...policies[driver]};
	const overrides = storageClass?.metadata.annotations ?? {};
	const restoreSize = overrides[annotations.restoreSize];
	return {
		stripes: count(overrides[annotations.stripes], mostStripes) ?? row.stripes,
		restoreWindow: count(overrides[annotations.restoreWindow], mostInFlight) ?? row.restoreWindow,
		equalSizeRestore: restoreSize === undefined ? row.equalSizeRestore : restoreSize === 'equal',
		clonesDependOnSnapshot: flag(overrides[annotations.clonesDependOnSnapshot], row.clonesDependOnSnapshot),
		nodeLocal: flag(overrides[annotations.nodeLocal], row.nodeLocal),
		mostSnapshots: count(overrides[annotations.mostSnapshots], mostStripes) ?? row.mostSnapshots,
		secondsBetweenCuts: count(overrides[annotations.secondsBetweenCuts], mostSeconds) ?? row.secondsBetweenCuts,
	};
}
