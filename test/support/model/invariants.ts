/**
 * What must hold at every moment, whatever happens (csi-semantics 10.3, by number), told from what the world did: writes,
 * disks and cuts, each with the server's revision as its time. Nothing here reads what the controllers believe.
 */
import type {DataVolume} from '../../../src/api/datavolume.ts';
import type {KubeObject, PersistentVolumeClaim} from '../../../src/api/kubernetes.ts';
import {annotations} from '../../../src/api/names.ts';
import type {SharedSnapshot} from '../../../src/api/sharedsnapshot.ts';
import type {VolumeSnapshot, VolumeSnapshotContent} from '../../../src/api/snapshot.ts';
import {keyOf} from '../../../src/kube/object-key.ts';
import * as resources from '../../../src/kube/resources.ts';
import type {ModelServer} from './server.ts';
import type {ModelProvisioner} from './provisioner.ts';
import type {Cut, ModelStorage} from './storage.ts';

export class Violation extends Error {
	override readonly name = 'Violation';
}

/** From the first revision to the last, both included; without an end, until now. */
interface Span {
	readonly from: number;
	to?: number;
}

interface Asked {
	readonly at: number;
	/** Which of the sources that had the name, and what it held. */
	readonly source: number;
	readonly version: number;
}

const never = Number.MAX_SAFE_INTEGER;
const overlaps = ({from, to = never}: Span, begin: number, end: number) => from <= end && to >= begin;
const covers = ({from, to = never}: Span, begin: number, end: number) => from <= begin && to >= end;

/** What the judgement rests on: written down as the world does it. */
export class Chronicle {
	/** By UID of the DataVolume. */
	readonly asked = new Map<string, Asked>();
	/** Sources by the handle of their volume, counted up as they are made. */
	readonly sources = new Map<string, number>();
	/** Lives of Pods that could write, by volume handle. */
	readonly writers = new Map<string, (Span & {readonly pod: string})[]>();
	/** Since when and until when a source was declared immutable (and not written to), by volume handle. */
	readonly declared = new Map<string, Span[]>();
	/** VolumeSnapshots that were ever cut. */
	readonly cutNames = new Set<string>();

	begin<K>(map: Map<string, (Span & K)[]>, handle: string, span: Span & K): void {
		map.set(handle, [...(map.get(handle) ?? []), span]);
	}

	end<K>(map: Map<string, (Span & K)[]>, handle: string, to: number, isIt: (span: Span & K) => boolean): void {
		for (const span of map.get(handle) ?? []) if (span.to === undefined && isIt(span)) span.to = to;
	}
}

export class Invariants {
	/** Nobody but the first leader has led. */
	isCalm = true;
	readonly #server: ModelServer;
	readonly #storage: ModelStorage;
	readonly #chronicle: Chronicle;
	readonly #stripes: number;
	readonly #restoring: () => ModelProvisioner['restoring'];
	readonly #count: (what: string) => void;

	constructor(options: {
		readonly server: ModelServer;
		readonly storage: ModelStorage;
		readonly chronicle: Chronicle;
		readonly stripes: number;
		readonly restoring: () => ModelProvisioner['restoring'];
		readonly count: (what: string) => void;
	}) {
		this.#server = options.server;
		this.#storage = options.storage;
		this.#chronicle = options.chronicle;
		this.#stripes = options.stripes;
		this.#restoring = options.restoring;
		this.#count = options.count;
	}

	/** 1: no clone shows content older than its request, and the rule that is written on it really held. */
	onRestore(claim: PersistentVolumeClaim, cut: Cut): void {
		const uid = claim.metadata.annotations?.[annotations.createdForDataVolume] ?? '';
		const asked = this.#chronicle.asked.get(uid);
		if (!asked) throw new Violation(`${keyOf(claim)} is restored for nobody`);
		const source = this.#chronicle.sources.get(cut.volumeHandle) ?? 0;
		if (source < asked.source || (source === asked.source && cut.version < asked.version))
			throw new Violation(
				`${keyOf(claim)} is stale: it shows version ${cut.version} of source ${source}, asked for was ${asked.version} of ${asked.source}`,
			);
		const dataVolume = this.#server.list(resources.dataVolumes).find(({metadata}) => metadata.uid === uid);
		if (dataVolume) this.#checkRule(dataVolume, cut, asked);
	}

	#checkRule({metadata}: DataVolume, {at, volumeHandle}: Cut, asked: Asked): void {
		const rule = metadata.annotations?.[annotations.reuseRule];
		this.#count(`restore ${rule}${at < asked.at ? ' of an earlier cut' : ''}`);
		const {writers, declared} = this.#chronicle;
		const wrong = (why: string) => new Violation(`${metadata.name} says ${rule}, but ${why}`);
		switch (rule) {
			case 'GroupCommit':
				if (at < asked.at) throw wrong('the cut was made before it was asked for');
				return;
			case 'WatchedQuiet': {
				const writer = writers.get(volumeHandle)?.find((span) => overlaps(span, at, asked.at));
				if (at < asked.at && writer) throw wrong(`Pod ${writer.pod} could write between the cut and the request`);
				return;
			}
			case 'DeclaredImmutable':
				if (at < asked.at && !declared.get(volumeHandle)?.some((span) => covers(span, at, asked.at)))
					throw wrong('the source was not declared immutable from the cut to the request');
				return;
			default:
				throw wrong('no such rule');
		}
	}

	/** 6: whatever crashed, the same stripe of the same SharedSnapshot is never cut twice. */
	onCut(_cut: Cut, snapshot: {readonly namespace?: string | undefined; readonly name?: string | undefined}): void {
		const name = `${snapshot.namespace}/${snapshot.name}`;
		if (this.#chronicle.cutNames.has(name)) throw new Violation(`${name} is cut a second time`);
		this.#chronicle.cutNames.add(name);
	}

	/** 3: what the storage has goes only when no open restore needs it, and never with an alias. */
	onDelete(handle: string, content: VolumeSnapshotContent): void {
		if (content.spec.source.snapshotHandle !== undefined)
			throw new Violation(`${handle} is deleted in the storage with its alias ${content.metadata.name}`);
		for (const {claim, snapshotHandle} of this.#restoring().values()) {
			const live = this.#server.get(resources.persistentVolumeClaims, claim.metadata);
			if (snapshotHandle !== handle || !live || live.metadata.uid !== claim.metadata.uid) continue;
			if (!live.metadata.deletionTimestamp && this.#isWanted(live))
				throw new Violation(`${handle} is deleted while ${keyOf(claim)} is restored from it`);
		}
	}

	#isWanted({metadata}: PersistentVolumeClaim): boolean {
		const owner = metadata.ownerReferences?.[0]?.uid;
		const home = this.#server.get(resources.namespaces, {name: metadata.namespace ?? ''});
		return (
			home?.metadata.deletionTimestamp === undefined &&
			this.#server
				.list(resources.dataVolumes)
				.some(({metadata: each}) => each.uid === owner && each.deletionTimestamp === undefined)
		);
	}

	/** 3: an alias has policy Retain from its first moment to its last, unless an admin changed it. */
	onWrite(after: KubeObject, before: KubeObject | undefined): void {
		if (before || after.kind !== 'VolumeSnapshotContent') return;
		// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the kind says so
		const {spec, metadata} = after as VolumeSnapshotContent;
		if (spec.source.snapshotHandle !== undefined && spec.deletionPolicy !== 'Retain')
			throw new Violation(`alias ${metadata.name} has policy ${spec.deletionPolicy}`);
	}

	/** 2: so many snapshots and no more, whatever the number of clones. Looked at after every step. */
	check(): void {
		const shared = this.#server.list(resources.sharedSnapshots);
		if (shared.length === 0) return;
		const snapshots = this.#server.list(resources.volumeSnapshots);
		this.#checkStripes(snapshots);
		this.#checkAliases(snapshots);
		this.#checkGenerations(shared, snapshots);
		this.#checkRestoring(shared, snapshots);
	}

	#checkStripes(snapshots: readonly VolumeSnapshot[]): void {
		const perShared = new Map<string, number>();
		for (const {metadata, spec} of snapshots) {
			if (spec.source.persistentVolumeClaimName === undefined) continue;
			const uid = metadata.labels?.['onesnap.io/shared-snapshot-uid'] ?? '';
			const stripes = (perShared.get(uid) ?? 0) + 1;
			perShared.set(uid, stripes);
			if (stripes > this.#stripes) throw new Violation(`${uid} has ${stripes} stripes`);
		}
	}

	/** At most one alias a stripe and namespace: told by what it is an alias of, not by its name. */
	#checkAliases(snapshots: readonly VolumeSnapshot[]): void {
		const places = new Set<string>();
		for (const {metadata, spec, status} of snapshots) {
			if (spec.source.volumeSnapshotContentName === undefined || !status?.readyToUse) continue;
			const name = status.boundVolumeSnapshotContentName ?? '';
			const content = this.#server.get(resources.volumeSnapshotContents, {name});
			const handle = content?.spec.source.snapshotHandle;
			if (handle === undefined || metadata.deletionTimestamp) continue;
			const place = `${metadata.namespace} ${handle}`;
			if (places.has(place)) throw new Violation(`two aliases of one snapshot: ${place}`);
			places.add(place);
		}
	}

	/**
	 * However slow restores are, two generations are restored from at once. A new leader that does not see yet what was
	 * assigned by the one before may cut one more.
	 */
	#checkRestoring(shared: readonly SharedSnapshot[], snapshots: readonly VolumeSnapshot[]): void {
		if (!this.isCalm || shared.length < 3) return;
		const open = new Map<string, number>();
		for (const {metadata} of this.#server.list(resources.dataVolumes)) {
			const uid = metadata.annotations?.[annotations.sharedSnapshot]?.split('/')[1] ?? '';
			const claim = this.#server.get(resources.persistentVolumeClaims, metadata);
			const home = this.#server.get(resources.namespaces, {name: metadata.namespace ?? ''});
			if (claim?.status?.phase !== 'Bound' && !home?.metadata.deletionTimestamp) open.set(uid, 1);
		}
		const perContent = new Map<string, number>();
		for (const {metadata, spec} of shared) {
			const uid = metadata.uid ?? '';
			if (!spec.closed || !open.has(uid) || this.#isLost(uid, snapshots)) continue;
			const count = (perContent.get(spec.content.volumeHandle) ?? 0) + 1;
			perContent.set(spec.content.volumeHandle, count);
			if (count > 2)
				throw new Violation(`${count} generations of ${spec.content.volumeHandle} are restored from at once`);
		}
	}

	/** Of one content, one serves and the one before it is still restored from. What is lost serves nobody. */
	#checkGenerations(shared: readonly SharedSnapshot[], snapshots: readonly VolumeSnapshot[]): void {
		const alive = shared.filter(
			({metadata, spec}) => spec.closed && !metadata.deletionTimestamp && !this.#isLost(metadata.uid ?? '', snapshots),
		);
		const contents = new Set<string>();
		const immutable = new Set<string>();
		const counts = new Map<string, number>();
		for (const {spec} of alive) {
			const content = `${spec.content.volumeHandle} ${spec.content.capacity}`;
			contents.add(content);
			const count = (counts.get(content) ?? 0) + 1;
			counts.set(content, count);
			if (count > 2) throw new Violation(`${count} shared snapshots serve ${content}`);
			if (spec.declaredImmutable && immutable.has(content))
				throw new Violation(`2 shared snapshots serve ${content}, which never changes`);
			if (spec.declaredImmutable) immutable.add(content);
		}
	}

	#isLost(uid: string, snapshots: readonly VolumeSnapshot[]): boolean {
		return snapshots.some(({metadata, status}) => {
			if (!metadata.name.startsWith(`onesnap-${uid}-`)) return false;
			const name = status?.boundVolumeSnapshotContentName ?? `snapcontent-${metadata.uid}`;
			const content = this.#server.get(resources.volumeSnapshotContents, {name});
			return (
				(metadata.deletionTimestamp ?? content?.metadata.deletionTimestamp) !== undefined ||
				this.#storage.vanished.has(content?.status?.snapshotHandle ?? '')
			);
		});
	}
}
