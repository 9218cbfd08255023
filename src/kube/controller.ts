import {randomBytes} from 'node:crypto';
import type {KubeObject} from '../api/kubernetes.ts';
import {type Clock, systemClock} from '../process/clock.ts';
import type {Logger} from '../process/log.ts';
import type {Backoff} from './backoff.ts';
import type {Caches} from './caches.ts';
import {ApiError, isConflict} from './errors.ts';
import {reconciles} from './metrics.ts';
import {parseKey} from './object-key.ts';
import type {Change} from './reflector.ts';
import type {Resource} from './resources.ts';
import {WorkQueue} from './workqueue.ts';

export type ReconcileResult = 'done' | {readonly recheckAfterMs: number};

/** What one round of reconciling gets besides its key. */
export interface Round {
	/** Aborts at the deadline, at shutdown and when leadership is lost. Pass it to every request. */
	readonly signal: AbortSignal;
	/** Child logger with controller, namespace, name and reconcileId. */
	readonly log: Logger;
}

/** Throwing means: try again later, rate-limited. */
export type Reconcile = (key: string, round: Round) => Promise<ReconcileResult>;

/** A kind to watch and the keys of the root objects that an object of it concerns. Made by `watch`. */
export interface Watch {
	readonly attach: (caches: Caches, enqueue: (key: string) => void) => void;
}

/** On an update, the keys of the old object and of the new one are enqueued, so that a root that lost the object notices. */
export function watch<T extends KubeObject>(
	resource: Resource<T>,
	toKeys: (object: T, change: Change<T>) => Iterable<string>,
): Watch {
	return {
		attach(caches, enqueue) {
			caches.onChange(resource, (change) => {
				if (change.type === 'update') for (const key of toKeys(change.old, change)) enqueue(key);
				for (const key of toKeys(change.object, change)) enqueue(key);
			});
		},
	};
}

export interface ControllerOptions {
	/** For logs and metrics. */
	readonly name: string;
	readonly caches: Caches;
	readonly watches: readonly Watch[];
	readonly reconcile: Reconcile;
	readonly log: Logger;
	/** Rounds at once, each of another key. Default 4. */
	readonly concurrency?: number;
	/** For one round. Default 120 s. */
	readonly deadlineMs?: number;
	readonly backoff?: Backoff;
	readonly clock?: Clock;
}

const defaultConcurrency = 4;
const defaultDeadlineMs = 120_000;
/** A round that ignores its signal so long after the deadline is worth an error: its key is stuck. */
const overdueMs = 30_000;

/**
 * Turns changes into keys from the moment it is made, and works on them while `run` runs: a standby replica collects keys, and
 * begins with all of them when it becomes the leader.
 */
export class Controller {
	readonly #options: ControllerOptions;
	readonly #clock: Clock;
	readonly #queue: WorkQueue;

	constructor(options: ControllerOptions) {
		const {name, caches, watches, clock = systemClock, backoff} = options;
		this.#options = options;
		this.#clock = clock;
		this.#queue = new WorkQueue({name, clock, ...(backoff && {backoff})});
		for (const {attach} of watches) attach(caches, (key) => this.enqueue(key));
	}

	get name(): string {
		return this.#options.name;
	}

	/** Keys that wait, and rounds under way. */
	get pending(): number {
		return this.#queue.depth + this.#queue.working;
	}

	enqueue(key: string): void {
		this.#queue.add(key);
	}

	enqueueAfter(key: string, delayMs: number): void {
		this.#queue.addAfter(key, delayMs);
	}

	/**
	 * Works from when all caches are synced until the signal (leadership, shutdown) aborts; resolves when the last round has
	 * ended. May be run again afterwards.
	 */
	async run(signal: AbortSignal): Promise<void> {
		const {caches, concurrency = defaultConcurrency} = this.#options;
		try {
			await caches.synced(signal);
		} catch (error) {
			if (signal.aborted) return;
			throw error;
		}
		await this.#queue.run((key) => this.#round(key, signal), {concurrency, signal});
	}

	/** Forgets delayed keys, so that no timer keeps the process alive. */
	close(): void {
		this.#queue.close();
	}

	async #round(key: string, stop: AbortSignal): Promise<void> {
		const {name, reconcile, deadlineMs = defaultDeadlineMs} = this.#options;
		const log = this.#options.log.child({
			controller: name,
			...parseKey(key),
			reconcileId: randomBytes(4).toString('hex'),
		});
		const deadline = new AbortController();
		const expire = () => deadline.abort(new DOMException(`no result within ${deadlineMs} ms`, 'TimeoutError'));
		const cancelDeadline = this.#clock.after(deadlineMs, expire);
		const cancelOverdue = this.#clock.after(deadlineMs + overdueMs, () => {
			log.error({deadlineMs}, 'round does not end after its deadline');
		});
		const startedMs = this.#clock.monotonicMs();
		let outcome: Outcome;
		try {
			outcome = this.#accept(key, await reconcile(key, {signal: AbortSignal.any([stop, deadline.signal]), log}));
		} catch (error) {
			outcome = this.#reject(key, error, {log, stop});
		} finally {
			cancelDeadline();
			cancelOverdue();
		}
		reconciles.observe({controller: name, outcome}, (this.#clock.monotonicMs() - startedMs) / 1000);
	}

	#accept(key: string, result: ReconcileResult): Outcome {
		this.#queue.forget(key);
		if (result === 'done') return 'done';
		this.#queue.addAfter(key, result.recheckAfterMs);
		return 'recheck';
	}

	#reject(key: string, error: unknown, {log, stop}: {log: Logger; stop: AbortSignal}): Outcome {
		if (stop.aborted) {
			// The next leader, or the next run, begins anew; whatever was thrown was likely the abort itself.
			log.debug({error}, 'round aborted');
			this.#queue.add(key);
			return 'aborted';
		}
		const attempt = this.#queue.retries(key) + 1;
		const retryAfterMs = error instanceof ApiError ? error.retryAfterMs : undefined;
		const delayMs = Math.round(this.#queue.addRateLimited(key, retryAfterMs));
		if (isConflict(error)) {
			// The cache was late: expected, and over by the next try.
			log.debug({error, attempt, delayMs}, 'round met a conflict');
			return 'conflict';
		}
		log.error({error, attempt, delayMs}, 'round failed');
		return 'error';
	}
}

type Outcome = 'done' | 'recheck' | 'conflict' | 'error' | 'aborted';
