/** What the DataVolume controller observes, for tests of what it decides and reports. */
import {type Observed, defaultDeadlines} from '../../src/datavolume/observe.ts';
import type {ObservedClone} from '../../src/datavolume/observe-clone.ts';
import {nothingGivenUp} from '../../src/datavolume/gave-up.ts';
import {defaultPolicy} from '../../src/smartclone/driver-policy.ts';

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
		wantsQuiet: false,
		...given,
	};
}

/** Nothing that the storage has trouble with. */
export const noTrouble: Pick<Observed, 'making' | 'happened' | 'nowMs' | 'deadlines'> = {
	making: undefined,
	happened: undefined,
	nowMs: Date.parse('2026-01-01T00:01:00Z'),
	deadlines: defaultDeadlines,
};
