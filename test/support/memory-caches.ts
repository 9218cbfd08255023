/** The real Caches without a server: stores are filled by hand. */
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {Caches} from '../../src/kube/caches.ts';
import {keyOf} from '../../src/kube/object-key.ts';
import type {WatchProgress} from '../../src/kube/reflector.ts';
import * as resources from '../../src/kube/resources.ts';
import {apiVersionOf, type Resource} from '../../src/kube/resources.ts';
import {Store} from '../../src/kube/store.ts';
import {silentLogger} from '../../src/process/log.ts';

const kinds: readonly Resource<KubeObject>[] = [
	resources.namespaces,
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

/** As if every watch had had its first list: the kinds of the cluster are all served. */
class FilledCaches extends Caches {
	override progress(): WatchProgress {
		return {hasSynced: true, resourceVersion: '1', epoch: 1, hasSeen: () => true};
	}
}

/** Objects are frozen deeply: a decision that writes to the cache fails its test. */
export class MemoryCaches {
	readonly caches: Caches;
	constructor(objects: readonly KubeObject[] = []) {
		this.caches = new FilledCaches({
			kinds: kinds.map((resource) => ({resource})),
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
