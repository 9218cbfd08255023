import {importProgressMetric} from '../api/worker-contract.ts';
import {parseImportTask} from '../importer/options.ts';
import {Progress} from '../importer/progress.ts';
import {defaultImportTuning, runImport} from '../importer/run.ts';
import {parseTuning} from '../importer/tuning.ts';
import {runWorker} from '../importer/worker.ts';

await runWorker(
	'importer',
	async ({log, signal}) => {
		const task = parseImportTask(process.env);
		const tuning = parseTuning(process.env, {defaults: defaultImportTuning});
		const progress = new Progress({
			metricName: importProgressMetric,
			help: 'Percent of the import that is done',
			ownerUid: task.ownerUid,
			log,
		});
		return runImport({task, progress, log, signal, tuning});
	},
	{args: process.argv.slice(2), env: process.env},
);
