import type {WorkerFailure, WorkerResult} from '../api/worker-contract.ts';

/** Failures that another try of the same Pod may cure; docs/errors.md explains each. */
const retryableFailures: ReadonlySet<WorkerFailure> = new Set([
	'SourceUnavailable',
	'SourceUnreachable',
	'SourceChanged',
	'TargetWriteFailed',
	'Interrupted',
	'Internal',
]);

/** Why a worker gives up. The message is for people: what was tried, on what, what came, what to do. No secrets in it. */
export class WorkerError extends Error {
	override readonly name = 'WorkerError';
	readonly reason: WorkerFailure;
	readonly retryable: boolean;
	/** How long the other side asked to be left alone (Retry-After). */
	readonly retryAfterMs: number | undefined;

	constructor(
		reason: WorkerFailure,
		message: string,
		options: {cause?: unknown; retryAfterMs?: number | undefined} = {},
	) {
		super(message, 'cause' in options ? {cause: options.cause} : undefined);
		this.reason = reason;
		this.retryable = retryableFailures.has(reason);
		this.retryAfterMs = options.retryAfterMs;
	}
}

/** The server takes Range requests and then answers something else: it can only be read as one stream. */
export class RangesRefused extends WorkerError {
	constructor(message: string, options: {cause?: unknown} = {}) {
		super('SourceUnavailable', message, options);
	}
}

/** Anything thrown, as a WorkerError. What nobody translated is a bug of ours, or of a tool. */
export function asWorkerError(error: unknown): WorkerError {
	if (error instanceof WorkerError) return error;
	const message = error instanceof Error ? error.message : String(error);
	return new WorkerError('Internal', `Unexpected failure: ${message}. If it comes again, please report it.`, {
		cause: error,
	});
}

export function failedResult(error: WorkerError): WorkerResult {
	return {outcome: 'failed', reason: error.reason, retryable: error.retryable, message: error.message};
}
