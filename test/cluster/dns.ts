import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {Addresses} from './addresses.ts';
import type {Daemon} from './daemon.ts';
import type {Layout} from './layout.ts';

/** Answers for Services and pods only: nothing is forwarded, a test cluster has no business on the internet. */
export async function prepareDns(layout: Layout, addresses: Addresses, kubeconfig: string): Promise<void> {
	await writeFile(
		corefile(layout),
		`.:53 {
	bind ${addresses.nodeAddress}
	errors
	cache 5
	kubernetes cluster.local in-addr.arpa {
		kubeconfig ${kubeconfig}
		pods insecure
	}
}
`,
	);
}

export function dnsDaemon(layout: Layout, program: string): Daemon {
	return {name: 'coredns', program, args: ['-conf', corefile(layout)]};
}

function corefile(layout: Layout): string {
	return path.join(layout.runDir, 'Corefile');
}
