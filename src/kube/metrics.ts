import {Counter, Gauge, Histogram} from 'prom-client';
import {registry} from '../process/metrics.ts';

const registers = [registry];
/** From a cached read to the 30 s request deadline. */
const requestBuckets = [0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30];
/** Rounds may wait for the API server several times. */
const roundBuckets = [0.001, 0.01, 0.05, 0.2, 1, 5, 20, 60, 120];

export const apiRequests = new Histogram({
	name: 'onesnap_api_request_duration_seconds',
	help: 'Requests to the API server, without watches. code is 2xx, the HTTP status of a refusal, or NoAnswer.',
	labelNames: ['verb', 'resource', 'code'] as const,
	buckets: requestBuckets,
	registers,
});

export const cacheLists = new Counter({
	name: 'onesnap_cache_lists_total',
	help: 'Full lists by a cache. More than one per kind means that a watch could not be resumed.',
	labelNames: ['resource'] as const,
	registers,
});

export const cacheFailures = new Counter({
	name: 'onesnap_cache_failures_total',
	help: 'Lists and watches that failed, by kind of failure.',
	labelNames: ['resource', 'reason'] as const,
	registers,
});

export const cacheObjects = new Gauge({
	name: 'onesnap_cache_objects',
	help: 'Objects in a cache.',
	labelNames: ['resource'] as const,
	registers,
});

export const queueDepth = new Gauge({
	name: 'onesnap_queue_depth',
	help: 'Keys that wait for a worker (not the delayed ones).',
	labelNames: ['queue'] as const,
	registers,
});

export const queueLatency = new Histogram({
	name: 'onesnap_queue_latency_seconds',
	help: 'From being due to a worker taking it.',
	labelNames: ['queue'] as const,
	buckets: roundBuckets,
	registers,
});

export const queueRetries = new Counter({
	name: 'onesnap_queue_retries_total',
	help: 'Rate-limited re-adds.',
	labelNames: ['queue'] as const,
	registers,
});

export const reconciles = new Histogram({
	name: 'onesnap_reconcile_duration_seconds',
	help: 'Rounds by outcome: done, recheck, conflict, error, aborted.',
	labelNames: ['controller', 'outcome'] as const,
	buckets: roundBuckets,
	registers,
});

export const leading = new Gauge({
	name: 'onesnap_leader',
	help: '1 while this replica holds the Lease.',
	labelNames: ['lease'] as const,
	registers,
});

export const eventsDropped = new Counter({
	name: 'onesnap_events_dropped_total',
	help: 'Events not written: queue full, too many for one object, or refused by the API server.',
	labelNames: ['why'] as const,
	registers,
});
