import {constants, copyFile, stat, truncate, writeFile} from 'node:fs/promises';
import {createDurably, flush} from './durable.ts';

/** A new sparse image: all zeros, no blocks. */
export async function createBlankImage(image: string, sizeBytes: number): Promise<void> {
	await createDurably(image, async (temporary) => {
		await writeFile(temporary, '', {mode: 0o600});
		await truncate(temporary, sizeBytes);
	});
}

/**
 * A new image that shares every block with its source (FICLONE) and is as large or larger. The kernel copies the source at one
 * point in time even while it is written to; what must be in the copy has to be in the source file by now (loop.ts: flushLoops).
 */
export async function cloneImage(source: string, image: string, sizeBytes?: number): Promise<void> {
	await createDurably(image, async (temporary) => {
		await copyFile(source, temporary, constants.COPYFILE_FICLONE_FORCE);
		if (sizeBytes !== undefined && sizeBytes > (await imageSize(temporary))) await truncate(temporary, sizeBytes);
	});
}

/** Only ever grows: cutting an image would cut data. */
export async function growImage(image: string, sizeBytes: number): Promise<void> {
	if ((await imageSize(image)) >= sizeBytes) return;
	await truncate(image, sizeBytes);
	await flush(image);
}

export async function imageSize(image: string): Promise<number> {
	return (await stat(image)).size;
}
