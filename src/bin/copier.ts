import {setTimeout as sleep} from 'node:timers/promises';
import {cloneProgressMetric} from '../api/worker-contract.ts';
import {LocalSource} from '../copier/local-source.ts';
import {parseCopierTask} from '../copier/options.ts';
import {RemoteSource} from '../copier/remote-source.ts';
import {runCopy} from '../copier/run.ts';
import {runSend} from '../copier/send.ts';
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

await runWorker(
	'copier',
	async (context) => {
		const task = parseCopierTask(process.env);
		if (task.role === 'send') return runSend({task, ...context});
		const {log} = context;
		await using source =
			task.role === 'receive'
				? new RemoteSource({...task.sender, keyFile: task.keyFile, log})
				: new LocalSource(task.source);
		return await runCopy({task, source, progress: lateProgress(task.ownerUid, context), ...context});
	},
	{args: process.argv.slice(2), env: process.env},
);
