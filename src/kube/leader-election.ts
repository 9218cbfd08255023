import type {Lease} from '../api/lease.ts';
import {type Clock, systemClock} from '../process/clock.ts';
import type {Logger} from '../process/log.ts';
import type {KubeApi} from './client.ts';
import {isAlreadyExists, isConflict} from './errors.ts';
import {leading} from './metrics.ts';
import {leases} from './resources.ts';

/**
 * One replica works, the others stand by: client-go's protocol on a Lease, so that its holder reads like any other
 * controller's.
 *
 * A candidate takes the Lease when it has seen no change of it for the Lease's duration *by its own clock* (clocks of two nodes
 * need not agree, only run at the same speed). The holder renews every retryPeriod, and stops working when it could not for
 * renewDeadline, counted from before the last successful request was sent: that is leaseDuration - renewDeadline before anyone
 * else may start. The resourceVersion on each write settles races.
 *
 * Unlike client-go, a clean shutdown goes on renewing until the work has ended, and releases the Lease only then.
 * Not promised: that nothing is written late. A process that was frozen can wake up in the middle of a request, so writes
 * carry a resourceVersion or a fixed name all the same.
 */
export interface LeaderElectionOptions {
	readonly api: Pick<KubeApi, 'find' | 'create' | 'update'>;
	readonly lease: {readonly namespace: string; readonly name: string};
	/** Unique to this process, not only to this Pod: a restarted container must not take itself for its predecessor. */
	readonly identity: string;
	readonly log: Logger;
	/** How long others wait for a silent holder. Default 15 s. */
	readonly leaseDurationMs?: number;
	/** How long the holder works on without a successful renewal. Must be less than leaseDurationMs. Default 10 s. */
	readonly renewDeadlineMs?: number;
	/** Between tries. Must be less than renewDeadlineMs. Default 2 s. */
	readonly retryPeriodMs?: number;
	readonly clock?: Clock;
	/** From 0 to 1, for jitter. */
	readonly random?: () => number;
}

/** `stopped`: the caller's signal, or the work ended by itself. `lost`: another replica may be working now. */
export type TermEnd = 'stopped' | 'lost';

/** Candidates spread their tries over 1 to 2.2 retry periods, as client-go's do. */
const candidateJitter = 1.2;

export class LeaderElector {
	readonly #options: LeaderElectionOptions;
	readonly #clock: Clock;
	readonly #random: () => number;
	readonly #log: Logger;
	readonly #leaseDurationMs: number;
	readonly #renewDeadlineMs: number;
	readonly #retryPeriodMs: number;
	/** The Lease as last seen or written, and when that was by our own clock. */
	#observed: {readonly lease: Lease; readonly atMs: number} | undefined;
	#isLeader = false;

	constructor(options: LeaderElectionOptions) {
		const {leaseDurationMs = 15_000, renewDeadlineMs = 10_000, retryPeriodMs = 2000} = options;
		if (!(leaseDurationMs > renewDeadlineMs && renewDeadlineMs > retryPeriodMs && retryPeriodMs > 0)) {
			throw new Error(
				`leader election needs leaseDurationMs > renewDeadlineMs > retryPeriodMs > 0, not ${leaseDurationMs}, ${renewDeadlineMs}, ${retryPeriodMs}`,
			);
		}
		this.#options = options;
		this.#clock = options.clock ?? systemClock;
		this.#random = options.random ?? Math.random;
		this.#log = options.log.child({lease: options.lease.name, identity: options.identity});
		this.#leaseDurationMs = leaseDurationMs;
		this.#renewDeadlineMs = renewDeadlineMs;
		this.#retryPeriodMs = retryPeriodMs;
	}

	get isLeader(): boolean {
		return this.#isLeader;
	}

	/** Who holds the Lease, as far as we know. */
	get holder(): string | undefined {
		return this.#observed?.lease.spec?.holderIdentity;
	}

	/**
	 * Waits for leadership and calls `lead` once with a signal that aborts the moment leadership is lost or the caller's signal
	 * aborts; `lead` must then stop and settle. Resolves after that; rejects only if `lead` rejects.
	 */
	async run(signal: AbortSignal, lead: (leadership: AbortSignal) => Promise<void>): Promise<TermEnd> {
		const acquiredMs = await this.#acquire(signal);
		if (acquiredMs === undefined) return 'stopped';
		const term = new AbortController();
		const stop = () => term.abort(signal.reason);
		signal.addEventListener('abort', stop);
		if (signal.aborted) stop();
		const workEnded = new AbortController();
		this.#setLeader(true);
		this.#log.info('became the leader');
		const renewing = this.#renew(acquiredMs, {term, until: workEnded.signal});
		try {
			await lead(term.signal);
		} finally {
			signal.removeEventListener('abort', stop);
			workEnded.abort();
			await renewing;
			if (this.#isLeader) await this.#release();
			this.#setLeader(false);
		}
		return term.signal.reason instanceof LeadershipLost ? 'lost' : 'stopped';
	}

	/** When the successful try began; undefined when the signal aborted first. */
	async #acquire(signal: AbortSignal): Promise<number | undefined> {
		let knownHolder: string | undefined;
		while (!signal.aborted) {
			const startedMs = this.#clock.monotonicMs();
			if (await this.#try(this.#renewDeadlineMs, signal)) return startedMs;
			if (this.holder !== knownHolder) {
				knownHolder = this.holder;
				this.#log.info({holder: knownHolder}, 'standing by');
			}
			await this.#clock.sleep(this.#retryPeriodMs * (1 + candidateJitter * this.#random()), signal);
		}
		return undefined;
	}

	async #renew(
		acquiredMs: number,
		{term, until}: {readonly term: AbortController; readonly until: AbortSignal},
	): Promise<void> {
		const lost = new AbortController();
		const lose = () => {
			// Everything that works hangs on this signal: it goes first, the words come after.
			term.abort(new LeadershipLost(`not renewed for ${this.#renewDeadlineMs} ms`));
			this.#setLeader(false);
			lost.abort();
			this.#log.error({holder: this.holder}, 'lost leadership');
		};
		const end = AbortSignal.any([until, lost.signal]);
		const leftMs = () => renewedMs + this.#renewDeadlineMs - this.#clock.monotonicMs();
		let renewedMs = acquiredMs;
		let cancelAlarm = this.#clock.after(leftMs(), lose);
		await this.#clock.sleep(this.#retryPeriodMs, end);
		while (!end.aborted) {
			const startedMs = this.#clock.monotonicMs();
			if (await this.#try(leftMs(), lost.signal)) {
				renewedMs = startedMs;
				cancelAlarm();
				if (!lost.signal.aborted) cancelAlarm = this.#clock.after(leftMs(), lose);
			} else if (!lost.signal.aborted && this.#heldByAnother()) {
				lose();
			}
			await this.#clock.sleep(this.#retryPeriodMs, end);
		}
		cancelAlarm();
	}

	#heldByAnother(): boolean {
		return Boolean(this.holder) && this.holder !== this.#options.identity;
	}

	/** One try to take or renew the Lease. False for every failure; never rejects. */
	async #try(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
		if (timeoutMs <= 0) return false;
		try {
			return await this.#takeOrRenew({timeoutMs, signal});
		} catch (error) {
			if (!signal.aborted) this.#log.debug({error}, 'try for the lease failed');
			return false;
		}
	}

	async #takeOrRenew(request: {timeoutMs: number; signal: AbortSignal}): Promise<boolean> {
		const {api, identity} = this.#options;
		if (this.#isLeader && this.#observed) {
			// The usual case: one write. When the Lease was touched meanwhile, the long way below finds out by whom.
			try {
				this.#observe(await api.update(leases, this.#claim(this.#observed.lease), request));
				return true;
			} catch (error) {
				if (!isConflict(error)) throw error;
			}
		}
		const present = await api.find(leases, this.#options.lease, request);
		if (!present) {
			try {
				this.#observe(await api.create(leases, this.#claim(undefined), request));
				return true;
			} catch (error) {
				if (isAlreadyExists(error)) return false;
				throw error;
			}
		}
		if (present.metadata.resourceVersion !== this.#observed?.lease.metadata.resourceVersion) this.#observe(present);
		const holder = present.spec?.holderIdentity;
		if (holder && holder !== identity && this.#clock.monotonicMs() < this.#expiresMs()) return false;
		try {
			this.#observe(await api.update(leases, this.#claim(present), request));
			return true;
		} catch (error) {
			if (isConflict(error)) return false;
			throw error;
		}
	}

	#observe(lease: Lease): void {
		this.#observed = {lease, atMs: this.#clock.monotonicMs()};
	}

	#expiresMs(): number {
		if (!this.#observed) return Number.POSITIVE_INFINITY;
		const {lease, atMs} = this.#observed;
		const seconds = lease.spec?.leaseDurationSeconds;
		return atMs + (seconds === undefined ? this.#leaseDurationMs : seconds * 1000);
	}

	#claim(present: Lease | undefined): Lease {
		const {lease, identity} = this.#options;
		const now = microTime(this.#clock.now());
		const transitions = present?.spec?.leaseTransitions ?? 0;
		const stays = present?.spec?.holderIdentity === identity;
		return {
			apiVersion: 'coordination.k8s.io/v1',
			kind: 'Lease',
			metadata: present?.metadata ?? lease,
			spec: {
				...present?.spec,
				holderIdentity: identity,
				leaseDurationSeconds: Math.ceil(this.#leaseDurationMs / 1000),
				acquireTime: stays ? (present.spec.acquireTime ?? now) : now,
				renewTime: now,
				leaseTransitions: !present || stays ? transitions : transitions + 1,
			},
		};
	}

	/** Lets the next replica begin at once. Nothing depends on it. */
	async #release(): Promise<void> {
		const observed = this.#observed?.lease;
		if (!observed) return;
		const now = microTime(this.#clock.now());
		const leaseTransitions = observed.spec?.leaseTransitions ?? 0;
		const spec = {leaseDurationSeconds: 1, acquireTime: now, renewTime: now, leaseTransitions};
		try {
			this.#observe(await this.#options.api.update(leases, {...observed, spec}, {timeoutMs: this.#retryPeriodMs}));
			this.#log.info('released the lease');
		} catch (error) {
			this.#log.warn({error}, 'lease not released, it expires by itself');
		}
	}

	#setLeader(isLeader: boolean): void {
		this.#isLeader = isLeader;
		leading.set({lease: this.#options.lease.name}, isLeader ? 1 : 0);
	}
}

class LeadershipLost extends Error {
	override readonly name = 'LeadershipLost';
}

/** metav1.MicroTime wants exactly six fraction digits. */
export function microTime(atMs: number): string {
	return new Date(atMs).toISOString().replace('Z', '000Z');
}
