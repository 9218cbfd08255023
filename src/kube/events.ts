import {randomBytes} from 'node:crypto';
import type {Event, EventType, ObjectReference} from '../api/event.ts';
import type {KubeObject} from '../api/kubernetes.ts';
import {timestampOf} from '../api/timestamp.ts';
import {type Clock, systemClock} from '../process/clock.ts';
import type {Logger} from '../process/log.ts';
import {type Backoff, backoffMs} from './backoff.ts';
import type {KubeApi} from './client.ts';
import {ApiError, isNotFound, isTooManyRequests} from './errors.ts';
import {eventsDropped} from './metrics.ts';
import {events} from './resources.ts';

/**
 * Writes core/v1 Events, which is what `kubectl describe` reads. The same words about the same object become one Event whose
 * count goes up; a repetition that comes while the former still waits to be written costs no request at all.
 */

export interface EventText {
	readonly type: EventType;
	/** CamelCase, an API: never renamed lightly. */
	readonly reason: string;
	readonly message: string;
}

/** Neither throws nor waits: an event that cannot be written is counted and dropped. */
export interface EventRecorder {
	record(about: KubeObject, event: EventText): void;
}

export interface EventRecorderOptions {
	readonly api: Pick<KubeApi, 'create' | 'mergePatch'>;
	/** Shown as From by kubectl. */
	readonly component: string;
	/** This replica. */
	readonly instance: string;
	readonly log: Logger;
	readonly clock?: Clock;
	/** Events that may wait to be written. Default 1000. */
	readonly maxWaiting?: number;
	/** Events per object at once, before the refill counts. Default 25. */
	readonly burst?: number;
	/** One more event per object after so long. Default 5 minutes. */
	readonly refillMs?: number;
}

/** Repetitions later than this start a new Event: the API server forgets Events after an hour. */
const aggregationMs = 600_000;
/** Texts and objects remembered; the least recently used go first. */
const maxRemembered = 4096;
const tries = 3;
const retryBackoff: Backoff = {baseMs: 1000, maxMs: 10_000};
const requestTimeoutMs = 10_000;
/** The limit of events.k8s.io; the same Event may be read through it. */
const maxMessageLength = 1024;

/** One Event, written or not. */
interface Entry {
	readonly about: ObjectReference;
	readonly text: EventText;
	name: string;
	count: number;
	readonly firstAtMs: number;
	lastAtMs: number;
	created: boolean;
	waiting: boolean;
}

interface Bucket {
	tokens: number;
	atMs: number;
}

export class KubeEventRecorder implements EventRecorder {
	readonly #options: EventRecorderOptions;
	readonly #clock: Clock;
	readonly #entries = new Map<string, Entry>();
	readonly #buckets = new Map<string, Bucket>();
	readonly #waiting: Entry[] = [];
	readonly #abort = new AbortController();
	/** The loop that writes, while there is something to write. */
	#writing: Promise<void> | undefined;
	#closed = false;

	constructor(options: EventRecorderOptions) {
		this.#options = options;
		this.#clock = options.clock ?? systemClock;
	}

	record(about: KubeObject, text: EventText): void {
		if (this.#closed) {
			eventsDropped.inc({why: 'closed'});
			return;
		}
		const reference = makeReference(about);
		if (!this.#admit(reference)) {
			eventsDropped.inc({why: 'spam'});
			return;
		}
		const entry = this.#entryFor(reference, text);
		entry.count++;
		entry.lastAtMs = this.#clock.now();
		if (entry.waiting) return;
		if (this.#waiting.length >= (this.#options.maxWaiting ?? 1000)) {
			eventsDropped.inc({why: 'queueFull'});
			return;
		}
		entry.waiting = true;
		this.#waiting.push(entry);
		this.#writing ??= this.#write().finally(() => {
			this.#writing = undefined;
		});
	}

	/** Writes what waits, then takes no more; gives up after the deadline. */
	async close(deadlineMs = 5000): Promise<void> {
		this.#closed = true;
		const cancel = this.#clock.after(deadlineMs, () => this.#abort.abort(new Error('closing')));
		await this.#writing;
		cancel();
	}

	/** Resolves when nothing waits to be written. For tests. */
	async idle(): Promise<void> {
		await this.#writing;
	}

	/** A token bucket per object, so that one object in trouble does not drown the others' events. */
	#admit(about: ObjectReference): boolean {
		const {burst = 25, refillMs = 300_000} = this.#options;
		const nowMs = this.#clock.monotonicMs();
		const key = objectKey(about);
		const bucket = this.#buckets.get(key) ?? {tokens: burst, atMs: nowMs};
		bucket.tokens = Math.min(burst, bucket.tokens + (nowMs - bucket.atMs) / refillMs);
		bucket.atMs = nowMs;
		remember(this.#buckets, key, bucket);
		if (bucket.tokens < 1) return false;
		bucket.tokens--;
		return true;
	}

	#entryFor(about: ObjectReference, text: EventText): Entry {
		const key = JSON.stringify([objectKey(about), text.type, text.reason, text.message]);
		const nowMs = this.#clock.now();
		const present = this.#entries.get(key);
		if (present && (present.waiting || nowMs - present.lastAtMs < aggregationMs)) {
			remember(this.#entries, key, present);
			return present;
		}
		const name = makeEventName(about);
		const fresh = {about, text, name, count: 0, firstAtMs: nowMs, lastAtMs: nowMs, created: false, waiting: false};
		remember(this.#entries, key, fresh);
		return fresh;
	}

	async #write(): Promise<void> {
		for (let entry = this.#waiting.shift(); entry; entry = this.#waiting.shift()) {
			entry.waiting = false;
			await this.#writeOne(entry);
		}
	}

	async #writeOne(entry: Entry): Promise<void> {
		for (let attempt = 0; !this.#abort.signal.aborted; attempt++) {
			try {
				await this.#createOrCount(entry);
				return;
			} catch (error) {
				const isFinal = error instanceof ApiError && error.code < 500 && !isTooManyRequests(error);
				if (isFinal || attempt + 1 >= tries) {
					eventsDropped.inc({why: 'refused'});
					this.#options.log.debug({error, about: entry.about, reason: entry.text.reason}, 'event not written');
					return;
				}
				await this.#clock.sleep(backoffMs(retryBackoff, attempt), this.#abort.signal);
			}
		}
		eventsDropped.inc({why: 'closed'});
	}

	async #createOrCount(entry: Entry): Promise<void> {
		const {api} = this.#options;
		const request = {signal: this.#abort.signal, timeoutMs: requestTimeoutMs};
		if (entry.created) {
			const patch = {count: entry.count, lastTimestamp: timestampOf(entry.lastAtMs)};
			try {
				await api.mergePatch(events, {namespace: namespaceOf(entry.about), name: entry.name}, patch, request);
				return;
			} catch (error) {
				if (!isNotFound(error)) throw error;
				// Expired or deleted: begin a new one.
				entry.created = false;
				entry.name = makeEventName(entry.about);
			}
		}
		await api.create(events, this.#makeEvent(entry), request);
		entry.created = true;
	}

	#makeEvent({about, text, name, count, firstAtMs, lastAtMs}: Entry): Event {
		const {component, instance} = this.#options;
		return {
			apiVersion: 'v1',
			kind: 'Event',
			metadata: {namespace: namespaceOf(about), name},
			involvedObject: about,
			type: text.type,
			reason: text.reason,
			message: text.message.slice(0, maxMessageLength),
			source: {component},
			reportingComponent: component,
			reportingInstance: instance,
			count,
			firstTimestamp: timestampOf(firstAtMs),
			lastTimestamp: timestampOf(lastAtMs),
		};
	}
}

function makeReference({apiVersion, kind, metadata}: KubeObject): ObjectReference {
	const {namespace, name, uid, resourceVersion} = metadata;
	return {
		apiVersion,
		kind,
		name,
		...(namespace && {namespace}),
		...(uid && {uid}),
		...(resourceVersion && {resourceVersion}),
	};
}

function objectKey({kind, namespace, name, uid}: ObjectReference): string {
	return [kind, namespace, name, uid].join('/');
}

/** Events live in a namespace; those about cluster-scoped objects go where kubectl looks for them. */
function namespaceOf(about: ObjectReference): string {
	return about.namespace ?? 'default';
}

/** Names are at most 253 characters long. */
function makeEventName(about: ObjectReference): string {
	return `${about.name?.slice(0, 236)}.${randomBytes(8).toString('hex')}`;
}

/** Keeps a Map in the order of last use and bounded. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
	map.delete(key);
	map.set(key, value);
	if (map.size <= maxRemembered) return;
	for (const oldest of map.keys()) {
		map.delete(oldest);
		break;
	}
}
