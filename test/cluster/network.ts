import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {z} from 'zod';
import {type Addresses, chooseAddresses, clusterNumbers} from './addresses.ts';
import {run} from './command.ts';
import {withFileLock} from './file-lock.ts';
import type {Layout} from './layout.ts';

/**
 * One network namespace holds the whole cluster: daemons, pods, ports and kube-proxy's iptables rules. kube-proxy owns chains with fixed
 * names and would delete another cluster's; in a namespace of its own it cannot, and the host gets no rule at all. The rest of the world
 * is the host, over one veth pair; the host routes the pod and service networks there.
 */
export async function createNetwork(layout: Layout): Promise<Addresses> {
	// Between choosing numbers and having the routes that show them as taken, no other cluster may choose.
	return withFileLock('/run/lock/onesnap-network.lock', 'it sets up a network', async () => {
		const preferred = Number.parseInt(layout.id.slice(0, 4), 16) % clusterNumbers;
		const addresses = chooseAddresses(preferred, await routedNetworks());
		await mkdir(path.dirname(layout.netnsFile), {recursive: true});
		await writeFile(layout.netnsFile, '');
		await run('unshare', [`--net=${layout.netnsFile}`, 'true']);
		await connectToHost(layout, addresses);
		return addresses;
	});
}

/** The command line that runs a program in the cluster's network. The mount namespace stays the host's: the kubelet must see the driver's mounts. */
export function insideNetwork(
	layout: Layout,
	program: string,
	args: readonly string[],
): readonly [string, readonly string[]] {
	return ['nsenter', [`--net=${layout.netnsFile}`, '--', program, ...args]];
}

async function connectToHost(layout: Layout, addresses: Addresses): Promise<void> {
	const onHost = (args: string) => run('ip', args.split(' '));
	const inside = (command: string) => run(...insideNetwork(layout, 'sh', ['-c', command]));
	const {hostInterface} = layout;
	await onHost(`link add ${hostInterface} type veth peer name eth0 netns ${layout.netnsFile}`);
	await onHost(`address add ${addresses.hostAddress}/30 dev ${hostInterface}`);
	await onHost(`link set ${hostInterface} up`);
	await inside(
		[
			'ip link set lo up',
			`ip address add ${addresses.nodeAddress}/30 dev eth0`,
			'ip link set eth0 up',
			`ip route add default via ${addresses.hostAddress}`,
			'echo 1 > /proc/sys/net/ipv4/ip_forward',
		].join(' && '),
	);
	await onHost(`route add ${addresses.podNetwork} via ${addresses.nodeAddress}`);
	await onHost(`route add ${addresses.serviceNetwork} via ${addresses.nodeAddress}`);
}

const routesSchema = z.array(z.object({dst: z.string()}));

async function routedNetworks(): Promise<string[]> {
	const routes = routesSchema.parse(JSON.parse(await run('ip', ['-4', '-json', 'route', 'show', 'table', 'all'])));
	return routes.map((route) => (route.dst === 'default' ? '0.0.0.0/0' : route.dst));
}
