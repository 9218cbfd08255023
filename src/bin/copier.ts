import {cloneProgressMetric} from '../api/worker-contract.ts';
import {parseCopyTask} from '../copier/options.ts';
import {runCopy} from '../copier/run.ts';
import {Progress} from '../importer/progress.ts';
import {runWorker} from '../importer/worker.ts';

await runWorker(
	'copier',
	async ({log, signal}) => {
		const task = parseCopyTask(process.env);
		const progress = new Progress({
			metricName: cloneProgressMetric,
			help: 'Percent of the copy that is done',
			ownerUid: task.ownerUid,
			log,
		});
		return runCopy({task, progress, log, signal});
	},
	{args: process.argv.slice(2), env: process.env},
);
