/**
 * KubeVirt's virt-controller as far as disks are concerned, written from what is known of it on the wire: it drives
 * VirtualMachines against an API server with onesnap as the real one would against CDI. It is as strict: whatever would
 * keep the real one from working, or end it, ends this one with an error that every later question throws.
 */
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {Caches} from '../../src/kube/caches.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import {KubeEventRecorder} from '../../src/kube/events.ts';
import {keyOf} from '../../src/kube/object-key.ts';
import * as resources from '../../src/kube/resources.ts';
import {systemClock} from '../../src/process/clock.ts';
import {type Logger, silentLogger} from '../../src/process/log.ts';
import {dataVolumes, definitions, names, virtualMachineInstances, virtualMachines} from './api.ts';
import {decodingError} from './decode.ts';
import type {Double} from './double.ts';
import {userName} from './install.ts';
import {absence, cdiResources, isDataVolumeDefinition} from './presence.ts';
import {VmController} from './vm-controller.ts';
import {VmiController} from './vmi-controller.ts';

export interface VirtControllerOptions {
	readonly kubeconfig: string;
	readonly launcherImage: string;
	/** Times every pause of KubeVirt's. Default 0.05: 300 s are 15 s. */
	readonly pace?: number;
	/** For the caches to fill. Default 20 s. */
	readonly startDeadlineMs?: number;
	readonly log?: Logger;
}

const defaultPace = 0.05;
const defaultStartDeadlineMs = 20_000;
const notesKept = 5000;

/** A client of the service account, with its rights and no others. */
function connectAsVirtController(kubeconfig: string): KubeClient {
	const connection = connect(kubeconfig);
	const credentials = async () => {
		const own = await connection.credentials();
		return {...own, headers: {...own.headers, 'Impersonate-User': userName}};
	};
	return new KubeClient({connection: {...connection, credentials}, fieldManager: 'virt-controller'});
}

export class VirtController implements AsyncDisposable {
	readonly api: KubeClient;
	readonly #caches: Caches;
	readonly #events: KubeEventRecorder;
	readonly #stop = new AbortController();
	readonly #notes: string[] = [];
	#running: Promise<unknown> = Promise.resolve();
	#death: Error | undefined;

	private constructor({kubeconfig, launcherImage, pace = defaultPace, log = silentLogger}: VirtControllerOptions) {
		this.api = connectAsVirtController(kubeconfig);
		const kinds = [
			virtualMachines,
			virtualMachineInstances,
			resources.persistentVolumeClaims,
			definitions,
			...cdiResources,
		];
		const launchers = {resource: resources.pods, labelSelector: `${names.launcherLabel}=${names.launcherValue}`};
		this.#caches = new Caches({
			api: this.api,
			kinds: [...kinds.map((resource): {resource: resources.Resource<KubeObject>} => ({resource})), launchers],
			log,
		});
		this.#events = new KubeEventRecorder({
			api: this.api,
			component: 'virtualmachine-controller',
			instance: 'double',
			log,
		});
		for (const resource of cdiResources) {
			this.#caches.onChange(resource, ({object}) => {
				const error = decodingError(object);
				if (error !== undefined) this.#die(error);
			});
		}
		// A machine whose disk leaves Succeeded cannot be stopped or restarted any more.
		this.#caches.onChange(dataVolumes, (change) => {
			if (change.type !== 'update') return;
			const [before, now] = [change.old.status?.phase, change.object.status?.phase];
			if (before === 'Succeeded' && now !== before && change.old.metadata.uid === change.object.metadata.uid)
				this.#note(`DataVolume ${keyOf(change.object)} left Succeeded for ${now}`);
		});
		this.#caches.onChange(definitions, ({type, object}) => {
			if (type === 'delete' && isDataVolumeDefinition(object))
				this.#die('the definition of DataVolume is gone: virt-controller exits to start anew');
		});
		const double: Double = {
			api: this.api,
			caches: this.#caches,
			events: this.#events,
			log,
			clock: systemClock,
			pace,
			launcherImage,
			note: (about, words) => this.#note(`${about.kind} ${keyOf(about)} ${words}`),
		};
		this.#controllers = [new VmController(double).controller, new VmiController(double).controller];
	}

	readonly #controllers;

	/** Rejects where the real one would not begin to work. */
	static async start(options: VirtControllerOptions): Promise<VirtController> {
		const double = new VirtController(options);
		try {
			await double.#begin(options.startDeadlineMs ?? defaultStartDeadlineMs);
			return double;
		} catch (error) {
			await double.stop();
			throw error;
		}
	}

	async #begin(deadlineMs: number): Promise<void> {
		const missing = absence((await this.api.list(definitions)).items);
		if (missing !== undefined) throw new Error(missing);
		const {signal} = this.#stop;
		const watching = this.#caches.start(signal);
		const working = this.#controllers.map((controller) => controller.run(signal));
		this.#running = Promise.all([watching, ...working]);
		const deadline = AbortSignal.timeout(deadlineMs);
		await this.#caches.synced(AbortSignal.any([signal, deadline])).catch(() => {
			this.assertAlive();
			throw new Error(`the caches never fill: no answer for ${this.#caches.unsynced.join(', ')}`);
		});
		this.assertAlive();
	}

	/** Throws what the real one would have ended with. */
	assertAlive(): void {
		if (this.#death) throw this.#death;
	}

	/** What was done about objects whose key begins so, with times. */
	notes(prefix = ''): readonly string[] {
		return this.#notes.filter((note) => note.includes(prefix));
	}

	async stop(): Promise<void> {
		this.#stop.abort(new Error('the double was stopped'));
		await this.#running;
		for (const controller of this.#controllers) controller.close();
		await this.#events.close();
		this.api.close();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.stop();
	}

	#die(words: string): void {
		this.#death ??= new Error(`virt-controller would not work any more: ${words}`);
		this.#note(words);
		this.#stop.abort(this.#death);
	}

	#note(words: string): void {
		this.#notes.push(`${new Date().toISOString().slice(11, 23)} ${words}`);
		if (this.#notes.length > notesKept) this.#notes.shift();
	}
}
