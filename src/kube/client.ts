import type {KubeObject, Status} from '../api/kubernetes.ts';
import type {Connection} from './connection.ts';
import {ApiError, isInvalid, isNotFound, NoAnswerError} from './errors.ts';
import {apiRequests} from './metrics.ts';
import {apiPath, apiVersionOf, type Resource} from './resources.ts';
import {type HttpRequest, Transport} from './transport.ts';

/** Fits `object.metadata` as well as a literal. `namespace` is ignored for cluster-scoped kinds. */
export interface ObjectKey {
	readonly namespace?: string | undefined;
	readonly name: string;
}

export interface RequestOptions {
	/** Ends the request early; the call rejects with the signal's reason. */
	readonly signal?: AbortSignal | undefined;
	/** Until the whole answer is read. Default 30 s. */
	readonly timeoutMs?: number | undefined;
}

export interface WriteOptions extends RequestOptions {
	readonly fieldManager?: string | undefined;
	/** Validates and answers, but stores nothing. */
	readonly dryRun?: boolean | undefined;
}

export interface ListOptions extends RequestOptions {
	/** All namespaces when absent. */
	readonly namespace?: string | undefined;
	readonly labelSelector?: string | undefined;
	readonly fieldSelector?: string | undefined;
	/** At most so many objects in this page. */
	readonly limit?: number | undefined;
	/** `continue` of the page before. */
	readonly continue?: string | undefined;
	/** Absent: as new as the newest write. '0': whatever the server has in memory, possibly old. */
	readonly resourceVersion?: string | undefined;
}

export interface ObjectList<T extends KubeObject> {
	/** Unlike on the wire, every item has apiVersion and kind. */
	readonly items: readonly T[];
	readonly resourceVersion: string;
	/** Present when there is another page. */
	readonly continue?: string;
}

export interface PatchOptions extends WriteOptions {
	/** The patch is refused with a conflict when the object is at another version. */
	readonly resourceVersion?: string | undefined;
	/** The patch is refused with a conflict when the object is a namesake made later. */
	readonly uid?: string | undefined;
}

export interface ApplyOptions extends RequestOptions {
	readonly fieldManager: string;
	/** Take fields over from other managers. Default false: a conflict. */
	readonly force?: boolean | undefined;
	readonly dryRun?: boolean | undefined;
}

export interface DeleteOptions extends RequestOptions {
	/** Delete only this object, not a namesake made later: otherwise a conflict. */
	readonly uid?: string | undefined;
	/** Delete only if unchanged since: otherwise a conflict. */
	readonly resourceVersion?: string | undefined;
	readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan' | undefined;
	readonly gracePeriodSeconds?: number | undefined;
}

export interface WatchOptions {
	readonly namespace?: string | undefined;
	readonly labelSelector?: string | undefined;
	readonly fieldSelector?: string | undefined;
	/** Events after this version. Absent: the server first sends every object as ADDED, in no order. */
	readonly resourceVersion?: string | undefined;
	/** The server ends the watch after so long. */
	readonly timeoutSeconds?: number | undefined;
	/** The client gives the watch up when nothing, not even a bookmark, came for so long. Default 180 s. */
	readonly idleTimeoutMs?: number | undefined;
	readonly signal?: AbortSignal | undefined;
}

export type WatchEvent<T extends KubeObject> =
	| {readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T}
	/** Everything up to this version has been delivered. */
	| {readonly type: 'BOOKMARK'; readonly resourceVersion: string};

/** As it comes: one JSON object a line. */
type WireEvent<T extends KubeObject> =
	| {readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T}
	| {readonly type: 'BOOKMARK'; readonly object: KubeObject}
	| {readonly type: 'ERROR'; readonly object: Status};

/** An object as far as one field manager has an opinion on it. apiVersion and kind are filled in. */
export type ApplyObject<T extends KubeObject> = {readonly metadata: ObjectKey} & DeepPartial<T>;

type DeepPartial<T> = T extends readonly unknown[]
	? T
	: T extends object
		? {readonly [K in keyof T]?: DeepPartial<T[K]>}
		: T;

/** RFC 7396: null removes, an array replaces the whole array. */
export type MergePatch<T> = {readonly metadata?: object} & DeepNullable<T>;

type DeepNullable<T> = T extends readonly unknown[]
	? T
	: T extends object
		? {readonly [K in keyof T]?: DeepNullable<T[K]> | null}
		: T;

/** RFC 6902. */
export type JsonPatch = readonly (
	| {readonly op: 'add' | 'replace' | 'test'; readonly path: string; readonly value: unknown}
	| {readonly op: 'remove'; readonly path: string}
	| {readonly op: 'move' | 'copy'; readonly path: string; readonly from: string}
)[];

/**
 * The API server, as far as controllers need it. Rejects with ApiError when the server said no, with NoAnswerError when
 * it is not known whether the request was carried out, with the signal's reason when aborted.
 */
export interface KubeApi {
	get<T extends KubeObject>(resource: Resource<T>, key: ObjectKey, options?: RequestOptions): Promise<T>;
	/** Like get, but undefined when there is none. */
	find<T extends KubeObject>(resource: Resource<T>, key: ObjectKey, options?: RequestOptions): Promise<T | undefined>;
	/** One page. */
	list<T extends KubeObject>(resource: Resource<T>, options?: ListOptions): Promise<ObjectList<T>>;
	create<T extends KubeObject>(resource: Resource<T>, object: T, options?: WriteOptions): Promise<T>;
	/** PUT: replaces the whole object; a conflict if `metadata.resourceVersion` is set and old. */
	update<T extends KubeObject>(resource: Resource<T>, object: T, options?: WriteOptions): Promise<T>;
	mergePatch<T extends KubeObject>(
		resource: Resource<T>,
		key: ObjectKey,
		patch: MergePatch<T>,
		options?: PatchOptions,
	): Promise<T>;
	mergePatchStatus<T extends KubeObject>(
		resource: Resource<T>,
		key: ObjectKey,
		patch: MergePatch<T>,
		options?: PatchOptions,
	): Promise<T>;
	jsonPatch<T extends KubeObject>(
		resource: Resource<T>,
		key: ObjectKey,
		patch: JsonPatch,
		options?: WriteOptions,
	): Promise<T>;
	/** Server-side apply: creates the object if need be. */
	apply<T extends KubeObject>(resource: Resource<T>, object: ApplyObject<T>, options: ApplyOptions): Promise<T>;
	applyStatus<T extends KubeObject>(resource: Resource<T>, object: ApplyObject<T>, options: ApplyOptions): Promise<T>;
	/** False when there was nothing to delete. True may mean that finalizers still hold the object. */
	delete<T extends KubeObject>(resource: Resource<T>, key: ObjectKey, options?: DeleteOptions): Promise<boolean>;
	/** Ends when the server ends it; rejects when it broke; 410 (isGone) when the version is too old to continue from. */
	watch<T extends KubeObject>(resource: Resource<T>, options?: WatchOptions): AsyncIterable<WatchEvent<T>>;
	/** POST of an object that is answered but not stored (SubjectAccessReview, TokenReview), or of a subresource. */
	post<Answer>(path: string, body: object, options?: RequestOptions): Promise<Answer>;
}

export interface KubeClientOptions {
	readonly connection: Connection;
	/** Name of our part in managedFields of create, update and patch, unless the call says another. */
	readonly fieldManager?: string;
	/** Default 'onesnap'. */
	readonly userAgent?: string;
	/** Default 30 s. */
	readonly timeoutMs?: number;
	/** Requests at once; more wait in line. Watches are not counted. Default 32. */
	readonly maxConnections?: number;
}

const defaultTimeoutMs = 30_000;
const defaultIdleTimeoutMs = 180_000;
/** The server ends a watch at timeoutSeconds; the client, when that did not arrive. */
const watchGraceMs = 30_000;
/** Without timeoutSeconds the server chooses, between 30 and 60 minutes. */
const longestWatchMs = 3_600_000;

type Verb = 'get' | 'list' | 'create' | 'update' | 'patch' | 'apply' | 'delete' | 'watch' | 'post';

const contentTypes = {
	json: 'application/json',
	mergePatch: 'application/merge-patch+json',
	jsonPatch: 'application/json-patch+json',
	/** JSON is YAML. */
	apply: 'application/apply-patch+yaml',
} as const;

interface Call extends RequestOptions {
	readonly verb: Verb;
	/** For metrics. */
	readonly resource: string;
	readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
	readonly path: string;
	readonly query?: HttpRequest['query'];
	readonly contentType?: keyof typeof contentTypes;
	readonly body?: unknown;
}

/** KubeApi over HTTP. One per process: it holds the connections. */
export class KubeClient implements KubeApi {
	readonly #transport: Transport;
	readonly #fieldManager: string | undefined;
	readonly #timeoutMs: number;

	constructor({connection, fieldManager, userAgent = 'onesnap', timeoutMs, maxConnections = 32}: KubeClientOptions) {
		this.#transport = new Transport({connection, userAgent, maxConnections});
		this.#fieldManager = fieldManager;
		this.#timeoutMs = timeoutMs ?? defaultTimeoutMs;
	}

	get<T extends KubeObject>(resource: Resource<T>, key: ObjectKey, options: RequestOptions = {}): Promise<T> {
		return this.#call({
			...options,
			verb: 'get',
			resource: resource.plural,
			method: 'GET',
			path: objectPath(resource, key),
		});
	}

	async find<T extends KubeObject>(
		resource: Resource<T>,
		key: ObjectKey,
		options: RequestOptions = {},
	): Promise<T | undefined> {
		try {
			return await this.get(resource, key, options);
		} catch (error) {
			if (isNotFound(error)) return undefined;
			throw error;
		}
	}

	async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<ObjectList<T>> {
		const answer = await this.#call<{
			metadata: {resourceVersion: string; continue?: string};
			items: readonly T[] | null;
		}>({
			...options,
			verb: 'list',
			resource: resource.plural,
			method: 'GET',
			path: apiPath(resource, {namespace: options.namespace}),
			query: {
				...selectors(options),
				limit: options.limit?.toString(),
				continue: options.continue,
				resourceVersion: options.resourceVersion,
			},
		});
		const {resourceVersion, continue: next} = answer.metadata;
		const typeMeta = {apiVersion: apiVersionOf(resource), kind: resource.kind};
		const items = (answer.items ?? []).map((item) => ({...typeMeta, ...item}));
		return next ? {items, resourceVersion, continue: next} : {items, resourceVersion};
	}

	create<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
		return this.#call({
			...options,
			verb: 'create',
			resource: resource.plural,
			method: 'POST',
			path: apiPath(resource, {namespace: object.metadata.namespace}),
			query: this.#writeQuery(options),
			contentType: 'json',
			body: object,
		});
	}

	update<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
		return this.#call({
			...options,
			verb: 'update',
			resource: resource.plural,
			method: 'PUT',
			path: objectPath(resource, object.metadata),
			query: this.#writeQuery(options),
			contentType: 'json',
			body: object,
		});
	}

	mergePatch<T extends KubeObject>(
		resource: Resource<T>,
		key: ObjectKey,
		patch: MergePatch<T>,
		options: PatchOptions = {},
	): Promise<T> {
		return this.#mergePatch(resource, objectPath(resource, key), patch, options);
	}

	mergePatchStatus<T extends KubeObject>(
		resource: Resource<T>,
		key: ObjectKey,
		patch: MergePatch<T>,
		options: PatchOptions = {},
	): Promise<T> {
		return this.#mergePatch(resource, objectPath(resource, key, 'status'), patch, options);
	}

	jsonPatch<T extends KubeObject>(
		resource: Resource<T>,
		key: ObjectKey,
		patch: JsonPatch,
		options: WriteOptions = {},
	): Promise<T> {
		return this.#call({
			...options,
			verb: 'patch',
			resource: resource.plural,
			method: 'PATCH',
			path: objectPath(resource, key),
			query: this.#writeQuery(options),
			contentType: 'jsonPatch',
			body: patch,
		});
	}

	apply<T extends KubeObject>(resource: Resource<T>, object: ApplyObject<T>, options: ApplyOptions): Promise<T> {
		return this.#apply(resource, objectPath(resource, object.metadata), object, options);
	}

	applyStatus<T extends KubeObject>(resource: Resource<T>, object: ApplyObject<T>, options: ApplyOptions): Promise<T> {
		return this.#apply(resource, objectPath(resource, object.metadata, 'status'), object, options);
	}

	async delete<T extends KubeObject>(
		resource: Resource<T>,
		key: ObjectKey,
		options: DeleteOptions = {},
	): Promise<boolean> {
		const {uid, resourceVersion, propagationPolicy, gracePeriodSeconds} = options;
		const preconditions = uid !== undefined || resourceVersion !== undefined ? {uid, resourceVersion} : undefined;
		try {
			await this.#call({
				...options,
				verb: 'delete',
				resource: resource.plural,
				method: 'DELETE',
				path: objectPath(resource, key),
				contentType: 'json',
				body: {apiVersion: 'v1', kind: 'DeleteOptions', preconditions, propagationPolicy, gracePeriodSeconds},
			});
			return true;
		} catch (error) {
			if (isNotFound(error)) return false;
			throw error;
		}
	}

	async *watch<T extends KubeObject>(
		resource: Resource<T>,
		options: WatchOptions = {},
	): AsyncGenerator<WatchEvent<T>, void, undefined> {
		const {timeoutSeconds, idleTimeoutMs = defaultIdleTimeoutMs, signal} = options;
		const request = {method: 'GET', path: apiPath(resource, {namespace: options.namespace})};
		const lines = this.#transport.lines<WireEvent<T>>({
			...request,
			query: {
				...selectors(options),
				watch: 'true',
				allowWatchBookmarks: 'true',
				resourceVersion: options.resourceVersion,
				timeoutSeconds: timeoutSeconds?.toString(),
			},
			timeoutMs: timeoutSeconds === undefined ? longestWatchMs : timeoutSeconds * 1000 + watchGraceMs,
			idleTimeoutMs,
			signal,
		});
		for await (const event of lines) {
			switch (event.type) {
				case 'ADDED':
				case 'MODIFIED':
				case 'DELETED':
					yield event;
					break;
				case 'BOOKMARK': {
					const {resourceVersion} = event.object.metadata;
					if (resourceVersion !== undefined) yield {type: 'BOOKMARK', resourceVersion};
					break;
				}
				case 'ERROR':
					throw new ApiError(request, {...event.object, code: event.object.code ?? 500});
				default:
					throw new NoAnswerError(request, {
						reason: 'BrokenAnswer',
						message: `unknown watch event ${JSON.stringify(event satisfies never)}`,
					});
			}
		}
	}

	post<Answer>(path: string, body: object, options: RequestOptions = {}): Promise<Answer> {
		return this.#call({...options, verb: 'post', resource: 'other', method: 'POST', path, contentType: 'json', body});
	}

	/** Closes all connections; requests and watches under way reject. */
	close(): void {
		this.#transport.close();
	}

	async #mergePatch<T extends KubeObject>(
		resource: Resource<T>,
		path: string,
		patch: MergePatch<T>,
		options: PatchOptions,
	): Promise<T> {
		const {resourceVersion, uid} = options;
		// The API server takes both inside a patch as preconditions: one as a conflict, the other as an immutable field.
		const preconditions = {...(resourceVersion !== undefined && {resourceVersion}), ...(uid !== undefined && {uid})};
		try {
			return await this.#call({
				...options,
				verb: 'patch',
				resource: resource.plural,
				method: 'PATCH',
				path,
				query: this.#writeQuery(options),
				contentType: 'mergePatch',
				body: {...patch, metadata: {...patch.metadata, ...preconditions}},
			});
		} catch (error) {
			if (uid === undefined || !isInvalid(error) || !isAboutUid(error)) throw error;
			throw new ApiError({method: 'PATCH', path}, {code: 409, reason: 'Conflict', message: error.statusMessage});
		}
	}

	#apply<T extends KubeObject>(
		resource: Resource<T>,
		path: string,
		object: ApplyObject<T>,
		{force = false, ...options}: ApplyOptions,
	): Promise<T> {
		return this.#call({
			...options,
			verb: 'apply',
			resource: resource.plural,
			method: 'PATCH',
			path,
			query: {...this.#writeQuery(options), force: String(force)},
			contentType: 'apply',
			body: {...object, apiVersion: apiVersionOf(resource), kind: resource.kind},
		});
	}

	#writeQuery({fieldManager = this.#fieldManager, dryRun}: WriteOptions): HttpRequest['query'] & object {
		return {fieldManager, dryRun: dryRun ? 'All' : undefined};
	}

	async #call<Answer>(call: Call): Promise<Answer> {
		const {verb, resource, method, path, query = {}, contentType, body, signal, timeoutMs = this.#timeoutMs} = call;
		const stopTimer = apiRequests.startTimer({verb, resource});
		let code = '2xx';
		try {
			return await this.#transport.json<Answer>({
				method,
				path,
				query,
				...(contentType && {body: {contentType: contentTypes[contentType], json: body}}),
				signal,
				timeoutMs,
			});
		} catch (error) {
			code = error instanceof ApiError ? String(error.code) : 'NoAnswer';
			throw error;
		} finally {
			stopTimer({code});
		}
	}
}

function objectPath(resource: Resource<KubeObject>, {namespace, name}: ObjectKey, subresource?: string): string {
	return apiPath(resource, {namespace, name, subresource});
}

function selectors({labelSelector, fieldSelector}: Pick<ListOptions, 'labelSelector' | 'fieldSelector'>) {
	return {labelSelector, fieldSelector};
}

function isAboutUid({details}: ApiError): boolean {
	return details?.causes?.some(({field}) => field === 'metadata.uid') ?? false;
}
