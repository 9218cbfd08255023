/** Where a worker Pod may run: where the cluster's admin wants workers, of these where its volumes are. Pure. */
import type {NodePlacement} from '../api/cdi-config.ts';
import type {NodeSelectorTerm} from '../api/kubernetes.ts';

export interface PlacedPod {
	readonly nodeSelector?: Readonly<Record<string, string>>;
	readonly affinity?: NonNullable<NodePlacement['affinity']>;
	readonly tolerations?: readonly unknown[];
}

type Terms = readonly {readonly matchExpressions?: readonly unknown[]; readonly matchFields?: readonly unknown[]}[];

/** One of the first and one of the second: the scheduler takes a node that fits any of the terms. */
function bothOf(first: Terms, second: Terms): Terms {
	return first.flatMap((a) =>
		second.map((b) => {
			const matchExpressions = [...(a.matchExpressions ?? []), ...(b.matchExpressions ?? [])];
			const matchFields = [...(a.matchFields ?? []), ...(b.matchFields ?? [])];
			return {
				...(matchExpressions.length > 0 && {matchExpressions}),
				...(matchFields.length > 0 && {matchFields}),
			};
		}),
	);
}

/** @param needed terms of which one must fit, for the sake of the Pod's volumes; undefined: any node will do */
export function placeWorker(
	{nodeSelector, affinity, tolerations}: NodePlacement,
	needed: readonly NodeSelectorTerm[] | undefined,
): PlacedPod {
	const wished = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
	const terms = needed && wished ? bothOf(wished, needed) : needed;
	const required = terms && {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: terms}};
	const merged = required ? {...affinity, nodeAffinity: {...affinity?.nodeAffinity, ...required}} : affinity;
	return {
		...(nodeSelector && {nodeSelector}),
		...(merged && {affinity: merged}),
		...(tolerations && {tolerations}),
	};
}
