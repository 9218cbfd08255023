import type {KubeObject} from '../api/kubernetes.ts';
import {makeKey} from './object-key.ts';

/** Finds objects by something else than their name, for example Pods by the claims they use. */
export interface Index<T extends KubeObject> {
	readonly name: string;
	/** The keys under which this object is found: none, one or several. Pure. */
	readonly keys: (object: T) => readonly string[];
}

/** What controllers see of a cache. Objects are as received and must not be changed. */
export interface ReadStore<T extends KubeObject> {
	/** `namespace` undefined for cluster-scoped kinds. */
	get(namespace: string | undefined, name: string): T | undefined;
	list(namespace?: string): readonly T[];
	/** Throws if there is no index of this name: a mistake in the program. */
	byIndex(indexName: string, key: string): readonly T[];
	readonly size: number;
}

export interface StoreOptions {
	/** Freezes objects deeply, so that a write to the cache throws. For tests: freezing costs more than parsing. Default false. */
	readonly freeze?: boolean;
	/** Drops metadata.managedFields, often half of an object's memory, which no controller reads. Default true. */
	readonly stripManagedFields?: boolean;
}

/** The index that every namespaced store has: it serves `list(namespace)`. */
const namespaceIndex = 'onesnap/namespace';

/**
 * Objects by key and by index. Written by one reflector only; `list` and `byIndex` return new arrays, so that a caller
 * may keep one across changes.
 */
export class Store<T extends KubeObject> implements ReadStore<T> {
	readonly #objects = new Map<string, T>();
	readonly #indexes = new Map<string, {readonly index: Index<T>; readonly buckets: Map<string, Map<string, T>>}>();
	readonly #freeze: boolean;
	readonly #stripManagedFields: boolean;

	constructor({freeze = false, stripManagedFields = true}: StoreOptions = {}) {
		this.#freeze = freeze;
		this.#stripManagedFields = stripManagedFields;
		this.addIndex({name: namespaceIndex, keys: ({metadata}) => (metadata.namespace ? [metadata.namespace] : [])});
	}

	get size(): number {
		return this.#objects.size;
	}

	get(namespace: string | undefined, name: string): T | undefined {
		return this.#objects.get(makeKey(namespace, name));
	}

	list(namespace?: string): readonly T[] {
		return namespace === undefined ? [...this.#objects.values()] : this.byIndex(namespaceIndex, namespace);
	}

	byIndex(indexName: string, key: string): readonly T[] {
		const entry = this.#indexes.get(indexName);
		if (!entry) throw new Error(`no index named ${indexName}: add it before start`);
		return [...(entry.buckets.get(key)?.values() ?? [])];
	}

	/** The same index object twice is fine: several controllers may want it. */
	addIndex(index: Index<T>): void {
		const present = this.#indexes.get(index.name);
		if (present) {
			if (present.index === index) return;
			throw new Error(`another index is already named ${index.name}`);
		}
		this.#indexes.set(index.name, {index, buckets: new Map()});
		for (const [key, object] of this.#objects) this.#enterIn(index.name, key, object);
	}

	/** Keys of all objects, as made by makeKey. */
	keys(): IterableIterator<string> {
		return this.#objects.keys();
	}

	/** Adds or replaces; returns what was there and what is there now. */
	set(object: T): {readonly old: T | undefined; readonly object: T} {
		const key = makeKey(object.metadata.namespace, object.metadata.name);
		const stored = this.#prepare(object);
		const old = this.#objects.get(key);
		if (old) this.#leaveAll(key, old);
		this.#objects.set(key, stored);
		for (const name of this.#indexes.keys()) this.#enterIn(name, key, stored);
		return {old, object: stored};
	}

	/** Returns what was there. */
	remove(key: string): T | undefined {
		const old = this.#objects.get(key);
		if (!old) return undefined;
		this.#objects.delete(key);
		this.#leaveAll(key, old);
		return old;
	}

	#prepare(object: T): T {
		if (this.#stripManagedFields && 'managedFields' in object.metadata) {
			const {managedFields: _, ...metadata} = object.metadata as T['metadata'] & {managedFields: unknown};
			object = {...object, metadata};
		}
		return this.#freeze ? deepFreeze(object) : object;
	}

	#enterIn(indexName: string, key: string, object: T): void {
		const entry = this.#indexes.get(indexName);
		if (!entry) return;
		for (const indexKey of entry.index.keys(object)) {
			const bucket = entry.buckets.get(indexKey);
			if (bucket) bucket.set(key, object);
			else entry.buckets.set(indexKey, new Map([[key, object]]));
		}
	}

	#leaveAll(key: string, old: T): void {
		for (const {index, buckets} of this.#indexes.values()) {
			for (const indexKey of index.keys(old)) {
				const bucket = buckets.get(indexKey);
				bucket?.delete(key);
				if (bucket?.size === 0) buckets.delete(indexKey);
			}
		}
	}
}

function deepFreeze<T>(value: T): T {
	if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
		Object.freeze(value);
		for (const child of Object.values(value)) deepFreeze(child);
	}
	return value;
}
