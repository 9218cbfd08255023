/**
 * As much of an API server as the sharing protocol depends on: versions, UIDs, finalizers, preconditions, and one watch a
 * kind that delivers when it is told to. Writes can go wrong in the two ways there are: refused, or done but not answered.
 */
import type {KubeObject} from '../../../src/api/kubernetes.ts';
import type {DeleteOptions, KubeApi, ObjectKey, PatchOptions} from '../../../src/kube/client.ts';
import {ApiError, NoAnswerError} from '../../../src/kube/errors.ts';
import {keyOf, makeKey} from '../../../src/kube/object-key.ts';
import {apiPath, type Resource} from '../../../src/kube/resources.ts';
import {MemoryCaches, resourceOf} from '../memory-caches.ts';

/** What happens to the next write. */
export type Fault = 'refused' | 'unanswered';

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
	typeof value === 'object' && value !== null && !Array.isArray(value);

/** RFC 7396. */
function merge(before: unknown, patch: unknown): unknown {
	if (!isObject(patch)) return patch;
	const merged: Record<string, unknown> = isObject(before) ? {...before} : {};
	for (const [name, value] of Object.entries(patch)) {
		if (value === null) delete merged[name];
		else merged[name] = merge(merged[name], value);
	}
	return merged;
}

/** What the watch has not delivered yet. */
interface News {
	readonly object: KubeObject;
	readonly removed: boolean;
}

export class ModelApiServer {
	readonly memory = new MemoryCaches();
	readonly api: KubeApi;
	/** Counts every change: two turns of the world without one are the end. */
	revision = 1;
	fault: Fault | undefined;
	readonly #kinds = new Map<string, Map<string, KubeObject>>();
	readonly #news = new Map<string, News[]>();

	constructor() {
		this.api = this.#makeApi();
	}

	list<T extends KubeObject>(resource: Resource<T>): T[] {
		return [...this.#kind(resource).values()];
	}

	get<T extends KubeObject>(resource: Resource<T>, {namespace, name}: ObjectKey): T | undefined {
		return this.#kind(resource).get(makeKey(resource.namespaced ? namespace : undefined, name));
	}

	create<T extends KubeObject>(resource: Resource<T>, object: T): T {
		const known = this.get(resource, object.metadata);
		if (known) throw refusal(409, 'AlreadyExists');
		const revision = this.revision + 1;
		const uid = object.metadata.uid ?? `${resource.plural}-${revision}`;
		const creationTimestamp = object.metadata.creationTimestamp ?? new Date(revision * 1000).toISOString();
		return this.#write(resource, {...object, metadata: {...object.metadata, uid, creationTimestamp}});
	}

	patch<T extends KubeObject>(resource: Resource<T>, key: ObjectKey, patch: unknown, options: PatchOptions = {}): T {
		const before = this.get(resource, key);
		if (!before) throw refusal(404, 'NotFound');
		const uid = options.uid ?? (isObject(patch) && isObject(patch['metadata']) ? patch['metadata']['uid'] : undefined);
		if (uid !== undefined && uid !== before.metadata.uid) throw refusal(409, 'Conflict');
		const {resourceVersion} = options;
		if (resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion)
			throw refusal(409, 'Conflict');
		// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a patch keeps the type
		return this.#write(resource, merge(before, patch) as T);
	}

	delete<T extends KubeObject>(resource: Resource<T>, key: ObjectKey, {uid}: DeleteOptions = {}): boolean {
		const object = this.get(resource, key);
		if (!object) return false;
		if (uid !== undefined && object.metadata.uid !== uid) throw refusal(409, 'Conflict');
		if (object.metadata.deletionTimestamp) return true;
		this.#write(resource, {
			...object,
			metadata: {...object.metadata, deletionTimestamp: new Date(this.revision * 1000).toISOString()},
		});
		return true;
	}

	/** Removes one finalizer; the object goes with the last one if it is being deleted. */
	release<T extends KubeObject>(resource: Resource<T>, object: T, finalizer: string): void {
		const finalizers = (object.metadata.finalizers ?? []).filter((name) => name !== finalizer);
		this.patch(resource, object.metadata, {metadata: {finalizers}});
	}

	/** Kinds of which the watch has something to tell. */
	get late(): readonly string[] {
		return [...this.#news].filter(([, news]) => news.length > 0).map(([kind]) => kind);
	}

	/** The caches hear of the oldest change of one kind, or of all of all kinds. */
	deliver(kind: string): void {
		const news = this.#news.get(kind)?.shift();
		if (!news) return;
		if (news.removed) this.memory.remove(news.object);
		else this.memory.set(news.object);
	}

	deliverAll(): void {
		for (const kind of this.late) while (this.#news.get(kind)?.length) this.deliver(kind);
	}

	#kind<T extends KubeObject>(resource: Resource<T>): Map<string, T> {
		const path = apiPath(resource);
		const known = this.#kinds.get(path) ?? new Map<string, KubeObject>();
		this.#kinds.set(path, known);
		// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the path is the type's
		return known as Map<string, T>;
	}

	#write<T extends KubeObject>(resource: Resource<T>, object: T): T {
		this.revision += 1;
		const written = {...object, metadata: {...object.metadata, resourceVersion: String(this.revision)}};
		const removed = written.metadata.deletionTimestamp !== undefined && !written.metadata.finalizers?.length;
		if (removed) this.#kind(resource).delete(keyOf(written));
		else this.#kind(resource).set(keyOf(written), written);
		const kind = apiPath(resourceOf(object));
		this.#news.set(kind, [...(this.#news.get(kind) ?? []), {object: written, removed}]);
		return written;
	}

	async #attempt<A>(write: () => A): Promise<A> {
		const {fault} = this;
		this.fault = undefined;
		if (fault === 'refused') throw lost();
		const answer = write();
		if (fault === 'unanswered') throw lost();
		return answer;
	}

	#makeApi(): KubeApi {
		const unused = () => {
			throw new Error('the model has no such request');
		};
		return {
			get: async (resource, key) => {
				const object = this.get(resource, key);
				if (!object) throw refusal(404, 'NotFound');
				return object;
			},
			find: async (resource, key) => this.get(resource, key),
			create: (resource, object) => this.#attempt(() => this.create(resource, object)),
			mergePatch: (resource, key, patch, options) => this.#attempt(() => this.patch(resource, key, patch, options)),
			mergePatchStatus: (resource, key, patch, options) =>
				this.#attempt(() => this.patch(resource, key, patch, options)),
			delete: (resource, key, options) => this.#attempt(() => this.delete(resource, key, options)),
			list: async (resource, {labelSelector = '', limit} = {}) => {
				const [label = '', value] = labelSelector.split('=', 2);
				const items = this.list(resource).filter(({metadata}) => metadata.labels?.[label] === value);
				return {items: items.slice(0, limit), resourceVersion: String(this.revision)};
			},
			update: unused,
			jsonPatch: unused,
			apply: unused,
			applyStatus: unused,
			watch: unused,
			post: unused,
		};
	}
}

const line = {method: 'PATCH', path: '/model'};
const refusal = (code: number, reason: string) => new ApiError(line, {code, reason, message: reason});
const lost = () => new NoAnswerError(line, {reason: 'Timeout', message: 'no answer'});
