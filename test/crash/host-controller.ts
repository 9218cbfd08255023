/**
 * The controller as a process of this machine instead of a Pod, so that it can be killed at a precise write. It has the
 * rights of its service account and no more, and it is alone: the one in the cluster is scaled away meanwhile.
 */
import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {closeSync, openSync} from 'node:fs';
import {mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {parse, stringify} from 'yaml';
import type {KubeClient} from '../../src/kube/client.ts';
import * as resources from '../../src/kube/resources.ts';
import type {LocalCluster} from '../cluster/cluster.ts';
import {Kubectl} from '../cluster/kubectl.ts';
import {until} from '../cluster/until.ts';
import {type CrashPoint, crashEnvironment} from './crash-point.ts';

const namespace = 'onesnap';
const deployment = 'onesnap-controller';
const lease = {namespace, name: 'onesnap-controller'};
const podLabel = 'app.kubernetes.io/name=onesnap-controller';
const tokenSeconds = 4 * 3600;
/** As manifests/base has it. */
const replicas = 2;
/** The controller's own deadline for a shutdown is 15 s. */
const stopMs = 25_000;

const program = path.resolve(import.meta.dirname, '../../src/bin/controller.ts');
const preload = path.resolve(import.meta.dirname, 'kill-after-write.ts');

interface Kubeconfig {
	readonly users: readonly {readonly name: string; user: object}[];
}

export interface ControllerHostOptions {
	readonly api: KubeClient;
	readonly cluster: LocalCluster;
	readonly workerImage: string;
	/** For logs and the kubeconfig. */
	readonly folder: string;
}

/** A user's kubeconfig with another user in it: the controller's service account. */
async function writeKubeconfig({api, cluster, folder}: ControllerHostOptions): Promise<string> {
	const answer = await api.post<{status: {token: string}}>(
		`/api/v1/namespaces/${namespace}/serviceaccounts/onesnap-controller/token`,
		{apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {expirationSeconds: tokenSeconds}},
	);
	const config = parse(await readFile(cluster.kubeconfig, 'utf8')) as Kubeconfig;
	for (const user of config.users) user.user = {token: answer.status.token};
	const file = path.join(folder, 'kubeconfig');
	await writeFile(file, stringify(config), {mode: 0o600});
	return file;
}

/** A controller that is started again, without orders, when it has been killed as ordered. */
export interface SupervisedController {
	/** Rejects when it ended in another way than ordered; never resolves. */
	readonly failed: Promise<never>;
	/** What it wrote until it was killed, or all of it; as described by writes.ts. */
	writes(): Promise<readonly string[]>;
	/** Whether the kill took place. */
	wasKilled(): boolean;
	log(): Promise<string>;
	/** As the kubelet does it; throws where the program does not end well. */
	stop(): Promise<void>;
}

export class ControllerHost implements AsyncDisposable {
	readonly #options: ControllerHostOptions;
	readonly #kubeconfig: string;
	readonly #kubectl: Kubectl;

	private constructor(options: ControllerHostOptions, kubeconfig: string) {
		this.#options = options;
		this.#kubeconfig = kubeconfig;
		this.#kubectl = new Kubectl(options.cluster.kubectl, options.cluster.kubeconfig);
	}

	/** Takes the place of the controller in the cluster, which must be installed. */
	static async take(options: ControllerHostOptions): Promise<ControllerHost> {
		await mkdir(options.folder, {recursive: true});
		const host = new ControllerHost(options, await writeKubeconfig(options));
		await host.#scale(0);
		await until('no controller in the cluster', async () => {
			const {items} = await options.api.list(resources.pods, {namespace, labelSelector: podLabel});
			return items.length === 0 ? true : undefined;
		});
		return host;
	}

	/** @param name of the log, in the folder. */
	async start(name: string, point?: CrashPoint): Promise<SupervisedController> {
		const file = (suffix: string) => path.join(this.#options.folder, `${name}.${suffix}`);
		const [logFile, writesFile] = [file('log'), file('writes')];
		await Promise.all([logFile, writesFile].map((each) => rm(each, {force: true})));
		// Without a point nothing is ever reached; the writes are noted all the same.
		const orders = {point: point ?? {after: 0, how: 'killed' as const}, writesFile};
		let child = await this.#spawn(logFile, ['--import', preload], crashEnvironment(orders));
		let killed = false;
		let stopping = false;
		const failed = new Promise<never>((_, reject) => {
			const watch = () => {
				child.once('exit', (code, signal) => {
					if (stopping) return;
					if (signal !== 'SIGKILL' || killed) {
						return reject(new Error(`the controller ended with ${signal ?? code}, see ${logFile}`));
					}
					killed = true;
					this.#spawn(logFile, [], {}).then((next) => {
						child = next;
						if (stopping) next.kill('SIGKILL');
						watch();
					}, reject);
				});
			};
			watch();
		});
		failed.catch(() => {});
		// A test run that is interrupted leaves no controller behind.
		const endWithUs = () => child.kill('SIGKILL');
		process.once('exit', endWithUs);
		return {
			failed,
			async writes() {
				const text = await readFile(writesFile, 'utf8').catch(() => '');
				return text.split('\n').filter(Boolean);
			},
			wasKilled: () => killed,
			log: () => readFile(logFile, 'utf8'),
			stop: async () => {
				// One that was started a moment ago does not listen yet: it is told when it leads.
				await until('the controller leads', () => this.#options.api.find(resources.leases, lease));
				stopping = true;
				await stopChild(child);
				process.off('exit', endWithUs);
			},
		};
	}

	/** Gives the place back. */
	async [Symbol.asyncDispose](): Promise<void> {
		await this.#scale(replicas);
		await this.#kubectl.run('-n', namespace, 'rollout', 'status', `deployment/${deployment}`, '--timeout=120s');
	}

	async #scale(count: number): Promise<void> {
		await this.#kubectl.run('-n', namespace, 'scale', `deployment/${deployment}`, `--replicas=${count}`);
	}

	async #spawn(
		logFile: string,
		nodeArguments: readonly string[],
		environment: Readonly<Record<string, string>>,
	): Promise<ChildProcess> {
		// A killed leader's Lease expires after 15 s. Here the process is known to be dead, so nobody has to wait for that.
		await this.#options.api.delete(resources.leases, lease);
		const log = openSync(logFile, 'a');
		const args = [
			...nodeArguments,
			program,
			`--kubeconfig=${this.#kubeconfig}`,
			`--worker-image=${this.#options.workerImage}`,
			'--identity=crash-test',
			'--port=0',
		];
		const child = spawn(process.execPath, args, {
			stdio: ['ignore', log, log],
			// It is started twice per case: parsing its modules once is enough.
			env: {...process.env, NODE_COMPILE_CACHE: path.join(this.#options.folder, 'compiled'), ...environment},
		});
		closeSync(log);
		return child;
	}
}

async function stopChild(child: ChildProcess): Promise<void> {
	if (child.exitCode === null && child.signalCode === null) {
		const ended = once(child, 'exit');
		child.kill('SIGTERM');
		const timer = setTimeout(() => child.kill('SIGKILL'), stopMs);
		await ended;
		clearTimeout(timer);
	}
	if (child.exitCode !== 0)
		throw new Error(`the controller was told to stop and ended with ${child.signalCode ?? child.exitCode}`);
}
