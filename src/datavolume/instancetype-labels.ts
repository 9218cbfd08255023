/**
 * What KubeVirt reads on a disk to guess the machine for it: four labels that travel from a source to its clones. Pure.
 * virt-api looks for them on DataVolumes and claims, and cannot read VolumeSnapshots, so they are copied early.
 */
import type {KubeObject} from '../api/kubernetes.ts';

const instancetypeLabels = [
	'instancetype.kubevirt.io/default-instancetype',
	'instancetype.kubevirt.io/default-instancetype-kind',
	'instancetype.kubevirt.io/default-preference',
	'instancetype.kubevirt.io/default-preference-kind',
] as const;

function instancetypeOf({metadata: {labels = {}}}: KubeObject): Readonly<Record<string, string>> {
	return Object.fromEntries(
		instancetypeLabels.flatMap((name) => (labels[name] === undefined ? [] : [[name, labels[name]]])),
	);
}

/**
 * What `heir` is to get: nothing where it has any of the four, because its author has chosen; otherwise those of the first
 * source that has some.
 */
export function inheritedLabels(
	heir: KubeObject,
	...sources: readonly (KubeObject | undefined)[]
): Readonly<Record<string, string>> {
	if (Object.keys(instancetypeOf(heir)).length > 0) return {};
	const found = sources.flatMap((source) => (source ? [instancetypeOf(source)] : []));
	return found.find((labels) => Object.keys(labels).length > 0) ?? {};
}
