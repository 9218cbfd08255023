/**
 * Which way to clone, and why not the others. A pure function from facts to a decision. Once a request is assigned to a
 * snapshot, or its claim is made, the way is kept, unless it is given up: then it is asked again, without that way.
 *
 * The order is `snapshot`, `csi-clone`, `copy`; a driver may want `csi-clone` first, and so may an admin, or `copy` alone.
 * What CDI advises for a driver is no admin's wish (docs/adr/0019). Reasons carry CDI's codes where it has one.
 */
import type {VolumeMode} from '../api/kubernetes.ts';
import type {CsiClone} from './driver-policy.ts';

/** As CDI spells them. */
export const cloneWays = ['snapshot', 'csi-clone', 'copy'] as const;
export type CloneWay = (typeof cloneWays)[number];

/** How a way is gone. */
export type CloneRoute =
	/** The claim is restored from the shared snapshot, or from the snapshot that the user named. */
	| 'restore'
	/** The snapshot lives on a node and the clone's node is not known yet: the populate layer restores or copies when it is. */
	| 'restoreOrCopy'
	/** The driver clones the claim. */
	| 'csiClone'
	/** Copied from a restore that is made only for that: the source may be written to. */
	| 'copySnapshot'
	/** Copied from the claim itself, while nobody writes to it. */
	| 'copyClaim';

export const declineCodes = [
	'SnapshotsNotServed',
	'SourceNotCsi',
	'NoPopulator',
	'IncompatibleProvisioners',
	'NoVolumeSnapshotClass',
	'IncompatibleVolumeModes',
	'NoVolumeExpansion',
	'NoProvisionerMatch',
	'OtherNamespace',
	'NoStorageClass',
	'CsiCloneUnsuitable',
	'SourceOnOtherNode',
	'CloneStrategy',
	'GaveUp',
] as const;
export type DeclineCode = (typeof declineCodes)[number];

/** Why a way was not taken, and what would make it possible. */
export interface Declined {
	readonly way: CloneWay;
	readonly code: DeclineCode;
	readonly message: string;
}

/** A way that this clone tried in vain. */
export interface GivenUpWay {
	readonly way: CloneWay;
	/** gRPC's, or what ran out. */
	readonly code: string;
	readonly message: string;
}

export interface CloneDecision {
	readonly way: CloneWay;
	readonly route: CloneRoute;
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
	/** Whether the claim names a class, without which the provisioner does not clone it. */
	readonly sourceHasClass: boolean;
	readonly sameNamespace: boolean;
	/** Whether any class has the source's driver: a restore that is made to be copied from needs one. */
	readonly sourceRestorable: boolean;
	readonly targetProvisioner: string;
	/** Whether a CSIDriver object of the provisioner's name exists. */
	readonly targetIsCsi: boolean;
	/** No volume can be moved to the target: what its claim is not made from, a Pod has to copy into it. */
	readonly targetInPlace: boolean;
	readonly targetVolumeMode: VolumeMode;
	readonly targetRequestBytes: bigint;
	readonly targetExpandable: boolean;
	/** The claim is placed where its consumer will be, which nobody knows yet. */
	readonly targetWaitsForConsumer: boolean;
	readonly equalSizeRestore: boolean;
	readonly equalSizeCsiClone: boolean;
	readonly nodeLocal: boolean;
	readonly csiClone: CsiClone;
	/** Whether the API server has VolumeSnapshots at all. */
	readonly snapshotsServed: boolean;
	/** The class that the shared snapshot is cut with; needed for a claim as source. */
	readonly snapshotClass: string | undefined;
	/** What somebody asks for: in CDI, in the profile of the target's class, or on that class. */
	readonly wish: {readonly strategy: CloneWay; readonly saidBy: string} | undefined;
	readonly givenUp: readonly GivenUpWay[];
	/** The way that something has been made for. */
	readonly kept: CloneWay | undefined;
}

type Reason = Omit<Declined, 'way'>;

const givenUpWay = ({givenUp}: CloneFacts, wanted: CloneWay) => givenUp.find(({way}) => way === wanted);

function givenUpReasons(facts: CloneFacts, way: CloneWay): Reason[] {
	const found = givenUpWay(facts, way);
	return found ? [{code: 'GaveUp', message: `Tried in vain (${found.code}): ${found.message}`}] : [];
}

/** Of claims: whoever names a snapshot has chosen, in CDI too. */
function againstWish({wish, sourceKind}: CloneFacts): Reason[] {
	return wish?.strategy === 'copy' && sourceKind === 'pvc'
		? [{code: 'CloneStrategy', message: `${wish.saidBy} asks for copies`}]
		: [];
}

/** What stands between two volumes of which one is made by the driver from the other. */
function againstAnyDriver(facts: CloneFacts): Reason[] {
	const reasons: Reason[] = [];
	if (!facts.targetIsCsi) {
		reasons.push({
			code: 'NoPopulator',
			message: `In tree storage class does not support snapshot/clone: the provisioner ${facts.targetProvisioner} has no CSIDriver object, use a CSI storage class`,
		});
	}
	if (facts.sourceDriver === undefined) {
		reasons.push({code: 'SourceNotCsi', message: 'The source is not a CSI volume'});
	} else if (facts.sourceDriver !== facts.targetProvisioner) {
		reasons.push({
			code: facts.sourceKind === 'snapshot' ? 'NoProvisionerMatch' : 'IncompatibleProvisioners',
			message: `Source and target are of different drivers (${facts.sourceDriver}, ${facts.targetProvisioner}): use a class of the source's driver`,
		});
	}
	return reasons;
}

function againstShape(facts: CloneFacts, equalSize: boolean): Reason[] {
	const reasons: Reason[] = [];
	if (facts.sourceVolumeMode !== facts.targetVolumeMode) {
		reasons.push({
			code: 'IncompatibleVolumeModes',
			message: `Source is ${facts.sourceVolumeMode}, target ${facts.targetVolumeMode}: the blocks of one are not those of the other`,
		});
	}
	if (equalSize && facts.targetRequestBytes > facts.sourceCapacityBytes && !facts.targetExpandable) {
		reasons.push({
			code: 'NoVolumeExpansion',
			message:
				'The driver makes it at the size of the source only, and the storage class does not allow volume expansion',
		});
	}
	return reasons;
}

function againstSnapshots({snapshotsServed}: CloneFacts): Reason[] {
	if (snapshotsServed) return [];
	const message = 'The cluster does not serve VolumeSnapshots: install the CRDs of external-snapshotter';
	return [{code: 'SnapshotsNotServed', message}];
}

function againstCut({sourceKind, sourceDriver, snapshotClass}: CloneFacts): Reason[] {
	if (sourceKind === 'snapshot' || sourceDriver === undefined || snapshotClass !== undefined) return [];
	return [
		{code: 'NoVolumeSnapshotClass', message: `No VolumeSnapshotClass has the driver ${sourceDriver}: create one`},
	];
}

/** Restored somewhere else, where the snapshot is or when the consumer has its node, a volume would have to be moved. */
function againstMove(facts: CloneFacts): Reason[] {
	const wouldMove =
		(facts.sourceKind === 'snapshot' && !facts.sameNamespace) || (facts.nodeLocal && facts.targetWaitsForConsumer);
	if (!facts.targetInPlace || !facts.targetIsCsi || !wouldMove) return [];
	return [
		{
			code: 'NoPopulator',
			message:
				'It would be restored elsewhere and moved, and the annotation storage.usePopulator is "false": remove it',
		},
	];
}

/** All of them: a person who mends one wants to know the next. */
function againstRestore(facts: CloneFacts): Reason[] {
	return [
		...givenUpReasons(facts, 'snapshot'),
		...againstWish(facts),
		...againstSnapshots(facts),
		...againstAnyDriver(facts),
		...againstMove(facts),
		...againstCut(facts),
		...againstShape(facts, facts.equalSizeRestore),
	];
}

function againstCsiClone(facts: CloneFacts): Reason[] {
	const reasons = [...givenUpReasons(facts, 'csi-clone'), ...againstWish(facts), ...againstAnyDriver(facts)];
	if (!facts.sameNamespace) {
		reasons.push({code: 'OtherNamespace', message: 'A driver clones claims of the same namespace only'});
	}
	if (!facts.sourceHasClass) {
		reasons.push({
			code: 'NoStorageClass',
			message: 'The source claim names no storage class, which the provisioner asks for',
		});
	}
	const isUnwanted = facts.csiClone === 'never' && facts.wish?.strategy !== 'csi-clone';
	if (isUnwanted || facts.nodeLocal) {
		reasons.push({
			code: 'CsiCloneUnsuitable',
			message: `Clones of claims do not suit the driver ${facts.sourceDriver}: annotation onesnap.io/csi-clone of the storage class overrides that`,
		});
	}
	return [...reasons, ...againstShape(facts, facts.equalSizeRestore || facts.equalSizeCsiClone)];
}

/** A copy reads from a snapshot wherever there can be one: nobody need stop writing, and no writer can tear it. */
function copyRoute(facts: CloneFacts): CloneRoute {
	if (facts.sourceKind === 'snapshot') return 'copySnapshot';
	const against = [...againstSnapshots(facts), ...againstCut(facts)];
	const possible = against.length === 0 && facts.sourceDriver !== undefined && facts.sourceRestorable;
	const triedInVain = givenUpWay(facts, 'snapshot') ?? givenUpWay(facts, 'copy');
	// Who wants copies wants no snapshots; what was begun goes on.
	const unwanted = facts.wish?.strategy === 'copy' && facts.kept !== 'copy';
	return possible && !triedInVain && !unwanted ? 'copySnapshot' : 'copyClaim';
}

/** @param restorable nothing is against a restore, if it is done on the right node. */
function routeOf(facts: CloneFacts, way: CloneWay, restorable: boolean): CloneRoute {
	const isOpen = restorable && facts.nodeLocal && facts.targetWaitsForConsumer;
	switch (way) {
		case 'snapshot':
			return isOpen ? 'restoreOrCopy' : 'restore';
		case 'csi-clone':
			return 'csiClone';
		case 'copy': {
			const route = copyRoute(facts);
			return route === 'copySnapshot' && isOpen ? 'restoreOrCopy' : route;
		}
		default:
			return way satisfies never;
	}
}

export function chooseWay(facts: CloneFacts): CloneDecision {
	const against: Readonly<Record<CloneWay, readonly Reason[]>> = {
		snapshot: againstRestore(facts),
		'csi-clone': facts.sourceKind === 'pvc' ? againstCsiClone(facts) : [],
		copy: [],
	};
	const byDriver: readonly CloneWay[] = facts.sourceKind === 'pvc' ? ['csi-clone'] : [];
	const wish = facts.wish?.strategy;
	const driverFirst = wish === 'csi-clone' || (wish !== 'snapshot' && facts.csiClone === 'first');
	const order: readonly CloneWay[] = driverFirst
		? [...byDriver, 'snapshot', 'copy']
		: ['snapshot', ...byDriver, 'copy'];
	const kept = facts.kept && !givenUpWay(facts, facts.kept) ? facts.kept : undefined;
	const way = kept ?? order.find((candidate) => against[candidate].length === 0) ?? 'copy';
	const route = routeOf(facts, way, against.snapshot.length === 0);
	if (route === 'restoreOrCopy') return {way, route, declined: []};
	// Each reason once, although it may stand against two ways.
	const told = new Set<DeclineCode>();
	const declined = order.slice(0, order.indexOf(way)).flatMap((before) =>
		against[before].flatMap((reason): Declined[] => {
			if (reason.code !== 'GaveUp' && told.has(reason.code)) return [];
			told.add(reason.code);
			return [{way: before, ...reason}];
		}),
	);
	return {way, route, declined};
}

/** Of node-local storage, known only when the consumer has its node. */
export const sourceOnOtherNode: Declined = {
	way: 'snapshot',
	code: 'SourceOnOtherNode',
	message:
		'The storage is local to a node, and the consumer is on another one than the source: use it on the node of the source',
};

/** What would make a way possible that was declined for this reason. */
export const remedies: Readonly<Record<DeclineCode, string>> = {
	SnapshotsNotServed: 'external-snapshotter: its CRDs, its controller, and its sidecar beside the storage driver',
	SourceNotCsi: 'a golden claim on a CSI storage class',
	NoPopulator: 'a storage class of a CSI driver for the clone',
	IncompatibleProvisioners: "a storage class of the source's driver for the clone",
	NoVolumeSnapshotClass: "a VolumeSnapshotClass with the source's driver",
	IncompatibleVolumeModes: 'the same volumeMode as the source',
	NoVolumeExpansion: "allowVolumeExpansion: true on the storage class, or the source's size for the clone",
	NoProvisionerMatch: "a storage class of the snapshot's driver for the clone",
	OtherNamespace: 'the source in the namespace of the clone; a snapshot can be shared across namespaces',
	NoStorageClass: 'a golden claim that names its storage class',
	CsiCloneUnsuitable:
		'the annotation onesnap.io/csi-clone: fallback on the storage class, where the driver does it well',
	SourceOnOtherNode: 'a consumer on the node of the source',
	CloneStrategy: 'another clone strategy, or none, where copy is asked for',
	GaveUp: 'a new DataVolume, once the cause is mended: this one does not try it again',
};

/** One line for an annotation or an event: `Code: message; Code: message`. */
export function describeDeclined(declined: readonly Declined[]): string {
	return declined.map(({code, message}) => `${code}: ${message}`).join('; ');
}

export interface DeclinedReason {
	readonly code: DeclineCode;
	readonly message: string;
}

/** What {@link describeDeclined} wrote. Users can write there too: what begins with no code is left out. */
export function parseDeclined(text: string): readonly DeclinedReason[] {
	const pattern = new RegExp(`(?:^|; )(${declineCodes.join('|')}): (.*?)(?=; (?:${declineCodes.join('|')}): |$)`, 'gs');
	return [...text.matchAll(pattern)].flatMap(([, written, message = '']): DeclinedReason[] => {
		const code = declineCodes.find((each) => each === written);
		return code ? [{code, message}] : [];
	});
}
