import {describe, expect, test} from 'vitest';
import {
	claim,
	contentKey,
	readyStripe,
	request,
	sharedSnapshot,
	type SharedSnapshotOptions,
	snapshot,
	snapshotContent,
	volume,
} from '../../test/support/builders.ts';
import {MemoryCaches} from '../../test/support/memory-caches.ts';
import type {KubeObject, PersistentVolumeClaim} from '../api/kubernetes.ts';
import {annotations, finalizers, labels} from '../api/names.ts';
import {decide, type RetireReason, reuseRule} from './decide.ts';
import {defaultPolicy} from './driver-policy.ts';
import {makeAliasContent, makeAliasSnapshot} from './objects.ts';
import {addSharingIndexes, type Observed, type ObservedShared, observe} from './observe.ts';
import {
	type AssignedRequest,
	assignmentTo,
	type CloneRequest,
	type CloneRequests,
	type WaitingRequest,
	WaitingRequests,
} from './requests.ts';
import {lifeOf, type Stripe, stripeOf} from './sharing.ts';
import {statusOf} from './status.ts';

/** Of the snapshot-controller. */
const protection = 'snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection';
const uncut: Stripe = {snapshot: undefined, content: undefined};
const open = (name = 'disk', namespace = 'ns'): AssignedRequest => ({...request({name, namespace}), state: 'open'});
const done = (name = 'disk'): AssignedRequest => ({...request({name}), state: 'done'});

/** A shared snapshot as it is observed: its life follows from what it is made of. */
function observed(
	options: SharedSnapshotOptions,
	rest: Partial<Omit<ObservedShared, 'object' | 'life'>> = {},
): ObservedShared {
	const object = sharedSnapshot(options);
	const stripes = rest.stripes ?? [uncut];
	return {
		...{object, stripes, life: lifeOf(object, stripes, rest.lost !== undefined), aliases: [], strays: [], requests: []},
		...{lost: undefined, undisturbed: false, idleMs: 0, dependents: 0},
		...rest,
	};
}

const openOne = (requests: AssignedRequest[] = []) => observed({closed: false}, {requests});
const cutting = (requests: AssignedRequest[] = [], generation = 1) => observed({generation}, {requests});
function current(requests: AssignedRequest[] = [], options: SharedSnapshotOptions = {}): ObservedShared {
	return observed(options, {requests, stripes: [readyStripe(sharedSnapshot(options))]});
}
const draining = (requests: AssignedRequest[], stripes: Stripe[], aliases: ObservedShared['aliases'] = []) =>
	observed({deleting: true}, {requests, stripes, aliases});

/** Asks as the first. */
const asking = (options: Partial<CloneRequest> = {}, asked = 1): WaitingRequest => ({...request(options), asked});

const assigned = (name: string, requests: AssignedRequest[]): CloneRequests => ({
	assignedTo: (shared) => (shared === name ? requests : []),
	assign: async () => 'assigned' as const,
});

const immutable = claim({annotations: {[annotations.immutable]: 'true'}});
/** Cut when its source was immutable already. */
const declared = {immutable: true};

interface World {
	readonly claim?: PersistentVolumeClaim | undefined;
	readonly content?: Observed['content'];
	readonly shared?: readonly ObservedShared[];
	readonly waiting?: Observed['waiting'];
	readonly snapshotClassName?: string | undefined;
	readonly snapshotClasses?: Observed['snapshotClasses'];
	readonly barrier?: Observed['barrier'];
	readonly policy?: Observed['policy'];
	readonly cutPauseMs?: number;
}

const watching = {available: true, passed: 0};

function world(given: World): Observed {
	return {
		...observe('ns/claim', {caches: emptyCaches(), requests: assigned('', []), waiting: new WaitingRequests(() => {})}),
		claim: claim(),
		content: contentKey(),
		snapshotClassName: 'snapshots',
		snapshotClasses: new Set(['snapshots']),
		policy: defaultPolicy,
		idleLimitMs: 1000,
		shared: [],
		waiting: [],
		...given,
	};
}

function emptyCaches(objects: readonly KubeObject[] = []) {
	const {caches} = new MemoryCaches(objects);
	addSharingIndexes(caches);
	return caches;
}

const planOf = (given: World) => decide(world(given));

describe('decide: a cut, step by step', () => {
	test('nobody waits, nothing exists: nothing', () => {
		expect(planOf({})).toEqual({do: 'nothing'});
	});

	test('somebody waits: a shared snapshot is opened, generation 1, nothing cut yet', () => {
		const plan = planOf({waiting: [asking()]});
		expect(plan).toMatchObject({do: 'open', shared: {spec: {closed: false, content: contentKey(), stripes: 1}}});
		expect(plan.do === 'open' && plan.shared.metadata.name).toMatch(/-1$/);
	});

	test('it is open: all who wait are assigned by group commit', () => {
		const waiting = [asking({name: 'a'}), asking({name: 'b'}, 2)];
		expect(planOf({waiting, shared: [openOne()]})).toMatchObject({
			do: 'assign',
			requests: waiting,
			rule: 'GroupCommit',
		});
	});

	test('all are assigned: it is closed', () => {
		const shared = [openOne([open()])];
		expect(planOf({shared})).toMatchObject({do: 'close', declaredImmutable: false});
		expect(planOf({shared, claim: immutable})).toMatchObject({do: 'close', declaredImmutable: true});
	});

	test('who comes before it is closed is assigned first', () => {
		expect(planOf({waiting: [asking({name: 'b'})], shared: [openOne([open('a')])]})).toMatchObject({do: 'assign'});
	});

	test('of an immutable source a few are assigned, then it is closed: the others need not be before the cut', () => {
		const waiting = Array.from({length: 200}, (_, index) => asking({name: `disk-${index}`}, index + 1));
		const first = planOf({claim: immutable, waiting, shared: [openOne()]});
		expect(first).toMatchObject({do: 'assign', rule: 'GroupCommit'});
		expect(first.do === 'assign' && first.requests).toEqual(waiting.slice(0, 8));
		const shared = [openOne([open()])];
		expect(planOf({claim: immutable, waiting, shared})).toMatchObject({do: 'close', declaredImmutable: true});
		expect(planOf({waiting, shared})).toMatchObject({do: 'assign', requests: waiting});
	});

	test('of an immutable source that may not be cut yet, all are assigned meanwhile', () => {
		const waiting = Array.from({length: 20}, (_, index) => asking({name: `disk-${index}`}, index + 1));
		const given = {claim: immutable, waiting, shared: [openOne([open()])], cutPauseMs: 1000};
		expect(planOf(given)).toMatchObject({do: 'assign', requests: waiting, rule: 'GroupCommit'});
	});

	test('who is assigned to an immutable one while it is cut holds up nobody who could begin', () => {
		const waiting = Array.from({length: 200}, (_, index) => asking({name: `disk-${index}`}, index + 1));
		const begun = observed(declared, {
			requests: [open()],
			stripes: [{snapshot: snapshot({untouched: true}), content: undefined}],
		});
		const plan = planOf({claim: immutable, waiting, shared: [begun]});
		expect(plan).toMatchObject({do: 'assign', rule: 'DeclaredImmutable'});
		expect(plan.do === 'assign' && plan.requests).toEqual(waiting.slice(0, 32));
	});

	test('it is closed: the first stripe that is missing is cut', () => {
		const object = sharedSnapshot({stripes: 3});
		const stripes = [readyStripe(object), uncut, uncut];
		const plan = planOf({shared: [observed({stripes: 3}, {stripes, requests: [open()]})]});
		expect(plan).toMatchObject({do: 'cut', snapshot: {metadata: {name: 'onesnap-shared-1-1'}}});
	});

	test('all stripes are begun: nothing until the storage has cut them', () => {
		const stripes = [{snapshot: snapshot({untouched: true}), content: undefined}];
		expect(planOf({shared: [observed({}, {stripes, requests: [open()]})]})).toEqual({do: 'nothing'});
	});

	test('it serves: nothing while clones are made', () => {
		expect(planOf({shared: [current([open()])]})).toEqual({do: 'nothing'});
	});

	test('it has served and the source may change: it is retired', () => {
		expect(planOf({shared: [current([done()])]})).toMatchObject({do: 'retire', reason: 'NobodyNeedsIt'});
	});
});

describe('decide: who waits', () => {
	const waiting = [asking({name: 'late'})];

	test.each<[string, ObservedShared]>([
		['being cut', cutting([open()])],
		['cut', current([open()])],
	])('is not assigned to a snapshot that is %s: another one is opened, of the next generation', (_, shared) => {
		const plan = planOf({waiting, shared: [shared]});
		expect(plan.do === 'cut' || plan.do === 'open').toBe(true);
		if (plan.do === 'open') expect(plan.shared.metadata.name).toMatch(/-2$/);
	});

	const begun = {snapshot: snapshot({untouched: true}), content: undefined};
	test.each<[string, ObservedShared]>([
		['being cut', observed(declared, {requests: [open()], stripes: [begun]})],
		['cut', current([], declared)],
	])('is assigned to a snapshot that is %s where the source is declared immutable', (_, shared) => {
		expect(planOf({claim: immutable, waiting, shared: [shared]})).toMatchObject({
			do: 'assign',
			rule: 'DeclaredImmutable',
		});
	});

	test('is not assigned to a snapshot that was cut before the source was declared immutable', () => {
		const plan = planOf({claim: immutable, waiting, shared: [current([open()])]});
		expect(plan).toMatchObject({do: 'open', shared: {metadata: {name: expect.stringMatching(/-2$/)}}});
	});

	test('is not assigned to what is draining, even where the source is immutable', () => {
		const shared = draining([open()], [readyStripe(sharedSnapshot())]);
		expect(planOf({claim: immutable, waiting, shared: [shared]})).toMatchObject({do: 'open'});
	});

	test('waits on while a cut is pending: the next one is closed after it, for all at once', () => {
		const begun = observed(
			{},
			{requests: [open('a')], stripes: [{snapshot: snapshot({untouched: true}), content: undefined}]},
		);
		const next = observed({closed: false, generation: 2}, {requests: [open('b')]});
		expect(planOf({shared: [begun, next]})).toEqual({do: 'nothing'});
		expect(planOf({shared: [current([open('a')]), next]})).toMatchObject({do: 'close'});
	});

	test.each<[string, World]>([
		['the source is not bound', {content: undefined}],
		['no snapshot class is there', {snapshotClassName: undefined}],
		['the source is being deleted', {claim: claim({deleting: true})}],
		['the source is gone', {claim: undefined, content: undefined}],
	])('gets nothing where %s', (_, given) => {
		expect(planOf({waiting, ...given})).toEqual({do: 'nothing'});
	});
});

describe('decide: retirement', () => {
	const lost = {snapshot: snapshot({deleting: true}), content: undefined};
	test.each<[RetireReason, string, World]>([
		['SourceGone', 'the source is gone', {claim: undefined, content: undefined, shared: [current([open()])]}],
		['SourceGone', 'a namesake is in its place', {claim: claim({uid: 'other'}), shared: [current([open()])]}],
		['SourceGone', 'the source is being deleted', {claim: claim({deleting: true}), shared: [current([open()])]}],
		['ContentChanged', 'the source grew', {content: contentKey({capacity: '2Gi'}), shared: [current([open()])]}],
		['SnapshotLost', 'a stripe was deleted', {shared: [observed({}, {requests: [open()], stripes: [lost]})]}],
		['NothingAssigned', 'an open one has nobody', {shared: [openOne()]}],
		[
			'SnapshotClassGone',
			'its class is gone before the cut',
			{snapshotClasses: new Set(), shared: [cutting([open()])]},
		],
		['NobodyNeedsIt', 'its clones are made', {shared: [current([done()])]}],
		[
			'Superseded',
			'a newer one of an immutable source serves',
			{claim: immutable, shared: [current([], declared), current([], {...declared, generation: 2})]},
		],
	])('%s: %s', (reason, _, given) => {
		expect(planOf(given)).toMatchObject({
			do: 'retire',
			reason,
			shared: {metadata: {name: expect.stringMatching(/-1$/)}},
		});
	});

	test.each<[string, World]>([
		['the newest of an immutable source', {claim: immutable, shared: [current([done()], declared)]}],
		['cut already, its class is gone', {snapshotClasses: new Set(), shared: [current([open()])]}],
		['while the volume is not in the cache', {content: undefined, shared: [current([open()])]}],
		[
			'an older one that still serves',
			{claim: immutable, shared: [current([open()], declared), current([], {...declared, generation: 2})]},
		],
	])('not: %s', (_, given) => {
		expect(planOf(given)).toEqual({do: 'nothing'});
	});

	test('a cut that nobody waits for any more is given up: one that never succeeds would hold up every later one', () => {
		const stuck = {
			snapshot: snapshot({boundTo: undefined, ready: false, error: 'code = Internal'}),
			content: undefined,
		};
		const plan = planOf({shared: [observed({}, {requests: [], stripes: [stuck]})]});
		expect(plan).toMatchObject({do: 'retire'});
	});
});

describe('decide: draining', () => {
	const stripe = readyStripe(sharedSnapshot());
	/** Its content is gone already. */
	const going = (held: boolean) => {
		const names = held ? [finalizers.sharedSnapshot, 'other'] : ['other'];
		const {snapshot} = readyStripe(sharedSnapshot(), 0, {deleting: true, finalizers: names});
		return {snapshot, content: undefined};
	};

	test('waits for clones that are being made', () => {
		expect(planOf({shared: [draining([open()], [stripe])]})).toEqual({do: 'nothing'});
	});

	test('then lifts its protection, deletes the snapshot, takes our finalizer off it, and goes itself', () => {
		const bare = {...stripe, content: snapshotContent({of: stripe.snapshot})};
		expect(planOf({shared: [draining([done()], [stripe])]})).toMatchObject({do: 'unprotect', orphaned: false});
		expect(planOf({shared: [draining([done()], [bare])]})).toMatchObject({do: 'deleteSnapshot'});
		expect(planOf({shared: [draining([done()], [going(true)])]})).toMatchObject({do: 'releaseSnapshot'});
		expect(planOf({shared: [draining([done()], [going(false)])]})).toEqual({do: 'nothing'});
		expect(planOf({shared: [draining([done()], [uncut])]})).toMatchObject({do: 'release'});
	});

	test('deletes the content itself where the snapshot-controller has let go without doing so', () => {
		const content = snapshotContent({of: stripe.snapshot});
		const {snapshot: left} = going(true);
		const held = {...left, metadata: {...left.metadata, finalizers: [protection, finalizers.sharedSnapshot]}};
		expect(planOf({shared: [draining([done()], [{snapshot: held, content}])]})).toEqual({do: 'nothing'});
		expect(planOf({shared: [draining([done()], [{snapshot: left, content}])]})).toMatchObject({do: 'deleteContent'});
		const leaving = {...content, metadata: {...content.metadata, deletionTimestamp: '2026-01-01T00:00:00Z'}};
		const labelled = {...leaving, metadata: {...leaving.metadata, labels: {[labels.sharedSnapshotUid]: 'shared-1'}}};
		expect(planOf({shared: [draining([done()], [{snapshot: left, content: labelled}])]})).toEqual({do: 'nothing'});
	});

	test('wakes the sidecar where the content was deleted while it was being cut, once it knows that it is cut', () => {
		const {snapshot: left} = going(true);
		const of = (creating: boolean, handle: string | undefined, woken = false) => {
			const content = snapshotContent({
				...{of: stripe.snapshot, handle, deleting: true},
				annotations: creating ? {[annotations.snapshotBeingCreated]: 'yes'} : {},
				labels: woken ? {[labels.sharedSnapshotUid]: 'shared-1'} : {},
			});
			return planOf({shared: [draining([done()], [{snapshot: left, content}])]});
		};
		expect(of(true, undefined)).toEqual({do: 'nothing'});
		expect(of(true, 'handle')).toEqual({do: 'nothing'});
		expect(of(false, 'handle')).toMatchObject({do: 'wakeSidecar'});
		expect(of(false, 'handle', true)).toEqual({do: 'nothing'});
	});

	test('tells the sidecar itself that a content goes whose snapshot is gone', () => {
		const stray = (options: Parameters<typeof snapshotContent>[0]) =>
			observed({deleting: true}, {strays: [snapshotContent(options)]});
		expect(planOf({shared: [stray({policy: 'Retain'})]})).toMatchObject({do: 'unprotect', orphaned: true});
		expect(planOf({shared: [stray({})]})).toMatchObject({do: 'unprotect', orphaned: true});
		const told = {annotations: {[annotations.snapshotBeingDeleted]: 'yes'}};
		expect(planOf({shared: [stray(told)]})).toMatchObject({do: 'deleteContent'});
		expect(planOf({shared: [stray({...told, deleting: true})]})).toEqual({do: 'nothing'});
	});

	test('waits for the volumes restored from it where the storage does not let it go before', () => {
		const shared = {...draining([done()], [stripe]), dependents: 2};
		expect(planOf({shared: [shared]})).toEqual({do: 'nothing'});
		expect(statusOf(world({}), shared).message).toMatch(/2 volumes restored from it/);
	});

	test('a snapshot that the storage lost is held by nobody', () => {
		const shared = {...draining([open()], [stripe]), lost: 'code = NotFound'};
		expect(planOf({shared: [shared]})).toMatchObject({do: 'unprotect'});
		const bare = {...stripe, content: snapshotContent({of: stripe.snapshot})};
		expect(planOf({shared: [{...shared, stripes: [bare]}]})).toMatchObject({do: 'deleteSnapshot'});
	});

	test('does not protect a stripe again that nobody needs, though another one is needed', () => {
		const object = sharedSnapshot({stripes: 2});
		const stripes = [readyStripe(object, 0), readyStripe(object, 1)];
		const one = open();
		const unwanted = 1 - stripeOf(one.uid, 2);
		const lifted = stripes.map((each, index) =>
			index === unwanted ? {...each, content: snapshotContent({of: each.snapshot, handle: 'handle'})} : each,
		);
		const plan = planOf({shared: [observed({stripes: 2, deleting: true}, {requests: [one], stripes: lifted})]});
		expect(plan).toMatchObject({do: 'deleteSnapshot', snapshot: stripes[unwanted]?.snapshot});
	});

	test('does not wait for requests of a snapshot that was never cut: they are assigned anew', () => {
		expect(planOf({shared: [draining([open()], [uncut])]})).toMatchObject({do: 'release'});
	});

	test('keeps a stripe that serves, though another one is lost', () => {
		const object = sharedSnapshot({stripes: 2});
		const lost = readyStripe(object, 1, {deleting: true});
		// Names whose UIDs fall on both stripes: whichever it is, somebody restores from stripe 0.
		const requests = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => open(name));
		const shared = observed({stripes: 2, deleting: true}, {requests, stripes: [readyStripe(object), lost]});
		const plan = planOf({shared: [shared]});
		expect(plan.do === 'deleteSnapshot' && plan.snapshot.metadata.name).toBe(false);
	});

	test('does not wait for a cut that is not there and will not come: its source is gone', () => {
		const bound = {snapshot: snapshot({ready: false}), content: undefined};
		const plan = planOf({claim: undefined, content: undefined, shared: [draining([open()], [bound])]});
		expect(plan).toMatchObject({do: 'deleteSnapshot'});
	});

	test('holds up no new cut', () => {
		const plan = planOf({waiting: [asking({name: 'b'})], shared: [draining([open()], [stripe])]});
		expect(plan).toMatchObject({do: 'open'});
	});
});

describe('decide: aliases', () => {
	const object = sharedSnapshot();
	const stripe = readyStripe(object);
	const place = {namespace: 'tenant', stripe: 0};
	const madeContent = {...makeAliasContent(object, place, stripe.content)};
	const uid = {uid: 'alias-uid'};
	const made = makeAliasSnapshot(object, place);
	const alias = {...made, metadata: {...made.metadata, ...uid}};
	const of = (requests: AssignedRequest[], given: Partial<ObservedShared['aliases'][number]>) =>
		observed(
			{},
			{
				stripes: [stripe],
				requests,
				aliases: [{place, snapshot: undefined, content: undefined, madeContent: undefined, ...given}],
			},
		);
	const bound = {
		...madeContent,
		spec: {...madeContent.spec, volumeSnapshotRef: {...madeContent.spec.volumeSnapshotRef, ...uid}},
	};
	const tenant = open('disk', 'tenant');

	test('a clone in another namespace gets content and snapshot, what is missing of them, then nothing more', () => {
		const first = observed({}, {stripes: [stripe], requests: [tenant]});
		const content = {spec: {deletionPolicy: 'Retain', source: {snapshotHandle: 'handle-of-onesnap-shared-1-0'}}};
		const snapshot = {metadata: {namespace: 'tenant'}};
		expect(planOf({shared: [first]})).toMatchObject({do: 'createAliases', aliases: [{place, content, snapshot}]});
		expect(planOf({shared: [of([tenant], {madeContent})]})).toMatchObject({
			do: 'createAliases',
			aliases: [{content: undefined, snapshot}],
		});
		expect(planOf({shared: [of([tenant], {madeContent: bound, snapshot: alias, content: bound})]})).toEqual({
			do: 'nothing',
		});
	});

	test('a hundred clones there share one', () => {
		const requests = Array.from({length: 100}, (_, index) => open(`disk-${index}`, 'tenant'));
		expect(planOf({shared: [of(requests, {madeContent: bound, snapshot: alias, content: bound})]})).toEqual({
			do: 'nothing',
		});
	});

	test('it goes when the last clone there is made, snapshot first', () => {
		const there = open('other');
		expect(planOf({shared: [of([there], {madeContent: bound, snapshot: alias, content: bound})]})).toMatchObject({
			do: 'removeAliases',
			snapshots: [alias],
			contents: [],
		});
		expect(planOf({shared: [of([there], {madeContent: bound})]})).toMatchObject({
			do: 'removeAliases',
			snapshots: [],
			contents: [bound],
		});
	});

	test('a content that was bound to an alias deleted by hand is made anew', () => {
		const another = {...alias, metadata: {...alias.metadata, uid: 'another-uid'}};
		const shared = of([tenant], {madeContent: bound, snapshot: another});
		expect(planOf({shared: [shared]})).toMatchObject({do: 'removeAliases', snapshots: [], contents: [bound]});
	});

	test('a content that is shown as bound before its snapshot is shown is left alone', () => {
		expect(planOf({shared: [of([tenant], {madeContent: bound})]})).toMatchObject({
			do: 'createAliases',
			aliases: [{content: undefined}],
		});
	});

	test('none is made before nothing can delete the original any more', () => {
		const bare = {...stripe, content: snapshotContent({of: stripe.snapshot, handle: 'handle'})};
		expect(planOf({shared: [observed({}, {stripes: [bare], requests: [tenant]})]})).toMatchObject({
			do: 'protect',
			content: bare.content,
		});
	});

	test('one that somebody gave policy Delete is protected again before anything else happens to it', () => {
		const flipped = {...bound, spec: {...bound.spec, deletionPolicy: 'Delete' as const}};
		const shared = {...of([], {madeContent: flipped, snapshot: alias, content: flipped}), life: 'Draining' as const};
		expect(planOf({shared: [shared]})).toMatchObject({do: 'protect', content: flipped});
	});

	test('goes on serving when the VolumeSnapshot of the original is deleted by hand', () => {
		const removed = {...stripe, snapshot: readyStripe(object, 0, {deleting: true}).snapshot};
		const {aliases} = of([tenant], {madeContent: bound, snapshot: alias, content: bound});
		expect(planOf({shared: [draining([tenant], [removed], aliases)]})).toEqual({do: 'nothing'});
		const bare = {...removed, content: snapshotContent({of: removed.snapshot})};
		expect(planOf({shared: [draining([tenant], [bare], aliases)]})).toMatchObject({do: 'removeAliases'});
	});

	test('an alias that is wanted keeps a draining snapshot', () => {
		const shared = draining(
			[tenant],
			[stripe],
			of([tenant], {madeContent: bound, snapshot: alias, content: bound}).aliases,
		);
		expect(planOf({shared: [shared]})).toEqual({do: 'nothing'});
	});

	test('aliases go before the snapshot that they are of', () => {
		const shared = draining([], [stripe], of([], {madeContent: bound, snapshot: alias, content: bound}).aliases);
		expect(planOf({shared: [shared]})).toMatchObject({
			do: 'removeAliases',
			snapshots: [{metadata: {namespace: 'tenant'}}],
		});
	});
});

describe('reuseRule', () => {
	test.each<[string, World, Partial<ObservedShared>, string | undefined]>([
		['the source is declared immutable', {claim: immutable}, {}, 'DeclaredImmutable'],
		['the source may change', {}, {}, undefined],
		['the content is another one', {claim: immutable, content: contentKey({capacity: '2Gi'})}, {}, undefined],
		['the content is not known', {claim: immutable, content: undefined}, {}, undefined],
		['nobody was seen who could write', {barrier: watching}, {undisturbed: true}, 'WatchedQuiet'],
		['nobody was seen, but how far is not known', {}, {undisturbed: true}, undefined],
		['somebody may have written', {barrier: watching}, {undisturbed: false}, undefined],
	])('where %s: %#', (_, given, rest, rule) => {
		expect(reuseRule(world(given), {...current([], declared), ...rest})).toBe(rule);
	});

	test('where it was declared immutable only after the cut: undefined', () => {
		expect(reuseRule(world({claim: immutable}), current())).toBeUndefined();
	});
});

describe('decide: a quiet source', () => {
	const quiet = {...current([done()]), undisturbed: true};
	const waiting = [asking({name: 'a'}, 7), asking({name: 'b'}, 9)];

	test('keeps its snapshot for later clones, until it is idle for long', () => {
		expect(planOf({shared: [quiet], barrier: watching})).toEqual({do: 'nothing'});
		expect(planOf({shared: [{...quiet, idleMs: 1000}], barrier: watching})).toMatchObject({reason: 'Idle'});
		expect(planOf({shared: [{...quiet, undisturbed: false}], barrier: watching})).toMatchObject({
			reason: 'NobodyNeedsIt',
		});
	});

	test('is asked about requests that the watch has not passed yet', () => {
		expect(planOf({waiting, shared: [quiet], barrier: watching})).toMatchObject({do: 'passBarrier', number: 9});
	});

	test('serves the requests that the watch has passed, and those only', () => {
		const plan = planOf({waiting, shared: [quiet], barrier: {available: true, passed: 8}});
		expect(plan).toMatchObject({do: 'assign', rule: 'WatchedQuiet', requests: [{name: 'a'}]});
	});

	test.each<[string, ObservedShared, Observed['barrier']]>([
		['it is not known how far the watch is', quiet, {available: false, passed: 0}],
		['somebody may have written since the cut', {...quiet, undisturbed: false}, {available: true, passed: 100}],
	])('where %s, another is cut', (_, shared, barrier) => {
		expect(planOf({waiting, shared: [{...shared, requests: [open()]}], barrier})).toMatchObject({do: 'open'});
	});
});

describe('decide: when the next one is cut', () => {
	const next = (generation: number) => observed({closed: false, generation}, {requests: [open('next')]});
	const restoring = (generation: number, parked = false) =>
		current([{...open(`disk-${generation}`), parked}], {generation});
	const drainingOf = (generation: number, requests: AssignedRequest[]) =>
		observed({deleting: true, generation}, {requests, stripes: [readyStripe(sharedSnapshot({generation}))]});

	test('while one generation is restored from', () => {
		expect(planOf({shared: [restoring(1), next(2)]})).toMatchObject({do: 'close'});
	});

	test('not while two are: the storage would hold one more with each burst', () => {
		const given = {shared: [drainingOf(1, [open('slow')]), restoring(2), next(3)]};
		expect(planOf(given)).toEqual({do: 'nothing'});
		expect(statusOf(world(given), next(3)).message).toMatch(/the cut waits for clones that are being restored/);
	});

	test('clones that wait for a first consumer hold up no cut', () => {
		const slow = drainingOf(1, [{...open('slow'), parked: true}]);
		expect(planOf({shared: [slow, restoring(2), next(3)]})).toMatchObject({do: 'close'});
	});

	test('not while the storage has as many snapshots of the volume as it takes', () => {
		const policy = {...defaultPolicy, mostSnapshots: 1};
		expect(planOf({policy, shared: [restoring(1), next(2)]})).toEqual({do: 'nothing'});
		expect(planOf({policy, shared: [next(2)]})).toMatchObject({do: 'close'});
	});

	test('not before the time is over that the storage wants between two', () => {
		expect(planOf({cutPauseMs: 1500, shared: [next(1)]})).toEqual({do: 'nothing'});
		expect(statusOf(world({cutPauseMs: 1500, shared: [next(1)]}), next(1)).message).toMatch(/the cut waits for 2 s/);
	});

	test('the one before stops taking requests', () => {
		const plan = planOf({shared: [restoring(1), restoring(2)]});
		expect(plan).toMatchObject({do: 'retire', reason: 'Superseded', shared: {metadata: {uid: 'shared-1'}}});
	});
});

describe('statusOf', () => {
	test.each<[string, ObservedShared, object]>([
		['Open', openOne([open()]), {message: 'Collecting clone requests', clonesInFlight: 1, stripes: []}],
		['Cutting', cutting([open()]), {message: 'Waiting until the storage has cut the snapshot'}],
		['Current', current([open(), done('b')]), {message: '1 clones are being made', clonesServed: 1, clonesInFlight: 1}],
		['Current', current(), {message: 'Ready'}],
		['Draining', draining([open()], []), {message: 'Waiting for 1 clones that are being made'}],
		['Draining', draining([], []), {message: 'Waiting until the storage has deleted the snapshot'}],
		[
			'Dead',
			observed({}, {stripes: [{snapshot: snapshot({deleting: true}), content: undefined}]}),
			{clonesInFlight: 0},
		],
	])('is %s, and says what is waited for', (state, shared, rest) => {
		expect(statusOf(world({}), shared)).toMatchObject({state, ...rest});
	});

	test('shows what each stripe is, and why it may be reused', () => {
		const status = statusOf(world({claim: immutable}), current([], declared));
		expect(status).toMatchObject({
			reuse: 'DeclaredImmutable',
			stripes: [
				{
					snapshotName: 'onesnap-shared-1-0',
					snapshotHandle: 'handle-of-onesnap-shared-1-0',
					restoreSize: '1Gi',
					readyToUse: true,
				},
			],
		});
		expect(statusOf(world({}), current())).not.toHaveProperty('reuse');
	});

	test('repeats the error of the storage', () => {
		const failing = {snapshot: snapshot({ready: false, error: 'no space'}), content: undefined};
		expect(statusOf(world({}), observed({}, {stripes: [failing]})).stripes).toMatchObject([{error: 'no space'}]);
	});
});

describe('observe', () => {
	const bound = claim();
	const [first, second] = [sharedSnapshot({generation: 1}), sharedSnapshot({generation: 2})];
	const objects = [bound, volume({boundTo: bound}), first, second];
	test('an assignment that the cache does not show yet is among the requests', () => {
		const waiting = new WaitingRequests(() => {});
		waiting.assigned(request(), assignmentTo(second));
		const {shared, content} = observe('ns/claim', {caches: emptyCaches(objects), requests: assigned('', []), waiting});
		expect(content).toEqual(contentKey());
		expect(shared.map(({requests}) => requests.length)).toEqual([0, 1]);
	});

	test('a cache that still shows the assignment before does not make us forget the new one', () => {
		const waiting = new WaitingRequests(() => {});
		waiting.assigned(request(), assignmentTo(second));
		const {shared} = observe('ns/claim', {
			caches: emptyCaches(objects),
			requests: assigned(assignmentTo(first), [open()]),
			waiting,
		});
		expect(shared[1]?.requests.map(({uid}) => uid)).toEqual(['disk-uid']);
	});

	test('is the oldest first, generation 10 after 9', () => {
		const made = [10, 9].map((generation) => sharedSnapshot({generation}));
		const {shared} = observe('ns/claim', {
			caches: emptyCaches(made),
			requests: assigned('', []),
			waiting: new WaitingRequests(() => {}),
		});
		expect(shared.map(({object}) => object.metadata.uid)).toEqual(['shared-9', 'shared-10']);
	});
});
