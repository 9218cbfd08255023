/** Keeps CDIConfig `config` as the CDI object says, and a CDI object. There is one key. */
import {configName} from '../api/cdi-config.ts';
import type {KubeObject} from '../api/kubernetes.ts';
import {fieldManager} from '../api/names.ts';
import {timestampOf} from '../api/timestamp.ts';
import type {Caches} from '../kube/caches.ts';
import type {KubeApi} from '../kube/client.ts';
import {Controller, type ReconcileResult, watch} from '../kube/controller.ts';
import {createOnce} from '../kube/create-once.ts';
import {deleteExactly} from '../kube/delete-exactly.ts';
import {isConflict, isNotFound} from '../kube/errors.ts';
import * as resources from '../kube/resources.ts';
import type {Clock} from '../process/clock.ts';
import type {Logger} from '../process/log.ts';
import {activeCdi, isReady} from './cdi.ts';
import {type ConfigPlan, decide, type Observed} from './decide.ts';
import {crReady} from './metrics.ts';

/** Where a cache was late; its watch tells sooner. */
const nextStepMs = 1000;
/** The definitions of an older release do not have these kinds. */
const notServedMs = 60_000;
const served: readonly resources.Resource<KubeObject>[] = [resources.cdiConfigs, resources.cdis];

export interface CdiConfigOptions {
	readonly api: KubeApi;
	readonly caches: Caches;
	readonly log: Logger;
	readonly clock: Clock;
}

function observe(caches: Caches, nowMs: number): Observed {
	return {
		now: timestampOf(nowMs),
		config: caches.store(resources.cdiConfigs).get(undefined, configName),
		cdis: caches.store(resources.cdis).list(),
		storageClasses: caches.store(resources.storageClasses).list(),
	};
}

async function perform(api: KubeApi, plan: ConfigPlan, signal: AbortSignal): Promise<void> {
	switch (plan.do) {
		case 'nothing':
			return;
		case 'createConfig':
			await createOnce(api, resources.cdiConfigs, plan.config, signal);
			return;
		case 'updateConfig':
			await api.update(resources.cdiConfigs, plan.config, {fieldManager, signal});
			return;
		case 'createCdi': {
			// Asked of the server itself: of two, KubeVirt would believe neither.
			const {items} = await api.list(resources.cdis, {limit: 1, signal});
			if (items.length === 0) await createOnce(api, resources.cdis, plan.cdi, signal);
			return;
		}
		case 'deleteCdi':
			await deleteExactly(api, resources.cdis, plan.cdi, signal);
			return;
		case 'reportCdi': {
			const {metadata} = plan.cdi;
			const options = {uid: metadata.uid, resourceVersion: metadata.resourceVersion, fieldManager, signal};
			await api.mergePatch(resources.cdis, metadata, {status: plan.status}, options);
			return;
		}
		default:
			plan satisfies never;
	}
}

export function makeCdiConfigController({api, caches, log, clock}: CdiConfigOptions): Controller {
	async function reconcile(_key: string, round: {signal: AbortSignal; log: Logger}): Promise<ReconcileResult> {
		const isServed = served.every((resource) => caches.isServed(resource));
		if (!isServed) return {recheckAfterMs: notServedMs};
		const plan = decide(observe(caches, clock.now()));
		if (plan.do === 'nothing') return 'done';
		round.log.info({plan: plan.do}, 'cluster settings step');
		try {
			await perform(api, plan, round.signal);
		} catch (error) {
			// Somebody else wrote meanwhile: the next round sees it.
			if (!isConflict(error) && !isNotFound(error)) throw error;
		}
		return {recheckAfterMs: nextStepMs};
	}

	const showReady = () => crReady.set(isReady(activeCdi(caches.store(resources.cdis).list())) ? 1 : 0);
	caches.onChange(resources.cdis, showReady);
	const toKey = () => [configName];
	const controller = new Controller({
		name: 'cdiconfig',
		caches,
		log,
		clock,
		reconcile,
		watches: [
			watch(resources.cdiConfigs, ({metadata}) => (metadata.name === configName ? toKey() : [])),
			watch(resources.cdis, toKey),
			watch(resources.storageClasses, toKey),
		],
	});
	// In an empty cluster nothing else would wake it.
	controller.enqueue(configName);
	return controller;
}
