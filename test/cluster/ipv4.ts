/** An IPv4 network as `address/length`, taken apart. The address is a number of 32 bits. */
export type Network = {
	readonly address: number;
	readonly length: number;
};

export function parseNetwork(text: string): Network {
	const [address = '', length = '32'] = text.split('/');
	const bytes = address.split('.').map(Number);
	if (bytes.length !== 4 || bytes.some((byte) => !Number.isInteger(byte) || byte < 0 || byte > 255)) {
		throw new Error(`"${text}" is not an IPv4 network`);
	}
	return {address: bytes.reduce((sum, byte) => sum * 256 + byte, 0), length: Number(length)};
}

export function formatAddress(address: number): string {
	return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

/** The n-th address of a network. */
export function hostOf(network: string, n: number): string {
	return formatAddress(firstAddress(parseNetwork(network)) + n);
}

/** The address that Kubernetes gives to the `kubernetes` Service, and a bridge to itself. */
export function firstHost(network: string): string {
	return hostOf(network, 1);
}

export function networksOverlap(a: string, b: string): boolean {
	const [first, second] = [parseNetwork(a), parseNetwork(b)];
	const shorter = Math.min(first.length, second.length);
	return firstAddress({...first, length: shorter}) === firstAddress({...second, length: shorter});
}

function firstAddress({address, length}: Network): number {
	const size = 2 ** (32 - length);
	return Math.floor(address / size) * size;
}
