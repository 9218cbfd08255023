/**
 * The CSI messages this driver reads and writes, as proto-loader hands them over: fields named as in csi.proto, unset fields
 * absent, enums by name, int64 as number (a volume stays far below 2^53 bytes).
 */
export type AccessMode =
	| 'UNKNOWN'
	| 'SINGLE_NODE_WRITER'
	| 'SINGLE_NODE_READER_ONLY'
	| 'MULTI_NODE_READER_ONLY'
	| 'MULTI_NODE_SINGLE_WRITER'
	| 'MULTI_NODE_MULTI_WRITER'
	| 'SINGLE_NODE_SINGLE_WRITER'
	| 'SINGLE_NODE_MULTI_WRITER';

export type VolumeCapability = {
	readonly block?: Readonly<Record<string, never>>;
	readonly mount?: {readonly fs_type?: string; readonly mount_flags?: readonly string[]};
	readonly access_mode?: {readonly mode?: AccessMode};
};

export type CapacityRange = {readonly required_bytes?: number; readonly limit_bytes?: number};

export type VolumeContentSource = {
	readonly snapshot?: {readonly snapshot_id?: string};
	readonly volume?: {readonly volume_id?: string};
};

/** A place, as values of keys that the driver chose: a node is in one, a volume is accessible from some. */
export type Topology = {readonly segments?: Readonly<Record<string, string>>};

export type TopologyRequirement = {
	/** The volume has to be accessible from at least one of these. */
	readonly requisite?: readonly Topology[];
	/** In this order, the best first. */
	readonly preferred?: readonly Topology[];
};

export type Volume = {
	readonly volume_id: string;
	readonly capacity_bytes: number;
	readonly content_source?: VolumeContentSource;
	/** Absent: from everywhere. */
	readonly accessible_topology?: readonly Topology[];
};

export type Snapshot = {
	readonly snapshot_id: string;
	readonly source_volume_id: string;
	readonly size_bytes: number;
	readonly creation_time: {readonly seconds: number; readonly nanos: number};
	readonly ready_to_use: boolean;
};

export type CreateVolumeRequest = {
	readonly name?: string;
	readonly capacity_range?: CapacityRange;
	readonly volume_capabilities?: readonly VolumeCapability[];
	readonly volume_content_source?: VolumeContentSource;
	readonly accessibility_requirements?: TopologyRequirement;
};

export type ValidateVolumeCapabilitiesRequest = {
	readonly volume_id?: string;
	readonly volume_context?: Readonly<Record<string, string>>;
	readonly volume_capabilities?: readonly VolumeCapability[];
	readonly parameters?: Readonly<Record<string, string>>;
};

export type ControllerExpandVolumeRequest = {
	readonly volume_id?: string;
	readonly capacity_range?: CapacityRange;
	readonly volume_capability?: VolumeCapability;
};

export type ListRequest = {readonly max_entries?: number; readonly starting_token?: string};

export type ListSnapshotsRequest = ListRequest & {
	readonly source_volume_id?: string;
	readonly snapshot_id?: string;
};

export type CreateSnapshotRequest = {readonly source_volume_id?: string; readonly name?: string};

export type VolumeRequest = {readonly volume_id?: string};

export type SnapshotRequest = {readonly snapshot_id?: string};

export type NodeStageVolumeRequest = VolumeRequest & {
	readonly staging_target_path?: string;
	readonly volume_capability?: VolumeCapability;
};

export type NodePublishVolumeRequest = NodeStageVolumeRequest & {
	readonly target_path?: string;
	readonly readonly?: boolean;
};

export type NodePathRequest = VolumeRequest & {
	readonly staging_target_path?: string;
	readonly target_path?: string;
	readonly volume_path?: string;
};

export type VolumeUsage = {
	readonly unit: 'BYTES' | 'INODES';
	readonly total: number;
	readonly available?: number;
	readonly used?: number;
};
