/** What a DataSource comes to. Pure; used where DataSources are reported and where DataVolumes are made from them. */
import type {DataSource} from '../api/data-source.ts';
import type {ObjectSource} from '../api/datavolume.ts';

/** What can be cloned, its namespace filled in. */
export type CloneableSource =
	| {readonly kind: 'pvc'; readonly pvc: ObjectSource}
	| {readonly kind: 'snapshot'; readonly snapshot: ObjectSource};

/** CDI's reasons. */
export type ResolveProblemReason =
	| 'NoSource'
	| 'NotFound'
	| 'MaxReferenceDepthReached'
	| 'SelfReference'
	| 'CrossNamespaceReference';

export interface ResolveProblem {
	readonly reason: ResolveProblemReason;
	readonly message: string;
}

export type Resolution = CloneableSource | ResolveProblem;

export function isResolveProblem(resolution: Resolution): resolution is ResolveProblem {
	return 'reason' in resolution;
}

const problem = (reason: ResolveProblemReason, message: string): ResolveProblem => ({reason, message});

/** A reference with the namespace that is meant: an empty one is that of the object it stands in. */
export function withNamespace({namespace, name}: ObjectSource, own: string | undefined): ObjectSource {
	return {namespace: namespace || (own ?? ''), name};
}

function ofItself({metadata, spec}: DataSource): CloneableSource | undefined {
	const {pvc, snapshot} = spec.source;
	if (pvc) return {kind: 'pvc', pvc: withNamespace(pvc, metadata.namespace)};
	if (snapshot) return {kind: 'snapshot', snapshot: withNamespace(snapshot, metadata.namespace)};
	return undefined;
}

/**
 * @param find looks up a DataSource by namespace and name. A reference is followed one step, inside of the namespace.
 */
export function resolveDataSource(
	dataSource: DataSource,
	find: (namespace: string, name: string) => DataSource | undefined,
): Resolution {
	const own = ofItself(dataSource);
	if (own) return own;
	const reference = dataSource.spec.source.dataSource;
	if (!reference) return problem('NoSource', 'No source PVC set');
	const {namespace, name} = withNamespace(reference, dataSource.metadata.namespace);
	if (namespace !== dataSource.metadata.namespace)
		return problem(
			'CrossNamespaceReference',
			`DataSource ${namespace}/${name} is in another namespace: a DataSource can refer to one of its own namespace`,
		);
	if (name === dataSource.metadata.name) return problem('SelfReference', 'The DataSource refers to itself');
	const referred = find(namespace, name);
	if (!referred) return problem('NotFound', `DataSource ${namespace}/${name} not found`);
	const its = ofItself(referred);
	if (its) return its;
	return referred.spec.source.dataSource
		? problem(
				'MaxReferenceDepthReached',
				`DataSource ${namespace}/${name} refers to another one in turn: only one step is followed`,
			)
		: problem('NoSource', `DataSource ${namespace}/${name} names no source`);
}
