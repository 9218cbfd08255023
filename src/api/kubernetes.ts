/**
 * Kubernetes objects as plain JSON, only the fields that onesnap reads or writes. Shapes as served by the API server:
 * timestamps are RFC 3339 strings, quantities are strings, absent is absent.
 */

export interface OwnerReference {
	readonly apiVersion: string;
	readonly kind: string;
	readonly name: string;
	readonly uid: string;
	readonly controller?: boolean;
	readonly blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
	readonly name: string;
	readonly namespace?: string;
	/** Set by the API server; absent on an object that is yet to be created. */
	readonly uid?: string;
	readonly resourceVersion?: string;
	readonly generation?: number;
	readonly creationTimestamp?: string;
	readonly deletionTimestamp?: string;
	readonly labels?: Readonly<Record<string, string>>;
	readonly annotations?: Readonly<Record<string, string>>;
	readonly finalizers?: readonly string[];
	readonly ownerReferences?: readonly OwnerReference[];
	readonly generateName?: string;
}

export interface KubeObject {
	readonly apiVersion: string;
	readonly kind: string;
	readonly metadata: ObjectMeta;
}

/** metav1.Status as the body of an error answer. */
export interface Status {
	readonly kind: 'Status';
	readonly code?: number;
	readonly reason?: string;
	readonly message?: string;
	readonly details?: {
		readonly causes?: readonly {readonly reason?: string; readonly message?: string; readonly field?: string}[];
		readonly retryAfterSeconds?: number;
	};
}

export type VolumeMode = 'Filesystem' | 'Block';
export type AccessMode = 'ReadWriteOnce' | 'ReadOnlyMany' | 'ReadWriteMany' | 'ReadWriteOncePod';

export interface TypedObjectReference {
	readonly apiGroup?: string;
	readonly kind: string;
	readonly name: string;
	readonly namespace?: string;
}

export interface PersistentVolumeClaimSpec {
	readonly accessModes?: readonly AccessMode[];
	readonly volumeMode?: VolumeMode;
	readonly storageClassName?: string;
	readonly volumeAttributesClassName?: string;
	readonly volumeName?: string;
	readonly selector?: unknown;
	readonly resources?: {
		readonly requests?: Readonly<Record<string, string>>;
		readonly limits?: Readonly<Record<string, string>>;
	};
	readonly dataSource?: TypedObjectReference;
	readonly dataSourceRef?: TypedObjectReference;
}

export interface PersistentVolumeClaim extends KubeObject {
	readonly spec: PersistentVolumeClaimSpec;
	readonly status?: {
		readonly phase?: 'Pending' | 'Bound' | 'Lost';
		readonly accessModes?: readonly AccessMode[];
		readonly capacity?: Readonly<Record<string, string>>;
		readonly conditions?: readonly {readonly type: string; readonly status: string; readonly message?: string}[];
	};
}

export interface NodeSelectorTerm {
	readonly matchExpressions?: readonly {
		readonly key: string;
		readonly operator: string;
		readonly values?: readonly string[];
	}[];
	readonly matchFields?: readonly {
		readonly key: string;
		readonly operator: string;
		readonly values?: readonly string[];
	}[];
}

export interface PersistentVolume extends KubeObject {
	readonly spec: {
		readonly capacity?: Readonly<Record<string, string>>;
		readonly volumeMode?: VolumeMode;
		readonly accessModes?: readonly AccessMode[];
		readonly storageClassName?: string;
		readonly persistentVolumeReclaimPolicy?: 'Delete' | 'Retain' | 'Recycle';
		readonly claimRef?: {
			readonly kind?: string;
			readonly apiVersion?: string;
			readonly namespace?: string;
			readonly name?: string;
			readonly uid?: string;
			readonly resourceVersion?: string;
		};
		readonly hostPath?: {readonly path: string};
		readonly csi?: {readonly driver: string; readonly volumeHandle: string};
		readonly nodeAffinity?: {readonly required?: {readonly nodeSelectorTerms: readonly NodeSelectorTerm[]}};
	};
	readonly status?: {readonly phase?: string};
}

export interface StorageClass extends KubeObject {
	readonly provisioner: string;
	readonly parameters?: Readonly<Record<string, string>>;
	readonly reclaimPolicy?: string;
	readonly volumeBindingMode?: 'Immediate' | 'WaitForFirstConsumer';
	readonly allowVolumeExpansion?: boolean;
}

/** storage.k8s.io/v1 CSIDriver: its presence says that a provisioner is a CSI driver. */
export interface CsiDriver extends KubeObject {
	readonly spec?: {readonly attachRequired?: boolean};
}

export interface CsiNode extends KubeObject {
	readonly spec: {readonly drivers?: readonly {readonly name: string; readonly nodeID: string}[]};
}

export interface Node extends KubeObject {
	readonly spec?: {
		readonly unschedulable?: boolean;
		readonly taints?: readonly {readonly key: string; readonly effect: string}[];
	};
	readonly status?: {readonly conditions?: readonly {readonly type: string; readonly status: string}[]};
}

export interface ContainerState {
	readonly waiting?: {readonly reason?: string; readonly message?: string};
	readonly running?: {readonly startedAt?: string};
	readonly terminated?: {
		readonly exitCode: number;
		readonly reason?: string;
		readonly message?: string;
		readonly finishedAt?: string;
	};
}

export interface ContainerStatus {
	readonly name: string;
	readonly ready?: boolean;
	readonly restartCount?: number;
	readonly state?: ContainerState;
	readonly lastState?: ContainerState;
}

export interface PodVolume {
	readonly name: string;
	readonly persistentVolumeClaim?: {readonly claimName: string; readonly readOnly?: boolean};
	readonly secret?: {readonly secretName: string; readonly optional?: boolean};
	readonly configMap?: {readonly name: string; readonly optional?: boolean};
	readonly emptyDir?: {readonly medium?: string; readonly sizeLimit?: string};
	readonly ephemeral?: unknown;
}

export interface Container {
	readonly name: string;
	readonly image: string;
	readonly imagePullPolicy?: string;
	readonly command?: readonly string[];
	readonly args?: readonly string[];
	readonly env?: readonly {readonly name: string; readonly value?: string}[];
	readonly ports?: readonly {readonly name?: string; readonly containerPort: number; readonly protocol?: string}[];
	readonly resources?: {
		readonly requests?: Readonly<Record<string, string>>;
		readonly limits?: Readonly<Record<string, string>>;
	};
	readonly volumeMounts?: readonly {readonly name: string; readonly mountPath: string; readonly readOnly?: boolean}[];
	readonly volumeDevices?: readonly {readonly name: string; readonly devicePath: string}[];
	readonly securityContext?: unknown;
	readonly terminationMessagePath?: string;
	readonly terminationMessagePolicy?: string;
}

export interface Pod extends KubeObject {
	readonly spec: {
		readonly containers: readonly Container[];
		readonly initContainers?: readonly Container[];
		readonly ephemeralContainers?: readonly Pick<Container, 'volumeMounts' | 'volumeDevices'>[];
		readonly volumes?: readonly PodVolume[];
		readonly nodeName?: string;
		readonly restartPolicy?: string;
		readonly priorityClassName?: string;
		readonly serviceAccountName?: string;
		readonly automountServiceAccountToken?: boolean;
		readonly enableServiceLinks?: boolean;
		readonly securityContext?: unknown;
		readonly affinity?: unknown;
		readonly nodeSelector?: Readonly<Record<string, string>>;
		readonly tolerations?: readonly unknown[];
		readonly terminationGracePeriodSeconds?: number;
		readonly imagePullSecrets?: readonly {readonly name: string}[];
	};
	readonly status?: {
		readonly phase?: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
		readonly reason?: string;
		readonly message?: string;
		readonly podIP?: string;
		readonly conditions?: readonly {
			readonly type: string;
			readonly status: string;
			readonly reason?: string;
			readonly message?: string;
		}[];
		readonly containerStatuses?: readonly ContainerStatus[];
	};
}
