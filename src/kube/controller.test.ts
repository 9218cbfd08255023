import {Writable} from 'node:stream';
import {describe, expect, onTestFinished, test, vi} from 'vitest';
import {makeLogger, silentLogger} from '../process/log.ts';
import {ManualClock, settle} from '../process/manual-clock.ts';
import {Caches} from './caches.ts';
import {KubeClient} from './client.ts';
import {Controller, type Reconcile, type ReconcileResult, watch} from './controller.ts';
import {ApiError, NoAnswerError} from './errors.ts';
import {LoopbackApiServer} from './loopback-api-server.ts';
import {configMaps, type DataObject, secrets} from './resources.ts';

/** Caches that are synced and empty. */
const noCaches = new Caches({
	api: new KubeClient({
		connection: {
			server: new URL('http://127.0.0.1:1'),
			namespace: undefined,
			credentials: () => Promise.resolve({headers: {}, tls: {}}),
			rejected: () => {},
		},
	}),
	kinds: [],
	log: silentLogger,
});

function start(reconcile: Reconcile, options: {deadlineMs?: number; concurrency?: number} = {}) {
	const clock = new ManualClock();
	const lines: Record<string, unknown>[] = [];
	const destination = new Writable({
		write(chunk: Buffer, _, callback) {
			lines.push(JSON.parse(chunk.toString()));
			callback();
		},
	});
	const controller = new Controller({
		name: 'test',
		caches: noCaches,
		watches: [],
		reconcile,
		log: makeLogger({level: 'debug', destination}),
		clock,
		backoff: {baseMs: 100, maxMs: 60_000, jitter: 0},
		...options,
	});
	const stop = new AbortController();
	const ending = controller.run(stop.signal);
	onTestFinished(async () => {
		stop.abort();
		await ending;
	});
	return {clock, lines, controller, stop, ending};
}

/** Gives these results in turn, then `done`; remembers when. */
function scripted(clock: () => ManualClock, ...results: (ReconcileResult | Error)[]) {
	const at: number[] = [];
	const reconcile: Reconcile = () => {
		at.push(clock().monotonicMs());
		const result = results.shift() ?? 'done';
		return result instanceof Error ? Promise.reject(result) : Promise.resolve(result);
	};
	return {at, reconcile};
}

describe('a round', () => {
	test.each<[string, (ReconcileResult | Error)[], number[]]>([
		['that is done is over', ['done'], [0]],
		['may ask to be looked at again', [{recheckAfterMs: 5000}], [0, 5000]],
		['that throws is repeated, ever later', [new Error('a'), new Error('b'), new Error('c')], [0, 100, 300, 700]],
		['that succeeds resets the delay', [new Error('a'), {recheckAfterMs: 1000}, new Error('b')], [0, 100, 1100, 1200]],
		['waits as long as the API server asks', [new ApiError({method: 'GET', path: '/'}, {code: 429}, 9000)], [0, 9000]],
	])('%s', async (_, results, expected) => {
		const script = scripted(() => clock, ...results);
		const {clock, controller} = start(script.reconcile);
		controller.enqueue('ns/a');
		await clock.advance(3_600_000);
		expect(script.at).toEqual(expected);
	});

	test('logs failures as errors, conflicts for the curious only, with the fields of its key', async () => {
		const failures = [
			new NoAnswerError({method: 'GET', path: '/x'}, {reason: 'Timeout', message: 'too long'}),
			new ApiError({method: 'PUT', path: '/x'}, {code: 409, reason: 'Conflict'}),
		];
		const script = scripted(() => clock, ...failures);
		const {clock, controller, lines} = start(script.reconcile);
		controller.enqueue('ns/a');
		await clock.advance(10_000);
		expect(lines).toMatchObject([
			{level: 'error', msg: 'round failed', controller: 'test', namespace: 'ns', name: 'a', attempt: 1, delayMs: 100},
			{level: 'debug', msg: 'round met a conflict', attempt: 2},
		]);
		expect(lines[0]).toHaveProperty('error.message', 'GET /x: too long');
	});

	test('is told by its signal when its time is over', async () => {
		let reason: unknown;
		const {clock, controller, lines} = start(
			async (_, {signal}) => {
				await new Promise((resolve) => {
					signal.addEventListener('abort', resolve);
				});
				reason = signal.reason;
				return 'done';
			},
			{deadlineMs: 1000},
		);
		controller.enqueue('a');
		await clock.advance(1000);
		expect(reason).toMatchObject({name: 'TimeoutError'});
		expect(lines).toEqual([]);
	});

	test('that ignores its deadline is reported, and its key is not given to another worker', async () => {
		let rounds = 0;
		const hanging = Promise.withResolvers<ReconcileResult>();
		const {clock, controller, lines} = start(
			() => {
				rounds++;
				return hanging.promise;
			},
			{deadlineMs: 1000},
		);
		controller.enqueue('a');
		await clock.advance(500);
		controller.enqueue('a');
		await clock.advance(600_000);
		expect(rounds).toBe(1);
		expect(lines).toMatchObject([{level: 'error', msg: 'round does not end after its deadline'}]);
		hanging.resolve('done');
	});

	test('stopping aborts the round, waits for it, and keeps its key for the next run', async () => {
		const signals: AbortSignal[] = [];
		const reconcile: Reconcile = async (_, {signal}) => {
			signals.push(signal);
			await new Promise((resolve) => {
				signal.addEventListener('abort', resolve);
			});
			throw signal.reason;
		};
		const {controller, stop, ending, lines} = start(reconcile);
		controller.enqueue('a');
		await settle();
		stop.abort();
		await ending;
		expect(controller.pending).toBe(1);
		expect(lines).toMatchObject([{level: 'debug', msg: 'round aborted'}]);
		const again = new AbortController();
		const second = controller.run(again.signal);
		await settle();
		expect(signals).toHaveLength(2);
		again.abort();
		await second;
	});
});

describe('with caches', () => {
	async function startCaches() {
		const server = await LoopbackApiServer.start();
		const client = new KubeClient({connection: server.connection});
		const caches = new Caches({api: client, kinds: [{resource: configMaps}], log: silentLogger, freeze: true});
		const stop = new AbortController();
		let ending = Promise.resolve();
		onTestFinished(async () => {
			stop.abort();
			await ending;
			client.close();
			await server[Symbol.asyncDispose]();
		});
		return {
			server,
			caches,
			stop,
			go: () => {
				ending = caches.start(stop.signal);
			},
		};
	}

	const ownerOf = ({metadata}: DataObject) => (metadata.labels?.['owner'] ? [metadata.labels['owner']] : []);

	test('works on the root keys of every object, from when the caches are synced', async () => {
		const {server, caches, stop, go} = await startCaches();
		server.put('one', {owner: 'x'});
		server.put('two', {owner: 'x'});
		server.put('none');
		const seen: {key: string; size: number}[] = [];
		const controller = new Controller({
			name: 'test',
			caches,
			watches: [watch(configMaps, ownerOf)],
			reconcile: (key) => {
				seen.push({key, size: caches.store(configMaps).size});
				return Promise.resolve('done');
			},
			log: silentLogger,
		});
		const running = controller.run(stop.signal);
		await settle();
		expect(seen).toEqual([]);
		expect(caches.hasSynced).toBe(false);
		expect(caches.unsynced).toEqual(['/api/v1/configmaps']);
		go();
		await vi.waitFor(() => expect(seen).toEqual([{key: 'x', size: 3}]));
		server.put('one', {owner: 'y'});
		await vi.waitFor(() => expect(seen.slice(1).map(({key}) => key)).toEqual(['x', 'y']));
		server.remove('two');
		await vi.waitFor(() => expect(seen.slice(3).map(({key}) => key)).toEqual(['x']));
		stop.abort();
		await running;
	});

	test('a handler that comes late is told what is there', async () => {
		const {server, caches, go} = await startCaches();
		server.put('one');
		go();
		await caches.synced();
		const told: string[] = [];
		caches.onChange(configMaps, ({type, object}) => told.push(`${type} ${object.metadata.name}`));
		expect(told).toEqual(['add one']);
	});

	test('waiting for caches ends with the signal', async () => {
		const {caches} = await startCaches();
		const reason = new Error('shutting down');
		const stop = new AbortController();
		const waiting = caches.synced(stop.signal);
		stop.abort(reason);
		await expect(waiting).rejects.toBe(reason);
		await expect(caches.synced(AbortSignal.abort(reason))).rejects.toBe(reason);
	});

	test('asking for a kind that is not cached is a mistake', async () => {
		const {caches} = await startCaches();
		expect(() => caches.store(secrets)).toThrow('/api/v1/secrets is not cached');
	});
});
