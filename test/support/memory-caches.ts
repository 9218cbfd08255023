/** The real Caches without a server: stores are filled by hand. */
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {Caches} from '../../src/kube/caches.ts';
import {keyOf} from '../../src/kube/object-key.ts';
import * as resources from '../../src/kube/resources.ts';
import {apiVersionOf, type Resource} from '../../src/kube/resources.ts';
import {Store} from '../../src/kube/store.ts';
import {silentLogger} from '../../src/process/log.ts';

const kinds: readonly Resource<KubeObject>[] = [
	resources.dataVolumes,
	resources.volumeImportSources,
	resources.volumeCloneSources,
	resources.sharedSnapshots,
	resources.persistentVolumeClaims,
	resources.persistentVolumes,
	resources.pods,
	resources.nodes,
	resources.storageClasses,
	resources.csiDrivers,
	resources.csiNodes,
	resources.volumeSnapshots,
	resources.volumeSnapshotContents,
	resources.volumeSnapshotClasses,
	resources.validatingAdmissionPolicies,
	resources.validatingAdmissionPolicyBindings,
];

export function resourceOf(object: Pick<KubeObject, 'apiVersion' | 'kind'>): Resource<KubeObject> {
	const found = kinds.find((kind) => kind.kind === object.kind && apiVersionOf(kind) === object.apiVersion);
	if (!found) throw new Error(`${object.apiVersion} ${object.kind} is not among the kinds of MemoryCaches`);
	return found;
}

/** Objects are frozen deeply: a decision that writes to the cache fails its test. */
export class MemoryCaches {
	readonly caches: Caches;
	/** What a list of each kind answers, for tests that start the watches. */
	readonly #objects: readonly KubeObject[];

	constructor(objects: readonly KubeObject[] = []) {
		this.#objects = objects;
		this.caches = new Caches({
			kinds: kinds.map((resource) => ({resource})),
			log: silentLogger,
			freeze: true,
			api: {
				list: async (resource) => ({
					// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- selected by the kind that T is the type of
					items: this.#objects.filter((object) => resourceOf(object) === (resource as unknown)) as never,
					resourceVersion: '1',
				}),
				watch: (_, options) => quietUntil(options?.signal),
			},
		});
		for (const object of objects) this.set(object);
	}

	set(object: KubeObject): void {
		this.#store(object).set(structuredClone(object));
	}

	remove(object: KubeObject): void {
		this.#store(object).remove(keyOf(object));
	}

	#store(object: KubeObject): Store<KubeObject> {
		const store = this.caches.store(resourceOf(object));
		if (!(store instanceof Store)) throw new Error('the store of a cache is no Store');
		return store;
	}
}

// oxlint-disable-next-line require-yield -- a watch on which nothing happens
async function* quietUntil(signal: AbortSignal | undefined): AsyncGenerator<never> {
	if (!signal || signal.aborted) return;
	await new Promise((resolve) => {
		signal.addEventListener('abort', resolve, {once: true});
	});
}
