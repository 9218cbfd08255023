/** The two ways in which a raw source becomes a disk: by ranges through the window, or as one stream. */
import type {ChecksumVerifier} from './checksum.ts';
import type {SparseWriter} from './sparse-writer.ts';
import type {ReadWindow} from './window.ts';

/** Bytes per read of the window: a few blocks. */
const stepBytes = 1024 * 1024;

/** Front to back; the window fetches ahead meanwhile. */
export async function copyRanges(
	window: ReadWindow,
	writer: SparseWriter,
	{onBytes, signal}: {onBytes: (bytes: number) => void; signal: AbortSignal},
): Promise<void> {
	try {
		for (let offset = 0; offset < window.lengthBytes; ) {
			signal.throwIfAborted();
			const lease = await window.read(offset, Math.min(stepBytes, window.lengthBytes - offset));
			let left = lease.parts.length;
			for (const part of lease.parts) {
				await writer.write(part, offset, () => {
					if (--left === 0) lease.release();
				});
				offset += part.length;
			}
			onBytes(offset);
		}
	} finally {
		await writer.flush();
	}
}

/** Returns how many bytes came. `check` may refuse to go on, before anything beyond is written. */
export async function copyStream(
	pieces: AsyncIterable<Buffer>,
	writer: SparseWriter,
	{
		check,
		checksum,
		onBytes,
	}: {check: (bytes: number) => void; checksum?: ChecksumVerifier | undefined; onBytes: (bytes: number) => void},
): Promise<number> {
	let received = 0;
	try {
		for await (const piece of pieces) {
			check(received + piece.length);
			checksum?.update(piece);
			await writer.write(piece, received);
			received += piece.length;
			onBytes(received);
		}
	} finally {
		await writer.flush();
	}
	return received;
}
