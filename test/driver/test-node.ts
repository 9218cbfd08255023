import {mkdir} from 'node:fs/promises';
import path from 'node:path';
import type {CsiClient} from '../cluster/csi/client.ts';
import type {TopologyRequirement, VolumeCapability} from '../cluster/csi/messages.ts';

export const block: VolumeCapability = {block: {}, access_mode: {mode: 'SINGLE_NODE_WRITER'}};

export function filesystem(fsType: 'ext4' | 'xfs' = 'ext4'): VolumeCapability {
	return {mount: {fs_type: fsType}, access_mode: {mode: 'SINGLE_NODE_WRITER'}};
}

export type NewVolume = {
	readonly capability: VolumeCapability;
	readonly sizeMiB: number;
	readonly fromSnapshot?: string;
	readonly fromVolume?: string;
	/** Where, for a driver with topology. */
	readonly requirements?: TopologyRequirement;
};

/** Plays provisioner, snapshotter and kubelet for a driver: the calls they make, in their order. */
export class TestNode {
	readonly #client: CsiClient;
	readonly #folder: string;

	constructor(client: CsiClient, folder: string) {
		this.#client = client;
		this.#folder = folder;
	}

	/** Returns the capacity that the driver gave. */
	async createVolume(name: string, wanted: NewVolume): Promise<number> {
		const {capability, sizeMiB, fromSnapshot, fromVolume, requirements} = wanted;
		const source = fromSnapshot ? {snapshot: {snapshot_id: fromSnapshot}} : {volume: {volume_id: fromVolume}};
		const {volume} = await this.#client.call('Controller/CreateVolume', {
			name,
			capacity_range: {required_bytes: sizeMiB * 1024 ** 2},
			volume_capabilities: [capability],
			secrets: {password: 'never to be seen'},
			...((fromSnapshot || fromVolume) && {volume_content_source: source}),
			...(requirements && {accessibility_requirements: requirements}),
		});
		return volume?.capacity_bytes ?? 0;
	}

	async createSnapshot(name: string, volumeId: string): Promise<void> {
		await this.#client.call('Controller/CreateSnapshot', {name, source_volume_id: volumeId});
	}

	async deleteVolume(volumeId: string): Promise<void> {
		await this.#client.call('Controller/DeleteVolume', {volume_id: volumeId});
	}

	async deleteSnapshot(snapshotId: string): Promise<void> {
		await this.#client.call('Controller/DeleteSnapshot', {snapshot_id: snapshotId});
	}

	/** Returns the path at which `pod` sees the volume. */
	async publish(volumeId: string, capability: VolumeCapability, pod = 'pod', readonly = false): Promise<string> {
		const staging = this.#stagingPath(volumeId);
		await mkdir(staging, {recursive: true});
		const common = {volume_id: volumeId, staging_target_path: staging, volume_capability: capability};
		await this.#client.call('Node/NodeStageVolume', common);
		const target = this.#targetPath(volumeId, pod);
		await mkdir(path.dirname(target), {recursive: true});
		await this.#client.call('Node/NodePublishVolume', {...common, target_path: target, readonly});
		return target;
	}

	async unpublish(volumeId: string, pod = 'pod'): Promise<void> {
		const target_path = this.#targetPath(volumeId, pod);
		await this.#client.call('Node/NodeUnpublishVolume', {volume_id: volumeId, target_path});
	}

	async unstage(volumeId: string): Promise<void> {
		const staging_target_path = this.#stagingPath(volumeId);
		await this.#client.call('Node/NodeUnstageVolume', {volume_id: volumeId, staging_target_path});
	}

	/** Both halves of an expansion, as resizer and kubelet make them of a volume in use. */
	async expand(volumeId: string, sizeMiB: number, pod = 'pod'): Promise<void> {
		const capacity_range = {required_bytes: sizeMiB * 1024 ** 2};
		await this.#client.call('Controller/ControllerExpandVolume', {volume_id: volumeId, capacity_range});
		const volume_path = this.#targetPath(volumeId, pod);
		await this.#client.call('Node/NodeExpandVolume', {volume_id: volumeId, volume_path});
	}

	#stagingPath(volumeId: string): string {
		return path.join(this.#folder, 'staging', volumeId);
	}

	#targetPath(volumeId: string, pod: string): string {
		return path.join(this.#folder, 'pods', pod, volumeId);
	}
}
