/**
 * The phases of an import: what is known so far -> the one thing to do next. Pure; run.ts does it and adds what came of it.
 */
import type {Extracted} from './archive/extract.ts';
import {diskBytes, type TargetCapacity, tooLarge, tooLong, usableBytes} from './target/capacity.ts';
import type {Compression} from './compression/compression.ts';
import {type ImageFormat, isContainer} from './formats/detect-format.ts';
import type {ContainerFormat, ImageHeader} from './formats/image-header.ts';
import {vhdFooterBytes} from './formats/vhd-footer.ts';
import {WorkerError} from './worker-error.ts';

export interface Observed {
	readonly wants: {
		readonly source: 'http' | 'blank';
		readonly checksum: boolean;
		/** A tree of files is to be made, not a disk. */
		readonly archive?: boolean;
		/** The server has shown that it does not keep to Range. */
		readonly oneStream?: boolean;
		/** There is room to put an image down beside a target that is a device. */
		readonly scratch: boolean;
	};
	/** What an earlier try left is gone. */
	readonly cleared?: true;
	readonly capacity?: TargetCapacity;
	readonly source?: {
		readonly shown: string;
		readonly ranges: boolean;
		/** Undefined when nobody says. */
		readonly lengthBytes: number | undefined;
		readonly compression?: Compression | undefined;
	};
	/** The source is what is inside of what the server has, as a stream. */
	readonly unpacked?: true;
	readonly format?: ImageFormat;
	/** Of a container. */
	readonly header?: ImageHeader;
	/** The whole image lies in a scratch file, because it can only be read from its beginning to its end. */
	readonly spooled?: true;
	/** What came out of an archive. */
	readonly extracted?: Extracted;
	/** Size of the disk that the image is of. Of a raw stream it is known when it was written. */
	readonly image?: {readonly virtualBytes: number};
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
	| {readonly do: 'unpackSource'; readonly compression: Compression}
	| {readonly do: 'extractArchive'; readonly mostBytes: number}
	| {readonly do: 'detectFormat'}
	| {readonly do: 'spoolSource'}
	| {readonly do: 'inspectImage'}
	| {readonly do: 'findFooter'}
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
	const {source, format, wants} = observed;
	if (!source) return {do: 'openSource'};
	if (!observed.written && (source.compression || wants.archive)) {
		const failure = refusalOfFile(source, capacity);
		if (failure) return {do: 'fail', failure};
	}
	if (source.compression && !observed.unpacked) return {do: 'unpackSource', compression: source.compression};
	if (!observed.written) {
		if (wants.archive) return nextForArchive(source.shown, capacity);
		if (!format) return {do: 'detectFormat'};
		if (isContainer(format)) return nextForContainer(observed, {source, format, capacity});
		return source.ranges ? nextForRanges(observed, source, capacity) : nextForStream(observed, source, capacity);
	}
	// Before anything says that the disk is good.
	if (wants.checksum && !observed.verified) return {do: 'verifyChecksum'};
	return undefined;
}

function nextForArchive(shown: string, capacity: TargetCapacity): ImportStep {
	if (capacity.volumeMode === 'Filesystem') {
		return {do: 'extractArchive', mostBytes: Math.min(usableBytes(capacity), capacity.availableBytes)};
	}
	const message = `${shown} is to be extracted as an archive, and a Block claim has no place for files. Import it into a Filesystem claim.`;
	return {do: 'fail', failure: new WorkerError('FormatNotSupported', message)};
}

interface ContainerFacts {
	readonly source: NonNullable<Observed['source']>;
	readonly format: ContainerFormat;
	readonly capacity: TargetCapacity;
}

/** Read here and there, by qemu-img. */
function nextForContainer(
	{wants, header, spooled, image, prepared}: Observed,
	{source, format, capacity}: ContainerFacts,
): ImportStep {
	if (!image) {
		// Before much of it is fetched.
		const failure = refusal(source.shown, header?.virtualBytes ?? 0, capacity) ?? refusalOfFile(source, capacity);
		if (failure) return {do: 'fail', failure};
		if (source.ranges || spooled) return {do: 'inspectImage'};
		if (capacity.volumeMode === 'Filesystem' || wants.scratch) return {do: 'spoolSource'};
		return {do: 'fail', failure: hasNoRoom(source.shown, format)};
	}
	if (!prepared) return prepareFor(source.shown, image.virtualBytes, capacity);
	return {do: 'convertImage'};
}

/** A raw disk whose end can be seen before its beginning is written. */
function nextForRanges(
	{image, prepared}: Observed,
	{shown}: ContainerFacts['source'],
	capacity: TargetCapacity,
): ImportStep {
	if (!image) return {do: 'findFooter'};
	if (!prepared) return prepareFor(shown, image.virtualBytes, capacity);
	return {do: 'copyRanges'};
}

/** A raw disk that comes as it comes: its size is known at its end, and its last sector may be no part of it. */
function nextForStream(
	{prepared}: Observed,
	{shown, lengthBytes}: ContainerFacts['source'],
	capacity: TargetCapacity,
): ImportStep {
	if (!prepared) return prepareFor(shown, Math.max(0, (lengthBytes ?? 0) - vhdFooterBytes), capacity);
	return {do: 'copyStream'};
}

function prepareFor(shown: string, virtualBytes: number, capacity: TargetCapacity): ImportStep {
	const failure = refusal(shown, virtualBytes, capacity);
	return failure ? {do: 'fail', failure} : {do: 'prepareTarget', sizeBytes: diskBytes(capacity, virtualBytes)};
}

function refusal(shown: string, virtualBytes: number, capacity: TargetCapacity): WorkerError | undefined {
	const excess = tooLarge(capacity, virtualBytes);
	return excess === undefined ? undefined : new WorkerError('ImageTooLarge', `${shown} does not fit: ${excess}`);
}

function refusalOfFile(
	{shown, lengthBytes = 0}: ContainerFacts['source'],
	capacity: TargetCapacity,
): WorkerError | undefined {
	const excess = tooLong(capacity, lengthBytes);
	return excess === undefined ? undefined : new WorkerError('ImageTooLarge', `${shown} is too long: ${excess}`);
}

function hasNoRoom(shown: string, format: ContainerFormat): WorkerError {
	return new WorkerError(
		'FormatNotSupported',
		`${shown} is a ${format} image that is compressed, or on a server that does not answer Range requests, and this worker has no folder to put it down in first. Serve it uncompressed by a server with Range (nginx, Apache, any object store), or convert it to raw.`,
	);
}
