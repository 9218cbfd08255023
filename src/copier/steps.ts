/** The phases of a copy: what is known so far -> the one thing to do next. Pure; run.ts does it. */
import type {VolumeMode} from '../api/worker-contract.ts';
import {diskBytes, inWords, type TargetCapacity, usableBytes} from '../importer/target/capacity.ts';
import {WorkerError} from '../importer/worker-error.ts';
import type {JournalRecord} from './journal.ts';

export interface SourceVolume {
	readonly volumeMode: VolumeMode;
	/** Size of the device or of disk.img; undefined where there is no disk.img. */
	readonly diskBytes: number | undefined;
	/** Files and folders at the root beside disk.img. */
	readonly otherEntries: readonly string[];
}

export interface Observed {
	readonly source?: SourceVolume;
	/** What an earlier try of this very copy wrote down. */
	readonly earlier?: {readonly journal: JournalRecord | undefined};
	readonly cleared?: true;
	readonly capacity?: TargetCapacity;
	readonly prepared?: {readonly sizeBytes: number};
	readonly diskCopied?: true;
	readonly filesCopied?: true;
	readonly allocated?: true;
	readonly synced?: true;
}

export type CopyStep =
	| {readonly do: 'measureSource'}
	| {readonly do: 'readJournal'}
	/** `keepDisk`: all but what the journal speaks of. */
	| {readonly do: 'clearTarget'; readonly keepDisk: boolean}
	| {readonly do: 'measureTarget'}
	| {readonly do: 'prepareTarget'; readonly sizeBytes: number}
	| {readonly do: 'resumeTarget'; readonly journal: JournalRecord}
	| {
			readonly do: 'copyDisk';
			readonly sourceBytes: number;
			readonly targetBytes: number;
			readonly journal: JournalRecord | undefined;
	  }
	| {readonly do: 'copyFiles'; readonly entries: readonly string[]}
	| {readonly do: 'allocateRest'; readonly fromBytes: number; readonly sizeBytes: number}
	/** `disk`: what helped to make one is not needed any more. */
	| {readonly do: 'syncTarget'; readonly disk: boolean}
	| {readonly do: 'fail'; readonly failure: WorkerError}
	| {readonly do: 'finish'};

export function nextStep(observed: Observed): CopyStep {
	const {source, earlier, capacity, prepared} = observed;
	if (!source) return {do: 'measureSource'};
	if (!earlier) return {do: 'readJournal'};
	const journal = earlier.journal?.sourceBytes === source.diskBytes ? earlier.journal : undefined;
	if (!observed.cleared) return {do: 'clearTarget', keepDisk: journal !== undefined};
	if (!capacity) return {do: 'measureTarget'};
	if (source.diskBytes === undefined && capacity.volumeMode === 'Block') return {do: 'fail', failure: noDisk(source)};
	if (source.diskBytes !== undefined) {
		const excess = tooLargeToCopy(capacity, source.diskBytes);
		if (excess) return {do: 'fail', failure: excess};
		if (!prepared && journal) return {do: 'resumeTarget', journal};
		if (!prepared) return {do: 'prepareTarget', sizeBytes: diskBytes(capacity, source.diskBytes)};
		if (!observed.diskCopied) {
			return {do: 'copyDisk', sourceBytes: source.diskBytes, targetBytes: prepared.sizeBytes, journal};
		}
	}
	if (capacity.volumeMode === 'Filesystem' && source.otherEntries.length > 0 && !observed.filesCopied) {
		return {do: 'copyFiles', entries: source.otherEntries};
	}
	if (prepared && !observed.allocated) {
		return {do: 'allocateRest', fromBytes: source.diskBytes ?? 0, sizeBytes: prepared.sizeBytes};
	}
	if (!observed.synced) return {do: 'syncTarget', disk: source.diskBytes !== undefined};
	return {do: 'finish'};
}

/**
 * A disk that is copied was promised its size before: where the file system of the target turns out a little smaller than
 * that of the source, the sparse file still fits, as it did there. Only what the claim cannot hold by its own request is refused.
 */
function tooLargeToCopy(capacity: TargetCapacity, bytes: number): WorkerError | undefined {
	const {volumeMode, totalBytes, requestedBytes} = capacity;
	const largest = volumeMode === 'Block' ? totalBytes : Math.max(requestedBytes, usableBytes(capacity));
	if (bytes <= largest) return undefined;
	return new WorkerError(
		'ImageTooLarge',
		`The source's disk has ${inWords(bytes)}, the target claim holds ${inWords(largest)}. Ask for a target claim that is at least as large.`,
	);
}

function noDisk({otherEntries}: SourceVolume): WorkerError {
	const found = otherEntries.length === 0 ? 'It is empty.' : `It holds ${otherEntries.slice(0, 5).join(', ')}.`;
	return new WorkerError(
		'SourceVolumeInvalid',
		`The source claim has no disk.img, so there is no disk to copy to a block device. ${found} Clone it to a claim with volumeMode Filesystem to copy its files.`,
	);
}
