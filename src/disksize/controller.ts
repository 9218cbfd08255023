/** Learns how large the disks of claims are, for clones that ask for no size. Key: `namespace/name` of the claim. */
import type {Pod} from '../api/kubernetes.ts';
import type {Caches} from '../kube/caches.ts';
import {annotateExactly} from '../kube/annotate.ts';
import type {KubeApi} from '../kube/client.ts';
import {Controller, type ReconcileResult, watch} from '../kube/controller.ts';
import {createOnce} from '../kube/create-once.ts';
import {deleteExactly} from '../kube/delete-exactly.ts';
import {ApiError} from '../kube/errors.ts';
import {keyOf} from '../kube/object-key.ts';
import * as resources from '../kube/resources.ts';
import {workerRetryMs} from '../populate/decide.ts';
import type {WorkerSettings} from '../populate/objects.ts';
import type {Clock} from '../process/clock.ts';
import type {Logger} from '../process/log.ts';
import {podsByClaim} from '../smartclone/writers.ts';
import {sizeDetectionPodName} from '../api/names.ts';
import {decide, type DiskSizePlan} from './decide.ts';
import {observe, sizePodOf} from './observe.ts';
import {DiskSizeRequests} from './requests.ts';

const nextStepMs = 50;
const safetyNetMs = 60_000;

export interface DiskSizesOptions {
	readonly api: KubeApi;
	readonly caches: Caches;
	readonly clock: Clock;
	readonly log: Logger;
	/** Of the Pod that looks, asked each time. */
	readonly settings: () => WorkerSettings;
}

export interface DiskSizes {
	readonly controller: Controller;
	readonly requests: DiskSizeRequests;
}

/** Whether a Pod of this name is one that looks into a claim. */
export const isSizePod = ({metadata}: Pod): boolean => metadata.name.startsWith(sizeDetectionPodName(''));

/** Resolves to why the API server takes no Pod, in its words: a quota, or who may make which Pods in the namespace. */
async function createPod(api: KubeApi, pod: Pod, signal: AbortSignal): Promise<string | undefined> {
	try {
		await createOnce(api, resources.pods, pod, signal);
		return undefined;
	} catch (error) {
		if (error instanceof ApiError && (error.code === 403 || error.code === 422)) return error.statusMessage;
		throw error;
	}
}

async function execute(api: KubeApi, plan: DiskSizePlan, signal: AbortSignal): Promise<string | undefined> {
	switch (plan.do) {
		case 'nothing':
		case 'wait':
			return undefined;
		case 'createPod':
			return createPod(api, plan.pod, signal);
		case 'remember':
			await annotateExactly(api, resources.persistentVolumeClaims, plan.claim, {annotations: plan.annotations}, signal);
			return undefined;
		case 'deletePod':
			await deleteExactly(api, resources.pods, plan.pod, signal);
			return undefined;
		default:
			return plan satisfies never;
	}
}

export function makeDiskSizes({api, caches, clock, log, settings}: DiskSizesOptions): DiskSizes {
	caches.addIndex(resources.pods, podsByClaim);
	const controller = new Controller({
		name: 'disksize',
		caches,
		clock,
		log,
		async reconcile(key, round): Promise<ReconcileResult> {
			const plan = decide(observe(key, {caches, requests, nowMs: clock.now()}), settings());
			const problem = await execute(api, plan, round.signal);
			if (plan.do === 'createPod') requests.report(key, problem);
			if (problem !== undefined) return {recheckAfterMs: workerRetryMs};
			if (plan.do === 'nothing') return requests.has(key) ? {recheckAfterMs: safetyNetMs} : 'done';
			if (plan.do === 'wait') return {recheckAfterMs: plan.recheckAfterMs};
			round.log.info({plan: plan.do}, 'disk size step');
			return {recheckAfterMs: nextStepMs};
		},
		watches: [
			watch(resources.persistentVolumeClaims, (claim) =>
				requests.has(keyOf(claim)) || sizePodOf(caches, claim) ? [keyOf(claim)] : [],
			),
			watch(resources.pods, (pod) => (isSizePod(pod) ? podsByClaim.keys(pod) : [])),
		],
	});
	const requests: DiskSizeRequests = new DiskSizeRequests((key) => controller.enqueue(key));
	return {controller, requests};
}
