/** What the DataVolume controller observes, for tests of what it decides and reports. */
import type {DataVolume} from '../../src/api/datavolume.ts';
import {annotations} from '../../src/api/names.ts';
import {parseSource} from '../../src/api/source.ts';
import {type Observed, defaultDeadlines} from '../../src/datavolume/observe.ts';
import type {ObservedClone} from '../../src/datavolume/observe-clone.ts';
import {nothingGivenUp} from '../../src/datavolume/gave-up.ts';
import {isRenderProblem, type RenderFacts, renderClaim} from '../../src/datavolume/render.ts';
import {defaultPolicy} from '../../src/smartclone/driver-policy.ts';
import {plainSets, storageClass} from './builders.ts';

/** Classes whose disks one node may use, and whose file systems need nothing for themselves. */
export const plainClasses: Pick<RenderFacts, 'overheadOf' | 'profileOf'> = {
	overheadOf: () => 0,
	profileOf: () => ({claimPropertySets: plainSets, minimumSize: undefined}),
};

/** A clone of images/golden, by snapshot, that has no snapshot yet. */
export function observedClone(given: Partial<ObservedClone> = {}): ObservedClone {
	return {
		origin: {kind: 'PersistentVolumeClaim', namespace: 'images', name: 'golden'},
		problem: undefined,
		decision: {way: 'snapshot', route: 'restore', declined: []},
		serving: {state: 'none'},
		shared: undefined,
		snapshot: undefined,
		minimumBytes: 0n,
		policy: defaultPolicy,
		gaveUp: nothingGivenUp,
		writers: [],
		inherits: {},
		wantsQuiet: false,
		...given,
	};
}

/** Of a DataVolume for which nothing was made yet, and with which nobody has trouble. Its class is the cluster's default. */
export function observedDataVolume(of: DataVolume, given: Partial<Observed> = {}): Observed {
	const storageClasses = [storageClass({annotations: {[annotations.defaultStorageClass]: 'true'}})];
	const {rendered = renderClaim(of, {storageClasses, ...plainClasses})} = given;
	return {
		key: 'ns/disk',
		now: '2026-01-01T00:01:00Z',
		nowMs: Date.parse('2026-01-01T00:01:00Z'),
		deadlines: defaultDeadlines,
		dataVolume: of,
		source: parseSource(of),
		reference: undefined,
		claim: undefined,
		volume: undefined,
		rendered,
		bindsAtOnce: false,
		claimClass: isRenderProblem(rendered) ? undefined : rendered.storageClass,
		adoptsByDefault: false,
		staticVolume: undefined,
		clone: undefined,
		measuring: undefined,
		population: undefined,
		percent: undefined,
		making: undefined,
		happened: undefined,
		importSource: undefined,
		cloneSource: undefined,
		cloneSourceAtClaim: undefined,
		inPlace: false,
		orphanSources: [],
		node: undefined,
		namespaceLeaves: false,
		snapshotLost: false,
		...given,
	};
}
