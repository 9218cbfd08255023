/** A plan as API calls. No decisions: what is refused here is looked at again in the next round. */
import {annotations, fieldManager, finalizers, labels, managedByValue} from '../api/names.ts';
import PQueue from 'p-queue';
import type {SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {VolumeSnapshot, VolumeSnapshotContent} from '../api/snapshot.ts';
import type {KubeApi, MergePatch} from '../kube/client.ts';
import {createOnce} from '../kube/create-once.ts';
import {deleteExactly} from '../kube/delete-exactly.ts';
import {ApiError, isConflict, isNotFound} from '../kube/errors.ts';
import type {PodBarrier} from '../kube/pod-barrier.ts';
import * as resources from '../kube/resources.ts';
import type {Resource} from '../kube/resources.ts';
import {aliasKey, isUntold} from './aliases.ts';
import type {SharingPlan} from './decide.ts';
import {isDeclaredImmutable} from './rules.ts';
import {assignmentsTotal, cutsTotal} from './metrics.ts';
import {assignmentTo, type CloneRequests, type WaitingRequests} from './requests.ts';
import type {WriterWatch} from './writer-watch.ts';

const writesAtOnce = 8;

export interface ExecuteContext {
	readonly api: KubeApi;
	readonly requests: CloneRequests;
	readonly waiting: WaitingRequests;
	readonly quiet?: Pick<WriterWatch, 'positionOf' | 'mark'>;
	readonly barrier?: Pick<PodBarrier, 'pass'>;
	readonly signal: AbortSignal;
}

export interface RefusedAlias {
	/** See aliasKey. */
	readonly key: string;
	readonly namespace: string;
	readonly message: string;
}

export interface ExecuteResult {
	readonly refusedAliases?: readonly RefusedAlias[];
}

/** Merge patches replace lists whole, so the version that was read is a condition. Gone already is fine. */
async function removeFinalizer<T extends SharedSnapshot | VolumeSnapshot>(
	{api, signal}: ExecuteContext,
	resource: Resource<T>,
	object: T,
): Promise<void> {
	const before = object.metadata.finalizers ?? [];
	if (!before.includes(finalizers.sharedSnapshot)) return;
	const patch = {metadata: {finalizers: before.filter((name) => name !== finalizers.sharedSnapshot)}};
	try {
		await api.mergePatch<SharedSnapshot | VolumeSnapshot>(resource, object.metadata, patch, {
			resourceVersion: object.metadata.resourceVersion,
			fieldManager,
			signal,
		});
	} catch (error) {
		if (!isNotFound(error)) throw error;
	}
}

/** Read live, where a late cache would do harm. Undefined: gone, or another one of its name is there. */
async function liveOf({api, signal}: ExecuteContext, {metadata}: SharedSnapshot): Promise<SharedSnapshot | undefined> {
	const live = await api.find(resources.sharedSnapshots, metadata, {signal});
	return live?.metadata.uid === metadata.uid ? live : undefined;
}

/**
 * After a failover the cache may still show as open what the leader before has closed and cut, and what is assigned after
 * the cut is not in it. Or as cutting what is retired or gone: its VolumeSnapshot would be nobody's.
 */
async function isStill(state: 'open' | 'closed', context: ExecuteContext, shared: SharedSnapshot): Promise<boolean> {
	const live = await liveOf(context, shared);
	if (live?.metadata.deletionTimestamp) return false;
	return live?.spec.closed === (state === 'closed');
}

/** Read live, once for all who wait: a cache that is late would go on believing what the owner has taken back. */
async function isStillDeclared({api, signal}: ExecuteContext, {spec}: SharedSnapshot): Promise<boolean> {
	const claim = await api.find(resources.persistentVolumeClaims, spec.source, {signal});
	return claim?.metadata.uid === spec.content.claimUid && isDeclaredImmutable(claim);
}

/** Read live: a snapshot that the cache does not show yet would stay behind with our finalizer, and nobody would know it. */
async function hasAnything({api, signal}: ExecuteContext, {metadata}: SharedSnapshot): Promise<boolean> {
	const labelSelector = `${labels.sharedSnapshotUid}=${metadata.uid}`;
	const snapshots = await api.list(resources.volumeSnapshots, {labelSelector, limit: 1, signal});
	const contents = await api.list(resources.volumeSnapshotContents, {labelSelector, limit: 1, signal});
	return snapshots.items.length + contents.items.length > 0;
}

const atOnce = <T>(writes: readonly (() => Promise<T>)[]) => new PQueue({concurrency: writesAtOnce}).addAll(writes);

/** Of exactly this content; gone already is fine, and so is one that is not any more as `resourceVersion` says. */
async function patchContent(
	{api, signal}: ExecuteContext,
	{metadata}: VolumeSnapshotContent,
	patch: MergePatch<VolumeSnapshotContent>,
	{resourceVersion}: {readonly resourceVersion?: string | undefined} = {},
): Promise<void> {
	const options = {uid: metadata.uid, resourceVersion, fieldManager, signal};
	try {
		await api.mergePatch(resources.volumeSnapshotContents, metadata, patch, options);
	} catch (error) {
		if (!isNotFound(error) && !isConflict(error)) throw error;
	}
}

const beingDeleted = {[annotations.snapshotBeingDeleted]: 'yes'};

async function changeContent(
	context: ExecuteContext,
	plan: Extract<SharingPlan, {do: 'protect' | 'unprotect' | 'wakeSidecar'}>,
): Promise<void> {
	const patch = {
		metadata: {
			labels: {[labels.sharedSnapshotUid]: plan.shared.metadata.uid ?? '', [labels.managedBy]: managedByValue},
			...(plan.do === 'unprotect' && plan.orphaned && {annotations: beingDeleted}),
		},
		...(plan.do === 'protect' && {spec: {deletionPolicy: 'Retain' as const}}),
		...(plan.do === 'unprotect' && {spec: {deletionPolicy: 'Delete' as const}}),
	};
	// One that is being deleted meanwhile must not become Retain: the sidecar would let it go and leave what the storage has.
	const {resourceVersion} = plan.content.metadata;
	await patchContent(context, plan.content, patch, plan.do === 'protect' ? {resourceVersion} : {});
}

/** A namespace may refuse what is made in it; that concerns the clones there, and nobody else. */
async function createAliases(
	{api, signal}: ExecuteContext,
	{aliases, shared}: Extract<SharingPlan, {do: 'createAliases'}>,
): Promise<ExecuteResult> {
	const refusedAliases: RefusedAlias[] = [];
	await atOnce(
		aliases.map(({place, content, snapshot}) => async () => {
			try {
				if (content) await createOnce(api, resources.volumeSnapshotContents, content, signal);
				if (snapshot) await createOnce(api, resources.volumeSnapshots, snapshot, signal);
			} catch (error) {
				if (!(error instanceof ApiError) || error.code >= 500) throw error;
				refusedAliases.push({key: aliasKey(shared, place), namespace: place.namespace, message: error.statusMessage});
			}
		}),
	);
	return {refusedAliases};
}

export async function execute(context: ExecuteContext, plan: SharingPlan): Promise<ExecuteResult> {
	const {api, requests, waiting, signal} = context;
	switch (plan.do) {
		case 'nothing':
			return {};
		case 'open':
			await createOnce(api, resources.sharedSnapshots, plan.shared, signal);
			return {};
		case 'assign':
			if (plan.rule === 'GroupCommit' && !(await isStill('open', context, plan.shared))) return {};
			if (plan.rule === 'DeclaredImmutable' && !(await isStillDeclared(context, plan.shared))) return {};
			await atOnce(
				plan.requests.map((request) => async () => {
					const assignment = assignmentTo(plan.shared);
					// Remembered before it is written: whether or not it reached the server, the snapshot must not be retired under it.
					waiting.assigning(request, assignment);
					const outcome = await requests.assign(request, assignment, plan.rule, signal);
					if (outcome === 'gone') return waiting.withdraw(request.uid);
					if (outcome === 'changed') return waiting.notAssigned(request.uid);
					waiting.assigned(request, assignment);
					assignmentsTotal.inc({rule: plan.rule});
				}),
			);
			return {};
		case 'close':
			await api.mergePatch(
				resources.sharedSnapshots,
				plan.shared.metadata,
				{spec: {closed: true, declaredImmutable: plan.declaredImmutable}},
				{resourceVersion: plan.shared.metadata.resourceVersion, fieldManager, signal},
			);
			return {};
		case 'cut': {
			if (!(await isStill('closed', context, plan.shared))) return {};
			const position = context.quiet?.positionOf(plan.shared);
			if (!(await createOnce(api, resources.volumeSnapshots, plan.snapshot, signal))) return {};
			cutsTotal.inc();
			if (plan.isFirst) context.quiet?.mark(plan.shared, position);
			return {};
		}
		case 'passBarrier':
			await context.barrier?.pass(plan.number, signal);
			return {};
		case 'protect':
		case 'unprotect':
		case 'wakeSidecar':
			await changeContent(context, plan);
			return {};
		case 'createAliases':
			// An alias of one that is gone would be nobody's.
			return (await liveOf(context, plan.shared)) ? createAliases(context, plan) : {};
		case 'removeAliases':
			await atOnce([
				...plan.snapshots.map((snapshot) => () => deleteExactly(api, resources.volumeSnapshots, snapshot, signal)),
				...plan.contents.map((content) => async () => {
					// In the snapshot-controller's place.
					if (isUntold(content)) await patchContent(context, content, {metadata: {annotations: beingDeleted}});
					await deleteExactly(api, resources.volumeSnapshotContents, content, signal);
				}),
			]);
			return {};
		case 'deleteSnapshot':
			await deleteExactly(api, resources.volumeSnapshots, plan.snapshot, signal);
			return {};
		case 'deleteContent':
			// The cache may show it as it was before it was protected: deleted with policy Retain, it would leave the snapshot.
			await changeContent(context, {...plan, do: 'unprotect', orphaned: false});
			await deleteExactly(api, resources.volumeSnapshotContents, plan.content, signal);
			return {};
		case 'releaseSnapshot':
			await removeFinalizer(context, resources.volumeSnapshots, plan.snapshot);
			return {};
		case 'retire':
			await deleteExactly(api, resources.sharedSnapshots, plan.shared, signal);
			return {};
		case 'release':
			if (await hasAnything(context, plan.shared)) return {};
			await removeFinalizer(context, resources.sharedSnapshots, plan.shared);
			return {};
		default:
			return plan satisfies never;
	}
}
