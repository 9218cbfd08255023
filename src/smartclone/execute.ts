/** A plan as API calls. No decisions: what is refused here is looked at again in the next round. */
import {fieldManager, finalizers, labels} from '../api/names.ts';
import PQueue from 'p-queue';
import type {SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {VolumeSnapshot} from '../api/snapshot.ts';
import type {KubeApi} from '../kube/client.ts';
import {createOnce} from '../kube/create-once.ts';
import {deleteExactly} from '../kube/delete-exactly.ts';
import {isNotFound} from '../kube/errors.ts';
import * as resources from '../kube/resources.ts';
import type {Resource} from '../kube/resources.ts';
import type {SharingPlan} from './decide.ts';
import {assignmentsTotal, cutsTotal} from './metrics.ts';
import {assignmentTo, type CloneRequests, type WaitingRequests} from './requests.ts';

const assignmentsAtOnce = 8;

export interface ExecuteContext {
	readonly api: KubeApi;
	readonly requests: CloneRequests;
	readonly waiting: WaitingRequests;
	readonly signal: AbortSignal;
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

/**
 * Read live: after a failover the cache may still show as open what the leader before has closed and cut, and what is
 * assigned after the cut is not in it.
 */
async function isStillOpen({api, signal}: ExecuteContext, {metadata}: SharedSnapshot): Promise<boolean> {
	const live = await api.find(resources.sharedSnapshots, metadata, {signal});
	return live?.metadata.uid === metadata.uid && !live?.metadata.deletionTimestamp && live?.spec.closed === false;
}

/** Read live: a snapshot that the cache does not show yet would stay behind with our finalizer, and nobody would know it. */
async function hasAnything({api, signal}: ExecuteContext, {metadata}: SharedSnapshot): Promise<boolean> {
	const labelSelector = `${labels.sharedSnapshotUid}=${metadata.uid}`;
	const snapshots = await api.list(resources.volumeSnapshots, {labelSelector, limit: 1, signal});
	const contents = await api.list(resources.volumeSnapshotContents, {labelSelector, limit: 1, signal});
	return snapshots.items.length + contents.items.length > 0;
}

export async function execute(context: ExecuteContext, plan: SharingPlan): Promise<void> {
	const {api, requests, waiting, signal} = context;
	switch (plan.do) {
		case 'nothing':
			return;
		case 'open':
			await createOnce(api, resources.sharedSnapshots, plan.shared, signal);
			return;
		case 'assign':
			if (plan.rule === 'GroupCommit' && !(await isStillOpen(context, plan.shared))) return;
			await new PQueue({concurrency: assignmentsAtOnce}).addAll(
				plan.requests.map((request) => async () => {
					const assignment = assignmentTo(plan.shared);
					// Remembered before it is written: whether or not it reached the server, the snapshot must not be retired under it.
					waiting.assigning(request, assignment);
					if (!(await requests.assign(request, assignment, plan.rule, signal))) return waiting.withdraw(request.uid);
					waiting.assigned(request, assignment);
					assignmentsTotal.inc({rule: plan.rule});
				}),
			);
			return;
		case 'close':
			await api.mergePatch(
				resources.sharedSnapshots,
				plan.shared.metadata,
				{spec: {closed: true, declaredImmutable: plan.declaredImmutable}},
				{resourceVersion: plan.shared.metadata.resourceVersion, fieldManager, signal},
			);
			return;
		case 'cut':
			if (await createOnce(api, resources.volumeSnapshots, plan.snapshot, signal)) cutsTotal.inc();
			return;
		case 'createAliasContent':
			await createOnce(api, resources.volumeSnapshotContents, plan.content, signal);
			return;
		case 'createAliasSnapshot':
			await createOnce(api, resources.volumeSnapshots, plan.snapshot, signal);
			return;
		case 'deleteSnapshot':
			await deleteExactly(api, resources.volumeSnapshots, plan.snapshot, signal);
			return;
		case 'deleteContent':
			await deleteExactly(api, resources.volumeSnapshotContents, plan.content, signal);
			return;
		case 'releaseSnapshot':
			await removeFinalizer(context, resources.volumeSnapshots, plan.snapshot);
			return;
		case 'retire':
			await deleteExactly(api, resources.sharedSnapshots, plan.shared, signal);
			return;
		case 'release':
			if (await hasAnything(context, plan.shared)) return;
			await removeFinalizer(context, resources.sharedSnapshots, plan.shared);
			return;
		default:
			plan satisfies never;
	}
}
