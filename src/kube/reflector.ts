import type {KubeObject} from '../api/kubernetes.ts';
import {type Clock, systemClock} from '../process/clock.ts';
import type {Logger} from '../process/log.ts';
import {type Backoff, backoffMs} from './backoff.ts';
import type {KubeApi, WatchEvent} from './client.ts';
import {ApiError, isGone, isNotFound, NoAnswerError} from './errors.ts';
import {cacheFailures, cacheLists, cacheObjects} from './metrics.ts';
import {keyOf} from './object-key.ts';
import {compareResourceVersions} from './resource-version.ts';
import type {Resource} from './resources.ts';
import type {Store} from './store.ts';

/**
 * Keeps a store equal to what the API server has: lists everything once, then follows a watch from the list's version.
 * Whatever ends a watch, the next one begins at the last version seen, so nothing is missed; only when the server no longer
 * has the history from there (410) is everything listed again, which is a gap: what happened in between shows as its net
 * effect. The list is in pages, but applied at once, and never from the server's possibly old memory (no resourceVersion=0),
 * so the store does not go back in time.
 */

/** One change of the cache, told after the store shows it. */
export type Change<T extends KubeObject> =
	| {readonly type: 'add'; readonly object: T}
	| {readonly type: 'update'; readonly old: T; readonly object: T}
	/** `object` is the last state known; when the deletion fell into a gap, its last changes may be missing. */
	| {readonly type: 'delete'; readonly object: T};

export type ChangeHandler<T extends KubeObject> = (change: Change<T>) => void;

/** How current a cache is. */
export interface WatchProgress {
	/** At least one list is complete (or the optional kind is not installed). */
	readonly hasSynced: boolean;
	/** Every change up to this version is in the store. Undefined before the first list, and while an optional kind is missing. */
	readonly resourceVersion: string | undefined;
	/**
	 * 0 before the first list; increases in the same instant in which a list replaces the store. Between two looks at the
	 * same epoch the store has gone through every change in order, none missed.
	 */
	readonly epoch: number;
	/** Whether every change up to this version (of an object of any kind in the same etcd) is in the store. */
	hasSeen(resourceVersion: string): boolean;
}

export interface ReflectorOptions<T extends KubeObject> {
	readonly api: Pick<KubeApi, 'list' | 'watch'>;
	readonly resource: Resource<T>;
	readonly store: Store<T>;
	readonly onChange: ChangeHandler<T>;
	readonly log: Logger;
	/** The kind may be missing in this cluster (a CRD): then the store is empty and counts as synced until it appears. Default false. */
	readonly optional?: boolean | undefined;
	readonly namespace?: string | undefined;
	readonly labelSelector?: string | undefined;
	readonly fieldSelector?: string | undefined;
	/** Objects per page of a list. Default 500. */
	readonly pageSize?: number | undefined;
	/** After failures in a row. Default 0.5 s doubling up to 30 s. */
	readonly backoff?: Backoff | undefined;
	/** Between looks for a missing optional kind. Default 5 s doubling up to 2 minutes. */
	readonly missingBackoff?: Backoff | undefined;
	/** See WatchOptions. */
	readonly idleTimeoutMs?: number | undefined;
	readonly clock?: Clock | undefined;
	/** From 0 to 1, for jitter. */
	readonly random?: (() => number) | undefined;
}

const defaultBackoff: Backoff = {baseMs: 500, maxMs: 30_000};
const defaultMissingBackoff: Backoff = {baseMs: 5000, maxMs: 120_000};
const defaultPageSize = 500;
/** The server ends a watch at a random moment between these, so that load spreads over API servers again. */
const watchSeconds = {least: 300, most: 600};
/** A watch that lasted this long was a success: the next failure starts back-off anew. */
const healthyWatchMs = 10_000;

export class Reflector<T extends KubeObject> implements WatchProgress {
	readonly #options: ReflectorOptions<T>;
	readonly #clock: Clock;
	readonly #random: () => number;
	readonly #log: Logger;
	#hasSynced = false;
	#resourceVersion: string | undefined;
	#epoch = 0;
	#failures = 0;
	#announceSynced: () => void = () => {};
	/** Resolves when hasSynced becomes true. */
	readonly synced: Promise<void>;

	constructor(options: ReflectorOptions<T>) {
		this.#options = options;
		this.#clock = options.clock ?? systemClock;
		this.#random = options.random ?? Math.random;
		this.#log = options.log.child({resource: options.resource.plural});
		this.synced = new Promise((resolve) => {
			this.#announceSynced = resolve;
		});
	}

	get hasSynced(): boolean {
		return this.#hasSynced;
	}

	get resourceVersion(): string | undefined {
		return this.#resourceVersion;
	}

	get epoch(): number {
		return this.#epoch;
	}

	hasSeen(resourceVersion: string): boolean {
		return this.#resourceVersion !== undefined && compareResourceVersions(this.#resourceVersion, resourceVersion) >= 0;
	}

	/** One list and no watch: the store is as the server was at that moment. Rejects with what the server said. */
	async listOnce(signal: AbortSignal): Promise<void> {
		try {
			await this.#list(signal);
		} catch (error) {
			if (!this.#options.optional || !isNotFound(error)) throw error;
			this.#replace([], undefined);
		}
	}

	/** Lists and watches until the signal aborts. Never rejects. */
	async run(signal: AbortSignal): Promise<void> {
		while (!signal.aborted) {
			try {
				if (this.#resourceVersion === undefined) await this.#list(signal);
				else await this.#watch(this.#resourceVersion, signal);
			} catch (error) {
				if (signal.aborted) return;
				await this.#recover(error, signal);
			}
		}
	}

	async #list(signal: AbortSignal): Promise<void> {
		const {api, resource, namespace, labelSelector, fieldSelector, pageSize = defaultPageSize} = this.#options;
		const objects: T[] = [];
		let next: string | undefined;
		let resourceVersion: string;
		do {
			const selection = {namespace, labelSelector, fieldSelector, limit: pageSize, continue: next, signal};
			const page = await api.list(resource, selection);
			for (const object of page.items) objects.push(object);
			next = page.continue;
			resourceVersion = page.resourceVersion;
		} while (next !== undefined);
		cacheLists.inc({resource: resource.plural});
		this.#replace(objects, resourceVersion);
		this.#log.debug({objects: objects.length, resourceVersion, epoch: this.#epoch}, 'listed');
	}

	/** Store, version and epoch change first and together; handlers are told afterwards. */
	#replace(objects: readonly T[], resourceVersion: string | undefined): void {
		const {store, resource} = this.#options;
		const changes: Change<T>[] = [];
		const present = new Set(objects.map(keyOf));
		for (const key of store.keys()) {
			if (present.has(key)) continue;
			// A Map may lose entries while it is walked.
			const object = store.remove(key);
			if (object) changes.push({type: 'delete', object});
		}
		for (const received of objects) {
			const {old, object} = store.set(received);
			if (old?.metadata.uid === object.metadata.uid && old) {
				if (old.metadata.resourceVersion !== object.metadata.resourceVersion)
					changes.push({type: 'update', old, object});
			} else {
				// Deleted and made again under the same name while nobody looked: two objects, two changes.
				if (old) changes.push({type: 'delete', object: old});
				changes.push({type: 'add', object});
			}
		}
		this.#resourceVersion = resourceVersion;
		this.#epoch++;
		this.#failures = 0;
		this.#hasSynced = true;
		cacheObjects.set({resource: resource.plural}, store.size);
		for (const change of changes) this.#tell(change);
		this.#announceSynced();
	}

	async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
		const {api, resource, namespace, labelSelector, fieldSelector, idleTimeoutMs} = this.#options;
		const startedMs = this.#clock.monotonicMs();
		const timeoutSeconds = Math.round(watchSeconds.least + this.#random() * (watchSeconds.most - watchSeconds.least));
		const selection = {namespace, labelSelector, fieldSelector, resourceVersion, timeoutSeconds, idleTimeoutMs, signal};
		let events = 0;
		try {
			for await (const event of api.watch(resource, selection)) {
				events++;
				this.#take(event);
			}
		} finally {
			if (events > 0 || this.#clock.monotonicMs() - startedMs >= healthyWatchMs) this.#failures = 0;
		}
		// A server that accepts watches and ends them at once must not be asked in a tight loop.
		if (events === 0 && this.#clock.monotonicMs() - startedMs < healthyWatchMs) await this.#pause(0, signal);
	}

	#take(event: WatchEvent<T>): void {
		const {store, resource} = this.#options;
		if (event.type === 'BOOKMARK') {
			this.#resourceVersion = event.resourceVersion;
			return;
		}
		// A DELETED event carries the version of the deletion.
		this.#resourceVersion = event.object.metadata.resourceVersion ?? this.#resourceVersion;
		if (event.type === 'DELETED') {
			const last = store.remove(keyOf(event.object));
			cacheObjects.set({resource: resource.plural}, store.size);
			if (last) this.#tell({type: 'delete', object: event.object});
			return;
		}
		const {old, object} = store.set(event.object);
		cacheObjects.set({resource: resource.plural}, store.size);
		this.#tell(old ? {type: 'update', old, object} : {type: 'add', object});
	}

	#tell(change: Change<T>): void {
		try {
			this.#options.onChange(change);
		} catch (error) {
			// A mistake in a mapping function must not stop the cache for everybody.
			this.#log.error({error, key: keyOf(change.object), change: change.type}, 'change handler failed');
		}
	}

	async #recover(error: unknown, signal: AbortSignal): Promise<void> {
		const {resource, optional = false, missingBackoff = defaultMissingBackoff} = this.#options;
		cacheFailures.inc({resource: resource.plural, reason: reasonOf(error)});
		if (isGone(error)) {
			this.#log.info({resourceVersion: this.#resourceVersion}, 'history is gone, listing again');
			this.#resourceVersion = undefined;
			// Once at once; a server that answers every watch or continue token with 410 is not asked in a tight loop.
			if (this.#failures > 0) await this.#pause(0, signal);
			else this.#failures = 1;
			return;
		}
		if (isNotFound(error)) {
			// The kind itself is missing. If it was there before, its definition was deleted and its objects with it.
			if (optional && (!this.#hasSynced || this.#resourceVersion !== undefined)) {
				this.#log.info('kind is not installed');
				this.#replace([], undefined);
			}
			this.#resourceVersion = undefined;
			if (optional) {
				await this.#clock.sleep(backoffMs(missingBackoff, this.#failures++, this.#random), signal);
				return;
			}
		}
		const atLeastMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
		this.#log.warn({error, failures: this.#failures + 1}, 'cache lost its API server, trying again');
		await this.#pause(atLeastMs, signal);
	}

	#pause(atLeastMs: number, signal: AbortSignal): Promise<void> {
		const delayMs = backoffMs(this.#options.backoff ?? defaultBackoff, this.#failures++, this.#random);
		return this.#clock.sleep(Math.max(atLeastMs, delayMs), signal);
	}
}

function reasonOf(error: unknown): string {
	if (error instanceof ApiError) return String(error.code);
	return error instanceof NoAnswerError ? error.reason : 'Unexpected';
}
