/** Imports in this process, from a real HTTP server into a folder or a device, for tests. */
import type {ImportTask, WorkerResult, WorkerVolume} from '../../src/api/worker-contract.ts';
import {type ImportTuning, runImport} from '../../src/importer/run.ts';
import {silentLogger} from '../../src/process/log.ts';

const MiB = 1024 * 1024;

/** Small enough that the window must let go and stream while a test image passes. */
const smallTuning: ImportTuning = {
	http: {stallMs: 2000, connections: 12},
	retry: {attempts: 5, baseMs: 5, longestMs: 50},
	window: {budgetBytes: 6 * MiB, blockBytes: 64 * 1024, spanBytes: 256 * 1024, concurrency: 6},
};

export type TaskChanges = Partial<Omit<ImportTask, 'target'>>;

/** The claim has 64 MiB where nothing else is said. */
export function importTask(target: WorkerVolume, url: string, changes: TaskChanges = {}): ImportTask {
	return {
		source: {kind: 'http', url},
		target,
		ownerUid: 'uid',
		requestedBytes: String(64 * MiB),
		filesystemOverhead: 0,
		preallocation: false,
		...changes,
	};
}

/** Rejects as a worker would. */
export async function importTo(
	target: WorkerVolume,
	url: string,
	changes: TaskChanges = {},
	report: (percent: number) => void = () => {},
): Promise<WorkerResult> {
	return runImport({
		task: importTask(target, url, changes),
		progress: {report},
		log: silentLogger,
		signal: AbortSignal.timeout(30_000),
		tuning: smallTuning,
	});
}
