/**
 * Fills claims whose dataSourceRef names a VolumeImportSource or VolumeCloneSource, whoever made them. Key:
 * `namespace/name` of the claim.
 */
import type {PersistentVolumeClaim} from '../api/kubernetes.ts';
import type {Caches} from '../kube/caches.ts';
import type {KubeApi} from '../kube/client.ts';
import {Controller, type ReconcileResult, type Round, watch} from '../kube/controller.ts';
import type {EventRecorder} from '../kube/events.ts';
import {keyOf} from '../kube/object-key.ts';
import * as resources from '../kube/resources.ts';
import type {Clock} from '../process/clock.ts';
import type {Logger} from '../process/log.ts';
import {CopyKeys} from './copy-keys.ts';
import {decide, type WaitReason, workerRetryMs} from './decide.ts';
import {eventOf} from './events.ts';
import {execute} from './execute.ts';
import {volumesMovedTotal, workersStartedTotal} from './metrics.ts';
import type {WorkerSettings} from './objects.ts';
import {type OwnSettings, workerSettings} from './worker-settings.ts';
import {claimsBySource, cloneSourcesByOrigin, observe, sourceRefOf, targetKeyOf} from './observe.ts';
import {addPopulationIndexes, type Population, populationOf} from './population.ts';
import {refusalOf, Refusals} from './refusals.ts';

/** The watches tell of every change; this is for the ones that no watch shows, a Secret that appears for example. */
const safetyNetMs = 60_000;
const nextStepMs = 50;
/** What ends by time, or by something that this controller does not watch. */
const soonAgain: ReadonlySet<WaitReason> = new Set([
	'WorkerFailed',
	'NoNode',
	'ProxyCertificatesMissing',
	'ImportProxyNotValid',
]);

export interface PopulateOptions {
	readonly api: KubeApi;
	readonly caches: Caches;
	readonly events: EventRecorder;
	readonly log: Logger;
	readonly clock: Clock;
	readonly settings: OwnSettings;
	/** Told with the target's `namespace/name` when the API server refuses what is made for it, and when it does so no more. */
	readonly onRefused?: (targetKey: string) => void;
}

export interface Populate {
	readonly controller: Controller;
	/** What worker Pods are made with now. */
	readonly settings: () => WorkerSettings;
	/** How far the filling of this claim is, as the caches show it. No I/O. */
	readonly populationOf: (claim: PersistentVolumeClaim) => Population;
}

export function makePopulate(options: PopulateOptions): Populate {
	const {api, caches, events, log, clock} = options;
	const settingsNow = (): WorkerSettings => workerSettings(options.settings, caches);
	const copyKeys = new CopyKeys();
	addPopulationIndexes(caches);
	caches.addIndex(resources.persistentVolumeClaims, claimsBySource);
	caches.addIndex(resources.volumeCloneSources, cloneSourcesByOrigin);
	const claims = caches.store(resources.persistentVolumeClaims);

	const ofSource = (kind: string, {namespace, name}: {namespace?: string; name: string}) =>
		claims.byIndex(claimsBySource.name, `${kind}/${namespace}/${name}`).map(keyOf);
	/** Targets that are cloned from this claim or snapshot. */
	const ofOrigin = (kind: string, namespace: string | undefined, name: string) =>
		caches
			.store(resources.volumeCloneSources)
			.byIndex(cloneSourcesByOrigin.name, `${kind}/${namespace}/${name}`)
			.flatMap((source) => ofSource('VolumeCloneSource', source.metadata));

	const refusals = new Refusals();
	caches.onChange(resources.persistentVolumeClaims, ({type, object}) => {
		if (type === 'delete') refusals.forget(object.metadata.uid ?? '');
	});

	async function reconcile(key: string, round: Round): Promise<ReconcileResult> {
		const observed = observe(key, caches, clock.now());
		const plan = decide(observed, settingsNow());
		if (plan.do === 'nothing') return 'done';
		const event = eventOf(plan);
		if (event && observed.target) events.record(observed.target, event);
		if (plan.do === 'wait' || plan.do === 'giveUp') {
			round.log.debug({plan: plan.do, reason: plan.do === 'wait' ? plan.reason : plan.failure}, 'population waits');
			return {recheckAfterMs: plan.do === 'wait' && soonAgain.has(plan.reason) ? workerRetryMs : safetyNetMs};
		}
		const uid = observed.target?.metadata.uid ?? '';
		try {
			await execute({api, copyKeys, signal: round.signal}, plan);
		} catch (error) {
			const refusal = refusalOf(plan, error);
			if (!refusal || !observed.target) throw error;
			round.log.debug({plan: plan.do, reason: refusal.reason, message: refusal.message}, 'population is refused');
			if (refusals.remember(uid, refusal)) {
				events.record(observed.target, {type: 'Warning', ...refusal});
				options.onRefused?.(key);
			}
			return {recheckAfterMs: workerRetryMs};
		}
		if (refusals.forget(uid)) options.onRefused?.(key);
		round.log.info({plan: plan.do}, 'population step');
		if (plan.do === 'moveVolume') volumesMovedTotal.inc();
		if (plan.do === 'createWorker') workersStartedTotal.inc({program: plan.pod.spec.containers[0]?.name ?? ''});
		return {recheckAfterMs: nextStepMs};
	}

	const controller = new Controller({
		name: 'populate',
		caches,
		log,
		reconcile,
		watches: [
			watch(resources.persistentVolumeClaims, (claim) => {
				const target = targetKeyOf(claim);
				const own = sourceRefOf(claim) ? [keyOf(claim)] : [];
				const cloned = ofOrigin('PersistentVolumeClaim', claim.metadata.namespace, claim.metadata.name);
				return [...own, ...(target ? [target] : []), ...cloned];
			}),
			watch(resources.pods, (pod) => {
				const target = targetKeyOf(pod);
				// A Pod that lets go of a claim may be what a copy waits for.
				const used = (pod.spec.volumes ?? []).flatMap(({persistentVolumeClaim}) =>
					persistentVolumeClaim
						? ofOrigin('PersistentVolumeClaim', pod.metadata.namespace, persistentVolumeClaim.claimName)
						: [],
				);
				return [...(target ? [target] : []), ...used];
			}),
			watch(resources.persistentVolumes, ({spec: {claimRef}}) => {
				const claim = claims.get(claimRef?.namespace, claimRef?.name ?? '');
				const target = claim && targetKeyOf(claim);
				return [...(target ? [target] : []), ...(claim && sourceRefOf(claim) ? [keyOf(claim)] : [])];
			}),
			watch(resources.volumeImportSources, (source) => ofSource('VolumeImportSource', source.metadata)),
			watch(resources.volumeCloneSources, (source) => ofSource('VolumeCloneSource', source.metadata)),
			watch(resources.volumeSnapshots, ({metadata}) => ofOrigin('VolumeSnapshot', metadata.namespace, metadata.name)),
			watch(resources.volumeSnapshotContents, ({spec: {volumeSnapshotRef}}) =>
				ofOrigin('VolumeSnapshot', volumeSnapshotRef.namespace, volumeSnapshotRef.name ?? ''),
			),
		],
	});

	return {
		controller,
		settings: settingsNow,
		populationOf: (claim) =>
			populationOf(claim, {
				caches,
				settings: settingsNow(),
				nowMs: clock.now(),
				refusal: refusals.of(claim.metadata.uid ?? ''),
			}),
	};
}
