/**
 * Reconciles the shared snapshots of one source claim. Key: `namespace/name` of the claim. One worker per key, so that
 * assigning and closing never overlap: the proof behind rule GroupCommit (see sharing.ts).
 */
import type {KubeObject} from '../api/kubernetes.ts';
import {fieldManager, labels} from '../api/names.ts';
import type {Caches} from '../kube/caches.ts';
import type {KubeApi} from '../kube/client.ts';
import {Controller, type ReconcileResult, type Round, watch} from '../kube/controller.ts';
import type {EventRecorder} from '../kube/events.ts';
import {isNotFound} from '../kube/errors.ts';
import * as resources from '../kube/resources.ts';
import type {Logger} from '../process/log.ts';
import {decide} from './decide.ts';
import {eventOf} from './events.ts';
import {execute} from './execute.ts';
import {contentByShared, observe, sharedBySource, sharedByUid, snapshotByShared} from './observe.ts';
import {type CloneRequests, sourceKey, WaitingRequests} from './requests.ts';
import {statusWrites} from './status.ts';

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
	wake(source: {readonly namespace: string; readonly name: string}): void;
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
	async function reconcile(key: string, round: Round): Promise<ReconcileResult> {
		const {signal} = round;
		const observed = observe(key, caches, requests, waiting);
		const plan = decide(observed);
		if (plan.do !== 'nothing') {
			round.log.info({plan: plan.do, shared: plan.shared.metadata.name}, 'sharing step');
			await execute({api, requests, waiting, signal}, plan);
			const event = eventOf(plan);
			if (event) events.record(plan.shared, event);
		}
		for (const {shared, status} of statusWrites(observed)) {
			try {
				// The whole status is one merge patch; what is no longer in it is set to null.
				const before = Object.keys(shared.status ?? {}).filter((name) => !(name in status));
				const removed = Object.fromEntries(before.map((name) => [name, null]));
				await api.mergePatchStatus(
					resources.sharedSnapshots,
					shared.metadata,
					{status: {...removed, ...status}},
					{fieldManager, signal},
				);
			} catch (error) {
				if (!isNotFound(error)) throw error;
			}
		}
		if (plan.do === 'nothing')
			return observed.shared.length > 0 || observed.waiting.length > 0 ? {recheckAfterMs: safetyNetMs} : 'done';
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
	const waiting = new WaitingRequests((key) => controller.enqueue(key));
	return {controller, waiting, wake: (source) => controller.enqueue(sourceKey(source))};
}
