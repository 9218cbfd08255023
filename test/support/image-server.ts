/**
 * A real HTTP(S) server of image files for tests, the demo and benchmarks: honours Range like a good server, and
 * misbehaves per path where it is told to. It counts what it served.
 */
import {createReadStream} from 'node:fs';
import {stat} from 'node:fs/promises';
import {createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import {createSecureServer as createHttp2Server, type Http2ServerRequest, type Http2ServerResponse} from 'node:http2';
import {createServer as createHttpsServer} from 'node:https';
import type {AddressInfo, Socket} from 'node:net';
import {Readable} from 'node:stream';
import {setTimeout as sleep} from 'node:timers/promises';
import {drained} from './drained.ts';

/** Contents, or the path of a file that has them. */
export type ServedFile = Buffer | string;

export interface Behaviour {
	/** How many requests misbehave before the path is well again. Default: all. */
	readonly times?: number;
	/** How many requests are served well before. Default 0. */
	readonly after?: number;
	/** Pause before each answer. */
	readonly delayMs?: number;
	/** Rate of each answer. */
	readonly bytesPerSecond?: number;
	/** Cut the connection after so many bytes of the body. */
	readonly cutAfterBytes?: number;
	/** Send no more after so many bytes of the body, and keep the connection. */
	readonly stallAfterBytes?: number;
	/** End the whole connection after the first bytes of the body; over HTTP/2, all answers that are on it. */
	readonly closeConnection?: boolean;
	/** One byte of the body now and then, so often. */
	readonly dripMs?: number;
	/** Answer 200 with all of the file to every Range. */
	readonly ignoreRange?: boolean;
	/** Answer 416 to every Range, with the file's true length. */
	readonly refuseRange?: boolean;
	/** Send what is asked for under the Content-Range of something else. */
	readonly wrongContentRange?: boolean;
	/** Give at most so many bytes per Range. */
	readonly longestRange?: number;
	/** No Content-Length: chunked. With ignoreRange, the length is not known at all. */
	readonly hideLength?: boolean;
	/** Announce so many bytes more than there are. */
	readonly overstateBytes?: number;
	readonly etag?: string;
	/** Send neither ETag nor Last-Modified. */
	readonly noValidator?: boolean;
	readonly noEtag?: boolean;
	readonly lastModified?: Date;
	/** Serve other contents of the same length, as if the file had been replaced. */
	readonly contents?: Buffer;
	readonly status?: number;
	readonly retryAfter?: string;
	readonly location?: string;
	readonly contentType?: string;
	readonly basicAuth?: {readonly user: string; readonly password: string};
	/** Answer 403 without these. Names in lower case. */
	readonly requireHeaders?: Readonly<Record<string, string>>;
}

export interface ImageServerOptions {
	/** By path, beginning with a slash. */
	readonly files: Readonly<Record<string, ServedFile>>;
	/** Default 127.0.0.1. */
	readonly host?: string;
	/** Default any free one. */
	readonly port?: number;
	readonly tls?: {readonly key: string; readonly cert: string};
	/** With tls: speak HTTP/2 and nothing else, or HTTP/1.1 as well. */
	readonly http2?: boolean | 'also';
	/** For every path that has none of its own. */
	readonly behaviour?: Behaviour;
}

export interface SeenRequest {
	readonly method: string;
	readonly path: string;
	readonly headers: IncomingMessage['headers'];
}

export interface ImageServer extends AsyncDisposable {
	/** Without a slash at its end. */
	readonly url: string;
	readonly port: number;
	/** Every request since the start, in order. */
	readonly seen: readonly SeenRequest[];
	requests(path: string): number;
	bytesServed(path: string): number;
	/** Open now. */
	readonly connections: number;
	/** Adds or replaces a file. */
	serve(path: string, file: ServedFile): void;
	/** From now on; `{}` is well-behaved again. Several are taken in turn, by their `after` and `times`. */
	behave(path: string, ...behaviours: Behaviour[]): void;
	close(): Promise<void>;
}

interface Served {
	file: ServedFile;
	behaviours: readonly Behaviour[];
	/** Requests since the behaviours were set. */
	sinceBehaviour: number;
	requests: number;
	bytes: number;
}

export async function startImageServer({
	files,
	host = '127.0.0.1',
	port = 0,
	tls,
	http2 = false,
	behaviour,
}: ImageServerOptions): Promise<ImageServer> {
	const byPath = new Map<string, Served>();
	const seen: SeenRequest[] = [];
	const serve = (path: string, file: ServedFile) => {
		const behaviours = behaviour ? [behaviour] : [];
		byPath.set(path, {behaviours, sinceBehaviour: 0, requests: 0, bytes: 0, ...byPath.get(path), file});
	};
	for (const [path, file] of Object.entries(files)) serve(path, file);
	const respond = (request: IncomingMessage, response: ServerResponse) => {
		const path = new URL(request.url ?? '/', 'http://host').pathname;
		seen.push({method: request.method ?? '', path, headers: request.headers});
		const served = byPath.get(path);
		if (!served) {
			response.writeHead(404, {'content-type': 'text/plain'}).end('no such file\n');
			return;
		}
		answer(request, response, served).catch(() => response.destroy());
	};
	const server = createServer({tls, http2}, respond);
	const actualPort = await listen(server, {host, port});
	const sockets = new Set<Socket>();
	server.on('connection', (socket: Socket) => {
		sockets.add(socket);
		socket.once('close', () => sockets.delete(socket));
	});
	const close = () =>
		new Promise<void>((resolve) => {
			server.close(() => resolve());
			for (const socket of sockets) socket.destroy();
		});
	const shownHost = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
	return {
		url: `${tls ? 'https' : 'http'}://${shownHost}:${actualPort}`,
		port: actualPort,
		seen,
		requests: (path) => byPath.get(path)?.requests ?? 0,
		bytesServed: (path) => byPath.get(path)?.bytes ?? 0,
		serve,
		behave(path, ...behaviours) {
			const served = byPath.get(path);
			if (!served) throw new Error(`no file at ${path}`);
			served.behaviours = behaviours;
			served.sinceBehaviour = 0;
		},
		get connections() {
			return sockets.size;
		},
		close,
		[Symbol.asyncDispose]: close,
	};
}

type Respond = (request: IncomingMessage, response: ServerResponse) => void;

function createServer(
	{tls, http2}: {tls: ImageServerOptions['tls'] | undefined; http2: boolean | 'also'},
	respond: Respond,
): Server {
	if (!tls) return createHttpServer(respond);
	if (!http2) return createHttpsServer(tls, respond);
	// Node's compatible interface: what is used of it here is the same.
	return createHttp2Server(
		{...tls, allowHTTP1: http2 === 'also'},
		respond as unknown as (request: Http2ServerRequest, response: Http2ServerResponse) => void,
	) as unknown as Server;
}

async function listen(server: Server, {host, port}: {host: string; port: number}): Promise<number> {
	await new Promise<void>((resolve, reject) => {
		server.once('error', reject);
		server.listen(port, host, resolve);
	});
	// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
	return (server.address() as AddressInfo).port;
}

async function answer(request: IncomingMessage, response: ServerResponse, served: Served): Promise<void> {
	const behaviour = currentBehaviour(served);
	served.requests++;
	served.sinceBehaviour++;
	if (behaviour.delayMs !== undefined) await sleep(behaviour.delayMs);
	const refusal = refusalOf(request, behaviour);
	if (refusal) {
		response.writeHead(refusal.status, refusal.headers).end(`${refusal.status}\n`);
		return;
	}
	const file = behaviour.contents ?? served.file;
	const {size, mtime} = typeof file === 'string' ? await stat(file) : {size: file.length, mtime: new Date(0)};
	const etag = behaviour.etag ?? `"${size}-${mtime.getTime()}"`;
	const range = rangeOf(request, {size, etag, behaviour});
	if (range === 'unsatisfiable') {
		response.writeHead(416, {'content-range': `bytes */${size}`}).end();
		return;
	}
	const {start, end} = range ?? {start: 0, end: size};
	const shift = behaviour.wrongContentRange ? 1 : 0;
	response.writeHead(range ? 206 : 200, {
		'content-type': behaviour.contentType ?? 'application/octet-stream',
		...(!behaviour.ignoreRange && {'accept-ranges': 'bytes'}),
		...(!behaviour.hideLength && {'content-length': end - start + (behaviour.overstateBytes ?? 0)}),
		...(!behaviour.noValidator && {
			...(!behaviour.noEtag && {etag}),
			'last-modified': (behaviour.lastModified ?? mtime).toUTCString(),
		}),
		...(range && {'content-range': `bytes ${start + shift}-${end - 1}/${size}`}),
	});
	if (request.method === 'HEAD') response.end();
	else await sendBody(response, {bytes: bytesOf(file, start, end), behaviour, served});
}

/** The first whose turn it is: each begins after its own `after` and lasts `times` requests. */
function currentBehaviour({behaviours, sinceBehaviour}: Served): Behaviour {
	const found = behaviours.find(
		({after = 0, times = Number.POSITIVE_INFINITY}) => sinceBehaviour >= after && sinceBehaviour < after + times,
	);
	return found ?? {};
}

function refusalOf(
	request: IncomingMessage,
	{status, retryAfter, location, basicAuth, requireHeaders = {}}: Behaviour,
): {status: number; headers: Record<string, string>} | undefined {
	if (status !== undefined) {
		return {status, headers: {...(retryAfter && {'retry-after': retryAfter}), ...(location && {location})}};
	}
	if (location !== undefined) return {status: 302, headers: {location}};
	if (basicAuth) {
		const token = Buffer.from(`${basicAuth.user}:${basicAuth.password}`).toString('base64');
		if (request.headers.authorization !== `Basic ${token}`)
			return {status: 401, headers: {'www-authenticate': 'Basic'}};
	}
	const missing = Object.entries(requireHeaders).some(([name, value]) => request.headers[name] !== value);
	return missing ? {status: 403, headers: {}} : undefined;
}

function rangeOf(
	{headers}: IncomingMessage,
	{size, etag, behaviour}: {size: number; etag: string; behaviour: Behaviour},
): {start: number; end: number} | 'unsatisfiable' | undefined {
	const match = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '');
	if (!match || behaviour.ignoreRange) return undefined;
	const ifRange = headers['if-range'];
	if (typeof ifRange === 'string' && ifRange.startsWith('"') && ifRange !== etag) return undefined;
	const start = Number(match[1]);
	if (start >= size || behaviour.refuseRange) return 'unsatisfiable';
	const asked = match[2] === '' ? size : Math.min(size, Number(match[2]) + 1);
	return {start, end: Math.min(asked, start + (behaviour.longestRange ?? Number.POSITIVE_INFINITY))};
}

function bytesOf(file: ServedFile, start: number, end: number): Readable {
	if (end <= start) return Readable.from([]);
	if (typeof file === 'string') return createReadStream(file, {start, end: end - 1, highWaterMark: 1024 * 1024});
	const pieces = Array.from({length: Math.ceil((end - start) / 65_536)}, (_, index) =>
		file.subarray(start + index * 65_536, Math.min(end, start + (index + 1) * 65_536)),
	);
	return Readable.from(pieces);
}

async function sendBody(
	response: ServerResponse,
	{bytes, behaviour, served}: {bytes: Readable; behaviour: Behaviour; served: Served},
): Promise<void> {
	const {
		bytesPerSecond,
		closeConnection = false,
		cutAfterBytes = closeConnection ? 1 : Number.POSITIVE_INFINITY,
		stallAfterBytes = Number.POSITIVE_INFINITY,
	} = behaviour;
	if (behaviour.dripMs !== undefined) {
		await drip(response, {bytes, everyMs: behaviour.dripMs, served});
		return;
	}
	const startedMs = performance.now();
	const limit = Math.min(cutAfterBytes, stallAfterBytes);
	let sent = 0;
	for await (const chunk of bytes as AsyncIterable<Buffer>) {
		if (response.destroyed) return;
		const piece = chunk.subarray(0, Math.max(0, limit - sent));
		sent += piece.length;
		served.bytes += piece.length;
		if (piece.length > 0 && !response.write(piece)) await drained(response);
		if (sent >= limit) {
			bytes.destroy();
			if (sent >= cutAfterBytes) await flushAndCut(response, closeConnection);
			return;
		}
		const earlyMs = bytesPerSecond === undefined ? 0 : (sent / bytesPerSecond) * 1000 - (performance.now() - startedMs);
		if (earlyMs > 1) await sleep(earlyMs);
	}
	if (behaviour.overstateBytes !== undefined) await flushAndCut(response);
	else response.end();
}

async function drip(
	response: ServerResponse,
	{bytes, everyMs, served}: {bytes: Readable; everyMs: number; served: Served},
): Promise<void> {
	for await (const chunk of bytes as AsyncIterable<Buffer>) {
		for (const byte of chunk) {
			if (response.destroyed || response.socket?.destroyed) return;
			response.write(Buffer.of(byte));
			served.bytes++;
			await sleep(everyMs);
		}
	}
	response.end();
}

/** Lets what was written reach the other side first. */
async function flushAndCut(response: ServerResponse, closeConnection = false): Promise<void> {
	await sleep(5);
	if (closeConnection && 'stream' in response) (response as unknown as Http2ServerResponse).stream.session?.destroy();
	else response.destroy();
}
