/**
 * Which way to clone, and why not the others. A pure function from facts to a decision; asked once per clone, the answer
 * is kept on it (annotation cdi.kubevirt.io/cloneType).
 *
 * The order is `snapshot`, then `copy`. Reasons carry CDI's codes where it has one.
 */
import type {VolumeMode} from '../api/kubernetes.ts';

export type CloneWay = 'snapshot' | 'copy';

export const declineCodes = [
	'SnapshotsNotServed',
	'SourceNotCsi',
	'TargetNotCsi',
	'IncompatibleProvisioners',
	'NoVolumeSnapshotClass',
	'IncompatibleVolumeModes',
	'NoVolumeExpansion',
	'NoProvisionerMatch',
] as const;
export type DeclineCode = (typeof declineCodes)[number];

/** Why a way was not taken, and what would make it possible. */
export interface Declined {
	readonly way: CloneWay;
	readonly code: DeclineCode;
	readonly message: string;
}

export interface CloneDecision {
	readonly way: CloneWay;
	/** Empty where the best way is taken. */
	readonly declined: readonly Declined[];
}

export interface CloneFacts {
	readonly sourceKind: 'pvc' | 'snapshot';
	/** Driver of the source's volume or of the snapshot's content; undefined where it is not a CSI volume. */
	readonly sourceDriver: string | undefined;
	readonly sourceVolumeMode: VolumeMode;
	/** Of the volume, or what a restore of the snapshot asks for at least. */
	readonly sourceCapacityBytes: bigint;
	readonly targetProvisioner: string;
	/** Whether a CSIDriver object of the provisioner's name exists. */
	readonly targetIsCsi: boolean;
	readonly targetVolumeMode: VolumeMode;
	readonly targetRequestBytes: bigint;
	readonly targetExpandable: boolean;
	readonly equalSizeRestore: boolean;
	/** Whether the API server has VolumeSnapshots at all. */
	readonly snapshotsServed: boolean;
	/** The class that the shared snapshot is cut with; needed for a claim as source. */
	readonly snapshotClass: string | undefined;
}

/** Reasons against a smart clone, all of them: a person who mends one wants to know the next. */
function againstSnapshot(facts: CloneFacts): Declined[] {
	const declined: Declined[] = [];
	const decline = (code: DeclineCode, message: string) => declined.push({way: 'snapshot', code, message});
	if (!facts.snapshotsServed) {
		decline(
			'SnapshotsNotServed',
			'The cluster does not serve VolumeSnapshots: install the CRDs of external-snapshotter',
		);
	}
	if (!facts.targetIsCsi) {
		decline(
			'TargetNotCsi',
			`The target's provisioner ${facts.targetProvisioner} has no CSIDriver object: use a CSI storage class`,
		);
	}
	if (facts.sourceDriver === undefined) {
		decline('SourceNotCsi', 'The source is not a CSI volume');
	} else if (facts.sourceDriver !== facts.targetProvisioner) {
		const code = facts.sourceKind === 'snapshot' ? 'NoProvisionerMatch' : 'IncompatibleProvisioners';
		decline(
			code,
			`Source and target are of different drivers (${facts.sourceDriver}, ${facts.targetProvisioner}): use a class of the source's driver`,
		);
	}
	if (facts.sourceKind === 'pvc' && facts.sourceDriver !== undefined && facts.snapshotClass === undefined) {
		decline('NoVolumeSnapshotClass', `No VolumeSnapshotClass has the driver ${facts.sourceDriver}: create one`);
	}
	if (facts.sourceVolumeMode !== facts.targetVolumeMode) {
		decline(
			'IncompatibleVolumeModes',
			`Source is ${facts.sourceVolumeMode}, target ${facts.targetVolumeMode}: the blocks of one are not those of the other`,
		);
	}
	if (facts.equalSizeRestore && facts.targetRequestBytes > facts.sourceCapacityBytes && !facts.targetExpandable) {
		decline(
			'NoVolumeExpansion',
			'The driver restores at the size of the source only, and the storage class does not allow volume expansion',
		);
	}
	return declined;
}

export function chooseWay(facts: CloneFacts): CloneDecision {
	const declined = againstSnapshot(facts);
	return {way: declined.length === 0 ? 'snapshot' : 'copy', declined};
}

/** One line for an annotation or an event: `Code: message; Code: message`. */
export function describeDeclined(declined: readonly Declined[]): string {
	return declined.map(({code, message}) => `${code}: ${message}`).join('; ');
}
