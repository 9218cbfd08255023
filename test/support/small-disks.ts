/** Small disks on the local cluster, for tests that make very many. */
import type {DataVolume, DataVolumeSource} from '../../src/api/datavolume.ts';
import type {PersistentVolumeClaim, VolumeMode} from '../../src/api/kubernetes.ts';
import {cdiVersion} from '../../src/api/names.ts';
import type {KubeClient} from '../../src/kube/client.ts';
import * as resources from '../../src/kube/resources.ts';
import type {LocalCluster} from '../cluster/cluster.ts';
import {until} from '../cluster/until.ts';

interface Where {
	readonly api: KubeClient;
	readonly cluster: LocalCluster;
}

export interface Disk {
	readonly namespace: string;
	readonly name: string;
	readonly source: DataVolumeSource;
	readonly sizeMebibytes?: number;
	readonly storageClass?: string;
	readonly volumeMode?: VolumeMode;
	readonly annotations?: Readonly<Record<string, string>>;
}

const diskMebibytes = 16;

/** Small, and Block where nothing else is said: its content is the first bytes of the driver's image. */
export function createDisk({api, cluster}: Where, disk: Disk): Promise<DataVolume> {
	const {namespace, name, source, sizeMebibytes = diskMebibytes, volumeMode = 'Block', annotations = {}} = disk;
	const {storageClass = cluster.storageClasses.snapshots} = disk;
	return api.create(resources.dataVolumes, {
		apiVersion: cdiVersion,
		kind: 'DataVolume',
		metadata: {namespace, name, annotations},
		spec: {
			source,
			storage: {storageClassName: storageClass, volumeMode, resources: {requests: {storage: `${sizeMebibytes}Mi`}}},
		},
	});
}

/** A claim that nobody but its driver fills; resolves when it is bound. */
export async function createBlockClaim(
	{api, cluster}: Where,
	key: {readonly namespace: string; readonly name: string},
	storageClass: string = cluster.storageClasses.snapshots,
): Promise<PersistentVolumeClaim> {
	await api.create(resources.persistentVolumeClaims, {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata: key,
		spec: {
			accessModes: ['ReadWriteOnce'],
			volumeMode: 'Block',
			storageClassName: storageClass,
			resources: {requests: {storage: `${diskMebibytes}Mi`}},
		},
	});
	return until(`claim ${key.name} bound`, async () => {
		const claim = await api.get(resources.persistentVolumeClaims, key);
		return claim.status?.phase === 'Bound' ? claim : undefined;
	});
}
