import type {KubeObject} from '../api/kubernetes.ts';
import type {Clock} from '../process/clock.ts';
import type {Logger} from '../process/log.ts';
import type {Backoff} from './backoff.ts';
import type {KubeApi} from './client.ts';
import {type ChangeHandler, Reflector, type WatchProgress} from './reflector.ts';
import {apiPath, type Resource} from './resources.ts';
import {type Index, type ReadStore, Store} from './store.ts';

export interface CachedKind<T extends KubeObject = KubeObject> {
	readonly resource: Resource<T>;
	/** The kind may be missing in this cluster (a CRD): the store is empty, and counts as synced, until it appears. */
	readonly optional?: boolean;
	readonly namespace?: string;
	readonly labelSelector?: string;
	readonly fieldSelector?: string;
}

export interface CachesOptions {
	readonly api: Pick<KubeApi, 'list' | 'watch'>;
	readonly kinds: readonly CachedKind[];
	readonly log: Logger;
	/** See StoreOptions. */
	readonly freeze?: boolean;
	readonly clock?: Clock;
	readonly backoff?: Backoff;
	readonly missingBackoff?: Backoff;
}

export interface Unlisted {
	readonly resource: Resource<KubeObject>;
	readonly error: unknown;
}

interface Entry<T extends KubeObject> {
	readonly resource: Resource<T>;
	readonly store: Store<T>;
	readonly reflector: Reflector<T>;
	readonly handlers: ChangeHandler<T>[];
}

/** One watch and one store per kind, shared by all controllers of the process. */
export class Caches {
	readonly #entries = new Map<string, Entry<KubeObject>>();

	constructor({api, kinds, log, freeze = false, clock, backoff, missingBackoff}: CachesOptions) {
		for (const {resource, ...selection} of kinds) {
			const path = apiPath(resource);
			if (this.#entries.has(path)) throw new Error(`${path} is cached twice`);
			const store = new Store<KubeObject>({freeze});
			const handlers: ChangeHandler<KubeObject>[] = [];
			const reflector = new Reflector<KubeObject>({
				...selection,
				api,
				resource,
				store,
				log,
				clock,
				backoff,
				missingBackoff,
				onChange: (change) => {
					for (const handler of handlers) handler(change);
				},
			});
			this.#entries.set(path, {resource, store, reflector, handlers});
		}
	}

	store<T extends KubeObject>(resource: Resource<T>): ReadStore<T> {
		return this.#entry(resource).store;
	}

	/** Before or after start. The same index object twice is fine, another one of the same name is not. */
	addIndex<T extends KubeObject>(resource: Resource<T>, index: Index<T>): void {
		this.#entry(resource).store.addIndex(index);
	}

	/** Whether the API server has this kind: of one that it has not, the store is empty and counts as synced. */
	isServed<T extends KubeObject>(resource: Resource<T>): boolean {
		return this.progress(resource).resourceVersion !== undefined;
	}

	progress<T extends KubeObject>(resource: Resource<T>): WatchProgress {
		return this.#entry(resource).reflector;
	}

	/** The handler is told every change, and what is already there as added. It must not throw and not take long. */
	onChange<T extends KubeObject>(resource: Resource<T>, handler: ChangeHandler<T>): void {
		const {store, handlers} = this.#entry(resource);
		handlers.push(handler);
		for (const object of store.list()) handler({type: 'add', object});
	}

	/** Watches until the signal aborts; resolves when all watches have ended. Never rejects. */
	async start(signal: AbortSignal): Promise<void> {
		await Promise.all([...this.#entries.values()].map(({reflector}) => reflector.run(signal)));
	}

	/**
	 * One list of every kind and no watch, for a program that looks once. Resolves to the kinds that could not be listed, each with
	 * why: their stores are empty. Never rejects but with the signal's reason.
	 */
	async listOnce(signal: AbortSignal): Promise<readonly Unlisted[]> {
		const lists = [...this.#entries.values()].map(async ({reflector, resource}): Promise<Unlisted[]> => {
			try {
				await reflector.listOnce(signal);
				return [];
			} catch (error) {
				return [{resource, error}];
			}
		});
		const unlisted = (await Promise.all(lists)).flat();
		signal.throwIfAborted();
		return unlisted;
	}

	get hasSynced(): boolean {
		return [...this.#entries.values()].every(({reflector}) => reflector.hasSynced);
	}

	/** Kinds that have no list yet: for the words of a readiness check. */
	get unsynced(): readonly string[] {
		return [...this.#entries].filter(([, {reflector}]) => !reflector.hasSynced).map(([path]) => path);
	}

	/** Resolves when every store has its first list; rejects with the signal's reason if that comes first. */
	async synced(signal?: AbortSignal): Promise<void> {
		const all = Promise.all([...this.#entries.values()].map(({reflector}) => reflector.synced));
		if (!signal) {
			await all;
			return;
		}
		signal.throwIfAborted();
		const listening = new AbortController();
		const aborted = new Promise<never>((_, reject) => {
			signal.addEventListener('abort', () => reject(signal.reason), {signal: listening.signal});
		});
		try {
			await Promise.race([all, aborted]);
		} finally {
			listening.abort();
		}
	}

	#entry<T extends KubeObject>(resource: Resource<T>): Entry<T> {
		const entry: unknown = this.#entries.get(apiPath(resource));
		if (!entry) throw new Error(`${apiPath(resource)} is not cached: add it to the kinds of Caches`);
		// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- found by the resource that it was made for
		return entry as Entry<T>;
	}
}
