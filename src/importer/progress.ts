/**
 * Percent of the work that is done: as a metric for the controller, and as log lines with speed and remaining time.
 *
 * Work that has an end is a share of it: of the disk that qemu-img has gone through, of the bytes of a file. A stream whose
 * length nobody knows is a share of the most that fits into the claim: what is shown is done at least, and the end comes
 * sooner than expected, not later.
 */
import {setTimeout as sleep} from 'node:timers/promises';
import type {Log} from '../process/plain-log.ts';
import {estimate, remember, type Report} from './progress-estimate.ts';
import type {ProgressMetricOptions} from './progress-metric.ts';
import {metricsDelayMs} from './worker.ts';

export interface ProgressOptions extends ProgressMetricOptions {
	readonly log: Log;
}

/** A log line each so many percent, or after so long where something was done. */
const logStep = 10;
const logIntervalMs = 60_000;

/** 0 to 100: never backwards, and 100 only when all of it is done. */
export class Progress {
	readonly #log: Log;
	readonly #startMs = performance.now();
	#reports: readonly Report[] = [{atMs: performance.now(), percent: 0, bytes: 0}];
	#percent = 0;
	#logged = {percent: 0, atMs: performance.now()};
	#show = (_percent: number): void => {};

	constructor({log, ...metric}: ProgressOptions) {
		this.#log = log;
		// Loading what counts takes longer than to import a small disk.
		this.#startMetric(metric).catch((error: unknown) => log.debug({error}, 'no progress metric'));
	}

	get percent(): number {
		return this.#percent;
	}

	/** @param bytes what has come from the source so far, for the speed */
	report(percent: number, bytes = 0): void {
		if (!(Math.min(100, percent) > this.#percent)) return;
		const atMs = performance.now();
		this.#percent = Math.min(100, percent);
		this.#show(this.#percent);
		this.#reports = remember(this.#reports, {atMs, percent: this.#percent, bytes});
		const isDue = this.#percent - this.#logged.percent >= logStep || atMs - this.#logged.atMs >= logIntervalMs;
		if (!isDue && this.#percent < 100) return;
		this.#logged = {percent: this.#percent, atMs};
		const {bytesPerSecond, secondsLeft} = estimate(this.#reports);
		this.#log.info(
			{
				percent: rounded(this.#percent, 2),
				seconds: rounded((atMs - this.#startMs) / 1000, 1),
				...(bytesPerSecond !== undefined && {mbPerSecond: rounded(bytesPerSecond / 1e6, 1)}),
				...(secondsLeft !== undefined && this.#percent < 100 && {secondsLeft: Math.ceil(secondsLeft)}),
			},
			'progress',
		);
	}

	async #startMetric(options: ProgressMetricOptions): Promise<void> {
		await sleep(metricsDelayMs, undefined, {ref: false});
		const {ProgressMetric} = await import('./progress-metric.ts');
		const metric = new ProgressMetric(options);
		this.#show = (percent) => metric.set(percent);
		this.#show(this.#percent);
	}
}

function rounded(value: number, digits: number): number {
	return Number(value.toFixed(digits));
}
