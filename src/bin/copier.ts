import {setTimeout as sleep} from 'node:timers/promises';
import {cloneProgressMetric, type CopyTask, type ReceiveTask} from '../api/worker-contract.ts';
import type {CopySource} from '../copier/copy-source.ts';
import {LocalSource} from '../copier/local-source.ts';
import {parseCopierTask} from '../copier/options.ts';
import {runCopy} from '../copier/run.ts';
import {metricsDelayMs, runWorker, type WorkerContext} from '../importer/worker.ts';

/** As the metrics themselves: nothing is loaded for a copy that is over by then. */
function lateProgress(ownerUid: string, {log, signal}: WorkerContext) {
	let latest = 0;
	let report = (percent: number) => {
		latest = percent;
	};
	async function load() {
		await sleep(metricsDelayMs, undefined, {ref: false, signal});
		const {Progress} = await import('../importer/progress.ts');
		const help = 'Percent of the copy that is done';
		const progress = new Progress({metricName: cloneProgressMetric, help, ownerUid, log});
		report = (percent) => progress.report(percent);
		report(latest);
	}
	load().catch((error: unknown) => log.debug({error}, 'no progress'));
	return {report: (percent: number) => report(percent)};
}

/** The network is loaded for a copy that needs it: a fifth of a small copy's time. */
async function openSource(task: CopyTask | ReceiveTask, {log}: WorkerContext): Promise<CopySource> {
	if (task.role === 'copy') return new LocalSource(task.source);
	const {RemoteSource} = await import('../copier/remote-source.ts');
	return new RemoteSource({...task.sender, keyFile: task.keyFile, log});
}

await runWorker(
	'copier',
	async (context) => {
		const task = parseCopierTask(process.env);
		if (task.role === 'send') {
			const {runSend} = await import('../copier/send.ts');
			return runSend({task, ...context});
		}
		await using source = await openSource(task, context);
		return await runCopy({task, source, progress: lateProgress(task.ownerUid, context), ...context});
	},
	{args: process.argv.slice(2), env: process.env},
);
