/** Which VolumeSnapshotClass to cut with. CDI's order: the driver's default class, else the first by name. */
import {defaultSnapshotClassAnnotation, type VolumeSnapshotClass} from '../api/snapshot.ts';

export function chooseSnapshotClass(
	classes: readonly VolumeSnapshotClass[],
	driver: string | undefined,
): VolumeSnapshotClass | undefined {
	const ofDriver = classes
		.filter((candidate) => candidate.driver === driver)
		.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
	return (
		ofDriver.find((candidate) => candidate.metadata.annotations?.[defaultSnapshotClassAnnotation] === 'true') ??
		ofDriver[0]
	);
}
