/** One look at all that a DataVolume depends on, through the eyes of the controller: its caches, its observe, its decide. */
import type {DataVolume} from '../../api/datavolume.ts';
import type {Event} from '../../api/event.ts';
import type {KubeObject} from '../../api/kubernetes.ts';
import {clusterSettings} from '../../cdiconfig/settings.ts';
import {cachedKinds, failures} from '../../datavolume/cached-kinds.ts';
import {type DataVolumePlan, decide} from '../../datavolume/decide.ts';
import {addIndexes, type Observed, observe} from '../../datavolume/observe.ts';
import {Caches} from '../../kube/caches.ts';
import type {KubeApi, ListOptions} from '../../kube/client.ts';
import {isForbidden, isNotFound} from '../../kube/errors.ts';
import {keyOf} from '../../kube/object-key.ts';
import * as resources from '../../kube/resources.ts';
import type {Resource} from '../../kube/resources.ts';
import {addPopulationIndexes, populationOf} from '../../populate/population.ts';
import {silentLogger} from '../../process/log.ts';
import {addSharingIndexes} from '../../smartclone/observe.ts';
import {WaitingRequests} from '../../smartclone/requests.ts';
import {Refusal} from '../failure.ts';

export interface Unread {
	/** `persistentvolumes`, or `pods in namespace golden`. */
	readonly what: string;
	readonly why: 'forbidden' | 'not served';
}

export interface Sight {
	readonly dataVolume: DataVolume;
	readonly caches: Caches;
	readonly observed: Observed;
	/** What the controller does next, as far as it depends on what was read. */
	readonly plan: DataVolumePlan;
	/**
	 * Enough was read for `observed` and `plan` to be what the controller sees. Otherwise only what it wrote is known: status,
	 * annotations, events.
	 */
	readonly isJudged: boolean;
	readonly unread: readonly Unread[];
	/** Of the DataVolume and its claim. */
	readonly events: readonly Event[];
	readonly nowMs: number;
}

/** Without them something may be missing in the text, but nothing in it is wrong. */
const dispensable: ReadonlySet<Resource<KubeObject>> = new Set<Resource<KubeObject>>([
	resources.events,
	resources.namespaces,
	resources.nodes,
	resources.csiNodes,
	resources.cdis,
]);

/** Asked for only where the source is in another namespace. */
const ofOtherNamespaces: ReadonlySet<Resource<KubeObject>> = new Set<Resource<KubeObject>>([
	resources.validatingAdmissionPolicies,
	resources.validatingAdmissionPolicyBindings,
]);

/** Its own, and that of what it is made from: no DataSource leads anywhere else. */
function namespacesOf({metadata, spec: {source, sourceRef}}: DataVolume): string[] {
	const named = [source?.pvc, source?.snapshot, sourceRef].map((each) => each?.namespace);
	return [...new Set([metadata.namespace, ...named])].flatMap((each) => each || []);
}

interface Missed extends Unread {
	readonly resource: Resource<KubeObject>;
}

function whyOf(error: unknown): Unread['why'] | undefined {
	if (isForbidden(error)) return 'forbidden';
	return isNotFound(error) ? 'not served' : undefined;
}

/** Lists of namespaced kinds are of these namespaces; what may not be listed in one of them is missed, the rest is read. */
function within(
	api: Pick<KubeApi, 'list'>,
	namespaces: readonly string[],
	missed: Missed[],
): Pick<KubeApi, 'list' | 'watch'> {
	async function listIn<T extends KubeObject>(resource: Resource<T>, options: ListOptions, namespace: string) {
		try {
			return await listWhole(api, resource, {...options, namespace});
		} catch (error) {
			if (!isForbidden(error)) throw error;
			missed.push({resource, what: `${resource.plural} in namespace ${namespace}`, why: 'forbidden'});
			return {items: [], resourceVersion: '0'};
		}
	}
	return {
		async list(resource, options = {}) {
			if (!resource.namespaced) return api.list(resource, options);
			const lists = await Promise.all(namespaces.map((namespace) => listIn(resource, options, namespace)));
			return {items: lists.flatMap(({items}) => items), resourceVersion: lists[0]?.resourceVersion ?? '0'};
		},
		watch() {
			throw new Error('one look watches nothing');
		},
	};
}

async function listWhole<T extends KubeObject>(
	api: Pick<KubeApi, 'list'>,
	resource: Resource<T>,
	options: ListOptions,
) {
	const items: T[] = [];
	let next: string | undefined;
	for (;;) {
		const page = await api.list(resource, {...options, continue: next});
		items.push(...page.items);
		next = page.continue;
		if (next === undefined) return {items, resourceVersion: page.resourceVersion};
	}
}

function judge(caches: Caches, key: string, nowMs: number): {observed: Observed; plan: DataVolumePlan} {
	addIndexes(caches);
	addSharingIndexes(caches);
	addPopulationIndexes(caches);
	// Neither the image nor the proxy of a Pod that is made says anything about what a DataVolume waits for.
	const cluster = clusterSettings(caches);
	const honorsFirstConsumer = cluster.hasGate('HonorWaitForFirstConsumer');
	const settings = {...cluster, honorsFirstConsumer, image: '', importProxy: undefined};
	const observed = observe(key, {
		caches,
		// What it has in memory only, and says again after each restart.
		waiting: new WaitingRequests(() => {}),
		lost: {messageOf: () => undefined},
		percentOf: () => undefined,
		populationOf: (claim) => populationOf(claim, {caches, settings, nowMs}),
		now: () => nowMs,
	});
	return {observed, plan: decide(observed)};
}

export interface LookWanted {
	readonly api: Pick<KubeApi, 'list' | 'find'>;
	readonly namespace: string;
	readonly name: string;
	readonly nowMs: number;
	readonly signal: AbortSignal;
}

/** Rejects with {@link Refusal} where there is no such DataVolume. */
export async function look({api, namespace, name, nowMs, signal}: LookWanted): Promise<Sight> {
	const found = await api.find(resources.dataVolumes, {namespace, name}, {signal});
	// Its kind, too, may be missing: the next request says so.
	if (!found) throw await noSuch(api, namespace, name, signal);
	const namespaces = namespacesOf(found);
	const missed: Missed[] = [];
	const kinds = [...cachedKinds, {resource: failures.resource}];
	const caches = new Caches({api: within(api, namespaces, missed), kinds, log: silentLogger});
	for (const {resource, error} of await caches.listOnce(signal)) {
		const why = whyOf(error);
		if (why === undefined) throw error;
		missed.push({resource, what: resource.plural, why});
	}
	const isElsewhere = namespaces.length > 1;
	const counts = ({resource}: Missed) =>
		!dispensable.has(resource) && (isElsewhere || !ofOtherNamespaces.has(resource));
	const {observed, plan} = judge(caches, keyOf(found), nowMs);
	const uids = new Set([found.metadata.uid, observed.claim?.metadata.uid]);
	return {
		// What may not be listed may still be read by name.
		dataVolume: observed.dataVolume ?? found,
		caches,
		observed,
		plan,
		isJudged: observed.dataVolume !== undefined && !missed.some(counts),
		unread: missed.filter(counts).map(({what, why}) => ({what, why})),
		events: caches
			.store(resources.events)
			.list()
			.filter(({involvedObject: {uid}}) => uids.has(uid)),
		nowMs,
	};
}

/** Names what there is, so that a slip of the namespace shows. */
async function noSuch(api: LookWanted['api'], namespace: string, name: string, signal: AbortSignal): Promise<Error> {
	const {items} = await api.list(resources.dataVolumes, {namespace, limit: 1, signal});
	const hint = items.length === 0 ? 'it has none at all' : 'kubectl dv list shows what it has';
	return new Refusal(`Namespace ${namespace} has no DataVolume ${name}: ${hint}; --namespace names another`);
}
