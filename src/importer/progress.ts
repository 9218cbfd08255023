import {Counter} from 'prom-client';
import type {Log} from '../process/plain-log.ts';
import {registry} from '../process/metrics.ts';

export interface ProgressOptions {
	/** {@link importProgressMetric} or {@link cloneProgressMetric}. */
	readonly metricName: string;
	readonly help: string;
	readonly ownerUid: string;
	readonly log: Log;
}

/** Log a line each so many percent. */
const logStep = 10;

/** Percent of the work that is done, 0 to 100: never backwards, and 100 only when all of it is. */
export class Progress {
	readonly #counter: Counter<'ownerUID'>;
	readonly #ownerUid: string;
	readonly #log: Log;
	readonly #startedMs = performance.now();
	#percent = 0;
	#loggedPercent = 0;

	constructor({metricName, help, ownerUid, log}: ProgressOptions) {
		registry.removeSingleMetric(metricName);
		this.#counter = new Counter({name: metricName, help, labelNames: ['ownerUID'], registers: [registry]});
		this.#counter.inc({ownerUID: ownerUid}, 0);
		this.#ownerUid = ownerUid;
		this.#log = log;
	}

	get percent(): number {
		return this.#percent;
	}

	report(percent: number): void {
		const step = Math.min(100, percent) - this.#percent;
		if (!(step > 0)) return;
		this.#percent += step;
		this.#counter.inc({ownerUID: this.#ownerUid}, step);
		if (this.#percent - this.#loggedPercent < logStep && this.#percent < 100) return;
		this.#loggedPercent = this.#percent;
		const seconds = (performance.now() - this.#startedMs) / 1000;
		this.#log.info({percent: Number(this.#percent.toFixed(2)), seconds: Number(seconds.toFixed(1))}, 'progress');
	}
}
