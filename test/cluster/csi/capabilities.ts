import {CsiError} from './errors.ts';
import type {VolumeCapability} from './messages.ts';

/** ext4 is made where nobody asks for something else. */
export const fsTypes = ['ext4', 'xfs'] as const;
export type FsType = (typeof fsTypes)[number];

export function isFsType(text: string | undefined): text is FsType {
	return fsTypes.some((fsType) => fsType === text);
}

/** What a stage or publish request is about, once its capability has been checked. */
export type Access = {readonly block: true} | MountAccess;
export type MountAccess = {readonly block: false; readonly fsType?: FsType; readonly mountFlags: readonly string[]};

/** A capability parsed, or INVALID_ARGUMENT saying what is wrong with it. */
export function parseCapability(capability: VolumeCapability | undefined): Access {
	if (!capability) throw new CsiError('INVALID_ARGUMENT', 'volume_capability is missing');
	const violation = violationOf(capability);
	if (violation) throw new CsiError('INVALID_ARGUMENT', violation);
	if (capability.block) return {block: true};
	const {fs_type: fsType, mount_flags: mountFlags = []} = capability.mount ?? {};
	return {block: false, ...(isFsType(fsType) && {fsType}), mountFlags};
}

export function parseCapabilities(capabilities: readonly VolumeCapability[] | undefined): readonly Access[] {
	if (!capabilities?.length) throw new CsiError('INVALID_ARGUMENT', 'volume_capabilities are missing');
	return capabilities.map(parseCapability);
}

/** Why this driver cannot offer the capability, or nothing. */
export function violationOf({block, mount, access_mode}: VolumeCapability): string | undefined {
	const mode = access_mode?.mode ?? 'UNKNOWN';
	if (!block && !mount) return 'a volume capability has neither block nor mount';
	if (mode === 'UNKNOWN') return 'a volume capability has no access_mode';
	const fsType = mount?.fs_type;
	if (fsType && !isFsType(fsType)) return `fs_type ${fsType} is not one of ${fsTypes.join(', ')}`;
	// ext4 and xfs know of one writing kernel only. A block device is its users' own business (live migration needs it).
	if (mount && mode === 'MULTI_NODE_MULTI_WRITER') return 'several nodes can write to a block volume only';
	if (mount && mode === 'MULTI_NODE_SINGLE_WRITER') return 'a file system cannot be read by nodes beside its writer';
	return undefined;
}
