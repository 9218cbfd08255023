import {setTimeout as sleep} from 'node:timers/promises';
import type {Logger} from '../../../src/process/log.ts';
import type {RpcNotes} from './chain.ts';
import {CsiError} from './errors.ts';
import {FaultCounts} from './fault-counts.ts';
import {FaultFile} from './fault-file.ts';
import {noteFault} from './fault-interceptor.ts';
import {type FaultSet, faultsOf} from './faults.ts';
import {Locks} from './locks.ts';
import type {Pool, SnapshotRecord} from './pool.ts';

/** The switch file with its counts: one of a driver, however many pools it has. */
export type FaultState = {readonly file: FaultFile; readonly counts: FaultCounts};

export function openFaults(file: string | undefined, logger: Logger): FaultState {
	const counts = new FaultCounts(file && `${file}.counts`);
	return {counts, file: new FaultFile(file, logger, (settings) => counts.keepOnly(settings))};
}

/** What the fault switches change about the volumes and snapshots of a pool, asked by whoever makes, shows or deletes them. */
export class FaultSwitches {
	readonly #pool: Pool;
	readonly #file: FaultFile;
	readonly #counts: FaultCounts;
	readonly #restores = new Locks();
	/** How many cuts of each volume are at work. */
	readonly #cuts = new Map<string, number>();

	constructor(pool: Pool, {file, counts}: FaultState) {
		this.#pool = pool;
		this.#counts = counts;
		this.#file = file;
	}

	canListSnapshots(): boolean {
		return this.#file.settings().noListSnapshots !== true;
	}

	/** Snapshots that the storage has not lost. */
	async listSnapshots(): Promise<readonly SnapshotRecord[]> {
		return (await this.#pool.snapshots.list()).filter((snapshot) => !this.#isVanished(snapshot));
	}

	async readSnapshot(id: string, notes: RpcNotes): Promise<SnapshotRecord | undefined> {
		const snapshot = await this.#pool.snapshots.read(id);
		if (!snapshot || !this.#isVanished(snapshot)) return snapshot;
		noteFault(notes, 'vanished');
		return undefined;
	}

	isReady({createdAt, sourceVolumeId}: SnapshotRecord, notes: RpcNotes): boolean {
		if (Date.now() - Date.parse(createdAt) >= (this.#of(sourceVolumeId).notReadyMs ?? 0)) return true;
		noteFault(notes, 'notReadyMs');
		return false;
	}

	requireReady(snapshot: SnapshotRecord, notes: RpcNotes): void {
		if (!this.isReady(snapshot, notes)) throw new CsiError('UNAVAILABLE', `snapshot ${snapshot.id} is not ready yet`);
	}

	shownSize({sizeBytes, sourceVolumeId}: SnapshotRecord, notes: RpcNotes): number {
		if (!this.#of(sourceVolumeId).noRestoreSize) return sizeBytes;
		noteFault(notes, 'noRestoreSize');
		return 0;
	}

	/** Cuts a new snapshot, unless there are too many or it is too early; and takes its time. */
	async cutting<T>(volumeId: string, notes: RpcNotes, cut: () => Promise<T>): Promise<T> {
		const {maxSnapshots = Infinity, betweenCutsMs = 0, cutMs = 0} = this.#of(volumeId);
		const others = this.#cuts.get(volumeId) ?? 0;
		this.#cuts.set(volumeId, others + 1);
		try {
			const held = (await this.listSnapshots()).filter((snapshot) => snapshot.sourceVolumeId === volumeId);
			// One that is being cut may be counted twice for a moment: rather one too few than one too many.
			if (held.length + others >= maxSnapshots) {
				noteFault(notes, 'maxSnapshots');
				throw new CsiError('RESOURCE_EXHAUSTED', `volume ${volumeId} can have ${maxSnapshots} snapshots, and has them`);
			}
			// Those that are deleted count too; they are in no record.
			const cuts = held.map(({createdAt}) => Date.parse(createdAt));
			const waitMs = Math.max(...cuts, this.#counts.lastCutOf(volumeId) ?? -Infinity) + betweenCutsMs - Date.now();
			if (waitMs > 0) {
				noteFault(notes, 'betweenCutsMs');
				throw new CsiError('RESOURCE_EXHAUSTED', `volume ${volumeId} can be cut again in ${waitMs} ms`);
			}
			if (betweenCutsMs > 0) this.#counts.noteCut(volumeId, Date.now());
			if (cutMs > 0) {
				noteFault(notes, 'cutMs');
				await sleep(cutMs);
			}
			return await cut();
		} finally {
			this.#cuts.set(volumeId, (this.#cuts.get(volumeId) ?? 1) - 1);
		}
	}

	/** Refuses to delete a snapshot that clones depend on. */
	async beforeDelete({id, sourceVolumeId}: SnapshotRecord, notes: RpcNotes): Promise<void> {
		if (!this.#of(sourceVolumeId).clonesDepend) return;
		const volumes = await this.#pool.volumes.list();
		const clone = volumes.find(({contentSource}) => contentSource?.snapshot?.snapshot_id === id);
		if (!clone) return;
		noteFault(notes, 'clonesDepend');
		throw new CsiError(
			'FAILED_PRECONDITION',
			`snapshot ${id} is needed by volume ${clone.id}, which was restored from it`,
		);
	}

	/** Refuses a restore or clone of another size than its source's. */
	requireSize(
		sourceVolumeId: string,
		sizes: {readonly wanted: number; readonly source: number},
		notes: RpcNotes,
	): void {
		if (!this.#of(sourceVolumeId).equalSizeRestore || sizes.wanted === sizes.source) return;
		noteFault(notes, 'equalSizeRestore');
		throw new CsiError(
			'OUT_OF_RANGE',
			`${sizes.wanted} bytes were requested; it has to be the source's ${sizes.source}`,
		);
	}

	/** Restores, under the lock of the snapshot where there is one. */
	async restoring<T>(snapshot: SnapshotRecord, notes: RpcNotes, restore: () => Promise<T>): Promise<T> {
		const {restoreLockMs} = this.#of(snapshot.sourceVolumeId);
		if (restoreLockMs === undefined) return restore();
		const release = this.#restores.tryAcquire({exclusive: [snapshot.id], shared: []});
		noteFault(notes, 'restoreLockMs');
		if (typeof release !== 'function') {
			throw new CsiError('ABORTED', `an operation on snapshot ${snapshot.id} is already running; try again`);
		}
		try {
			await sleep(restoreLockMs);
			return await restore();
		} finally {
			release();
		}
	}

	#isVanished({id, sourceVolumeId}: SnapshotRecord): boolean {
		return this.#of(sourceVolumeId).vanished?.includes(id) === true;
	}

	#of(volumeId: string): FaultSet {
		return faultsOf(this.#file.settings(), volumeId);
	}
}
