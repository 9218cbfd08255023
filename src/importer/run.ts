/** Does one step after the other until the disk is there, or cannot be. */
import type {ImportTask, WorkerResult} from '../api/worker-contract.ts';
import type {Log} from '../process/plain-log.ts';
import {emptyFolder} from './archive/file-tree.ts';
import {extractArchive, type Extracted} from './archive/extract.ts';
import {FileRangeSource, type RangeSource} from './window/byte-source.ts';
import {diskBytes, inWords, longestScratch, type TargetCapacity, tooLarge, tooLong} from './target/capacity.ts';
import {ChecksumVerifier, parseChecksum} from './checksum.ts';
import {type Compression, detectCompression} from './compression/compression.ts';
import {copyRanges, copyStream, readThrough} from './target/disk-copy.ts';
import {checkHeader} from './formats/check-header.ts';
import {checkRawLength, detectFormat, detectionBytes, isContainer} from './formats/detect-format.ts';
import {defaultHttpTuning, type HttpTuning, type OpenedHttpSource, openHttpSource, peek} from './http/http-source.ts';
import {readHttpAccess, readSourceUrl} from './options.ts';
import type {Progress} from './progress.ts';
import {convertImage, readImageInfo} from './qemu/qemu-img.ts';
import {defaultRetryPolicy, type RetryPolicy} from './http/retry-delay.ts';
import {readWindow, ServedImage} from './qemu/served-image.ts';
import {SparseWriter} from './target/sparse-writer.ts';
import {type ImportStep, nextStep, type Observed} from './steps.ts';
import {isNoSpace, syncFileSystem, Target} from './target/target.ts';
import {recycle, unpack} from './compression/unpack.ts';
import {defaultWindowTuning, ReadWindow, type WindowOptions, type WindowTuning} from './window/window.ts';
import {fixedVhdBytes, vhdFooterBytes} from './formats/vhd-footer.ts';
import {asWorkerError, RangesRefused, WorkerError} from './worker-error.ts';

export interface ImportTuning {
	readonly http: HttpTuning;
	readonly retry: RetryPolicy;
	readonly window: WindowTuning;
}

export const defaultImportTuning: ImportTuning = {
	http: defaultHttpTuning,
	retry: defaultRetryPolicy,
	window: defaultWindowTuning,
};

/** For a file of this node: it needs no reading ahead to speak of. */
const nearTuning = {budgetBytes: 24 * 1024 ** 2, spanBytes: 1024 ** 2, concurrency: 2};

export interface ImportOptions {
	readonly task: ImportTask;
	readonly progress: Pick<Progress, 'report'>;
	readonly log: Log;
	readonly signal: AbortSignal;
	readonly tuning?: ImportTuning;
}

/** Rejects with a WorkerError, or with the signal's reason. After a permanent failure the target holds nothing. */
export async function runImport(options: ImportOptions): Promise<WorkerResult> {
	try {
		return await importOnce(options, {oneStream: false});
	} catch (error) {
		if (!(error instanceof RangesRefused)) throw error;
		options.log.warn({detail: error.message}, 'the server does not keep to Range: the source is read as one stream');
		return importOnce(options, {oneStream: true});
	}
}

async function importOnce(options: ImportOptions, {oneStream}: {oneStream: boolean}): Promise<WorkerResult> {
	const {task, log, signal} = options;
	const startedMs = performance.now();
	await using work = new ImportWork(options);
	let observed: Observed = {wants: {...wantsOf(task), oneStream}};
	try {
		for (;;) {
			signal.throwIfAborted();
			const step = nextStep(observed);
			if (step.do === 'fail') throw step.failure;
			if (step.do === 'finish') break;
			const stepMs = performance.now();
			observed = {...observed, ...(await work.perform(step, observed))};
			log.debug({step: step.do, ms: Math.round(performance.now() - stepMs)}, 'step done');
		}
	} catch (error) {
		signal.throwIfAborted();
		const failure = asWorkerError(error);
		if (!failure.retryable) await work.discard(observed.wants);
		throw failure;
	}
	options.progress.report(100);
	return work.summary(observed, (performance.now() - startedMs) / 1000);
}

function wantsOf({source, checksum, contentType, scratchDir}: ImportTask): Observed['wants'] {
	const archive = contentType === 'archive';
	return {source: source.kind, checksum: checksum !== undefined, archive, scratch: scratchDir !== undefined};
}

interface OpenedSource extends Omit<OpenedHttpSource, 'close'> {
	/** For pieces of the stream that are not needed any more. */
	readonly onDone?: (piece: Buffer) => void;
}

/** What the steps share: the target, the open source, the window on it. */
class ImportWork implements AsyncDisposable {
	readonly #options: ImportOptions;
	readonly #tuning: ImportTuning;
	readonly #target: Target;
	readonly #checksum: ChecksumVerifier | undefined;
	/** Closed in the reverse order of their opening. */
	readonly #resources = new AsyncDisposableStack();
	/** As the server has it, later what is inside of that. */
	#source: OpenedSource | undefined;
	/** On the file as the server has it. */
	#sourceWindow: ReadWindow | undefined;
	/** On the image: the same, or on the scratch file. */
	#window: ReadWindow | undefined;
	#image: ServedImage | undefined;
	/** For messages: what the server has. */
	#file = '';
	#transferredBytes: () => number = () => 0;
	/** Share of the work that is done when all bytes are transferred. */
	#transferShare = 1;

	constructor(options: ImportOptions) {
		const {task, signal} = options;
		this.#options = options;
		this.#tuning = options.tuning ?? defaultImportTuning;
		this.#target = new Target(task.target, {...task, requestedBytes: Number(task.requestedBytes)}, signal);
		const checksum = task.checksum === undefined ? undefined : parseChecksum(task.checksum);
		this.#checksum = checksum && new ChecksumVerifier(checksum);
	}

	/** What is known after the step, beside what was known before. */
	async perform(step: Exclude<ImportStep, {do: 'fail' | 'finish'}>, observed: Observed): Promise<Partial<Observed>> {
		switch (step.do) {
			case 'clearTarget':
				await this.#clear(observed.wants);
				return {cleared: true};
			case 'measureTarget':
				return {capacity: await this.#target.capacity()};
			case 'openSource':
				return {source: await this.#openSource(observed)};
			case 'unpackSource':
				return {unpacked: true, source: await this.#unpack(step.compression)};
			case 'extractArchive':
				return {written: true, extracted: await this.#extract(step.mostBytes)};
			case 'detectFormat':
				return this.#detectFormat();
			case 'spoolSource':
				await this.#spool(observed);
				return {spooled: true};
			case 'inspectImage':
				return {image: {virtualBytes: await this.#inspect(observed)}};
			case 'findFooter':
				return this.#findFooter();
			case 'prepareTarget':
				await this.#target.prepare(step.sizeBytes);
				return {prepared: {sizeBytes: step.sizeBytes}};
			case 'convertImage':
				await this.#convert(observed.image?.virtualBytes ?? 0, observed.spooled ? 0.5 : 0);
				return {written: true};
			case 'copyRanges':
				await this.#copyRanges(observed.image?.virtualBytes ?? 0);
				return {written: true};
			case 'copyStream':
				return {written: true, ...(await this.#copyStream(observed.capacity))};
			case 'verifyChecksum':
				await this.#sourceWindow?.hashRest();
				this.#checksum?.verify(this.#file);
				return {verified: true};
			case 'allocateRest':
				await this.#target.allocateRest(observed.image?.virtualBytes ?? 0, step.sizeBytes);
				return {allocated: true};
			case 'syncTarget':
				await this.#sync(observed.wants);
				return {synced: true};
		}
		return step satisfies never;
	}

	/** Nothing stays of a disk that must not be used. The failure that led here is the one to tell, so another one is only logged. */
	async discard(wants: Observed['wants']): Promise<void> {
		const discarding = wants.archive ? this.#clear(wants) : this.#target.discard();
		await discarding.catch((error: unknown) => this.#options.log.warn({error}, 'the target was not cleared'));
	}

	summary({source, format, image, prepared, extracted}: Observed, seconds: number): WorkerResult {
		const sizeBytes = prepared?.sizeBytes ?? 0;
		const bytesRead = this.#transferredBytes();
		if (extracted) {
			const {entries, bytes} = extracted;
			return {
				outcome: 'succeeded',
				message: `Extracted an archive of ${entries} entries, ${inWords(bytes)}, read ${inWords(bytesRead)}; ${seconds.toFixed(1)} s.`,
				bytesRead: String(bytesRead),
			};
		}
		const what = format
			? `Imported a ${format} image${source?.compression ? `, compressed with ${source.compression},` : ''} of ${inWords(image?.virtualBytes ?? sizeBytes)}, read ${inWords(bytesRead)}`
			: 'Made a blank disk';
		return {
			outcome: 'succeeded',
			message: `${what}; the disk has ${inWords(sizeBytes)}; ${seconds.toFixed(1)} s.`,
			bytesRead: String(bytesRead),
			virtualBytes: String(sizeBytes),
		};
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#resources.disposeAsync();
	}

	get #opened(): OpenedSource {
		if (!this.#source) throw new Error('the source is not open');
		return this.#source;
	}

	async #openSource({wants: {oneStream}, capacity}: Observed): Promise<NonNullable<Observed['source']>> {
		const {task, log, signal} = this.#options;
		if (task.source.kind !== 'http') throw new Error('a blank disk has no source');
		const [url, access] = await Promise.all([
			readSourceUrl(task.source),
			readHttpAccess(task.source, this.#tuning.http),
		]);
		const source = await openHttpSource(
			{url, access, retry: this.#tuning.retry, log},
			{headBytes: detectionBytes, ranges: !oneStream, signal},
		);
		this.#resources.defer(() => source.close());
		const {shown, lengthBytes, contentType, head} = source;
		const ranges = source.ranges !== undefined;
		this.#file = shown;
		this.#source = {
			...source,
			...(source.stream && {stream: this.#transferred(source.stream, {lengthBytes, capacity})}),
		};
		const compression = detectCompression(head);
		log.info({url: shown, lengthBytes, contentType, ranges, compression}, 'source opened');
		return {shown, ranges, lengthBytes, compression};
	}

	/** The bytes of a stream as they come, for the checksum and for those who wait. */
	async *#transferred(
		stream: AsyncIterable<Buffer>,
		{lengthBytes, capacity}: {lengthBytes: number | undefined; capacity: TargetCapacity | undefined},
	): AsyncGenerator<Buffer> {
		// Where the server does not say, no more than the claim holds.
		const most = lengthBytes ?? Number(this.#options.task.requestedBytes);
		let bytes = 0;
		this.#transferredBytes = () => bytes;
		for await (const piece of stream) {
			this.#checksum?.update(piece);
			bytes += piece.length;
			// What is unpacked to nothing, or behind the end of an archive, is not counted elsewhere.
			const excess = capacity && tooLong(capacity, bytes);
			if (excess !== undefined) throw new WorkerError('ImageTooLarge', `${this.#file} is too long: ${excess}`);
			this.#reportTransfer(Math.min(1, bytes / most));
			yield piece;
		}
	}

	/** From here on the source is what is inside. */
	async #unpack(compression: Compression): Promise<NonNullable<Observed['source']>> {
		const {contentType} = this.#opened;
		// What was not unpacked to its end must not keep a process alive.
		const ending = new AbortController();
		this.#resources.defer(() => ending.abort());
		const signal = AbortSignal.any([this.#options.signal, ending.signal]);
		const inside = await peek(unpack(this.#wholeSource(), {compression, shown: this.#file, signal}), detectionBytes);
		const shown = `${this.#file} (unpacked from ${compression})`;
		// The first piece is given back when it is written; the head is still looked at then.
		const head = Buffer.from(inside.head);
		this.#source = {head, stream: inside.stream, lengthBytes: undefined, contentType, shown, onDone: recycle};
		return {shown, ranges: false, lengthBytes: undefined, compression};
	}

	/** From its first byte to its last. */
	#wholeSource(): AsyncIterable<Buffer> {
		const {ranges, stream} = this.#opened;
		const source = ranges
			? readThrough(this.#openSourceWindow(ranges), (share) => this.#reportTransfer(share))
			: stream;
		if (!source) throw new Error('the source has neither ranges nor a stream');
		return source;
	}

	/** What an earlier try left. */
	async #clear({archive}: Observed['wants']): Promise<void> {
		const {target} = this.#options.task;
		if (archive && target.volumeMode === 'Filesystem') await emptyFolder(target.path);
		else await this.#target.clear();
	}

	async #extract(mostBytes: number): Promise<Extracted> {
		const {task, signal} = this.#options;
		return extractArchive(this.#wholeSource(), task.target.path, {shown: this.#opened.shown, mostBytes, signal});
	}

	/** What was made survives a power cut from here on. */
	async #sync({archive}: Observed['wants']): Promise<void> {
		const {task, signal} = this.#options;
		// No file of an archive is the target's: neither a disk.img nor what lies beside one while it is written.
		if (archive) await syncFileSystem(task.target.path, signal);
		else await this.#target.sync();
	}

	/** Puts down an image that comes as a stream, for a format that is read here and there. */
	async #spool({capacity}: Observed): Promise<void> {
		if (!capacity) throw new Error('the target was not measured');
		const {shown, stream, onDone} = this.#opened;
		if (!stream) throw new Error('the source has no stream');
		this.#transferShare = 0.5;
		const target = this.#target;
		this.#resources.defer(() => target.removeScratch());
		const scratch = await target.openScratch();
		this.#resources.defer(() => scratch.handle.close());
		const most = longestScratch(capacity);
		const writer = new SparseWriter(scratch.handle, {keepHoles: true});
		const check = (endBytes: number, bytes: number) => {
			if (endBytes > most.lengthBytes) throw scratch.tooSmall(shown, most.lengthBytes);
			if (writer.writtenBytes + bytes > most.dataBytes) throw scratch.tooSmall(shown, most.dataBytes);
		};
		const lengthBytes = await copyStream(stream, writer, {check, onDone}).catch((error: unknown) => {
			throw isNoSpace(error) ? scratch.full(shown) : error;
		});
		await scratch.handle.truncate(lengthBytes);
		await this.#sourceWindow?.hashRest();
		await this.#sourceWindow?.close();
		const source = new FileRangeSource(scratch.handle, {lengthBytes, shown});
		this.#window = this.#openWindow(source, {tuning: {...this.#tuning.window, ...nearTuning}});
	}

	#detectFormat(): Partial<Observed> {
		const {head, shown} = this.#opened;
		const format = detectFormat(this.#opened);
		return isContainer(format) ? {format, header: checkHeader(format, head, shown)} : {format};
	}

	async #inspect({format, header}: Observed): Promise<number> {
		if (!format || !isContainer(format) || !header) throw new Error('only containers are inspected');
		const {shown, ranges} = this.#opened;
		const window = this.#window ?? this.#openSourceWindow(ranges);
		const image = await ServedImage.serve(window, {format, serving: header.serving, shown});
		this.#image = image;
		this.#resources.use(image);
		const info = await image.use((node) => readImageInfo(node, this.#options.signal));
		if (info.needsOthers) {
			// The header said so already; qemu-img's word is what counts.
			throw new WorkerError('ImageNotStandalone', `${shown} needs a second file, which is never opened.`);
		}
		if (info.virtualBytes > 0) return info.virtualBytes;
		throw new WorkerError('InvalidImage', `${shown} is a ${format} image of a disk with 0 bytes.`);
	}

	/** A raw disk, unless its last sector tells that it is a vhd. */
	async #findFooter(): Promise<Partial<Observed>> {
		const {shown, ranges} = this.#opened;
		const window = this.#openSourceWindow(ranges);
		const {lengthBytes} = window;
		const lastSector = await readWindow(window, Math.max(0, lengthBytes - vhdFooterBytes), vhdFooterBytes);
		const virtualBytes = fixedVhdBytes(lastSector, {lengthBytes, shown});
		if (virtualBytes === undefined) return {image: {virtualBytes: lengthBytes}};
		return {format: 'fixed vhd', image: {virtualBytes}};
	}

	/** @param begun share of the work that was done before */
	async #convert(virtualBytes: number, begun: number): Promise<void> {
		const target = this.#target;
		const directIo = await target.canDirectIo();
		await this.#image?.use((source) =>
			convertImage({
				source,
				virtualBytes,
				target: target.node,
				targetIsZero: target.keepHoles,
				sparse: !target.mustAllocate,
				directIo,
				onPercent: (percent) => this.#report(begun + (1 - begun) * (percent / 100)),
				signal: this.#options.signal,
			}),
		);
	}

	async #copyRanges(endBytes: number): Promise<void> {
		const window = this.#window;
		if (!window) throw new Error('the window is not open');
		await using handle = await this.#target.open();
		const writer = new SparseWriter(handle, this.#target);
		const onBytes = (bytes: number) => this.#report(bytes / window.lengthBytes);
		await copyRanges(window, writer, {endBytes, onBytes, signal: this.#options.signal});
	}

	async #copyStream(capacity: TargetCapacity | undefined): Promise<Partial<Observed>> {
		if (!capacity) throw new Error('the target was not measured');
		const {head, shown, contentType, stream, onDone} = this.#opened;
		if (!stream) throw new Error('the source has no stream');
		let found: Partial<Observed> = {};
		await using handle = await this.#target.open();
		const virtualBytes = await copyStream(stream, new SparseWriter(handle, this.#target), {
			check: (bytes) => {
				const excess = tooLarge(capacity, bytes);
				if (excess === undefined) return;
				throw new WorkerError('ImageTooLarge', `${shown} does not fit, as far as it was read: ${excess}`);
			},
			endOf: (lastBytes, lengthBytes) => {
				const endBytes = fixedVhdBytes(lastBytes.subarray(-vhdFooterBytes), {lengthBytes, shown});
				if (endBytes === undefined) checkRawLength({head, lengthBytes, contentType, shown});
				else found = {format: 'fixed vhd'};
				return endBytes ?? lengthBytes;
			},
			onDone,
		});
		const sizeBytes = await this.#target.extend(diskBytes(capacity, virtualBytes));
		return {...found, image: {virtualBytes}, prepared: {sizeBytes}};
	}

	#openSourceWindow(ranges: RangeSource | undefined): ReadWindow {
		if (!ranges) throw new Error('the source has no ranges');
		const {head} = this.#opened;
		const window = this.#openWindow(ranges, {checksum: this.#checksum, tuning: this.#tuning.window});
		this.#transferredBytes = () => head.length + window.fetchedBytes;
		this.#sourceWindow = window;
		this.#window = window;
		return window;
	}

	#openWindow(source: RangeSource, options: Pick<WindowOptions, 'checksum' | 'tuning'>): ReadWindow {
		const {signal} = this.#options;
		const window = new ReadWindow({source, head: this.#opened.head, signal, ...options});
		this.#resources.defer(() => window.close());
		return window;
	}

	#reportTransfer(share: number): void {
		this.#report(share * this.#transferShare);
	}

	/** 100 is reported when the disk is safe, not before. */
	#report(share: number): void {
		this.#options.progress.report(share * 99, this.#transferredBytes());
	}
}
