/**
 * `spec.sourceRef`: a DataSource says what is cloned, and may say something else tomorrow. Pure.
 *
 * What it said is written on the DataVolume before anything is made of it, and counts from then on: a clone in flight is
 * not begun anew because the DataSource moves. Until then it is looked up in every round, never written to the spec.
 *
 * Admission cannot look into a DataSource. It asks whether the user may clone everything of the DataSource's namespace, and
 * nothing else is followed: a DataSource leads to its own namespace or to the DataVolume's, whoever edits it and whenever
 * (docs/adr/0020-clones-through-a-datasource.md). So it is with the record: the policy asks the same of whoever writes it.
 */
import type {DataVolume, ObjectSource} from '../api/datavolume.ts';
import {annotations} from '../api/names.ts';
import type {SourceReference} from '../api/source.ts';
import {type CloneableSource, isResolveProblem, type Resolution} from '../datasource/resolve.ts';
import type {CloneProblem} from './observe-clone.ts';

export interface ObservedReference {
	/** The DataSource. */
	readonly to: {readonly namespace: string; readonly name: string};
	/** Labels that the DataVolume has from the DataSource: before those of what is cloned. */
	readonly inherits: Readonly<Record<string, string>>;
	/** What is written on the DataVolume, unless that is gone and nothing was made of it. */
	readonly recorded: CloneableSource | undefined;
	/** What the DataSource says now, or why that cannot be cloned. */
	readonly now: CloneableSource | CloneProblem;
}

const kinds = {pvc: 'PersistentVolumeClaim', snapshot: 'VolumeSnapshot'} as const;

function objectOf(source: CloneableSource): ObjectSource {
	return source.kind === 'pvc' ? source.pvc : source.snapshot;
}

/** `uid/Kind/namespace/name`; admission reads the namespace out of it. */
export function formatRecord(uid: string, source: CloneableSource): string {
	const {namespace, name} = objectOf(source);
	return [uid, kinds[source.kind], namespace, name].join('/');
}

/** Where a DataSource of this namespace may lead for this DataVolume. */
function isWithinReach(
	source: CloneableSource,
	dataVolume: DataVolume,
	dataSourceNamespace: string | undefined,
): boolean {
	const {namespace} = objectOf(source);
	return namespace === dataVolume.metadata.namespace || namespace === dataSourceNamespace;
}

/**
 * What the DataVolume is made from by its own record. One that was made from another one's YAML carries that one's along,
 * and users can write there too: it counts for the UID that is in it, and for what the reference could have led to.
 */
export function recordedSource(dataVolume: DataVolume): CloneableSource | undefined {
	const {metadata, spec} = dataVolume;
	if (!spec.sourceRef) return undefined;
	const [uid, kind, namespace, name, ...more] = (metadata.annotations?.[annotations.resolvedSource] ?? '').split('/');
	if (uid === '' || uid !== metadata.uid || !namespace || !name || more.length > 0) return undefined;
	const object = {namespace, name};
	const source: CloneableSource | undefined =
		kind === kinds.pvc
			? {kind: 'pvc', pvc: object}
			: kind === kinds.snapshot
				? {kind: 'snapshot', snapshot: object}
				: undefined;
	return source && isWithinReach(source, dataVolume, spec.sourceRef.namespace || metadata.namespace)
		? source
		: undefined;
}

/** What is cloned, as far as the DataVolume itself says it: in its spec, or in its record. */
export function cloneSourceOf(dataVolume: DataVolume): {
	readonly pvc?: ObjectSource;
	readonly snapshot?: ObjectSource;
} {
	return dataVolume.spec.source ?? recordedSource(dataVolume) ?? {};
}

export function isSameSource(a: CloneableSource, b: CloneableSource): boolean {
	const [mine, other] = [objectOf(a), objectOf(b)];
	return a.kind === b.kind && mine.namespace === other.namespace && mine.name === other.name;
}

export function isProblem(now: CloneableSource | CloneProblem): now is CloneProblem {
	return 'reason' in now;
}

/** @param resolution of the DataSource; undefined while it does not exist. */
export function followReference(
	dataVolume: DataVolume,
	{namespace, name}: SourceReference,
	resolution: Resolution | undefined,
): CloneableSource | CloneProblem {
	const reference = `DataSource ${namespace}/${name}`;
	if (!resolution) return {reason: 'CloneWithoutSource', message: `The ${reference} doesn't exist`};
	if (isResolveProblem(resolution)) {
		return {reason: 'CloneWithoutSource', message: `The ${reference} leads to no source: ${resolution.message}`};
	}
	if (isWithinReach(resolution, dataVolume, namespace)) return resolution;
	const target = objectOf(resolution);
	return {
		reason: 'CloneNotAuthorized',
		message: `The ${reference} leads to ${kinds[resolution.kind]} ${target.namespace}/${target.name}, and nobody could ask whether you may clone from namespace ${target.namespace}: create the DataVolume again with that in spec.source, where admission asks`,
	};
}
