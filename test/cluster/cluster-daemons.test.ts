import {expect, it} from 'vitest';
import {makeAddresses} from './addresses.ts';
import {programNames} from './binaries.ts';
import {allDaemons, clusterDaemons, type ClusterPrograms} from './cluster-daemons.ts';
import {parseOptions} from './csi/options.ts';
import {makeLayout} from './layout.ts';
import {makeNodes} from './node.ts';
import {runsAsWanted} from './supervisor.ts';

const path = (name: string) => `/bin/${name}`;
const programs: ClusterPrograms = {
	containerd: path('containerd'),
	etcd: path('etcd'),
	'kube-apiserver': path('kube-apiserver'),
	'kube-controller-manager': path('kube-controller-manager'),
	'kube-scheduler': path('kube-scheduler'),
	kubelet: path('kubelet'),
	'kube-proxy': path('kube-proxy'),
	kubectl: path('kubectl'),
	coredns: path('coredns'),
	'snapshot-controller': path('snapshot-controller'),
	'csi-provisioner': path('csi-provisioner'),
	'csi-snapshotter': path('csi-snapshotter'),
	'csi-resizer': path('csi-resizer'),
	'local-path-provisioner': path('local-path-provisioner'),
};
const daemonsOf = (count: number) =>
	allDaemons(
		clusterDaemons({layout: makeLayout('/checkout'), addresses: makeAddresses(1), nodes: makeNodes(count)}, programs),
	);
const daemons = daemonsOf(1);

it.each([1, 2, 4])('gives every daemon of %i nodes a name of its own', (count) => {
	const names = daemonsOf(count).map(({name}) => name);
	expect(new Set(names).size).toBe(names.length);
});

it('gives a second node a containerd and a kubelet, and the cluster a driver of node-local storage', () => {
	const one = new Set(daemons.map(({name}) => name));
	const more = daemonsOf(2).map(({name}) => name);
	expect(more.filter((name) => !one.has(name))).toEqual([
		'containerd-node2',
		'kubelet-node2',
		'csi-reflink-local',
		'csi-provisioner-reflink-local',
		'csi-resizer-reflink-local',
		'csi-snapshotter-reflink-local',
	]);
});

it('lets the driver process serve every node, with a socket and a kubelet each', () => {
	const driver = daemonsOf(2).find(({name}) => name === 'csi-reflink');
	const {nodeId, csiSocket, kubeletDir, otherNodes} = parseOptions(driver?.args.slice(1) ?? []);
	const served = [{nodeId, csiSocket, kubeletDir}, ...otherNodes];
	expect(served.map((node) => node.nodeId)).toEqual(['node1', 'node2']);
	expect(new Set(served.flatMap((node) => [node.csiSocket, node.kubeletDir])).size).toBe(4);
});

it('changes nothing for a cluster of one node when there can be more', () => {
	const driver = daemons.find(({name}) => name === 'csi-reflink');
	expect(parseOptions(driver?.args.slice(1) ?? [])).toMatchObject({nodeId: 'node1', otherNodes: []});
});

it('runs every program that is built, but for the ones that people and tests call', () => {
	const run = new Set(daemons.map(({program}) => program.replace('/bin/', '')));
	expect(programNames.filter((name) => !run.has(name))).toEqual(['kubectl', 'csi-sanity']);
});

it('has no snapshotter for the driver without snapshots', () => {
	expect(daemons.map(({name}) => name)).toContain('csi-snapshotter-reflink');
	expect(daemons.map(({name}) => name)).not.toContain('csi-snapshotter-nosnap');
});

const process = (startTicks: number, ...argv: string[]) => ({
	pid: 1,
	argv,
	environment: new Map<string, string>(),
	cgroups: '',
	startTicks,
});

it('knows a daemon by its whole command line', () => {
	const daemon = {name: 'x', program: '/bin/x', args: ['--a=1', '--b=2']};
	const runs = (...argv: string[]) => runsAsWanted(daemon, new Map([['x', process(1, ...argv)]]));
	expect(runs('/bin/x', '--a=1', '--b=2')).toBe(true);
	expect(runs('/bin/x', '--a=1', '--b=3')).toBe(false);
	expect(runs('/bin/x', '--a=1')).toBe(false);
	expect(runsAsWanted(daemon, new Map())).toBe(false);
});

it('starts a sidecar anew whose driver is younger than it', () => {
	const sidecar = {name: 'sidecar', program: '/bin/s', args: [], startedAfter: 'driver'};
	const runs = (driverTicks: number) =>
		runsAsWanted(
			sidecar,
			new Map([
				['sidecar', process(5, '/bin/s')],
				['driver', process(driverTicks, '/bin/d')],
			]),
		);
	expect(runs(4)).toBe(true);
	expect(runs(6)).toBe(false);
});
