import {CsiError} from './errors.ts';
import type {Pool, VolumeRecord} from './pool.ts';

/** A field that CSI calls REQUIRED. In proto3 an unset string is an empty one. */
export function required(value: string | undefined, field: string): string {
	if (value) return value;
	throw new CsiError('INVALID_ARGUMENT', `${field} is missing`);
}

/** The volume a request is about, or NOT_FOUND. */
export async function existingVolume(pool: Pool, volumeId: string): Promise<VolumeRecord> {
	const volume = await pool.volumes.read(volumeId);
	if (volume) return volume;
	throw new CsiError('NOT_FOUND', `there is no volume ${volumeId}`);
}
