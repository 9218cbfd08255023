/**
 * Controllers that are wrong in one point, one or more for each invariant: a model that does not find them proves nothing.
 */
import {Caches} from '../../../src/kube/caches.ts';
import {createOnce} from '../../../src/kube/create-once.ts';
import * as resources from '../../../src/kube/resources.ts';
import {silentLogger} from '../../../src/process/log.ts';
import {decide, type SharingPlan} from '../../../src/smartclone/decide.ts';
import {makeStripeSnapshot} from '../../../src/smartclone/objects.ts';
import {assignmentTo} from '../../../src/smartclone/requests.ts';
import type {Mutant} from './replica.ts';
import type {Theme} from './steps.ts';

export interface NamedMutant {
	/** Completes "the model finds …". */
	readonly name: string;
	readonly mutant: Mutant;
	/** What the model must say of it. */
	readonly words: RegExp;
	/** Where it shows most easily. */
	readonly theme: Theme;
	readonly immutable?: boolean;
}

const nothing: SharingPlan = {do: 'nothing'};

/** Never does this. */
const without =
	(...plans: readonly SharingPlan['do'][]): NonNullable<Mutant['decide']> =>
	(observed) => {
		const plan = decide(observed);
		return plans.includes(plan.do) ? nothing : plan;
	};

/** Believes its cache: writes the assignment whatever became of the snapshot. */
const assignBlindly: NonNullable<Mutant['execute']> = ({requests, waiting, signal}, plan) => {
	if (plan.do !== 'assign') return undefined;
	const assignment = assignmentTo(plan.shared);
	return Promise.all(
		plan.requests.map(async (request) => {
			waiting.assigning(request, assignment);
			await requests.assign(request, assignment, plan.rule, signal);
			waiting.assigned(request, assignment);
		}),
	);
};

/** Caches of which every watch claims to have missed nothing. */
class Gapless extends Caches {
	readonly #caches: Caches;

	constructor(caches: Caches) {
		const unserved = () => {
			throw new Error('only a view of other caches');
		};
		super({kinds: [], log: silentLogger, api: {list: unserved, watch: unserved}});
		this.#caches = caches;
	}

	override store: Caches['store'] = (resource) => this.#caches.store(resource);
	override addIndex: Caches['addIndex'] = (resource, index) => this.#caches.addIndex(resource, index);
	override onChange: Caches['onChange'] = (resource, handler) => this.#caches.onChange(resource, handler);
	override progress: Caches['progress'] = () => ({
		hasSynced: true,
		resourceVersion: '1',
		epoch: 1,
		hasSeen: () => true,
	});
}

/** Of Pods, only those that are there now are seen: no history. */
class Forgetful extends Gapless {
	override onChange: Caches['onChange'] = () => {};
}

const isCutOrServing = ({life}: {readonly life: string}) => life === 'Cutting' || life === 'Current';

export const mutants: readonly NamedMutant[] = [
	{
		name: 'requests that are assigned to a snapshot already cut',
		theme: 'writers',
		words: /is stale|says GroupCommit, but/,
		mutant: {
			decide(observed) {
				const cut = observed.shared.find(isCutOrServing);
				if (observed.waiting.length === 0 || !cut) return decide(observed);
				return {do: 'assign', requests: observed.waiting, shared: cut.object, rule: 'GroupCommit'};
			},
			execute: assignBlindly,
		},
	},
	{
		name: 'snapshots that are cut before they are closed',
		theme: 'writers',
		words: /is stale|says GroupCommit, but/,
		mutant: {
			decide(observed) {
				const open = observed.shared.find(
					({life, stripes}) => life === 'Open' && stripes.some(({snapshot}) => !snapshot),
				);
				if (!open) return decide(observed);
				return {do: 'cut', shared: open.object, snapshot: makeStripeSnapshot(open.object, 0), isFirst: true};
			},
			execute: ({api, signal}, plan) =>
				plan.do === 'cut' ? createOnce(api, resources.volumeSnapshots, plan.snapshot, signal) : undefined,
		},
	},
	{
		name: 'assignments that are written without asking whether the snapshot is still open',
		theme: 'failover',
		words: /is stale|says GroupCommit, but/,
		mutant: {execute: assignBlindly},
	},
	{
		name: 'reuse without asking how far the Pod watch has come',
		theme: 'quiet',
		words: /is stale|says WatchedQuiet, but/,
		mutant: {
			observe: (observed) => ({...observed, barrier: {available: true, passed: Number.MAX_SAFE_INTEGER}}),
		},
	},
	{
		name: 'reuse although a watch has lost its history',
		theme: 'quiet',
		words: /is stale|says WatchedQuiet, but/,
		mutant: {writersIn: (caches) => new Gapless(caches)},
	},
	{
		name: 'reuse although a Pod came and went that could write',
		theme: 'writers',
		words: /is stale|says WatchedQuiet, but/,
		mutant: {writersIn: (caches) => new Forgetful(caches)},
	},
	{
		name: 'reuse of what was cut before its source was declared immutable',
		theme: 'declared',
		words: /is stale|says DeclaredImmutable, but/,
		mutant: {
			observe: (observed) => ({
				...observed,
				shared: observed.shared.map((shared) => ({
					...shared,
					object: {...shared.object, spec: {...shared.object.spec, declaredImmutable: true}},
				})),
			}),
		},
	},
	{
		name: 'a rule that is written on a clone and was not the one that held',
		theme: 'writers',
		words: /says GroupCommit, but/,
		mutant: {
			decide(observed) {
				const plan = decide(observed);
				return plan.do === 'assign' && plan.rule === 'WatchedQuiet' ? {...plan, rule: 'GroupCommit'} : plan;
			},
			execute: assignBlindly,
		},
	},
	{
		name: 'a new generation with every burst, however many are still restored from',
		theme: 'bursts',
		words: /are restored from at once/,
		mutant: {
			decide(observed) {
				const plan = decide(observed);
				const open = observed.shared.find(({life, requests}) => life === 'Open' && requests.length > 0);
				if (plan.do !== 'nothing' || !open) return plan;
				return {do: 'close', shared: open.object, declaredImmutable: false};
			},
		},
	},
	{
		name: 'a snapshot that is deleted while clones of another namespace are restored from it',
		theme: 'writers',
		words: /is deleted while/,
		mutant: {
			observe: (observed) => ({
				...observed,
				shared: observed.shared.map((shared) =>
					shared.life === 'Draining' ? {...shared, requests: [], aliases: []} : shared,
				),
			}),
			decide(observed) {
				const used = observed.shared.find(({life, requests}) => life === 'Current' && requests.length > 0);
				return used ? {do: 'retire', shared: used.object, reason: 'Idle'} : decide(observed);
			},
		},
	},
	{
		name: 'an alias that deletes what it is an alias of',
		theme: 'writers',
		words: /has policy Delete|with its alias/,
		mutant: {
			decide(observed) {
				const plan = decide(observed);
				if (plan.do !== 'createAliases') return plan;
				const aliases = plan.aliases.map((alias) => ({
					...alias,
					content: alias.content && {
						...alias.content,
						spec: {...alias.content.spec, deletionPolicy: 'Delete' as const},
					},
				}));
				return {...plan, aliases};
			},
		},
	},
	{
		name: 'an alias for every clone',
		theme: 'writers',
		words: /two aliases of one snapshot/,
		mutant: {
			execute({api, signal}, plan) {
				if (plan.do !== 'createAliases') return undefined;
				return twice(plan, async (suffix, {content, snapshot}) => {
					if (content) {
						const spec = {...content.spec, volumeSnapshotRef: renamed(content.spec.volumeSnapshotRef, suffix)};
						const made = {...content, spec, metadata: renamed(content.metadata, suffix)};
						await createOnce(api, resources.volumeSnapshotContents, made, signal);
					}
					if (!snapshot) return;
					const name = `${snapshot.spec.source.volumeSnapshotContentName}${suffix}`;
					const spec = {...snapshot.spec, source: {volumeSnapshotContentName: name}};
					const made = {...snapshot, spec, metadata: renamed(snapshot.metadata, suffix)};
					await createOnce(api, resources.volumeSnapshots, made, signal);
				});
			},
		},
	},
	{
		name: 'a second VolumeSnapshot where the answer to the first was lost',
		theme: 'writers',
		words: /has \d+ stripes|left behind|are kept/,
		mutant: {
			execute({api, signal}, plan) {
				if (plan.do !== 'cut') return undefined;
				cuts += 1;
				const snapshot = {...plan.snapshot, metadata: renamed(plan.snapshot.metadata, `-${cuts}`)};
				return api.create(resources.volumeSnapshots, snapshot, {signal});
			},
		},
	},
	{
		name: 'a stripe that is cut again after it was deleted by hand',
		theme: 'byHand',
		words: /is cut a second time/,
		mutant: {
			decide(observed) {
				for (const {life, object, stripes} of observed.shared) {
					const deleted = stripes.find(({snapshot}) => snapshot?.metadata.deletionTimestamp);
					if (life === 'Dead' && deleted?.snapshot)
						return {do: 'releaseSnapshot', shared: object, snapshot: deleted.snapshot};
				}
				return decide(observed);
			},
		},
	},
	{
		name: 'snapshots that nobody retires',
		theme: 'writers',
		words: /are kept|left behind|shared snapshots serve/,
		mutant: {decide: without('retire')},
	},
	{
		name: 'aliases that nobody removes',
		theme: 'writers',
		words: /are kept|left behind/,
		mutant: {decide: without('removeAliases')},
	},
	{
		name: 'clones of another namespace that get no alias',
		theme: 'writers',
		words: /not served/,
		mutant: {decide: without('createAliases')},
	},
];

let cuts = 0;

function renamed<T extends {readonly name?: string}>(named: T, suffix: string): T {
	return {...named, name: `${named.name}${suffix}`};
}

type NewAliases = Extract<SharingPlan, {do: 'createAliases'}>;

async function twice(
	{aliases}: NewAliases,
	make: (suffix: string, alias: NewAliases['aliases'][number]) => Promise<void>,
): Promise<void> {
	for (const alias of aliases) for (const suffix of ['', '-too']) await make(suffix, alias);
}
