/**
 * A node for a restored claim that is to bind although nobody uses it yet and its class waits for a consumer. Pure.
 * Any node will do that could run a Pod with the volume: ready, schedulable, with the driver, and where the source's
 * volume can be reached from.
 */
import type {CsiNode, Node, PersistentVolume} from '../api/kubernetes.ts';

/** Whether a Pod on the node can have the volume. */
export function reaches(node: Node, volume: PersistentVolume | undefined): boolean {
	const terms = volume?.spec.nodeAffinity?.required?.nodeSelectorTerms;
	if (!terms) return true;
	const has = node.metadata.labels ?? {};
	return terms.some(
		(term) =>
			(term.matchFields ?? []).every(
				({key, operator, values = []}) =>
					key === 'metadata.name' && operator === 'In' && values.includes(node.metadata.name),
			) &&
			(term.matchExpressions ?? []).every(
				({key, operator, values = []}) => operator === 'In' && values.includes(has[key] ?? ''),
			),
	);
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
