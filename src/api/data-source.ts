/** DataSource, cdi.kubevirt.io/v1beta1, as served by our CRD: a name for a disk that stays while the disk behind it changes. */
import type {Condition} from './conditions.ts';
import type {ObjectSource} from './datavolume.ts';
import type {KubeObject} from './kubernetes.ts';

/** One of these is set. An empty namespace is the DataSource's own. */
export interface DataSourceSource {
	readonly pvc?: ObjectSource;
	readonly snapshot?: ObjectSource;
	/** Another DataSource of the same namespace, which names a claim or snapshot itself. */
	readonly dataSource?: ObjectSource;
}

export interface DataSource extends KubeObject {
	readonly spec: {readonly source: DataSourceSource};
	/** Written with the object itself: the CRD has no status subresource, as CDI's. */
	readonly status?: DataSourceStatus;
}

export interface DataSourceStatus {
	/** What `spec.source` comes to: a claim or snapshot, with its namespace. KubeVirt reads it. */
	readonly source?: DataSourceSource;
	readonly conditions?: readonly Condition[];
}
