import {cloneProgressMetric, type CopyTask, type ReceiveTask} from '../api/worker-contract.ts';
import type {CopySource} from '../copier/copy-source.ts';
import {LocalSource} from '../copier/local-source.ts';
import {measureDisk} from '../copier/measure.ts';
import {parseCopierTask} from '../copier/options.ts';
import {runCopy} from '../copier/run.ts';
import {Progress} from '../importer/progress.ts';
import {runWorker, type WorkerContext} from '../importer/worker.ts';

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
		if (task.role === 'measure') return measureDisk(task.source);
		if (task.role === 'send') {
			const {runSend} = await import('../copier/send.ts');
			return runSend({task, ...context});
		}
		const progress = new Progress({
			metricName: cloneProgressMetric,
			help: 'Percent of the copy that is done',
			ownerUid: task.ownerUid,
			log: context.log,
		});
		await using source = await openSource(task, context);
		return await runCopy({task, source, progress, ...context});
	},
	{args: process.argv.slice(2), env: process.env},
);
