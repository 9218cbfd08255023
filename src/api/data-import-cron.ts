/** DataImportCron, cdi.kubevirt.io/v1beta1, as far as its conditions go: it is served, and not carried out yet. */
import type {Condition} from './conditions.ts';
import type {KubeObject} from './kubernetes.ts';

export interface DataImportCron extends KubeObject {
	readonly spec: {
		/** The DataSource that would point to the newest import, in the same namespace. */
		readonly managedDataSource: string;
	};
	readonly status?: {readonly conditions?: readonly Condition[]};
}
