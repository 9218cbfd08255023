/** Says of DataImportCrons that nobody carries them out. Key: `namespace/name`. */
import type {KubeObject} from '../api/kubernetes.ts';
import {fieldManager} from '../api/names.ts';
import {timestampOf} from '../api/timestamp.ts';
import type {Caches} from '../kube/caches.ts';
import type {KubeApi} from '../kube/client.ts';
import {Controller, watch} from '../kube/controller.ts';
import {isNotFound} from '../kube/errors.ts';
import {keyOf, parseKey} from '../kube/object-key.ts';
import * as resources from '../kube/resources.ts';
import type {Clock} from '../process/clock.ts';
import type {Logger} from '../process/log.ts';
import {decide, type Observed, type UnsupportedPlan} from './decide.ts';

export interface UnsupportedOptions {
	readonly api: KubeApi;
	readonly caches: Caches;
	readonly clock: Clock;
	readonly log: Logger;
}

function observe(key: string, {caches, clock}: UnsupportedOptions): Observed {
	const {namespace, name} = parseKey(key);
	return {
		cron: caches.store(resources.dataImportCrons).get(namespace, name),
		now: timestampOf(clock.now()),
	};
}

async function execute(api: KubeApi, plan: UnsupportedPlan, signal: AbortSignal): Promise<void> {
	if (plan.do === 'nothing') return;
	const {metadata} = plan.cron;
	const {resourceVersion, uid} = metadata;
	try {
		// A list is written as a whole, so only over the one that was read. There is no status subresource.
		const options = {resourceVersion, uid, fieldManager, signal};
		await api.mergePatch(resources.dataImportCrons, metadata, {status: {conditions: plan.conditions}}, options);
	} catch (error) {
		if (!isNotFound(error)) throw error;
	}
}

export function makeUnsupportedController(options: UnsupportedOptions): Controller {
	const {api, caches, clock, log} = options;
	return new Controller({
		name: 'unsupported',
		caches,
		clock,
		log,
		async reconcile(key, round) {
			const plan = decide(observe(key, options));
			await execute(api, plan, round.signal);
			if (plan.do === 'report') round.log.info('a DataImportCron is not supported');
			return 'done';
		},
		watches: [watch(resources.dataImportCrons, (cron: KubeObject) => [keyOf(cron)])],
	});
}
