/** Turns DataVolumes into claims and reports how they get on. Key: `namespace/name`. */
import type {DataVolume, DataVolumeStatus} from '../api/datavolume.ts';
import type {PersistentVolumeClaim} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import type {SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {VolumeSnapshot} from '../api/snapshot.ts';
import type {Caches} from '../kube/caches.ts';
import type {KubeApi} from '../kube/client.ts';
import {Controller, type ReconcileResult, type Round, watch} from '../kube/controller.ts';
import type {EventRecorder} from '../kube/events.ts';
import {keyOf} from '../kube/object-key.ts';
import * as resources from '../kube/resources.ts';
import type {Index} from '../kube/store.ts';
import {targetKeyOf} from '../populate/observe.ts';
import type {Population} from '../populate/population.ts';
import type {Clock} from '../process/clock.ts';
import type {Logger} from '../process/log.ts';
import type {SmartClone} from '../smartclone/controller.ts';
import {sharedByUid, snapshotByShared} from '../smartclone/observe.ts';
import {assignmentTo, type WaitingRequests} from '../smartclone/requests.ts';
import {RestoreWindow} from '../smartclone/restore-window.ts';
import {type DataVolumePlan, decide} from './decide.ts';
import {decisionEvents} from './events.ts';
import {execute} from './execute.ts';
import {dataVolumeSeconds, dataVolumesPending} from './metrics.ts';
import {cloneSourcesByDataVolume, observe} from './observe.ts';
import {dataVolumesByShared, dataVolumesBySnapshot, dataVolumesBySource} from './requests.ts';
import {StatusReports} from './report.ts';
import type {Outcome} from './status.ts';

const safetyNetMs = 60_000;
const nextStepMs = 50;
/** Its watch tells that a claim was made; asked for earlier, it would only be created twice. */
const claimShownMs = 1000;
/** Rounds spend their time waiting for answers, and a burst of clones has one for each claim, status and assignment. */
const concurrency = 16;
/** Storage classes and policies are watched for their content, not for whom they concern; so missing ones are looked for. */
const missingMs = 10_000;

export interface DataVolumeOptions {
	readonly api: KubeApi;
	readonly caches: Caches;
	readonly events: EventRecorder;
	readonly log: Logger;
	readonly clock: Clock;
	readonly filesystemOverhead: number;
	/** Where to tell that the storage no longer has a snapshot. */
	readonly lost: SmartClone['lost'];
	readonly waiting: WaitingRequests;
	readonly wakeSharing: (source: {readonly namespace: string; readonly name: string}) => void;
	readonly populationOf: (claim: PersistentVolumeClaim) => Population;
	readonly percentOf: (claimUid: string) => number | undefined;
}

/** Claims that are being restored, by the name of their snapshot. */
const pendingByDataSource: Index<PersistentVolumeClaim> = {
	name: 'pendingDataSource',
	keys: ({spec, status}) =>
		spec.dataSource?.kind === 'VolumeSnapshot' && status?.phase !== 'Bound' ? [spec.dataSource.name] : [],
};

/** Claims that no consumer uses yet restore nothing: they do not take a place in the window. */
function isRestoring(caches: Caches, claim: PersistentVolumeClaim): boolean {
	const storageClass = caches.store(resources.storageClasses).get(undefined, claim.spec.storageClassName ?? '');
	if (storageClass?.volumeBindingMode !== 'WaitForFirstConsumer') return true;
	return claim.metadata.annotations?.[annotations.selectedNode] !== undefined;
}

export function makeDataVolumeController(options: DataVolumeOptions): Controller {
	const {api, caches, events, log, clock, waiting} = options;
	caches.addIndex(resources.dataVolumes, dataVolumesByShared);
	caches.addIndex(resources.dataVolumes, dataVolumesBySource);
	caches.addIndex(resources.volumeCloneSources, cloneSourcesByDataVolume);
	caches.addIndex(resources.persistentVolumeClaims, pendingByDataSource);
	caches.addIndex(resources.volumeSnapshots, snapshotByShared);
	caches.addIndex(resources.sharedSnapshots, sharedByUid);
	caches.addIndex(resources.dataVolumes, dataVolumesBySnapshot);
	const dataVolumes = caches.store(resources.dataVolumes);
	const claims = caches.store(resources.persistentVolumeClaims);

	const window = new RestoreWindow((snapshotName) => {
		const shown = claims.byIndex(pendingByDataSource.name, snapshotName);
		const uids = (list: readonly PersistentVolumeClaim[]) =>
			new Set(list.map(({metadata}) => metadata.annotations?.[annotations.createdForDataVolume] ?? metadata.uid ?? ''));
		return {shown: uids(shown), restoring: uids(shown.filter((claim) => isRestoring(caches, claim)))};
	});

	const context = {
		caches,
		waiting,
		lost: options.lost,
		filesystemOverhead: options.filesystemOverhead,
		populationOf: options.populationOf,
		percentOf: options.percentOf,
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

	const reports = new StatusReports({api, events, clock, onWritten: countEnd});

	async function reconcile(key: string, round: Round): Promise<ReconcileResult> {
		const {signal} = round;
		const observed = observe(key, context);
		const plan = decide(observed);
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
		const outcome = await execute({api, waiting, window, uid, wake, signal}, plan);
		const isStep = plan.do !== 'nothing' && plan.do !== 'refuse' && plan.do !== 'wait';
		if (isStep) round.log[outcome.paced ? 'debug' : 'info']({plan: plan.do, paced: outcome.paced}, 'data volume step');
		if (observed.dataVolume && !outcome.paced)
			for (const event of decisionEvents(plan)) events.record(observed.dataVolume, event);
		return sooner(next(plan, outcome), await reports.report(observed, plan, outcome, signal));
	}

	const ofSource = (namespace: string | undefined, name: string) =>
		dataVolumes.byIndex(dataVolumesBySource.name, `${namespace}/${name}`).map(keyOf);

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
			watch(resources.persistentVolumes, ({spec: {claimRef}}) =>
				ofSource(claimRef?.namespace, claimRef?.name ?? '').filter((key) => !claims.get(...split(key))),
			),
			watch(resources.pods, (pod) => {
				const target = targetKeyOf(pod);
				return target ? [target] : [];
			}),
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
		return dataVolumes.byIndex(dataVolumesBySnapshot.name, `${namespace}/${name}`).map(keyOf);
	}

	/** Only those that still wait for it: the others have their claims. */
	function ofShared(shared: SharedSnapshot): string[] {
		const assigned = dataVolumes.byIndex(dataVolumesByShared.name, assignmentTo(shared));
		return assigned.map(keyOf).filter((key) => !claims.get(...split(key)));
	}

	caches.onChange(resources.persistentVolumeClaims, ({object: claim, type}) => {
		const snapshotName = claim.spec.dataSource?.name;
		const uid = claim.metadata.annotations?.[annotations.createdForDataVolume];
		if (!snapshotName || !uid || (type !== 'delete' && claim.status?.phase !== 'Bound')) return;
		window.freed(snapshotName);
		const dataVolume = dataVolumes.get(claim.metadata.namespace, claim.metadata.name);
		if (dataVolume?.spec.source?.pvc) options.wakeSharing(dataVolume.spec.source.pvc);
	});
	caches.onChange(resources.dataVolumes, (change) => {
		dataVolumesPending.set(dataVolumes.size === 0 ? 0 : countPending(dataVolumes.list()));
		if (change.type !== 'delete') return;
		const {uid = ''} = change.object.metadata;
		ended.delete(uid);
		reports.forget(uid);
		waiting.withdraw(uid);
		window.forget(uid);
		if (change.object.spec.source?.pvc) options.wakeSharing(change.object.spec.source.pvc);
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
		case 'createImportSource':
		case 'createCloneSource':
		case 'abandonClaim':
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

function observeDuration({metadata, spec}: DataVolume, nowMs: number): void {
	const source = Object.keys(spec.source ?? {external: true})[0] ?? 'external';
	const createdAt = Date.parse(metadata.creationTimestamp ?? '');
	if (Number.isFinite(createdAt)) dataVolumeSeconds.observe({source}, Math.max(0, nowMs - createdAt) / 1000);
}
