/**
 * How many percent a worker has done, asked of its own metrics endpoint while it runs. Kept in memory: whoever restarts
 * asks again.
 */
import {Agent} from 'node:http';
import got from 'got';
import PQueue from 'p-queue';
import type {Pod} from '../api/kubernetes.ts';
import {labels} from '../api/names.ts';
import {cloneProgressMetric, importProgressMetric, workerMetricsPort} from '../api/worker-contract.ts';
import type {Caches} from '../kube/caches.ts';
import * as resources from '../kube/resources.ts';
import type {Clock} from '../process/clock.ts';
import {targetKeyOf} from './observe.ts';
import {workersRunning} from './metrics.ts';

const intervalMs = 2000;
const timeoutMs = 2000;
const scrapesAtOnce = 8;
const scrapeAgent = new Agent({keepAlive: false});

/** The value of `kubevirt_cdi_…_progress_total{ownerUID="uid"}` in Prometheus text. */
export function parseProgress(text: string, ownerUid: string): number | undefined {
	for (const line of text.split('\n')) {
		if (!line.startsWith(importProgressMetric) && !line.startsWith(cloneProgressMetric)) continue;
		if (!line.includes(`ownerUID="${ownerUid}"`)) continue;
		const [text = ''] = line
			.slice(line.lastIndexOf('}') + 1)
			.trim()
			.split(' ');
		const value = text === '' ? Number.NaN : Number(text);
		if (Number.isFinite(value)) return Math.min(100, Math.max(0, value));
	}
	return undefined;
}

export interface ProgressBookOptions {
	readonly caches: Caches;
	readonly clock: Clock;
	/** Told with the target's `namespace/name` when its progress changed. */
	readonly onChange: (targetKey: string) => void;
}

export class ProgressBook {
	readonly #percent = new Map<string, number>();
	readonly #options: ProgressBookOptions;

	constructor(options: ProgressBookOptions) {
		this.#options = options;
	}

	/** Percent, 0 to 100, by UID of the target claim. */
	of(targetUid: string): number | undefined {
		return this.#percent.get(targetUid);
	}

	async run(signal: AbortSignal): Promise<void> {
		const {caches, clock} = this.#options;
		const queue = new PQueue({concurrency: scrapesAtOnce});
		while (!signal.aborted) {
			const running = caches.store(resources.pods).list().filter(isRunningWorker);
			workersRunning.set(running.length);
			const uids = new Set(running.map((pod) => pod.metadata.labels?.[labels.targetUid]));
			for (const uid of this.#percent.keys()) if (!uids.has(uid)) this.#percent.delete(uid);
			await queue.addAll(running.map((pod) => () => this.#scrape(pod, signal)));
			await clock.sleep(intervalMs, signal);
		}
	}

	async #scrape(pod: Pod, signal: AbortSignal): Promise<void> {
		const uid = pod.metadata.labels?.[labels.targetUid];
		const address = pod.status?.podIP;
		const key = targetKeyOf(pod);
		if (!uid || !address || !key) return;
		const host = address.includes(':') ? `[${address}]` : address;
		try {
			const text = await got(`http://${host}:${workerMetricsPort}/metrics`, {
				timeout: {request: timeoutMs},
				retry: {limit: 0},
				// A worker lives for seconds: connections kept to those that are gone would only pile up.
				agent: {http: scrapeAgent},
				signal,
			}).text();
			const percent = parseProgress(text, uid);
			if (percent === undefined || percent === this.#percent.get(uid)) return;
			this.#percent.set(uid, percent);
			this.#options.onChange(key);
		} catch {
			// Starting, ending, or behind a network policy: progress is a convenience, the next round asks again.
		}
	}
}

function isRunningWorker(pod: Pod): boolean {
	return pod.metadata.labels?.[labels.targetUid] !== undefined && pod.status?.phase === 'Running';
}
