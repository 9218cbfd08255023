import {thisLayout} from './layout.ts';
import {auditHost, type HostUse} from './host-audit.ts';
import {ensureBinary} from './binaries.ts';
import {allDaemons, auditLog} from './cluster-daemons.ts';
import {loadImage} from './container-images.ts';
import {wantedNodes} from './node-count.ts';
import {localPathClass, localPathDir} from './local-path.ts';
import {type RunningCluster, startCluster} from './start.ts';
import {driversOf, faultFile, journalFile, poolDir} from './storage.ts';
import {endProcess, ensureDaemon, findDaemons, logFile} from './supervisor.ts';

/** The cluster of this checkout, with everything that a test or the demo may look into. */
export type LocalCluster = {
	readonly kind: 'local';
	readonly id: string;
	/** Of a user in system:masters. */
	readonly kubeconfig: string;
	/** Path of a kubectl that fits the cluster. */
	readonly kubectl: string;
	/** The host, as pods see it: a server that listens on this address is reachable from every pod. */
	readonly hostAddress: string;
	/** Names of the nodes. */
	readonly nodes: readonly string[];
	/** All nodes, as the host sees them. The host reaches pod and Service addresses directly as well. */
	readonly nodeAddress: string;
	readonly podNetwork: string;
	readonly serviceNetwork: string;
	readonly storageClasses: StorageClasses;
	/** CSI driver name to the file in which it writes down every call. */
	readonly journals: Readonly<Record<string, string>>;
	/** CSI driver name to the file with its fault switches; see test/support/storage-faults.ts. */
	readonly faultFiles: Readonly<Record<string, string>>;
	/** The xfs that all volumes live on. */
	readonly poolDir: string;
	/** A folder per node with a folder for each volume of the class that is not CSI, whose name begins with the volume's. */
	readonly localPathDir: string;
	readonly runDir: string;
	/** One line of JSON per write request to the API server. */
	readonly auditLog: string;
	/** Makes the images of an OCI archive known to the nodes; pods use them with imagePullPolicy Never or IfNotPresent. */
	loadImage(archive: string): Promise<void>;
	/** What the cluster holds on this machine at this moment. */
	auditHost(): Promise<HostUse>;
	/** Names of the daemons, as `stopDaemon` and `startDaemon` take them. */
	readonly daemons: readonly string[];
	stopDaemon(name: string): Promise<void>;
	startDaemon(name: string): Promise<void>;
	logFile(daemon: string): string;
};

/** The StorageClasses by what they are for. */
type StorageClasses = {
	readonly snapshots: string;
	readonly waitForFirstConsumer: string;
	readonly noSnapshots: string;
	/** Whose provisioner is no CSI driver. WaitForFirstConsumer. */
	readonly notCsi: string;
	/** Whose volumes and snapshots live on one node, WaitForFirstConsumer and Immediate. Only in a cluster of several nodes. */
	readonly nodeLocal?: string;
	readonly nodeLocalImmediate?: string;
};

/** A cluster that the user named. Nothing is known about its host and its storage driver. */
export type UserCluster = {
	readonly kind: 'user';
	readonly kubeconfig: string;
	readonly kubectl: string;
	/** ONESNAP_STORAGE_CLASS; undefined means the cluster's default class. */
	readonly storageClass: string | undefined;
};

export type ClusterHandle = LocalCluster | UserCluster;

/**
 * The cluster to work on: the one that ONESNAP_KUBECONFIG names, else this checkout's local one, which is started unless it runs.
 * Nobody stops it but `make cluster-down`.
 */
export async function ensureCluster(): Promise<ClusterHandle> {
	const kubeconfig = process.env['ONESNAP_KUBECONFIG'];
	if (!kubeconfig) return ensureLocalCluster();
	const kubectl = await ensureBinary('kubectl');
	return {kind: 'user', kubeconfig, kubectl, storageClass: process.env['ONESNAP_STORAGE_CLASS'] || undefined};
}

/**
 * The local cluster, also when the user named another: for tests that need to look at the driver or the host. It has at least as many
 * nodes as asked for, by default as many as NODES says.
 */
export async function ensureLocalCluster(nodes: number = wantedNodes(process.env)): Promise<LocalCluster> {
	return makeHandle(await startCluster(thisLayout(), nodes));
}

function makeHandle(cluster: RunningCluster): LocalCluster {
	const {layout, addresses, nodes} = cluster;
	const drivers = driversOf(nodes);
	const daemons = allDaemons(cluster.daemons);
	return {
		kind: 'local',
		id: layout.id,
		kubeconfig: cluster.kubeconfig,
		kubectl: cluster.programs.kubectl,
		nodes: nodes.map(({name}) => name),
		hostAddress: addresses.hostAddress,
		nodeAddress: addresses.nodeAddress,
		podNetwork: addresses.podNetwork,
		serviceNetwork: addresses.serviceNetwork,
		storageClasses: {
			snapshots: 'reflink',
			waitForFirstConsumer: 'reflink-wffc',
			noSnapshots: 'nosnap',
			notCsi: localPathClass,
			...(nodes.length > 1 && {nodeLocal: 'reflink-local', nodeLocalImmediate: 'reflink-local-immediate'}),
		},
		journals: Object.fromEntries(drivers.map((driver) => [driver.name, journalFile(layout, driver)])),
		faultFiles: Object.fromEntries(drivers.map((driver) => [driver.name, faultFile(layout, driver)])),
		poolDir: poolDir(layout),
		localPathDir: localPathDir(layout),
		runDir: layout.runDir,
		auditLog: auditLog(layout),
		loadImage: (archive) => loadImage(layout, nodes, archive),
		auditHost: () => auditHost(layout),
		daemons: daemons.map(({name}) => name),
		async stopDaemon(name) {
			const running = (await findDaemons(layout)).get(name);
			if (running) await endProcess(running.pid);
		},
		async startDaemon(name) {
			const daemon = daemons.find((each) => each.name === name);
			if (!daemon) throw new Error(`the cluster has no daemon ${name}`);
			await ensureDaemon(layout, daemon);
			for (const peer of daemons) if (peer.startedAfter === name) await ensureDaemon(layout, peer);
		},
		logFile: (daemon) => logFile(layout, daemon),
	};
}
