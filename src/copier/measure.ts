/** Looks how large the disk in a mounted claim is. As whoever uses it will: a raw image, whatever its first bytes look like. */
import {stat} from 'node:fs/promises';
import {diskImageName, type WorkerResult, type WorkerVolume} from '../api/worker-contract.ts';
import {inWords} from '../importer/target/capacity.ts';
import {diskPath} from '../importer/target/target.ts';
import {WorkerError} from '../importer/worker-error.ts';

const isMissing = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'ENOENT';

export async function measureDisk(volume: WorkerVolume): Promise<WorkerResult> {
	const path = diskPath(volume);
	const file = await stat(path).catch((error: unknown) => {
		if (isMissing(error)) return undefined;
		const {message} = error instanceof Error ? error : {message: String(error)};
		throw new WorkerError('Internal', `${diskImageName} of the claim cannot be looked at: ${message}.`, {cause: error});
	});
	if (!file) return {outcome: 'succeeded', message: `The claim has no ${diskImageName}.`};
	if (!file.isFile()) throw new WorkerError('SourceVolumeInvalid', `${diskImageName} of the claim is no file.`);
	return {
		outcome: 'succeeded',
		message: `The disk has ${inWords(file.size)}.`,
		virtualBytes: String(file.size),
	};
}
