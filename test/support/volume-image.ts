/** The disk of a claim as the storage driver of the local cluster keeps it: a file on this machine. */
import {mkdtemp, open, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {KubeApi, ObjectKey} from '../../src/kube/client.ts';
import * as resources from '../../src/kube/resources.ts';
import type {LocalCluster} from '../cluster/cluster.ts';
import {run} from '../cluster/command.ts';
import {until} from '../cluster/until.ts';
import {digestOf} from './disk-images.ts';

export interface VolumeImage {
	readonly handle: string;
	readonly file: string;
	readonly volumeMode: 'Block' | 'Filesystem';
}

/** Of a bound claim. */
export async function volumeImageOf(api: KubeApi, cluster: LocalCluster, claimKey: ObjectKey): Promise<VolumeImage> {
	const {spec} = await api.get(resources.persistentVolumeClaims, claimKey);
	const volume = await api.get(resources.persistentVolumes, {name: spec.volumeName ?? ''});
	const {driver = '', volumeHandle: handle = ''} = volume.spec.csi ?? {};
	if (!(driver in cluster.journals)) {
		throw new Error(`volume ${volume.metadata.name} is of driver ${driver}, which keeps no images here`);
	}
	const [shortName = ''] = driver.split('.', 1);
	const file = path.join(cluster.poolDir, shortName, 'volumes', handle);
	return {handle, file, volumeMode: spec.volumeMode ?? 'Filesystem'};
}

/** The kubelet unmounts a volume some time after its last Pod is gone; before that, part of it is in the kernel's memory. */
async function untilUnmounted(file: string): Promise<void> {
	await until(`${file} is mounted nowhere`, async () => {
		const devices = await run('losetup', ['--list', '--noheadings', '--output=NAME', '--associated', file]);
		return devices.trim() === '' ? true : undefined;
	});
}

/**
 * SHA-256 of the first so many bytes of the disk. That of a Filesystem claim is a file in its ext4, read without mounting
 * it: nobody may be using the volume.
 */
export async function diskDigest({file, volumeMode}: VolumeImage, lengthBytes: number): Promise<string> {
	if (volumeMode === 'Block') return digestOf(file, lengthBytes);
	await untilUnmounted(file);
	const folder = await mkdtemp(path.join(tmpdir(), 'onesnap-disk-'));
	try {
		const disk = path.join(folder, 'disk.img');
		await run('debugfs', ['-R', `dump /disk.img ${disk}`, file]);
		return await digestOf(disk, lengthBytes);
	} finally {
		await rm(folder, {recursive: true});
	}
}

/** Bytes of a Block claim's disk. */
export async function readDisk({file}: VolumeImage, at: number, lengthBytes: number): Promise<Buffer> {
	await using handle = await open(file, 'r');
	const {buffer, bytesRead} = await handle.read(Buffer.alloc(lengthBytes), 0, lengthBytes, at);
	if (bytesRead !== lengthBytes) throw new Error(`${file} ends ${bytesRead} bytes after ${at}`);
	return buffer;
}
