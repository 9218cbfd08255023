/** Garbage collector, namespace controller, volume controller and kubelet, as far as the sharing protocol meets them. */
import * as resources from '../../../src/kube/resources.ts';
import {deleteAny, type ModelServer} from './server.ts';
import type {ModelStorage} from './storage.ts';

/** Of the kubelet: a Pod's object goes when its containers have ended and its volumes are unmounted. */
export const running = 'model/running';
/** Of Kubernetes: a claim stays as long as a Pod uses it. */
export const claimInUse = 'kubernetes.io/pvc-protection';
const namespaceContent = 'kubernetes';

export function makeNamespace(server: ModelServer, name: string): void {
	if (server.get(resources.namespaces, {name})) return;
	const metadata = {name, finalizers: [namespaceContent]};
	server.create(resources.namespaces, {apiVersion: 'v1', kind: 'Namespace', metadata});
}

const namespacedKinds = [
	resources.dataVolumes,
	resources.dataSources,
	resources.volumeCloneSources,
	resources.volumeSnapshots,
	resources.persistentVolumeClaims,
	resources.pods,
	resources.events,
] as const;

function emptyNamespaces(server: ModelServer): void {
	for (const {metadata} of server.list(resources.namespaces)) {
		if (!metadata.deletionTimestamp) continue;
		let left = 0;
		for (const resource of namespacedKinds) {
			const inside = server
				.list(resource as typeof resources.dataVolumes)
				.filter((object) => object.metadata.namespace === metadata.name);
			for (const object of inside) deleteAny(server, object);
			left += inside.length;
		}
		if (left === 0)
			server.release(resources.namespaces, {apiVersion: 'v1', kind: 'Namespace', metadata}, namespaceContent);
	}
}

/** What has an owner goes with it. */
function collectGarbage(server: ModelServer): void {
	const owners = new Set(server.list(resources.dataVolumes).map(({metadata}) => metadata.uid));
	for (const resource of [resources.persistentVolumeClaims, resources.volumeCloneSources]) {
		for (const object of server.list(resource as typeof resources.persistentVolumeClaims)) {
			const [owner] = object.metadata.ownerReferences ?? [];
			if (owner && !owners.has(owner.uid)) deleteAny(server, object);
		}
	}
}

/** A claim that no Pod uses any more may go; with it its volume, and with that what the storage has. */
function releaseVolumes(server: ModelServer, storage: ModelStorage): void {
	const claims = server.list(resources.persistentVolumeClaims);
	const used = new Set(
		server
			.list(resources.pods)
			.flatMap(({metadata, spec}) =>
				(spec.volumes ?? []).map((volume) => `${metadata.namespace}/${volume.persistentVolumeClaim?.claimName}`),
			),
	);
	for (const claim of claims) {
		const {namespace, name, deletionTimestamp} = claim.metadata;
		if (deletionTimestamp && !used.has(`${namespace}/${name}`))
			server.release(resources.persistentVolumeClaims, claim, claimInUse);
	}
	const uids = new Set(server.list(resources.persistentVolumeClaims).map(({metadata}) => metadata.uid));
	for (const {metadata, spec} of server.list(resources.persistentVolumes)) {
		if (uids.has(spec.claimRef?.uid)) continue;
		server.delete(resources.persistentVolumes, metadata);
		if (spec.persistentVolumeReclaimPolicy !== 'Retain') storage.disks.delete(spec.csi?.volumeHandle ?? '');
	}
}

/** Containers end at some time after their Pod was deleted, and write until then. */
export function endPods(server: ModelServer): void {
	for (const pod of server.list(resources.pods))
		if (pod.metadata.deletionTimestamp) server.release(resources.pods, pod, running);
}

export function runClusterControllers(server: ModelServer, storage: ModelStorage): void {
	emptyNamespaces(server);
	collectGarbage(server);
	endPods(server);
	releaseVolumes(server, storage);
}
