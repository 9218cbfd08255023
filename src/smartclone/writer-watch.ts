/**
 * What this replica has seen of Pods that could write to a claim: the evidence for rule WatchedQuiet.
 *
 * History is told by position: every change of a Pod that may write to a claim (and every change of which volumes have the
 * claim's handle) moves the position of that claim; a gap in one of the watches moves all. Nobody can have written between
 * two moments at which the position is the same. While a writer's object exists there is no position at all: a Pod that has
 * ended, or is terminating, may still write until its object is gone (the kubelet removes it after it has unmounted).
 *
 * Changes seen before a snapshot's VolumeSnapshot is created happened before its cut. So the position is taken right before
 * the create and kept as a mark once the answer says that it was this create; the snapshot shows what the claim holds for as
 * long as the mark is the claim's position. A replica that does not know so has the baseline instead: a list of
 * SharedSnapshots, made after its watches had begun, that does not have the snapshot in it; then all that moved since the
 * list was asked for counts.
 */
import type {PersistentVolume, PersistentVolumeClaim, Pod} from '../api/kubernetes.ts';
import type {SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {Caches} from '../kube/caches.ts';
import type {KubeApi} from '../kube/client.ts';
import * as resources from '../kube/resources.ts';
import type {Index} from '../kube/store.ts';
import {sourceKey} from './requests.ts';
import {mayWrite, podsByClaim} from './writers.ts';

/** More claims than are used at once; then all are forgotten, which only costs proofs. */
const mostKeys = 20_000;

export const handleKey = (driver: string, volumeHandle: string) => `${driver} ${volumeHandle}`;

/** A second volume of one handle is a second way to write. */
export const volumesByHandle: Index<PersistentVolume> = {
	name: 'handle',
	keys: ({spec: {csi}}) => (csi ? [handleKey(csi.driver, csi.volumeHandle)] : []),
};

/** A prime claim whose volume was moved away still mounts it, for as long as a Pod keeps it from being deleted. */
const claimsByVolume: Index<PersistentVolumeClaim> = {
	name: 'volumeName',
	keys: ({spec: {volumeName}}) => (volumeName ? [volumeName] : []),
};

interface Baseline {
	readonly epochs: string;
	/** Sequence before the list was asked for. */
	readonly sequence: number;
	/** UIDs of the SharedSnapshots that existed then. */
	readonly known: ReadonlySet<string>;
}

export class WriterWatch {
	readonly #caches: Caches;
	/** Moves with every change that counts. */
	#sequence = 0;
	/** Sequence of the last change, by claim and by volume handle. */
	readonly #moved = new Map<string, number>();
	/** Of those that are not in `#moved`. */
	#floor = 0;
	readonly #marks = new Map<string, string | undefined>();
	#baseline: Baseline | undefined;

	constructor(caches: Caches) {
		this.#caches = caches;
		caches.addIndex(resources.pods, podsByClaim);
		caches.addIndex(resources.persistentVolumes, volumesByHandle);
		caches.addIndex(resources.persistentVolumeClaims, claimsByVolume);
		caches.onChange(resources.pods, (change) => {
			const before = change.type === 'update' ? writtenBy(change.old) : [];
			for (const key of new Set([...before, ...writtenBy(change.object)])) this.#move(key);
		});
		caches.onChange(resources.persistentVolumes, ({type, object}) => {
			if (type !== 'update') for (const key of volumesByHandle.keys(object)) this.#move(key);
		});
		caches.onChange(resources.sharedSnapshots, ({type, object}) => {
			if (type === 'delete') this.#marks.delete(object.metadata.uid ?? '');
		});
	}

	/**
	 * The cut was made by this replica: its first VolumeSnapshot was created, with an answer that says so, after the source
	 * was at this position. One that was there already, or whose create was not answered, may be older than the position.
	 */
	mark(shared: SharedSnapshot, position: string | undefined): void {
		this.#marks.set(shared.metadata.uid ?? '', position);
	}

	/** Whether nobody can have written to its source from before its cut up to where the watches are now. */
	isUndisturbed(shared: SharedSnapshot): boolean {
		const position = this.positionOf(shared);
		if (position === undefined) return false;
		const uid = shared.metadata.uid ?? '';
		if (this.#marks.has(uid)) return this.#marks.get(uid) === position;
		const baseline = this.#baseline;
		if (!baseline || baseline.epochs !== this.#epochs || baseline.known.has(uid)) return false;
		return keysOf(shared).every((key) => this.#movedAt(key) <= baseline.sequence);
	}

	/** Once for every time that the watches have begun anew; cheap where they have not. */
	async takeBaseline(api: Pick<KubeApi, 'list'>, signal: AbortSignal): Promise<void> {
		const epochs = this.#epochs;
		if (epochs === undefined || this.#baseline?.epochs === epochs) return;
		const sequence = this.#sequence;
		const {items} = await api.list(resources.sharedSnapshots, {signal});
		this.#baseline = {epochs, sequence, known: new Set(items.map(({metadata}) => metadata.uid ?? ''))};
	}

	/** Changes when one of the watches has missed something; undefined while one has not begun. */
	get #epochs(): string | undefined {
		const watches = [this.#caches.progress(resources.pods), this.#caches.progress(resources.persistentVolumes)];
		return watches.every(({hasSynced}) => hasSynced) ? watches.map(({epoch}) => epoch).join('/') : undefined;
	}

	/** Undefined while somebody can write, or where that is not known. */
	positionOf(shared: SharedSnapshot): string | undefined {
		const epochs = this.#epochs;
		if (epochs === undefined) return undefined;
		const [claimKey, handle] = keysOf(shared);
		const pods = this.#caches.store(resources.pods).byIndex(podsByClaim.name, claimKey);
		if (pods.some((pod) => mayWrite(pod, shared.spec.source.name))) return undefined;
		const [volume, ...twins] = this.#caches.store(resources.persistentVolumes).byIndex(volumesByHandle.name, handle);
		if (!volume || twins.length > 0) return undefined;
		const claims = this.#caches.store(resources.persistentVolumeClaims);
		if (claims.byIndex(claimsByVolume.name, volume.metadata.name).length !== 1) return undefined;
		return `${epochs}/${this.#movedAt(claimKey)}/${this.#movedAt(handle)}`;
	}

	#movedAt(key: string): number {
		return this.#moved.get(key) ?? this.#floor;
	}

	#move(key: string): void {
		this.#sequence += 1;
		if (this.#moved.size >= mostKeys) {
			this.#moved.clear();
			this.#floor = this.#sequence;
		}
		this.#moved.set(key, this.#sequence);
	}
}

/** Claims that the Pod may write to, as `namespace/name`. */
function writtenBy(pod: Pod): string[] {
	return podsByClaim.keys(pod).filter((key) => mayWrite(pod, key.slice(key.indexOf('/') + 1)));
}

function keysOf({spec: {source, content}}: SharedSnapshot): [claimKey: string, handle: string] {
	return [sourceKey(source), handleKey(content.driver, content.volumeHandle)];
}
