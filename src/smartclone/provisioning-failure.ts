/**
 * What the storage says of a volume or snapshot that it could not make. The sidecars pass it on as text only: in the
 * claim's ProvisioningFailed events, in `status.error` of a VolumeSnapshot. Events are hints: they may be late, merged with
 * others, or never come, so that whoever waits needs a deadline besides.
 */
import type {Event} from '../api/event.ts';
import type {PersistentVolumeClaim} from '../api/kubernetes.ts';
import type {Caches} from '../kube/caches.ts';
import {compareResourceVersions} from '../kube/resource-version.ts';
import * as resources from '../kube/resources.ts';
import type {Index} from '../kube/store.ts';

export type FailureKind =
	/** Asked too much or too early, or the answer did not come: goes away by itself. */
	| 'busy'
	/** What is restored or cloned is not in the storage (any more). */
	| 'notFound'
	/** Asking again cannot help. */
	| 'permanent'
	/** Not the storage's word: a quota or missing permission in Kubernetes. */
	| 'refused'
	/** Anything else: it is asked again, and a deadline decides. */
	| 'unknown';

export interface Failure {
	readonly kind: FailureKind;
	/** gRPC's name of the code, or what it would be; `Unknown` where nothing tells. */
	readonly code: string;
	readonly message: string;
}

const kinds: ReadonlyMap<string, FailureKind> = new Map([
	['Aborted', 'busy'],
	['ResourceExhausted', 'busy'],
	['Unavailable', 'busy'],
	['DeadlineExceeded', 'busy'],
	['Canceled', 'busy'],
	['NotFound', 'notFound'],
	['InvalidArgument', 'permanent'],
	['OutOfRange', 'permanent'],
	['Unimplemented', 'permanent'],
	['FailedPrecondition', 'permanent'],
]);

/** Words of external-provisioner and external-snapshotter for what they refuse without asking the driver. */
const wordings: readonly (readonly [words: RegExp, kind: FailureKind, code: string])[] = [
	[/exceeded quota|is forbidden:/, 'refused', 'Forbidden'],
	[/capability is not reported/, 'permanent', 'Unimplemented'],
	[/does not support .*(?:snapshot restore|clone operations)/, 'permanent', 'Unimplemented'],
	[/requested volume size \d+ is less than the size \d+/, 'permanent', 'OutOfRange'],
	[/must be greater than or equal in size to the specified PVC data source/, 'permanent', 'OutOfRange'],
	[/capacity \d+ less than requested capacity \d+/, 'permanent', 'OutOfRange'],
	[/volume content source missing/, 'permanent', 'Unimplemented'],
	[/modifies the mode of the source volume/, 'permanent', 'FailedPrecondition'],
	[/claim Selector is not supported/, 'permanent', 'InvalidArgument'],
	[/can not find snapshot for snapshotID/, 'notFound', 'NotFound'],
	[/context deadline exceeded/, 'busy', 'DeadlineExceeded'],
];

/** Drivers quote what they were told: the first code is the one that was answered. */
const grpc = /rpc error: code = (\w+) desc = (.*)/s;

export function parseFailure(text: string): Failure {
	const [, code, desc = ''] = grpc.exec(text) ?? [];
	if (code !== undefined) return {kind: kinds.get(code) ?? 'unknown', code, message: desc.trim()};
	const [, kind, wordedCode] = wordings.find(([words]) => words.test(text)) ?? [
		undefined,
		'unknown' as const,
		'Unknown',
	];
	return {kind, code: wordedCode, message: text.trim()};
}

/** ProvisioningFailed events by the UID of the claim they are about. */
export const failuresByClaim: Index<Event> = {
	name: 'failedClaim',
	keys: ({reason, involvedObject: {kind, uid}}) =>
		reason === 'ProvisioningFailed' && kind === 'PersistentVolumeClaim' && uid ? [uid] : [],
};

function lastSeen({series, lastTimestamp, eventTime, metadata}: Event): string {
	return series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? metadata.creationTimestamp ?? '';
}

/** Seconds decide, and within one the order of writing. */
function byAge(a: Event, b: Event): number {
	const seconds = lastSeen(a).slice(0, 19).localeCompare(lastSeen(b).slice(0, 19));
	return seconds || compareResourceVersions(a.metadata.resourceVersion ?? '', b.metadata.resourceVersion ?? '');
}

/** The last one that was told of this claim. */
export function failureOf(caches: Caches, {metadata}: PersistentVolumeClaim): Failure | undefined {
	const events = caches.store(resources.events).byIndex(failuresByClaim.name, metadata.uid ?? '');
	const last = events.toSorted(byAge).at(-1);
	return last && parseFailure(last.message ?? '');
}
