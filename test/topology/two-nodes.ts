/** What tests on two nodes need: which nodes, which classes, where a volume is, what the storage said. */
import type {PersistentVolumeClaim, Pod, VolumeMode} from '../../src/api/kubernetes.ts';
import type {VolumeSnapshot} from '../../src/api/snapshot.ts';
import * as resources from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {startDiskPod, waitForPod} from '../support/disk-pod.ts';
import {api, claimOf, context, local, volumeOf} from '../e2e/world.ts';

const {nodeLocal, nodeLocalImmediate} = local?.storageClasses ?? {};
const [first, second] = local?.nodes ?? [];
if (!nodeLocal || !nodeLocalImmediate || !first || !second) throw new Error('these tests need a cluster of two nodes');

export const node1 = first;
export const node2 = second;
/** Volumes live on one node: WaitForFirstConsumer, and Immediate. */
export const nodeLocalClass = nodeLocal;
export const nodeLocalImmediateClass = nodeLocalImmediate;

type Named = {readonly metadata: {readonly namespace?: string; readonly name: string}};

export interface WantedClaim {
	readonly namespace: string;
	readonly name: string;
	readonly storageClass: string;
	readonly volumeMode?: VolumeMode;
	readonly fromSnapshot?: VolumeSnapshot;
}

export function createClaim({namespace, name, storageClass, volumeMode, fromSnapshot}: WantedClaim) {
	const claim: PersistentVolumeClaim = {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata: {namespace, name},
		spec: {
			accessModes: ['ReadWriteOnce'],
			storageClassName: storageClass,
			resources: {requests: {storage: '64Mi'}},
			...(volumeMode && {volumeMode}),
			...(fromSnapshot && {
				dataSource: {apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: fromSnapshot.metadata.name},
			}),
		},
	};
	return api.create(resources.persistentVolumeClaims, claim);
}

/** By the default VolumeSnapshotClass of the claim's driver; ready when this returns. */
export async function createSnapshot(claim: Named, name: string): Promise<VolumeSnapshot> {
	const {namespace = ''} = claim.metadata;
	await api.create(resources.volumeSnapshots, {
		apiVersion: 'snapshot.storage.k8s.io/v1',
		kind: 'VolumeSnapshot',
		metadata: {namespace, name},
		spec: {source: {persistentVolumeClaimName: claim.metadata.name}},
	});
	return until(`VolumeSnapshot ${name} ready`, async () => {
		const now = await api.get(resources.volumeSnapshots, {namespace, name});
		return now.status?.readyToUse ? now : undefined;
	});
}

/** A Pod on this node that uses the claim and does nothing with it; returned at once, it may wait for the claim. */
export function consume({metadata: {namespace = '', name}}: Named, node: string): Promise<Pod> {
	return startDiskPod(api, {namespace, claim: name, image: context.workerImage, node, script: 'sleep infinity'});
}

/** The same, and runs when this returns. */
export async function hold(claim: Named, node: string): Promise<Pod> {
	return waitForPod(api, await consume(claim, node), 'Running');
}

/** The names that a volume's node affinity has for its driver's topology key; none for a volume that is everywhere. */
export async function nodesOf(claim: Named): Promise<readonly string[]> {
	const {nodeAffinity} = (await volumeOf(claim)).spec;
	const terms = nodeAffinity?.required?.nodeSelectorTerms ?? [];
	return terms.flatMap(({matchExpressions = []}) => matchExpressions.flatMap(({values = []}) => values));
}

/** The message of the event by which the provisioner says that it could not make the claim's volume. */
export async function provisioningFailureOf(claim: Named): Promise<string> {
	const {namespace = '', name} = claim.metadata;
	return until(`ProvisioningFailed on claim ${name}`, async () => {
		const fieldSelector = `involvedObject.kind=PersistentVolumeClaim,involvedObject.name=${name}`;
		const {items} = await api.list(resources.events, {namespace, fieldSelector});
		return items.find(({reason}) => reason === 'ProvisioningFailed')?.message;
	});
}

export async function waitForBound(claim: Named): Promise<PersistentVolumeClaim> {
	return until(`claim ${claim.metadata.name} Bound`, async () => {
		const now = await claimOf(claim);
		return now.status?.phase === 'Bound' ? now : undefined;
	});
}
