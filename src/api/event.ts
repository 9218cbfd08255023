import type {KubeObject} from './kubernetes.ts';

export interface ObjectReference {
	readonly apiVersion?: string;
	readonly kind?: string;
	readonly namespace?: string;
	readonly name?: string;
	readonly uid?: string;
	readonly resourceVersion?: string;
	readonly fieldPath?: string;
}

export type EventType = 'Normal' | 'Warning';

/**
 * core/v1 Event. Components that write events.k8s.io/v1 (none of the CSI sidecars does as of 2026) fill `series` and
 * `reportingComponent` and leave `count` and the timestamps empty when read through core/v1.
 */
export interface Event extends KubeObject {
	readonly involvedObject: ObjectReference;
	readonly type?: string;
	readonly reason?: string;
	readonly message?: string;
	readonly source?: {readonly component?: string; readonly host?: string};
	readonly firstTimestamp?: string | null;
	readonly lastTimestamp?: string | null;
	readonly eventTime?: string | null;
	readonly count?: number;
	readonly action?: string;
	readonly reportingComponent?: string;
	readonly reportingInstance?: string;
	readonly series?: {readonly count?: number; readonly lastObservedTime?: string};
}
