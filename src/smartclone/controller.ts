/**
 * Reconciles the shared snapshots of one source claim. Key: `namespace/name` of the claim. One worker per key, so that
 * assigning and closing never overlap: the proof behind rule GroupCommit (see sharing.ts).
 */
import type {KubeObject} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import type {SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {Caches} from '../kube/caches.ts';
import type {KubeApi} from '../kube/client.ts';
import {Controller, type ReconcileResult, type Round, watch} from '../kube/controller.ts';
import type {EventRecorder} from '../kube/events.ts';
import * as resources from '../kube/resources.ts';
import type {Clock} from '../process/clock.ts';
import {PodBarrier} from '../kube/pod-barrier.ts';
import {writeStatus} from '../kube/write-status.ts';
import type {Logger} from '../process/log.ts';
import {decide, type SharingPlan} from './decide.ts';
import {eventOf} from './events.ts';
import {execute, type RefusedAlias} from './execute.ts';
import {LastUse} from './last-use.ts';
import {LostSnapshots} from './lost-snapshots.ts';
import {addSharingIndexes, type Observed, observe, sharedBySource, sharedByUid, sharedUidsOf} from './observe.ts';
import {retirementsTotal} from './metrics.ts';
import {makeOrphanController} from './orphan-controller.ts';
import {RefusedAliases} from './refused-aliases.ts';
import {type CloneRequests, sourceKey, WaitingRequests} from './requests.ts';
import {statusOf} from './status.ts';
import {StatusPace} from './status-pace.ts';
import {WriterWatch} from './writer-watch.ts';
import {podsByClaim} from './writers.ts';

/** A plan was carried out; the watches will say so, this is for when they do not. */
const safetyNetMs = 60_000;
/** Between two steps of one round: the cache shows what was written a little later. */
const nextStepMs = 50;
/** Between looks whether the watches of writers began anew. */
const baselineMs = 1000;

export interface SmartCloneOptions {
	readonly api: KubeApi;
	readonly caches: Caches;
	readonly events: EventRecorder;
	readonly log: Logger;
	readonly requests: CloneRequests;
	readonly clock: Clock;
	/** Our own Pod, where there is one: without it rule WatchedQuiet cannot be proven. */
	readonly ownPod: {readonly namespace: string; readonly name: string} | undefined;
	/** Unique for each run of the process. */
	readonly run: string;
	/** One that is kept for later requests by rule WatchedQuiet goes after this time without any. */
	readonly idleLimitMs: number;
}

export interface SmartClone {
	readonly controller: Controller;
	readonly orphans: Controller;
	/** Runs on a replica that does not lead, too: so that a failover need not lose what it has seen. */
	readonly watchWriters: (signal: AbortSignal) => Promise<void>;
	/** Snapshots that the storage no longer has, said by whoever tried to restore from one. */
	readonly lost: Pick<LostSnapshots, 'messageOf'> & {
		readonly report: (shared: SharedSnapshot, message: string) => void;
	};
	readonly waiting: WaitingRequests;
	/** The requests of this source changed: one ended, or went away. */
	readonly wake: (source: {readonly namespace: string; readonly name: string}) => void;
}

export function makeSmartClone(options: SmartCloneOptions): SmartClone {
	const {api, caches, events, log, requests, clock, idleLimitMs} = options;
	addSharingIndexes(caches);
	const quiet = new WriterWatch(caches);
	const lost = new LostSnapshots();
	const lastUse = new LastUse(clock);

	const shareds = caches.store(resources.sharedSnapshots);
	const isKnown = (key: string) => shareds.byIndex(sharedBySource.name, key).length > 0 || waiting.of(key).length > 0;
	const ofSharedUid = (object: KubeObject | undefined): string[] =>
		(object ? sharedUidsOf(object) : [])
			.flatMap((uid) => shareds.byIndex(sharedByUid.name, uid))
			.map((shared) => sourceKey(shared.spec.source));
	function tellRefused(shared: SharedSnapshot, refusedAliases: readonly RefusedAlias[]): void {
		for (const {key, namespace, message} of refusedAliases) {
			refused.add(key);
			const text = `Not available in namespace ${namespace}, clones there wait: ${message}`;
			events.record(shared, {type: 'Warning', reason: 'AliasRefused', message: text});
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
		const {uid = ''} = object.metadata;
		retired.delete(uid);
		lost.forget(uid);
		lastUse.forget(uid);
		pace.forget(uid);
	});

	const pace = new StatusPace(clock);
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
		const observed = observe(key, {
			...{caches, requests, waiting, lost, quiet, lastUse},
			...{refusedAliases: refused.current(), idleLimitMs, nowMs: clock.now()},
			barrier: {available: barrier.available, passed: barrier.passed},
		});
		const plan = decide(observed);
		if (plan.do !== 'nothing') {
			round.log.info({plan: plan.do, shared: plan.shared.metadata.name}, 'sharing step');
			const {refusedAliases = []} = await execute({api, requests, waiting, quiet, barrier, signal}, plan);
			tellRefused(plan.shared, refusedAliases);
			tell(plan);
		}
		const laterMs = await report(observed, signal);
		return next(observed, plan, laterMs);
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
			// One that begins to write ends the proof that nobody does.
			watch(resources.pods, (pod) => podsByClaim.keys(pod).filter(isKnown)),
			watch(resources.persistentVolumeClaims, ({metadata: {namespace, name}}) =>
				[`${namespace}/${name}`].filter(isKnown),
			),
			watch(resources.persistentVolumes, ({spec: {claimRef}}) =>
				[`${claimRef?.namespace}/${claimRef?.name}`].filter(isKnown),
			),
		],
	});
	const refused = new RefusedAliases(clock);
	const waiting = new WaitingRequests((key) => controller.enqueue(key));
	const barrier = new PodBarrier({
		...{api, caches, clock, log, pod: options.ownPod, run: options.run},
		annotation: annotations.watchBarrier,
		onPassed: () => waiting.wakeAll(),
	});

	async function watchWriters(signal: AbortSignal): Promise<void> {
		while (!signal.aborted) {
			try {
				await quiet.takeBaseline(api, signal);
			} catch (error) {
				// Without it, rule WatchedQuiet does not hold for what others cut: new snapshots are cut instead.
				if (!signal.aborted) log.debug({err: error}, 'no list of shared snapshots');
			}
			await clock.sleep(baselineMs, signal);
		}
	}

	return {
		controller,
		orphans: makeOrphanController({api, caches, clock, log, requests, waiting}),
		watchWriters,
		waiting,
		lost: {
			messageOf: (uid) => lost.messageOf(uid),
			report(shared, message) {
				if (lost.report(shared.metadata.uid ?? '', message)) controller.enqueue(sourceKey(shared.spec.source));
			},
		},
		wake: (source) => controller.enqueue(sourceKey(source)),
	};
}

/** @param laterMs after which a status is due that was not written now. */
function next(observed: Observed, plan: SharingPlan, laterMs: number): ReconcileResult {
	if (plan.do === 'passBarrier') return {recheckAfterMs: Math.min(PodBarrier.lateMs, laterMs)};
	if (plan.do !== 'nothing') return {recheckAfterMs: nextStepMs};
	if (observed.shared.length === 0 && observed.waiting.length === 0) return 'done';
	const pauses = [laterMs, ...(observed.refusedAliases.size > 0 ? [RefusedAliases.retryMs] : [])];
	const isOpen = observed.shared.some(({life}) => life === 'Open');
	return {recheckAfterMs: Math.min(...pauses, ...(isOpen && observed.cutPauseMs > 0 ? [observed.cutPauseMs] : []))};
}
