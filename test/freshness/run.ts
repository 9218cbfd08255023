/**
 * Clones of a disk that is being written all the time, asked for while leaders come and go. Each must show at least what
 * was durable on the source before its DataVolume was created; the writer is asked for that just before.
 */
import {setTimeout as sleep} from 'node:timers/promises';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {KubeClient} from '../../src/kube/client.ts';
import * as resources from '../../src/kube/resources.ts';
import type {LocalCluster} from '../cluster/cluster.ts';
import {report} from '../cluster/progress.ts';
import {type CounterWriter, readCounter, startCounterWriter} from '../support/counter-writer.ts';
import {createBlockClaim, createDisk} from '../support/small-disks.ts';
import {cutsBySource, readJournals} from '../support/storage-journal.ts';
import {volumeImageOf} from '../support/volume-image.ts';
import {type Disturbance, disturb} from './leader.ts';

export interface FreshnessOptions {
	readonly api: KubeClient;
	readonly cluster: LocalCluster;
	readonly workerImage: string;
	/** The source is in the first; clones are in all of them. */
	readonly namespaces: readonly [string, ...string[]];
	/** At least so many; more where the disturbances take longer. */
	readonly clones: number;
	readonly disturbances: readonly Disturbance[];
}

export interface Freshness {
	/** Of every clone, by how much its counter is ahead of what had to be in it. Negative: stale. */
	readonly margins: readonly number[];
	/** One line for each clone that is stale, torn, or was not made. */
	readonly wrong: readonly string[];
	readonly cuts: number;
	/** What was done to the leaders, with the name of the next one. */
	readonly disturbed: readonly {readonly what: Disturbance; readonly next: string}[];
	readonly seconds: number;
}

interface Asked {
	readonly disk: DataVolume;
	readonly durable: number;
	readonly deadline: number;
}

/** How many at once and how long until the next ones: of lengths without a common divisor, so that they meet in many ways. */
const burstSizes = [1, 1, 3, 1, 8, 1, 2];
const pausesMs = [0, 500, 5000, 100, 3000];
const mostInFlight = 24;
/** A frozen leader is replaced after 15 s, and a busy machine takes its time. */
const cloneMs = 180_000;
const lookEveryMs = 250;
const undisturbedMs = 3000;

class Requests {
	readonly margins: number[] = [];
	readonly wrong: string[] = [];
	readonly #options: FreshnessOptions;
	readonly #writer: CounterWriter;
	readonly #source: {readonly namespace: string; readonly name: string};
	readonly #inFlight = new Map<string, Asked>();
	#count = 0;

	constructor(
		options: FreshnessOptions,
		source: {readonly namespace: string; readonly name: string},
		writer: CounterWriter,
	) {
		this.#options = options;
		this.#source = source;
		this.#writer = writer;
	}

	get count(): number {
		return this.#count;
	}

	get inFlight(): number {
		return this.#inFlight.size;
	}

	async ask(): Promise<void> {
		const {namespaces} = this.#options;
		const number = this.#count++;
		const namespace = namespaces[number % namespaces.length] ?? '';
		const durable = await this.#writer.durable();
		const disk = await createDisk(this.#options, {namespace, name: `clone-${number}`, source: {pvc: this.#source}});
		this.#inFlight.set(disk.metadata.uid ?? '', {disk, durable, deadline: Date.now() + cloneMs});
	}

	/** Reads the disks that are complete, and deletes them. */
	async look(): Promise<void> {
		const {api, namespaces} = this.#options;
		const lists = await Promise.all(namespaces.map((namespace) => api.list(resources.dataVolumes, {namespace})));
		for (const now of lists.flatMap(({items}) => items)) {
			const asked = this.#inFlight.get(now.metadata.uid ?? '');
			if (!asked) continue;
			if (now.status?.phase === 'Succeeded') await this.#measure(asked);
			else if (Date.now() > asked.deadline) {
				this.#end(asked, `${now.metadata.name} is ${now.status?.phase} after ${cloneMs / 1000} s`);
			}
		}
	}

	async #measure(asked: Asked): Promise<void> {
		const {api, cluster} = this.#options;
		const {metadata} = asked.disk;
		try {
			const shown = await readCounter(await volumeImageOf(api, cluster, metadata));
			const margin = shown - asked.durable;
			this.margins.push(margin);
			this.#end(
				asked,
				margin < 0 ? `${metadata.name} is stale: it shows ${shown}, although ${asked.durable} was durable` : undefined,
			);
		} catch (error) {
			this.#end(asked, `${metadata.name}: ${error instanceof Error ? error.message : String(error)}`);
		}
		await api.delete(resources.dataVolumes, metadata);
	}

	#end({disk}: Asked, wrong: string | undefined): void {
		this.#inFlight.delete(disk.metadata.uid ?? '');
		if (wrong === undefined) return;
		this.wrong.push(wrong);
		report(wrong);
	}
}

async function disturbAll({api, disturbances}: FreshnessOptions): Promise<Freshness['disturbed']> {
	const disturbed = [];
	for (const what of disturbances) {
		await sleep(undisturbedMs);
		const next = await disturb(api, what);
		report(`${what}: ${next} leads`);
		disturbed.push({what, next});
	}
	return disturbed;
}

export async function measureFreshness(options: FreshnessOptions): Promise<Freshness> {
	const {api, cluster, workerImage, namespaces, clones} = options;
	const startedAt = performance.now();
	const source = {namespace: namespaces[0], name: 'busy'};
	await createBlockClaim(options, source);
	const {handle} = await volumeImageOf(api, cluster, source);
	await using writer = await startCounterWriter(api, {
		namespace: source.namespace,
		claim: source.name,
		image: workerImage,
	});
	const requests = new Requests(options, source, writer);
	const progress = {disturbing: true, asking: true};
	const disturbing = disturbAll(options).finally(() => (progress.disturbing = false));
	// Awaited below; a failure in between must not end the process first.
	disturbing.catch(() => {});
	const looking = (async () => {
		while (progress.asking || requests.inFlight > 0) {
			await requests.look();
			await sleep(lookEveryMs);
		}
	})();
	looking.catch(() => {});
	try {
		for (let round = 0; progress.disturbing || requests.count < clones; round++) {
			const burst = burstSizes[round % burstSizes.length] ?? 1;
			if (requests.inFlight + burst <= mostInFlight) {
				await Promise.all(Array.from({length: burst}, () => requests.ask()));
			}
			await sleep(pausesMs[round % pausesMs.length]);
		}
	} finally {
		progress.asking = false;
	}
	const disturbed = await disturbing;
	await looking;
	return {
		margins: requests.margins,
		wrong: requests.wrong,
		cuts: cutsBySource(await readJournals(cluster.journals)).get(handle) ?? 0,
		disturbed,
		seconds: (performance.now() - startedAt) / 1000,
	};
}
