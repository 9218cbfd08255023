/**
 * Who may write to a claim: Pods that mount it other than read-only. What cannot be told from a Pod counts as writing.
 */
import type {PersistentVolumeClaim, Pod, PodVolume} from '../api/kubernetes.ts';
import {labels} from '../api/names.ts';
import type {Caches} from '../kube/caches.ts';
import * as resources from '../kube/resources.ts';
import type {Index} from '../kube/store.ts';

/** Kubernetes names the claim of a generic ephemeral volume after Pod and volume. */
function claimNameOf(pod: Pod, {name, persistentVolumeClaim, ephemeral}: PodVolume): string | undefined {
	return persistentVolumeClaim?.claimName ?? (ephemeral ? `${pod.metadata.name}-${name}` : undefined);
}

/** Pods by the claims they mount, as `namespace/claim`. */
export const podsByClaim: Index<Pod> = {
	name: 'claim',
	keys: (pod) =>
		(pod.spec.volumes ?? []).flatMap((volume) => {
			const claimName = claimNameOf(pod, volume);
			return claimName ? [`${pod.metadata.namespace}/${claimName}`] : [];
		}),
};

/** Whether a Pod could write to the claim. A block device has no read-only mount, and the claim's flag is what counts. */
export function mayWrite(pod: Pod, claimName: string): boolean {
	const volumes = (pod.spec.volumes ?? []).filter((volume) => claimNameOf(pod, volume) === claimName);
	const {containers, initContainers = [], ephemeralContainers = []} = pod.spec;
	const all = [...initContainers, ...containers, ...ephemeralContainers];
	return volumes.some(({name, persistentVolumeClaim}) => {
		if (persistentVolumeClaim?.readOnly) return false;
		const devices = all.some(({volumeDevices}) => volumeDevices?.some((device) => device.name === name));
		const mounts = all.flatMap(({volumeMounts}) => volumeMounts?.filter((mount) => mount.name === name) ?? []);
		return devices || mounts.length === 0 || mounts.some((mount) => mount.readOnly !== true);
	});
}

/** Copiers mount their source read-only; on a block device nothing says so, but they only read it. */
function isOurReader(pod: Pod): boolean {
	return pod.metadata.labels?.[labels.cdiComponent] === 'cdi-clone-source';
}

/** One that runs, or may begin to. */
export function isWriter(pod: Pod, claimName: string): boolean {
	const hasEnded = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
	return !hasEnded && !isOurReader(pod) && mayWrite(pod, claimName);
}

export function writersOf(caches: Caches, claim: PersistentVolumeClaim): Pod[] {
	const {namespace, name} = claim.metadata;
	return caches
		.store(resources.pods)
		.byIndex(podsByClaim.name, `${namespace}/${name}`)
		.filter((pod) => isWriter(pod, name));
}
