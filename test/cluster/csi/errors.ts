import {status} from '@grpc/grpc-js';
import {CommandError} from '../command.ts';

/** A gRPC status code by its name, the way CSI's tables write it. */
export type CodeName = keyof typeof status;

/** What an RPC answers when it cannot do what was asked. The code tells the caller what to do next, so choose it from CSI's tables. */
export class CsiError extends Error {
	readonly code: CodeName;

	constructor(code: CodeName, message: string, options?: ErrorOptions) {
		super(message, options);
		this.name = 'CsiError';
		this.code = code;
	}
}

/**
 * Anything else that was thrown becomes INTERNAL, which tells sidecars and the kubelet to try again; a full file system becomes
 * RESOURCE_EXHAUSTED.
 */
export function toCsiError(error: unknown): CsiError {
	if (error instanceof CsiError) return error;
	const message = error instanceof Error ? error.message : String(error);
	const full = hasErrno(error, 'ENOSPC') || (error instanceof CommandError && /No space left on device/.test(message));
	return new CsiError(full ? 'RESOURCE_EXHAUSTED' : 'INTERNAL', message, {cause: error});
}

export function hasErrno(error: unknown, errno: string): boolean {
	return error instanceof Error && 'code' in error && error.code === errno;
}
