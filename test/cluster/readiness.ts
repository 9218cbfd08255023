import {z} from 'zod';
import type {Kubectl} from './kubectl.ts';
import type {ClusterNode} from './node.ts';
import {driversOf} from './storage.ts';

/** What the cluster does not have yet, in words; nothing when a pod with a volume could run now. */
export async function missingPieces(kubectl: Kubectl, nodes: readonly ClusterNode[]): Promise<string[]> {
	const missing: string[] = [];
	// One request each for objects that may not exist yet: asking for them by name would be an error, not an answer.
	const nodeList = nodeListSchema.parse(await kubectl.get('nodes'));
	const csiNodes = csiNodeListSchema.parse(await kubectl.get('csinodes'));
	for (const {name} of nodes) {
		const node = nodeList.items.find((each) => each.metadata.name === name);
		const ready = node?.status.conditions?.some(({type, status}) => type === 'Ready' && status === 'True');
		if (!ready) missing.push(`node ${name} is not Ready`);
		const registered = csiNodes.items.find((each) => each.metadata.name === name)?.spec.drivers ?? [];
		for (const driver of driversOf(nodes)) {
			if (!registered.some((each) => each.name === driver.name)) {
				missing.push(`CSI driver ${driver.name} is not registered on ${name}`);
			}
		}
	}
	// Made by kube-controller-manager; until then no pod can be created in the namespace.
	const serviceAccounts = await kubectl.run('get', 'serviceaccounts', '--namespace=default', '-o', 'name');
	if (!serviceAccounts.includes('serviceaccount/default')) missing.push('there is no default service account');
	return missing;
}

const nodeListSchema = z.object({
	items: z.array(
		z.object({
			metadata: z.object({name: z.string()}),
			status: z.object({conditions: z.array(z.object({type: z.string(), status: z.string()})).optional()}),
		}),
	),
});

const csiNodeListSchema = z.object({
	items: z.array(
		z.object({
			metadata: z.object({name: z.string()}),
			spec: z.object({drivers: z.array(z.object({name: z.string()})).nullish()}),
		}),
	),
});
