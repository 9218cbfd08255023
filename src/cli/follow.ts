/** DataVolumes as they change, for commands that wait or watch. */
import type {DataVolume} from '../api/datavolume.ts';
import {backoffMs} from '../kube/backoff.ts';
import type {KubeApi} from '../kube/client.ts';
import {ApiError, isGone} from '../kube/errors.ts';
import {keyOf} from '../kube/object-key.ts';
import * as resources from '../kube/resources.ts';
import {systemClock} from '../process/clock.ts';

export interface Selection {
	/** All namespaces when absent. */
	readonly namespace?: string | undefined;
	/** This one only. */
	readonly name?: string | undefined;
}

export type Sighting =
	| {readonly is: 'there'; readonly dataVolume: DataVolume}
	| {readonly is: 'gone'; readonly dataVolume: DataVolume}
	/** Everything that was there when it began has been told. */
	| {readonly is: 'complete'};

/** In a row, without a single answer in between. */
const mostFailures = 6;
const betweenWatchesMs = 250;
const pause = {baseMs: 500, maxMs: 8000};

const isPassing = (error: unknown) => !(error instanceof ApiError) || error.code >= 500 || error.code === 429;

async function listAll(api: KubeApi, selection: object, signal: AbortSignal) {
	const found: DataVolume[] = [];
	let next: string | undefined;
	for (;;) {
		const page = await api.list(resources.dataVolumes, {...selection, limit: 500, continue: next, signal});
		found.push(...page.items);
		next = page.continue;
		if (next === undefined) return {found, resourceVersion: page.resourceVersion};
	}
}

/**
 * What is there, then every change, until whoever reads stops. Rejects with what the server said to the first list, with the
 * signal's reason, and when the server has not answered for a while.
 */
export async function* follow(
	api: KubeApi,
	{namespace, name}: Selection,
	signal: AbortSignal,
): AsyncGenerator<Sighting, never, undefined> {
	const selection = {namespace, ...(name !== undefined && {fieldSelector: `metadata.name=${name}`})};
	const known = new Map<string, DataVolume>();
	let resourceVersion: string | undefined;
	let isFirst = true;
	let failures = 0;
	for (;;) {
		try {
			if (resourceVersion === undefined) {
				const list = await listAll(api, selection, signal);
				const gone = new Map(known);
				known.clear();
				for (const dataVolume of list.found) {
					known.set(keyOf(dataVolume), dataVolume);
					gone.delete(keyOf(dataVolume));
					yield {is: 'there', dataVolume};
				}
				for (const dataVolume of gone.values()) yield {is: 'gone', dataVolume};
				if (isFirst) yield {is: 'complete'};
				isFirst = false;
				({resourceVersion} = list);
			}
			for await (const event of api.watch(resources.dataVolumes, {...selection, resourceVersion, signal})) {
				failures = 0;
				if (event.type === 'BOOKMARK') {
					({resourceVersion} = event);
					continue;
				}
				const dataVolume = event.object;
				resourceVersion = dataVolume.metadata.resourceVersion ?? resourceVersion;
				if (event.type === 'DELETED') known.delete(keyOf(dataVolume));
				else known.set(keyOf(dataVolume), dataVolume);
				yield {is: event.type === 'DELETED' ? 'gone' : 'there', dataVolume};
			}
			// The server ends every watch after a while; one that ends each at once is not asked in a tight loop.
			await systemClock.sleep(betweenWatchesMs, signal);
			signal.throwIfAborted();
		} catch (error) {
			signal.throwIfAborted();
			if (isGone(error)) resourceVersion = undefined;
			else if (isFirst || !isPassing(error) || ++failures >= mostFailures) throw error;
			await systemClock.sleep(backoffMs(pause, failures, Math.random), signal);
			signal.throwIfAborted();
		}
	}
}
