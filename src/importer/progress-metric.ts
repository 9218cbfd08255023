import {Counter} from 'prom-client';
import {registry} from '../process/metrics.ts';

export interface ProgressMetricOptions {
	/** {@link importProgressMetric} or {@link cloneProgressMetric}. */
	readonly metricName: string;
	readonly help: string;
	readonly ownerUid: string;
}

/** Percent as a counter, as CDI has it. */
export class ProgressMetric {
	readonly #counter: Counter<'ownerUID'>;
	readonly #ownerUid: string;
	#percent = 0;

	constructor({metricName, help, ownerUid}: ProgressMetricOptions) {
		registry.removeSingleMetric(metricName);
		this.#counter = new Counter({name: metricName, help, labelNames: ['ownerUID'], registers: [registry]});
		this.#counter.inc({ownerUID: ownerUid}, 0);
		this.#ownerUid = ownerUid;
	}

	/** At least what it was before. */
	set(percent: number): void {
		this.#counter.inc({ownerUID: this.#ownerUid}, percent - this.#percent);
		this.#percent = percent;
	}
}
