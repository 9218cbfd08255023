/**
 * Messages of a copy between two nodes, each a line of JSON and the bytes that it announces:
 *
 *     4 bytes, big-endian: length of the JSON; the JSON; `bytes` bytes
 *
 * A connection carries one request of the receiver and its answer:
 *
 *     measure -> volume
 *     disk    -> piece, piece, …, end       everything from `fromBytes` on, in order, without a gap
 *     files   -> archive, archive, …, end   a tar stream
 *
 * or `fail` in place of the rest. Holes and zeros are not sent: a piece has the runs of it that are not zero.
 */
import {createHash} from 'node:crypto';
import type {Duplex} from 'node:stream';
import {type WorkerFailure, workerFailures} from '../api/worker-contract.ts';
import {WorkerError} from '../importer/worker-error.ts';
import type {SourceVolume} from './steps.ts';

export type CopyRequest =
	| {readonly do: 'measure'}
	| {readonly do: 'disk'; readonly fromBytes: number; readonly sizeBytes: number; readonly chain: string}
	| {readonly do: 'files'};

export interface PieceFrame {
	readonly is: 'piece';
	readonly start: number;
	readonly end: number;
	/** Start and end of each run, one after the other, relative to `start`. */
	readonly runs: readonly number[];
	/** SHA-256 of the runs' bytes; empty where there are none. */
	readonly digest: string;
	readonly bytes: number;
}

export type Frame =
	| CopyRequest
	| {readonly is: 'volume'; readonly volume: SourceVolume}
	| PieceFrame
	| {readonly is: 'archive'; readonly digest: string; readonly bytes: number}
	/** `chain` is of everything that was sent, and before. */
	| {readonly is: 'end'; readonly chain: string}
	| {readonly is: 'fail'; readonly reason: WorkerFailure; readonly message: string};

/** More than any frame of ours has. */
const longestHeaderBytes = 64 * 1024;

/** The other side is gone, silent, or not to be understood. Connecting again may help. */
export class ConnectionError extends Error {
	override readonly name = 'ConnectionError';
}

export function sha256(...parts: ReadonlyArray<Buffer | string>): string {
	const hash = createHash('sha256');
	for (const part of parts) hash.update(part);
	return hash.digest('hex');
}

/**
 * The checksum of a whole disk, grown piece by piece: the same for the same bytes, however zeros were told apart from
 * holes and wherever the copy was interrupted.
 */
export function extendChain(
	chain: string,
	{start, end, digest, runs}: Pick<PieceFrame, 'start' | 'end' | 'digest' | 'runs'>,
	chunkBytes: number,
): string {
	let extended = chain;
	for (let at = start; at < end; at += chunkBytes) {
		extended = sha256(`${extended} ${at} ${Math.min(at + chunkBytes, end)} ${runs.join()} ${digest}`);
	}
	return extended;
}

/** Resolves when the socket has taken all of it: the memory may be used again. */
export async function sendFrame(socket: Duplex, frame: Frame, payload: readonly Buffer[] = []): Promise<void> {
	const json = Buffer.from(JSON.stringify(frame));
	const head = Buffer.alloc(4);
	head.writeUInt32BE(json.length);
	await new Promise<void>((resolve, reject) => {
		const parts = [Buffer.concat([head, json]), ...payload];
		socket.cork();
		parts.forEach((part, index) => {
			socket.write(part, (error) => {
				if (error) reject(new ConnectionError(error.message, {cause: error}));
				else if (index === parts.length - 1) resolve();
			});
		});
		socket.uncork();
	});
}

export class FrameReader {
	readonly #chunks: AsyncIterator<Buffer>;
	#rest: Buffer = Buffer.alloc(0);

	constructor(socket: Duplex) {
		this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
	}

	async next(): Promise<Frame> {
		const length = (await this.read(4)).readUInt32BE(0);
		if (length > longestHeaderBytes) throw new ConnectionError(`a message of ${length} bytes is not one of ours`);
		const json = (await this.read(length)).toString('utf8');
		try {
			return JSON.parse(json) as Frame;
		} catch (error) {
			throw new ConnectionError('a message is no JSON', {cause: error});
		}
	}

	async read(lengthBytes: number): Promise<Buffer> {
		const buffer = Buffer.allocUnsafe(lengthBytes);
		await this.readInto(buffer);
		return buffer;
	}

	async readInto(buffer: Buffer): Promise<void> {
		for (let filled = 0; filled < buffer.length; ) {
			if (this.#rest.length === 0) this.#rest = await this.#more();
			const taken = Math.min(this.#rest.length, buffer.length - filled);
			this.#rest.copy(buffer, filled, 0, taken);
			this.#rest = this.#rest.subarray(taken);
			filled += taken;
		}
	}

	async #more(): Promise<Buffer> {
		try {
			const {done, value} = await this.#chunks.next();
			if (!done) return value;
		} catch (error) {
			throw new ConnectionError(error instanceof Error ? error.message : String(error), {cause: error});
		}
		throw new ConnectionError('the connection ended before all was there');
	}
}

/** What the sender found that no other connection would mend; a reason of another version's counts as Internal. */
export function failureOf({reason, message}: Extract<Frame, {is: 'fail'}>): WorkerError {
	return new WorkerError(workerFailures.includes(reason) ? reason : 'Internal', `The sender: ${message}`);
}
