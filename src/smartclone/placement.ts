/**
 * A node for a restored claim that is to bind although nobody uses it yet and its class waits for a consumer. Pure.
 * Any node will do that could run a Pod with the volume: ready, schedulable, with the driver, and where the source's
 * volume can be reached from.
 */
import type {CsiNode, Node, NodeSelectorTerm, PersistentVolume} from '../api/kubernetes.ts';

type Requirement = NonNullable<NodeSelectorTerm['matchExpressions']>[number];

/** As Kubernetes reads node selectors; an operator that is not known fits nothing. */
function fits({operator, values = []}: Requirement, has: string | undefined): boolean {
	switch (operator) {
		case 'In':
			return has !== undefined && values.includes(has);
		case 'NotIn':
			return has === undefined || !values.includes(has);
		case 'Exists':
			return has !== undefined;
		case 'DoesNotExist':
			return has === undefined;
		case 'Gt':
			return Number(has) > Number(values[0]);
		case 'Lt':
			return Number(has) < Number(values[0]);
		default:
			return false;
	}
}

/** Whether a Pod on the node can have the volume. */
export function reaches(node: Node, volume: PersistentVolume | undefined): boolean {
	const terms = volume?.spec.nodeAffinity?.required?.nodeSelectorTerms;
	if (!terms) return true;
	const has = node.metadata.labels ?? {};
	return terms.some(({matchFields = [], matchExpressions = []}) => {
		// A term that asks for nothing fits nothing.
		if (matchFields.length + matchExpressions.length === 0) return false;
		const fields: Readonly<Record<string, string>> = {'metadata.name': node.metadata.name};
		return (
			matchFields.every((requirement) => fits(requirement, fields[requirement.key])) &&
			matchExpressions.every((requirement) => fits(requirement, has[requirement.key]))
		);
	});
}

function isSchedulable({spec}: Node): boolean {
	return !spec?.unschedulable && !spec?.taints?.some(({effect}) => effect === 'NoSchedule' || effect === 'NoExecute');
}

export function chooseNode(
	nodes: readonly Node[],
	csiNodes: readonly CsiNode[],
	wanted: {readonly driver: string; readonly sourceVolume: PersistentVolume | undefined},
): string | undefined {
	const withDriver = new Set(
		csiNodes
			.filter(({spec}) => spec.drivers?.some(({name}) => name === wanted.driver))
			.map(({metadata}) => metadata.name),
	);
	return nodes
		.filter((node) => withDriver.has(node.metadata.name) && isSchedulable(node) && reaches(node, wanted.sourceVolume))
		.filter((node) => node.status?.conditions?.some(({type, status}) => type === 'Ready' && status === 'True'))
		.map(({metadata}) => metadata.name)
		.toSorted()[0];
}
