/**
 * Reconciles the shared snapshots of one source claim. Key: `namespace/name` of the claim. One worker per key, so that
 * assigning and closing never overlap: the proof behind rule GroupCommit (see sharing.ts).
 */
import type {KubeObject} from '../api/kubernetes.ts';
import {labels} from '../api/names.ts';
import type {Caches} from '../kube/caches.ts';
import type {KubeApi} from '../kube/client.ts';
import {Controller, type ReconcileResult, type Round, watch} from '../kube/controller.ts';
import type {EventRecorder} from '../kube/events.ts';
import {ApiError} from '../kube/errors.ts';
import * as resources from '../kube/resources.ts';
import {systemClock} from '../process/clock.ts';
import {writeStatus} from '../kube/write-status.ts';
import type {Logger} from '../process/log.ts';
import {aliasKey, decide, type SharingPlan} from './decide.ts';
import {eventOf} from './events.ts';
import {execute} from './execute.ts';
import {contentByShared, type Observed, observe, sharedBySource, sharedByUid, snapshotByShared} from './observe.ts';
import {retirementsTotal} from './metrics.ts';
import {RefusedAliases} from './refused-aliases.ts';
import {type CloneRequests, sourceKey, WaitingRequests} from './requests.ts';
import {statusOf} from './status.ts';
import {StatusPace} from './status-pace.ts';

/** A plan was carried out; the watches will say so, this is for when they do not. */
const safetyNetMs = 60_000;
/** Between two steps of one round: the cache shows what was written a little later. */
const nextStepMs = 50;

export interface SmartCloneOptions {
	readonly api: KubeApi;
	readonly caches: Caches;
	readonly events: EventRecorder;
	readonly log: Logger;
	readonly requests: CloneRequests;
}

export interface SmartClone {
	readonly controller: Controller;
	readonly waiting: WaitingRequests;
	/** The requests of this source changed: one ended, or went away. */
	readonly wake: (source: {readonly namespace: string; readonly name: string}) => void;
}

export function makeSmartClone({api, caches, events, log, requests}: SmartCloneOptions): SmartClone {
	caches.addIndex(resources.sharedSnapshots, sharedBySource);
	caches.addIndex(resources.sharedSnapshots, sharedByUid);
	caches.addIndex(resources.volumeSnapshots, snapshotByShared);
	caches.addIndex(resources.volumeSnapshotContents, contentByShared);

	const shareds = caches.store(resources.sharedSnapshots);
	const isKnown = (key: string) => shareds.byIndex(sharedBySource.name, key).length > 0 || waiting.of(key).length > 0;
	const ofSharedUid = (object: KubeObject | undefined): string[] => {
		const uid = object?.metadata.labels?.[labels.sharedSnapshotUid];
		return uid ? shareds.byIndex(sharedByUid.name, uid).map((shared) => sourceKey(shared.spec.source)) : [];
	};
	/** A namespace may refuse what is made in it; that concerns the clones there, and nobody else. */
	async function isRefusedAlias(plan: SharingPlan, carryOut: () => Promise<void>): Promise<boolean> {
		try {
			await carryOut();
			return false;
		} catch (error) {
			const isAlias = plan.do === 'createAliasContent' || plan.do === 'createAliasSnapshot';
			if (!isAlias || !(error instanceof ApiError) || error.code >= 500) throw error;
			refused.add(aliasKey(plan.shared, plan.place));
			const message = `Not available in namespace ${plan.place.namespace}, clones there wait: ${error.statusMessage}`;
			events.record(plan.shared, {type: 'Warning', reason: 'AliasRefused', message});
			return true;
		}
	}

	/** Told already; a round before the cache shows the end of one would tell it again. */
	const retired = new Set<string>();
	function tell(plan: Exclude<SharingPlan, {do: 'nothing'}>): void {
		const {uid = ''} = plan.shared.metadata;
		if (plan.do === 'retire') {
			if (retired.has(uid)) return;
			retired.add(uid);
			retirementsTotal.inc({reason: plan.reason});
		}
		const event = eventOf(plan);
		if (event) events.record(plan.shared, event);
	}
	caches.onChange(resources.sharedSnapshots, ({type, object}) => {
		if (type !== 'delete') return;
		retired.delete(object.metadata.uid ?? '');
		pace.forget(object.metadata.uid ?? '');
	});

	const pace = new StatusPace(systemClock);
	/** Resolves to after how long to come again. */
	async function report(observed: Observed, signal: AbortSignal): Promise<number> {
		let laterMs = safetyNetMs;
		for (const shared of observed.shared) {
			const status = statusOf(observed, shared);
			const waitMs = pace.waitMs(shared.object, status);
			if (waitMs > 0) laterMs = Math.min(laterMs, waitMs);
			else await writeStatus(api, resources.sharedSnapshots, shared.object, status, signal);
		}
		return laterMs;
	}

	async function reconcile(key: string, round: Round): Promise<ReconcileResult> {
		const {signal} = round;
		const observed = observe(key, caches, requests, waiting, refused.current());
		const plan = decide(observed);
		if (plan.do !== 'nothing') {
			round.log.info({plan: plan.do, shared: plan.shared.metadata.name}, 'sharing step');
			if (await isRefusedAlias(plan, () => execute({api, requests, waiting, signal}, plan)))
				return {recheckAfterMs: nextStepMs};
			tell(plan);
		}
		const laterMs = await report(observed, signal);
		if (plan.do === 'nothing' && observed.refusedAliases.size > 0)
			return {recheckAfterMs: Math.min(laterMs, RefusedAliases.retryMs)};
		if (plan.do === 'nothing')
			return observed.shared.length > 0 || observed.waiting.length > 0 ? {recheckAfterMs: laterMs} : 'done';
		return {recheckAfterMs: nextStepMs};
	}

	const controller = new Controller({
		name: 'smartclone',
		caches,
		log,
		reconcile,
		watches: [
			watch(resources.sharedSnapshots, (shared) => [sourceKey(shared.spec.source)]),
			watch(resources.volumeSnapshots, ofSharedUid),
			watch(resources.volumeSnapshotContents, (content) => {
				// A stripe's content is the snapshotter's and carries no label of ours; its snapshot is the stripe.
				const {namespace, name = ''} = content.spec.volumeSnapshotRef;
				return [...ofSharedUid(content), ...ofSharedUid(caches.store(resources.volumeSnapshots).get(namespace, name))];
			}),
			watch(resources.persistentVolumeClaims, ({metadata: {namespace, name}}) =>
				[`${namespace}/${name}`].filter(isKnown),
			),
			watch(resources.persistentVolumes, ({spec: {claimRef}}) =>
				[`${claimRef?.namespace}/${claimRef?.name}`].filter(isKnown),
			),
		],
	});
	const refused = new RefusedAliases(systemClock);
	const waiting = new WaitingRequests((key) => controller.enqueue(key));
	return {controller, waiting, wake: (source) => controller.enqueue(sourceKey(source))};
}
