/** A source volume that this Pod has mounted. Others may be reading it at the same time. */
import {constants} from 'node:fs';
import {stat} from 'node:fs/promises';
import type {WorkerVolume} from '../api/worker-contract.ts';
import {deviceBytes, diskPath} from '../importer/target/target.ts';
import type {CopySource, DiskWanted} from './copy-source.ts';
import {DirectFile} from './direct-file.ts';
import {chunkBytes, readPieces} from './disk-reader.ts';
import {allEntries, copyEntries, otherEntries} from './files.ts';
import {PageBuffers} from './page-buffers.ts';
import {type Extent, sourceExtents} from './source-extents.ts';
import type {SourceVolume} from './steps.ts';

/** What is read ahead, what is being written, and one in between. */
const bufferCount = 9;

export async function measureVolume({volumeMode, path}: WorkerVolume, signal: AbortSignal): Promise<SourceVolume> {
	if (volumeMode === 'Block') return {volumeMode, diskBytes: await deviceBytes(path, signal), otherEntries: []};
	const file = await stat(diskPath({volumeMode, path})).catch(() => undefined);
	return {volumeMode, diskBytes: file?.size, otherEntries: await (file ? otherEntries(path) : allEntries(path))};
}

export class LocalSource implements CopySource {
	readonly #volume: WorkerVolume;
	#extents: Promise<Extent[]> | undefined;

	constructor(volume: WorkerVolume) {
		this.#volume = volume;
	}

	async measure(signal: AbortSignal): Promise<SourceVolume> {
		const measured = await measureVolume(this.#volume, signal);
		if (measured.diskBytes !== undefined) {
			// Asked for now, because the target is prepared meanwhile.
			this.#extents = sourceExtents(this.#volume, {sizeBytes: measured.diskBytes, signal});
			this.#extents.catch(() => {});
		}
		return measured;
	}

	async copyDisk({writer, onProgress, ...wanted}: DiskWanted): Promise<void> {
		const {sizeBytes, signal} = wanted;
		let extents: readonly Extent[] | undefined;
		let failure: unknown;
		// What is read meanwhile shows by itself whether it is zero.
		const mapped = (this.#extents ?? sourceExtents(this.#volume, {sizeBytes, signal})).then(
			(found) => {
				extents = found;
			},
			(error: unknown) => {
				failure = error;
			},
		);
		await using file = await DirectFile.open(diskPath(this.#volume), constants.O_RDONLY);
		const buffers = new PageBuffers({count: bufferCount, bufferBytes: chunkBytes});
		try {
			for await (const piece of readPieces(file, {...wanted, extents: () => extents, buffers})) {
				if (failure !== undefined) throw failure;
				await writer.write(piece);
				onProgress(piece.end);
			}
			await writer.finish();
		} finally {
			await mapped;
			await writer.settle();
		}
	}

	async copyFiles(to: string, wanted: {readonly entries: readonly string[]; readonly signal: AbortSignal}) {
		await copyEntries(this.#volume.path, to, wanted);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#extents?.catch(() => []);
	}
}
