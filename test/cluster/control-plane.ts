import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {closeSync, openSync} from 'node:fs';
import {mkdir, readFile, rm} from 'node:fs/promises';
import path from 'node:path';
import {ensureBinary} from './binaries.ts';
import {CommandError, run} from './command.ts';
import {
	apiServerDaemon,
	type ControlPlaneSettings,
	controllerManagerDaemon,
	etcdDaemon,
	kubeconfigOf,
	prepareControlPlane,
} from './control-plane-daemons.ts';
import type {Daemon} from './daemon.ts';
import {findFreePort} from './free-port.ts';
import {ensurePackages} from './packages.ts';
import {GiveUp, until} from './until.ts';

export type ControlPlaneOptions = {
	/** Own folder of this instance: keys, etcd's data, logs. Emptied at start, kept at stop so that logs can be read. */
	readonly dir: string;
	/** Path of a file that gets one line of JSON per write request. Default: none. */
	readonly auditLog?: string;
	/** Also run kube-controller-manager: garbage collection, namespaces, service accounts, the volume binder. Default: false. */
	readonly controllerManager?: boolean;
};

export type ControlPlane = {
	/** Of a user in system:masters. */
	readonly kubeconfig: string;
	readonly server: string;
	readonly kubectl: string;
	/** Ends the API server's process and starts another on the same data and port; returns when it is ready. */
	restartApiServer(): Promise<void>;
	stop(): Promise<void>;
};

/**
 * A real API server on a real etcd, without nodes: what integration tests talk to. Each call makes an instance of its own, on a free port;
 * its processes end with this process, however that ends.
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
	await ensurePackages('controlPlane');
	const programs = {
		etcd: await ensureBinary('etcd'),
		'kube-apiserver': await ensureBinary('kube-apiserver'),
		'kube-controller-manager': await ensureBinary('kube-controller-manager'),
		kubectl: await ensureBinary('kubectl'),
	};
	for (let attemptsLeft = 3; ; attemptsLeft--) {
		try {
			return await startOnce(options, programs);
		} catch (error) {
			// Somebody else took the port between our asking for a free one and using it.
			if (!(error instanceof PortTaken) || attemptsLeft === 1) throw error;
		}
	}
}

class PortTaken extends GiveUp {}

async function startOnce(
	options: ControlPlaneOptions,
	programs: Readonly<Record<'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kubectl', string>>,
): Promise<ControlPlane> {
	await rm(options.dir, {recursive: true, force: true});
	await mkdir(options.dir, {recursive: true});
	const settings: ControlPlaneSettings = {
		dir: options.dir,
		address: '127.0.0.1',
		port: await findFreePort('127.0.0.1'),
		serviceCidr: '10.0.0.0/24',
		...(options.auditLog && {auditLog: options.auditLog}),
	};
	const children = new ChildDaemons(options.dir);
	try {
		await prepareControlPlane(settings);
		children.start(etcdDaemon(settings, programs.etcd));
		children.start(apiServerDaemon(settings, programs['kube-apiserver']));
		const kubeconfig = kubeconfigOf(settings, 'admin');
		const ready = async () => {
			await children.assertRunning('etcd');
			await children.assertRunning('kube-apiserver');
			return isReady(programs.kubectl, kubeconfig);
		};
		await until('the API server is ready', ready);
		if (options.controllerManager) {
			const port = await findFreePort('127.0.0.1');
			children.start(controllerManagerDaemon(settings, programs['kube-controller-manager'], port));
		}
		return {
			kubeconfig,
			server: `https://${settings.address}:${settings.port}`,
			kubectl: programs.kubectl,
			async restartApiServer() {
				await children.stop('kube-apiserver');
				children.start(apiServerDaemon(settings, programs['kube-apiserver']));
				await until('the API server is ready again', ready);
			},
			stop: () => children.stopAll(),
		};
	} catch (error) {
		await children.stopAll();
		throw error;
	}
}

/** Everything that `kubectl create` needs right away is there: also the namespace `default`, which /readyz does not wait for. */
export async function isReady(kubectl: string, kubeconfig: string): Promise<true | undefined> {
	const ask = (...args: string[]) => run(kubectl, ['--kubeconfig', kubeconfig, '--request-timeout=5s', ...args]);
	try {
		await ask('get', '--raw', '/readyz');
		await ask('get', '--raw', '/api/v1/namespaces/default');
		return true;
	} catch (error) {
		if (error instanceof CommandError) return undefined;
		throw error;
	}
}

/** Daemons as children of this process, killed with it (also when it is killed itself: the parent-death signal). */
class ChildDaemons {
	readonly #logDir: string;
	readonly #children = new Map<string, ChildProcess>();
	readonly #killAll = () => {
		for (const child of this.#children.values()) child.kill('SIGKILL');
	};

	constructor(logDir: string) {
		this.#logDir = logDir;
		process.on('exit', this.#killAll);
	}

	start(daemon: Daemon): void {
		const log = openSync(this.#logFile(daemon.name), 'a');
		const child = spawn('setpriv', ['--pdeathsig', 'SIGKILL', daemon.program, ...daemon.args], {
			cwd: daemon.cwd,
			stdio: ['ignore', log, log],
		});
		closeSync(log);
		this.#children.set(daemon.name, child);
	}

	/** Waiting for a daemon that has ended would be waiting for the timeout. */
	async assertRunning(name: string): Promise<void> {
		const child = this.#children.get(name);
		if (child && child.exitCode === null && child.signalCode === null) return;
		const log = await readFile(this.#logFile(name), 'utf8');
		const message = `${name} ended, see ${this.#logFile(name)}: ${log.trim().slice(-500)}`;
		throw log.includes('address already in use') ? new PortTaken(message) : new GiveUp(message);
	}

	async stop(name: string): Promise<void> {
		const child = this.#children.get(name);
		if (!child) return;
		this.#children.delete(name);
		if (child.exitCode !== null || child.signalCode !== null) return;
		const exited = once(child, 'exit');
		child.kill('SIGKILL');
		await exited;
	}

	async stopAll(): Promise<void> {
		// From the last to the first: nobody should log that its server is gone.
		for (const name of [...this.#children.keys()].reverse()) await this.stop(name);
		process.off('exit', this.#killAll);
	}

	#logFile(name: string): string {
		return path.join(this.#logDir, `${name}.log`);
	}
}
