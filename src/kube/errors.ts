import type {Status} from '../api/kubernetes.ts';

/** What was asked: for messages, logs and metrics. */
export interface RequestLine {
	readonly method: string;
	/** Without query. */
	readonly path: string;
}

/** The API server answered, and the answer is no. */
export class ApiError extends Error {
	override readonly name = 'ApiError';
	/** HTTP status code. */
	readonly code: number;
	/** Status reason, for example `NotFound`; `Unknown` when something in between answered without a Status. */
	readonly reason: string;
	/** The server's own sentence; `message` has the request in front. */
	readonly statusMessage: string;
	readonly details: Status['details'];
	/** How long the server asks to wait before the next try. */
	readonly retryAfterMs: number | undefined;
	readonly method: string;
	readonly path: string;

	constructor(request: RequestLine, status: Partial<Status> & {readonly code: number}, retryAfterMs?: number) {
		const statusMessage = status.message ?? 'no message';
		super(`${request.method} ${request.path}: ${status.code} ${status.reason ?? 'Unknown'}: ${statusMessage}`);
		this.code = status.code;
		this.reason = status.reason ?? 'Unknown';
		this.statusMessage = statusMessage;
		this.details = status.details;
		const seconds = status.details?.retryAfterSeconds;
		this.retryAfterMs = retryAfterMs ?? (seconds === undefined ? undefined : seconds * 1000);
		this.method = request.method;
		this.path = request.path;
	}
}

export type NoAnswerReason =
	/** Took too long. */
	| 'Timeout'
	/** Refused, reset, TLS or DNS failure: before or in the middle of the answer. */
	| 'Connection'
	/** What came is not what the API server says. */
	| 'BrokenAnswer';

/**
 * It is not known whether the request was carried out. A write may have happened: look, or repeat it with the same name.
 */
export class NoAnswerError extends Error {
	override readonly name = 'NoAnswerError';
	readonly reason: NoAnswerReason;
	readonly method: string;
	readonly path: string;

	constructor(
		request: RequestLine,
		{reason, message, cause}: {reason: NoAnswerReason; message: string; cause?: unknown},
	) {
		super(`${request.method} ${request.path}: ${message}`, cause === undefined ? undefined : {cause});
		this.reason = reason;
		this.method = request.method;
		this.path = request.path;
	}
}

function hasCode(error: unknown, code: number): error is ApiError {
	return error instanceof ApiError && error.code === code;
}

export function isNotFound(error: unknown): error is ApiError {
	return hasCode(error, 404);
}

/** A precondition (resourceVersion, UID, field ownership) did not hold. Not AlreadyExists, which has the same code. */
export function isConflict(error: unknown): error is ApiError {
	return hasCode(error, 409) && error.reason !== 'AlreadyExists';
}

export function isAlreadyExists(error: unknown): error is ApiError {
	return hasCode(error, 409) && error.reason === 'AlreadyExists';
}

export function isForbidden(error: unknown): error is ApiError {
	return hasCode(error, 403);
}

/** The object breaks the rules of its kind: repeating it is of no use. */
export function isInvalid(error: unknown): error is ApiError {
	return hasCode(error, 422);
}

/** The resourceVersion or continue token is too old: list again. */
export function isGone(error: unknown): error is ApiError {
	return hasCode(error, 410);
}

export function isUnauthorized(error: unknown): error is ApiError {
	return hasCode(error, 401);
}

export function isTooManyRequests(error: unknown): error is ApiError {
	return hasCode(error, 429);
}

/** Forbidden by a ResourceQuota: the sentence is all that tells it from other 403s, and clients rely on it. */
export function isExceededQuota(error: unknown): error is ApiError {
	return isForbidden(error) && error.statusMessage.includes('exceeded quota');
}

/** Retry-After is either seconds or an HTTP date. */
export function parseRetryAfter(header: string | undefined, nowMs: number): number | undefined {
	if (header === undefined) return undefined;
	if (/^\d+$/.test(header.trim())) return Number(header) * 1000;
	const at = Date.parse(header);
	return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
}
