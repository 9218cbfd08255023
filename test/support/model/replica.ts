/**
 * One process of the controller: its caches, its memory, and the real observe, decide and execute of both controllers. Its
 * writes go wrong in the ways there are: not done, done but not answered, and each of them as the last thing it does.
 */
import type {SharedSnapshot} from '../../../src/api/sharedsnapshot.ts';
import {annotations} from '../../../src/api/names.ts';
import {decide as decideDataVolume, type DataVolumePlan} from '../../../src/datavolume/decide.ts';
import {execute as executeDataVolume} from '../../../src/datavolume/execute.ts';
import {addIndexes, observe as observeDataVolume} from '../../../src/datavolume/observe.ts';
import {makeCloneRequests} from '../../../src/datavolume/requests.ts';
import type {KubeApi} from '../../../src/kube/client.ts';
import type {PersistentVolumeClaim} from '../../../src/api/kubernetes.ts';
import type {Caches} from '../../../src/kube/caches.ts';
import {ApiError, NoAnswerError} from '../../../src/kube/errors.ts';
import {PodBarrier} from '../../../src/kube/pod-barrier.ts';
import * as resources from '../../../src/kube/resources.ts';
import type {KubeObject} from '../../../src/api/kubernetes.ts';
import type {Population} from '../../../src/populate/population.ts';
import type {Clock} from '../../../src/process/clock.ts';
import {silentLogger} from '../../../src/process/log.ts';
import {decide, type SharingPlan} from '../../../src/smartclone/decide.ts';
import {execute, type ExecuteContext} from '../../../src/smartclone/execute.ts';
import {LastUse} from '../../../src/smartclone/last-use.ts';
import {LostSnapshots} from '../../../src/smartclone/lost-snapshots.ts';
import {addSharingIndexes, type Observed, observe, sharedUidsOf} from '../../../src/smartclone/observe.ts';
import {isGone} from '../../../src/smartclone/orphan-controller.ts';
import {observeOrphans, removeOrphans} from '../../../src/smartclone/orphans.ts';
import {RefusedAliases} from '../../../src/smartclone/refused-aliases.ts';
import {type CloneRequests, WaitingRequests} from '../../../src/smartclone/requests.ts';
import {RestoreWindow} from '../../../src/smartclone/restore-window.ts';
import {WriterWatch} from '../../../src/smartclone/writer-watch.ts';
import {makeModelApi} from './client.ts';
import type {ModelServer} from './server.ts';
import {WatchedCaches} from './watched-caches.ts';

/** What happens to the writes of one round. */
export const writeFaults = ['refused', 'unanswered'] as const;
/** The process ends: before its write, right after it, or with the write still on its way. */
export const deaths = ['crash', 'die', 'held'] as const;
export type WriteFault = (typeof writeFaults)[number] | (typeof deaths)[number];

/** A controller that is wrong in one point, to show that the model sees it. */
export interface Mutant {
	readonly observe?: (observed: Observed) => Observed;
	readonly decide?: (observed: Observed) => SharingPlan;
	/** Undefined: as it is. */
	readonly execute?: (context: ExecuteContext, plan: SharingPlan) => Promise<unknown> | undefined;
	/** What the watch of writers sees of the caches. */
	readonly writersIn?: (caches: Caches) => Caches;
}

export interface ReplicaContext {
	readonly server: ModelServer;
	readonly clock: Clock;
	/** Writes that a process had begun when it ended. */
	readonly inFlight: (() => unknown)[];
	readonly mutant: Mutant;
	readonly tell: (line: string) => void;
	readonly count: (what: string) => void;
}

/** As the process has it by default. */
export const idleLimitMs = 600_000;
const sourceKey = 'ns/golden';
/** Pacing is a thing of its own, tested with RestoreWindow. */
const unpaced = () => ({shown: new Set<string>(), restoring: new Set<string>()});
const line = {method: 'PATCH', path: '/model'};
const lost = () => new NoAnswerError(line, {reason: 'Timeout', message: 'no answer'});

const filling: Population = {
	stage: 'running',
	inPlace: false,
	way: 'copy',
	reason: undefined,
	message: 'is being copied',
	restarts: 0,
	lastFailure: undefined,
	podReason: undefined,
	podMessage: undefined,
	podRunning: true,
};

export class Replica {
	readonly caches: WatchedCaches;
	readonly #context: ReplicaContext;
	readonly #api: KubeApi;
	readonly #requests: CloneRequests;
	readonly #waiting = new WaitingRequests(() => {});
	readonly #window = new RestoreWindow(unpaced);
	readonly #quiet: WriterWatch;
	readonly #barrier: PodBarrier;
	readonly #lost = new LostSnapshots();
	readonly #lastUse: LastUse;
	readonly #refused: RefusedAliases;
	#fault: WriteFault | undefined;
	#isDead = false;

	/** @param pod the one it runs in; `run` is unique for each process. */
	constructor(context: ReplicaContext, pod: {readonly namespace: string; readonly name: string}, run: string) {
		this.#context = context;
		const {server, clock} = context;
		const caches = new WatchedCaches(server);
		this.caches = caches;
		this.#api = makeModelApi(server, (write) => this.#write(write));
		addSharingIndexes(caches);
		addIndexes(caches);
		this.#requests = makeCloneRequests(this.#api, caches);
		this.#quiet = new WriterWatch(context.mutant.writersIn?.(caches) ?? caches);
		this.#lastUse = new LastUse(clock);
		this.#refused = new RefusedAliases(clock);
		this.#barrier = new PodBarrier({
			...{api: this.#api, caches, pod, run, clock, log: silentLogger},
			annotation: annotations.watchBarrier,
			onPassed: () => this.#waiting.wakeAll(),
		});
		caches.onChange(resources.dataVolumes, ({type, object}) => {
			if (type !== 'delete') return;
			this.#waiting.withdraw(object.metadata.uid ?? '');
			this.#window.forget(object.metadata.uid ?? '');
		});
		caches.onChange(resources.sharedSnapshots, ({type, object}) => {
			if (type !== 'delete') return;
			this.#lost.forget(object.metadata.uid ?? '');
			this.#lastUse.forget(object.metadata.uid ?? '');
		});
	}

	/** It ended in the middle of something: nothing of it may be used again. */
	get isDead(): boolean {
		return this.#isDead;
	}

	/** Also a replica that does not lead: so that a failover need not lose what it has seen. */
	async takeBaseline(): Promise<void> {
		await this.#quiet.takeBaseline(this.#api, new AbortController().signal);
	}

	async sharing(fault?: WriteFault): Promise<SharingPlan> {
		const {caches} = this;
		const {mutant, clock, tell, count} = this.#context;
		const barrier = {available: this.#barrier.available, passed: this.#barrier.passed};
		const seen = observe(sourceKey, {
			...{caches, requests: this.#requests, waiting: this.#waiting, lost: this.#lost, lastUse: this.#lastUse},
			...{quiet: this.#quiet, barrier, refusedAliases: this.#refused.current(), idleLimitMs, nowMs: clock.now()},
		});
		const observed = mutant.observe?.(seen) ?? seen;
		const plan = (mutant.decide ?? decide)(observed);
		if (plan.do === 'nothing') return plan;
		count(`plan ${plan.do}${'rule' in plan ? ` ${plan.rule}` : ''}${'reason' in plan ? ` ${plan.reason}` : ''}`);
		tell(`  ${plan.do}${'rule' in plan ? ` ${plan.rule}` : ''} ${plan.shared.metadata.name}`);
		const signal = new AbortController().signal;
		const context: ExecuteContext = {
			...{api: this.#api, requests: this.#requests, waiting: this.#waiting},
			...{quiet: this.#quiet, barrier: this.#barrier, signal},
		};
		await this.#round(fault, async () => {
			const wrong = mutant.execute?.(context, plan);
			if (wrong) return void (await wrong);
			const {refusedAliases = []} = await execute(context, plan);
			for (const {key} of refusedAliases) this.#refused.add(key);
		});
		return plan;
	}

	/** @returns whether nothing is left of SharedSnapshots that are gone, or others have to act first. */
	async orphans(): Promise<boolean> {
		const {caches} = this;
		const {tell, count} = this.#context;
		const labelled = [
			...caches.store(resources.volumeSnapshots).list(),
			...caches.store(resources.volumeSnapshotContents).list(),
		].flatMap(sharedUidsOf);
		const known = new Set(
			caches
				.store(resources.sharedSnapshots)
				.list()
				.map(({metadata}) => metadata.uid),
		);
		const signal = new AbortController().signal;
		let isIdle = true;
		for (const uid of new Set(labelled)) {
			const orphans = known.has(uid) ? undefined : observeOrphans(caches, uid);
			const plan = orphans && removeOrphans(orphans);
			if (!plan) continue;
			await this.#round(undefined, async () => {
				if (!(await isGone(this.#api, uid, signal))) return;
				isIdle = false;
				count(`orphans ${plan.do}`);
				tell(`  orphans ${plan.do} ${uid}`);
				await execute({api: this.#api, requests: this.#requests, waiting: this.#waiting, signal}, plan);
			});
		}
		return isIdle;
	}

	/** Filling has begun as soon as it is known from what. */
	#stageOf({spec, status}: PersistentVolumeClaim): Population['stage'] {
		if (status?.phase === 'Bound') return 'done';
		const sources = this.caches.store(resources.volumeCloneSources).list();
		const order = sources.find(({metadata}) => metadata.name === spec.dataSourceRef?.name);
		if (!order) return 'waiting';
		const {kind, name} = order.spec.source;
		const from = kind === 'VolumeSnapshot' ? resources.volumeSnapshots : resources.persistentVolumeClaims;
		const read = this.caches.store<KubeObject>(from).get(order.metadata.namespace, name);
		return read && !read.metadata.deletionTimestamp ? 'running' : 'waiting';
	}

	async dataVolume(key: string, fault?: WriteFault): Promise<DataVolumePlan> {
		const {caches} = this;
		const {clock, tell, count} = this.#context;
		const observed = observeDataVolume(key, {
			...{caches, waiting: this.#waiting, lost: this.#lost},
			populationOf: (claim) => ({...filling, stage: this.#stageOf(claim)}),
			percentOf: () => undefined,
			now: () => clock.now(),
		});
		const plan = decideDataVolume(observed);
		const reason = 'reason' in plan ? plan.reason : '';
		if (plan.do !== 'nothing') {
			count(`data volume ${plan.do} ${reason}`);
			tell(`  ${key}: ${plan.do} ${reason}`);
		}
		const uid = observed.dataVolume?.metadata.uid ?? '';
		if (plan.do !== 'restoreClaim') this.#window.forget(uid);
		if (plan.do !== 'askForSnapshot') this.#waiting.stop(uid);
		const signal = new AbortController().signal;
		const context = {
			...{api: this.#api, waiting: this.#waiting, window: this.#window, uid, wake: () => true, signal},
			lost: {
				report: ({metadata}: SharedSnapshot, message: string) => void this.#lost.report(metadata.uid ?? '', message),
			},
		};
		await this.#round(fault, () => executeDataVolume(context, plan));
		return plan;
	}

	/** Faults end a round as they do in the controller: it comes again later. */
	async #round(fault: WriteFault | undefined, act: () => Promise<unknown>): Promise<void> {
		this.#fault = fault;
		try {
			await act();
		} catch (error) {
			if (!(error instanceof NoAnswerError || error instanceof ApiError)) throw error;
			this.#context.tell(`  ${error.message}`);
		}
		if (this.#fault === 'crash' || this.#fault === 'held') this.#isDead = true;
		this.#fault = undefined;
	}

	async #write<A>(write: () => A): Promise<A> {
		if (this.#isDead) throw lost();
		switch (this.#fault) {
			case undefined:
				return write();
			case 'refused':
				this.#fault = undefined;
				throw lost();
			case 'unanswered':
				this.#fault = undefined;
				write();
				throw lost();
			case 'crash':
				throw lost();
			case 'die':
				this.#isDead = true;
				write();
				throw lost();
			case 'held':
				this.#context.inFlight.push(write);
				throw lost();
			default:
				return this.#fault satisfies never;
		}
	}
}
