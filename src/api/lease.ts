import type {KubeObject} from './kubernetes.ts';

/** coordination.k8s.io/v1 Lease. Times are MicroTime: RFC 3339 with exactly six fraction digits. */
export interface Lease extends KubeObject {
	readonly spec?: {
		readonly holderIdentity?: string;
		readonly leaseDurationSeconds?: number;
		readonly acquireTime?: string;
		readonly renewTime?: string;
		readonly leaseTransitions?: number;
	};
}
