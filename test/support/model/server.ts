/**
 * As much of an API server as the sharing protocol depends on: versions, UIDs, finalizers, preconditions, namespaces that
 * go away, and the history that watches follow, each kind for itself and as late as the model likes.
 */
import type {KubeObject} from '../../../src/api/kubernetes.ts';
import {timestampOf} from '../../../src/api/timestamp.ts';
import type {DeleteOptions, ObjectKey, PatchOptions} from '../../../src/kube/client.ts';
import {ApiError} from '../../../src/kube/errors.ts';
import {keyOf, makeKey} from '../../../src/kube/object-key.ts';
import * as resources from '../../../src/kube/resources.ts';
import {apiPath, type Resource} from '../../../src/kube/resources.ts';
import {resourceOf} from '../memory-caches.ts';

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
	typeof value === 'object' && value !== null && !Array.isArray(value);

/** RFC 7396. */
function merge(before: unknown, patch: unknown): unknown {
	if (!isObject(patch)) return patch;
	const merged: Record<string, unknown> = isObject(before) ? {...before} : {};
	for (const [name, value] of Object.entries(patch)) {
		if (value === null) delete merged[name];
		else if (value !== undefined) merged[name] = merge(merged[name], value);
	}
	return merged;
}

/** Objects are shared between server and caches, so whoever writes to one must fail. What is frozen is frozen deeply. */
function freeze<T>(value: T): T {
	if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
	Object.freeze(value);
	for (const child of Object.values(value)) freeze(child);
	return value;
}

/** One change, as a watch tells it. */
export interface News {
	readonly object: KubeObject;
	readonly removed: boolean;
	readonly version: number;
}

/** Before or after every write; what it throws ends the sequence. */
export type WriteListener = (after: KubeObject, before: KubeObject | undefined, removed: boolean) => void;

interface Kind {
	readonly objects: Map<string, KubeObject>;
	/** Everything that ever happened; watches remember how far they are. */
	readonly history: News[];
}

export class ModelServer {
	/** Counts every change: two turns of the world without one are the end. It is the world's time, too. */
	revision = 1;
	readonly #kinds = new Map<string, Kind>();
	/** The same, by what is at hand most often. */
	readonly #byResource = new Map<object, Kind>();
	readonly #now: () => number;
	readonly #onWrite: WriteListener;

	constructor(now: () => number, onWrite: WriteListener) {
		this.#now = now;
		this.#onWrite = onWrite;
	}

	list<T extends KubeObject>(resource: Resource<T>): T[] {
		return [...this.#kind(resource).values()];
	}

	get<T extends KubeObject>(resource: Resource<T>, {namespace, name}: ObjectKey): T | undefined {
		return this.#kind(resource).get(makeKey(resource.namespaced ? namespace : undefined, name));
	}

	/** What a watch of this kind has to tell, from the first change on. */
	history(path: string): readonly News[] {
		return this.#entry(path).history;
	}

	objects(path: string): readonly KubeObject[] {
		return [...this.#entry(path).objects.values()];
	}

	create<T extends KubeObject>(resource: Resource<T>, object: T): T {
		if (this.get(resource, object.metadata)) throw refusal(409, 'AlreadyExists');
		const {namespace} = object.metadata;
		if (namespace !== undefined) {
			const home = this.get(resources.namespaces, {name: namespace});
			if (!home) throw refusal(404, 'NotFound');
			if (home.metadata.deletionTimestamp) throw refusal(403, 'Forbidden');
		}
		const uid = object.metadata.uid ?? `${resource.plural}-${this.revision + 1}`;
		const creationTimestamp = object.metadata.creationTimestamp ?? this.#timestamp();
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
		this.#write(resource, {...object, metadata: {...object.metadata, deletionTimestamp: this.#timestamp()}});
		return true;
	}

	/** Adds one finalizer. Not to an object that is being deleted: the real one refuses that. */
	hold<T extends KubeObject>(resource: Resource<T>, {metadata}: T, finalizer: string): void {
		const {finalizers = [], deletionTimestamp} = metadata;
		if (finalizers.includes(finalizer) || deletionTimestamp) return;
		this.patch(resource, metadata, {metadata: {finalizers: [...finalizers, finalizer]}});
	}

	/** Removes finalizers; the object goes with the last one if it is being deleted. */
	release<T extends KubeObject>(resource: Resource<T>, {metadata}: T, ...names: readonly string[]): void {
		const {finalizers = []} = this.get(resource, metadata)?.metadata ?? {};
		const left = finalizers.filter((name) => !names.includes(name));
		if (left.length < finalizers.length) this.patch(resource, metadata, {metadata: {finalizers: left}});
	}

	#timestamp(): string {
		return timestampOf(this.#now());
	}

	#entry(path: string): Kind {
		let kind = this.#kinds.get(path);
		if (!kind) this.#kinds.set(path, (kind = {objects: new Map(), history: []}));
		return kind;
	}

	#kind<T extends KubeObject>(resource: Resource<T>): Map<string, T> {
		// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the path is the type's
		return this.#of(resource).objects as Map<string, T>;
	}

	#of(resource: Resource<KubeObject>): Kind {
		let kind = this.#byResource.get(resource);
		if (!kind) this.#byResource.set(resource, (kind = this.#entry(apiPath(resource))));
		return kind;
	}

	#write<T extends KubeObject>(resource: Resource<T>, object: T): T {
		this.revision += 1;
		const metadata = {...object.metadata, resourceVersion: String(this.revision)};
		const written = freeze({...object, metadata});
		const removed = written.metadata.deletionTimestamp !== undefined && !written.metadata.finalizers?.length;
		const {objects, history} = this.#of(resource);
		const key = keyOf(written);
		const before = objects.get(key);
		if (removed) objects.delete(key);
		else objects.set(key, written);
		history.push({object: written, removed, version: this.revision});
		this.#onWrite(written, before, removed);
		return written;
	}
}

const line = {method: 'PATCH', path: '/model'};
export const refusal = (code: number, reason: string): ApiError => new ApiError(line, {code, reason, message: reason});
/** Deletes an object of any kind. */
export function deleteAny(server: ModelServer, object: KubeObject): void {
	server.delete(resourceOf(object), object.metadata);
}
