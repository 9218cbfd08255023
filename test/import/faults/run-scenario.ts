/** Lives through one scenario: starts the worker again and again, as the kubelet does, until it is done, and judges the end. */
import {mkdir, readdir, rm, truncate, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {
	diskImageName,
	exitFinished,
	exitRetry,
	type ImportTask,
	type WorkerFailure,
} from '../../../src/api/worker-contract.ts';
import {attachLoop, digestOf} from '../../support/disk-images.ts';
import {startWorker, type WorkerEnd} from '../worker-process.ts';
import {type FaultyServer, type FaultyServerOptions, type SeenByTry, startFaultyServer} from './faulty-server.ts';
import {claimBytes, type FileVersion, smallClaimBytes, type TestImage} from './images.ts';
import type {Kill, Scenario} from './scenario.ts';

/** Every wait of the worker is short, and the window so small that it must let go while an image passes. */
const tuning = {
	http: {stallMs: 500, connections: 8},
	retry: {baseMs: 5, longestMs: 100},
	window: {budgetBytes: 6 * 1024 * 1024, blockBytes: 64 * 1024, spanBytes: 256 * 1024, concurrency: 6},
};
/** More tries than any mix of faults and kills can need. */
const mostTries = 40;
/** Of one try. It takes a second or two. */
const hangMs = 90_000;
/** The kubelet waits longer. */
const restartMs = 30;

const page = Buffer.from('<!DOCTYPE html>\n<html><body>Please sign in.</body></html>\n');

export interface RunReport {
	/** Of the last try, `imported` or the reason; `hung` where none ended. */
	readonly outcome: 'imported' | 'hung' | WorkerFailure;
	/** What must not be; none where all is well. */
	readonly violations: readonly string[];
	/** What really happened, each once: kinds of faults, kills, what the source did. */
	readonly happened: ReadonlySet<string>;
	readonly tries: number;
	readonly ms: number;
	/** Of the tries, a line each. */
	readonly story: readonly string[];
}

export async function runScenario(
	scenario: Scenario,
	{image, folder}: {readonly image: TestImage; readonly folder: string},
): Promise<RunReport> {
	const life = new ScenarioLife(scenario, {image, folder});
	try {
		return await life.live();
	} finally {
		await rm(folder, {recursive: true, force: true});
	}
}

class ScenarioLife {
	readonly #scenario: Scenario;
	readonly #image: TestImage;
	readonly #folder: string;
	readonly #violations: string[] = [];
	readonly #happened = new Set<string>();
	readonly #story: string[] = [];
	#onBytes: FaultyServerOptions['onBytes'] = () => {};
	#wasRestarted = false;

	constructor(scenario: Scenario, {image, folder}: {image: TestImage; folder: string}) {
		this.#scenario = scenario;
		this.#image = image;
		this.#folder = folder;
	}

	async live(): Promise<RunReport> {
		const startedMs = performance.now();
		await rm(this.#folder, {recursive: true, force: true});
		for (const name of ['claim', 'tmp', 'scratch']) await mkdir(path.join(this.#folder, name), {recursive: true});
		await using server = await startFaultyServer({
			nature: this.#scenario.nature,
			faults: this.#scenario.faults,
			versions: this.#versions(),
			onBytes: (bytes) => this.#onBytes(bytes),
		});
		await using target = await this.#makeTarget();
		const {tries, outcome} = await this.#untilDone(server, target.task);
		await this.#judgeLeftovers(outcome, target.disk);
		return {
			outcome,
			tries,
			violations: this.#violations,
			happened: this.#happened,
			ms: performance.now() - startedMs,
			story: this.#story,
		};
	}

	get #claimBytes(): number {
		return this.#scenario.truth.is === 'tooLarge' ? smallClaimBytes : claimBytes;
	}

	async #makeTarget(): Promise<AsyncDisposable & {task: ImportTask['target']; disk: string}> {
		const claim = path.join(this.#folder, 'claim');
		if (this.#scenario.volumeMode === 'Filesystem') {
			return {
				task: {volumeMode: 'Filesystem', path: claim},
				disk: path.join(claim, diskImageName),
				[Symbol.asyncDispose]: () => Promise.resolve(),
			};
		}
		const file = path.join(this.#folder, 'device');
		// Whatever was on it before must not shine through.
		await writeFile(file, Buffer.alloc(this.#claimBytes, 0xa5));
		await truncate(file, this.#claimBytes);
		const device = await attachLoop(file);
		return {
			task: {volumeMode: 'Block', path: device.path},
			disk: device.path,
			[Symbol.asyncDispose]: () => device[Symbol.asyncDispose](),
		};
	}

	#versions(): FaultyServerOptions['versions'] {
		const {truth} = this.#scenario;
		const {first, second, longer, cutOff} = this.#image;
		const always = (served: FileVersion) => [{from: 0, served}];
		switch (truth.is) {
			case 'sound':
			case 'corrupt':
			case 'tooLarge':
				return always(first);
			case 'changes':
				return [...always(first), {from: truth.at, served: truth.how === 'longer' ? longer : second}];
			case 'vanishes':
				return [...always(first), {from: truth.at, served: truth.status}];
			case 'cutOff':
				return always(cutOff);
			case 'aPage':
				return always({name: 'page', bytes: page, diskDigest: undefined});
		}
		return truth satisfies never;
	}

	#taskFor(server: FaultyServer, target: ImportTask['target']): ImportTask {
		const {checksum, preallocation} = this.#scenario;
		const wrong = this.#image.sha256.replace(/./g, (digit) => (digit === '0' ? '1' : '0'));
		return {
			source: {kind: 'http', url: server.url},
			target,
			ownerUid: 'claim-uid',
			requestedBytes: String(this.#claimBytes),
			filesystemOverhead: 0,
			preallocation,
			scratchDir: path.join(this.#folder, 'scratch'),
			...(checksum !== 'none' && {checksum: `sha256:${checksum === 'right' ? this.#image.sha256 : wrong}`}),
		};
	}

	async #untilDone(
		server: FaultyServer,
		target: ImportTask['target'],
	): Promise<{tries: number; outcome: RunReport['outcome']}> {
		const task = this.#taskFor(server, target);
		for (let tries = 1; tries <= mostTries; tries++) {
			server.beginTry();
			const end = await this.#oneTry(task, this.#scenario.kills[tries - 1]);
			const outcome = this.#judgeTry(end, server.seen);
			if (outcome !== undefined) return {tries, outcome};
			await sleep(restartMs);
		}
		this.#violations.push(`does not come to an end: ${mostTries} tries`);
		return {tries: mostTries, outcome: 'hung'};
	}

	async #oneTry(task: ImportTask, kill: Kill | undefined): Promise<WorkerEnd | 'hung'> {
		const worker = await startWorker({
			task,
			tuning,
			tmpFolder: path.join(this.#folder, 'tmp'),
			terminationLog: path.join(this.#folder, 'termination-log'),
		});
		using _ = this.#armKill(kill, (signal) => worker.kill(signal));
		const over = new AbortController();
		const hung = sleep(hangMs, 'hung' as const, {signal: over.signal}).catch(() => 'hung' as const);
		const end = await Promise.race([worker.ended, hung]);
		over.abort();
		if (end === 'hung') process.kill(-worker.pid, 'SIGKILL');
		return end;
	}

	#armKill(kill: Kill | undefined, send: (signal: NodeJS.Signals) => void): Disposable {
		let timer: NodeJS.Timeout | undefined;
		const afterMs = (ms: number, signal: NodeJS.Signals) => {
			timer ??= setTimeout(() => send(signal), ms);
		};
		if (kill && 'ms' in kill.after) afterMs(kill.after.ms, kill.signal);
		if (kill && 'share' in kill.after) {
			const {share, thenMs} = kill.after;
			const bytes = share * this.#image.first.bytes.length;
			this.#onBytes = (served) => {
				if (served >= bytes) afterMs(thenMs, kill.signal);
			};
		}
		return {
			[Symbol.dispose]: () => {
				clearTimeout(timer);
				this.#onBytes = () => {};
			},
		};
	}

	/** The outcome of the whole run, or undefined where the worker is to be started again. */
	#judgeTry(end: WorkerEnd | 'hung', seen: SeenByTry): RunReport['outcome'] | undefined {
		for (const fault of seen.faults) this.#happened.add(fault);
		if (seen.faults.has('restart')) this.#wasRestarted = true;
		if (seen.versions.size > 1) this.#happened.add('changed');
		if (end === 'hung') {
			this.#violation(`a try hung for ${hangMs / 1000} s`, seen);
			return 'hung';
		}
		const {exitCode, killedBy, result, leftPids} = end;
		this.#story.push(
			`exit ${killedBy ?? exitCode}: ${result ? ('reason' in result ? `${result.reason}: ` : '') + result.message : 'no message'} [${seen.requests} requests, ${seen.bytes} bytes, ${[...seen.versions, ...seen.faults].join(' ')}]`,
		);
		if (leftPids.length > 0) this.#violation(`processes ${leftPids.join(', ')} outlive the worker`, seen);
		if (killedBy !== null) {
			this.#happened.add('killed');
			if (killedBy !== 'SIGKILL' && killedBy !== 'SIGTERM') this.#violation(`ended by ${killedBy}`, seen);
			return undefined;
		}
		if (!result) {
			this.#violation(`exit ${exitCode} without a termination message:\n${end.log}`, seen);
			return 'hung';
		}
		if (result.outcome === 'succeeded') {
			if (exitCode !== exitFinished) this.#violation(`success, and exit ${exitCode}`, seen);
			return this.#judgeSuccess(seen);
		}
		if (exitCode !== (result.retryable ? exitRetry : exitFinished))
			this.#violation(`exit ${exitCode} with ${result.reason}`, seen);
		const right = result.retryable ? this.#mayRetryFor(result.reason, seen) : this.#mayFailFor(result.reason);
		if (!right) this.#violation(`${result.reason} is not the right reason: ${result.message}`, seen);
		this.#happened.add(result.reason);
		return result.retryable ? undefined : result.reason;
	}

	#judgeSuccess(seen: SeenByTry): RunReport['outcome'] {
		const {truth} = this.#scenario;
		if (!['sound', 'changes', 'vanishes'].includes(truth.is))
			this.#violation(`imported, though the source is ${truth.is}`, seen);
		return 'imported';
	}

	#mayRetryFor(reason: WorkerFailure, seen: SeenByTry): boolean {
		const {nature} = this.#scenario;
		switch (reason) {
			case 'SourceChanged':
				// A length that is told wrong once is a change for whoever reads it.
				return seen.versions.size > 1 || seen.faults.has('wrongRange');
			case 'SourceUnavailable':
			case 'SourceUnreachable':
				return (
					seen.faults.size > 0 || this.#wasRestarted || nature.ranges === 'forgets' || nature.ranges === 'misplaces'
				);
			case 'Interrupted':
				this.#happened.add('asked to stop');
				return this.#scenario.kills.some(({signal}) => signal === 'SIGTERM');
			default:
				return false;
		}
	}

	#mayFailFor(reason: WorkerFailure): boolean {
		const {truth, checksum} = this.#scenario;
		const mismatch = checksum === 'right' && reason === 'ChecksumMismatch';
		switch (truth.is) {
			case 'sound':
				return false;
			case 'changes':
				return mismatch;
			case 'vanishes':
				return reason === (truth.status === 404 || truth.status === 410 ? 'SourceNotFound' : 'SourceForbidden');
			case 'corrupt':
				return reason === 'ChecksumMismatch';
			case 'cutOff':
				return mismatch || reason === 'InvalidImage';
			case 'aPage':
				return reason === 'InvalidImage';
			case 'tooLarge':
				return reason === 'ImageTooLarge';
		}
		return truth satisfies never;
	}

	async #judgeLeftovers(outcome: RunReport['outcome'], disk: string): Promise<void> {
		if (outcome === 'hung') return;
		for (const name of ['tmp', 'scratch']) {
			const left = await readdir(path.join(this.#folder, name));
			if (left.length > 0) this.#violations.push(`left in ${name}: ${left.join(', ')}`);
		}
		const {volumeMode} = this.#scenario;
		if (outcome === 'imported') {
			const digest = await digestOf(disk);
			const {first, second, longer} = this.#image;
			const versions = [first, ...(this.#scenario.truth.is === 'changes' ? [second, longer] : [])];
			const same = versions.find(({diskDigest}) => diskDigest === digest);
			if (!same) this.#violations.push('the disk is none that qemu-img makes of any version of the image');
			if (same && same !== first && this.#scenario.checksum === 'right')
				this.#violations.push(`the ${same.name} version has another checksum`);
		} else if (
			volumeMode === 'Block' &&
			(await digestOf(disk)) !== (await zerosDigest(this.#folder, this.#claimBytes))
		) {
			this.#violations.push('bytes are left on the device');
		}
		if (volumeMode === 'Block') return;
		const files = await readdir(path.join(this.#folder, 'claim'));
		const expected = outcome === 'imported' ? [diskImageName] : [];
		if (files.join(' ') !== expected.join(' '))
			this.#violations.push(`the claim holds ${files.join(', ') || 'nothing'}`);
	}

	#violation(what: string, seen: SeenByTry): void {
		this.#violations.push(`${what} (after ${seen.requests} requests; ${[...seen.faults].join(' ') || 'no fault'})`);
	}
}

async function zerosDigest(folder: string, bytes: number): Promise<string> {
	const file = path.join(folder, 'zeros');
	await writeFile(file, '');
	await truncate(file, bytes);
	return digestOf(file);
}
