/**
 * What importer and copier share as programs: read the task, serve metrics, do the work, leave a termination message.
 */
import {writeFileSync} from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';
import {
	exitFinished,
	exitRetry,
	formatTerminationMessage,
	terminationMessagePath,
	type WorkerResult,
	workerMetricsPort,
} from '../api/worker-contract.ts';
import {choice, integer, parseConfig, text} from '../process/config.ts';
import type {HealthServer} from '../process/health.ts';
import {type Log, logLevels, makePlainLog} from '../process/plain-log.ts';
import {listenForShutdown} from '../process/shutdown.ts';
import {asWorkerError, failedResult, WorkerError} from './worker-error.ts';

/** What differs between a Pod and a test. The task itself is read by each program's own options.ts. */
const options = {
	'log-level': choice({help: 'Least severe log level', env: 'ONESNAP_LOG_LEVEL', choices: logLevels, default: 'info'}),
	'termination-log': text({
		help: 'File for the termination message',
		env: 'ONESNAP_TERMINATION_LOG',
		default: terminationMessagePath,
	}),
	'metrics-port': integer({
		help: 'Port of /metrics and /healthz, 0 for any free one',
		env: 'ONESNAP_METRICS_PORT',
		min: 0,
		max: 65_535,
		default: workerMetricsPort,
	}),
};

/** What counts and serves metrics takes longer to load than a small disk to copy: it is loaded when there is something to see. */
export const metricsDelayMs = 1000;

export interface WorkerContext {
	readonly log: Log;
	readonly signal: AbortSignal;
}

/** The exit code is set, not taken: the process ends when nothing is left to do. */
export async function runWorker(
	name: string,
	work: (context: WorkerContext) => Promise<WorkerResult>,
	{args, env}: {args: readonly string[]; env: Readonly<Record<string, string | undefined>>},
): Promise<void> {
	const config = parseConfig(options, {args, env});
	const log = makePlainLog({level: config['log-level'], fields: {program: name}});
	using shutdown = listenForShutdown({log, deadlineMs: 8000});
	const working = work({log, signal: shutdown.signal}).catch((error: unknown) => {
		const failure = shutdown.signal.aborted
			? new WorkerError(
					'Interrupted',
					'The worker was asked to stop before it was done. The next try starts from nothing.',
				)
			: asWorkerError(error);
		log.error({error: failure}, 'failed');
		return failedResult(failure);
	});
	const isShort = await Promise.race([working.then(() => true), sleep(metricsDelayMs, false, {ref: false})]);
	const server = isShort ? undefined : await serveMetrics(config['metrics-port'], log);
	const result = await working;
	if (result.outcome === 'succeeded') log.info({result}, 'succeeded');
	process.exitCode = result.outcome === 'failed' && result.retryable ? exitRetry : exitFinished;
	leaveMessage(config['termination-log'], {result, log});
	await server?.close();
}

async function serveMetrics(port: number, log: Log): Promise<HealthServer | undefined> {
	try {
		const [{startHealthServer}, {registry}] = await Promise.all([
			import('../process/health.ts'),
			import('../process/metrics.ts'),
		]);
		return await startHealthServer({port, registry});
	} catch (error) {
		log.warn({error}, 'no metrics: the port cannot be used');
		return undefined;
	}
}

function leaveMessage(path: string, {result, log}: {result: WorkerResult; log: Log}): void {
	try {
		writeFileSync(path, formatTerminationMessage(result));
	} catch (error) {
		log.error({error, path}, 'the termination message could not be written');
		// Without it a permanent failure would pass for a success.
		process.exitCode = exitRetry;
	}
}
