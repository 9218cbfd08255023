/**
 * Claims that are filled in place. A provisioner that is no CSI driver knows nothing of `dataSourceRef`: it cannot be told to
 * wait until a volume is moved to the claim, which binds to an empty one at once. There a worker Pod fills the claim itself,
 * and being Bound means nothing: whoever has the claim made must keep others from it until it is marked as populated.
 *
 * That it is filled so is written on the claim when it is made, and never concluded from its class afterwards: a CSIDriver
 * object may be gone for a moment while a driver is upgraded, and a worker clears the volume that it is given.
 */
import type {PersistentVolumeClaim} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';

export interface FillFrom {
	readonly kind: string;
	readonly name: string;
}

/** The object that tells what the claim is filled with; undefined where it is not filled in place. */
export function fillFromOf({metadata, spec}: PersistentVolumeClaim): FillFrom | undefined {
	const [kind, name] = metadata.annotations?.[annotations.fillFrom]?.split('/', 2) ?? [];
	if (!kind || !name || spec.dataSource || spec.dataSourceRef) return undefined;
	return {kind, name};
}

export function fillFrom({kind, name}: FillFrom): Readonly<Record<string, string>> {
	return {[annotations.fillFrom]: `${kind}/${name}`};
}

/** Of a prime claim as well: its content is complete, whatever became of the Pod that filled it. */
export function isPopulated({metadata}: PersistentVolumeClaim): boolean {
	return metadata.annotations?.[annotations.populated] === 'true';
}

/** Though it may be Bound, nobody should see it yet. */
export function isBeingFilled(claim: PersistentVolumeClaim): boolean {
	return fillFromOf(claim) !== undefined && !isPopulated(claim);
}
