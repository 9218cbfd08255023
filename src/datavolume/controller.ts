/** Turns DataVolumes into claims and reports how they get on. Key: `namespace/name`. */
import type {DataSource} from '../api/data-source.ts';
import type {DataVolume, DataVolumeStatus} from '../api/datavolume.ts';
import type {PersistentVolumeClaim} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import type {SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {VolumeSnapshot} from '../api/snapshot.ts';
import {dataSourcesOf, withReferrers} from '../datasource/observe.ts';
import type {Caches} from '../kube/caches.ts';
import type {KubeApi} from '../kube/client.ts';
import {Controller, type ReconcileResult, type Round, watch} from '../kube/controller.ts';
import {isSizePod} from '../disksize/controller.ts';
import type {DiskSizeRequests} from '../disksize/requests.ts';
import type {EventRecorder} from '../kube/events.ts';
import {keyOf} from '../kube/object-key.ts';
import * as resources from '../kube/resources.ts';
import {targetKeyOf} from '../populate/observe.ts';
import type {Population} from '../populate/population.ts';
import type {Clock} from '../process/clock.ts';
import type {Logger} from '../process/log.ts';
import type {SmartClone} from '../smartclone/controller.ts';
import {sharedByUid, snapshotByShared} from '../smartclone/observe.ts';
import {assignmentTo, type WaitingRequests} from '../smartclone/requests.ts';
import {policyMistakes} from '../smartclone/driver-policy.ts';
import {parseFailure} from '../smartclone/provisioning-failure.ts';
import {RestoreWindow} from '../smartclone/restore-window.ts';
import {podsByClaim} from '../smartclone/writers.ts';
import {isPrePopulated} from './claim-standing.ts';
import {type DataVolumePlan, decide} from './decide.ts';
import {decisionEvents} from './events.ts';
import {execute} from './execute.ts';
import {
	dataVolumeSeconds,
	dataVolumesPending,
	restorePushbacksTotal,
	restoreWindowSize,
	waysGivenUpTotal,
} from './metrics.ts';
import {addIndexes, cloneSourcesByDataVolume, type Deadlines, type Observed, observe} from './observe.ts';
import {paceKeyOf, pendingByPaceKey} from './pace-key.ts';
import {
	dataVolumesByDataSource,
	dataVolumesByShared,
	dataVolumesBySnapshot,
	dataVolumesBySource,
	waitsForConsumer,
} from './requests.ts';
import {isRenderProblem} from './render.ts';
import {StatusReports} from './report.ts';
import {chooseStaticVolume, mayBeStatic, volumesByClaim} from './static-volume.ts';
import {cloneSourceOf, recordedSource} from './source-ref.ts';
import type {Outcome} from './status.ts';
import {Told} from './told.ts';

const safetyNetMs = 60_000;
const nextStepMs = 50;
/** Its watch tells that a claim was made; asked for earlier, it would only be created twice. */
const claimShownMs = 1000;
/** Rounds spend their time waiting for answers, and a burst of clones has one for each claim, status and assignment. */
const concurrency = 8;
/** Storage classes and policies are watched for their content, not for whom they concern; so missing ones are looked for. */
const missingMs = 10_000;

export interface DataVolumeOptions {
	readonly api: KubeApi;
	readonly caches: Caches;
	readonly events: EventRecorder;
	readonly log: Logger;
	readonly clock: Clock;
	/** After how long without an end a way of cloning is given up. */
	readonly deadlines: Deadlines;
	/** Where to tell that the storage no longer has a snapshot. */
	readonly lost: SmartClone['lost'];
	readonly waiting: WaitingRequests;
	/** Where to ask for the size of a disk that is cloned. */
	readonly sizes?: DiskSizeRequests;
	readonly wakeSharing: (source: {readonly namespace: string; readonly name: string}) => void;
	readonly populationOf: (claim: PersistentVolumeClaim) => Population;
	readonly percentOf: (claimUid: string) => number | undefined;
}

export function makeDataVolumeController(options: DataVolumeOptions): Controller {
	const {api, caches, events, log, clock, waiting} = options;
	caches.addIndex(resources.dataVolumes, dataVolumesByShared);
	caches.addIndex(resources.dataVolumes, dataVolumesBySource);
	addIndexes(caches);
	caches.addIndex(resources.persistentVolumeClaims, pendingByPaceKey);
	caches.addIndex(resources.volumeSnapshots, snapshotByShared);
	caches.addIndex(resources.sharedSnapshots, sharedByUid);
	caches.addIndex(resources.dataVolumes, dataVolumesBySnapshot);
	const dataVolumes = caches.store(resources.dataVolumes);
	const claims = caches.store(resources.persistentVolumeClaims);

	const window = new RestoreWindow((paceKey) => {
		const shown = claims.byIndex(pendingByPaceKey.name, paceKey);
		const uids = (list: readonly PersistentVolumeClaim[]) =>
			new Set(list.map(({metadata}) => metadata.annotations?.[annotations.createdForDataVolume] ?? metadata.uid ?? ''));
		return {shown: uids(shown), restoring: uids(shown.filter((claim) => !waitsForConsumer(caches, claim)))};
	});

	/** Since when each claim that waited for its consumer is made: nothing in the API says it, so a restart begins anew. */
	const placedAt = new Map<string, number>();
	function makingSince(claim: PersistentVolumeClaim): number | undefined {
		const {uid = '', creationTimestamp = ''} = claim.metadata;
		if (waitsForConsumer(caches, claim)) {
			placedAt.delete(uid);
			return undefined;
		}
		const storageClass = caches.store(resources.storageClasses).get(undefined, claim.spec.storageClassName ?? '');
		if (storageClass?.volumeBindingMode !== 'WaitForFirstConsumer') return Date.parse(creationTimestamp);
		const sinceMs = placedAt.get(uid) ?? clock.now();
		placedAt.set(uid, sinceMs);
		return sinceMs;
	}

	const context = {
		caches,
		waiting,
		makingSince,
		deadlines: options.deadlines,
		lost: options.lost,
		populationOf: options.populationOf,
		percentOf: options.percentOf,
		sizeProblemOf: (key: string) => options.sizes?.problemOf(key),
		now: () => clock.now(),
	};

	/** Counted already: a round that began before the cache showed the end would count it again. Only the leader comes here. */
	const ended = new Set<string>();
	function countEnd(dataVolume: DataVolume, {phase}: DataVolumeStatus): void {
		const {uid = ''} = dataVolume.metadata;
		if (phase !== 'Succeeded' || dataVolume.status?.phase === 'Succeeded' || ended.has(uid)) return;
		ended.add(uid);
		observeDuration(dataVolume, clock.now());
	}

	const told = new Told();
	/** A decision is told once, though the next round may come before the cache shows what was done about it. */
	function tell(dataVolume: DataVolume, plan: DataVolumePlan): void {
		const {uid = ''} = dataVolume.metadata;
		for (const event of decisionEvents(plan)) {
			// Of a source in use once for all, whatever Pod it is and however often the snapshot is lost.
			const what = event.reason === 'CrashConsistent' ? event.reason : `${event.reason} ${event.message}`;
			if (!told.isNew(uid, what)) continue;
			events.record(dataVolume, event);
			if (plan.do === 'recordTries' && plan.given) waysGivenUpTotal.inc({way: plan.given.way, code: plan.given.code});
		}
	}

	const driverOf = ({spec}: PersistentVolumeClaim) =>
		caches.store(resources.storageClasses).get(undefined, spec.storageClassName ?? '')?.provisioner ?? '';

	function showWindow(claim: PersistentVolumeClaim): void {
		const size = window.sizeOf(paceKeyOf(claim) ?? '');
		if (size !== undefined) restoreWindowSize.set({driver: driverOf(claim)}, size);
	}

	const reports = new StatusReports({api, events, clock, onWritten: countEnd});

	/** Volumes are watched apart from DataVolumes: one that is not shown yet would be made a second time. */
	async function isOverlooked({key, dataVolume, claim, staticVolume, rendered}: Observed, signal: AbortSignal) {
		if (!dataVolume || claim || staticVolume || !mayBeStatic(dataVolume) || isRenderProblem(rendered)) return false;
		const {items} = await api.list(resources.persistentVolumes, {signal});
		const keptForIt = items.filter((volume) => volumesByClaim.keys(volume).includes(key));
		return chooseStaticVolume(keptForIt, rendered.spec) !== undefined;
	}

	/**
	 * A restore in place says first that somebody else makes the claim, and then deletes it; the two are watched apart. Only a
	 * DataVolume that had its disk is asked for once more.
	 */
	async function isRestored({dataVolume, claim}: Observed, signal: AbortSignal): Promise<boolean> {
		if (!dataVolume || claim || dataVolume.status?.phase !== 'Succeeded') return false;
		const live = await api.find(resources.dataVolumes, dataVolume.metadata, {signal});
		return live !== undefined && isPrePopulated(live) !== isPrePopulated(dataVolume);
	}

	async function reconcile(key: string, round: Round): Promise<ReconcileResult> {
		const {signal} = round;
		const observed = observe(key, context);
		const plan = decide(observed);
		const waits = plan.do === 'nothing' || plan.do === 'refuse' || plan.do === 'wait' || plan.do === 'measureSource';
		if (!waits && ((await isOverlooked(observed, signal)) || (await isRestored(observed, signal)))) {
			return {recheckAfterMs: nextStepMs};
		}
		const uid = observed.dataVolume?.metadata.uid ?? '';
		const isThere = () => dataVolumes.get(...split(key))?.metadata.uid === uid;
		const wake = () => {
			if (isThere()) controller.enqueue(key);
			return isThere();
		};
		if (plan.do === 'refuse' || plan.do === 'wait') {
			round.log.debug({plan: plan.do, reason: plan.reason, message: plan.message}, 'data volume waits');
		}
		// Whoever does not ask (any more) gives up its place in the line.
		if (plan.do !== 'restoreClaim') window.forget(uid);
		if (plan.do !== 'askForSnapshot') waiting.stop(uid);
		if (plan.do !== 'measureSource') options.sizes?.stop(uid);
		const outcome = await execute(
			{api, waiting, window, uid, wake, lost: options.lost, ...(options.sizes && {sizes: options.sizes}), signal},
			plan,
		);
		if (!waits) round.log[outcome.paced ? 'debug' : 'info']({plan: plan.do, paced: outcome.paced}, 'data volume step');
		if (observed.dataVolume && !outcome.paced) tell(observed.dataVolume, plan);
		if (plan.do === 'restoreClaim') showWindow(plan.claim);
		return sooner(next(plan, outcome), await reports.report(observed, plan, outcome, signal));
	}

	/** Those that have no claim yet: for the others it counts no more where it leads. */
	const ofDataSource = (dataSource: DataSource) =>
		dataVolumes
			.byIndex(dataVolumesByDataSource.name, keyOf(dataSource))
			.map(keyOf)
			.filter((key) => !claims.get(...split(key)));

	/** By their specs and records, and those that wait for it through a DataSource. */
	const ofSource = (namespace: string | undefined, name: string) => [
		...dataVolumes.byIndex(dataVolumesBySource.name, `${namespace}/${name}`).map(keyOf),
		...dataSourcesOf(caches, 'PersistentVolumeClaim', {namespace, name}).flatMap(ofDataSource),
	];

	const controller = new Controller({
		name: 'datavolume',
		caches,
		log,
		concurrency,
		reconcile,
		watches: [
			watch(resources.dataVolumes, (dataVolume) => [keyOf(dataVolume)]),
			// A claim concerns the DataVolume of its name, those that clone it, and the one whose claim it is made for.
			watch(resources.persistentVolumeClaims, (claim) => {
				const target = targetKeyOf(claim);
				const own = dataVolumes.get(claim.metadata.namespace, claim.metadata.name) ? [keyOf(claim)] : [];
				const waitingFor = ofSource(claim.metadata.namespace, claim.metadata.name).filter(
					(key) => !claims.get(...split(key)),
				);
				return [...own, ...waitingFor, ...(target ? [target] : [])];
			}),
			watch(resources.persistentVolumes, (volume) =>
				volumesByClaim.keys(volume).filter((key) => {
					const dataVolume = dataVolumes.get(...split(key));
					return dataVolume !== undefined && mayBeStatic(dataVolume) && !claims.get(...split(key));
				}),
			),
			watch(resources.persistentVolumes, ({spec: {claimRef}}) =>
				ofSource(claimRef?.namespace, claimRef?.name ?? '').filter((key) => !claims.get(...split(key))),
			),
			// A worker concerns its target; one that mounts a source, those that wait until nobody writes to it or it tells its size.
			watch(resources.pods, (pod) => {
				const target = targetKeyOf(pod);
				const sources = podsByClaim.keys(pod);
				const quiet = sources
					.flatMap((source) => dataVolumes.byIndex(dataVolumesBySource.name, source))
					.filter(({metadata}) => metadata.annotations?.[annotations.consistency] !== undefined);
				const waitingFor = isSizePod(pod) ? sources.flatMap((source) => ofSource(...split(source))) : quiet.map(keyOf);
				return [...waitingFor.filter((key) => !claims.get(...split(key))), ...(target ? [target] : [])];
			}),
			watch(resources.events, ({involvedObject: {namespace, name = ''}}) => {
				const claim = claims.get(namespace, name);
				const target = claim && targetKeyOf(claim);
				return [...(dataVolumes.get(namespace, name) ? [`${namespace}/${name}`] : []), ...(target ? [target] : [])];
			}),
			watch(resources.dataSources, (dataSource) => withReferrers(caches, dataSource).flatMap(ofDataSource)),
			watch(resources.volumeCloneSources, (source) => cloneSourcesByDataVolume.keys(source)),
			watch(resources.volumeSnapshots, ofSnapshot),
			// Snapshot and content are watched apart and come in any order; a restore needs to have seen both.
			watch(resources.volumeSnapshotContents, ({spec: {volumeSnapshotRef}}) => {
				const {namespace, name = ''} = volumeSnapshotRef;
				const snapshot = caches.store(resources.volumeSnapshots).get(namespace, name);
				return snapshot ? ofSnapshot(snapshot) : [];
			}),
			watch(resources.sharedSnapshots, (shared) => ofShared(shared)),
		],
	});

	/**
	 * A stripe concerns those that are assigned to it, an alias those of its namespace, any other snapshot those that name it
	 * as their source.
	 */
	function ofSnapshot(snapshot: VolumeSnapshot): string[] {
		const [uid] = snapshotByShared.keys(snapshot);
		const {namespace, name} = snapshot.metadata;
		if (uid) {
			const [shared] = caches.store(resources.sharedSnapshots).byIndex(sharedByUid.name, uid);
			if (!shared) return [];
			const isAlias = namespace !== shared.spec.source.namespace;
			return ofShared(shared).filter((key) => !isAlias || key.startsWith(`${namespace}/`));
		}
		return [
			...dataVolumes.byIndex(dataVolumesBySnapshot.name, `${namespace}/${name}`).map(keyOf),
			...dataSourcesOf(caches, 'VolumeSnapshot', snapshot.metadata).flatMap(ofDataSource),
		];
	}

	/** Only those that still wait for it: the others have their claims. */
	function ofShared(shared: SharedSnapshot): string[] {
		const assigned = dataVolumes.byIndex(dataVolumesByShared.name, assignmentTo(shared));
		return assigned.map(keyOf).filter((key) => !claims.get(...split(key)));
	}

	caches.onChange(resources.persistentVolumeClaims, ({object: claim, type}) => {
		if (type === 'delete') placedAt.delete(claim.metadata.uid ?? '');
		const paceKey = paceKeyOf(claim);
		const uid = claim.metadata.annotations?.[annotations.createdForDataVolume];
		if (!paceKey || !uid || (type !== 'delete' && claim.status?.phase !== 'Bound')) return;
		if (type === 'delete') window.gone(uid);
		else window.succeeded(paceKey, uid);
		window.freed(paceKey);
		const dataVolume = dataVolumes.get(claim.metadata.namespace, claim.metadata.name);
		const source = dataVolume && cloneSourceOf(dataVolume).pvc;
		if (source) options.wakeSharing(source);
	});
	caches.onChange(resources.events, ({object: {involvedObject, message}, type}) => {
		const claim = claims.get(involvedObject.namespace, involvedObject.name ?? '');
		if (type === 'delete' || !claim || claim.metadata.uid !== involvedObject.uid) return;
		const paceKey = paceKeyOf(claim);
		const uid = claim.metadata.annotations?.[annotations.createdForDataVolume];
		const {code} = parseFailure(message ?? '');
		// A replica that does not lead paces nothing.
		if (!paceKey || !uid || window.sizeOf(paceKey) === undefined) return;
		if (code !== 'Aborted' && code !== 'ResourceExhausted') return;
		window.pushedBack(paceKey, uid);
		restorePushbacksTotal.inc({driver: driverOf(claim)});
		showWindow(claim);
	});
	caches.onChange(resources.volumeSnapshots, ({object, type}) => {
		// Its aliases have its name, and go before it.
		if (type === 'delete' && object.spec.source.persistentVolumeClaimName) window.drop(object.metadata.name);
	});
	caches.onChange(resources.storageClasses, (change) => {
		const before = change.type === 'update' ? policyMistakes(change.old) : [];
		if (change.type === 'delete') return;
		for (const mistake of policyMistakes(change.object)) if (!before.includes(mistake)) log.warn(mistake);
	});
	caches.onChange(resources.dataVolumes, (change) => {
		dataVolumesPending.set(dataVolumes.size === 0 ? 0 : countPending(dataVolumes.list()));
		const source = cloneSourceOf(change.object).pvc;
		// A request that somebody else fills holds its snapshot no longer.
		const isGivenAway = change.type === 'update' && isPrePopulated(change.object) && !isPrePopulated(change.old);
		if (isGivenAway && source) options.wakeSharing(source);
		if (change.type !== 'delete') return;
		const {uid = ''} = change.object.metadata;
		ended.delete(uid);
		told.forget(uid);
		reports.forget(uid);
		waiting.withdraw(uid);
		options.sizes?.stop(uid);
		window.gone(uid);
		if (source) options.wakeSharing(source);
	});
	return controller;
}

function sooner(result: ReconcileResult, otherMs: number | undefined): ReconcileResult {
	if (otherMs === undefined) return result;
	return {recheckAfterMs: result === 'done' ? otherMs : Math.min(result.recheckAfterMs, otherMs)};
}

function next(plan: DataVolumePlan, outcome: Outcome): ReconcileResult {
	if (outcome.quota || outcome.invalid) return {recheckAfterMs: missingMs};
	if (outcome.paced) return {recheckAfterMs: safetyNetMs};
	switch (plan.do) {
		case 'nothing':
			return 'done';
		case 'refuse':
			return {recheckAfterMs: missingMs};
		case 'wait':
			return {recheckAfterMs: plan.reason === 'CloneNotAuthorized' ? missingMs : safetyNetMs};
		case 'askForSnapshot':
			return {recheckAfterMs: safetyNetMs};
		case 'measureSource':
			return {recheckAfterMs: safetyNetMs};
		case 'recordSource':
		case 'createImportSource':
		case 'createCloneSource':
		case 'abandonClaim':
		case 'recordTries':
		case 'recordWay':
		case 'adoptClaim':
		case 'markDataVolume':
		case 'growClaim':
		case 'selectNode':
		case 'deleteImportSource':
		case 'deleteCloneSource':
			return {recheckAfterMs: nextStepMs};
		case 'createClaim':
		case 'restoreClaim':
			return {recheckAfterMs: claimShownMs};
		default:
			return plan satisfies never;
	}
}

function split(key: string): [string, string] {
	const [namespace = '', name = ''] = key.split('/', 2);
	return [namespace, name];
}

function countPending(list: readonly DataVolume[]): number {
	return list.filter(({status}) =>
		status?.conditions?.some(({type, reason}) => type === 'Bound' && reason === 'ErrClaimNotValid'),
	).length;
}

function observeDuration(dataVolume: DataVolume, nowMs: number): void {
	const {metadata, spec} = dataVolume;
	const source = recordedSource(dataVolume)?.kind ?? Object.keys(spec.source ?? {external: true})[0] ?? 'external';
	const createdAt = Date.parse(metadata.creationTimestamp ?? '');
	if (Number.isFinite(createdAt)) dataVolumeSeconds.observe({source}, Math.max(0, nowMs - createdAt) / 1000);
}
