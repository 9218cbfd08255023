/**
 * The sharing protocol in a small world: two replicas with the real observe, decide and execute of both controllers, over
 * models of API server, watches, snapshotter, provisioner and storage. A step is one thing that can happen; what must hold
 * is checked as it goes (invariants.ts). A sequence of steps is the whole input: the same one runs the same way.
 */
import type {DataVolume} from '../../../src/api/datavolume.ts';
import type {KubeObject, PersistentVolumeClaim, Pod} from '../../../src/api/kubernetes.ts';
import {annotations} from '../../../src/api/names.ts';
import {clonePolicies, referencePolicy} from '../../../src/datavolume/authorization.ts';
import {defaultDeadlines} from '../../../src/datavolume/observe.ts';
import {ApiError} from '../../../src/kube/errors.ts';
import {keyOf} from '../../../src/kube/object-key.ts';
import * as resources from '../../../src/kube/resources.ts';
import type {Clock} from '../../../src/process/clock.ts';
import {
	cdiConfig,
	claim,
	csiDriver,
	dataSource,
	dataVolume,
	plainSets,
	pod,
	snapshotClass,
	storageClass,
	storageProfile,
	volume,
} from '../builders.ts';
import {deleteAny, ModelServer} from './server.ts';
import {claimInUse, endPods, makeNamespace, runClusterControllers, running} from './cluster-controllers.ts';
import {Chronicle, Invariants, Violation} from './invariants.ts';
import {ModelProvisioner} from './provisioner.ts';
import {idleLimitMs, type Mutant, Replica, type WriteFault} from './replica.ts';
import {ModelSnapshotter} from './snapshotter.ts';
import type {ModelOptions, Step} from './steps.ts';
import {ModelStorage} from './storage.ts';
import {WatchedCaches} from './watched-caches.ts';

const source = {namespace: 'ns', name: 'golden'};
/** A second claim, on a second volume of the same handle. */
const second = {namespace: 'ns', name: 'golden-too'};
/** A DataSource, and where it may lead besides the source. */
const reference = {namespace: 'ns', name: 'os'};
const nowhere = {namespace: 'ns', name: 'nowhere'};
const size = {storage: {resources: {requests: {storage: '1Gi'}}}};
const home = 'onesnap';
const mostTurns = 400;
/** Everything takes a little time. */
const stepMs = 10;
/** A moment in 2026; the model's clock counts from there. */
const startMs = Date.UTC(2026, 0, 1);

export class SharingModel {
	readonly server: ModelServer;
	readonly storage = new ModelStorage();
	readonly #options: ModelOptions;
	readonly #chronicle = new Chronicle();
	readonly #invariants: Invariants;
	readonly #snapshotter: ModelSnapshotter;
	readonly #provisioner: ModelProvisioner;
	readonly #replicas: Replica[];
	readonly #makeReplica: (index: number) => Replica;
	readonly #inFlight: (() => unknown)[] = [];
	readonly #trace: (Step | string)[] = [];
	readonly #counts: Map<string, number>;
	#nowMs = startMs;
	#leads = 0;
	#runs = 0;
	#handle = '';
	#capacityGi = 1;
	#count = 0;
	#sources = 0;
	#pods = 0;
	#isDeclared = false;

	/** @param counts how often what happened, added up over many models. */
	constructor(options: ModelOptions, mutant: Mutant = {}, counts = new Map<string, number>()) {
		this.#options = options;
		this.#counts = counts;
		const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
		this.server = new ModelServer(
			() => this.#nowMs,
			(after, before, removed) => {
				this.#invariants.onWrite(after, before);
				const {name, labels} = after.metadata;
				if (removed && after.kind === 'Pod')
					this.#chronicle.end(
						this.#chronicle.writers,
						labels?.['handle'] ?? '',
						this.server.revision,
						(span) => span.pod === name,
					);
			},
		);
		const {server, storage} = this;
		this.#invariants = new Invariants({
			...{server, storage, count, chronicle: this.#chronicle, stripes: options.stripes},
			restoring: () => this.#provisioner.restoring,
		});
		this.#snapshotter = new ModelSnapshotter(server, storage, {
			onCut: (cut, snapshot) => this.#invariants.onCut(cut, snapshot),
			onDelete: (handle, content) => this.#invariants.onDelete(handle, content),
		});
		this.#provisioner = new ModelProvisioner(server, storage, (restored, cut) => {
			this.#trace.push(`  ${keyOf(restored)} shows ${cut.handle} of ${cut.volumeHandle}, version ${cut.version}`);
			this.#invariants.onRestore(restored, cut);
		});
		this.#install();
		this.#createSource();
		const context = {
			...{server, mutant, count, inFlight: this.#inFlight, clock: this.#clock()},
			tell: (line: string) => void this.#trace.push(line),
		};
		this.#makeReplica = (index) => {
			this.#runs += 1;
			return new Replica(context, {namespace: home, name: `onesnap-${index}`}, `run-${this.#runs}`);
		};
		this.#replicas = [0, 1].map(this.#makeReplica);
	}

	/** What happened, one thing a line. */
	get trace(): string[] {
		return this.#trace.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
	}

	async step(step: Step): Promise<void> {
		this.#trace.push(step);
		this.#nowMs += stepMs;
		const name = `step ${step.do}`;
		this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
		await this.#perform(step);
		this.#invariants.check();
	}

	async #perform(step: Step): Promise<void> {
		switch (step.do) {
			case 'request':
				return this.#request(step.namespace, step.byReference);
			case 'point':
				return this.#point(step.to === 'source' ? source : nowhere);
			case 'removeRequest':
				return this.#remove(pick(this.#dataVolumes(), step.index));
			case 'replaceRequest':
				return this.#replaceRequest(pick(this.#dataVolumes(), step.index));
			case 'startWriter':
				return void this.#startWriter(step.second);
			case 'write':
				return this.#write();
			case 'stopWriter':
				return this.#stopWriter(pick(this.#writers(), step.index));
			case 'briefWriter':
				return this.#briefWriter(step.second);
			case 'declareImmutable':
				return this.#declareImmutable();
			case 'revokeImmutable':
				return this.#revokeImmutable();
			case 'grow':
				return this.#grow();
			case 'replaceSource':
				this.#removeSource();
				return this.#createSource();
			case 'removeSource':
				return this.#removeSource();
			case 'deleteNamespace':
				return void this.server.delete(resources.namespaces, {name: step.namespace});
			case 'sharing':
				return this.#sharing(step.fault).then(() => undefined);
			case 'dataVolume': {
				const due = pick(this.#dataVolumes(), step.index);
				return due && this.#dataVolume(keyOf(due), step.fault);
			}
			case 'snapshotter':
				return step.index === undefined ? this.#snapshotter.lookAtAll() : this.#snapshotter.lookAt(step.index);
			case 'provisioner':
				return this.#provisioner.step();
			case 'clusterControllers':
				return runClusterControllers(this.server, this.storage);
			case 'deliver': {
				const {caches} = this.#replica(step.standby);
				const late = pick(caches.late, step.index);
				return late === undefined ? undefined : caches.deliver(late);
			}
			case 'deliverAll':
				return this.#replica(step.standby).caches.deliverAll();
			case 'turn':
				this.#leader.caches.deliverAll();
				return this.#turn().then(() => undefined);
			case 'turns':
				for (let turn = 0; turn < step.count; turn++) {
					this.#leader.caches.deliverAll();
					await this.#turn();
					if (step.restore) this.#provisioner.step();
				}
				return undefined;
			case 'deleteByHand':
				return this.#deleteByHand(step.what, step.index);
			case 'gap': {
				const path = pick(WatchedCaches.changing, step.index);
				return path === undefined ? undefined : this.#replica(step.standby).caches.loseHistory(path);
			}
			case 'stall': {
				const path = pick(WatchedCaches.changing, step.index);
				return path === undefined ? undefined : this.#replica(step.standby).caches.stall(path);
			}
			case 'restart':
				return this.#restart();
			case 'failover':
				return this.#failover();
			case 'land':
				return this.#land(step.index);
			case 'baseline':
				return this.#replica(step.standby).takeBaseline();
			case 'driverFault':
				return this.storage.fail(step.fault, step.times);
			case 'vanish': {
				const lost = pick(this.#reported, step.index);
				return lost === undefined ? undefined : this.storage.vanish(lost);
			}
			case 'time':
				this.#nowMs += step.ms;
				return undefined;
			default:
				return step satisfies never;
		}
	}

	/** Everything happens that can, without faults, until nothing changes any more; then a long time passes, and again. */
	async settle(): Promise<void> {
		this.#trace.push('settle');
		this.storage.mend();
		this.#point(source);
		for (const {caches} of this.#replicas) caches.goOn();
		while (this.#inFlight.length > 0) this.#land(0);
		await this.#untilQuiet();
		this.#nowMs += idleLimitMs + 1;
		if (this.server.list(resources.sharedSnapshots).length > 0) await this.#untilQuiet();
		// Without a class nothing is cut that was begun; whatever else waits for a deadline is stuck.
		if (this.#hasClass) return;
		this.#nowMs += defaultDeadlines.cutMs + 1;
		await this.#untilQuiet();
		this.#nowMs += idleLimitMs + 1;
		await this.#untilQuiet();
	}

	async #untilQuiet(): Promise<void> {
		let isQuiet = false;
		for (let turn = 0; !isQuiet; turn++) {
			if (turn > mostTurns) throw new Violation(`no end after ${mostTurns} turns: ${this.describe()}`);
			const before = this.server.revision;
			this.#nowMs += stepMs;
			for (const {caches} of this.#replicas) caches.deliverAll();
			const isIdle = await this.#turn();
			this.#provisioner.step();
			this.#invariants.check();
			isQuiet = isIdle && this.server.revision === before && this.#provisioner.restoring.size === 0;
		}
	}

	/** @returns whether the leader had nothing to do for the source. */
	async #turn(): Promise<boolean> {
		for (const replica of this.#replicas) await replica.takeBaseline();
		for (const each of this.#dataVolumes()) await this.#dataVolume(keyOf(each));
		for (const key of this.#ownersGone()) await this.#dataVolume(key);
		this.#leader.caches.deliverAll();
		const plan = await this.#sharing();
		const isTidy = await this.#leader.orphans();
		this.#snapshotter.lookAtAll();
		runClusterControllers(this.server, this.storage);
		return plan.do === 'nothing' && isTidy;
	}

	/** After `settle`: every request has its disk or says why not, and no more is kept than what may serve again. */
	checkServed(): void {
		const waiting: string[] = [];
		for (const each of this.#dataVolumes()) {
			const disk = this.server.get(resources.persistentVolumeClaims, each.metadata);
			if (disk?.status?.phase === 'Bound') continue;
			// Without its source it waits for that, in whatever state it is.
			if (this.#hasSource) waiting.push(keyOf(each));
		}
		if (waiting.length > 0) throw new Violation(`not served: ${waiting.join(', ')}; ${this.describe()}`);
		const most = this.#isDeclared ? this.#options.stripes : 0;
		const {kept} = this.storage;
		if (kept.length > most)
			throw new Violation(`${kept.length} snapshots are kept, ${most} may be: ${this.describe()}`);
	}

	/** What was deleted by hand is made again, and who still waits is served. */
	async mend(): Promise<void> {
		if (this.#hasSource && this.#isThere('tenant') && this.#hasClass) return;
		this.#trace.push('mend');
		for (const each of this.#writers()) this.#stopWriter(each);
		await this.#untilQuiet();
		if (!this.#hasClass) this.server.create(resources.volumeSnapshotClasses, snapshotClass());
		for (const name of ['ns', 'tenant']) makeNamespace(this.server, name);
		this.#createSource();
		await this.settle();
		this.checkServed();
	}

	/** All requests and the source go: nothing of ours may stay. */
	async removeAll(): Promise<void> {
		this.#trace.push('remove all');
		for (const each of this.#dataVolumes()) this.#remove(each);
		for (const each of this.#writers()) this.#stopWriter(each);
		this.#removeSource();
		this.server.delete(resources.persistentVolumeClaims, second);
		await this.settle();
		const {server, storage} = this;
		const kinds = [
			resources.sharedSnapshots,
			resources.volumeSnapshots,
			resources.volumeSnapshotContents,
			resources.volumeCloneSources,
			resources.persistentVolumeClaims,
			resources.persistentVolumes,
		];
		const left = kinds.flatMap((resource) => server.list(resource as typeof resources.sharedSnapshots).map(keyOf));
		if (left.length > 0 || storage.kept.length > 0)
			throw new Violation(`left behind: ${[...left, ...storage.kept].join(', ')}; ${this.describe()}`);
	}

	/** For the message of a failed property. */
	describe(): string {
		const {server} = this;
		const shared = server.list(resources.sharedSnapshots).map(({metadata, spec}) => ({
			name: metadata.name,
			uid: metadata.uid,
			closed: spec.closed,
			deleting: metadata.deletionTimestamp !== undefined,
		}));
		const dataVolumes = this.#dataVolumes().map(({metadata: {namespace, name, uid, annotations: given}}) => ({
			...{namespace, name, uid, given},
		}));
		const snapshots = server.list(resources.volumeSnapshots);
		const contents = server.list(resources.volumeSnapshotContents);
		return JSON.stringify({shared, dataVolumes, snapshots, contents});
	}

	get #leader(): Replica {
		return this.#replica(false);
	}

	#replica(standby = false): Replica {
		const replica = this.#replicas[standby ? 1 - this.#leads : this.#leads];
		if (!replica) throw new Error('there are two replicas');
		return replica;
	}

	/** Cuts that the driver has answered for: one before that it makes again, by the same name. */
	get #reported(): string[] {
		const contents = this.server.list(resources.volumeSnapshotContents);
		const handles = new Set(contents.map(({status}) => status?.snapshotHandle));
		return [...this.storage.cuts.keys()].filter((handle) => handles.has(handle));
	}

	#dataVolumes(): DataVolume[] {
		return this.server.list(resources.dataVolumes);
	}

	#clock(): Clock {
		return {
			now: () => this.#nowMs,
			monotonicMs: () => this.#nowMs - startMs,
			after: () => () => {},
			sleep: async () => {},
		};
	}

	#install(): void {
		const {server} = this;
		const epoch = '1970-01-01T00:00:00Z';
		const classAnnotations = {
			[annotations.defaultStorageClass]: 'true',
			[annotations.stripes]: String(this.#options.stripes),
			// Pacing is a thing of its own, tested with RestoreWindow.
			[annotations.restoreWindow]: '1000',
		};
		server.create(resources.storageClasses, storageClass({annotations: classAnnotations}));
		server.create(resources.storageProfiles, storageProfile({spec: {claimPropertySets: plainSets}}));
		server.create(resources.cdiConfigs, cdiConfig({status: {filesystemOverhead: {global: '0'}}}));
		server.create(resources.volumeSnapshotClasses, snapshotClass());
		server.create(resources.csiDrivers, csiDriver());
		for (const name of ['ns', 'tenant', home]) makeNamespace(server, name);
		for (const index of [0, 1]) server.create(resources.pods, pod({namespace: home, name: `onesnap-${index}`}));
		const apiVersion = 'admissionregistration.k8s.io/v1';
		for (const name of [...clonePolicies, referencePolicy]) {
			const metadata = {name, creationTimestamp: epoch};
			const [policy, binding] = ['ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'];
			server.create(resources.validatingAdmissionPolicies, {apiVersion, kind: policy, metadata});
			server.create(resources.validatingAdmissionPolicyBindings, {apiVersion, kind: binding, metadata});
		}
	}

	get #golden(): PersistentVolumeClaim | undefined {
		return this.server.get(resources.persistentVolumeClaims, source);
	}

	get #hasClass(): boolean {
		return this.server.list(resources.volumeSnapshotClasses).length > 0;
	}

	get #hasSource(): boolean {
		const golden = this.#golden;
		return golden !== undefined && !golden.metadata.deletionTimestamp && this.#isThere('ns');
	}

	#isThere(namespace: string): boolean {
		const found = this.server.get(resources.namespaces, {name: namespace});
		return found !== undefined && !found.metadata.deletionTimestamp;
	}

	#createSource(): void {
		if (this.#golden || !this.#isThere('ns')) return;
		this.#sources += 1;
		this.#handle = `golden-${this.#sources}`;
		this.#capacityGi = 1;
		this.#isDeclared = false;
		this.#chronicle.sources.set(this.#handle, this.#sources);
		const name = `volume-${this.#sources}`;
		const made = claim({...source, uid: `golden-uid-${this.#sources}`, volumeName: name, finalizers: [claimInUse]});
		this.server.create(resources.persistentVolumeClaims, made);
		const bound = volume({name, uid: `${name}-uid`, handle: this.#handle, boundTo: made});
		this.server.create(resources.persistentVolumes, bound);
		this.storage.disks.set(this.#handle, 0);
		if (this.#options.immutable) this.#declareImmutable();
	}

	#point(pvc: {readonly namespace: string; readonly name: string}): void {
		if (!this.#isThere(reference.namespace)) return;
		const known = this.server.get(resources.dataSources, reference);
		if (known) this.server.patch(resources.dataSources, reference, {spec: {source: {pvc}}});
		else this.server.create(resources.dataSources, dataSource({...reference, source: {pvc}}));
	}

	#removeSource(): void {
		this.server.delete(resources.persistentVolumeClaims, source);
		runClusterControllers(this.server, this.storage);
	}

	#declareImmutable(): void {
		// Who took the word back and wrote has no word to give any more.
		const spans = this.#chronicle.declared.get(this.#handle) ?? [];
		if (this.#isDeclared || spans.length > 0 || !this.#golden) return;
		this.server.patch(resources.persistentVolumeClaims, source, {
			metadata: {annotations: {[annotations.immutable]: 'true'}},
		});
		this.#isDeclared = true;
		this.#chronicle.begin(this.#chronicle.declared, this.#handle, {from: this.server.revision});
	}

	#revokeImmutable(): void {
		if (!this.#isDeclared || !this.#golden) return;
		this.#chronicle.end(this.#chronicle.declared, this.#handle, this.server.revision, () => true);
		this.server.patch(resources.persistentVolumeClaims, source, {
			metadata: {annotations: {[annotations.immutable]: null}},
		});
		this.#isDeclared = false;
	}

	#grow(): void {
		if (!this.#golden) return;
		this.#capacityGi += 1;
		const storage = `${this.#capacityGi}Gi`;
		this.server.patch(resources.persistentVolumes, {name: `volume-${this.#sources}`}, {spec: {capacity: {storage}}});
		const status = {capacity: {storage}};
		this.server.patch<PersistentVolumeClaim>(resources.persistentVolumeClaims, source, {status});
	}

	/** The second claim and its volume, made when first asked for. */
	#secondClaim(): PersistentVolumeClaim {
		const known = this.server.get(resources.persistentVolumeClaims, second);
		if (known) return known;
		const name = `second-${this.#sources}-${this.server.revision}`;
		const made = this.server.create(
			resources.persistentVolumeClaims,
			claim({...second, uid: `${name}-claim`, volumeName: name, finalizers: [claimInUse]}),
		);
		const twin = volume({name, uid: `${name}-uid`, handle: this.#handle, boundTo: made});
		const spec = {...twin.spec, persistentVolumeReclaimPolicy: 'Retain' as const};
		this.server.create(resources.persistentVolumes, {...twin, spec});
		return made;
	}

	#writers(): Pod[] {
		return this.server.list(resources.pods).filter(({metadata}) => metadata.namespace !== home);
	}

	#startWriter(bySecond = false): Pod | undefined {
		if (!this.#hasSource) return undefined;
		const mounted = bySecond ? this.#secondClaim() : this.#golden;
		if (!mounted || mounted.metadata.deletionTimestamp) return undefined;
		this.#pods += 1;
		const name = `writer-${this.#pods}`;
		// It may write from the moment that it is there; and before that nobody has heard of it.
		const made = pod({
			...{name, namespace: 'ns', finalizers: [running], labels: {handle: this.#handle}},
			mounts: [{claim: mounted.metadata.name}],
		});
		const span = {from: this.server.revision + 1, pod: name};
		const created = this.server.create(resources.pods, made);
		this.#chronicle.begin(this.#chronicle.writers, this.#handle, span);
		return created;
	}

	/** By a Pod that is there, to the disk that it mounts. */
	#write(): void {
		if (this.#isDeclared) return;
		const handles = this.#writers().map(({metadata}) => metadata.labels?.['handle'] ?? '');
		// A moment of its own, so that nothing else is at the same.
		for (const handle of new Set(handles)) {
			this.storage.write(handle);
			this.server.revision += 1;
		}
	}

	#stopWriter(writer: Pod | undefined): void {
		if (!writer) return;
		if (!writer.metadata.deletionTimestamp) this.server.delete(resources.pods, writer.metadata);
		else this.#endWriters();
	}

	#endWriters(): void {
		endPods(this.server);
	}

	#briefWriter(bySecond = false): void {
		const writer = this.#startWriter(bySecond);
		if (!writer) return;
		this.#write();
		this.server.delete(resources.pods, writer.metadata);
		this.server.release(resources.pods, writer, running);
	}

	#request(namespace: string, byReference = false): void {
		if (!this.#isThere(namespace)) {
			if (this.server.get(resources.namespaces, {name: namespace})) return;
			makeNamespace(this.server, namespace);
		}
		this.#count += 1;
		const name = `disk-${this.#count}`;
		this.#ask(
			byReference
				? dataVolume({name, namespace, spec: {...size, sourceRef: {kind: 'DataSource', ...reference}}})
				: dataVolume({name, namespace, source: {pvc: source}, spec: size}),
		);
	}

	#ask(wanted: DataVolume): void {
		this.#count += 1;
		const uid = `${wanted.metadata.name}-uid-${this.#count}`;
		const {metadata} = this.server.create(resources.dataVolumes, {...wanted, metadata: {...wanted.metadata, uid}});
		const version = this.storage.disks.get(this.#handle) ?? 0;
		this.#chronicle.asked.set(metadata.uid ?? '', {at: this.server.revision, source: this.#sources, version});
	}

	#replaceRequest(old: DataVolume | undefined): void {
		if (!old || !this.#isThere(old.metadata.namespace ?? '')) return;
		this.#remove(old);
		const {namespace, name, annotations: given} = old.metadata;
		const namesake = dataVolume({name, ...(namespace && {namespace}), spec: old.spec});
		this.#ask({...namesake, metadata: {...namesake.metadata, ...(given && {annotations: given})}});
	}

	#remove(removed: DataVolume | undefined): void {
		if (removed) this.server.delete(resources.dataVolumes, removed.metadata);
	}

	#deleteByHand(what: Extract<Step, {do: 'deleteByHand'}>['what'], index: number): void {
		const {server} = this;
		const snapshots = server.list(resources.volumeSnapshots);
		const contents = server.list(resources.volumeSnapshotContents);
		const all = {
			snapshot: snapshots.filter(({spec}) => spec.source.persistentVolumeClaimName !== undefined),
			alias: snapshots.filter(({spec}) => spec.source.volumeSnapshotContentName !== undefined),
			content: contents.filter(({spec}) => spec.source.volumeHandle !== undefined),
			aliasContent: contents.filter(({spec}) => spec.source.snapshotHandle !== undefined),
			shared: server.list(resources.sharedSnapshots),
			claim: server.list(resources.persistentVolumeClaims).filter(({metadata}) => metadata.ownerReferences),
			class: server.list(resources.volumeSnapshotClasses),
		};
		const victim = pick<KubeObject>(all[what], index);
		if (!victim) return;
		const handle = contents.find(({metadata}) => metadata.uid === victim.metadata.uid)?.status?.snapshotHandle;
		if (handle !== undefined) this.storage.leftByAdmin.add(handle);
		deleteAny(server, victim);
	}

	async #sharing(fault?: WriteFault): ReturnType<Replica['sharing']> {
		const plan = await this.#leader.sharing(fault);
		this.#buryTheDead();
		// Requests have a deadline, and a Lease takes longer to lose: a late write meets one write of the next leader at most.
		if (plan.do !== 'nothing' && fault !== 'held') while (this.#inFlight.length > 0) this.#land(0);
		return plan;
	}

	async #dataVolume(key: string, fault?: WriteFault): Promise<void> {
		await this.#leader.dataVolume(key, fault);
		this.#buryTheDead();
	}

	/** Where something is left of a DataVolume that is gone: its end puts it into the queue, too. */
	#ownersGone(): string[] {
		const there = new Set(this.#dataVolumes().map(keyOf));
		const sources = this.server.list(resources.volumeCloneSources);
		const owners = sources.map(({metadata}) => metadata.annotations?.[annotations.ownedByDataVolume] ?? '');
		return owners.filter((owner) => owner !== '' && !there.has(owner));
	}

	/** A process that ended is started again; meanwhile the other one leads. */
	#buryTheDead(): void {
		if (this.#leader.isDead) this.#failover();
	}

	/** Who loses its Lease ends its process. */
	#failover(): void {
		this.#invariants.isCalm = false;
		this.#replicas[this.#leads] = this.#makeReplica(this.#leads);
		this.#leads = 1 - this.#leads;
	}

	#restart(): void {
		this.#invariants.isCalm = false;
		for (const index of [0, 1]) this.#replicas[index] = this.#makeReplica(index);
	}

	/** Refused or done: nobody is there to hear it. */
	#land(index: number): void {
		const [write] = this.#inFlight.splice(index % Math.max(1, this.#inFlight.length), 1);
		if (!write) return;
		try {
			write();
			this.#trace.push('  a write landed');
		} catch (error) {
			if (!(error instanceof ApiError)) throw error;
		}
	}
}

function pick<T>(list: readonly T[], index: number): T | undefined {
	return list[index % Math.max(1, list.length)];
}
