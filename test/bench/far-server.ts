/**
 * The far side of an import: an HTTP server of one file, with a latency for each request and a rate for each connection that
 * can be set while it runs. A process of its own, so that its work is not counted as the importer's.
 *
 * The file's bytes lie in memory, only its holes do not: what a disk takes to read them is nobody's time.
 */
import {fork} from 'node:child_process';
import {once} from 'node:events';
import {open} from 'node:fs/promises';
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {drained} from '../support/drained.ts';

export interface Extent {
	readonly start: number;
	/** Exclusive. */
	readonly end: number;
}

export interface FarFile {
	readonly path: string;
	readonly sizeBytes: number;
	/** What is read from the file, in order. Everything between is filler. */
	readonly extents: readonly Extent[];
	/** `noise`: bytes that are no zeros and take no room anywhere. */
	readonly filler: 'zeros' | 'noise';
}

export interface Link {
	/** Pause before each answer. */
	readonly latencyMs: number;
	/** Of each connection. Null: as fast as it goes. */
	readonly bytesPerSecond: number | null;
}

export interface Served {
	readonly requests: number;
	/** Of bodies. */
	readonly bytes: number;
	/** Most requests under way at a time. */
	readonly concurrent: number;
}

type Order = {readonly serve: FarFile} | {readonly link: Link} | {readonly take: 'counts'};
type Reply = {readonly port: number} | {readonly served: Served};

/** The handle of whoever started it. */
export class FarServer implements AsyncDisposable {
	readonly url: string;
	readonly #order: (order: Order) => Promise<Reply>;
	readonly #end: () => Promise<void>;

	private constructor(port: number, order: (order: Order) => Promise<Reply>, end: () => Promise<void>) {
		this.url = `http://127.0.0.1:${port}/image`;
		this.#order = order;
		this.#end = end;
	}

	static async start(file: FarFile): Promise<FarServer> {
		const child = fork(import.meta.filename, {execArgv: []});
		let ending = false;
		const ended = once(child, 'exit').then(() => {
			if (!ending) throw new Error('the server of the image ended');
		});
		ended.catch(() => {});
		const order = async (message: Order) => {
			const reply = once(child, 'message');
			child.send(message);
			// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- this same file wrote it
			const [answer] = (await Promise.race([reply, ended])) as [Reply];
			return answer;
		};
		const end = async () => {
			ending = true;
			child.kill();
			await ended;
		};
		const answer = await order({serve: file});
		if (!('port' in answer)) throw new Error('the server of the image did not say where it listens');
		return new FarServer(answer.port, order, end);
	}

	/** From the next request on. */
	async setLink(link: Link): Promise<void> {
		await this.#order({link});
	}

	/** What was served since the last call. */
	async takeCounts(): Promise<Served> {
		const answer = await this.#order({take: 'counts'});
		if (!('served' in answer)) throw new Error('the server of the image did not say what it served');
		return answer.served;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#end();
	}
}

const fillerBytes = 1024 * 1024;
const etag = '"the-image"';
/** A timer that fires late must not make the connection slower than it was asked to be. */
const timerSlackMs = 5;

class FarSide {
	readonly #size: number;
	readonly #extents: readonly (Extent & {readonly bytes: Buffer})[];
	readonly #filler: Buffer;
	/** When a connection has brought what it was given so far. */
	readonly #busyUntil = new WeakMap<Socket, number>();
	link: Link = {latencyMs: 0, bytesPerSecond: null};
	#served = {requests: 0, bytes: 0, concurrent: 0};
	#running = 0;

	private constructor({sizeBytes, filler}: FarFile, extents: readonly (Extent & {readonly bytes: Buffer})[]) {
		this.#size = sizeBytes;
		this.#extents = extents;
		this.#filler = Buffer.alloc(fillerBytes, filler === 'zeros' ? 0 : 'not all of a disk is zeros, ');
	}

	static async read(file: FarFile): Promise<FarSide> {
		await using handle = await open(file.path);
		const extents = [];
		for (const {start, end} of file.extents) {
			const bytes = Buffer.allocUnsafeSlow(end - start);
			await handle.read(bytes, 0, bytes.length, start);
			extents.push({start, end, bytes});
		}
		return new FarSide(file, extents);
	}

	takeCounts(): Served {
		const served = this.#served;
		this.#served = {requests: 0, bytes: 0, concurrent: 0};
		return served;
	}

	async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const {latencyMs} = this.link;
		this.#served.requests++;
		this.#served.concurrent = Math.max(this.#served.concurrent, ++this.#running);
		response.once('close', () => this.#running--);
		if (latencyMs > 0) await sleep(latencyMs);
		const size = this.#size;
		const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
		const start = match ? Number(match[1]) : 0;
		const end = match?.[2] ? Math.min(size, Number(match[2]) + 1) : size;
		response.writeHead(match ? 206 : 200, {
			etag,
			'accept-ranges': 'bytes',
			'content-type': 'application/octet-stream',
			'content-length': end - start,
			...(match && {'content-range': `bytes ${start}-${end - 1}/${size}`}),
		});
		if (request.method === 'HEAD') response.end();
		else await this.#send(response, start, end);
	}

	async #send(response: ServerResponse, start: number, end: number): Promise<void> {
		const {bytesPerSecond} = this.link;
		const {socket} = response;
		// Small enough that a slow connection brings them as a line does, not in gushes.
		const stepBytes = bytesPerSecond === null ? fillerBytes : 64 * 1024;
		for (let at = start; at < end; ) {
			if (response.destroyed || !socket) return;
			const piece = this.#piece(at, Math.min(end, at + stepBytes));
			at += piece.length;
			this.#served.bytes += piece.length;
			const goesOn = response.write(piece);
			if (bytesPerSecond !== null) {
				const nowMs = performance.now();
				const sinceMs = Math.max(nowMs - timerSlackMs, this.#busyUntil.get(socket) ?? 0);
				const untilMs = sinceMs + (piece.length / bytesPerSecond) * 1000;
				this.#busyUntil.set(socket, untilMs);
				if (untilMs - nowMs > 2) await sleep(untilMs - nowMs);
			}
			if (!goesOn && response.writableNeedDrain) await drained(response);
		}
		response.end();
	}

	/** From `at` to `end` at most. */
	#piece(at: number, end: number): Buffer {
		let [low, high] = [0, this.#extents.length];
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((this.#extents[middle]?.end ?? 0) > at) high = middle;
			else low = middle + 1;
		}
		const next = this.#extents[low];
		if (next && next.start <= at) return next.bytes.subarray(at - next.start, Math.min(end, next.end) - next.start);
		const holeEnd = Math.min(end, next?.start ?? end);
		const inFiller = at % fillerBytes;
		return this.#filler.subarray(inFiller, Math.min(fillerBytes, inFiller + holeEnd - at));
	}
}

/** The child: takes orders from its parent and ends with it. */
function obey(): void {
	let side: FarSide | undefined;
	const server = createServer((request, response) => {
		side?.answer(request, response).catch(() => response.destroy());
	});
	const obeyOne = async (order: Order): Promise<Reply | undefined> => {
		if ('serve' in order) {
			side = await FarSide.read(order.serve);
			server.listen(0, '127.0.0.1');
			await once(server, 'listening');
			// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
			return {port: (server.address() as AddressInfo).port};
		}
		if ('link' in order && side) side.link = order.link;
		return {served: side && 'take' in order ? side.takeCounts() : {requests: 0, bytes: 0, concurrent: 0}};
	};
	process.on('message', (order: Order) => {
		void obeyOne(order).then((reply) => process.send?.(reply));
	});
	process.once('disconnect', () => process.exit());
}

if (import.meta.main) obey();
