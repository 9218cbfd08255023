/** What storages do worse than ours, one row a switch; every row is tried alone and with every other one. */
import type {FaultSet} from '../cluster/csi/faults.ts';

export interface FaultSwitch {
	readonly name: string;
	/** What the storage does about the golden volume. `lost` is the snapshot that clones were restored from before. */
	readonly faults: (lost: readonly string[]) => FaultSet;
	/** Set for the whole driver in place of `faults`: its cases are run together, after the others. */
	readonly wholeDriver?: 'noListSnapshots';
	/** What there is before the switch is set: a clone, or a VolumeSnapshot of a user's. */
	readonly before?: 'clone' | 'snapshot';
	/** The clones are larger than their source. */
	readonly larger?: true;
	/** No snapshot can serve, so the clones go another way and give a reason that matches. */
	readonly prevents?: RegExp;
	/** No snapshot can be cut either. */
	readonly preventsCut?: true;
	/** The storage says that it is busy, and never ends to be. */
	readonly lasts?: true;
	/** That no call meets the switch is no failure: it depends on the speed of the machine, or no call shows it. */
	readonly mayBeMissed?: true;
	/** The golden disk goes first, and the storage has refused to delete its snapshot before the clones go. */
	readonly goldenFirst?: true;
}

const cut = {method: 'CreateSnapshot'} as const;
const restore = {method: 'CreateVolume', source: 'snapshot'} as const;

const switches: readonly FaultSwitch[] = [
	{
		name: 'cut fails twice',
		faults: () => ({fail: [{...cut, code: 'UNAVAILABLE', times: 2}]}),
	},
	{
		name: 'cut is done, its answer lost',
		faults: () => ({fail: [{...cut, code: 'DEADLINE_EXCEEDED', when: 'after', times: 2}]}),
	},
	{
		name: 'cut always refused',
		faults: () => ({fail: [{...cut, code: 'INVALID_ARGUMENT', message: 'no cut here', times: 'always'}]}),
		prevents: /no cut here/,
		preventsCut: true,
	},
	{
		name: 'restore fails twice',
		faults: () => ({fail: [{...restore, code: 'UNAVAILABLE', times: 2}]}),
	},
	{
		name: 'restore is done, its answer lost',
		faults: () => ({fail: [{...restore, code: 'DEADLINE_EXCEEDED', when: 'after', times: 2}]}),
	},
	{
		name: 'restore always refused',
		faults: () => ({fail: [{...restore, code: 'INVALID_ARGUMENT', message: 'no restore here', times: 'always'}]}),
		prevents: /no restore here/,
	},
	{
		name: 'restores start late, cuts answer late',
		faults: () => ({
			delay: [
				{...restore, times: 'always', ms: 1000},
				{...cut, when: 'after', times: 'always', ms: 1000},
			],
		}),
	},
	{name: 'cut takes 2 s', faults: () => ({cutMs: 2000})},
	{name: 'ready 3 s after the cut', faults: () => ({notReadyMs: 3000})},
	{name: 'no restoreSize', faults: () => ({noRestoreSize: true})},
	{name: 'no ListSnapshots', faults: () => ({}), wholeDriver: 'noListSnapshots', mayBeMissed: true},
	{name: 'restores of equal size only', faults: () => ({equalSizeRestore: true}), larger: true},
	{
		name: 'no room for a snapshot',
		faults: () => ({maxSnapshots: 1}),
		before: 'snapshot',
		prevents: /can have 1 snapshots/,
		lasts: true,
		preventsCut: true,
	},
	{name: '10 s between cuts', faults: () => ({betweenCutsMs: 10_000}), before: 'snapshot', mayBeMissed: true},
	{name: 'restore locks its snapshot', faults: () => ({restoreLockMs: 500})},
	{name: 'snapshot vanished', faults: (lost) => ({vanished: [...lost]}), before: 'clone'},
	{
		name: 'deletions fail twice',
		faults: () => ({
			fail: [
				{method: 'DeleteSnapshot', code: 'INTERNAL', times: 2},
				{method: 'DeleteVolume', code: 'INTERNAL', times: 2},
			],
		}),
	},
	{name: 'clones depend on their snapshot', faults: () => ({clonesDepend: true}), goldenFirst: true},
];

/** One switch, or two at the same time. */
export type FaultCase = readonly FaultSwitch[];

export const singles: readonly FaultCase[] = switches.map((each) => [each]);

export const pairs: readonly FaultCase[] = switches.flatMap((first, index) =>
	switches.slice(index + 1).map((second) => [first, second]),
);

export function nameOf(faultCase: FaultCase): string {
	return faultCase.map(({name}) => name).join(' + ');
}

/** The switches of a case joined: lists are appended, of anything else each switch has its own. */
export function faultsOfCase(faultCase: FaultCase, lost: readonly string[]): FaultSet {
	const sets = faultCase.map(({faults}) => faults(lost));
	const fail = sets.flatMap((set) => set.fail ?? []);
	const delay = sets.flatMap((set) => set.delay ?? []);
	return {...Object.assign({}, ...sets), ...(fail.length > 0 && {fail}), ...(delay.length > 0 && {delay})};
}

/** One for all clones; where there is a clone before, the one it was restored from as well. */
export function mostCuts(faultCase: FaultCase): number {
	const earlier = faultCase.some(({before}) => before === 'clone') ? 1 : 0;
	return earlier + (faultCase.some(({preventsCut}) => preventsCut) ? 0 : 1);
}
