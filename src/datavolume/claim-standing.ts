/**
 * How a claim of a DataVolume's name stands to it. Pure. What was made for this very DataVolume is its disk in the making;
 * everything else that is its disk was made by somebody else, and is never filled, grown or given up.
 */
import type {DataVolume} from '../api/datavolume.ts';
import type {OwnerReference, PersistentVolumeClaim} from '../api/kubernetes.ts';
import {annotations, labels} from '../api/names.ts';

export type ClaimStanding =
	/** Made by us for this very DataVolume; also where somebody has taken the owner reference away since. */
	| 'own'
	/** Of somebody else's making, and this DataVolume's now. */
	| 'adopted'
	/** Nobody's, and the DataVolume may take it over. */
	| 'adoptable'
	/** Of an earlier DataVolume of this name, and goes with it. */
	| 'predecessors'
	| 'foreign';

/** Somebody else makes the claim and what is in it: a restore, a backup. Presence alone counts (CDI). */
export function isPrePopulated({metadata}: DataVolume): boolean {
	return metadata.annotations?.[annotations.prePopulated] !== undefined;
}

/** The claim says that it has the content of this DataVolume already. */
export function isPopulatedFor(claim: PersistentVolumeClaim, dataVolume: DataVolume): boolean {
	return claim.metadata.annotations?.[annotations.populatedFor] === dataVolume.metadata.name;
}

/** As Go's strconv.ParseBool takes them; whatever else there is means no. */
const yes: ReadonlySet<string> = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);

function mayAdopt({metadata}: DataVolume, byDefault: boolean): boolean {
	const said = metadata.annotations?.[annotations.allowClaimAdoption];
	return said === undefined ? byDefault : yes.has(said);
}

export function controllerOf({metadata}: PersistentVolumeClaim): OwnerReference | undefined {
	return metadata.ownerReferences?.find(({controller}) => controller === true);
}

export function isMadeFor({metadata}: PersistentVolumeClaim, {metadata: {uid}}: DataVolume): boolean {
	return uid !== undefined && metadata.annotations?.[annotations.createdForDataVolume] === uid;
}

/** @param adoptsByDefault CDI's feature gate DataVolumeClaimAdoption; the DataVolume's annotation overrides it both ways. */
export function standingOf(
	claim: PersistentVolumeClaim,
	dataVolume: DataVolume,
	adoptsByDefault: boolean,
): ClaimStanding {
	const controller = controllerOf(claim);
	if (controller?.uid === dataVolume.metadata.uid) return isMadeFor(claim, dataVolume) ? 'own' : 'adopted';
	if (controller) {
		const {kind, name} = controller;
		return kind === 'DataVolume' && name === dataVolume.metadata.name ? 'predecessors' : 'foreign';
	}
	if (isMadeFor(claim, dataVolume)) return 'own';
	// A claim that another one is being filled from.
	if (claim.metadata.labels?.[labels.targetUid] !== undefined) return 'foreign';
	return isPopulatedFor(claim, dataVolume) || mayAdopt(dataVolume, adoptsByDefault) ? 'adoptable' : 'foreign';
}

/** What is in it is not ours to make: it is waited for until it is bound, and that is all. */
export function isLeftAlone(claim: PersistentVolumeClaim, dataVolume: DataVolume): boolean {
	return isPrePopulated(dataVolume) || isPopulatedFor(claim, dataVolume) || !isMadeFor(claim, dataVolume);
}
