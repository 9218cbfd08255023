import type {KubeObject} from '../api/kubernetes.ts';
import type {KubeApi} from '../kube/client.ts';
import {isForbidden, isNotFound} from '../kube/errors.ts';
import * as resources from '../kube/resources.ts';
import type {Resource} from '../kube/resources.ts';
import {openCluster} from './cluster.ts';
import type {Command} from './command.ts';
import {connectionFlags} from './connection-flags.ts';
import {Refusal} from './failure.ts';
import {drawTree, type Family, treeOf} from './family.ts';
import {parseFlags, UsageError} from './flags.ts';
import {exitCodes, type Terminal} from './terminal.ts';

interface Place {
	readonly namespace: string;
	readonly name: string;
}

/** Lists in pages; what may not be listed in all namespaces is listed in one, and what may not be listed there is empty. */
class Reader {
	readonly #api: KubeApi;
	readonly #signal: AbortSignal;
	readonly unread = new Set<string>();

	constructor(api: KubeApi, signal: AbortSignal) {
		this.#api = api;
		this.#signal = signal;
	}

	async all<T extends KubeObject>(resource: Resource<T>, fallback?: string, namespace?: string): Promise<readonly T[]> {
		try {
			const items: T[] = [];
			let next: string | undefined;
			do {
				const page = await this.#api.list(resource, {namespace, limit: 500, continue: next, signal: this.#signal});
				items.push(...page.items);
				next = page.continue;
			} while (next !== undefined);
			return items;
		} catch (error) {
			const isMissing = isNotFound(error) && resource.kind !== resources.dataVolumes.kind;
			if (!isForbidden(error) && !isMissing) throw error;
			const where = namespace ? ` in namespace ${namespace}` : resource.namespaced ? ' of other namespaces' : '';
			this.unread.add(`${resource.plural}${where}`);
			return fallback === undefined ? [] : this.all(resource, undefined, fallback);
		}
	}
}

async function gather(reader: Reader, api: KubeApi, golden: Place, signal: AbortSignal): Promise<Family> {
	const {namespace} = golden;
	const [claim, dataVolumes, claims, shared, snapshots] = await Promise.all([
		api.find(resources.persistentVolumeClaims, golden, {signal}),
		reader.all(resources.dataVolumes, namespace),
		reader.all(resources.persistentVolumeClaims, namespace),
		reader.all(resources.sharedSnapshots),
		reader.all(resources.volumeSnapshots, undefined, namespace),
	]);
	const ours = shared.filter(({spec: {source}}) => source.namespace === namespace && source.name === golden.name);
	const volume = claim?.spec.volumeName
		? await api
				.find(resources.persistentVolumes, {name: claim.spec.volumeName}, {signal})
				.catch((error: unknown) => ignoreForbidden(error))
		: undefined;
	const driver = volume?.spec.csi?.driver ?? ours[0]?.spec.content.driver;
	return {golden, claim, driver, shared: ours, snapshots, dataVolumes, claims};
}

function ignoreForbidden(error: unknown): undefined {
	if (!isForbidden(error)) throw error;
}

function placeOf(given: string, namespace: string): Place {
	const [first = '', second, ...more] = given.split('/');
	if (more.length > 0) throw new UsageError([`"${given}" is no claim: write NAME or NAMESPACE/NAME`]);
	return second === undefined ? {namespace, name: first} : {namespace: first, name: second};
}

async function run(args: readonly string[], terminal: Terminal) {
	const {values, positionals} = parseFlags(connectionFlags, args);
	const [given, ...more] = positionals;
	if (given === undefined) throw new UsageError(['the golden claim is missing: kubectl dv tree [NAMESPACE/]NAME']);
	if (more.length > 0) throw new UsageError([`one at a time: "${more.join(' ')}" is too many`]);
	using cluster = openCluster(values);
	const {api} = cluster;
	const golden = placeOf(given, cluster.namespace);
	const reader = new Reader(api, terminal.signal);
	const family = await gather(reader, api, golden, terminal.signal);
	const tree = treeOf(family);
	if (!family.claim && tree.leaves.length === 0) {
		throw new Refusal(
			`Namespace ${golden.namespace} has no claim ${golden.name}, and nothing was cloned from it; --namespace names another`,
		);
	}
	terminal.out(drawTree(tree));
	if (family.shared.length > 0) {
		terminal.err('How many bytes these disks share is not told: no CSI call or Kubernetes object has it.\n');
	}
	if (reader.unread.size > 0) {
		terminal.err(`Could not be read, so that disks may be missing: ${[...reader.unread].join(', ')}.\n`);
	}
	return exitCodes.done;
}

export const tree: Command = {
	usage: '[NAMESPACE/]GOLDEN [flags]',
	summary: 'Show what comes from a golden claim: its shared snapshots and the clones of each',
	examples: [['Who shares the blocks of debian', 'golden/debian']],
	flags: connectionFlags,
	positional: 'claims',
	run,
};
