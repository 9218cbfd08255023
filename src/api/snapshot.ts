/** snapshot.storage.k8s.io/v1, only the fields that onesnap reads or writes. */
import type {KubeObject} from './kubernetes.ts';

export interface VolumeSnapshot extends KubeObject {
	readonly spec: {
		/** Exactly one of the two; immutable. */
		readonly source: {
			readonly persistentVolumeClaimName?: string;
			readonly volumeSnapshotContentName?: string;
		};
		readonly volumeSnapshotClassName?: string;
	};
	readonly status?: {
		readonly boundVolumeSnapshotContentName?: string;
		readonly creationTime?: string;
		/** Absent is not false. */
		readonly readyToUse?: boolean;
		/** May be absent, zero, or smaller than the volume: never a size to rely on alone. */
		readonly restoreSize?: string;
		/** Not terminal: the sidecar retries. */
		readonly error?: {readonly message?: string; readonly time?: string};
	};
}

export interface VolumeSnapshotContent extends KubeObject {
	readonly spec: {
		readonly driver: string;
		readonly deletionPolicy: 'Delete' | 'Retain';
		readonly source: {readonly volumeHandle?: string; readonly snapshotHandle?: string};
		readonly volumeSnapshotClassName?: string;
		readonly sourceVolumeMode?: string;
		readonly volumeSnapshotRef: {
			readonly apiVersion?: string;
			readonly kind?: string;
			readonly namespace?: string;
			readonly name?: string;
			readonly uid?: string;
		};
	};
	readonly status?: {
		readonly snapshotHandle?: string;
		readonly readyToUse?: boolean;
		readonly restoreSize?: number;
		readonly error?: {readonly message?: string};
	};
}

export interface VolumeSnapshotClass extends KubeObject {
	readonly driver: string;
	readonly deletionPolicy: 'Delete' | 'Retain';
	readonly parameters?: Readonly<Record<string, string>>;
}

/** The annotation that makes a VolumeSnapshotClass its driver's default. */
export const defaultSnapshotClassAnnotation = 'snapshot.storage.kubernetes.io/is-default-class';
