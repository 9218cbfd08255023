import {mkdir, open} from 'node:fs/promises';
import path from 'node:path';
import {annotations} from '../../src/api/names.ts';
import {type Daemon, flags} from './daemon.ts';
import {run} from './command.ts';
import type {Layout} from './layout.ts';
import {mountsInside} from './mounts.ts';
import {type ClusterNode, kubeletDir} from './node.ts';
import {fileExists} from './file-exists.ts';

/** A CSI driver with its sidecars and what it offers. */
export type Driver = {
	readonly name: string;
	/** Short name, of its folders, sockets and logs. */
	readonly shortName: string;
	readonly snapshots: boolean;
	/** Volumes live on one node each, which this key names in its CSI topology. */
	readonly topologyKey?: string;
	readonly classes: readonly StorageClass[];
};

type StorageClass = {
	readonly name: string;
	readonly bindingMode: 'Immediate' | 'WaitForFirstConsumer';
	readonly default?: true;
};

const drivers: readonly Driver[] = [
	{
		name: 'reflink.csi.onesnap.io',
		shortName: 'reflink',
		snapshots: true,
		classes: [
			{name: 'reflink', bindingMode: 'Immediate', default: true},
			{name: 'reflink-wffc', bindingMode: 'WaitForFirstConsumer'},
		],
	},
	{
		name: 'nosnap.csi.onesnap.io',
		shortName: 'nosnap',
		snapshots: false,
		classes: [{name: 'nosnap', bindingMode: 'Immediate'}],
	},
];

/** Stands for TopoLVM and its like. Only where it can make a difference: it takes four processes. */
const nodeLocalDriver: Driver = {
	name: 'reflink-local.csi.onesnap.io',
	shortName: 'reflink-local',
	snapshots: true,
	topologyKey: 'reflink-local.csi.onesnap.io/node',
	classes: [
		{name: 'reflink-local', bindingMode: 'WaitForFirstConsumer'},
		{name: 'reflink-local-immediate', bindingMode: 'Immediate'},
	],
};

export function driversOf(nodes: readonly ClusterNode[]): readonly Driver[] {
	return nodes.length > 1 ? [...drivers, nodeLocalDriver] : drivers;
}

const driverProgram = path.join(import.meta.dirname, 'csi', 'main.ts');

export function poolDir(layout: Layout): string {
	return path.join(layout.runDir, 'pool');
}

export function journalFile(layout: Layout, driver: Driver): string {
	return path.join(layout.runDir, 'journal', `${driver.name}.jsonl`);
}

/** Where the driver's fault switches are looked for, see csi/faults.ts. Nobody makes the file but tests. */
export function faultFile(layout: Layout, driver: Driver): string {
	return path.join(layout.runDir, 'faults', `${driver.name}.json`);
}

/** The file system that volumes live on: xfs in a sparse file, because FICLONE is what makes a snapshot of a file cheap. */
export async function ensurePool(layout: Layout): Promise<void> {
	const image = path.join(layout.runDir, 'pool.img');
	const mountPoint = poolDir(layout);
	if ((await mountsInside([mountPoint])).includes(mountPoint)) return;
	if (!(await fileExists(image))) {
		await mkdir(layout.runDir, {recursive: true});
		const file = await open(image, 'w');
		await file.truncate(poolBytes);
		await file.close();
		await run('mkfs.xfs', ['-q', '-m', 'reflink=1', image]);
	}
	await mkdir(mountPoint, {recursive: true});
	// With discard, what a deleted volume held is given back to the host's disk.
	await run('mount', ['-o', 'loop,discard', image, mountPoint]);
}

const poolBytes = 60 * 1024 ** 3;

export async function prepareDriver(layout: Layout, driver: Driver): Promise<void> {
	await mkdir(path.join(poolDir(layout), driver.shortName), {recursive: true});
	await mkdir(path.dirname(journalFile(layout, driver)), {recursive: true});
	await mkdir(path.dirname(driverSocket(layout, driver)), {recursive: true});
	await mkdir(path.dirname(faultFile(layout, driver)), {recursive: true});
}

/** The first node's, where the sidecars reach the Controller service too, and those of the others. */
function driverSocket(layout: Layout, driver: Driver, node?: ClusterNode): string {
	return path.join(layout.runtimeDir, 'csi', driver.shortName, node ? `${node.name}.sock` : 'csi.sock');
}

/**
 * The driver, one process for all nodes, and the sidecars that turn API objects into calls to it. The nodes share one kernel with its
 * loop devices and mounts, so what is done for them has to share locks; on real machines each would have a process of its own.
 */
export function driverDaemons(
	layout: Layout,
	driver: Driver,
	[first, ...others]: readonly ClusterNode[],
	programs: Readonly<Record<'csi-provisioner' | 'csi-snapshotter' | 'csi-resizer', string>>,
	kubeconfig: string,
): Daemon[] {
	if (!first) return [];
	const socket = driverSocket(layout, driver);
	const driverDaemon = `csi-${driver.shortName}`;
	const sidecarFlags = {
		kubeconfig,
		'csi-address': socket,
		timeout: '60s',
		// The sidecars' own default of 5 requests per second would be all that a test measures.
		'kube-api-qps': 100,
		'kube-api-burst': 200,
	};
	const sidecar = (
		program: 'csi-provisioner' | 'csi-snapshotter' | 'csi-resizer',
		more: Readonly<Record<string, string | number | boolean>>,
	): Daemon => ({
		name: `${program}-${driver.shortName}`,
		program: programs[program],
		args: flags({...sidecarFlags, ...more}),
		startedAfter: driverDaemon,
	});
	// Back-off stays at the sidecars' defaults (up to five minutes): what it does to clones is ours to live with, as in users' clusters.
	return [
		{
			name: driverDaemon,
			program: path.join(layout.checkout, 'node_modules', '.bin', 'node'),
			args: [
				driverProgram,
				...flags({
					name: driver.name,
					'node-id': first.name,
					pool: path.join(poolDir(layout), driver.shortName),
					endpoint: `unix://${socket}`,
					journal: journalFile(layout, driver),
					faults: faultFile(layout, driver),
					'kubelet-dir': kubeletDir(layout, first),
					'topology-key': driver.topologyKey,
				}),
				...others.flatMap((node) => flags({'other-node': otherNode(layout, driver, node)})),
				...(driver.snapshots ? [] : ['--no-snapshots']),
			],
		},
		sidecar('csi-provisioner', {
			'default-fstype': 'ext4',
			'extra-create-metadata': true,
			'worker-threads': 20,
			// What a claim that was deleted in the middle of its restore leaves on the snapshot; five minutes by default.
			...(driver.snapshots && {'snapshot-orphan-sweep-interval': '20s'}),
			...(driver.topologyKey && {'feature-gates': 'Topology=true', 'strict-topology': true}),
		}),
		sidecar('csi-resizer', {workers: 10}),
		...(driver.snapshots
			? [sidecar('csi-snapshotter', {'worker-threads': 10, 'extra-create-metadata': true, 'retry-interval-max': '20s'})]
			: []),
	];
}

/** As the driver's options have it: id, endpoint, kubelet's folder. */
function otherNode(layout: Layout, driver: Driver, node: ClusterNode): string {
	return [node.name, `unix://${driverSocket(layout, driver, node)}`, kubeletDir(layout, node)].join(',');
}

/** With the feature on, the snapshot controller spends its first half minute looking for CRDs that are not installed here. */
const noGroupSnapshots = 'CSIVolumeGroupSnapshot=false';

export function snapshotControllerDaemon(program: string, kubeconfig: string): Daemon {
	return {
		name: 'snapshot-controller',
		program,
		args: flags({
			kubeconfig,
			'kube-api-qps': 100,
			'kube-api-burst': 200,
			'worker-threads': 10,
			'feature-gates': noGroupSnapshots,
		}),
	};
}

/** CSIDriver, StorageClasses and VolumeSnapshotClass of a driver, each with its name. */
export function driverObjects(driver: Driver): unknown[] {
	return [
		{
			apiVersion: 'storage.k8s.io/v1',
			kind: 'CSIDriver',
			metadata: {name: driver.name},
			spec: {
				attachRequired: false,
				fsGroupPolicy: 'File',
				podInfoOnMount: false,
				storageCapacity: false,
				volumeLifecycleModes: ['Persistent'],
			},
		},
		...driver.classes.map((storageClass) => ({
			apiVersion: 'storage.k8s.io/v1',
			kind: 'StorageClass',
			metadata: {
				name: storageClass.name,
				annotations: {
					...(storageClass.default && {'storageclass.kubernetes.io/is-default-class': 'true'}),
					// As whoever runs onesnap on a driver that it does not know has to tell it.
					...(driver.topologyKey && {[annotations.nodeLocal]: 'true'}),
				},
			},
			provisioner: driver.name,
			volumeBindingMode: storageClass.bindingMode,
			reclaimPolicy: 'Delete',
			allowVolumeExpansion: true,
		})),
		...(driver.snapshots
			? [
					{
						apiVersion: 'snapshot.storage.k8s.io/v1',
						kind: 'VolumeSnapshotClass',
						metadata: {
							name: driver.shortName,
							annotations: {'snapshot.storage.kubernetes.io/is-default-class': 'true'},
						},
						driver: driver.name,
						deletionPolicy: 'Delete',
					},
				]
			: []),
	];
}
