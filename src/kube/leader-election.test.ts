import {describe, expect, test} from 'vitest';
import type {KubeObject} from '../api/kubernetes.ts';
import type {Lease} from '../api/lease.ts';
import {silentLogger} from '../process/log.ts';
import {ManualClock, settle} from '../process/manual-clock.ts';
import {ApiError, NoAnswerError} from './errors.ts';
import {LeaderElector, type LeaderElectionOptions, microTime} from './leader-election.ts';
import {leases} from './resources.ts';

const line = {method: 'PUT', path: '/lease'};

// oxlint-disable typescript/no-unsafe-type-assertion -- a fake that knows one kind behind a generic interface
/** The API server's rules for one Lease: versions, conflicts; and outages. */
class LeaseServer {
	lease: Lease | undefined;
	writes = 0;
	/** What happens to requests of an identity: refused at once, never answered, or answered. */
	readonly outages = new Map<string, 'refuse' | 'hang'>();
	/** How long an answer takes; the write itself happens at once. */
	latencyMs = 0;
	readonly #clock: ManualClock;
	#version = 0;

	constructor(clock: ManualClock) {
		this.#clock = clock;
	}

	apiFor(identity: string): LeaderElectionOptions['api'] {
		const reach = async (signal?: AbortSignal) => {
			await Promise.resolve();
			const outage = this.outages.get(identity);
			if (outage === 'refuse') throw new NoAnswerError(line, {reason: 'Connection', message: 'refused'});
			if (outage === 'hang') {
				await new Promise((_, reject) => {
					signal?.addEventListener('abort', () => reject(signal.reason));
				});
			}
		};
		const write = (object: KubeObject) => {
			this.writes++;
			this.#version++;
			this.lease = {...object, metadata: {...object.metadata, resourceVersion: String(this.#version)}};
		};
		// The elector knows one kind only, so the generic methods may too.
		return {
			find: async (_resource, _key, options) => {
				await reach(options?.signal);
				return this.lease as never;
			},
			create: async (_resource, object, options) => {
				await reach(options?.signal);
				if (this.lease) throw new ApiError(line, {code: 409, reason: 'AlreadyExists'});
				write(object);
				return this.lease as never;
			},
			update: async (_resource, object, options) => {
				await reach(options?.signal);
				if (object.metadata.resourceVersion !== this.lease?.metadata.resourceVersion) {
					throw new ApiError(line, {code: 409, reason: 'Conflict'});
				}
				write(object);
				const written = this.lease;
				if (this.latencyMs > 0) await this.#clock.sleep(this.latencyMs);
				return written as never;
			},
		};
	}
}

class Replica {
	readonly stop = new AbortController();
	readonly log: string[] = [];
	readonly elector: LeaderElector;
	end: string | undefined;
	/** How long the work takes to stop once told. */
	stopWorkMs = 0;
	working = false;

	constructor(server: LeaseServer, clock: ManualClock, identity: string) {
		this.elector = new LeaderElector({
			api: server.apiFor(identity),
			lease: {namespace: 'ns', name: 'onesnap'},
			identity,
			log: silentLogger,
			clock,
			random: () => 0.5,
		});
		const lead = async (leadership: AbortSignal) => {
			this.working = true;
			if (!leadership.aborted) {
				await new Promise((resolve) => {
					leadership.addEventListener('abort', resolve);
				});
			}
			if (this.stopWorkMs > 0) await clock.sleep(this.stopWorkMs);
			this.working = false;
		};
		this.ended = this.elector.run(this.stop.signal, lead).then((end) => {
			this.end = end;
			return end;
		});
	}

	readonly ended: Promise<string>;
}

function cluster() {
	const clock = new ManualClock();
	const server = new LeaseServer(clock);
	const replica = (identity: string) => new Replica(server, clock, identity);
	return {clock, server, replica};
}

describe('LeaderElector', () => {
	test('the first to come leads, the second stands by as long as the first renews', async () => {
		const {clock, server, replica} = cluster();
		const a = replica('a');
		await settle();
		const b = replica('b');
		await clock.advance(120_000);
		expect([a.working, b.working]).toEqual([true, false]);
		expect(a.elector.isLeader).toBe(true);
		expect(b.elector.holder).toBe('a');
		expect(server.lease?.spec).toMatchObject({
			holderIdentity: 'a',
			leaseDurationSeconds: 15,
			leaseTransitions: 0,
			acquireTime: '2026-01-01T00:00:00.000000Z',
		});
	});

	test('a renewal is one write', async () => {
		const {clock, server, replica} = cluster();
		replica('a');
		await clock.advance(0);
		const before = server.writes;
		await clock.advance(20_000);
		expect(server.writes - before).toBe(10);
	});

	test.each(['refuse', 'hang'] as const)(
		'a leader cut off (%s) stops before another starts, and the other takes over',
		async (outage) => {
			const {clock, server, replica} = cluster();
			const a = replica('a');
			await settle();
			const b = replica('b');
			await clock.advance(30_000);
			server.outages.set('a', outage);
			let both = 0;
			let neither = 0;
			for (let step = 0; step < 400; step++) {
				await clock.advance(100);
				if (a.working && b.working) both++;
				if (!a.working && !b.working) neither++;
			}
			expect(a.end).toBe('lost');
			expect(b.working).toBe(true);
			expect(both).toBe(0);
			// leaseDuration - renewDeadline, and up to two of the candidate's periods.
			expect(neither * 100).toBeGreaterThanOrEqual(3000);
			expect(neither * 100).toBeLessThanOrEqual(5000 + 2 * 4400);
			expect(server.lease?.spec?.leaseTransitions).toBe(1);
		},
	);

	test.each([
		['right after it was won', 0, 10_000],
		// A renewal counts from when it was asked for: that is what the others' clocks may have seen.
		['when answers took three seconds', 3000, 7000],
	])('leadership lasts ten seconds beyond the last renewal: %s', async (_, latencyMs, expectedMs) => {
		const {clock, server, replica} = cluster();
		const a = replica('a');
		await settle();
		if (latencyMs > 0) {
			await clock.advance(30_000);
			server.latencyMs = latencyMs;
			const {writes} = server;
			while (server.writes < writes + 3) await clock.advance(100);
			// The answer to the third is on its way, and it is the last that comes.
			await clock.advance(latencyMs);
		}
		server.outages.set('a', 'hang');
		await clock.advance(expectedMs - 200);
		expect(a.working).toBe(true);
		await clock.advance(300);
		expect([a.working, a.end]).toEqual([false, 'lost']);
	});

	test('the lease is released even if a renewal is on its way when the work ends', async () => {
		const {clock, server, replica} = cluster();
		const a = replica('a');
		await clock.advance(3000);
		server.latencyMs = 500;
		const {writes} = server;
		while (server.writes === writes) await clock.advance(100);
		a.stop.abort();
		await clock.advance(5000);
		expect(a.end).toBe('stopped');
		expect(server.lease?.spec?.holderIdentity).toBeUndefined();
	});

	test('a short outage is no reason to stop', async () => {
		const {clock, server, replica} = cluster();
		const a = replica('a');
		await settle();
		const b = replica('b');
		await clock.advance(30_000);
		server.outages.set('a', 'refuse');
		await clock.advance(7000);
		server.outages.delete('a');
		await clock.advance(60_000);
		expect([a.working, b.working]).toEqual([true, false]);
	});

	test('somebody else in the lease ends the term at the next renewal', async () => {
		const {clock, server, replica} = cluster();
		const a = replica('a');
		await clock.advance(10_000);
		const {lease} = server;
		if (!lease) throw new Error('no lease');
		await server.apiFor('admin').update(leases, {...lease, spec: {...lease.spec, holderIdentity: 'other'}});
		await clock.advance(2000);
		expect(a.end).toBe('lost');
		expect(server.lease?.spec?.holderIdentity).toBe('other');
	});

	test('a label on the lease is no reason to stop', async () => {
		const {clock, server, replica} = cluster();
		const a = replica('a');
		await clock.advance(10_000);
		const {lease} = server;
		if (!lease) throw new Error('no lease');
		await server.apiFor('admin').update(leases, {...lease, metadata: {...lease.metadata, labels: {a: 'b'}}});
		await clock.advance(60_000);
		expect(a.working).toBe(true);
		expect(server.lease?.metadata.labels).toEqual({a: 'b'});
	});

	test('a clean shutdown renews until the work has ended, then releases, and the next starts soon', async () => {
		const {clock, server, replica} = cluster();
		const a = replica('a');
		await settle();
		const b = replica('b');
		await clock.advance(30_000);
		a.stopWorkMs = 40_000;
		a.stop.abort();
		await clock.advance(39_900);
		expect([a.working, b.working, a.end]).toEqual([true, false, undefined]);
		await clock.advance(100);
		expect([a.working, a.end]).toEqual([false, 'stopped']);
		expect(server.lease?.spec?.holderIdentity).toBeUndefined();
		await clock.advance(4400);
		expect(b.working).toBe(true);
	});

	test('a candidate that is stopped never leads', async () => {
		const {clock, replica} = cluster();
		replica('a');
		await settle();
		const b = replica('b');
		await clock.advance(5000);
		b.stop.abort();
		await settle();
		expect(b.end).toBe('stopped');
		expect(b.working).toBe(false);
	});

	test('a restarted replica waits for its predecessor, whose identity is another', async () => {
		const {clock, server, replica} = cluster();
		const a = replica('a_1');
		await clock.advance(10_000);
		server.outages.set('a_1', 'refuse');
		const again = replica('a_2');
		await clock.advance(9000);
		expect(again.working).toBe(false);
		await clock.advance(20_000);
		expect([a.working, again.working]).toEqual([false, true]);
	});

	test('of many candidates one leads', async () => {
		const {clock, replica} = cluster();
		const replicas = ['a', 'b', 'c', 'd'].map(replica);
		await clock.advance(60_000);
		expect(replicas.filter(({working}) => working)).toHaveLength(1);
	});

	test('refuses durations that cannot work', () => {
		const options = {
			api: new LeaseServer(new ManualClock()).apiFor('a'),
			lease: {namespace: 'n', name: 'l'},
			identity: 'a',
			log: silentLogger,
		};
		expect(() => new LeaderElector({...options, renewDeadlineMs: 15_000})).toThrow('leaseDurationMs > renewDeadlineMs');
	});
});

test('MicroTime has six fraction digits', () => {
	expect(microTime(Date.parse('2026-01-01T00:00:00.5Z'))).toBe('2026-01-01T00:00:00.500000Z');
});
