/** The API server, with a watch on the kinds that a bench waits for: to ask for each of 200 claims again and again would be most of the load. */
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {Caches} from '../../src/kube/caches.ts';
import {KubeClient, type ObjectKey} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import {keyOf} from '../../src/kube/object-key.ts';
import * as resources from '../../src/kube/resources.ts';
import {apiPath, type Resource} from '../../src/kube/resources.ts';
import {silentLogger} from '../../src/process/log.ts';

const kinds: readonly Resource<KubeObject>[] = [
	resources.dataVolumes,
	resources.persistentVolumeClaims,
	resources.persistentVolumes,
	resources.sharedSnapshots,
	resources.volumeSnapshots,
	resources.volumeSnapshotContents,
];

/** Longer than any step of a bench should take. */
const patienceMs = 600_000;

export class WatchedApi implements AsyncDisposable {
	/** By which the audit log tells what the bench writes from what it measures. */
	static readonly userAgent = 'onesnap-bench';
	readonly api: KubeClient;
	readonly #caches: Caches;
	readonly #stop = new AbortController();
	readonly #ended: Promise<void>;
	readonly #listeners = new Map<string, Set<() => void>>();

	constructor(kubeconfig: string) {
		const {userAgent} = WatchedApi;
		this.api = new KubeClient({connection: connect(kubeconfig), fieldManager: userAgent, userAgent});
		this.#caches = new Caches({api: this.api, kinds: kinds.map((resource) => ({resource})), log: silentLogger});
		for (const resource of kinds) {
			const listeners = new Set<() => void>();
			this.#listeners.set(apiPath(resource), listeners);
			this.#caches.onChange(resource, () => {
				for (const listener of listeners) listener();
			});
		}
		this.#ended = this.#caches.start(this.#stop.signal);
	}

	list<T extends KubeObject>(resource: Resource<T>): readonly T[] {
		return this.#caches.store(resource).list();
	}

	/** Resolves when all are so; undefined stands for one that is not there. */
	async untilAll<T extends KubeObject>(
		resource: Resource<T>,
		keys: readonly ObjectKey[],
		isSo: (object: T | undefined) => boolean,
	): Promise<readonly T[]> {
		const store = this.#caches.store(resource);
		const get = ({namespace, name}: ObjectKey) => store.get(namespace, name);
		const late = () => keys.find((key) => !isSo(get(key)));
		await this.#until(
			resource,
			() => late() === undefined,
			() => {
				const key = late();
				return `${resource.kind} ${key?.namespace}/${key?.name}: ${JSON.stringify((key && get(key)) ?? 'not there')}`;
			},
		);
		return keys.flatMap((key) => get(key) ?? []);
	}

	/** Resolves when there is none of this kind that is so. */
	async untilNone<T extends KubeObject>(resource: Resource<T>, isSo: (object: T) => boolean): Promise<void> {
		await this.#caches.synced();
		const found = () => this.list(resource).filter(isSo);
		await this.#until(
			resource,
			() => found().length === 0,
			() => `still there: ${found().map(keyOf).join(', ')}`,
		);
	}

	async #until(resource: Resource<KubeObject>, isSo: () => boolean, describe: () => string): Promise<void> {
		const listeners = this.#listeners.get(apiPath(resource));
		if (!listeners) throw new Error(`${resource.plural} are not watched`);
		await new Promise<void>((resolve, reject) => {
			const end = (settle: () => void) => {
				clearTimeout(timer);
				listeners.delete(look);
				settle();
			};
			const look = () => {
				try {
					if (isSo()) end(resolve);
				} catch (error) {
					end(() => reject(error));
				}
			};
			const timer = setTimeout(
				() => end(() => reject(new Error(`nothing after ${patienceMs / 1000} s: ${describe()}`))),
				patienceMs,
			);
			listeners.add(look);
			look();
		});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#stop.abort();
		await this.#ended;
		this.api.close();
	}
}
