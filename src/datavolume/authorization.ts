/**
 * Whether admission has asked if this user may clone from another namespace. The controller cannot ask itself, it does
 * not know the user; so it refuses what the policies cannot have seen: everything while one of them or its binding is
 * missing, and what is older than they are.
 */
import type {DataVolume} from '../api/datavolume.ts';
import type {KubeObject} from '../api/kubernetes.ts';
import type {Caches} from '../kube/caches.ts';
import * as resources from '../kube/resources.ts';

/** In manifests/base/clone-authorization.yaml. */
export const clonePolicies = ['onesnap-clone-authorization', 'onesnap-claim-authorization'] as const;
/**
 * Asks about `spec.sourceRef`, and about our record of what it came to. A policy of its own: younger than every DataVolume
 * of a release that did not ask, so that those are refused.
 */
export const referencePolicy = 'onesnap-reference-authorization';

/** Undefined where nothing is in the way. */
export function authorizationProblem(caches: Caches, dataVolume: DataVolume): string | undefined {
	const policies = [...clonePolicies, ...(dataVolume.spec.sourceRef ? [referencePolicy] : [])];
	const required: [string, KubeObject | undefined][] = policies.flatMap((name) => [
		[`ValidatingAdmissionPolicy ${name}`, caches.store(resources.validatingAdmissionPolicies).get(undefined, name)],
		[
			`ValidatingAdmissionPolicyBinding ${name}`,
			caches.store(resources.validatingAdmissionPolicyBindings).get(undefined, name),
		],
	]);
	const missing = required.find(([, object]) => object === undefined);
	if (missing) {
		return `Clones from other namespaces are refused because ${missing[0]} is not installed: apply manifests/base/clone-authorization.yaml`;
	}
	const created = dataVolume.metadata.creationTimestamp ?? '';
	const younger = required.find(([, object]) => (object?.metadata.creationTimestamp ?? '') > created);
	return (
		younger && `${younger[0]} is younger than this DataVolume, so nobody asked whether it may clone: create it again`
	);
}
