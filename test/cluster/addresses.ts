import {hostOf, networksOverlap, parseNetwork} from './ipv4.ts';

/** The networks of one cluster. Its number makes them different from those of other clusters on this machine. */
export type Addresses = {
	readonly number: number;
	/** The link between the host and the cluster's network namespace. */
	readonly linkNetwork: string;
	/** The host as pods and daemons see it. */
	readonly hostAddress: string;
	/** The node, the API server and the DNS server. */
	readonly nodeAddress: string;
	readonly podNetwork: string;
	readonly serviceNetwork: string;
};

export const clusterNumbers = 256;

export function makeAddresses(number: number): Addresses {
	const linkNetwork = `10.243.${number}.0/30`;
	return {
		number,
		linkNetwork,
		hostAddress: hostOf(linkNetwork, 1),
		nodeAddress: hostOf(linkNetwork, 2),
		podNetwork: `10.244.${number}.0/24`,
		serviceNetwork: `10.245.${number}.0/24`,
	};
}

/**
 * The first number, from `preferred` on, whose networks do not meet one that the host routes already. Wide routes (a default route, a
 * VPN's 10.0.0.0/8) do not count: ours are narrower and win over them.
 */
export function chooseAddresses(preferred: number, routes: readonly string[]): Addresses {
	const narrow = routes.filter((route) => parseNetwork(route).length > 14);
	for (let step = 0; step < clusterNumbers; step++) {
		const addresses = makeAddresses((preferred + step) % clusterNumbers);
		const wanted = [addresses.linkNetwork, addresses.podNetwork, addresses.serviceNetwork];
		if (!narrow.some((route) => wanted.some((network) => networksOverlap(route, network)))) return addresses;
	}
	throw new Error(
		'all of 10.243.0.0/16, 10.244.0.0/16 and 10.245.0.0/16 is routed already: no networks left for a cluster',
	);
}
