/** Does one step after the other until the copy is there, or cannot be. */
import {stat} from 'node:fs/promises';
import type {CopyTask, WorkerResult} from '../api/worker-contract.ts';
import {inWords} from '../importer/capacity.ts';
import {CommandError} from '../importer/command.ts';
import type {Progress} from '../importer/progress.ts';
import {convertImage} from '../importer/qemu-img.ts';
import {deviceBytes, diskImage, diskPath, Target, writeFailure} from '../importer/target.ts';
import {asWorkerError, WorkerError} from '../importer/worker-error.ts';
import type {Logger} from '../process/log.ts';
import {copyEntries, otherEntries, removeEntries} from './files.ts';
import {type CopyStep, nextStep, type Observed, type SourceVolume} from './steps.ts';

export interface CopyOptions {
	readonly task: CopyTask;
	readonly progress: Pick<Progress, 'report'>;
	readonly log: Logger;
	readonly signal: AbortSignal;
}

/** Rejects with a WorkerError, or with the signal's reason. After a permanent failure the target holds nothing. */
export async function runCopy(options: CopyOptions): Promise<WorkerResult> {
	const {task, progress, log, signal} = options;
	const startedMs = performance.now();
	const target = new Target(task.target, {...task, requestedBytes: Number(task.requestedBytes)}, signal);
	let observed: Observed = {};
	try {
		for (;;) {
			signal.throwIfAborted();
			const step = nextStep(observed);
			if (step.do === 'fail') throw step.failure;
			if (step.do === 'finish') break;
			const stepMs = performance.now();
			observed = {...observed, ...(await perform(step, {...options, target}))};
			log.debug({step: step.do, ms: Math.round(performance.now() - stepMs)}, 'step done');
		}
	} catch (error) {
		signal.throwIfAborted();
		const failure = asWorkerError(error);
		if (!failure.retryable) await target.discard();
		throw failure;
	}
	progress.report(100);
	return summary(observed, (performance.now() - startedMs) / 1000);
}

async function perform(
	step: Exclude<CopyStep, {do: 'fail' | 'finish'}>,
	{task, target, progress, signal}: CopyOptions & {target: Target},
): Promise<Partial<Observed>> {
	switch (step.do) {
		case 'clearTarget':
			await target.clear();
			if (task.target.volumeMode === 'Filesystem') await removeEntries(task.target.path);
			return {cleared: true};
		case 'measureTarget':
			return {capacity: await target.capacity()};
		case 'measureSource':
			return {source: await measureSource(task, signal)};
		case 'prepareTarget':
			await target.prepare(step.sizeBytes);
			return {prepared: {sizeBytes: step.sizeBytes}};
		case 'copyDisk':
			await copyDisk(task, {target, signal, onPercent: (percent) => progress.report(percent * 0.99)});
			return {diskCopied: true};
		case 'copyFiles':
			await copyEntries(task.source.path, task.target.path, {entries: step.entries, signal});
			return {filesCopied: true};
		case 'allocateRest':
			await target.allocateRest(step.fromBytes, step.sizeBytes);
			return {allocated: true};
		case 'syncTarget':
			await target.sync();
			return {synced: true};
	}
	return step satisfies never;
}

async function measureSource({source}: CopyTask, signal: AbortSignal): Promise<SourceVolume> {
	const {volumeMode, path} = source;
	if (volumeMode === 'Block') return {volumeMode, diskBytes: await deviceBytes(path, signal), otherEntries: []};
	const file = await stat(diskPath(source)).catch(() => undefined);
	return {volumeMode, diskBytes: file?.size, otherEntries: await otherEntries(path)};
}

/** qemu-img sees the holes of the source, and leaves out zeros that are not holes. */
async function copyDisk(
	{source}: CopyTask,
	{target, signal, onPercent}: {target: Target; signal: AbortSignal; onPercent: (percent: number) => void},
): Promise<void> {
	try {
		await convertImage({
			source: diskImage(source),
			target: target.image,
			targetIsZero: target.keepHoles,
			sparse: !target.mustAllocate,
			directIo: await target.canDirectIo(),
			onPercent,
			signal,
		});
	} catch (error) {
		if (!(error instanceof CommandError)) throw error;
		if (!error.stderr.includes('error while reading')) throw writeFailure(error);
		throw new WorkerError('Internal', `Reading the source claim failed: ${error.message}. Look at its storage.`, {
			cause: error,
		});
	}
}

function summary({source, prepared}: Observed, seconds: number): WorkerResult {
	const disk = source?.diskBytes;
	const files = source?.otherEntries.length ?? 0;
	const what = disk === undefined ? `${files} files and folders` : `a disk of ${inWords(disk)}`;
	return {
		outcome: 'succeeded',
		message: `Copied ${what}${prepared ? `; the disk has ${inWords(prepared.sizeBytes)}` : ''}; ${seconds.toFixed(1)} s.`,
		...(disk !== undefined && {bytesRead: String(disk)}),
		...(prepared && {virtualBytes: String(prepared.sizeBytes)}),
	};
}
