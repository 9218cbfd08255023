/**
 * The phases of an import: what is known so far -> the one thing to do next. Pure; run.ts does it and adds what came of it.
 */
import {diskBytes, type TargetCapacity, tooLarge} from './capacity.ts';
import type {ImageFormat} from './detect-format.ts';
import {WorkerError} from './worker-error.ts';

export interface Observed {
	readonly wants: {
		readonly source: 'http' | 'blank';
		readonly checksum: boolean;
		/** The server has shown that it does not keep to Range. */
		readonly oneStream?: boolean;
	};
	/** What an earlier try left is gone. */
	readonly cleared?: true;
	readonly capacity?: TargetCapacity;
	readonly source?: {
		readonly shown: string;
		readonly ranges: boolean;
		/** Undefined when the server does not say. */
		readonly lengthBytes: number | undefined;
	};
	readonly format?: ImageFormat;
	/** The whole source lies in a scratch file, because its server has no ranges. */
	readonly spooled?: true;
	/** Size of the disk that the image is of. Undefined for a raw stream without length. */
	readonly image?: {readonly virtualBytes: number | undefined};
	readonly prepared?: {readonly sizeBytes: number};
	readonly written?: true;
	readonly verified?: true;
	readonly allocated?: true;
	readonly synced?: true;
}

export type ImportStep =
	| {readonly do: 'clearTarget'}
	| {readonly do: 'measureTarget'}
	| {readonly do: 'openSource'}
	| {readonly do: 'detectFormat'}
	| {readonly do: 'spoolSource'}
	| {readonly do: 'inspectImage'; readonly format: ImageFormat}
	| {readonly do: 'prepareTarget'; readonly sizeBytes: number}
	| {readonly do: 'convertImage'}
	| {readonly do: 'copyRanges'}
	| {readonly do: 'copyStream'}
	| {readonly do: 'verifyChecksum'}
	| {readonly do: 'allocateRest'; readonly sizeBytes: number}
	| {readonly do: 'syncTarget'}
	| {readonly do: 'fail'; readonly failure: WorkerError}
	| {readonly do: 'finish'};

export function nextStep(observed: Observed): ImportStep {
	const {wants, capacity} = observed;
	if (!observed.cleared) return {do: 'clearTarget'};
	if (!capacity) return {do: 'measureTarget'};
	const filling = wants.source === 'blank' ? nextForBlank(observed, capacity) : nextForHttp(observed, capacity);
	if (filling) return filling;
	if (!observed.allocated) return {do: 'allocateRest', sizeBytes: observed.prepared?.sizeBytes ?? 0};
	if (!observed.synced) return {do: 'syncTarget'};
	return {do: 'finish'};
}

function nextForBlank({prepared}: Observed, capacity: TargetCapacity): ImportStep | undefined {
	return prepared ? undefined : {do: 'prepareTarget', sizeBytes: diskBytes(capacity, 0)};
}

function nextForHttp(observed: Observed, capacity: TargetCapacity): ImportStep | undefined {
	const {source, format, image, prepared, wants} = observed;
	if (!source) return {do: 'openSource'};
	if (!format) return {do: 'detectFormat'};
	if (format === 'qcow2' && !source.ranges && !observed.spooled) {
		return capacity.volumeMode === 'Filesystem'
			? {do: 'spoolSource'}
			: {do: 'fail', failure: needsRanges(source.shown, wants)};
	}
	if (!image) return {do: 'inspectImage', format};
	if (!prepared) return nextForFit(source.shown, image.virtualBytes, capacity);
	if (!observed.written) return {do: writing(format, source.ranges)};
	// Before anything says that the disk is good.
	if (wants.checksum && !observed.verified) return {do: 'verifyChecksum'};
	return undefined;
}

function nextForFit(shown: string, virtualBytes: number | undefined, capacity: TargetCapacity): ImportStep {
	const excess = virtualBytes === undefined ? undefined : tooLarge(capacity, virtualBytes);
	if (excess !== undefined) {
		return {do: 'fail', failure: new WorkerError('ImageTooLarge', `${shown} does not fit: ${excess}`)};
	}
	return {do: 'prepareTarget', sizeBytes: diskBytes(capacity, virtualBytes ?? 0)};
}

function writing(format: ImageFormat, ranges: boolean): 'convertImage' | 'copyRanges' | 'copyStream' {
	if (format === 'qcow2') return 'convertImage';
	return ranges ? 'copyRanges' : 'copyStream';
}

/** Worth another try where the server takes Range requests: it may answer them rightly again. */
function needsRanges(shown: string, {oneStream = false}: Observed['wants']): WorkerError {
	return new WorkerError(
		oneStream ? 'SourceUnavailable' : 'FormatNotSupported',
		`${shown} is a qcow2 image on a server that does not answer Range requests, and a Block claim has no room to put it down first. Serve it by a server with Range (nginx, Apache, any object store), convert it to raw, or import it into a Filesystem claim and clone that.`,
	);
}
