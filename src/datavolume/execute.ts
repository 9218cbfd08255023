/** A plan as API calls. Answers that a person must hear of are outcomes, the others are thrown and tried again. */
import {annotations, fieldManager} from '../api/names.ts';
import type {DataVolume} from '../api/datavolume.ts';
import type {PersistentVolumeClaim} from '../api/kubernetes.ts';
import {resolveLive} from '../datasource/observe.ts';
import {isResolveProblem} from '../datasource/resolve.ts';
import type {DiskSizeRequests} from '../disksize/requests.ts';
import {annotateExactly} from '../kube/annotate.ts';
import type {KubeApi} from '../kube/client.ts';
import {createOnce} from '../kube/create-once.ts';
import {deleteExactly} from '../kube/delete-exactly.ts';
import {ApiError, isConflict, isExceededQuota, isNotFound} from '../kube/errors.ts';
import * as resources from '../kube/resources.ts';
import type {SmartClone} from '../smartclone/controller.ts';
import {describeDeclined} from '../smartclone/strategy.ts';
import type {WaitingRequests} from '../smartclone/requests.ts';
import type {RestoreWindow, Wake} from '../smartclone/restore-window.ts';
import {isWriter} from '../smartclone/writers.ts';
import type {DataVolumePlan} from './decide.ts';
import {formatGaveUp} from './gave-up.ts';
import {clonesDeclinedTotal, clonesTotal} from './metrics.ts';
import {ownedBy} from './objects.ts';
import {paceKeyOf} from './pace-key.ts';
import {formatRecord, isSameSource} from './source-ref.ts';
import type {Outcome} from './status.ts';

export interface ExecuteContext {
	readonly api: KubeApi;
	readonly waiting: WaitingRequests;
	readonly window: RestoreWindow;
	/** Of the DataVolume. */
	readonly uid: string;
	readonly wake: Wake;
	/** Heard by whoever keeps the shared snapshots. Idempotent. */
	readonly lost?: Pick<SmartClone['lost'], 'report'>;
	/** Heard by whoever looks into claims. Idempotent. */
	readonly sizes?: Pick<DiskSizeRequests, 'ask'>;
	readonly signal: AbortSignal;
}

type ClaimPlan = Extract<DataVolumePlan, {do: 'createClaim' | 'restoreClaim'}>;

async function createClaim({api, signal}: ExecuteContext, plan: ClaimPlan): Promise<Outcome> {
	try {
		const isNew = await createOnce(api, resources.persistentVolumeClaims, plan.claim, signal);
		// A round before the cache shows the claim meets it again, and is no other clone.
		if (isNew) countClone(plan);
		return {};
	} catch (error) {
		if (isExceededQuota(error)) return {quota: error.statusMessage};
		if (error instanceof ApiError && (error.code === 422 || error.code === 403)) return {invalid: error.statusMessage};
		throw error;
	}
}

/** Read live: a Pod that was there before the clone may not be in the cache yet. */
async function isWrittenTo(
	{api, signal}: ExecuteContext,
	claim: {readonly namespace: string; readonly name: string} | undefined,
): Promise<boolean> {
	if (!claim) return false;
	const {items} = await api.list(resources.pods, {namespace: claim.namespace, signal});
	return items.some((pod) => isWriter(pod, claim.name));
}

/** One that was bound meanwhile is complete, and stays: the version that was read is a condition. */
async function abandon({api, signal}: ExecuteContext, {metadata}: PersistentVolumeClaim): Promise<void> {
	const {uid, resourceVersion} = metadata;
	try {
		await api.delete(resources.persistentVolumeClaims, metadata, {uid, resourceVersion, signal});
	} catch (error) {
		if (!isConflict(error)) throw error;
	}
}

/** A conflict is thrown: who changed it meanwhile may have taken it, and it is looked at again. */
async function adopt(
	{api, signal}: ExecuteContext,
	{metadata}: PersistentVolumeClaim,
	dataVolume: DataVolume,
): Promise<void> {
	const {uid, resourceVersion, ownerReferences = []} = metadata;
	const patch = {metadata: {ownerReferences: [...ownerReferences, ownedBy(dataVolume)]}};
	await api.mergePatch(resources.persistentVolumeClaims, metadata, patch, {
		uid,
		resourceVersion,
		fieldManager,
		signal,
	});
}

/**
 * By the version that was read: a leader before this one may have written another, and made its claim already. Not what the
 * DataSource no longer says: DataVolumes and DataSources are watched apart, and the next round will see it.
 */
async function recordSource(
	{api, uid, signal}: ExecuteContext,
	{dataVolume: {metadata}, reference, source, labels}: Extract<DataVolumePlan, {do: 'recordSource'}>,
): Promise<void> {
	const live = await resolveLive(api, reference, signal);
	if (!live || isResolveProblem(live) || !isSameSource(live, source)) return;
	const record = {[annotations.resolvedSource]: formatRecord(uid, source)};
	const patch = {metadata: {annotations: record, ...(Object.keys(labels).length > 0 && {labels})}};
	const {resourceVersion} = metadata;
	try {
		await api.mergePatch(resources.dataVolumes, metadata, patch, {uid, resourceVersion, fieldManager, signal});
	} catch (error) {
		if (!isNotFound(error) && !isConflict(error)) throw error;
	}
}

function countClone({decision}: ClaimPlan): void {
	if (!decision) return;
	clonesTotal.inc({way: decision.way});
	for (const {code} of decision.declined) clonesDeclinedTotal.inc({code});
}

export async function execute(context: ExecuteContext, plan: DataVolumePlan): Promise<Outcome> {
	const {api, waiting, window, uid, wake, signal} = context;
	switch (plan.do) {
		case 'nothing':
		case 'refuse':
		case 'wait':
			return {};
		case 'askForSnapshot':
			// The cache will show who writes: the next round says it.
			if (!(await isWrittenTo(context, plan.quiet))) waiting.ask(plan.request);
			return {};
		case 'recordSource':
			await recordSource(context, plan);
			return {};
		case 'measureSource':
			context.sizes?.ask(`${plan.source.namespace}/${plan.source.name}`, uid, wake);
			return {};
		case 'createImportSource':
			await createOnce(api, resources.volumeImportSources, plan.source, signal);
			return {};
		case 'createCloneSource':
			await createOnce(api, resources.volumeCloneSources, plan.source, signal);
			return {};
		case 'createClaim':
			return createClaim(context, plan);
		case 'restoreClaim': {
			if (await isWrittenTo(context, plan.quiet)) return {};
			if (!window.take(paceKeyOf(plan.claim) ?? '', uid, plan.pace, wake)) return {paced: true};
			const outcome = await createClaim(context, plan);
			if (outcome.quota || outcome.invalid) window.forget(uid);
			return outcome;
		}
		case 'abandonClaim':
			if (plan.lost) context.lost?.report(plan.lost.shared, plan.lost.message);
			await abandon(context, plan.claim);
			return {};
		case 'recordTries':
			// Also where the write below was done before a crash: what was reported is remembered in memory only.
			if (plan.lost) context.lost?.report(plan.lost.shared, plan.lost.message);
			await annotateExactly(
				api,
				resources.dataVolumes,
				plan.dataVolume,
				{annotations: {[annotations.gaveUp]: formatGaveUp(uid, plan.gaveUp)}},
				signal,
			);
			return {};
		case 'recordWay': {
			const because = plan.because && {[annotations.cloneFallbackReason]: describeDeclined([plan.because])};
			const way = {[annotations.cloneType]: plan.way, ...because};
			await annotateExactly(api, resources.persistentVolumeClaims, plan.on, {annotations: way}, signal);
			return {};
		}
		case 'markDataVolume':
			await annotateExactly(
				api,
				resources.dataVolumes,
				plan.dataVolume,
				{annotations: plan.annotations, ...(plan.labels && {labels: plan.labels})},
				signal,
			);
			return {};
		case 'adoptClaim':
			await adopt(context, plan.claim, plan.dataVolume);
			return {};
		case 'growClaim':
			await api.mergePatch(
				resources.persistentVolumeClaims,
				plan.claim.metadata,
				{spec: {resources: {requests: {storage: plan.request}}}},
				{fieldManager, signal},
			);
			return {};
		case 'selectNode':
			await api.mergePatch(
				resources.persistentVolumeClaims,
				plan.claim.metadata,
				{metadata: {annotations: {[annotations.selectedNode]: plan.node}}},
				{resourceVersion: plan.claim.metadata.resourceVersion, fieldManager, signal},
			);
			return {};
		case 'deleteImportSource':
			await deleteExactly(api, resources.volumeImportSources, plan.source, signal);
			return {};
		case 'deleteCloneSource':
			await deleteExactly(api, resources.volumeCloneSources, plan.source, signal);
			return {};
		default:
			return plan satisfies never;
	}
}
