import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {access, rm} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {ScratchPool} from './scratch-pool.ts';

/** The driver as a process of its own, as in the cluster. */
export type DriverProcess = {
	readonly csiSocket: string;
	readonly journal: string;
	/** SIGTERM, and waits; fails when the driver does not end with code 0. */
	readonly stop: () => Promise<void>;
	/** SIGKILL, at whatever it is doing. */
	readonly kill: () => Promise<void>;
};

/** Starts the driver on a scratch pool; it serves when this returns. */
export async function startDriverProcess(
	scratch: ScratchPool,
	options: readonly string[] = [],
	/** Sockets of other nodes that the options name. */
	otherSockets: readonly string[] = [],
): Promise<DriverProcess> {
	const csiSocket = path.join(scratch.folder, 'csi.sock');
	const journal = path.join(scratch.folder, 'journal.jsonl');
	// What a killed driver left must not look like the new one's.
	for (const socket of [csiSocket, ...otherSockets]) await rm(socket, {force: true});
	const main = path.join(import.meta.dirname, 'main.ts');
	const args = ['--name', 'scratch.onesnap.test', '--node-id', 'node1', '--pool', scratch.pool];
	const files = ['--endpoint', `unix://${csiSocket}`, '--journal', journal];
	const child = spawn(process.execPath, [main, ...args, ...files, ...options], {
		stdio: ['ignore', 'ignore', 'inherit'],
	});
	for (const socket of [csiSocket, ...otherSockets]) await untilServing(child, socket);
	return {
		csiSocket,
		journal,
		stop: async () => {
			await end(child, 'SIGTERM');
			if (child.exitCode !== 0) throw new Error(`the driver ended with ${child.exitCode ?? child.signalCode}`);
		},
		kill: () => end(child, 'SIGKILL'),
	};
}

async function untilServing(child: ChildProcess, csiSocket: string): Promise<void> {
	for (let attempt = 0; attempt < 200; attempt++) {
		if (child.exitCode !== null) throw new Error(`the driver ended with code ${child.exitCode} instead of serving`);
		if (await exists(csiSocket)) return;
		await sleep(50);
	}
	await end(child, 'SIGKILL');
	throw new Error('the driver did not serve within 10 s');
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const exited = once(child, 'exit');
	child.kill(signal);
	await exited;
}

async function exists(file: string): Promise<boolean> {
	return access(file).then(
		() => true,
		() => false,
	);
}
