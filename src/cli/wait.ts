import type {DataVolume} from '../api/datavolume.ts';
import type {KubeApi} from '../kube/client.ts';
import {openCluster} from './cluster.ts';
import type {Command} from './command.ts';
import {connectionFlags} from './connection-flags.ts';
import {duration, parseFlags, UsageError} from './flags.ts';
import {follow} from './follow.ts';
import {bareName} from './names.ts';
import {type Doing, gistOf, progressLine} from './progress-bar.ts';
import {consumerPhases, heldUpBy, percentOf} from './state.ts';
import {type ExitCode, exitCodes, type Terminal} from './terminal.ts';

const waitFlags = {
	timeout: duration({help: 'Give up after so long; default: never. 0 looks once'}),
	...connectionFlags,
};

export interface WaitWanted {
	readonly api: KubeApi;
	readonly namespace: string;
	readonly names: readonly string[];
	/** Undefined: for ever. */
	readonly timeoutMs: number | undefined;
	readonly terminal: Terminal;
}

/** How one ended, in a sentence that begins with its name. */
interface End {
	readonly code: ExitCode;
	readonly sentence: string;
}

/** Undefined as long as it is to be waited for. */
export function endOf(dataVolume: DataVolume): End | undefined {
	const {name} = dataVolume.metadata;
	const phase = dataVolume.status?.phase ?? '';
	if (phase === 'Succeeded') return {code: exitCodes.done, sentence: `${name} is ready`};
	if (consumerPhases.has(phase)) {
		const sentence = `${name} waits for its first consumer: it is made when a Pod or virtual machine uses it`;
		return {code: exitCodes.done, sentence};
	}
	if (phase !== 'Failed') return undefined;
	const {reason, message} = heldUpBy(dataVolume) ?? {reason: 'Failed', message: 'no reason is given'};
	return {code: exitCodes.failed, sentence: `${name} failed (${reason}): ${message}`};
}

/** Shows one line for each disk on a screen, and writes them over; else a line for each change that says something. */
class Board {
	readonly #terminal: Terminal;
	readonly #sinceMs: number;
	readonly #doing = new Map<string, Doing>();
	readonly #gists = new Map<string, string>();
	#drawn = 0;

	constructor(terminal: Terminal) {
		this.#terminal = terminal;
		this.#sinceMs = terminal.now();
	}

	show(dataVolume: DataVolume): void {
		const {name} = dataVolume.metadata;
		const heldUp = heldUpBy(dataVolume);
		const doing: Doing = {
			name,
			phase: dataVolume.status?.phase ?? '',
			percent: percentOf(dataVolume),
			elapsedMs: this.#terminal.now() - this.#sinceMs,
			note: heldUp && (heldUp.message ? `${heldUp.reason}: ${heldUp.message}` : heldUp.reason),
		};
		this.#doing.set(name, doing);
		if (this.#terminal.isScreen) {
			this.draw();
			return;
		}
		if (this.#gists.get(name) === gistOf(doing)) return;
		this.#gists.set(name, gistOf(doing));
		this.#terminal.err(`${progressLine(doing, Infinity)}\n`);
	}

	/** On a screen, the same lines with the time that it is now. */
	draw(): void {
		const {isScreen, err, columns, now} = this.#terminal;
		if (!isScreen) return;
		const elapsedMs = now() - this.#sinceMs;
		const lines = [...this.#doing.values()].map((doing) => progressLine({...doing, elapsedMs}, columns));
		err(`${up(this.#drawn)}${lines.map((line) => `${line}\u001B[K\n`).join('')}\u001B[J`);
		this.#drawn = lines.length;
	}
}

const up = (lines: number) => (lines === 0 ? '' : `\u001B[${lines}A`);

const tickMs = 1000;

/** Resolves to the worst of the ends. */
export async function waitFor({api, namespace, names, timeoutMs, terminal}: WaitWanted): Promise<ExitCode> {
	const timeout = timeoutMs === undefined ? undefined : AbortSignal.timeout(Math.max(1, timeoutMs));
	// The first look is always made.
	const stop = new AbortController();
	const signal = AbortSignal.any([terminal.signal, stop.signal]);
	const open = new Map<string, DataVolume | undefined>(names.map((name) => [name, undefined]));
	const ends = new Map<string, End>();
	const board = new Board(terminal);
	const ticking = setInterval(() => board.draw(), tickMs);
	const [only] = names.length === 1 ? names : [];
	const finish = (name: string, end: End) => {
		open.delete(name);
		ends.set(name, end);
	};
	const expire = () => stop.abort(new DOMException('the time is over', 'TimeoutError'));
	try {
		for await (const sighting of follow(api, {namespace, ...(only !== undefined && {name: only})}, signal)) {
			if (sighting.is === 'complete') {
				for (const [name, seen] of open) if (!seen) finish(name, missing(namespace, name));
				if (timeout?.aborted || timeoutMs === 0) expire();
				else timeout?.addEventListener('abort', expire, {once: true});
			} else {
				const {name} = sighting.dataVolume.metadata;
				if (!open.has(name)) continue;
				open.set(name, sighting.dataVolume);
				board.show(sighting.dataVolume);
				const end =
					sighting.is === 'gone'
						? {code: exitCodes.failed, sentence: `${name} was deleted`}
						: endOf(sighting.dataVolume);
				if (end) finish(name, end);
			}
			if (open.size === 0) break;
			signal.throwIfAborted();
		}
	} catch (error) {
		if (!stop.signal.aborted || terminal.signal.aborted) throw error;
		for (const [name, seen] of open) finish(name, late(name, seen, timeoutMs ?? 0));
	} finally {
		clearInterval(ticking);
	}
	for (const name of names) {
		const end = ends.get(name);
		if (end) (end.code === exitCodes.done ? terminal.out : terminal.err)(`${end.sentence}\n`);
	}
	return [...ends.values()].reduce<ExitCode>(
		(worst, {code}) => (code === exitCodes.failed || worst === exitCodes.done ? code : worst),
		exitCodes.done,
	);
}

function missing(namespace: string, name: string): End {
	return {code: exitCodes.failed, sentence: `${name}: namespace ${namespace} has no DataVolume of this name`};
}

function late(name: string, seen: DataVolume | undefined, timeoutMs: number): End {
	const phase = seen?.status?.phase || 'Pending';
	const heldUp = seen && heldUpBy(seen);
	const why = heldUp ? ` (${heldUp.reason}: ${heldUp.message})` : '';
	const time = timeoutMs === 0 ? 'now' : `within ${timeoutMs / 1000} s`;
	return {code: exitCodes.timedOut, sentence: `${name} is not ready ${time}: it is ${phase}${why}`};
}

async function run(args: readonly string[], terminal: Terminal) {
	const {values, positionals} = parseFlags(waitFlags, args);
	if (positionals.length === 0) throw new UsageError(['what to wait for is missing: kubectl dv wait NAME…']);
	using cluster = openCluster(values);
	const names = [...new Set(positionals.map(bareName))];
	const wanted = {api: cluster.api, namespace: cluster.namespace, names, timeoutMs: values.timeout, terminal};
	return waitFor(wanted);
}

export const wait: Command = {
	usage: 'NAME… [--timeout DURATION] [flags]',
	summary: 'Wait until disks are ready, with their progress; one that fails ends it with the reason',
	examples: [['Ten minutes at most', 'debian --timeout 10m']],
	flags: waitFlags,
	positional: 'dataVolumes',
	run,
};
