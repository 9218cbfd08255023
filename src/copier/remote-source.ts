/** The half of a copy on the target's node: asks the sender, and believes nothing that its checksum does not prove. */
import {setTimeout as sleep} from 'node:timers/promises';
import type {TLSSocket} from 'node:tls';
import {WorkerError} from '../importer/worker-error.ts';
import type {Log} from '../process/plain-log.ts';
import type {CopySource, DiskWanted} from './copy-source.ts';
import {connectTls, readKey, stallMs as defaultStallMs} from './copy-tls.ts';
import {chunkBytes, type Piece} from './disk-reader.ts';
import {
	ConnectionError,
	type CopyRequest,
	extendChain,
	failureOf,
	type Frame,
	FrameReader,
	type PieceFrame,
	sendFrame,
	sha256,
} from './frames.ts';
import {PageBuffers} from './page-buffers.ts';
import type {SourceVolume} from './steps.ts';
import {unpackTree} from './tree.ts';

const bufferCount = 9;

export interface RemoteSourceOptions {
	readonly host: string;
	readonly port: number;
	readonly keyFile: string;
	readonly log: Log;
	readonly stallMs?: number;
	/** Tries in a row that brought nothing new, and the wait between them. The Pod is started again after that. */
	readonly tries?: number;
	readonly retryMs?: number;
}

export class RemoteSource implements CopySource {
	readonly #options: RemoteSourceOptions;

	constructor(options: RemoteSourceOptions) {
		this.#options = options;
	}

	async measure(signal: AbortSignal): Promise<SourceVolume> {
		return this.#repeat(signal, () =>
			this.#ask({do: 'measure'}, signal, async (frames) => {
				const frame = await nextFrame(frames);
				if (!('is' in frame) || frame.is !== 'volume') throw new ConnectionError('the sender did not say what it has');
				return frame.volume;
			}),
		);
	}

	/** A connection that breaks is made anew, and goes on after the last piece that was right. */
	async copyDisk({writer, sizeBytes, onRead, onProgress, signal, ...start}: DiskWanted): Promise<void> {
		const buffers = new PageBuffers({count: bufferCount, bufferBytes: chunkBytes});
		let {fromBytes, chain} = start;
		const receive = (progressed: () => void) =>
			this.#ask({do: 'disk', fromBytes, sizeBytes, chain}, signal, async (frames) => {
				for (;;) {
					const frame = await nextFrame(frames);
					if ('is' in frame && frame.is === 'end') {
						if (fromBytes !== sizeBytes) throw new ConnectionError(`the disk ended at byte ${fromBytes}`);
						if (frame.chain === chain) return;
						throw new ConnectionError('the checksum of the whole disk is not the one that the sender has');
					}
					if (!('is' in frame) || frame.is !== 'piece') throw new ConnectionError('the sender sent no piece of a disk');
					checkPlace(frame, {fromBytes, sizeBytes});
					const piece = await receivePiece(frames, frame, buffers);
					onRead(frame.bytes);
					chain = extendChain(chain, frame, chunkBytes);
					fromBytes = frame.end;
					progressed();
					await writer.write(piece, chain);
					onProgress(frame.end);
				}
			});
		try {
			await this.#repeat(signal, receive);
			await writer.finish();
		} finally {
			await writer.settle();
		}
	}

	async copyFiles(to: string, {signal}: {readonly signal: AbortSignal}): Promise<void> {
		await this.#repeat(signal, () =>
			this.#ask({do: 'files'}, signal, (frames) => unpackTree(to, {parts: archiveParts(frames), signal})),
		);
	}

	async [Symbol.asyncDispose](): Promise<void> {}

	async #ask<Result>(
		request: CopyRequest,
		signal: AbortSignal,
		read: (frames: FrameReader) => Promise<Result>,
	): Promise<Result> {
		const {host, port, keyFile, stallMs = defaultStallMs} = this.#options;
		const key = await readKey(keyFile);
		const socket: TLSSocket = await connectTls({host, port}, {key, stallMs, signal});
		try {
			await sendFrame(socket, request);
			return await read(new FrameReader(socket));
		} finally {
			socket.destroy();
		}
	}

	async #repeat<Result>(signal: AbortSignal, action: (progressed: () => void) => Promise<Result>): Promise<Result> {
		const {host, port, log, tries = 10, retryMs = 1000} = this.#options;
		for (let failures = 1; ; failures++) {
			try {
				return await action(() => {
					failures = 0;
				});
			} catch (error) {
				signal.throwIfAborted();
				if (!(error instanceof ConnectionError)) throw error;
				if (failures >= tries) {
					throw new WorkerError(
						'SourceUnreachable',
						`The sender at ${host}:${port} cannot be read: ${error.message} (${failures} tries). Look at its Pod, and whether a NetworkPolicy forbids the connection.`,
						{cause: error},
					);
				}
				log.warn({error, failures}, 'connects to the sender again');
				await sleep(retryMs, undefined, {signal});
			}
		}
	}
}

async function nextFrame(frames: FrameReader): Promise<Frame> {
	const frame = await frames.next();
	if ('is' in frame && frame.is === 'fail') throw failureOf(frame);
	return frame;
}

/** Without a gap, on the grid, within the disk, and its runs within it in order. */
function checkPlace(
	{start, end, runs, bytes}: PieceFrame,
	{fromBytes, sizeBytes}: {readonly fromBytes: number; readonly sizeBytes: number},
): void {
	const runBytes = runs.reduce((sum, edge, index) => (index % 2 === 0 ? sum - edge : sum + edge), 0);
	const ordered = runs.every((edge, index) => Number.isInteger(edge) && edge >= (runs[index - 1] ?? 0));
	const isOurs =
		start === fromBytes &&
		end > start &&
		end <= sizeBytes &&
		(end % chunkBytes === 0 || end === sizeBytes) &&
		(runs.length === 0 || end - start <= chunkBytes) &&
		runs.length % 2 === 0 &&
		ordered &&
		(runs.at(-1) ?? 0) <= end - start &&
		runBytes === bytes;
	if (!isOurs)
		throw new ConnectionError(`the piece from ${start} to ${end} is not the one that is due at ${fromBytes}`);
}

async function receivePiece(frames: FrameReader, frame: PieceFrame, buffers: PageBuffers): Promise<Piece> {
	const {start, end} = frame;
	if (frame.runs.length === 0) return {start, end, buffer: undefined, runs: [], release: () => {}};
	const whole = await buffers.acquire();
	try {
		const buffer = whole.subarray(0, end - start);
		const runs = [];
		let zeroFrom = 0;
		for (let index = 0; index < frame.runs.length; index += 2) {
			const run = {start: frame.runs[index] ?? 0, end: frame.runs[index + 1] ?? 0};
			buffer.fill(0, zeroFrom, run.start);
			await frames.readInto(buffer.subarray(run.start, run.end));
			zeroFrom = run.end;
			runs.push(run);
		}
		buffer.fill(0, zeroFrom);
		if (sha256(...runs.map((run) => buffer.subarray(run.start, run.end))) !== frame.digest) {
			throw new ConnectionError(`the checksum of the piece at byte ${start} is wrong`);
		}
		return {start, end, buffer, runs, release: () => buffers.release(whole)};
	} catch (error) {
		buffers.release(whole);
		throw error;
	}
}

async function* archiveParts(frames: FrameReader): AsyncGenerator<Buffer> {
	let chain = '';
	for (;;) {
		const frame = await nextFrame(frames);
		if ('is' in frame && frame.is === 'end') {
			if (frame.chain === chain) return;
			throw new ConnectionError('the checksum of all files is not the one that the sender has');
		}
		if (!('is' in frame) || frame.is !== 'archive') throw new ConnectionError('the sender sent no files');
		const part = await frames.read(frame.bytes);
		if (sha256(part) !== frame.digest) throw new ConnectionError('the checksum of a part of the files is wrong');
		chain = sha256(chain, frame.digest);
		yield part;
	}
}
