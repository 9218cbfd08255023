import {CommandError} from '../command.ts';
import {writeFailure} from '../target/target.ts';
import {WorkerError} from '../worker-error.ts';

export interface ReadingFacts {
	readonly shown: string;
	readonly lengthBytes: number;
	/** Why the source could not be read, where it could not. */
	readonly sourceFailure: WorkerError | undefined;
	/** Where the image referred to bytes beyond the end of the source. */
	readonly readPastEnd: number | undefined;
}

const excesses = {
	time: 'qemu-img needed more time of the processor than an honest image takes.',
	memory: 'qemu-img needed more memory than an honest image takes.',
	output: 'what qemu-img tells of it has no end.',
} as const;

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
	if (error.exceeded) {
		return new WorkerError(
			'InvalidImage',
			`${shown} is damaged, or made to exhaust its reader: ${excesses[error.exceeded]}`,
			{
				cause: error,
			},
		);
	}
	if (error.killedBy === 'SIGKILL') {
		return new WorkerError(
			'Internal',
			`qemu-img was ended by SIGKILL while it read ${shown}: it needed more memory than the Pod may use.`,
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
