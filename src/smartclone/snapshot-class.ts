/**
 * Which VolumeSnapshotClass to cut with. CDI's order: the one that the StorageProfile names, the driver's default class, else
 * the first by name.
 */
import {defaultSnapshotClassAnnotation, type VolumeSnapshotClass} from '../api/snapshot.ts';

/** @param wished counts only where there is such a class, of this driver */
export function chooseSnapshotClass(
	classes: readonly VolumeSnapshotClass[],
	driver: string | undefined,
	wished?: string,
): VolumeSnapshotClass | undefined {
	const ofDriver = classes
		.filter((candidate) => candidate.driver === driver)
		.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
	return (
		ofDriver.find(({metadata}) => metadata.name === wished) ??
		ofDriver.find((candidate) => candidate.metadata.annotations?.[defaultSnapshotClassAnnotation] === 'true') ??
		ofDriver[0]
	);
}
