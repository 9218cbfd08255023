/** Everything that the life of one source's shared snapshots depends on, read from the caches into one value. */
import type {KubeObject, PersistentVolumeClaim} from '../api/kubernetes.ts';
import {labels, stripeName, stripeNumber} from '../api/names.ts';
import type {ContentKey, SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {VolumeSnapshot, VolumeSnapshotClass, VolumeSnapshotContent} from '../api/snapshot.ts';
import type {Caches} from '../kube/caches.ts';
import * as resources from '../kube/resources.ts';
import type {Index} from '../kube/store.ts';
import {volumeOf} from '../kube/volume-of.ts';
import {type DriverPolicy, driverPolicy} from './driver-policy.ts';
import type {AliasPlace} from './objects.ts';
import {aliasContentName} from './objects.ts';
import type {LastUse} from './last-use.ts';
import type {LostSnapshots} from './lost-snapshots.ts';
import type {AssignedRequest, CloneRequests, WaitingRequest, WaitingRequests} from './requests.ts';
import {assignmentTo, sourceKey} from './requests.ts';
import {contentOf, type Life, lifeOf, type Stripe} from './sharing.ts';
import {chooseSnapshotClass} from './snapshot-class.ts';
import type {WriterWatch} from './writer-watch.ts';

export interface Alias extends Stripe {
	readonly place: AliasPlace;
	/** The content by its derived name; `content` only if it is bound to `snapshot`. */
	readonly madeContent: VolumeSnapshotContent | undefined;
}

export interface ObservedShared {
	readonly object: SharedSnapshot;
	readonly life: Life;
	readonly stripes: readonly Stripe[];
	readonly aliases: readonly Alias[];
	/** Contents of its stripes whose VolumeSnapshots are gone. */
	readonly strays: readonly VolumeSnapshotContent[];
	/** Assigned to it, the newest assignments included even where the cache does not show them yet. */
	readonly requests: readonly AssignedRequest[];
	/** What the provisioner said when it found that the storage has it no more. */
	readonly lost: string | undefined;
	/** See Quiet in rules.ts. */
	readonly undisturbed: boolean;
	/** Since a request was last open. */
	readonly idleMs: number;
	/** Volumes restored from it, where the storage does not delete it before they are gone. */
	readonly dependents: number;
}

export interface Observed {
	/** namespace/name of the source claim. */
	readonly key: string;
	readonly claim: PersistentVolumeClaim | undefined;
	/** Undefined while the claim is missing, not bound or not on a CSI volume. */
	readonly content: ContentKey | undefined;
	readonly snapshotClassName: string | undefined;
	/** Every VolumeSnapshotClass there is. */
	readonly snapshotClasses: ReadonlySet<string>;
	readonly policy: DriverPolicy;
	/** Of this source, whatever its content; oldest first. */
	readonly shared: readonly ObservedShared[];
	/** Aliases that were refused a moment ago, by a quota for example: the others need not wait for them. */
	readonly refusedAliases: ReadonlySet<string>;
	/** Ask for an assignment. */
	readonly waiting: readonly WaitingRequest[];
	/** The Pod watch can be asked how far it has come; and which requests it has passed. */
	readonly barrier: {readonly available: boolean; readonly passed: number};
	/** One that is kept for later requests on the strength of rule WatchedQuiet goes after this time without any. */
	readonly idleLimitMs: number;
	/** Milliseconds until the storage takes another cut of this source; 0 where it does now. */
	readonly cutPauseMs: number;
}

export interface ObserveContext {
	readonly caches: Caches;
	readonly requests: CloneRequests;
	readonly waiting: WaitingRequests;
	readonly refusedAliases?: ReadonlySet<string>;
	readonly lost?: LostSnapshots;
	readonly quiet?: Pick<WriterWatch, 'isUndisturbed'>;
	readonly barrier?: {readonly available: boolean; readonly passed: number};
	readonly lastUse?: LastUse;
	readonly idleLimitMs?: number;
	/** Milliseconds since 1970. */
	readonly nowMs?: number;
}

export const sharedBySource: Index<SharedSnapshot> = {
	name: 'source',
	keys: (shared) => [sourceKey(shared.spec.source)],
};

export const sharedByUid: Index<SharedSnapshot> = {
	name: 'uid',
	keys: (shared) => [shared.metadata.uid ?? ''],
};

/** Of the SharedSnapshot that a stripe or an alias belongs to, or did; empty for anything else. */
export function sharedUidsOf({metadata}: KubeObject): string[] {
	const uid = metadata.labels?.[labels.sharedSnapshotUid];
	return uid ? [uid] : [];
}

const byShared = {name: 'sharedSnapshot', keys: sharedUidsOf};
export const snapshotByShared: Index<VolumeSnapshot> = byShared;
export const contentByShared: Index<VolumeSnapshotContent> = byShared;

/** Claims by the snapshot that they are restored from. */
const claimsBySnapshot: Index<PersistentVolumeClaim> = {
	name: 'snapshot',
	keys: ({spec}) => (spec.dataSource?.kind === 'VolumeSnapshot' ? [spec.dataSource.name] : []),
};

/** What {@link observe} looks things up by. */
export function addSharingIndexes(caches: Caches): void {
	caches.addIndex(resources.sharedSnapshots, sharedBySource);
	caches.addIndex(resources.sharedSnapshots, sharedByUid);
	caches.addIndex(resources.volumeSnapshots, snapshotByShared);
	caches.addIndex(resources.volumeSnapshotContents, contentByShared);
	caches.addIndex(resources.persistentVolumeClaims, claimsBySnapshot);
}

export function stripesOf(caches: Caches, shared: SharedSnapshot): Stripe[] {
	const uid = shared.metadata.uid ?? '';
	return Array.from({length: shared.spec.stripes}, (_, stripe) => {
		const snapshot = caches.store(resources.volumeSnapshots).get(shared.spec.source.namespace, stripeName(uid, stripe));
		if (!snapshot) return {snapshot, content: undefined};
		const contentName = snapshot.status?.boundVolumeSnapshotContentName ?? contentNameOf(snapshot);
		return {snapshot, content: caches.store(resources.volumeSnapshotContents).get(undefined, contentName)};
	});
}

/** The snapshotter's name for it: the content is there before the snapshot says that it is bound. */
function contentNameOf({metadata}: VolumeSnapshot): string {
	return `snapcontent-${metadata.uid}`;
}

/** Our label is on a stripe's content since it was protected. */
export function straysOf(caches: Caches, shared: SharedSnapshot): VolumeSnapshotContent[] {
	return caches
		.store(resources.volumeSnapshotContents)
		.byIndex(contentByShared.name, shared.metadata.uid ?? '')
		.filter(
			({
				spec: {
					source,
					volumeSnapshotRef: {namespace, name = '', uid},
				},
			}) => {
				const isAlias = source.volumeHandle === undefined;
				return !isAlias && caches.store(resources.volumeSnapshots).get(namespace, name)?.metadata.uid !== uid;
			},
		);
}

/** Every alias of which a snapshot or a content exists, found by label: also those that nobody asks for any more. */
export function aliasesOf(caches: Caches, shared: SharedSnapshot): Alias[] {
	const uid = shared.metadata.uid ?? '';
	const places = new Map<string, AliasPlace>();
	const add = (namespace: string | undefined, name = '') => {
		const stripe = stripeNumber(uid, name);
		if (!namespace || namespace === shared.spec.source.namespace || stripe === undefined) return;
		places.set(`${namespace}/${name}`, {namespace, stripe});
	};
	for (const snapshot of caches.store(resources.volumeSnapshots).byIndex(snapshotByShared.name, uid)) {
		add(snapshot.metadata.namespace, snapshot.metadata.name);
	}
	for (const content of caches.store(resources.volumeSnapshotContents).byIndex(contentByShared.name, uid)) {
		add(content.spec.volumeSnapshotRef.namespace, content.spec.volumeSnapshotRef.name);
	}
	return [...places.values()].map((place) => observeAlias(caches, shared, place));
}

export function observeAlias(caches: Caches, shared: SharedSnapshot, place: AliasPlace): Alias {
	const name = stripeName(shared.metadata.uid ?? '', place.stripe);
	const snapshot = caches.store(resources.volumeSnapshots).get(place.namespace, name);
	const madeContent = caches.store(resources.volumeSnapshotContents).get(undefined, aliasContentName(shared, place));
	const bound =
		snapshot !== undefined &&
		madeContent !== undefined &&
		snapshot.status?.boundVolumeSnapshotContentName === madeContent.metadata.name &&
		madeContent.spec.volumeSnapshotRef.uid === snapshot.metadata.uid;
	return {place, snapshot, madeContent, content: bound ? madeContent : undefined};
}

function observeShared(context: ObserveContext, shared: SharedSnapshot, policy: DriverPolicy): ObservedShared {
	const {caches, lost, quiet, lastUse} = context;
	const stripes = stripesOf(caches, shared);
	const requests = requestsOf(context.requests, context.waiting, shared);
	const lostMessage = lost?.messageOf(shared.metadata.uid ?? '');
	const isUsed = requests.some(({state}) => state === 'open');
	return {
		object: shared,
		life: lifeOf(shared, stripes, lostMessage !== undefined),
		stripes,
		aliases: aliasesOf(caches, shared),
		strays: straysOf(caches, shared),
		requests,
		lost: lostMessage,
		undisturbed: quiet?.isUndisturbed(shared) === true,
		idleMs: lastUse?.idleMs(shared.metadata.uid ?? '', isUsed) ?? 0,
		dependents: policy.clonesDependOnSnapshot ? dependentsOf(caches, shared) : 0,
	};
}

/** Stripes and aliases have one name, so all namespaces are in it. */
function dependentsOf(caches: Caches, shared: SharedSnapshot): number {
	return Array.from({length: shared.spec.stripes}, (_, stripe) =>
		caches
			.store(resources.persistentVolumeClaims)
			.byIndex(claimsBySnapshot.name, stripeName(shared.metadata.uid ?? '', stripe)),
	).flat().length;
}

/** Cuts that are still there tell when the last one was made; that of one that is gone is not asked for again soon. */
function cutPauseMs(shared: readonly ObservedShared[], {secondsBetweenCuts}: DriverPolicy, nowMs: number): number {
	const cuts = shared.flatMap(({stripes}) =>
		stripes.flatMap(({snapshot}) => (snapshot ? [Date.parse(snapshot.metadata.creationTimestamp ?? '')] : [])),
	);
	return Math.max(0, Math.max(0, ...cuts) + secondsBetweenCuts * 1000 - nowMs);
}

function requestsOf(requests: CloneRequests, waiting: WaitingRequests, shared: SharedSnapshot): AssignedRequest[] {
	const assignment = assignmentTo(shared);
	const inCache = requests.assignedTo(assignment);
	for (const {uid} of inCache) waiting.confirm(uid, assignment);
	const late = waiting.unconfirmed(assignment).map((request) => ({...request, state: 'open' as const}));
	return [...inCache, ...late];
}

/** Generations of one content are numbered, so the name decides between those of one second. */
function byAge(a: SharedSnapshot, b: SharedSnapshot): number {
	const time = (a.metadata.creationTimestamp ?? '').localeCompare(b.metadata.creationTimestamp ?? '');
	return time === 0 ? a.metadata.name.localeCompare(b.metadata.name, 'en', {numeric: true}) : time;
}

/** One for all clones of a source: the profile of its own class may name it, whatever classes the clones are of. */
export function snapshotClassFor(
	caches: Pick<Caches, 'store'>,
	source: PersistentVolumeClaim | undefined,
	driver: string | undefined,
): VolumeSnapshotClass | undefined {
	const profile = caches.store(resources.storageProfiles).get(undefined, source?.spec.storageClassName ?? '');
	const classes = caches.store(resources.volumeSnapshotClasses).list();
	return chooseSnapshotClass(classes, driver, profile?.spec.snapshotClass);
}

export function observe(key: string, context: ObserveContext): Observed {
	const {caches, waiting, refusedAliases = new Set()} = context;
	const [namespace = '', name = ''] = key.split('/', 2);
	const claim = caches.store(resources.persistentVolumeClaims).get(namespace, name);
	const volume = volumeOf(caches, claim);
	const content = contentOf(claim, volume);
	const className = claim?.spec.storageClassName;
	const storageClass = className ? caches.store(resources.storageClasses).get(undefined, className) : undefined;
	const classes = caches.store(resources.volumeSnapshotClasses).list();
	const snapshotClass = snapshotClassFor(caches, claim, content?.driver);
	const shared = caches
		.store(resources.sharedSnapshots)
		.byIndex(sharedBySource.name, key)
		.toSorted(byAge)
		.map((object) => observeShared(context, object, driverPolicy(object.spec.content.driver, storageClass)));
	const policy = driverPolicy(content?.driver ?? '', storageClass);
	return {
		key,
		claim,
		content,
		snapshotClassName: snapshotClass?.metadata.name,
		snapshotClasses: new Set(classes.map(({metadata}) => metadata.name)),
		policy,
		shared,
		refusedAliases,
		waiting: waiting.of(key),
		barrier: context.barrier ?? {available: false, passed: 0},
		idleLimitMs: context.idleLimitMs ?? 0,
		cutPauseMs: cutPauseMs(shared, policy, context.nowMs ?? 0),
	};
}
