/** Does one step after the other until the copy is there, or cannot be. */
import {constants} from 'node:fs';
import type {CopyTask, ReceiveTask, WorkerResult} from '../api/worker-contract.ts';
import {inWords} from '../importer/target/capacity.ts';
import {syncFileSystem, Target} from '../importer/target/target.ts';
import {asWorkerError} from '../importer/worker-error.ts';
import type {Log} from '../process/plain-log.ts';
import type {CopySource} from './copy-source.ts';
import {DirectFile} from './direct-file.ts';
import {type Checkpointing, DiskWriter} from './disk-writer.ts';
import {removeEntries} from './files.ts';
import {findJournal, journalTail, openJournal} from './journal-place.ts';
import {JournalWriter} from './journal.ts';
import {type CopyStep, nextStep, type Observed} from './steps.ts';

export interface CopyOptions {
	readonly task: Omit<CopyTask, 'role' | 'source'> | Omit<ReceiveTask, 'role' | 'sender' | 'keyFile'>;
	readonly source: CopySource;
	readonly progress: {report(percent: number): void};
	readonly log: Log;
	readonly signal: AbortSignal;
	/** Default: see DiskWriter. */
	readonly checkpointing?: Checkpointing;
}

/** Rejects with a WorkerError, or with the signal's reason. After a permanent failure the target holds nothing. */
export async function runCopy(options: CopyOptions): Promise<WorkerResult> {
	const {task, progress, log, signal} = options;
	const startedMs = performance.now();
	const copy = new Copy(options);
	let observed: Observed = {};
	try {
		for (;;) {
			signal.throwIfAborted();
			const step = nextStep(observed);
			if (step.do === 'fail') throw step.failure;
			if (step.do === 'finish') break;
			const stepMs = performance.now();
			observed = {...observed, ...(await copy.perform(step))};
			log.debug({step: step.do, ms: Math.round(performance.now() - stepMs)}, 'step done');
		}
	} catch (error) {
		signal.throwIfAborted();
		const failure = asWorkerError(error);
		if (!failure.retryable) await copy.target.discard();
		throw failure;
	}
	progress.report(100);
	log.debug({ownerUid: task.ownerUid, bytesRead: copy.bytesRead}, 'copied');
	return summary(observed, {bytesRead: copy.bytesRead, seconds: (performance.now() - startedMs) / 1000});
}

class Copy {
	readonly target: Target;
	bytesRead = 0;
	readonly #options: CopyOptions;
	#sequence = 0;

	constructor(options: CopyOptions) {
		const {task, signal} = options;
		this.#options = options;
		this.target = new Target(task.target, {...task, requestedBytes: Number(task.requestedBytes)}, signal);
	}

	async perform(step: Exclude<CopyStep, {do: 'fail' | 'finish'}>): Promise<Partial<Observed>> {
		const {task, source, signal} = this.#options;
		switch (step.do) {
			case 'measureSource':
				return {source: await source.measure(signal)};
			case 'readJournal':
				return {earlier: {journal: await this.#findJournal()}};
			case 'clearTarget':
				if (!step.keepDisk) await this.target.clear();
				if (task.target.volumeMode === 'Filesystem') await removeEntries(task.target.path);
				return {cleared: true};
			case 'measureTarget':
				return {capacity: await this.target.capacity()};
			case 'prepareTarget':
				await this.target.prepare(step.sizeBytes);
				return {prepared: {sizeBytes: step.sizeBytes}};
			case 'resumeTarget':
				this.target.resume({isZero: step.journal.targetIsZero});
				return {prepared: {sizeBytes: step.journal.targetBytes}};
			case 'copyDisk':
				await this.#copyDisk(step);
				return {diskCopied: true};
			case 'copyFiles':
				await source.copyFiles(task.target.path, {entries: step.entries, signal});
				return {filesCopied: true};
			case 'allocateRest':
				await this.target.allocateRest(step.fromBytes, step.sizeBytes);
				return {allocated: true};
			case 'syncTarget':
				if (step.disk) await this.target.sync();
				else await syncFileSystem(task.target.path, signal);
				return {synced: true};
		}
		return step satisfies never;
	}

	async #findJournal() {
		const {task, log, signal} = this.#options;
		if (task.content === undefined) return undefined;
		const found = await findJournal(task.target, {content: task.content, signal});
		if (!found) return undefined;
		log.info({doneBytes: found.doneBytes}, 'goes on where an earlier try was stopped');
		this.#sequence = found.sequence;
		return found;
	}

	async #copyDisk({sourceBytes, targetBytes, journal}: Extract<CopyStep, {do: 'copyDisk'}>): Promise<void> {
		const {task, source, progress, log, signal, checkpointing} = this.#options;
		const {content} = task;
		const fromBytes = journal?.doneBytes ?? 0;
		await using file = await DirectFile.open(this.target.path, constants.O_RDWR);
		const place = content === undefined ? undefined : await openJournal(task.target, targetBytes);
		try {
			const writer = new DiskWriter(file, {
				keepHoles: this.target.keepHoles,
				fromBytes,
				sizeBytes: sourceBytes,
				tailStart: place && journalTail(task.target, targetBytes),
				log,
				...(checkpointing && {checkpointing}),
				...(content !== undefined &&
					place && {
						journal: {
							writer: new JournalWriter(place.handle, {position: place.position, sequence: this.#sequence}),
							record: {content, sourceBytes, targetBytes, targetIsZero: this.target.isZero},
							begun: journal !== undefined,
						},
					}),
			});
			await source.copyDisk({
				writer,
				fromBytes,
				chain: journal?.chain ?? '',
				sizeBytes: sourceBytes,
				onRead: (bytes) => {
					this.bytesRead += bytes;
				},
				onProgress: (bytes) => progress.report((bytes / sourceBytes) * 99),
				signal,
			});
		} finally {
			await place?.handle.close();
		}
	}
}

function summary(
	{source, prepared, earlier}: Observed,
	{bytesRead, seconds}: {readonly bytesRead: number; readonly seconds: number},
): WorkerResult {
	const disk = source?.diskBytes;
	const files = source?.otherEntries.length ?? 0;
	const what = disk === undefined ? `${files} files and folders` : `a disk of ${inWords(disk)}`;
	const began = earlier?.journal ? `; went on at ${inWords(earlier.journal.doneBytes)} of an earlier try` : '';
	return {
		outcome: 'succeeded',
		message: `Copied ${what}${prepared ? `; the disk has ${inWords(prepared.sizeBytes)}` : ''}${began}; ${seconds.toFixed(1)} s.`,
		...(disk !== undefined && {bytesRead: String(bytesRead)}),
		...(prepared && {virtualBytes: String(prepared.sizeBytes)}),
	};
}
