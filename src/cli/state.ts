/** What a DataVolume's status comes down to, for a line of text. Pure. */
import {findCondition} from '../api/conditions.ts';
import type {DataVolume, DataVolumePhase} from '../api/datavolume.ts';
import {annotations} from '../api/names.ts';
import {shownUrl} from './shown-url.ts';

export interface HeldUp {
	readonly reason: string;
	readonly message: string;
}

/** Every disk goes through these; they say nothing of this one. */
const passing = new Set(['', 'Pending', 'NotFound', 'Bound', 'Completed', 'Populator is running', 'Pod is running']);

/** Why it is not ready, where its conditions say more than its phase. */
export function heldUpBy({status}: DataVolume): HeldUp | undefined {
	if (status?.phase === 'Succeeded') return undefined;
	for (const type of ['Bound', 'Running']) {
		const {reason = '', message = '', status: isTrue} = findCondition(status?.conditions, type) ?? {};
		if (isTrue !== 'True' && !passing.has(reason)) return {reason, message};
	}
	return undefined;
}

/** 0 to 100; undefined where nobody counts. */
export function percentOf({status}: DataVolume): number | undefined {
	const [, digits] = /^(\d+(?:\.\d+)?)%$/.exec(status?.progress ?? '') ?? [];
	return digits === undefined ? undefined : Number(digits);
}

/** Nothing more is made before somebody uses the disk. */
export const consumerPhases: ReadonlySet<DataVolumePhase> = new Set(['PendingPopulation', 'WaitForFirstConsumer']);

export function sourceOf({spec, metadata}: DataVolume): string {
	const {source, sourceRef} = spec;
	if (sourceRef) return `${sourceRef.kind} ${sourceRef.namespace ?? metadata.namespace}/${sourceRef.name}`;
	if (source?.http) return shownUrl(source.http.url);
	if (source?.pvc) return `pvc ${source.pvc.namespace}/${source.pvc.name}`;
	if (source?.snapshot) return `snapshot ${source.snapshot.namespace}/${source.snapshot.name}`;
	return Object.keys(source ?? {})[0] ?? 'its own dataSource';
}

/** The way that it goes or went, in a word or two. */
export function wayOf({metadata, spec}: DataVolume): string {
	const {[annotations.cloneType]: way, [annotations.reuseRule]: rule} = metadata.annotations ?? {};
	if (way === 'snapshot') return rule ? `snapshot (${rule})` : way;
	if (way !== undefined) return way;
	if (spec.source?.http) return 'import';
	return spec.source?.blank ? 'blank' : '-';
}

export function askedSizeOf({spec}: DataVolume): string {
	return String((spec.storage ?? spec.pvc)?.resources?.requests?.['storage'] ?? '-');
}
