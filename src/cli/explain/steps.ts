/** When each thing happened, as far as objects, conditions and events tell. Pure. */
import {findCondition} from '../../api/conditions.ts';
import type {Event} from '../../api/event.ts';
import type {KubeObject} from '../../api/kubernetes.ts';
import {compareResourceVersions} from '../../kube/resource-version.ts';
import * as resources from '../../kube/resources.ts';
import type {Sight} from './look.ts';

export interface Step {
	/** Milliseconds since 1970, to the second: Kubernetes has no finer ones. */
	readonly atMs: number;
	readonly what: string;
	/** Since the step before, at least; undefined for the first. */
	readonly tookMs: number | undefined;
}

interface Mark {
	readonly at: string | undefined | null;
	readonly what: string;
}

/** Told by the objects themselves, or of no news once it is over. */
const untold = new Set([
	'Bound',
	'CloneSucceeded',
	'ImportSucceeded',
	'CreatedPVCPrimeSuccessfully',
	'ExternalProvisioning',
]);

function marksOf({dataVolume, observed, events, caches}: Sight): Mark[] {
	const {claim, clone, volume} = observed;
	const made = (object: KubeObject | undefined, what: string): Mark => ({at: object?.metadata.creationTimestamp, what});
	const condition = (type: string, what: string): Mark[] => {
		const {status, lastTransitionTime: at} = findCondition(dataVolume.status?.conditions, type) ?? {};
		return status === 'True' ? [{at, what}] : [];
	};
	const {serving, shared} = clone ?? {};
	const snapshotName = claim?.spec.dataSource?.kind === 'VolumeSnapshot' ? claim.spec.dataSource.name : undefined;
	const named = serving?.state === 'ready' ? serving.snapshotName : snapshotName;
	const namespaces = [shared?.spec.source.namespace, dataVolume.metadata.namespace];
	const snapshots = [...new Set(namespaces)].flatMap((namespace) => {
		const snapshot = named && caches.store(resources.volumeSnapshots).get(namespace, named);
		return snapshot ? [made(snapshot, `VolumeSnapshot ${namespace}/${named} made`)] : [];
	});
	return [
		{at: dataVolume.metadata.creationTimestamp, what: 'asked for'},
		made(shared, `SharedSnapshot ${shared?.metadata.name} opened`),
		...snapshots,
		made(claim, `claim ${claim?.metadata.name} made`),
		made(volume, `volume ${volume?.metadata.name} made by the storage`),
		...condition('Bound', `claim ${claim?.metadata.name} bound`),
		...condition('Ready', 'ready'),
		...events
			.filter(({reason = ''}) => !untold.has(reason))
			// Within one second, in the order in which they were written.
			.toSorted((a, b) => compareResourceVersions(a.metadata.resourceVersion ?? '', b.metadata.resourceVersion ?? ''))
			.map((event) => ({at: seenAt(event), what: `${event.reason}: ${event.message}${times(event)}`})),
	];
}

function seenAt({firstTimestamp, eventTime, metadata}: Event): string | undefined {
	return firstTimestamp ?? eventTime ?? metadata.creationTimestamp;
}

function times({count, series}: Event): string {
	const seen = series?.count ?? count ?? 1;
	return seen > 1 ? ` (${seen} times)` : '';
}

/** What was there before the DataVolume belongs to an earlier story, and is in the words about its snapshot. */
export function stepsOf(sight: Sight): readonly Step[] {
	const beganMs = Date.parse(sight.dataVolume.metadata.creationTimestamp ?? '');
	const known = marksOf(sight)
		.map(({at, what}) => ({atMs: Date.parse(at ?? ''), what}))
		.filter(({atMs}) => atMs >= beganMs)
		.toSorted((a, b) => a.atMs - b.atMs);
	return known.map(({atMs, what}, index) => {
		const before = known[index - 1];
		return {atMs, what, tookMs: before && atMs - before.atMs};
	});
}
