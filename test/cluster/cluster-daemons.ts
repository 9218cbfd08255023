import path from 'node:path';
import type {Addresses} from './addresses.ts';
import type {ProgramName} from './binaries.ts';
import {
	apiServerDaemon,
	type ControlPlaneSettings,
	controllerManagerDaemon,
	etcdDaemon,
	kubeconfigOf,
	schedulerDaemon,
} from './control-plane-daemons.ts';
import type {Daemon} from './daemon.ts';
import {dnsDaemon} from './dns.ts';
import type {Layout} from './layout.ts';
import {localPathDaemon} from './local-path.ts';
import {type ClusterNode, containerdDaemon, kubeletDaemon, kubeProxyDaemon} from './node.ts';
import {driverDaemons, driversOf, snapshotControllerDaemon} from './storage.ts';

/** What is run, in groups that may start together. Each group needs the one before it. */
export type ClusterDaemons = {
	readonly controlPlane: readonly Daemon[];
	readonly runtimes: readonly Daemon[];
	/** Need the API server. */
	readonly controllers: readonly Daemon[];
	/** Need their container runtime and the API server. */
	readonly kubelets: readonly Daemon[];
	/** Need the snapshot CRDs. */
	readonly storage: readonly Daemon[];
};

/** What tells one cluster from another. */
export type ClusterShape = {
	readonly layout: Layout;
	readonly addresses: Addresses;
	readonly nodes: readonly ClusterNode[];
};

export type ClusterPrograms = Readonly<Record<Exclude<ProgramName, 'csi-sanity'> | 'containerd', string>>;

export function controlPlaneSettings(layout: Layout, addresses: Addresses): ControlPlaneSettings {
	return {
		dir: path.join(layout.runDir, 'control-plane'),
		address: addresses.nodeAddress,
		port: 6443,
		serviceCidr: addresses.serviceNetwork,
		auditLog: auditLog(layout),
	};
}

export function auditLog(layout: Layout): string {
	return path.join(layout.runDir, 'audit.jsonl');
}

export function clusterDaemons({layout, addresses, nodes}: ClusterShape, programs: ClusterPrograms): ClusterDaemons {
	const settings = controlPlaneSettings(layout, addresses);
	const admin = kubeconfigOf(settings, 'admin');
	return {
		controlPlane: [etcdDaemon(settings, programs.etcd), apiServerDaemon(settings, programs['kube-apiserver'])],
		runtimes: nodes.map((node) => containerdDaemon(layout, node, programs.containerd)),
		controllers: [
			controllerManagerDaemon(settings, programs['kube-controller-manager'], 10257),
			schedulerDaemon(settings, programs['kube-scheduler'], 10259),
			kubeProxyDaemon(addresses, nodes, programs['kube-proxy'], kubeconfigOf(settings, 'proxy')),
			dnsDaemon(layout, programs.coredns),
		],
		kubelets: nodes.map((node) =>
			kubeletDaemon(layout, addresses, node, programs.kubelet, kubeconfigOf(settings, `node-${node.name}`)),
		),
		storage: [
			snapshotControllerDaemon(programs['snapshot-controller'], admin),
			...driversOf(nodes).flatMap((driver) => driverDaemons(layout, driver, nodes, programs, admin)),
			localPathDaemon(layout, programs['local-path-provisioner'], admin),
		],
	};
}

export function allDaemons(groups: ClusterDaemons): Daemon[] {
	return [groups.controlPlane, groups.runtimes, groups.controllers, groups.kubelets, groups.storage].flat();
}
