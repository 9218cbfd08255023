/**
 * The sharing protocol in a small world: the real observe, decide and execute of both controllers over a model of API
 * server, watches and storage. Every step of a sequence is one thing that can happen; invariants are checked as it goes.
 */
import type {DataVolume} from '../../../src/api/datavolume.ts';
import type {PersistentVolumeClaim} from '../../../src/api/kubernetes.ts';
import {annotations} from '../../../src/api/names.ts';
import {clonePolicies} from '../../../src/datavolume/authorization.ts';
import {decide as decideDataVolume} from '../../../src/datavolume/decide.ts';
import {execute as executeDataVolume} from '../../../src/datavolume/execute.ts';
import {addIndexes, observe as observeDataVolume} from '../../../src/datavolume/observe.ts';
import {makeCloneRequests} from '../../../src/datavolume/requests.ts';
import {NoAnswerError} from '../../../src/kube/errors.ts';
import {ApiError} from '../../../src/kube/errors.ts';
import {keyOf} from '../../../src/kube/object-key.ts';
import * as resources from '../../../src/kube/resources.ts';
import {decide, type SharingPlan} from '../../../src/smartclone/decide.ts';
import {execute} from '../../../src/smartclone/execute.ts';
import {
	claimsBySnapshot,
	contentByShared,
	type Observed,
	observe,
	sharedBySource,
	sharedByUid,
	snapshotByShared,
} from '../../../src/smartclone/observe.ts';
import {type CloneRequests, WaitingRequests} from '../../../src/smartclone/requests.ts';
import {RestoreWindow} from '../../../src/smartclone/restore-window.ts';
import {claim, csiDriver, dataVolume, snapshotClass, storageClass, volume} from '../builders.ts';
import {type Fault, ModelApiServer} from './api-server.ts';
import {ModelStorage, type Restore} from './storage.ts';

export interface ModelOptions {
	readonly stripes: number;
	/** Declared on the source from its first moment; then nobody writes to it. */
	readonly immutable: boolean;
	/** The decision under test, or a mutant of it. */
	readonly decide?: (observed: Observed) => SharingPlan;
}

/** One thing that happens. */
export type Step =
	| {readonly do: 'request'; readonly namespace: string}
	| {readonly do: 'removeRequest'; readonly index: number}
	| {readonly do: 'write'}
	| {readonly do: 'declareImmutable'}
	| {readonly do: 'grow'}
	| {readonly do: 'replaceSource'}
	| {readonly do: 'removeSource'}
	| {readonly do: 'sharing'; readonly fault?: Fault | 'crash' | undefined}
	| {readonly do: 'dataVolume'; readonly index: number; readonly fault?: Fault | undefined}
	| {readonly do: 'snapshotter'}
	| {readonly do: 'provisioner'}
	| {readonly do: 'deliver'; readonly index: number}
	| {readonly do: 'deliverAll'}
	/** Everybody but the provisioner does one thing: so a sequence gets somewhere, and restores take their time. */
	| {readonly do: 'turn'}
	/** Deleted by hand: one that no claim is being restored from, unless it says otherwise. */
	| {readonly do: 'loseSnapshot'; readonly index: number; readonly underRestore?: boolean}
	/** The process starts anew: its memory is empty, its caches are listed. */
	| {readonly do: 'restart'}
	/** Leadership is lost and won again: the memory is empty, the caches are as late as they are. */
	| {readonly do: 'forget'};

export class Violation extends Error {
	override readonly name = 'Violation';
}

interface Asked {
	readonly at: number;
	readonly version: number;
}

const source = {namespace: 'ns', name: 'golden'};
const sourceKey = 'ns/golden';
const mostTurns = 400;
/** Pacing is a thing of its own, tested with RestoreWindow. */
const unpaced = () => ({shown: new Set<string>(), restoring: new Set<string>()});

export class SharingModel {
	readonly server = new ModelApiServer();
	readonly storage: ModelStorage;
	readonly #options: ModelOptions;
	readonly #requests: CloneRequests;
	#waiting = new WaitingRequests(() => {});
	#window = new RestoreWindow(unpaced);
	/** By UID of the DataVolume. */
	readonly #asked = new Map<string, Asked>();
	/** Revision since when the source is declared immutable, and not written to. */
	#immutableSince: number | undefined;
	#handle = 'golden-1';
	#capacityGi = 1;
	#count = 0;
	#sources = 0;
	readonly trace: string[] = [];

	constructor(options: ModelOptions) {
		this.#options = options;
		const {server} = this;
		const {caches} = server.memory;
		this.storage = new ModelStorage(server, (restore) => this.#checkRestore(restore));
		caches.addIndex(resources.sharedSnapshots, sharedBySource);
		caches.addIndex(resources.sharedSnapshots, sharedByUid);
		caches.addIndex(resources.volumeSnapshots, snapshotByShared);
		caches.addIndex(resources.volumeSnapshotContents, contentByShared);
		caches.addIndex(resources.persistentVolumeClaims, claimsBySnapshot);
		addIndexes(caches);
		this.#requests = makeCloneRequests(server.api, caches);
		this.#install();
		this.#createSource();
		server.deliverAll();
	}

	async step(step: Step): Promise<void> {
		const {server, storage} = this;
		this.trace.push(JSON.stringify(step));
		switch (step.do) {
			case 'request':
				this.#request(step.namespace);
				break;
			case 'removeRequest': {
				const removed = pick(this.#dataVolumes(), step.index);
				if (removed) this.#remove(removed);
				break;
			}
			case 'write':
				if (this.#immutableSince === undefined)
					storage.versions.set(this.#handle, (storage.versions.get(this.#handle) ?? 0) + 1);
				break;
			case 'declareImmutable':
				this.#declareImmutable();
				break;
			case 'grow':
				this.#grow();
				break;
			case 'replaceSource':
				// The snapshotter protects a claim that it is about to cut.
				if (storage.cutsPending) break;
				this.#removeSource();
				this.#createSource();
				break;
			case 'removeSource':
				if (!storage.cutsPending) this.#removeSource();
				break;
			case 'sharing':
				await this.#sharing(step.fault);
				break;
			case 'dataVolume': {
				const due = pick(this.#dataVolumes(), step.index);
				if (due) await this.#dataVolume(due, step.fault);
				break;
			}
			case 'snapshotter':
				storage.snapshotter();
				break;
			case 'provisioner':
				storage.provisioner();
				break;
			case 'deliver': {
				const kind = pick(server.late, step.index);
				if (kind) server.deliver(kind);
				break;
			}
			case 'deliverAll':
				server.deliverAll();
				break;
			case 'turn':
				await this.#turn();
				break;
			case 'loseSnapshot': {
				const all = server.list(resources.volumeSnapshots);
				const lost = pick(step.underRestore ? all : all.filter((each) => !storage.isRestoring(each)), step.index);
				if (lost) server.delete(resources.volumeSnapshots, lost.metadata);
				break;
			}
			case 'restart':
				server.deliverAll();
				this.#forget();
				break;
			case 'forget':
				this.#forget();
				break;
			default:
				step satisfies never;
		}
		this.#checkBounds();
	}

	/** Everything happens that can, without faults, until nothing changes any more. */
	async settle(): Promise<void> {
		this.trace.push('settle');
		let quiet = 0;
		for (let turn = 0; quiet < 2; turn++) {
			if (turn > mostTurns) throw new Violation(`no end after ${mostTurns} turns: ${this.describe()}`);
			const before = this.server.revision;
			const plan = await this.#turn();
			this.storage.provisioner();
			this.storage.garbageCollector();
			this.#checkBounds();
			quiet = this.server.revision === before && plan?.do === 'nothing' ? quiet + 1 : 0;
		}
	}

	async #turn(): Promise<SharingPlan | undefined> {
		const {server, storage} = this;
		server.deliverAll();
		for (const each of this.#dataVolumes()) await this.#dataVolume(each);
		server.deliverAll();
		const plan = await this.#sharing();
		storage.snapshotter();
		return plan;
	}

	/** After `settle`: every request has its disk, and no more is kept than what may serve again. */
	checkServed(): void {
		for (const each of this.#dataVolumes()) {
			const disk = this.server.get(resources.persistentVolumeClaims, each.metadata);
			if (disk?.status?.phase !== 'Bound') throw new Violation(`${keyOf(each)} is not served: ${this.describe()}`);
		}
		const most = this.#immutableSince === undefined ? 0 : this.#options.stripes;
		if (this.storage.cuts.size > most)
			throw new Violation(`${this.storage.cuts.size} snapshots are kept, ${most} may be: ${this.describe()}`);
	}

	/** All requests and the source go: nothing of ours may stay. */
	async removeAll(): Promise<void> {
		for (const each of this.#dataVolumes()) this.#remove(each);
		this.#removeSource();
		await this.settle();
		const {server, storage} = this;
		const left = [resources.sharedSnapshots, resources.volumeSnapshots, resources.volumeSnapshotContents].flatMap(
			(resource) => server.list(resource as typeof resources.sharedSnapshots).map(keyOf),
		);
		if (left.length > 0 || storage.cuts.size > 0)
			throw new Violation(`left behind: ${[...left, ...storage.cuts.keys()].join(', ')}; ${this.describe()}`);
	}

	/** For the message of a failed property. */
	describe(): string {
		const shared = this.server.list(resources.sharedSnapshots).map(({metadata, spec, status}) => ({
			name: metadata.name,
			closed: spec.closed,
			deleting: metadata.deletionTimestamp !== undefined,
			...status,
		}));
		return JSON.stringify({shared, dataVolumes: this.#dataVolumes().map(({metadata}) => metadata)});
	}

	#forget(): void {
		this.#waiting = new WaitingRequests(() => {});
		this.#window = new RestoreWindow(unpaced);
	}

	#dataVolumes(): DataVolume[] {
		return this.server.list(resources.dataVolumes);
	}

	#install(): void {
		const {server} = this;
		const epoch = '1970-01-01T00:00:00Z';
		server.create(
			resources.storageClasses,
			storageClass({
				annotations: {
					[annotations.defaultStorageClass]: 'true',
					[annotations.stripes]: String(this.#options.stripes),
					// Pacing is a thing of its own, tested with RestoreWindow.
					[annotations.restoreWindow]: '1000',
				},
			}),
		);
		server.create(resources.volumeSnapshotClasses, snapshotClass());
		server.create(resources.csiDrivers, csiDriver());
		for (const name of clonePolicies) {
			const metadata = {name, creationTimestamp: epoch};
			const apiVersion = 'admissionregistration.k8s.io/v1';
			server.create(resources.validatingAdmissionPolicies, {
				apiVersion,
				kind: 'ValidatingAdmissionPolicy',
				metadata,
			});
			server.create(resources.validatingAdmissionPolicyBindings, {
				apiVersion,
				kind: 'ValidatingAdmissionPolicyBinding',
				metadata,
			});
		}
	}

	#createSource(): void {
		this.#sources += 1;
		this.#handle = `golden-${this.#sources}`;
		this.#capacityGi = 1;
		this.#immutableSince = undefined;
		const name = `volume-${this.#sources}`;
		const made = claim({...source, uid: `golden-uid-${this.#sources}`, volumeName: name});
		this.server.create(resources.persistentVolumeClaims, made);
		this.server.create(
			resources.persistentVolumes,
			volume({name, uid: `${name}-uid`, handle: this.#handle, boundTo: made}),
		);
		this.storage.versions.set(this.#handle, 0);
		if (this.#options.immutable) this.#declareImmutable();
	}

	#removeSource(): void {
		const {server, storage} = this;
		server.delete(resources.persistentVolumeClaims, source);
		server.delete(resources.persistentVolumes, {name: `volume-${this.#sources}`});
		storage.versions.delete(this.#handle);
	}

	#declareImmutable(): void {
		if (this.#immutableSince !== undefined) return;
		const patch = {metadata: {annotations: {[annotations.immutable]: 'true'}}};
		this.server.patch(resources.persistentVolumeClaims, source, patch);
		this.#immutableSince = this.server.revision;
	}

	#grow(): void {
		this.#capacityGi += 1;
		const storage = `${this.#capacityGi}Gi`;
		this.server.patch(resources.persistentVolumes, {name: `volume-${this.#sources}`}, {spec: {capacity: {storage}}});
		const status = {capacity: {storage}};
		this.server.patch<PersistentVolumeClaim>(resources.persistentVolumeClaims, source, {status});
	}

	#request(namespace: string): void {
		this.#count += 1;
		const name = `disk-${this.#count}`;
		const made = dataVolume({name, namespace, source: {pvc: source}, size: '1Gi', uid: `${name}-uid`});
		const made_ = this.server.create(resources.dataVolumes, made);
		const version = this.storage.versions.get(this.#handle) ?? 0;
		this.#asked.set(made_.metadata.uid ?? '', {at: this.server.revision, version});
	}

	#remove({metadata}: DataVolume): void {
		this.server.delete(resources.dataVolumes, metadata);
		// What the controller does when its watch says so.
		this.#waiting.withdraw(metadata.uid ?? '');
	}

	/** Faults end a round as they do in the controller: it comes again later. */
	async #attempt(round: () => Promise<unknown>): Promise<void> {
		try {
			await round();
		} catch (error) {
			if (!(error instanceof NoAnswerError || error instanceof ApiError)) throw error;
			this.trace.push(`  ${error.message}`);
		}
		this.server.fault = undefined;
	}

	async #sharing(fault?: Fault | 'crash'): Promise<SharingPlan | undefined> {
		const {api, memory} = this.server;
		const observed = observe(sourceKey, {caches: memory.caches, requests: this.#requests, waiting: this.#waiting});
		const plan = (this.#options.decide ?? decide)(observed);
		if (plan.do !== 'nothing') this.trace.push(`  ${plan.do} ${plan.shared.metadata.name}`);
		if (fault === 'crash') {
			this.#forget();
			return plan;
		}
		this.server.fault = fault;
		const signal = new AbortController().signal;
		await this.#attempt(() => execute({api, requests: this.#requests, waiting: this.#waiting, signal}, plan));
		return plan;
	}

	async #dataVolume({metadata}: DataVolume, fault?: Fault): Promise<void> {
		const {api, memory} = this.server;
		const observed = observeDataVolume(keyOf({metadata}), {
			caches: memory.caches,
			waiting: this.#waiting,
			lost: {messageOf: () => undefined},
			filesystemOverhead: 0,
			populationOf: () => {
				throw new Error('a smart clone is not populated');
			},
			percentOf: () => undefined,
			now: () => 0,
		});
		const plan = decideDataVolume(observed);
		const why = 'reason' in plan ? ` ${plan.reason}: ${plan.message}` : '';
		if (plan.do !== 'nothing') this.trace.push(`  ${metadata.name}: ${plan.do}${why}`);
		const signal = new AbortController().signal;
		const wake = () => true;
		if (plan.do !== 'askForSnapshot') this.#waiting.stop(metadata.uid ?? '');
		this.server.fault = fault;
		const context = {api, waiting: this.#waiting, window: this.#window, uid: metadata.uid ?? '', wake, signal};
		await this.#attempt(() => executeDataVolume(context, plan));
	}

	/** A clone shows its source as it was at its request or later; earlier only where the source cannot have changed. */
	#checkRestore({claim: restored, cut}: Restore): void {
		const uid = restored.metadata.annotations?.[annotations.createdForDataVolume] ?? '';
		const asked = this.#asked.get(uid);
		if (!asked || cut.at >= asked.at) return;
		const name = keyOf(restored);
		if (this.#immutableSince === undefined)
			throw new Violation(`${name} is restored from a snapshot that was cut before it was asked for`);
		if (cut.version !== asked.version)
			throw new Violation(`${name} is restored at version ${cut.version}, it was ${asked.version} when asked for`);
	}

	/** One cut at a time, no more stripes than there may be, and one snapshot where nothing else can be needed. */
	#checkBounds(): void {
		const shared = this.server.list(resources.sharedSnapshots);
		const uids = new Map(shared.map(({metadata}) => [metadata.uid, 0]));
		for (const {metadata, spec} of this.server.list(resources.volumeSnapshots)) {
			if (!spec.source.persistentVolumeClaimName) continue;
			const uid = metadata.labels?.['onesnap.io/shared-snapshot-uid'];
			uids.set(uid, (uids.get(uid) ?? 0) + 1);
		}
		for (const [uid, stripes] of uids)
			if (stripes > this.#options.stripes) throw new Violation(`${uid} has ${stripes} stripes`);
		if (!this.#options.immutable) return;
		const perContent = Object.groupBy(
			shared.filter(({metadata, spec}) => spec.closed && !metadata.deletionTimestamp && !this.#isLost(metadata.uid)),
			({spec}) => `${spec.content.volumeHandle} ${spec.content.capacity}`,
		);
		for (const [content, serving = []] of Object.entries(perContent))
			if (serving.length > 1) throw new Violation(`${serving.length} shared snapshots serve ${content}`);
	}

	#isLost(uid: string | undefined): boolean {
		return this.server
			.list(resources.volumeSnapshots)
			.some(({metadata}) => metadata.deletionTimestamp && metadata.name.startsWith(`onesnap-${uid}-`));
	}
}

function pick<T>(list: readonly T[], index: number): T | undefined {
	return list[index % Math.max(1, list.length)];
}
