/**
 * The real Caches over the model's server: one watch a kind that tells when it is told to, loses its history when it is
 * told to, and counts its epochs as a reflector does.
 */
import type {KubeObject} from '../../../src/api/kubernetes.ts';
import {Caches} from '../../../src/kube/caches.ts';
import {keyOf} from '../../../src/kube/object-key.ts';
import type {Change, ChangeHandler, WatchProgress} from '../../../src/kube/reflector.ts';
import {compareResourceVersions} from '../../../src/kube/resource-version.ts';
import * as resources from '../../../src/kube/resources.ts';
import {apiPath, type Resource} from '../../../src/kube/resources.ts';
import {type ReadStore, Store} from '../../../src/kube/store.ts';
import {silentLogger} from '../../../src/process/log.ts';
import {cachedKinds} from '../memory-caches.ts';
import type {ModelServer} from './server.ts';

class ModelWatch implements WatchProgress {
	/** How much of the kind's history was told. */
	told = 0;
	/** Hangs: tells nothing until it goes on. */
	isStalled = false;
	epoch = 1;
	resourceVersion: string;

	constructor(resourceVersion: string) {
		this.resourceVersion = resourceVersion;
	}

	get hasSynced(): boolean {
		return true;
	}

	hasSeen(resourceVersion: string): boolean {
		return compareResourceVersions(this.resourceVersion, resourceVersion) >= 0;
	}
}

const paths = cachedKinds.map((resource) => apiPath(resource));
const unserved = {
	list: () => Promise.reject(new Error('the model feeds these caches')),
	watch: () => {
		throw new Error('the model feeds these caches');
	},
};

export class WatchedCaches extends Caches {
	readonly #server: ModelServer;
	readonly #watches = new Map<string, ModelWatch>();
	readonly #handlers = new Map<string, ChangeHandler<KubeObject>[]>();
	readonly #stores = new Map<string, Store<KubeObject>>();
	readonly #byResource = new Map<object, ReadStore<KubeObject>>();

	constructor(server: ModelServer) {
		super({kinds: cachedKinds.map((resource) => ({resource})), log: silentLogger, api: unserved});
		this.#server = server;
		for (const resource of cachedKinds) {
			const path = apiPath(resource);
			const store = super.store(resource);
			if (!(store instanceof Store)) throw new Error('the store of a cache is no Store');
			this.#stores.set(path, store);
			const watch = new ModelWatch(String(server.revision));
			watch.told = server.history(path).length;
			this.#watches.set(path, watch);
			for (const object of server.objects(path)) store.set(object);
		}
	}

	/** Looked up by the descriptor itself: a sequence asks for stores some ten thousand times. */
	override store<T extends KubeObject>(resource: Resource<T>): ReadStore<T> {
		let found = this.#byResource.get(resource);
		if (!found) this.#byResource.set(resource, (found = super.store<KubeObject>(resource)));
		// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- found by the resource that it was made for
		return found as ReadStore<T>;
	}

	override progress<T extends KubeObject>(resource: Resource<T>): WatchProgress {
		return this.#watch(apiPath(resource));
	}

	override onChange<T extends KubeObject>(resource: Resource<T>, handler: ChangeHandler<T>): void {
		const path = apiPath(resource);
		// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the path is the type's
		const handlers = handler as ChangeHandler<KubeObject>;
		this.#handlers.set(path, [...(this.#handlers.get(path) ?? []), handlers]);
		for (const object of this.#storeOf(path).list()) handlers({type: 'add', object});
	}

	/** Kinds of which the watch has something to tell. */
	get late(): readonly string[] {
		return paths.filter((path) => this.#isLate(path));
	}

	#isLate(path: string): boolean {
		const {told, isStalled} = this.#watch(path);
		return !isStalled && told < this.#server.history(path).length;
	}

	/** The watch of this kind hangs, or goes on if it did. */
	stall(path: string): void {
		const watch = this.#watch(path);
		watch.isStalled = !watch.isStalled;
	}

	/** All watches are well. */
	goOn(): void {
		for (const watch of this.#watches.values()) watch.isStalled = false;
	}

	/** The oldest change of this kind that was not told yet. */
	deliver(path: string): void {
		const watch = this.#watch(path);
		const news = this.#server.history(path)[watch.told];
		if (!news) return;
		watch.told += 1;
		watch.resourceVersion = String(news.version);
		const store = this.#storeOf(path);
		if (news.removed) {
			if (store.remove(keyOf(news.object))) this.#tell(path, {type: 'delete', object: news.object});
			return;
		}
		const {old, object} = store.set(news.object);
		this.#tell(path, old ? {type: 'update', old, object} : {type: 'add', object});
	}

	deliverAll(): void {
		for (const path of paths) while (this.#isLate(path)) this.deliver(path);
	}

	/** The server no longer has the history: what happened in between shows as its net effect. */
	loseHistory(path: string): void {
		const watch = this.#watch(path);
		const store = this.#storeOf(path);
		const objects = this.#server.objects(path);
		const changes: Change<KubeObject>[] = [];
		const present = new Set(objects.map(keyOf));
		for (const key of [...store.keys()]) {
			const gone = present.has(key) ? undefined : store.remove(key);
			if (gone) changes.push({type: 'delete', object: gone});
		}
		for (const object of objects) {
			const {old} = store.set(object);
			if (old && old.metadata.uid === object.metadata.uid) {
				if (old.metadata.resourceVersion !== object.metadata.resourceVersion)
					changes.push({type: 'update', old, object});
				continue;
			}
			if (old) changes.push({type: 'delete', object: old});
			changes.push({type: 'add', object});
		}
		watch.told = this.#server.history(path).length;
		watch.resourceVersion = String(this.#server.revision);
		watch.epoch += 1;
		watch.isStalled = false;
		for (const change of changes) this.#tell(path, change);
	}

	/** What changes while a sequence runs. */
	static readonly changing: readonly string[] = [
		resources.dataVolumes,
		resources.sharedSnapshots,
		resources.volumeSnapshots,
		resources.volumeSnapshotContents,
		resources.persistentVolumeClaims,
		resources.persistentVolumes,
		resources.pods,
		resources.namespaces,
		resources.dataSources,
	].map((resource) => apiPath(resource));

	#tell(path: string, change: Change<KubeObject>): void {
		for (const handler of this.#handlers.get(path) ?? []) handler(change);
	}

	#watch(path: string): ModelWatch {
		const watch = this.#watches.get(path);
		if (!watch) throw new Error(`${path} is not watched in the model`);
		return watch;
	}

	#storeOf(path: string): Store<KubeObject> {
		const store = this.#stores.get(path);
		if (!store) throw new Error(`${path} is not watched in the model`);
		return store;
	}
}
