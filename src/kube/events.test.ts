import {describe, expect, test} from 'vitest';
import type {Event} from '../api/event.ts';
import {silentLogger} from '../process/log.ts';
import {ManualClock, settle} from '../process/manual-clock.ts';
import {ApiError, NoAnswerError} from './errors.ts';
import {type EventRecorderOptions, KubeEventRecorder} from './events.ts';

const line = {method: 'POST', path: '/events'};
const claim = {apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: {namespace: 'ns', name: 'a', uid: 'u'}};
const started = {type: 'Normal', reason: 'Started', message: 'from there'} as const;

/** Keeps Events, or fails as told. */
class EventServer {
	readonly events = new Map<string, Event>();
	requests = 0;
	readonly failures: Error[] = [];
	gate: Promise<void> = Promise.resolve();

	// oxlint-disable typescript/no-unsafe-type-assertion -- a fake that knows one kind behind a generic interface
	readonly api: EventRecorderOptions['api'] = {
		create: async (_, object) => {
			await this.#reach();
			this.events.set(object.metadata.name, object as unknown as Event);
			return object;
		},
		mergePatch: async (_, {name}, patch) => {
			await this.#reach();
			const present = this.events.get(name);
			if (!present) throw new ApiError(line, {code: 404, reason: 'NotFound'});
			this.events.set(name, {...present, ...(patch as object)});
			return present as never;
		},
	};
	// oxlint-enable typescript/no-unsafe-type-assertion

	async #reach() {
		this.requests++;
		await this.gate;
		const failure = this.failures.shift();
		if (failure) throw failure;
	}

	get counts(): (number | undefined)[] {
		return [...this.events.values()].map(({count}) => count);
	}
}

function start(options: Partial<EventRecorderOptions> = {}) {
	const server = new EventServer();
	const clock = new ManualClock();
	const recorder = new KubeEventRecorder({
		api: server.api,
		component: 'onesnap',
		instance: 'onesnap-0',
		log: silentLogger,
		clock,
		...options,
	});
	return {server, clock, recorder};
}

describe('KubeEventRecorder', () => {
	test('writes what kubectl describe reads', async () => {
		const {server, recorder} = start();
		recorder.record(claim, started);
		await recorder.idle();
		expect([...server.events.values()]).toMatchObject([
			{
				metadata: {namespace: 'ns', name: expect.stringMatching(/^a\.[0-9a-f]{16}$/)},
				involvedObject: {apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace: 'ns', name: 'a', uid: 'u'},
				...started,
				count: 1,
				firstTimestamp: '2026-01-01T00:00:00Z',
				source: {component: 'onesnap'},
			},
		]);
	});

	test('repetitions count up one Event, those that wait cost no request', async () => {
		const {server, clock, recorder} = start();
		recorder.record(claim, started);
		await recorder.idle();
		await clock.advance(60_000);
		for (let i = 0; i < 10; i++) recorder.record(claim, started);
		await recorder.idle();
		expect(server.counts).toEqual([11]);
		expect(server.requests).toBeLessThanOrEqual(3);
		expect([...server.events.values()][0]?.lastTimestamp).toBe('2026-01-01T00:01:00Z');
	});

	test('other words, another object or a later hour is another Event', async () => {
		const {server, clock, recorder} = start();
		recorder.record(claim, started);
		recorder.record(claim, {...started, message: 'from elsewhere'});
		recorder.record({...claim, metadata: {...claim.metadata, uid: 'v'}}, started);
		await recorder.idle();
		await clock.advance(3_600_000);
		recorder.record(claim, started);
		await recorder.idle();
		expect(server.counts).toEqual([1, 1, 1, 1]);
	});

	test('one object in trouble is cut short, others are not', async () => {
		const {server, clock, recorder} = start({burst: 3, refillMs: 60_000});
		for (let i = 0; i < 10; i++) recorder.record(claim, {...started, message: String(i)});
		recorder.record({...claim, metadata: {...claim.metadata, name: 'b', uid: 'v'}}, started);
		await recorder.idle();
		expect(server.events.size).toBe(4);
		await clock.advance(60_000);
		recorder.record(claim, {...started, message: 'later'});
		await recorder.idle();
		expect(server.events.size).toBe(5);
	});

	test('failures that may pass are tried again, others not; the caller sees neither', async () => {
		const {server, clock, recorder} = start();
		server.failures.push(
			new NoAnswerError(line, {reason: 'Timeout', message: 'late'}),
			new ApiError(line, {code: 503}),
		);
		recorder.record(claim, started);
		await clock.advance(60_000);
		expect(server.counts).toEqual([1]);
		server.failures.push(new ApiError(line, {code: 403, reason: 'Forbidden'}));
		recorder.record(claim, {...started, message: 'refused'});
		await clock.advance(60_000);
		expect(server.counts).toEqual([1]);
		expect(server.requests).toBe(4);
	});

	test('a full queue drops, it does not grow', async () => {
		const {server, recorder} = start({maxWaiting: 2});
		const gate = Promise.withResolvers<void>();
		server.gate = gate.promise;
		for (let i = 0; i < 6; i++) recorder.record(claim, {...started, message: String(i)});
		gate.resolve();
		await recorder.idle();
		expect(server.events.size).toBe(3);
	});

	test('closing writes what waits, and gives up at its deadline', async () => {
		const {server, recorder} = start();
		recorder.record(claim, started);
		await recorder.close();
		recorder.record(claim, {...started, message: 'too late'});
		expect(server.counts).toEqual([1]);

		const stuck = start();
		stuck.server.failures.push(...Array.from({length: 5}, () => new ApiError(line, {code: 503})));
		stuck.recorder.record(claim, started);
		let closed = false;
		const closing = stuck.recorder.close(500).then(() => {
			closed = true;
			return undefined;
		});
		await settle();
		expect(closed).toBe(false);
		await stuck.clock.advance(500);
		await closing;
		expect(stuck.server.events.size).toBe(0);
	});
});
