/** The real Caches without a server: stores are filled by hand. */
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {Caches} from '../../src/kube/caches.ts';
import {keyOf} from '../../src/kube/object-key.ts';
import type {Change, ChangeHandler, WatchProgress} from '../../src/kube/reflector.ts';
import * as resources from '../../src/kube/resources.ts';
import {apiPath, apiVersionOf, type Resource} from '../../src/kube/resources.ts';
import {Store} from '../../src/kube/store.ts';
import {silentLogger} from '../../src/process/log.ts';

/** What the caches of the tests hold. */
export const cachedKinds: readonly Resource<KubeObject>[] = [
	resources.namespaces,
	resources.dataVolumes,
	resources.dataSources,
	resources.volumeImportSources,
	resources.volumeCloneSources,
	resources.configMaps,
	resources.storageProfiles,
	resources.cdis,
	resources.cdiConfigs,
	resources.sharedSnapshots,
	resources.persistentVolumeClaims,
	resources.persistentVolumes,
	resources.pods,
	resources.events,
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
	const found = cachedKinds.find((kind) => kind.kind === object.kind && apiVersionOf(kind) === object.apiVersion);
	if (!found) throw new Error(`${object.apiVersion} ${object.kind} is not among the kinds of MemoryCaches`);
	return found;
}

/** As if every watch had had its first list: the kinds of the cluster are all served. */
class FilledCaches extends Caches {
	readonly #handlers = new Map<string, ChangeHandler<never>[]>();
	readonly #epochs = new Map<string, number>();

	override progress<T extends KubeObject>(resource: Resource<T>): WatchProgress {
		const epoch = this.#epochs.get(apiPath(resource)) ?? 1;
		return {hasSynced: true, resourceVersion: '1', epoch, hasSeen: () => true};
	}

	override onChange<T extends KubeObject>(resource: Resource<T>, handler: ChangeHandler<T>): void {
		super.onChange(resource, handler);
		const path = apiPath(resource);
		this.#handlers.set(path, [...(this.#handlers.get(path) ?? []), handler]);
	}

	tell(change: Change<KubeObject>): void {
		// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- kept under the path of the object's type
		for (const handler of this.#handlers.get(apiPath(resourceOf(change.object))) ?? []) handler(change as never);
	}

	loseHistory<T extends KubeObject>(resource: Resource<T>): void {
		const path = apiPath(resource);
		this.#epochs.set(path, (this.#epochs.get(path) ?? 1) + 1);
	}
}

/** Objects are frozen deeply: a decision that writes to the cache fails its test. */
export class MemoryCaches {
	readonly #caches: FilledCaches;
	constructor(objects: readonly KubeObject[] = []) {
		this.#caches = new FilledCaches({
			kinds: cachedKinds.map((resource) => ({resource})),
			log: silentLogger,
			freeze: true,
			api: {
				list: () => Promise.reject(new Error('these caches are filled by hand')),
				watch: () => {
					throw new Error('these caches are filled by hand');
				},
			},
		});
		for (const object of objects) this.set(object);
	}

	get caches(): Caches {
		return this.#caches;
	}

	/** Who listens for changes is told, as by a watch. */
	set(object: KubeObject): void {
		const store = this.#store(object);
		const old = store.get(object.metadata.namespace, object.metadata.name);
		const now = structuredClone(object);
		store.set(now);
		this.#caches.tell(old ? {type: 'update', old, object: now} : {type: 'add', object: now});
	}

	remove(object: KubeObject): void {
		this.#store(object).remove(keyOf(object));
		this.#caches.tell({type: 'delete', object});
	}

	/** The watch of this kind has begun anew with a list: what happened in between is not known. */
	loseHistory<T extends KubeObject>(resource: Resource<T>): void {
		this.#caches.loseHistory(resource);
	}

	#store(object: KubeObject): Store<KubeObject> {
		const store = this.#caches.store(resourceOf(object));
		if (!(store instanceof Store)) throw new Error('the store of a cache is no Store');
		return store;
	}
}
