import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {access, rm} from 'node:fs/promises';
import path from 'node:path';
import {expect} from 'vitest';
import {GiveUp, until} from '../cluster/until.ts';
import {makeScratchPool, type ScratchPool} from './scratch-pool.ts';

/** The driver as a process of its own, as in the cluster, with a pool of its own. Its first node is `node1`. */
export type Driver = {
	readonly scratch: ScratchPool;
	readonly journal: string;
	/** Its switches; not there at first. */
	readonly faultFile: string;
	/** How often each switch was met; not there before the first time. */
	readonly faultCounts: string;
	readonly socketOf: (node: string) => string;
	/** Kills it at whatever it is doing, and starts it again. */
	readonly crash: () => Promise<void>;
};

type Setup = {readonly options?: readonly string[]; readonly otherNodes?: readonly string[]};

/** Works with a new driver, which has to end cleanly then; anything left mounted or attached is a failure too. */
export async function withDriver(setup: Setup, work: (driver: Driver) => Promise<void>): Promise<void> {
	const scratch = await makeScratchPool();
	let left: readonly string[] = [];
	try {
		await onPool(scratch, setup, work);
	} finally {
		left = await scratch.dispose();
	}
	expect(left, 'left mounted or attached').toEqual([]);
}

async function onPool(
	scratch: ScratchPool,
	{options = [], otherNodes = []}: Setup,
	work: (driver: Driver) => Promise<void>,
): Promise<void> {
	const inFolder = (name: string) => path.join(scratch.folder, name);
	const socketOf = (node: string) => inFolder(`${node}.sock`);
	const journal = inFolder('journal.jsonl');
	const faultFile = inFolder('faults.json');
	const identity = [
		'--name',
		'scratch.onesnap.test',
		'--node-id',
		'node1',
		'--endpoint',
		`unix://${socketOf('node1')}`,
	];
	const others = otherNodes.flatMap((node) => ['--other-node', `${node},unix://${socketOf(node)}`]);
	const files = ['--pool', scratch.pool, '--journal', journal, '--faults', faultFile];
	const sockets = ['node1', ...otherNodes].map(socketOf);
	const start = () => startProcess([...identity, ...others, ...files, ...options], sockets);

	let process = await start();
	const crash = async () => {
		await end(process, 'SIGKILL');
		process = await start();
	};
	try {
		await work({scratch, journal, faultFile, faultCounts: `${faultFile}.counts`, socketOf, crash});
	} finally {
		await end(process, 'SIGTERM');
	}
	expect(process.exitCode, 'the code that the driver ended with').toBe(0);
}

/** It serves when this returns. */
async function startProcess(args: readonly string[], sockets: readonly string[]): Promise<ChildProcess> {
	// What a killed driver left must not look like the new one's.
	for (const socket of sockets) await rm(socket, {force: true});
	const main = path.resolve(import.meta.dirname, '../cluster/csi/main.ts');
	const child = spawn(process.execPath, [main, ...args], {stdio: ['ignore', 'ignore', 'inherit']});
	const serves = async () => {
		if (child.exitCode !== null) throw new GiveUp(`the driver ended with code ${child.exitCode} instead of serving`);
		await Promise.all(sockets.map((socket) => access(socket)));
		return true;
	};
	try {
		await until('the driver serves', serves, {intervalMs: 20});
	} catch (error) {
		await end(child, 'SIGKILL');
		throw error;
	}
	return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const exited = once(child, 'exit');
	child.kill(signal);
	await exited;
}
