/** What can happen in the model, and how often: what happens every day often, what happens seldom in bursts of its own. */
import * as fc from 'fast-check';
import {deaths, type WriteFault, writeFaults} from './replica.ts';
import {type DriverFault, driverFaults} from './storage.ts';

export interface ModelOptions {
	readonly stripes: number;
	/** Declared on the source from its first moment; then nobody writes to it. */
	readonly immutable: boolean;
}

/** What a person or a script may delete that is not theirs. */
const deletables = ['snapshot', 'alias', 'content', 'aliasContent', 'shared', 'claim', 'class'] as const;

/** One thing that happens. Indexes pick one of what is there, so that a sequence stays one when it is shortened. */
export type Step =
	/** By reference: of what a DataSource names. */
	| {readonly do: 'request'; readonly namespace: string; readonly byReference?: boolean | undefined}
	/** The DataSource is pointed to the source, or to a claim that does not exist. */
	| {readonly do: 'point'; readonly to: 'source' | 'nowhere'}
	| {readonly do: 'removeRequest'; readonly index: number}
	/** Deleted and made again at once, with the annotations of the one before. */
	| {readonly do: 'replaceRequest'; readonly index: number}
	/** A Pod that may write to the source, by its own claim or by that of a second volume of the same handle. */
	| {readonly do: 'startWriter'; readonly second?: boolean | undefined}
	| {readonly do: 'write'}
	| {readonly do: 'stopWriter'; readonly index: number}
	/** Starts, writes and is gone: only a watch without gaps has seen it. */
	| {readonly do: 'briefWriter'; readonly second?: boolean | undefined}
	| {readonly do: 'declareImmutable'}
	| {readonly do: 'revokeImmutable'}
	| {readonly do: 'grow'}
	| {readonly do: 'replaceSource'}
	| {readonly do: 'removeSource'}
	| {readonly do: 'deleteNamespace'; readonly namespace: string}
	| {readonly do: 'sharing'; readonly fault?: WriteFault | undefined}
	| {readonly do: 'dataVolume'; readonly index: number; readonly fault?: WriteFault | undefined}
	/** One look at one object, or at all. */
	| {readonly do: 'snapshotter'; readonly index?: number | undefined}
	| {readonly do: 'provisioner'}
	/** Garbage collector, namespace controller, kubelet. */
	| {readonly do: 'clusterControllers'}
	| {readonly do: 'deliver'; readonly index: number; readonly standby?: boolean | undefined}
	| {readonly do: 'deliverAll'; readonly standby?: boolean | undefined}
	/** Everybody but the provisioner does one thing: so a sequence gets somewhere, and restores take their time. */
	| {readonly do: 'turn'}
	/** Some time in which nothing special happens, perhaps enough for restores to end. */
	| {readonly do: 'turns'; readonly count: number; readonly restore?: boolean | undefined}
	| {readonly do: 'deleteByHand'; readonly what: (typeof deletables)[number]; readonly index: number}
	/** The history of one watch is lost: a list takes its place, and what came and went in between was never told. */
	| {readonly do: 'gap'; readonly index: number; readonly standby?: boolean | undefined}
	/** The watch of one kind hangs, or goes on. */
	| {readonly do: 'stall'; readonly index: number; readonly standby?: boolean | undefined}
	/** All processes start anew: empty memory, caches listed. */
	| {readonly do: 'restart'}
	/** The other replica leads: it has watched all along, and remembers nothing of what the first one did. */
	| {readonly do: 'failover'}
	/** A write arrives whose process is gone. */
	| {readonly do: 'land'; readonly index: number}
	| {readonly do: 'baseline'; readonly standby?: boolean | undefined}
	| {readonly do: 'driverFault'; readonly fault: DriverFault; readonly times: number}
	/** The storage loses a snapshot, and no object says so. */
	| {readonly do: 'vanish'; readonly index: number}
	| {readonly do: 'time'; readonly ms: number};

type Weighted = fc.WeightedArbitrary<Step>;
const index = fc.nat({max: 7});
const maybe = fc.option(fc.constant(true), {nil: undefined, freq: 3});
const faults = fc.option(fc.constantFrom<WriteFault>(...writeFaults), {nil: undefined, freq: 4});
const anyFault = fc.option(fc.constantFrom<WriteFault>(...writeFaults, ...deaths), {nil: undefined, freq: 4});
const namespaces = fc.constantFrom('ns', 'tenant');

/** Index of one watch, see WatchedCaches.changing. */
const watchOf = (kind: 'sharedSnapshots' | 'pods' | 'dataSources') =>
	fc.constant({sharedSnapshots: 1, pods: 6, dataSources: 8}[kind]);

const step = (weight: number, arbitrary: fc.Arbitrary<Step>): Weighted => ({weight, arbitrary});

/** What happens every day. */
export const everyDay: readonly Weighted[] = [
	step(4, fc.record({do: fc.constant('request'), namespace: namespaces})),
	step(8, fc.record({do: fc.constant('sharing'), fault: anyFault})),
	step(6, fc.record({do: fc.constant('dataVolume'), index, fault: faults})),
	step(6, fc.record({do: fc.constant('deliver'), index, standby: maybe})),
	step(6, fc.record({do: fc.constant('deliverAll'), standby: maybe})),
	step(2, fc.record({do: fc.constant('snapshotter'), index: fc.option(index, {nil: undefined})})),
	step(2, fc.constant({do: 'snapshotter'})),
	step(4, fc.constant({do: 'provisioner'})),
	step(5, fc.constant({do: 'turn'})),
	step(5, fc.record({do: fc.constant('turns'), count: fc.integer({min: 3, max: 9}), restore: maybe})),
	step(1, fc.record({do: fc.constant('removeRequest'), index})),
	step(1, fc.constant({do: 'clusterControllers'})),
	step(1, fc.constant({do: 'restart'})),
	step(1, fc.record({do: fc.constant('stall'), index, standby: maybe})),
];

/** What happens seldom, by theme: a sequence has one or all of them. */
export const themes = {
	writers: [
		step(2, fc.record({do: fc.constant('startWriter')})),
		step(4, fc.constant({do: 'write'})),
		step(2, fc.record({do: fc.constant('stopWriter'), index})),
		step(3, fc.record({do: fc.constant('briefWriter')})),
		step(2, fc.record({do: fc.constant('baseline'), standby: maybe})),
	],
	/** Nearly quiet: what is hard to see is the writer that came and went unseen. */
	quiet: [
		step(4, fc.record({do: fc.constant('stall'), index: watchOf('pods')})),
		step(3, fc.record({do: fc.constant('gap'), index: watchOf('pods')})),
		step(3, fc.constant({do: 'briefWriter'})),
		step(6, fc.record({do: fc.constant('turns'), count: fc.integer({min: 6, max: 9}), restore: maybe})),
		step(2, fc.record({do: fc.constant('baseline'), standby: maybe})),
		step(2, fc.constant({do: 'failover'})),
	],
	/** Requests come faster than restores end. */
	bursts: [
		step(8, fc.record({do: fc.constant('request'), namespace: namespaces})),
		step(8, fc.record({do: fc.constant('turns'), count: fc.integer({min: 4, max: 9})})),
		step(3, fc.constant({do: 'briefWriter'})),
	],
	source: [
		step(2, fc.constant({do: 'grow'})),
		step(2, fc.constant({do: 'replaceSource'})),
		step(1, fc.constant({do: 'removeSource'})),
		step(2, fc.constant({do: 'briefWriter'})),
		step(1, fc.record({do: fc.constant('replaceRequest'), index})),
	],
	references: [
		step(
			8,
			fc.record({do: fc.constant('request'), namespace: namespaces, byReference: fc.constant<true | undefined>(true)}),
		),
		step(6, fc.record({do: fc.constant('point'), to: fc.constantFrom('source', 'source', 'nowhere')})),
		step(4, fc.record({do: fc.constant('stall'), index: watchOf('dataSources')})),
		step(3, fc.constant({do: 'failover'})),
		step(1, fc.constant({do: 'replaceSource'})),
		step(1, fc.constant({do: 'removeSource'})),
		step(2, fc.constant({do: 'briefWriter'})),
		step(1, fc.record({do: fc.constant('replaceRequest'), index})),
	],
	byHand: [
		step(3, fc.record({do: fc.constant('deleteByHand'), what: fc.constantFrom(...deletables), index})),
		step(1, fc.record({do: fc.constant('deleteNamespace'), namespace: namespaces})),
		step(1, fc.constant({do: 'clusterControllers'})),
	],
	declared: [
		step(2, fc.constant({do: 'declareImmutable'})),
		step(1, fc.constant({do: 'revokeImmutable'})),
		step(3, fc.constant({do: 'briefWriter'})),
	],
	failover: [
		step(4, fc.constant({do: 'failover'})),
		step(4, fc.record({do: fc.constant('stall'), index: watchOf('sharedSnapshots'), standby: fc.constant(true)})),
		step(3, fc.record({do: fc.constant('land'), index})),
		step(3, fc.record({do: fc.constant('gap'), index, standby: maybe})),
		step(2, fc.record({do: fc.constant('baseline'), standby: maybe})),
		step(3, fc.constant({do: 'briefWriter'})),
	],
	storage: [
		step(
			5,
			fc.record({
				do: fc.constant('driverFault'),
				fault: fc.constantFrom(...driverFaults),
				times: fc.integer({min: 1, max: 4}),
			}),
		),
		step(1, fc.record({do: fc.constant('vanish'), index})),
		step(1, fc.record({do: fc.constant('time'), ms: fc.constantFrom(3000, 70_000, 700_000)})),
		step(1, fc.constant({do: 'write'})),
		step(1, fc.constant({do: 'startWriter'})),
	],
} as const satisfies Readonly<Record<string, readonly Weighted[]>>;

export type Theme = keyof typeof themes;

/** More of this than of all that is usual would be another world. */
const longest = 60;

export const worlds: fc.Arbitrary<ModelOptions> = fc.record({
	stripes: fc.constantFrom(1, 1, 3),
	immutable: fc.constantFrom(false, false, true),
});

export const sequencesOf = (...steps: readonly Weighted[]): fc.Arbitrary<Step[]> =>
	fc.array(fc.oneof(...steps), {maxLength: longest, size: 'max'});

/** One theme a sequence, or all at once. */
export const anySequence: fc.Arbitrary<Step[]> = fc.oneof(
	...Object.values(themes).map((theme) => sequencesOf(...everyDay, ...theme)),
	sequencesOf(...everyDay, ...Object.values(themes).flat()),
);
