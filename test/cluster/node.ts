import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {stringify} from 'yaml';
import type {Addresses} from './addresses.ts';
import {type Daemon, flags} from './daemon.ts';
import type {Layout} from './layout.ts';
import {pauseImage} from './static-images.ts';

/** A node: a containerd and a kubelet. Two kubelets must not share one containerd, each would collect the other's containers. */
export type ClusterNode = {
	readonly name: string;
	/** 0 for the first; later nodes shift their ports by it, as all share one network namespace. */
	readonly index: number;
};

export function makeNodes(count: number): readonly ClusterNode[] {
	return Array.from({length: count}, (_, index) => ({name: `node${index + 1}`, index}));
}

export function kubeletDir(layout: Layout, node: ClusterNode): string {
	return path.join(layout.varDir, node.name);
}

export function containerdSocket(layout: Layout, node: ClusterNode): string {
	return path.join(layout.runtimeDir, `${node.name}-containerd.sock`);
}

/**
 * Parent of the cgroups of the node's pods. A kubelet removes what it finds below and does not know, so no two may share one; the
 * others' lie beside what the first one looks at (`kubepods`).
 */
export function nodeCgroup(layout: Layout, node: ClusterNode): string {
	return node.index === 0 ? layout.cgroup : path.join(layout.cgroup, node.name);
}

/** Writes the configuration of a node's daemons. */
export async function prepareNode(
	layout: Layout,
	addresses: Addresses,
	node: ClusterNode,
	clientAuthority: string,
): Promise<void> {
	const dir = configDir(layout, node);
	await mkdir(path.join(dir, 'cni'), {recursive: true});
	await mkdir(kubeletDir(layout, node), {recursive: true});
	await writeFile(path.join(dir, 'cni', '10-onesnap.conflist'), JSON.stringify(cniConfig(layout, addresses)));
	await writeFile(path.join(dir, 'containerd.toml'), containerdConfig(layout, node));
	await writeFile(path.join(dir, 'kubelet.yaml'), stringify(kubeletConfig(layout, addresses, node, clientAuthority)));
}

export function containerdDaemon(layout: Layout, node: ClusterNode, program: string): Daemon {
	return {
		name: `containerd-${node.name}`,
		program,
		args: ['--config', path.join(configDir(layout, node), 'containerd.toml')],
	};
}

export function kubeletDaemon(
	layout: Layout,
	addresses: Addresses,
	node: ClusterNode,
	program: string,
	kubeconfig: string,
): Daemon {
	return {
		name: `kubelet-${node.name}`,
		program,
		args: flags({
			config: path.join(configDir(layout, node), 'kubelet.yaml'),
			kubeconfig,
			'hostname-override': node.name,
			'node-ip': addresses.nodeAddress,
			'root-dir': kubeletDir(layout, node),
			'cert-dir': path.join(kubeletDir(layout, node), 'pki'),
		}),
	};
}

/** One kube-proxy serves all nodes: they share the network namespace. */
export function kubeProxyDaemon(
	addresses: Addresses,
	[first]: readonly ClusterNode[],
	program: string,
	kubeconfig: string,
): Daemon {
	return {
		name: 'kube-proxy',
		program,
		args: flags({
			kubeconfig,
			'hostname-override': first?.name,
			'proxy-mode': 'iptables',
			'cluster-cidr': addresses.podNetwork,
			// Conntrack's table is the machine's, not ours to resize.
			'conntrack-max-per-core': 0,
		}),
	};
}

function configDir(layout: Layout, node: ClusterNode): string {
	return path.join(layout.runDir, node.name);
}

/**
 * ptp, not bridge: every pod has a routed link of its own, so that traffic between two pods passes iptables too and Services work between
 * them. On a bridge that takes the kernel module br_netfilter, which not every machine has. No masquerading: the host has a route back.
 *
 * All nodes take addresses from one range, and from one folder in which host-local notes them under a lock: pods on different nodes
 * are neighbours in the one network namespace, and never meet.
 */
function cniConfig(layout: Layout, addresses: Addresses): unknown {
	return {
		cniVersion: '0.4.0',
		name: layout.cniNetwork,
		plugins: [
			{
				type: 'ptp',
				ipMasq: false,
				ipam: {
					type: 'host-local',
					dataDir: path.join(layout.runDir, 'cni-addresses'),
					ranges: [[{subnet: addresses.podNetwork}]],
					routes: [{dst: '0.0.0.0/0'}],
				},
			},
			{type: 'portmap', capabilities: {portMappings: true}},
		],
	};
}

/** For containerd 1.6 and 1.7 (configuration version 2). */
function containerdConfig(layout: Layout, node: ClusterNode): string {
	const quote = (text: string) => JSON.stringify(text);
	const state = path.join(layout.runtimeDir, index0Name('containerd', node));
	return `version = 2
root = ${quote(path.join(layout.runDir, index0Name('containerd', node)))}
state = ${quote(state)}
disabled_plugins = [
	"io.containerd.snapshotter.v1.aufs",
	"io.containerd.snapshotter.v1.btrfs",
	"io.containerd.snapshotter.v1.devmapper",
	"io.containerd.snapshotter.v1.zfs",
	"io.containerd.internal.v1.opt",
	"io.containerd.tracing.processor.v1.otlp",
]

[grpc]
	address = ${quote(containerdSocket(layout, node))}

[plugins."io.containerd.grpc.v1.cri"]
	sandbox_image = ${quote(pauseImage.name)}
	# Root in a container or a sandbox may lack CAP_SYS_RESOURCE; without this every pod would die there.
	restrict_oom_score_adj = true
	# Lets a non-root pod open its block volume.
	device_ownership_from_security_context = true
	# Pods' network namespaces are mounts: they stay among our own, and go away with them.
	netns_mounts_under_state_dir = true

	[plugins."io.containerd.grpc.v1.cri".cni]
		bin_dir = "/usr/lib/cni"
		conf_dir = ${quote(path.join(configDir(layout, node), 'cni'))}

	[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		runtime_type = "io.containerd.runc.v2"

		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
			Root = ${quote(path.join(state, 'runc'))}
`;
}

/** The first node's folders carry no number. */
function index0Name(name: string, node: ClusterNode): string {
	return node.index === 0 ? name : `${name}-${node.index}`;
}

function kubeletConfig(layout: Layout, addresses: Addresses, node: ClusterNode, clientAuthority: string): unknown {
	return {
		apiVersion: 'kubelet.config.k8s.io/v1beta1',
		kind: 'KubeletConfiguration',
		authentication: {
			x509: {clientCAFile: clientAuthority},
			webhook: {enabled: true},
			anonymous: {enabled: false},
		},
		authorization: {mode: 'Webhook'},
		port: 10250 + node.index,
		healthzPort: 10248 - node.index,
		readOnlyPort: 0,
		containerRuntimeEndpoint: `unix://${containerdSocket(layout, node)}`,
		clusterDomain: 'cluster.local',
		clusterDNS: [addresses.nodeAddress],
		// The host's search domains mean nothing in a pod.
		resolvConf: '',
		podLogsDir: path.join(layout.runDir, node.name, 'pod-logs'),
		volumePluginDir: path.join(kubeletDir(layout, node), 'volume-plugins'),
		// There may be no systemd, and cgroup v1 is good enough for tests.
		cgroupDriver: 'cgroupfs',
		failCgroupV1: false,
		failSwapOn: false,
		// Pods' cgroups below one of our own: it tells whose they are.
		cgroupRoot: nodeCgroup(layout, node),
		cgroupsPerQOS: true,
		enforceNodeAllocatable: [],
		// Images cannot be pulled again, and a full disk is the user's business before it is ours.
		imageGCHighThresholdPercent: 100,
		evictionHard: {'nodefs.available': '1%', 'imagefs.available': '1%'},
		maxPods: 250,
		// How soon a grown volume's file system grows in a running pod; the default is a minute.
		syncFrequency: '10s',
	};
}
