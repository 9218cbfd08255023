import {describe, expect, test} from 'vitest';
import {
	claim,
	contentKey,
	readyStripe,
	request,
	sharedSnapshot,
	type SharedSnapshotOptions,
	snapshot,
	volume,
} from '../../test/support/builders.ts';
import {MemoryCaches} from '../../test/support/memory-caches.ts';
import type {KubeObject, PersistentVolumeClaim} from '../api/kubernetes.ts';
import {annotations, finalizers} from '../api/names.ts';
import * as resources from '../kube/resources.ts';
import {decide, type RetireReason, reuseRule} from './decide.ts';
import {defaultPolicy} from './driver-policy.ts';
import {makeAliasContent, makeAliasSnapshot} from './objects.ts';
import {
	contentByShared,
	type Observed,
	type ObservedShared,
	observe,
	sharedBySource,
	snapshotByShared,
} from './observe.ts';
import {type AssignedRequest, assignmentTo, WaitingRequests} from './requests.ts';
import {lifeOf, type Stripe} from './sharing.ts';
import {statusOf} from './status.ts';

const uncut: Stripe = {snapshot: undefined, content: undefined};
const open = (name = 'disk', namespace = 'ns'): AssignedRequest => ({...request({name, namespace}), state: 'open'});
const done = (name = 'disk'): AssignedRequest => ({...request({name}), state: 'done'});

/** A shared snapshot as it is observed: its life follows from what it is made of. */
function observed(
	options: SharedSnapshotOptions,
	rest: Partial<Pick<ObservedShared, 'stripes' | 'aliases' | 'requests'>> = {},
): ObservedShared {
	const object = sharedSnapshot(options);
	const stripes = rest.stripes ?? [uncut];
	return {object, stripes, life: lifeOf(object, stripes), aliases: rest.aliases ?? [], requests: rest.requests ?? []};
}

const openOne = (requests: AssignedRequest[] = []) => observed({closed: false}, {requests});
const cutting = (requests: AssignedRequest[] = [], generation = 1) => observed({generation}, {requests});
function current(requests: AssignedRequest[] = [], options: SharedSnapshotOptions = {}): ObservedShared {
	return observed(options, {requests, stripes: [readyStripe(sharedSnapshot(options))]});
}
const draining = (requests: AssignedRequest[], stripes: Stripe[], aliases: ObservedShared['aliases'] = []) =>
	observed({deleting: true}, {requests, stripes, aliases});

const immutable = claim({annotations: {[annotations.immutable]: 'true'}});
/** Cut when its source was immutable already. */
const declared = {immutable: true};

interface World {
	readonly claim?: PersistentVolumeClaim | undefined;
	readonly content?: Observed['content'];
	readonly shared?: readonly ObservedShared[];
	readonly waiting?: Observed['waiting'];
	readonly snapshotClassName?: string | undefined;
}

function world(given: World): Observed {
	return {
		...observe(
			'ns/claim',
			emptyCaches(),
			{assignedTo: () => [], assign: async () => true},
			new WaitingRequests(() => {}),
		),
		claim: claim(),
		content: contentKey(),
		snapshotClassName: 'snapshots',
		policy: defaultPolicy,
		shared: [],
		waiting: [],
		...given,
	};
}

function emptyCaches(objects: readonly KubeObject[] = []) {
	const {caches} = new MemoryCaches(objects);
	caches.addIndex(resources.sharedSnapshots, sharedBySource);
	caches.addIndex(resources.volumeSnapshots, snapshotByShared);
	caches.addIndex(resources.volumeSnapshotContents, contentByShared);
	return caches;
}

const planOf = (given: World) => decide(world(given));

describe('decide: a cut, step by step', () => {
	test('nobody waits, nothing exists: nothing', () => {
		expect(planOf({})).toEqual({do: 'nothing'});
	});

	test('somebody waits: a shared snapshot is opened, generation 1, nothing cut yet', () => {
		const plan = planOf({waiting: [request()]});
		expect(plan).toMatchObject({do: 'open', shared: {spec: {closed: false, content: contentKey(), stripes: 1}}});
		expect(plan.do === 'open' && plan.shared.metadata.name).toMatch(/-1$/);
	});

	test('it is open: all who wait are assigned by group commit', () => {
		const waiting = [request({name: 'a'}), request({name: 'b'})];
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
		expect(planOf({waiting: [request({name: 'b'})], shared: [openOne([open('a')])]})).toMatchObject({do: 'assign'});
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
	const waiting = [request({name: 'late'})];

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
	const going = (held: boolean) =>
		readyStripe(sharedSnapshot(), 0, {
			deleting: true,
			finalizers: held ? [finalizers.sharedSnapshot, 'other'] : ['other'],
		});

	test('waits for clones that are being made', () => {
		expect(planOf({shared: [draining([open()], [stripe])]})).toEqual({do: 'nothing'});
	});

	test('then deletes the snapshot, takes our finalizer off it, waits until it is gone, and goes itself', () => {
		expect(planOf({shared: [draining([done()], [stripe])]})).toMatchObject({do: 'deleteSnapshot'});
		expect(planOf({shared: [draining([done()], [going(true)])]})).toMatchObject({do: 'releaseSnapshot'});
		expect(planOf({shared: [draining([done()], [going(false)])]})).toEqual({do: 'nothing'});
		expect(planOf({shared: [draining([done()], [uncut])]})).toMatchObject({do: 'release'});
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
		const plan = planOf({waiting: [request({name: 'b'})], shared: [draining([open()], [stripe])]});
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

	test('a clone in another namespace gets content, then snapshot, then nothing more', () => {
		const first = observed({}, {stripes: [stripe], requests: [tenant]});
		expect(planOf({shared: [first]})).toMatchObject({do: 'createAliasContent'});
		expect(planOf({shared: [of([tenant], {madeContent})]})).toMatchObject({
			do: 'createAliasSnapshot',
			snapshot: {metadata: {namespace: 'tenant'}},
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
			do: 'deleteSnapshot',
		});
		expect(planOf({shared: [of([there], {madeContent: bound})]})).toMatchObject({do: 'deleteContent'});
	});

	test('a content that was bound to an alias deleted by hand is made anew', () => {
		const another = {...alias, metadata: {...alias.metadata, uid: 'another-uid'}};
		const shared = of([tenant], {madeContent: bound, snapshot: another});
		expect(planOf({shared: [shared]})).toMatchObject({do: 'deleteContent'});
	});

	test('a content that is shown as bound before its snapshot is shown is left alone', () => {
		expect(planOf({shared: [of([tenant], {madeContent: bound})]})).toMatchObject({do: 'createAliasSnapshot'});
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
			do: 'deleteSnapshot',
			snapshot: {metadata: {namespace: 'tenant'}},
		});
	});
});

describe('reuseRule', () => {
	test.each([
		['the source is declared immutable', {claim: immutable, content: contentKey()}, 'DeclaredImmutable'],
		['the source may change', {claim: claim(), content: contentKey()}, undefined],
		['the content is another one', {claim: immutable, content: contentKey({capacity: '2Gi'})}, undefined],
		['the content is not known', {claim: immutable, content: undefined}, undefined],
	])('where %s: %s', (_, given, rule) => {
		expect(reuseRule(given, sharedSnapshot(declared))).toBe(rule);
	});

	test('where it was declared immutable only after the cut: undefined', () => {
		expect(reuseRule({claim: immutable, content: contentKey()}, sharedSnapshot())).toBeUndefined();
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
	const assigned = (name: string, requests: AssignedRequest[]) => ({
		assignedTo: (shared: string) => (shared === name ? requests : []),
		assign: async () => true,
	});

	test('an assignment that the cache does not show yet is among the requests', () => {
		const waiting = new WaitingRequests(() => {});
		waiting.assigned(request(), assignmentTo(second));
		const {shared, content} = observe('ns/claim', emptyCaches(objects), assigned('', []), waiting);
		expect(content).toEqual(contentKey());
		expect(shared.map(({requests}) => requests.length)).toEqual([0, 1]);
	});

	test('a cache that still shows the assignment before does not make us forget the new one', () => {
		const waiting = new WaitingRequests(() => {});
		waiting.assigned(request(), assignmentTo(second));
		const {shared} = observe('ns/claim', emptyCaches(objects), assigned(assignmentTo(first), [open()]), waiting);
		expect(shared[1]?.requests.map(({uid}) => uid)).toEqual(['disk-uid']);
	});

	test('is the oldest first, generation 10 after 9', () => {
		const made = [10, 9].map((generation) => sharedSnapshot({generation}));
		const {shared} = observe('ns/claim', emptyCaches(made), assigned('', []), new WaitingRequests(() => {}));
		expect(shared.map(({object}) => object.metadata.uid)).toEqual(['shared-9', 'shared-10']);
	});
});
