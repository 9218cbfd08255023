import * as fc from 'fast-check';
import {describe, expect, onTestFinished, test, vi} from 'vitest';
import {type Clock, systemClock} from '../process/clock.ts';
import {silentLogger} from '../process/log.ts';
import {settle} from '../process/manual-clock.ts';
import {KubeClient} from './client.ts';
import {type Fault, LoopbackApiServer} from './loopback-api-server.ts';
import {type Change, Reflector, type ReflectorOptions} from './reflector.ts';
import {configMaps, type DataObject} from './resources.ts';
import {Store} from './store.ts';

/** Real time, but pauses are only written down. */
function makeImpatientClock(): Clock & {readonly sleeps: number[]} {
	const sleeps: number[] = [];
	const sleep = async (delayMs: number) => {
		sleeps.push(delayMs);
		await settle();
	};
	return {...systemClock, sleep, sleeps};
}

/** vi.waitFor's own interval is 50 ms. */
function eventually(check: () => void): Promise<void> {
	return vi.waitFor(check, {interval: 1, timeout: 4000});
}

/** Applies changes one after the other to nothing, and says where that makes no sense. */
function retell(changes: readonly Change<DataObject>[]) {
	const objects = new Map<string, DataObject>();
	const contradictions: Change<DataObject>[] = [];
	for (const change of changes) {
		const {name} = change.object.metadata;
		const present = objects.get(name);
		const isPossible =
			change.type === 'update' ? present === change.old : Boolean(present) === (change.type === 'delete');
		if (!isPossible) contradictions.push(change);
		if (change.type === 'delete') objects.delete(name);
		else objects.set(name, change.object);
	}
	return {objects: [...objects.values()], contradictions};
}

type Options = Partial<Pick<ReflectorOptions<DataObject>, 'optional' | 'pageSize' | 'idleTimeoutMs' | 'onChange'>>;

async function start(server: LoopbackApiServer, options: Options = {}) {
	const clock = makeImpatientClock();
	const client = new KubeClient({connection: server.connection});
	const store = new Store<DataObject>({freeze: true});
	const changes: Change<DataObject>[] = [];
	const stop = new AbortController();
	const reflector = new Reflector<DataObject>({
		api: client,
		resource: configMaps,
		store,
		log: silentLogger,
		clock,
		random: () => 0,
		onChange: (change) => changes.push(change),
		...options,
	});
	const ending = reflector.run(stop.signal);
	const end = async () => {
		stop.abort();
		await ending;
		client.close();
	};
	onTestFinished(end);
	const names = () => store.list().map(({metadata}) => metadata.name);
	/** The watch is open and has brought everything. */
	const caughtUp = () =>
		eventually(() => {
			expect(server.openWatches).toBe(1);
			expect(reflector.hasSeen(server.version)).toBe(true);
		});
	const told = () =>
		changes.map(({type, object}) => `${type} ${object.metadata.name}@${object.metadata.resourceVersion}`);
	await eventually(() => expect(reflector.hasSynced).toBe(true));
	return {clock, store, changes, reflector, names, caughtUp, told, end};
}

async function startServer(): Promise<LoopbackApiServer> {
	const server = await LoopbackApiServer.start();
	onTestFinished(() => server[Symbol.asyncDispose]());
	return server;
}

describe('Reflector', () => {
	test('lists page by page, then follows', async () => {
		const server = await startServer();
		for (const name of ['a', 'b', 'c', 'd', 'e']) server.put(name);
		const {store, changes, names, caughtUp, told, reflector} = await start(server, {pageSize: 2});
		expect(names()).toEqual(['a', 'b', 'c', 'd', 'e']);
		expect(server.lists).toBe(3);
		expect(store.get('ns', 'a')).toMatchObject({apiVersion: 'v1', kind: 'ConfigMap'});
		await caughtUp();
		changes.length = 0;
		server.put('f');
		server.put('a', {x: 'y'});
		server.remove('b');
		await caughtUp();
		expect(told()).toEqual(['add f@106', 'update a@107', 'delete b@108']);
		expect(changes[1]).toMatchObject({old: {metadata: {resourceVersion: '101'}}});
		expect(names()).toEqual(['a', 'c', 'd', 'e', 'f']);
		expect(reflector.epoch).toBe(1);
		expect(reflector.resourceVersion).toBe('108');
	});

	const breaks: [string, Fault][] = [
		['a reset in the middle of a line', {do: 'cutMidLine', endsWell: false}],
		['an end in the middle of a line', {do: 'cutMidLine', endsWell: true}],
		['a refused connection', {do: 'reset'}],
		['500', {do: 'answer', code: 500}],
		['503', {do: 'answer', code: 503}],
		['429', {do: 'answer', code: 429}],
		['401', {do: 'answer', code: 401}],
		['a watch that ends at once', {do: 'end'}],
	];

	test.each(breaks)('after %s it goes on where it was, without a gap', async (_, fault) => {
		const server = await startServer();
		server.put('a');
		const {caughtUp, told, reflector, clock} = await start(server);
		await caughtUp();
		server.fail('watch', fault, fault, fault);
		server.dropWatches();
		server.put('b');
		server.put('c');
		server.remove('a');
		await caughtUp();
		expect(told()).toEqual(['add a@101', 'add b@102', 'add c@103', 'delete a@104']);
		expect(reflector.epoch).toBe(1);
		expect(server.lists).toBe(1);
		expect(clock.sleeps.length).toBeGreaterThanOrEqual(2);
	});

	test('back-off grows from failure to failure', async () => {
		const server = await startServer();
		const {caughtUp, clock} = await start(server);
		await caughtUp();
		const failure: Fault = {do: 'answer', code: 500};
		server.fail('watch', ...Array.from({length: 9}, () => failure));
		server.dropWatches();
		server.put('a');
		await caughtUp();
		// The first is for the dropped watch itself.
		expect(clock.sleeps).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 30_000]);
		server.dropWatches();
		server.put('b');
		await caughtUp();
		expect(clock.sleeps.at(-1)).toBe(500);
	});

	test('honours Retry-After, in lists and in watches', async () => {
		const server = await startServer();
		server.fail('list', {do: 'answer', code: 429, retryAfter: '7'}, {do: 'answer', code: 503, retryAfter: '9'});
		const {caughtUp, clock} = await start(server);
		await caughtUp();
		server.fail('watch', {do: 'answer', code: 429, retryAfter: '11'});
		server.dropWatches();
		server.put('a');
		await caughtUp();
		expect(clock.sleeps).toEqual(expect.arrayContaining([7000, 9000, 11_000]));
	});

	test.each<[string, (server: LoopbackApiServer) => void]>([
		['in the stream', (server) => server.fail('watch', {do: 'goneInStream'})],
		['instead of a watch', (server) => server.fail('watch', {do: 'answer', code: 410})],
		['because history was compacted', () => {}],
	])('410 %s: lists again, finds the net effect, and says that there was a gap', async (_, prepare) => {
		const server = await startServer();
		for (const name of ['same', 'changed', 'deleted', 'replaced']) server.put(name);
		const {caughtUp, changes, told, reflector} = await start(server);
		await caughtUp();
		changes.length = 0;
		prepare(server);
		server.dropWatches();
		server.put('changed', {x: '1'});
		server.put('changed', {x: '2'});
		server.remove('deleted');
		server.remove('replaced');
		server.put('replaced');
		server.put('brief');
		server.remove('brief');
		server.compact();
		await caughtUp();
		expect(new Set(told())).toEqual(
			new Set(['delete deleted@103', 'update changed@106', 'delete replaced@104', 'add replaced@109']),
		);
		expect(told().indexOf('delete replaced@104')).toBeLessThan(told().indexOf('add replaced@109'));
		expect(reflector.epoch).toBe(2);
	});

	test('410 again and again is not answered in a tight loop', async () => {
		const server = await startServer();
		const {caughtUp, clock, reflector} = await start(server);
		await caughtUp();
		const gone: Fault = {do: 'goneInStream'};
		server.fail('list', ...Array.from({length: 4}, (): Fault => ({do: 'answer', code: 410})));
		server.fail('watch', gone);
		server.dropWatches();
		server.put('a');
		await caughtUp();
		// One for the dropped watch and one for each 410; a first 410 of its own would not be waited for.
		expect(clock.sleeps).toHaveLength(6);
		expect(reflector.epoch).toBe(2);
	});

	test('a bookmark alone moves the version on, so that compaction does not matter', async () => {
		const server = await startServer();
		server.put('a');
		const {caughtUp, reflector} = await start(server);
		await caughtUp();
		server.elsewhere();
		expect(reflector.hasSeen(server.version)).toBe(false);
		server.bookmark();
		await caughtUp();
		server.compact();
		server.dropWatches();
		server.put('b');
		await caughtUp();
		expect(server.watchedFrom).toEqual(['101', '102']);
		expect(reflector.epoch).toBe(1);
	});

	test('a watch that says nothing is given up and begun anew', async () => {
		const server = await startServer();
		server.fail('watch', {do: 'stall'});
		const {caughtUp, names, reflector} = await start(server, {idleTimeoutMs: 50});
		server.put('a');
		await eventually(() => expect(names()).toEqual(['a']));
		server.bookmark();
		await caughtUp();
		expect(reflector.epoch).toBe(1);
	});

	test('a continue token that expired begins the list again', async () => {
		const server = await startServer();
		for (const name of ['a', 'b', 'c']) server.put(name);
		server.onList = () => {
			if (server.lists === 2) server.compact();
		};
		const {names, reflector} = await start(server, {pageSize: 2});
		expect(server.lists).toBe(4);
		expect(names()).toEqual(['a', 'b', 'c']);
		expect(reflector.epoch).toBe(1);
	});

	test('a handler that throws does not stop the cache', async () => {
		const server = await startServer();
		server.put('a');
		const {names, caughtUp} = await start(server, {
			onChange: () => {
				throw new Error('a mistake');
			},
		});
		await caughtUp();
		server.put('b');
		await caughtUp();
		expect(names()).toEqual(['a', 'b']);
	});

	test('an optional kind may be missing, appear, and go again', async () => {
		const server = await startServer();
		server.installed = false;
		server.put('a');
		const {names, caughtUp, told, reflector} = await start(server, {optional: true});
		expect(names()).toEqual([]);
		expect(reflector.resourceVersion).toBeUndefined();
		server.installed = true;
		await caughtUp();
		expect(names()).toEqual(['a']);
		server.installed = false;
		server.dropWatches();
		await eventually(() => expect(names()).toEqual([]));
		expect(told()).toEqual(['add a@101', 'delete a@101']);
	});

	test('whatever is written and whatever breaks, the cache ends equal, and was told a possible story', async () => {
		const server = await startServer();
		const names = fc.constantFrom('a', 'b', 'c', 'd');
		const fault: fc.Arbitrary<Fault> = fc.oneof(
			fc.constant<Fault>({do: 'reset'}),
			fc.constant<Fault>({do: 'goneInStream'}),
			fc.constant<Fault>({do: 'end'}),
			fc.record({do: fc.constant('cutMidLine' as const), endsWell: fc.boolean()}),
			fc.record({do: fc.constant('answer' as const), code: fc.constantFrom(401, 410, 429, 500, 503, 504)}),
		);
		const step = fc.oneof(
			{weight: 6, arbitrary: fc.record({do: fc.constant('put' as const), name: names})},
			{weight: 3, arbitrary: fc.record({do: fc.constant('remove' as const), name: names})},
			fc.record({do: fc.constant('drop' as const), faults: fc.array(fault, {maxLength: 3})}),
			fc.record({do: fc.constant('compact' as const)}),
			fc.record({do: fc.constant('bookmark' as const)}),
			fc.record({do: fc.constant('breathe' as const)}),
		);
		await fc.assert(
			fc.asyncProperty(fc.array(step, {maxLength: 40}), async (steps) => {
				const {changes, store, reflector, caughtUp, end} = await start(server, {pageSize: 2});
				const epochs = [reflector.epoch];
				for (const action of steps) {
					if (action.do === 'put') server.put(action.name);
					else if (action.do === 'remove') server.remove(action.name);
					else if (action.do === 'compact') server.compact();
					else if (action.do === 'bookmark') server.bookmark();
					else if (action.do === 'breathe') await settle();
					else {
						server.fail('watch', ...action.faults);
						server.dropWatches();
					}
					epochs.push(reflector.epoch);
				}
				server.elsewhere();
				await eventually(() => expect(server.openWatches).toBe(1));
				server.bookmark();
				await caughtUp();
				const sort = (objects: readonly DataObject[]) =>
					[...objects].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
				expect(sort(store.list())).toEqual(sort(server.objects));
				const {objects, contradictions} = retell(changes);
				expect(contradictions).toEqual([]);
				expect(new Set(objects)).toEqual(new Set(store.list()));
				expect(epochs).toEqual([...epochs].sort((a, b) => a - b));
				await end();
				await eventually(() => expect(server.openWatches).toBe(0));
			}),
			{numRuns: 60},
		);
	});
});
