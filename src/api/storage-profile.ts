/** StorageProfile, cdi.kubevirt.io/v1beta1: what claims of a StorageClass should look like. Named as its class. */
import type {Condition} from './conditions.ts';
import type {AccessMode, KubeObject, VolumeMode} from './kubernetes.ts';

/** Ways of a clone, as CDI spells them. */
const cloneStrategies = ['snapshot', 'csi-clone', 'copy'] as const;
export type CloneStrategy = (typeof cloneStrategies)[number];

/** Undefined for anything else: the schema takes any text. */
export function parseCloneStrategy(text: string | undefined): CloneStrategy | undefined {
	return cloneStrategies.find((strategy) => strategy === text);
}

export interface ClaimPropertySet {
	readonly accessModes: readonly AccessMode[];
	readonly volumeMode: VolumeMode;
}

/** What the admin says. Nothing here is ever written by us. */
export interface StorageProfileSpec {
	/** In order of preference; in place of what is known of the provisioner. */
	readonly claimPropertySets?: readonly ClaimPropertySet[];
	readonly cloneStrategy?: string;
	readonly dataImportCronSourceFormat?: string;
	/** VolumeSnapshotClass of the class's driver. */
	readonly snapshotClass?: string;
}

/** What follows from spec, class and what is known of the provisioner. */
export interface StorageProfileStatus {
	readonly storageClass?: string;
	readonly provisioner?: string;
	readonly claimPropertySets?: readonly ClaimPropertySet[];
	readonly cloneStrategy?: CloneStrategy;
	readonly dataImportCronSourceFormat?: 'pvc' | 'snapshot';
	/** Always one that exists. */
	readonly snapshotClass?: string;
	readonly conditions?: readonly Condition[];
}

export interface StorageProfile extends KubeObject {
	readonly spec: StorageProfileSpec;
	readonly status?: StorageProfileStatus;
}
