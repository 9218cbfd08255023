import {importProgressMetric} from '../api/worker-contract.ts';
import {parseImportTask} from '../importer/options.ts';
import {Progress} from '../importer/progress.ts';
import {runImport} from '../importer/run.ts';
import {runWorker} from '../importer/worker.ts';

await runWorker(
	'importer',
	async ({log, signal}) => {
		const task = parseImportTask(process.env);
		const progress = new Progress({
			metricName: importProgressMetric,
			help: 'Percent of the import that is done',
			ownerUid: task.ownerUid,
			log,
		});
		return runImport({task, progress, log, signal});
	},
	{args: process.argv.slice(2), env: process.env},
);
