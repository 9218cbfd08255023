/**
 * Aliases: a shared snapshot as seen in another namespace, made once per stripe and namespace whatever the number of clones
 * there, and removed when no restore there is open. All of one round are made or removed together. Pure.
 *
 * Nothing counts references to a snapshot in the storage: deleting one content with policy Delete would take it from under
 * all others. So an alias has policy Retain from its first moment to its last, and none is made before the original is
 * protected (policy Retain too, see sharing.ts), which holds until the last alias is gone.
 */
import {annotations, stripeName} from '../api/names.ts';
import type {SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {VolumeSnapshot, VolumeSnapshotContent} from '../api/snapshot.ts';
import {type AliasPlace, makeAliasContent, makeAliasSnapshot} from './objects.ts';
import type {Alias, ObservedShared} from './observe.ts';
import {isHeld, isProtected, stripeOf} from './sharing.ts';

export interface NewAlias {
	readonly place: AliasPlace;
	/** Undefined where it is there already. */
	readonly content: VolumeSnapshotContent | undefined;
	readonly snapshot: VolumeSnapshot | undefined;
}

export type AliasPlan =
	| {readonly do: 'createAliases'; readonly shared: SharedSnapshot; readonly aliases: readonly NewAlias[]}
	| {
			readonly do: 'removeAliases';
			readonly shared: SharedSnapshot;
			readonly snapshots: readonly VolumeSnapshot[];
			readonly contents: readonly VolumeSnapshotContent[];
	  };

/** Identifies an alias among those of all shared snapshots. */
export function aliasKey(shared: SharedSnapshot, place: AliasPlace): string {
	return `${place.namespace}/${stripeName(shared.metadata.uid ?? '', place.stripe)}`;
}

/** The namespaces other than the source's in which a restore is open, with the stripe that each request is served from. */
function wantedAliases(shared: ObservedShared): Map<string, AliasPlace> {
	const {object, requests, stripes} = shared;
	const places = new Map<string, AliasPlace>();
	if (shared.lost !== undefined) return places;
	for (const {state, restoresIn: namespace, uid} of requests) {
		if (state !== 'open' || namespace === object.spec.source.namespace) continue;
		const place = {namespace, stripe: stripeOf(uid, object.spec.stripes)};
		const original = stripes[place.stripe];
		// Of a snapshot that was deleted or lost, an alias is worth nothing.
		if (original && isHeld(object, original)) places.set(aliasKey(object, place), place);
	}
	return places;
}

function isLeaving({snapshot, madeContent}: Alias): boolean {
	return (snapshot?.metadata.deletionTimestamp ?? madeContent?.metadata.deletionTimestamp) !== undefined;
}

/** A content that was bound to another snapshot of that name never binds again. */
function isMisbound({snapshot, madeContent}: Alias): boolean {
	const boundTo = madeContent?.spec.volumeSnapshotRef.uid;
	return snapshot !== undefined && boundTo !== undefined && boundTo !== snapshot.metadata.uid;
}

/** The snapshot before its content: a content waits for its snapshot anyway. */
function removalOf(
	aliases: readonly Alias[],
): Pick<Extract<AliasPlan, {do: 'removeAliases'}>, 'snapshots' | 'contents'> {
	return {
		snapshots: aliases
			.filter((alias) => !isMisbound(alias))
			.flatMap(({snapshot}) => (snapshot && !snapshot.metadata.deletionTimestamp ? [snapshot] : [])),
		contents: aliases
			.filter((alias) => !alias.snapshot || isMisbound(alias))
			.flatMap(({madeContent}) =>
				madeContent && (!madeContent.metadata.deletionTimestamp || isUntold(madeContent)) ? [madeContent] : [],
			),
	};
}

/**
 * The sidecar lets go of a content that was bound once it is told of the end of its VolumeSnapshot. The snapshot-controller
 * does not tell it of one that ended before it said itself that it was bound.
 */
export function isUntold({metadata, spec}: VolumeSnapshotContent): boolean {
	return (
		spec.volumeSnapshotRef.uid !== undefined && metadata.annotations?.[annotations.snapshotBeingDeleted] === undefined
	);
}

function creationOf(shared: ObservedShared, place: AliasPlace, alias: Alias | undefined): NewAlias[] {
	const {object, stripes} = shared;
	const original = stripes[place.stripe];
	if (!original?.content || !isProtected(object, original)) return [];
	if (alias && (isLeaving(alias) || isMisbound(alias))) return [];
	// Also where the content says that it is bound: the two are watched apart, and creating again what is there harms nothing.
	if (alias?.madeContent && alias.snapshot) return [];
	return [
		{
			place,
			content: alias?.madeContent ? undefined : makeAliasContent(object, place, original.content),
			snapshot: alias?.snapshot ? undefined : makeAliasSnapshot(object, place),
		},
	];
}

/** @param refused aliases that the API server did not take a moment ago; the others need not wait for them. */
export function tendAliases(shared: ObservedShared, refused: ReadonlySet<string>): AliasPlan | undefined {
	const {object, aliases} = shared;
	const wanted = wantedAliases(shared);
	const byKey = new Map(aliases.map((alias) => [aliasKey(object, alias.place), alias]));
	const removal = removalOf(
		[...byKey].flatMap(([key, alias]) => (!wanted.has(key) || isLeaving(alias) || isMisbound(alias) ? [alias] : [])),
	);
	if (removal.snapshots.length + removal.contents.length > 0) return {do: 'removeAliases', shared: object, ...removal};
	const creation = [...wanted].flatMap(([key, place]) =>
		refused.has(key) ? [] : creationOf(shared, place, byKey.get(key)),
	);
	return creation.length > 0 ? {do: 'createAliases', shared: object, aliases: creation} : undefined;
}
