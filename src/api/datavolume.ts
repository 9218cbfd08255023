/** DataVolume, cdi.kubevirt.io/v1beta1, as served by our CRD. */
import type {Condition} from './conditions.ts';
import type {
	AccessMode,
	KubeObject,
	PersistentVolumeClaimSpec,
	TypedObjectReference,
	VolumeMode,
} from './kubernetes.ts';

export interface HttpSource {
	readonly url: string;
	/** Secret with `accessKeyId` and `secretKey`. */
	readonly secretRef?: string;
	/** ConfigMap with PEM certificates of trusted authorities. */
	readonly certConfigMap?: string;
	readonly extraHeaders?: readonly string[];
	/** Secrets whose values are header lines. */
	readonly secretExtraHeaders?: readonly string[];
	/** `algorithm:hex`, over the bytes as transferred. */
	readonly checksum?: string;
	readonly insecureSkipVerify?: boolean;
}

export interface ObjectSource {
	readonly namespace: string;
	readonly name: string;
}

/** Every member of `spec.source`; the CRD lets exactly one be set. */
export interface DataVolumeSource {
	readonly http?: HttpSource;
	readonly blank?: object;
	readonly pvc?: ObjectSource;
	readonly snapshot?: ObjectSource;
	readonly s3?: object;
	readonly gcs?: object;
	readonly registry?: object;
	readonly imageio?: object;
	readonly vddk?: object;
	readonly upload?: object;
}

/** As a person wrote it: the schema takes a bare number as well. */
export interface DataVolumeResources {
	readonly requests?: Readonly<Record<string, string | number>>;
	readonly limits?: Readonly<Record<string, string>>;
}

/** `spec.pvc`: the claim as it is to be. */
export interface ClaimSpec extends Omit<PersistentVolumeClaimSpec, 'resources'> {
	readonly resources?: DataVolumeResources;
}

/** `spec.storage`: a claim whose missing parts are filled in from the storage class. */
export interface StorageSpec {
	readonly accessModes?: readonly AccessMode[];
	readonly volumeMode?: VolumeMode;
	readonly resources?: DataVolumeResources;
	readonly storageClassName?: string;
	readonly volumeName?: string;
	readonly selector?: unknown;
	readonly dataSource?: TypedObjectReference;
	readonly dataSourceRef?: TypedObjectReference;
}

export interface DataVolumeSpec {
	readonly source?: DataVolumeSource;
	readonly sourceRef?: {readonly kind: string; readonly name: string; readonly namespace?: string};
	readonly pvc?: ClaimSpec;
	readonly storage?: StorageSpec;
	readonly contentType?: 'kubevirt' | 'archive';
	readonly preallocation?: boolean;
	readonly priorityClassName?: string;
	readonly serviceAccountName?: string;
	readonly checkpoints?: readonly unknown[];
	readonly finalCheckpoint?: boolean;
}

/** CDI's phase strings that onesnap reports; clients compare them. */
export type DataVolumePhase =
	| ''
	| 'Pending'
	| 'PVCBound'
	| 'ImportScheduled'
	| 'ImportInProgress'
	| 'CloneScheduled'
	| 'CloneInProgress'
	| 'SnapshotForSmartCloneInProgress'
	| 'CloneFromSnapshotSourceInProgress'
	| 'PrepClaimInProgress'
	| 'RebindInProgress'
	| 'WaitForFirstConsumer'
	| 'PendingPopulation'
	| 'Succeeded'
	| 'Failed'
	| 'Unknown';

export interface DataVolumeStatus {
	readonly claimName?: string;
	readonly phase?: DataVolumePhase;
	/** `N/A` or `NN.NN%`; `100.0%` at the end. */
	readonly progress?: string;
	readonly restartCount?: number;
	readonly conditions?: readonly Condition[];
}

export interface DataVolume extends KubeObject {
	readonly spec: DataVolumeSpec;
	readonly status?: DataVolumeStatus;
}
