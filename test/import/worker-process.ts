/** The real importer program, started as the kubelet starts it: a task in the environment, a termination message of its own. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readFile, readdir, rm} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {
	type ImportTask,
	parseTerminationMessage,
	type WorkerResult,
	workerTaskVariable,
} from '../../src/api/worker-contract.ts';
import {tuningVariable} from '../../src/importer/tuning.ts';

const program = path.resolve(import.meta.dirname, '../../src/bin/importer.ts');
const keptLogBytes = 20_000;
/** A process that was told by the kernel to die needs a moment on a busy machine. */
const vanishMs = 10_000;

export interface WorkerStart {
	readonly task: ImportTask;
	/** Stands for the Pod's /tmp, which stays from one start to the next. */
	readonly tmpFolder: string;
	readonly terminationLog: string;
	readonly tuning?: object;
	/** Where it is started; default: here. */
	readonly workingFolder?: string;
	/** A program and its arguments that runs the worker, as a tracer does. */
	readonly under?: readonly string[];
}

export interface WorkerEnd {
	readonly exitCode: number | null;
	readonly killedBy: NodeJS.Signals | null;
	readonly result: WorkerResult | undefined;
	/** The end of what it logged. */
	readonly log: string;
	/** Processes that outlived it by more than a moment. */
	readonly leftPids: readonly number[];
}

export interface Worker {
	readonly pid: number;
	readonly ended: Promise<WorkerEnd>;
	kill(signal: NodeJS.Signals): void;
}

export async function startWorker({
	task,
	tmpFolder,
	terminationLog,
	tuning,
	workingFolder,
	under = [],
}: WorkerStart): Promise<Worker> {
	await rm(terminationLog, {force: true});
	const [command = process.execPath, ...args]: readonly string[] = [...under, process.execPath, program];
	const child = spawn(command, args, {
		...(workingFolder !== undefined && {cwd: workingFolder}),
		env: {
			PATH: process.env['PATH'],
			// As in the worker image.
			NODE_OPTIONS: '--max-semi-space-size=2 --max-old-space-size=64',
			TMPDIR: tmpFolder,
			[workerTaskVariable]: JSON.stringify(task),
			...(tuning && {[tuningVariable]: JSON.stringify(tuning)}),
			ONESNAP_TERMINATION_LOG: terminationLog,
			ONESNAP_METRICS_PORT: '0',
		},
		stdio: ['ignore', 'pipe', 'pipe'],
		// A group of its own: whatever it starts is found again.
		detached: true,
	});
	const {pid} = child;
	if (pid === undefined) throw new Error(`${command} did not start`);
	let log = '';
	for (const stream of [child.stdout, child.stderr]) {
		stream.setEncoding('utf8').on('data', (text: string) => {
			log = `${log}${text}`.slice(-keptLogBytes);
		});
	}
	const end = async (): Promise<WorkerEnd> => {
		const [exitCode, killedBy] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
		const message = await readFile(terminationLog, 'utf8').catch(() => undefined);
		return {exitCode, killedBy, result: parseTerminationMessage(message), log, leftPids: await outliving(pid)};
	};
	return {pid, ended: end(), kill: (signal) => child.kill(signal)};
}

async function outliving(group: number): Promise<readonly number[]> {
	const deadline = performance.now() + vanishMs;
	for (;;) {
		const left = await processesOf(group);
		if (left.length === 0 || performance.now() > deadline) return left;
		await sleep(20);
	}
}

/** Of a process group, without those that are dead and only wait for their parent. */
async function processesOf(group: number): Promise<readonly number[]> {
	const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
	const stats = await Promise.all(pids.map(async (pid) => ({pid, ...(await statOf(pid))})));
	return stats.filter(({state, pgrp}) => pgrp === group && state !== 'Z' && state !== 'X').map(({pid}) => pid);
}

async function statOf(pid: number): Promise<{state?: string; pgrp?: number}> {
	const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
	// The name in brackets may hold anything.
	const [state, , pgrp] = text.slice(text.lastIndexOf(')') + 2).split(' ');
	return state === undefined || pgrp === undefined ? {} : {state, pgrp: Number(pgrp)};
}
