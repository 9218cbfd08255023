/**
 * What is left that nobody means to keep, asked of three witnesses that do not know of each other: the API, the storage
 * driver's journal, and the host. A claim that exists is meant; everything else must have a reason to be there.
 */
import {glob} from 'node:fs/promises';
import path from 'node:path';
import {annotations, labels} from '../../src/api/names.ts';
import type {KubeApi} from '../../src/kube/client.ts';
import * as resources from '../../src/kube/resources.ts';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import type {Resource} from '../../src/kube/resources.ts';
import type {LocalCluster} from '../cluster/cluster.ts';
import {liveObjects, readJournal} from '../cluster/csi/journal.ts';

interface ApiWorld {
	/** Handles of volumes that a claim has. */
	readonly volumes: ReadonlySet<string>;
	readonly snapshots: ReadonlySet<string>;
	/** Handles of volumes that a Pod uses. */
	readonly inUse: ReadonlySet<string>;
	readonly leaks: readonly string[];
}

async function all<T extends KubeObject>(api: KubeApi, resource: Resource<T>): Promise<readonly T[]> {
	return (await api.list(resource)).items;
}

const nameOf = ({kind, metadata}: KubeObject) =>
	[kind, [metadata.namespace, metadata.name].filter(Boolean).join('/')].join(' ');

async function auditApi(api: KubeApi): Promise<ApiWorld> {
	const claims = await all(api, resources.persistentVolumeClaims);
	const volumes = await all(api, resources.persistentVolumes);
	const snapshots = await all(api, resources.volumeSnapshots);
	const contents = await all(api, resources.volumeSnapshotContents);
	const shareds = await all(api, resources.sharedSnapshots);
	const dataVolumes = await all(api, resources.dataVolumes);
	const pods = await all(api, resources.pods);
	const claimUids = new Set(claims.map(({metadata}) => metadata.uid));
	const dataVolumeUids = new Set(dataVolumes.map(({metadata}) => metadata.uid));
	const sharedUids = new Set(shareds.map(({metadata}) => metadata.uid));
	const isOfShared = ({metadata}: KubeObject) => sharedUids.has(metadata.labels?.[labels.sharedSnapshotUid]);
	const contentOf = new Set(snapshots.map(({status}) => status?.boundVolumeSnapshotContentName));
	const claimsInUse = new Set(
		pods.flatMap(({metadata, spec}) =>
			(spec.volumes ?? []).map(
				({persistentVolumeClaim}) => `${metadata.namespace}/${persistentVolumeClaim?.claimName}`,
			),
		),
	);
	const leaks = [
		...volumes.filter(({spec}) => !claimUids.has(spec.claimRef?.uid)),
		...claims.filter(({metadata}) => metadata.labels?.[labels.targetUid] !== undefined),
		...claims.filter(({metadata}) => {
			const owner = metadata.annotations?.[annotations.createdForDataVolume];
			return owner !== undefined && !dataVolumeUids.has(owner);
		}),
		...pods.filter(({metadata}) => metadata.labels?.[labels.targetUid] !== undefined),
		...(await all(api, resources.secrets)).filter(({metadata}) => metadata.labels?.[labels.targetUid] !== undefined),
		...(await all(api, resources.volumeImportSources)),
		...(await all(api, resources.volumeCloneSources)),
		...shareds.filter(({spec}) => !claimUids.has(spec.content.claimUid)),
		...snapshots.filter(
			(snapshot) => snapshot.metadata.labels?.[labels.sharedSnapshotUid] !== undefined && !isOfShared(snapshot),
		),
		// An alias outlives its restores in no namespace.
		...snapshots.filter(
			({metadata, spec}) => metadata.labels?.[labels.sharedSnapshotUid] && spec.source.volumeSnapshotContentName,
		),
		...contents.filter(({metadata}) => !contentOf.has(metadata.name)),
	];
	return {
		volumes: new Set(volumes.map(({spec}) => spec.csi?.volumeHandle ?? '')),
		snapshots: new Set(contents.map(({status}) => status?.snapshotHandle ?? '')),
		inUse: new Set(
			volumes
				.filter(({spec}) => claimsInUse.has(`${spec.claimRef?.namespace}/${spec.claimRef?.name}`))
				.map(({spec}) => spec.csi?.volumeHandle ?? ''),
		),
		leaks: leaks.map(nameOf),
	};
}

/** What the storage made and was never asked to delete, and what a node still holds that no Pod uses. */
async function auditJournals(cluster: LocalCluster, world: ApiWorld): Promise<string[]> {
	const journals = await Promise.all(Object.values(cluster.journals).map(readJournal));
	return journals
		.map(liveObjects)
		.flatMap(({volumes, snapshots, staged, published}) => [
			...volumes.filter(({volumeId}) => !world.volumes.has(volumeId)).map(({volumeId}) => `stored volume ${volumeId}`),
			...snapshots
				.filter(({snapshotId}) => !world.snapshots.has(snapshotId))
				.map(({snapshotId}) => `stored snapshot ${snapshotId}`),
			...[...staged, ...published]
				.filter(({volumeId}) => !world.inUse.has(volumeId))
				.map(({volumeId, path: point}) => `volume ${volumeId} is still at ${point}`),
		]);
}

/** Loop devices of volumes that no Pod uses. The pool itself is a loop device of the cluster's. */
async function auditLoops(cluster: LocalCluster, world: ApiWorld): Promise<string[]> {
	const {loopDevices, foreignMounts} = await cluster.auditHost();
	const ofVolumes = loopDevices.filter(({backingFile}) => backingFile.startsWith(`${cluster.poolDir}/`));
	return [
		...ofVolumes
			.filter(({backingFile}) => ![...world.inUse].some((handle) => path.basename(backingFile).startsWith(handle)))
			.map(({device, backingFile}) => `loop device ${device} on ${backingFile}`),
		...foreignMounts.map(({mountPoint, pid}) => `mount ${mountPoint} in the namespace of process ${pid}`),
	];
}

/** Folders of local-path-provisioner whose volume is gone. */
async function auditFolders(api: KubeApi, {localPathDir}: LocalCluster): Promise<string[]> {
	const folders: string[] = [];
	for await (const folder of glob('*/*', {cwd: localPathDir})) folders.push(folder);
	const volumes = new Set((await all(api, resources.persistentVolumes)).map(({metadata}) => metadata.name));
	return folders
		.filter((folder) => !volumes.has(path.basename(folder).split('_', 1)[0] ?? ''))
		.map((folder) => `folder ${folder} of local-path-provisioner`);
}

/** One line per leak; empty is what should be. Deletion takes its time: ask again before believing a line. */
export async function auditLeaks(api: KubeApi, cluster: LocalCluster): Promise<string[]> {
	const world = await auditApi(api);
	return [
		...world.leaks,
		...(await auditJournals(cluster, world)),
		...(await auditLoops(cluster, world)),
		...(await auditFolders(api, cluster)),
	];
}
