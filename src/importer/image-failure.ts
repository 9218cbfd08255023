import {CommandError} from './command.ts';
import {writeFailure} from './target.ts';
import {WorkerError} from './worker-error.ts';

export interface ReadingFacts {
	readonly shown: string;
	readonly lengthBytes: number;
	/** Why the source could not be read, where it could not. */
	readonly sourceFailure: WorkerError | undefined;
	/** Where the image referred to bytes beyond the end of the source. */
	readonly readPastEnd: number | undefined;
}

/** Why qemu-img ended: it only sees an I/O error where this process knows better. */
export function failureOfReading(error: unknown, facts: ReadingFacts): unknown {
	const {shown, lengthBytes, sourceFailure, readPastEnd} = facts;
	if (sourceFailure) return sourceFailure;
	if (!(error instanceof CommandError)) return error;
	if (readPastEnd !== undefined) {
		return new WorkerError(
			'InvalidImage',
			`${shown} is truncated or damaged: it refers to byte ${readPastEnd}, but ends after ${lengthBytes} bytes. Upload it again, whole.`,
			{cause: error},
		);
	}
	if (/error while writing|No space left|Failed to flush/.test(error.stderr)) return writeFailure(error);
	if (error.killedBy === 'SIGKILL' || error.killedBy === 'SIGXCPU') {
		return new WorkerError(
			error.killedBy === 'SIGXCPU' ? 'InvalidImage' : 'Internal',
			`qemu-img was ended by ${error.killedBy} while it read ${shown}: it needed more ${error.killedBy === 'SIGXCPU' ? 'time than an honest image needs' : 'memory than the Pod may use'}.`,
			{cause: error},
		);
	}
	if (error.exitCode === 1) {
		return new WorkerError('InvalidImage', `${shown} is a damaged image: qemu-img says "${lastLine(error.stderr)}".`, {
			cause: error,
		});
	}
	return error;
}

function lastLine(text: string): string {
	return text.trim().split('\n').at(-1) ?? '';
}
