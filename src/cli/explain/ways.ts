/** Which way a clone goes or went, why not the others, and what would make them possible. Pure. */
import {annotations} from '../../api/names.ts';
import type {ReuseRule} from '../../api/sharedsnapshot.ts';
import {gaveUpOf} from '../../datavolume/gave-up.ts';
import {cloneSourceOf} from '../../datavolume/source-ref.ts';
import {
	type CloneRoute,
	type CloneWay,
	cloneWays,
	type DeclinedReason,
	parseDeclined,
	remedies,
} from '../../smartclone/strategy.ts';
import type {Sight} from './look.ts';

export interface WayReason extends DeclinedReason {
	/** What would make the way possible. */
	readonly remedy: string;
}

export interface WayTold {
	readonly way: CloneWay;
	readonly state: 'taken' | 'open' | 'not possible' | 'not needed';
	/** Of the one that is taken, and of those that are still open. */
	readonly how?: string;
	readonly reasons: readonly WayReason[];
}

export interface RuleTold {
	readonly rule: ReuseRule;
	readonly number: number;
	readonly words: string;
}

/** As docs/design.md numbers them. */
const rules: Readonly<Record<ReuseRule, Omit<RuleTold, 'rule'>>> = {
	SnapshotSource: {number: 1, words: 'you named the snapshot, and a snapshot never changes'},
	GroupCommit: {number: 2, words: 'it was cut after this clone was asked for, for all that waited at that moment'},
	WatchedQuiet: {number: 3, words: 'from its cut until this clone was asked for, nobody could write to the source'},
	DeclaredImmutable: {number: 4, words: 'the source was declared immutable before the cut and still is'},
};

export function ruleOf({dataVolume, observed: {claim}}: Sight): RuleTold | undefined {
	const written =
		dataVolume.metadata.annotations?.[annotations.reuseRule] ?? claim?.metadata.annotations?.[annotations.reuseRule];
	const rule = (Object.keys(rules) as ReuseRule[]).find((each) => each === written);
	return rule && {rule, ...rules[rule]};
}

const routes: Readonly<Record<CloneRoute, string>> = {
	restore: 'the storage restores it from the snapshot: no block is copied where the storage shares them',
	restoreOrCopy: 'the storage is local to a node: restored if the first consumer runs on the node of the source',
	csiClone: 'the storage driver clones the source claim',
	copySnapshot: 'a Pod copies it from a restore of the snapshot, so that the source may be in use meanwhile',
	copyClaim: 'a Pod copies it from the source claim itself, while nobody writes to that',
};

const made: Readonly<Record<CloneWay, string>> = {
	snapshot: routes.restore,
	'csi-clone': routes.csiClone,
	copy: 'a Pod copies it block by block',
};

/** Those of the driver's clone that no snapshot has; all others are against the snapshot first. */
const ofCsiClone = new Set(['OtherNamespace', 'NoStorageClass', 'CsiCloneUnsuitable']);

const withRemedy = ({code, message}: DeclinedReason): WayReason => ({code, message, remedy: remedies[code]});

interface Taken {
	readonly way: CloneWay;
	readonly how: string;
	readonly reasonsOf: (way: CloneWay) => readonly WayReason[];
	/** Known when the first consumer has a node. */
	readonly isOpen?: boolean;
}

/** As it is written on the claim that was made, in the words of that moment. */
function written({dataVolume, observed}: Sight): Taken | undefined {
	const {claim, cloneSource, happened} = observed;
	const notes = (claim ?? dataVolume).metadata.annotations ?? {};
	const way = cloneWays.find((each) => each === (notes[annotations.cloneType] ?? happened));
	if (!way || (!claim && dataVolume.status?.phase !== 'Succeeded')) return undefined;
	const reads = cloneSource?.spec.source.kind;
	const copy = reads === 'VolumeSnapshot' ? routes.copySnapshot : reads === undefined ? made.copy : routes.copyClaim;
	const reasons = parseDeclined(notes[annotations.cloneFallbackReason] ?? '');
	const gaveUp = gaveUpOf(dataVolume).ways;
	return {
		way,
		how: way === 'copy' ? copy : made[way],
		reasonsOf: (of) => [
			...reasons
				.filter(({code}) => code !== 'GaveUp' && (ofCsiClone.has(code) ? 'csi-clone' : 'snapshot') === of)
				.map(withRemedy),
			...gaveUp
				.filter((tried) => tried.way === of)
				.map(({code, message}) => withRemedy({code: 'GaveUp', message: `Tried in vain (${code}): ${message}`})),
		],
	};
}

function decided({isJudged, observed}: Sight): Taken | undefined {
	const decision = isJudged ? observed.clone?.decision : undefined;
	if (!decision) return undefined;
	const {way, route, declined} = decision;
	return {
		way,
		how: routes[route],
		isOpen: route === 'restoreOrCopy',
		reasonsOf: (of) => declined.filter((reason) => reason.way === of).map(withRemedy),
	};
}

/** By the driver's row, the storage class or the clone strategy: nothing was against what comes after the way that is taken. */
function wasDriverAskedFirst({way, reasonsOf}: Taken): boolean {
	if (way === 'csi-clone') return reasonsOf('snapshot').length === 0;
	return way === 'snapshot' && reasonsOf('csi-clone').length > 0;
}

/** Empty where no way is known yet, or where it is no clone. */
export function waysOf(sight: Sight): readonly WayTold[] {
	const source = cloneSourceOf(sight.dataVolume);
	if (!source.pvc && !source.snapshot && !sight.observed.clone) return [];
	const taken = written(sight) ?? decided(sight);
	if (!taken) return [];
	const isSnapshot = source.snapshot !== undefined || sight.observed.clone?.origin.kind === 'VolumeSnapshot';
	const byDriver: readonly CloneWay[] = isSnapshot ? [] : ['csi-clone'];
	const isDriverFirst = !isSnapshot && wasDriverAskedFirst(taken);
	const order: readonly CloneWay[] = isDriverFirst
		? ['csi-clone', 'snapshot', 'copy']
		: ['snapshot', ...byDriver, 'copy'];
	if (taken.isOpen) {
		return order.map((way): WayTold => {
			if (way === 'csi-clone') return {way, state: 'not needed', reasons: []};
			const how = way === 'snapshot' ? taken.how : 'if it runs on another node';
			return {way, state: 'open', how, reasons: []};
		});
	}
	const at = order.indexOf(taken.way);
	return order.map((way, index): WayTold => {
		if (way === taken.way) return {way, state: 'taken', how: taken.how, reasons: []};
		if (index > at) return {way, state: 'not needed', reasons: []};
		return {way, state: 'not possible', reasons: taken.reasonsOf(way)};
	});
}
