/** CDI and CDIConfig, cdi.kubevirt.io/v1beta1: settings for the whole cluster, as far as they mean something here. */
import type {CloneStrategy} from './storage-profile.ts';
import type {Condition} from './conditions.ts';
import type {KubeObject} from './kubernetes.ts';

/** CDI's spelling: fields of proxies begin with capitals. URLs may have passwords in them, and everybody may read them. */
export interface ImportProxyConfig {
	readonly HTTPProxy?: string;
	readonly HTTPSProxy?: string;
	readonly noProxy?: string;
	/** ConfigMap in the controller's namespace with PEM certificates, under any key. */
	readonly trustedCAProxy?: string;
}

/** Shares from 0 to 1 with up to three digits, as text. */
export interface FilesystemOverhead {
	readonly global?: string;
	/** By name of the StorageClass. */
	readonly storageClass?: Readonly<Record<string, string>>;
}

/** Quantities; the schema takes bare numbers as well. */
export interface ResourceRequirements {
	readonly requests?: Readonly<Record<string, string | number>>;
	readonly limits?: Readonly<Record<string, string | number>>;
}

export interface CdiConfigSpec {
	readonly importProxy?: ImportProxyConfig;
	readonly scratchSpaceStorageClass?: string;
	readonly podResourceRequirements?: ResourceRequirements;
	readonly featureGates?: readonly string[];
	readonly filesystemOverhead?: FilesystemOverhead;
	readonly preallocation?: boolean;
	readonly imagePullSecrets?: readonly {readonly name?: string}[];
	/** What else a client wrote: kept and passed on, of no effect. */
	readonly [field: string]: unknown;
}

export interface CdiConfigStatus {
	readonly importProxy?: ImportProxyConfig;
	/** Empty where the class that is asked for does not exist. */
	readonly scratchSpaceStorageClass?: string;
	readonly defaultPodResourceRequirements?: ResourceRequirements;
	readonly filesystemOverhead?: FilesystemOverhead;
	readonly preallocation?: boolean;
	readonly imagePullSecrets?: readonly {readonly name?: string}[];
}

/** There is one, named {@link configName}. Without a status subresource: its status is written with the object. */
export interface CdiConfig extends KubeObject {
	readonly spec: CdiConfigSpec;
	readonly status?: CdiConfigStatus;
}

export const configName = 'config';

/** Where Pods may run: as in a Pod's spec. */
export interface NodePlacement {
	readonly nodeSelector?: Readonly<Record<string, string>>;
	readonly affinity?: {
		readonly nodeAffinity?: {
			readonly requiredDuringSchedulingIgnoredDuringExecution?: {
				readonly nodeSelectorTerms: readonly {
					readonly matchExpressions?: readonly unknown[];
					readonly matchFields?: readonly unknown[];
				}[];
			};
			readonly preferredDuringSchedulingIgnoredDuringExecution?: readonly unknown[];
		};
		readonly podAffinity?: unknown;
		readonly podAntiAffinity?: unknown;
	};
	readonly tolerations?: readonly unknown[];
}

export interface CdiSpec {
	readonly config?: CdiConfigSpec;
	/** Of worker Pods. */
	readonly workload?: NodePlacement;
	readonly cloneStrategyOverride?: CloneStrategy;
	readonly [field: string]: unknown;
}

export interface CdiStatus {
	readonly phase?: string;
	readonly conditions?: readonly Condition[];
	readonly operatorVersion?: string;
	readonly targetVersion?: string;
	readonly observedVersion?: string;
}

/** Cluster-scoped, of any name. KubeVirt believes CDIConfig only where there is exactly one. Without a status subresource. */
export interface Cdi extends KubeObject {
	readonly spec: CdiSpec;
	readonly status?: CdiStatus;
}
