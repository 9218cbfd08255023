import {WorkerError} from '../worker-error.ts';

/** For an image that is not what its first bytes say: `why` goes on with what it does instead. */
export function damagedImage(format: string, shown: string): (why: string) => WorkerError {
	return (why) =>
		new WorkerError(
			'InvalidImage',
			`${shown} begins as a ${format} image, but ${why}. It is damaged or was not uploaded whole.`,
		);
}
