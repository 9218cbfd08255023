import {expect, it} from 'vitest';
import {makeAddresses} from './addresses.ts';
import {programNames} from './binaries.ts';
import {allDaemons, clusterDaemons, type ClusterPrograms} from './cluster-daemons.ts';
import {makeLayout} from './layout.ts';
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
};
const daemons = allDaemons(clusterDaemons(makeLayout('/checkout'), makeAddresses(1), programs));

it('gives every daemon a name of its own', () => {
	const names = daemons.map(({name}) => name);
	expect(new Set(names).size).toBe(names.length);
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
