/** Takes down what is left of SharedSnapshots that are gone. Key: the UID of one. */
import type {Caches} from '../kube/caches.ts';
import type {KubeApi} from '../kube/client.ts';
import {Controller, watch} from '../kube/controller.ts';
import * as resources from '../kube/resources.ts';
import type {Clock} from '../process/clock.ts';
import type {Logger} from '../process/log.ts';
import {execute, type ExecuteContext} from './execute.ts';
import {sharedByUid, sharedUidsOf} from './observe.ts';
import {observeOrphans, removeOrphans} from './orphans.ts';

/** The end of a SharedSnapshot may be shown before the end of what it had: kinds are watched apart. */
const graceMs = 5000;
const safetyNetMs = 60_000;
const nextStepMs = 50;

/** Asked of the server itself: what looks like an orphan to a late cache may be a minute old. */
export async function isGone(api: KubeApi, sharedUid: string, signal: AbortSignal): Promise<boolean> {
	const {items} = await api.list(resources.sharedSnapshots, {signal});
	return items.every(({metadata}) => metadata.uid !== sharedUid);
}

export interface OrphanOptions extends Pick<ExecuteContext, 'requests' | 'waiting'> {
	readonly api: KubeApi;
	readonly caches: Caches;
	readonly clock: Clock;
	readonly log: Logger;
}

export function makeOrphanController({api, caches, clock, log, requests, waiting}: OrphanOptions): Controller {
	const sinceMs = new Map<string, number>();
	return new Controller({
		name: 'orphans',
		caches,
		log,
		clock,
		async reconcile(uid, round) {
			const isThere = caches.store(resources.sharedSnapshots).byIndex(sharedByUid.name, uid).length > 0;
			const orphans = isThere ? undefined : observeOrphans(caches, uid);
			if (!orphans) {
				sinceMs.delete(uid);
				return 'done';
			}
			const nowMs = clock.monotonicMs();
			const forMs = nowMs - (sinceMs.get(uid) ?? nowMs);
			sinceMs.set(uid, nowMs - forMs);
			if (forMs < graceMs) return {recheckAfterMs: graceMs - forMs};
			const plan = removeOrphans(orphans);
			if (!plan) return {recheckAfterMs: safetyNetMs};
			if (!(await isGone(api, uid, round.signal))) return {recheckAfterMs: graceMs};
			round.log.warn({plan: plan.do, sharedUid: uid}, 'its SharedSnapshot is gone, this was left of it');
			await execute({api, requests, waiting, signal: round.signal}, plan);
			return {recheckAfterMs: nextStepMs};
		},
		watches: [
			watch(resources.volumeSnapshots, sharedUidsOf),
			watch(resources.volumeSnapshotContents, sharedUidsOf),
			watch(resources.sharedSnapshots, ({metadata}, {type}) => (type === 'delete' ? [metadata.uid ?? ''] : [])),
		],
	});
}
