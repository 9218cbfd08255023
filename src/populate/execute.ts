/** A plan as API calls. What is refused here is looked at again in the next round. */
import type {PersistentVolumeClaim} from '../api/kubernetes.ts';
import {fieldManager} from '../api/names.ts';
import {annotateExactly} from '../kube/annotate.ts';
import type {KubeApi} from '../kube/client.ts';
import {createOnce} from '../kube/create-once.ts';
import {deleteExactly} from '../kube/delete-exactly.ts';
import {isConflict, isNotFound} from '../kube/errors.ts';
import * as resources from '../kube/resources.ts';
import type {CopyKeys} from './copy-keys.ts';
import type {PopulatePlan} from './decide.ts';
import {isBeingFilled} from './in-place.ts';

/** The target as it is then. */
async function describeTarget(
	api: KubeApi,
	{target, annotations}: Extract<PopulatePlan, {do: 'moveVolume'}>,
	signal: AbortSignal,
): Promise<PersistentVolumeClaim | undefined> {
	const {uid} = target.metadata;
	const claims = resources.persistentVolumeClaims;
	if (Object.keys(annotations).length === 0) return api.find(claims, target.metadata, {signal});
	try {
		return await api.mergePatch(claims, target.metadata, {metadata: {annotations}}, {uid, fieldManager, signal});
	} catch (error) {
		if (isNotFound(error) || isConflict(error)) return undefined;
		throw error;
	}
}

/**
 * Moves a volume: its claimRef names the target from now on, the volume controller binds them. Read live just before, and
 * on condition of the volume's version: a target that was deleted or bound meanwhile would make the cluster delete the
 * volume (csi: Released with policy Delete).
 */
async function moveVolume(
	api: KubeApi,
	plan: Extract<PopulatePlan, {do: 'moveVolume'}>,
	signal: AbortSignal,
): Promise<void> {
	const target = await describeTarget(api, plan, signal);
	const live = target?.metadata.uid === plan.target.metadata.uid ? target : undefined;
	if (!live || live.metadata.deletionTimestamp || live.spec.volumeName) return;
	const {namespace, name, uid, resourceVersion} = live.metadata;
	const claimRef = {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		namespace: namespace ?? '',
		name,
		uid: uid ?? '',
		resourceVersion: resourceVersion ?? '',
	};
	await api.mergePatch(
		resources.persistentVolumes,
		plan.volume.metadata,
		{spec: {claimRef}},
		{resourceVersion: plan.volume.metadata.resourceVersion, fieldManager, signal},
	);
}

/** By the server's own word: a cache may not show yet that it is complete, and in use. */
async function mayBeCleared(api: KubeApi, claim: PersistentVolumeClaim, signal: AbortSignal): Promise<boolean> {
	const live = await api.find(resources.persistentVolumeClaims, claim.metadata, {signal});
	if (!live || live.metadata.uid !== claim.metadata.uid || live.metadata.deletionTimestamp) return false;
	return isBeingFilled(live);
}

export interface ExecuteContext {
	readonly api: KubeApi;
	readonly copyKeys: CopyKeys;
	readonly signal: AbortSignal;
}

export async function execute({api, copyKeys, signal}: ExecuteContext, plan: PopulatePlan): Promise<void> {
	const claims = resources.persistentVolumeClaims;
	switch (plan.do) {
		case 'nothing':
		case 'wait':
		case 'giveUp':
			return;
		case 'createClaim':
			await createOnce(api, claims, plan.claim, signal);
			return;
		case 'createWorker': {
			if (plan.clears && !(await mayBeCleared(api, plan.clears, signal))) return;
			const {pod, keys} = copyKeys.complete(plan.pod, plan.keys ?? []);
			// Each time, because nobody may read whether they are there; those that are there stay.
			const secrets = [...keys, ...(plan.secret ? [plan.secret] : [])];
			for (const secret of secrets) await createOnce(api, resources.secrets, secret, signal);
			await createOnce(api, resources.pods, pod, signal);
			return;
		}
		case 'deletePod':
			await deleteExactly(api, resources.pods, plan.pod, signal);
			return;
		case 'deleteClaim':
			await deleteExactly(api, claims, plan.claim, signal);
			return;
		case 'rememberDisk':
		case 'recordPopulated':
			await annotateExactly(api, claims, plan.claim, {annotations: plan.annotations}, signal);
			return;
		case 'grow':
			try {
				const patch = {spec: {resources: {requests: {storage: plan.request}}}};
				await api.mergePatch(claims, plan.prime.metadata, patch, {fieldManager, signal});
			} catch (error) {
				if (!isNotFound(error)) throw error;
			}
			return;
		case 'moveVolume':
			await moveVolume(api, plan, signal);
			return;
		default:
			plan satisfies never;
	}
}
