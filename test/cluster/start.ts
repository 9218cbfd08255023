import {cp, mkdir} from 'node:fs/promises';
import path from 'node:path';
import {makeAddresses} from './addresses.ts';
import {ensureBinary} from './binaries.ts';
import {createCgroups} from './cgroups.ts';
import {
	allDaemons,
	clusterDaemons,
	type ClusterDaemons,
	type ClusterPrograms,
	type ClusterShape,
	controlPlaneSettings,
} from './cluster-daemons.ts';
import {readState, writeState} from './cluster-state.ts';
import {run} from './command.ts';
import {loadImage, loadKnownImages} from './container-images.ts';
import {isReady} from './control-plane.ts';
import {addNodeUser, clientAuthority, kubeconfigOf, prepareControlPlane} from './control-plane-daemons.ts';
import type {Daemon} from './daemon.ts';
import {ensureDefinitions} from './definitions.ts';
import {prepareDns} from './dns.ts';
import {fileExists} from './file-exists.ts';
import {withFileLock} from './file-lock.ts';
import {recordKernelSettings} from './kernel-settings.ts';
import {Kubectl} from './kubectl.ts';
import type {Layout} from './layout.ts';
import {localPathObjects, prepareLocalPath} from './local-path.ts';
import {createNetwork} from './network.ts';
import {containerdSocket, makeNodes, nodeCgroup, prepareNode} from './node.ts';
import {ensurePackages} from './packages.ts';
import {report, withProgress} from './progress.ts';
import {missingPieces} from './readiness.ts';
import {ensureStaticImage, staticImages} from './static-images.ts';
import {driverObjects, driversOf, ensurePool, prepareDriver} from './storage.ts';
import {assertRunning, ensureDaemon, findDaemons, runsAsWanted} from './supervisor.ts';
import {tearDown} from './teardown.ts';
import {until} from './until.ts';

/** A cluster that is up. */
export type RunningCluster = ClusterShape & {
	readonly programs: ClusterPrograms;
	readonly daemons: ClusterDaemons;
	readonly kubeconfig: string;
	readonly kubectl: Kubectl;
};

/**
 * Brings the cluster up, or finds that it is up. One that came up before and lost a daemon gets the daemon back; what is left of an
 * attempt that never finished is removed first. One with fewer nodes than wanted gets more; one with more is left as it is.
 */
export async function startCluster(layout: Layout, wantedNodes: number): Promise<RunningCluster> {
	if (process.getuid?.() !== 0) {
		throw new Error('the local cluster needs root: it mounts file systems and runs containers');
	}
	return withClusterLock(layout, async () => {
		await ensurePackages('node');
		const programs = await findPrograms();
		const state = await readState(layout);
		if (state) {
			const nodes = Math.max(state.nodes, wantedNodes);
			const shape = {layout, addresses: makeAddresses(state.number), nodes: makeNodes(nodes)};
			const cluster = describeCluster(shape, programs);
			if (nodes > state.nodes) {
				report(`the cluster has ${countNodes(state.nodes)}: adding ${nodes - state.nodes}`);
				await writeState(layout, {number: state.number, nodes});
			} else {
				if (await isHealthy(cluster)) return cluster;
				report('the cluster is not as it should be: starting what is missing');
			}
			await converge(cluster);
			return cluster;
		}
		await withProgress('removing what is left of an earlier cluster', () => tearDown(layout));
		await mkdir(layout.runDir, {recursive: true});
		const shape = {layout, addresses: await createNetwork(layout), nodes: makeNodes(wantedNodes)};
		const cluster = describeCluster(shape, programs);
		await converge(cluster);
		await writeState(layout, {number: shape.addresses.number, nodes: wantedNodes});
		return cluster;
	});
}

/** Removes the cluster and everything of it, whatever state it is in. */
export async function stopCluster(layout: Layout): Promise<void> {
	await withClusterLock(layout, () => withProgress('removing the cluster', () => tearDown(layout)));
}

/** One `up` or `down` at a time per checkout. The lock lies outside the folders that `down` removes. */
function withClusterLock<T>(layout: Layout, work: () => Promise<T>): Promise<T> {
	return withFileLock(`/run/lock/onesnap-${layout.id}.lock`, 'it starts or stops this cluster', work);
}

async function findPrograms(): Promise<ClusterPrograms> {
	return {
		etcd: await ensureBinary('etcd'),
		'kube-apiserver': await ensureBinary('kube-apiserver'),
		'kube-controller-manager': await ensureBinary('kube-controller-manager'),
		'kube-scheduler': await ensureBinary('kube-scheduler'),
		kubelet: await ensureBinary('kubelet'),
		'kube-proxy': await ensureBinary('kube-proxy'),
		kubectl: await ensureBinary('kubectl'),
		coredns: await ensureBinary('coredns'),
		'snapshot-controller': await ensureBinary('snapshot-controller'),
		'csi-provisioner': await ensureBinary('csi-provisioner'),
		'csi-snapshotter': await ensureBinary('csi-snapshotter'),
		'csi-resizer': await ensureBinary('csi-resizer'),
		'local-path-provisioner': await ensureBinary('local-path-provisioner'),
		containerd: (await run('sh', ['-c', 'command -v containerd'])).trim(),
	};
}

export function countNodes(count: number): string {
	return count === 1 ? '1 node' : `${count} nodes`;
}

function describeCluster(shape: ClusterShape, programs: ClusterPrograms): RunningCluster {
	const kubeconfig = path.join(shape.layout.runDir, 'kubeconfig');
	return {
		...shape,
		programs,
		daemons: clusterDaemons(shape, programs),
		kubeconfig,
		kubectl: new Kubectl(programs.kubectl, kubeconfig),
	};
}

/** All daemons run as they are wanted, and the API says that pods with volumes can run. */
async function isHealthy(cluster: RunningCluster): Promise<boolean> {
	const running = await findDaemons(cluster.layout);
	if (!allDaemons(cluster.daemons).every((daemon) => runsAsWanted(daemon, running))) return false;
	return missingPieces(cluster.kubectl, cluster.nodes).then(
		(missing) => missing.length === 0,
		() => false,
	);
}

/** Every step makes sure of something, so the same steps start a cluster and mend one. */
async function converge(cluster: RunningCluster): Promise<void> {
	const {layout, nodes, daemons, kubectl} = cluster;
	const startedAt = Date.now();
	const images = await Promise.all(staticImages.map(ensureStaticImage));
	const definitions = await ensureDefinitions();
	await withProgress('preparing folders, keys and the storage pool', () => prepare(cluster));
	await withProgress('starting the control plane', async () => {
		await start(cluster, [...daemons.controlPlane, ...daemons.runtimes]);
		await untilRunning(cluster, daemons.controlPlane, 'the API server is ready', () =>
			isReady(cluster.programs.kubectl, cluster.kubeconfig),
		);
	});
	await withProgress(`starting ${countNodes(nodes.length)}`, async () => {
		await start(cluster, daemons.controllers);
		for (const node of nodes) {
			await untilRunning(cluster, daemons.runtimes, 'containerd listens', async () =>
				(await fileExists(containerdSocket(layout, node))) ? true : undefined,
			);
		}
		for (const image of images) await loadImage(layout, nodes, image);
		await loadKnownImages(layout, nodes);
		await start(cluster, daemons.kubelets);
	});
	await withProgress('starting storage', async () => {
		await kubectl.applyFiles(definitions.snapshotCrds);
		await kubectl.run('wait', '--for=condition=Established', '--timeout=30s', 'customresourcedefinitions', '--all');
		await kubectl.apply([...driversOf(nodes).flatMap(driverObjects), ...localPathObjects()]);
		await start(cluster, daemons.storage);
	});
	await withProgress(`waiting for ${countNodes(nodes.length)} and the storage drivers`, () =>
		untilRunning(cluster, allDaemons(daemons), 'the cluster is complete', async () => {
			const missing = await missingPieces(kubectl, nodes);
			if (missing.length > 0) throw new Error(missing.join(', '));
			return true;
		}),
	);
	report(`the cluster is up after ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
}

async function prepare({layout, addresses, nodes, kubeconfig}: RunningCluster): Promise<void> {
	const settings = controlPlaneSettings(layout, addresses);
	await Promise.all([
		ensurePool(layout),
		createCgroups(nodes.map((node) => nodeCgroup(layout, node))),
		recordKernelSettings(),
		prepareControlPlane(settings).then(() => Promise.all(nodes.map((node) => addNodeUser(settings, node.name)))),
	]);
	await cp(kubeconfigOf(settings, 'admin'), kubeconfig);
	await prepareDns(layout, addresses, kubeconfigOf(settings, 'admin'));
	for (const node of nodes) await prepareNode(layout, addresses, node, clientAuthority(settings));
	for (const driver of driversOf(nodes)) await prepareDriver(layout, driver);
	await prepareLocalPath(layout, nodes);
}

async function start(cluster: RunningCluster, daemons: readonly Daemon[]): Promise<void> {
	for (const daemon of daemons) await ensureDaemon(cluster.layout, daemon);
}

/** Waits, but not for something that a daemon which has ended can no longer bring about. */
async function untilRunning(
	cluster: RunningCluster,
	daemons: readonly Daemon[],
	what: string,
	attempt: () => Promise<true | undefined>,
): Promise<void> {
	await until(what, async () => {
		await assertRunning(
			cluster.layout,
			daemons.map(({name}) => name),
		);
		return attempt();
	});
}
