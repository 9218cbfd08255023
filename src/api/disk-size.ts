/**
 * How large the disk.img of a Filesystem claim is, remembered on the claim under the keys that CDI has for it. Of a clone whose
 * size is not given it is what the clone must hold.
 */
import type {PersistentVolumeClaim} from './kubernetes.ts';
import {annotations} from './names.ts';
import {sameQuantity} from './quantity.ts';

/** Whether its content is a disk image in a file; a claim that says nothing of its content holds a disk. */
export function mayHoldDiskImage({metadata, spec}: PersistentVolumeClaim): boolean {
	const contentType = metadata.annotations?.[annotations.contentType] ?? 'kubevirt';
	return spec.volumeMode !== 'Block' && (contentType === 'kubevirt' || contentType === '');
}

/**
 * In bytes; 0 where somebody looked and there is no disk.img. Undefined where nobody knows, or where the claim has another
 * capacity by now: whoever uses the disk grows it with its claim.
 */
export function rememberedDiskBytes({metadata, status}: PersistentVolumeClaim): bigint | undefined {
	const {[annotations.virtualSize]: size, [annotations.sourceCapacity]: capacity} = metadata.annotations ?? {};
	if (size === undefined || !/^\d{1,18}$/.test(size)) return undefined;
	const isStill = capacity !== undefined && sameQuantity(capacity, status?.capacity?.['storage']);
	return isStill ? BigInt(size) : undefined;
}

/** @param capacity of the claim when it had that size, as a quantity */
export function diskSizeAnnotations(bytes: bigint, capacity: string): Readonly<Record<string, string>> {
	return {[annotations.virtualSize]: bytes.toString(), [annotations.sourceCapacity]: capacity};
}
