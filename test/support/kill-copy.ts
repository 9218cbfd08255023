/**
 * A copier that kills itself, as the kernel would: by SIGKILL, as soon as its journal says that so many bytes are done, or right
 * after so many reports of progress. Started as a process of its own with a task in the environment; checkpoints come
 * often, so that a small disk has many.
 */
import {closeSync, openSync, readSync} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import type {WorkerVolume} from '../../src/api/worker-contract.ts';
import {decodeSlot, journalBytes} from '../../src/copier/journal.ts';
import {LocalSource} from '../../src/copier/local-source.ts';
import {parseCopierTask} from '../../src/copier/options.ts';
import {RemoteSource} from '../../src/copier/remote-source.ts';
import {runCopy} from '../../src/copier/run.ts';
import {deviceBytes} from '../../src/importer/target/target.ts';
import {silentLogger} from '../../src/process/log.ts';

const killAtBytes = Number(process.env['KILL_AT_BYTES'] ?? Number.POSITIVE_INFINITY);
let reportsLeft = Number(process.env['KILL_AFTER_REPORTS'] ?? Number.POSITIVE_INFINITY);

const task = parseCopierTask(process.env);
if (task.role === 'send' || task.role === 'measure') throw new Error(`role ${task.role} makes no progress`);
const signal = AbortSignal.timeout(60_000);
const log = silentLogger;

async function journalPlace({volumeMode, path: place}: WorkerVolume): Promise<{file: string; position: number}> {
	if (volumeMode === 'Filesystem') return {file: path.join(place, 'disk.img.journal'), position: 0};
	return {file: place, position: (await deviceBytes(place, signal)) - journalBytes};
}

/** At once, so that the copy cannot go on meanwhile. */
function doneBytes({file, position}: {file: string; position: number}): number {
	const bytes = Buffer.alloc(journalBytes);
	try {
		const handle = openSync(file, 'r');
		readSync(handle, bytes, 0, journalBytes, position);
		closeSync(handle);
	} catch {
		return 0;
	}
	return Math.max(...[0, journalBytes / 2].map((at) => decodeSlot(bytes.subarray(at))?.doneBytes ?? 0));
}

const place = await journalPlace(task.target);
await using source =
	task.role === 'receive'
		? new RemoteSource({...task.sender, keyFile: task.keyFile, log, tries: 3, retryMs: 50, stallMs: 5000})
		: new LocalSource(task.source);
const result = await runCopy({
	task,
	source,
	log,
	signal,
	checkpointing: {bytes: 1024 * 1024, ms: 0},
	progress: {
		report() {
			if (--reportsLeft === 0 || doneBytes(place) >= killAtBytes) process.kill(process.pid, 'SIGKILL');
		},
	},
});
process.stdout.write(JSON.stringify(result));
