/** Where a copy's bytes come from: a volume of this Pod, or a sender on another node. */
import type {DiskWriter} from './disk-writer.ts';
import type {SourceVolume} from './steps.ts';

export interface DiskWanted {
	readonly writer: DiskWriter;
	readonly fromBytes: number;
	/** Checksum over everything before `fromBytes`; empty at 0, and where nobody keeps one. */
	readonly chain: string;
	readonly sizeBytes: number;
	/** Bytes read from the source's storage, or received. */
	readonly onRead: (bytes: number) => void;
	/** Bytes of the disk that were dealt with, holes included. */
	readonly onProgress: (bytes: number) => void;
	readonly signal: AbortSignal;
}

export interface CopySource extends AsyncDisposable {
	measure(signal: AbortSignal): Promise<SourceVolume>;
	/** Everything is handed to the writer, which has finished; nothing is synced. */
	copyDisk(wanted: DiskWanted): Promise<void>;
	/** Whole trees into a folder, synced. */
	copyFiles(to: string, wanted: {readonly entries: readonly string[]; readonly signal: AbortSignal}): Promise<void>;
}
