/**
 * Writes the status of DataVolumes and tells their events, with as few requests as a burst of clones allows.
 *
 * What is final, what waits for a person and every phase of an import is written at once. A clone's phase that is only in
 * between is written when it has lasted: most are over before anybody could read them, and each would cost a request that
 * the clone itself waits for. So what is written is always a true status, in the order of phases, perhaps not each of
 * them; and of a thousand clones at once five a second are written. Nothing here needs to survive a restart: the phase is derived anew, and has to last once more.
 */
import {isDeepStrictEqual} from 'node:util';
import {findCondition} from '../api/conditions.ts';
import type {DataVolume, DataVolumePhase, DataVolumeStatus} from '../api/datavolume.ts';
import type {KubeApi} from '../kube/client.ts';
import type {EventRecorder} from '../kube/events.ts';
import {compareResourceVersions} from '../kube/resource-version.ts';
import * as resources from '../kube/resources.ts';
import {writeStatus} from '../kube/write-status.ts';
import type {Clock} from '../process/clock.ts';
import type {DataVolumePlan} from './decide.ts';
import {hasWarning, slowEvent, transitionEvents} from './events.ts';
import type {Observed} from './observe.ts';
import {type Outcome, statusOf} from './status.ts';

/** How long a phase in between lasts before it is written where nothing was written yet. */
export const firstReportMs = 2000;
/** The same for those that follow. */
export const nextReportMs = 10_000;
/** Between two phases in between, of whatever clones: what is left of the API server's time when claims are made. */
export const spacingMs = 200;
/** A phase that lasts longer is told as an event. */
export const slowMs = 30_000;

const inBetween: ReadonlySet<DataVolumePhase> = new Set([
	'Pending',
	'CloneScheduled',
	'SnapshotForSmartCloneInProgress',
	'CloneFromSnapshotSourceInProgress',
	'PrepClaimInProgress',
	'RebindInProgress',
]);

/** What is said of one DataVolume. */
interface Said {
	/** What it comes down to, without the words. */
	readonly gist: string;
	readonly sinceMs: number;
	toldSlow: boolean;
}

function gistOf({phase, conditions}: DataVolumeStatus): string {
	const {reason} = findCondition(conditions, 'Bound') ?? {};
	return `${phase} ${reason}`;
}

export interface StatusReportsOptions {
	readonly api: Pick<KubeApi, 'mergePatchStatus'>;
	readonly events: EventRecorder;
	readonly clock: Clock;
	/** Told of every status that was written. */
	readonly onWritten: (dataVolume: DataVolume, status: DataVolumeStatus) => void;
}

export class StatusReports {
	readonly #options: StatusReportsOptions;
	readonly #said = new Map<string, Said>();
	/** When each may write its phase in between: they are let in one after the other. */
	readonly #turns = new Map<string, number>();
	#nextTurnMs = 0;
	/** As the server answered the last write: the cache shows it a moment later, and the same would be written again. */
	readonly #written = new Map<string, DataVolume>();

	constructor(options: StatusReportsOptions) {
		this.#options = options;
	}

	/** Resolves to after how many milliseconds to come again, where something is yet to be said. */
	async report(
		cached: Observed,
		plan: DataVolumePlan,
		outcome: Outcome,
		signal: AbortSignal,
	): Promise<number | undefined> {
		const {api, events, clock, onWritten} = this.#options;
		const observed = {...cached, dataVolume: this.#newest(cached.dataVolume)};
		const {dataVolume} = observed;
		const status = statusOf(observed, plan, outcome);
		if (!dataVolume || !status) return undefined;
		const uid = dataVolume.metadata.uid ?? '';
		const said = this.#inBetween(observed, status);
		if (said) {
			this.#said.set(uid, said);
		} else {
			this.#said.delete(uid);
			this.#turns.delete(uid);
		}
		const lastedMs = said ? clock.monotonicMs() - said.sinceMs : Infinity;
		if (said && !said.toldSlow && lastedMs >= slowMs) {
			said.toldSlow = true;
			const event = slowEvent(observed, status);
			if (event) events.record(dataVolume, event);
		}
		const slowInMs = said && !said.toldSlow ? slowMs - lastedMs : undefined;
		if (isDeepStrictEqual(dataVolume.status ?? {}, status)) return slowInMs;
		const dueMs = dataVolume.status?.phase ? nextReportMs : firstReportMs;
		if (lastedMs < dueMs) return dueMs - lastedMs;
		const turnInMs = said ? this.#turnInMs(uid) : 0;
		if (turnInMs > 0) return turnInMs;
		const written = await writeStatus(api, resources.dataVolumes, dataVolume, status, signal);
		if (!written) return undefined;
		this.#written.set(uid, written);
		// Told after it is written: a round that fails before says it again, and nobody hears it twice.
		for (const event of transitionEvents(observed, status)) events.record(dataVolume, event);
		onWritten(dataVolume, status);
		return slowInMs;
	}

	forget(uid: string): void {
		this.#said.delete(uid);
		this.#turns.delete(uid);
		this.#written.delete(uid);
	}

	#turnInMs(uid: string): number {
		const nowMs = this.#options.clock.monotonicMs();
		const turnMs = this.#turns.get(uid) ?? Math.max(nowMs, this.#nextTurnMs);
		if (!this.#turns.has(uid)) this.#nextTurnMs = turnMs + spacingMs;
		this.#turns.set(uid, turnMs);
		if (turnMs <= nowMs) this.#turns.delete(uid);
		return turnMs - nowMs;
	}

	#newest(cached: DataVolume | undefined): DataVolume | undefined {
		const written = this.#written.get(cached?.metadata.uid ?? '');
		if (!cached || !written) return cached;
		const [inCache = '', answered = ''] = [cached.metadata.resourceVersion, written.metadata.resourceVersion];
		if (compareResourceVersions(inCache, answered) < 0) return written;
		this.#written.delete(cached.metadata.uid ?? '');
		return cached;
	}

	/** Undefined for what is written at once. */
	#inBetween({clone, dataVolume}: Observed, status: DataVolumeStatus): Said | undefined {
		if (!clone || !inBetween.has(status.phase ?? '') || hasWarning(status)) return undefined;
		const gist = gistOf(status);
		const before = this.#said.get(dataVolume?.metadata.uid ?? '');
		return before?.gist === gist ? before : {gist, sinceMs: this.#options.clock.monotonicMs(), toldSlow: false};
	}
}
