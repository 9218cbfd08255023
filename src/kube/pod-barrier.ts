/**
 * Makes sure how far the Pod watch has come, without comparing versions of different kinds: an annotation of our own Pod is
 * written, and once our Pod watch shows that very write, it has shown every change of a Pod that was made before.
 *
 * Bookmarks would say so too, but come about once a minute. One write answers for all who ask at that moment. Outside of a
 * Pod there is nothing to write to, and the barrier is not available.
 */
import type {Clock} from '../process/clock.ts';
import type {Logger} from '../process/log.ts';
import type {Caches} from './caches.ts';
import type {KubeApi} from './client.ts';
import * as resources from './resources.ts';

/** The watch is late or gone: nobody should wait longer for what a new snapshot gives in a second. */
const lateMs = 2000;
/** After a barrier that failed or came late. */
const pauseMs = 60_000;

export interface PodBarrierOptions {
	readonly api: Pick<KubeApi, 'mergePatch'>;
	readonly caches: Caches;
	/** Our own; undefined where this process runs in none. */
	readonly pod: {readonly namespace: string; readonly name: string} | undefined;
	readonly annotation: string;
	/** Unique for each run of the process: numbers begin anew with it. */
	readonly run: string;
	readonly clock: Clock;
	readonly log: Logger;
	/** Called when `passed` has grown. */
	readonly onPassed: () => void;
}

export class PodBarrier {
	readonly #options: PodBarrierOptions;
	#passed = 0;
	#pending: {readonly number: number; readonly sinceMs: number} | undefined;
	#pausedUntilMs = 0;

	constructor(options: PodBarrierOptions) {
		this.#options = options;
		options.caches.onChange(resources.pods, ({type, object: {metadata}}) => {
			if (type !== 'delete' && metadata.namespace === options.pod?.namespace && metadata.name === options.pod?.name)
				this.#shown(metadata.annotations?.[options.annotation]);
		});
	}

	/** Highest number that was handed to {@link pass} before a write that the watch has shown. */
	get passed(): number {
		return this.#passed;
	}

	get available(): boolean {
		this.#giveUpIfLate();
		return this.#options.pod !== undefined && this.#options.clock.monotonicMs() >= this.#pausedUntilMs;
	}

	/** Writes the barrier unless one is under way. Never rejects for what the API server answers: it is not available then. */
	async pass(number: number, signal: AbortSignal): Promise<void> {
		const {api, pod, annotation, run, clock, log} = this.#options;
		if (!pod || !this.available || this.#pending || number <= this.#passed) return;
		this.#pending = {number, sinceMs: clock.monotonicMs()};
		try {
			const patch = {metadata: {annotations: {[annotation]: `${run}/${number}`}}};
			await api.mergePatch(resources.pods, pod, patch, {signal});
		} catch (error) {
			signal.throwIfAborted();
			log.warn({err: error, pod: `${pod.namespace}/${pod.name}`}, 'cannot annotate our own Pod');
			this.#pause();
		}
	}

	#shown(value: string | undefined): void {
		const [run, number] = value?.split('/', 2) ?? [];
		if (run !== this.#options.run || !(Number(number) > this.#passed)) return;
		this.#passed = Number(number);
		this.#pending = undefined;
		this.#options.onPassed();
	}

	#giveUpIfLate(): void {
		const now = this.#options.clock.monotonicMs();
		if (this.#pending && now - this.#pending.sinceMs > lateMs) this.#pause();
	}

	#pause(): void {
		this.#pending = undefined;
		this.#pausedUntilMs = this.#options.clock.monotonicMs() + pauseMs;
	}

	static readonly lateMs = lateMs;
}
