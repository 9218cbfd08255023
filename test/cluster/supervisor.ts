import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {closeSync, openSync} from 'node:fs';
import {mkdir, readFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {Daemon} from './daemon.ts';
import type {Layout} from './layout.ts';
import {insideNetwork} from './network.ts';
import {listProcesses, type Process} from './processes.ts';
import {GiveUp, until} from './until.ts';

/**
 * Daemons outlive the process that starts them, and are found again by a mark in their environment, not by a pid in a file: a mark
 * cannot be stale after a crash, a reboot or pid reuse, and it is there from the first instant, whatever happens to the starter.
 * Children of daemons (containerd's shims, a driver's mkfs) inherit it.
 */
const clusterMark = 'ONESNAP_CLUSTER';
const daemonMark = 'ONESNAP_DAEMON';
/** Tells a daemon from its children, which inherit the other marks. */
const programMark = 'ONESNAP_PROGRAM';

export function isMarked(process: Process, layout: Layout): boolean {
	return process.environment.get(clusterMark) === layout.id;
}

export function logFile(layout: Layout, name: string): string {
	return path.join(layout.runDir, 'logs', `${name}.log`);
}

/** The running daemons of a cluster by name. */
export async function findDaemons(layout: Layout): Promise<Map<string, Process>> {
	const found = new Map<string, Process>();
	for (const process of await listProcesses()) {
		const name = process.environment.get(daemonMark);
		const isDaemon = isMarked(process, layout) && process.argv[0] === process.environment.get(programMark);
		if (name !== undefined && isDaemon) found.set(name, process);
	}
	return found;
}

/** Whether this daemon runs, with exactly these arguments, and not longer than the one it is connected to. */
export function runsAsWanted(daemon: Daemon, running: ReadonlyMap<string, Process>): boolean {
	const process = running.get(daemon.name);
	if (!process) return false;
	const wanted = [daemon.program, ...daemon.args];
	const sameCommand = wanted.length === process.argv.length && wanted.every((arg, i) => arg === process.argv[i]);
	const peer = daemon.startedAfter === undefined ? undefined : running.get(daemon.startedAfter);
	return sameCommand && (peer?.startTicks ?? 0) <= process.startTicks;
}

/** Starts a daemon unless it runs as it is wanted already; one that runs otherwise is replaced. */
export async function ensureDaemon(layout: Layout, daemon: Daemon): Promise<void> {
	const running = await findDaemons(layout);
	if (runsAsWanted(daemon, running)) return;
	const old = running.get(daemon.name);
	if (old) await endProcess(old.pid);
	await startDaemon(layout, daemon);
}

async function startDaemon(layout: Layout, daemon: Daemon): Promise<void> {
	const file = logFile(layout, daemon.name);
	await mkdir(path.dirname(file), {recursive: true});
	const log = openSync(file, 'a');
	const [command, args] = insideNetwork(layout, daemon.program, daemon.args);
	const child = spawn(command, args, {
		cwd: daemon.cwd ?? '/',
		detached: true,
		stdio: ['ignore', log, log],
		// Not this process's environment: a proxy or a KUBECONFIG of the user must not reach a daemon.
		env: {
			PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
			HOME: '/root',
			[clusterMark]: layout.id,
			[daemonMark]: daemon.name,
			[programMark]: daemon.program,
		},
	});
	closeSync(log);
	await once(child, 'spawn');
	child.unref();
}

/**
 * Throws with the end of its log when one of the daemons does not run (any more). A process in the middle of fork and exec
 * shows no environment for a moment, so it is believed only when several looks in a row do not find it.
 */
export async function assertRunning(layout: Layout, names: readonly string[]): Promise<void> {
	let ended = await findEnded(layout, names);
	for (let look = 1; look < looks && ended !== undefined; look++) {
		await sleep(betweenLooksMs);
		ended = await findEnded(layout, names);
	}
	if (ended === undefined) return;
	const log = await readFile(logFile(layout, ended), 'utf8').catch(() => '');
	throw new GiveUp(`${ended} does not run, see ${logFile(layout, ended)}: ${log.trim().slice(-1000)}`);
}

const looks = 5;
const betweenLooksMs = 200;

async function findEnded(layout: Layout, names: readonly string[]): Promise<string | undefined> {
	const running = await findDaemons(layout);
	return names.find((name) => !running.has(name));
}

/** Asks a process to end, then makes it end. */
export async function endProcess(pid: number, graceMs = 5000): Promise<void> {
	const isGone = async () => (signal(pid, 0) ? undefined : true);
	if (!signal(pid, 'SIGTERM')) return;
	try {
		await until(`process ${pid} ends`, isGone, {timeoutMs: graceMs, intervalMs: 20});
	} catch {
		signal(pid, 'SIGKILL');
		await until(`process ${pid} ends`, isGone, {timeoutMs: 10_000, intervalMs: 20});
	}
}

/** False when there is no such process. */
export function signal(pid: number, name: NodeJS.Signals | 0): boolean {
	try {
		return process.kill(pid, name);
	} catch {
		return false;
	}
}
