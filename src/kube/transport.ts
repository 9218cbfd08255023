import {type ClientRequest, type IncomingMessage, Agent as HttpAgent, request as httpRequest} from 'node:http';
import {Agent as HttpsAgent, request as httpsRequest} from 'node:https';
import type {Status} from '../api/kubernetes.ts';
import type {Connection, Credentials} from './connection.ts';
import {ApiError, NoAnswerError, parseRetryAfter, type RequestLine} from './errors.ts';

/**
 * HTTP/1.1 to one API server with node:https. Measured on loopback, 2 KB answers, 8 at once: 0.04 ms a request, got 0.23 ms,
 * fetch 0.10 ms; and a watch wants the bare stream anyway. Compression is not asked for: inside a cluster it costs the API
 * server more than it saves.
 */
export interface TransportOptions {
	readonly connection: Connection;
	readonly userAgent: string;
	/** Connections for requests; watches have their own. More requests wait. */
	readonly maxConnections: number;
}

export interface HttpRequest extends RequestLine {
	readonly query?: Readonly<Record<string, string | undefined>>;
	readonly body?: {readonly contentType: string; readonly json: unknown};
	readonly signal?: AbortSignal | undefined;
}

export interface JsonRequest extends HttpRequest {
	/** Until the whole answer is read. */
	readonly timeoutMs: number;
}

export interface StreamRequest extends HttpRequest {
	/** Gives up when nothing came for so long. */
	readonly idleTimeoutMs: number;
	/** Gives up after so long in any case. */
	readonly timeoutMs: number;
}

/** Shorter than the 90 s after which the API server closes idle connections, so that no request is written into a closing one. */
const idleConnectionMs = 60_000;
/** TCP probes begin after so long: they find a vanished API server while a watch waits. */
const tcpKeepAliveMs = 30_000;

type Purpose = 'requests' | 'watches';

export class Transport {
	readonly #connection: Connection;
	readonly #userAgent: string;
	readonly #maxConnections: number;
	/** Replaced when the client certificate or the CA changes; connections of the old one end by themselves. */
	#agents: {readonly identity: string; readonly requests: HttpAgent; readonly watches: HttpAgent} | undefined;

	constructor({connection, userAgent, maxConnections}: TransportOptions) {
		this.#connection = connection;
		this.#userAgent = userAgent;
		this.#maxConnections = maxConnections;
	}

	/** Sends, reads the whole answer, parses it. Rejects with ApiError, NoAnswerError or the signal's reason. */
	async json<Answer>(request: JsonRequest): Promise<Answer> {
		try {
			return await this.#json<Answer>(request);
		} catch (error) {
			// The server closed the idle connection just when it was used again. Reading twice does no harm, writing twice may.
			if (error instanceof ConnectionReused && request.method === 'GET') return await this.#json<Answer>(request);
			throw error;
		}
	}

	async #json<Answer>(request: JsonRequest): Promise<Answer> {
		const flight = await this.#send(request, 'requests');
		try {
			const response = await flight.response;
			const text = await readText(response);
			if (isSuccess(response)) return flight.parse<Answer>(text);
			throw this.#toApiError(request, response, text);
		} catch (error) {
			throw flight.explain(error);
		} finally {
			flight.end();
		}
	}

	/** Sends and yields the answer line by line, until the server ends it. Leaving the loop closes the connection. */
	async *lines<Line>(request: StreamRequest): AsyncGenerator<Line, void, undefined> {
		const flight = await this.#send(request, 'watches');
		try {
			const response = await flight.response;
			if (!isSuccess(response)) throw this.#toApiError(request, response, await readText(response));
			for await (const line of splitLines(response)) yield flight.parse<Line>(line);
		} catch (error) {
			throw flight.explain(error);
		} finally {
			flight.end();
		}
	}

	/** Closes all connections, those in use too. */
	close(): void {
		this.#agents?.requests.destroy();
		this.#agents?.watches.destroy();
		this.#agents = undefined;
	}

	async #send(request: JsonRequest | StreamRequest, purpose: Purpose): Promise<Flight> {
		const credentials = await this.#connection.credentials();
		request.signal?.throwIfAborted();
		const {server} = this.#connection;
		const body = request.body && Buffer.from(JSON.stringify(request.body.json));
		const send = server.protocol === 'http:' ? httpRequest : httpsRequest;
		const outgoing = send({
			host: server.hostname.replace(/^\[|\]$/g, ''),
			port: server.port || (server.protocol === 'http:' ? 80 : 443),
			method: request.method,
			path: server.pathname.replace(/\/$/, '') + request.path + queryString(request.query),
			agent: credentials.agent ?? this.#agent(credentials, purpose),
			headers: {
				...credentials.headers,
				accept: 'application/json',
				'user-agent': this.#userAgent,
				...(request.body && body && {'content-type': request.body.contentType, 'content-length': body.length}),
			},
		});
		const flight = new Flight(request, outgoing);
		outgoing.end(body);
		return flight;
	}

	#agent({tls}: Credentials, purpose: Purpose): HttpAgent {
		const identity = JSON.stringify(Object.values(tls).map(String));
		if (this.#agents?.identity !== identity) {
			const make = (maxSockets: number) => {
				const options = {keepAlive: true, keepAliveMsecs: tcpKeepAliveMs, timeout: idleConnectionMs, maxSockets};
				return this.#connection.server.protocol === 'http:'
					? new HttpAgent(options)
					: new HttpsAgent({...options, ...tls});
			};
			this.#agents = {identity, requests: make(this.#maxConnections), watches: make(Number.POSITIVE_INFINITY)};
		}
		return this.#agents[purpose];
	}

	#toApiError(request: RequestLine, response: IncomingMessage, text: string): ApiError {
		const code = response.statusCode ?? 0;
		if (code === 401) this.#connection.rejected();
		const retryAfterMs = parseRetryAfter(response.headers['retry-after'], Date.now());
		return new ApiError(request, {...parseStatus(text), code}, retryAfterMs);
	}
}

/** A Status, or whatever a load balancer in between said. */
function parseStatus(text: string): Partial<Status> {
	try {
		const status: Partial<Status> | null = JSON.parse(text);
		if (status?.kind === 'Status') return status;
	} catch {
		// Not JSON: the text itself is the best message there is.
	}
	return {message: text.slice(0, 300).trim() || 'empty answer'};
}

/** The connection was a used one and broke before any answer. */
class ConnectionReused extends NoAnswerError {}

/** One request on its way, and why it was given up if it was. */
class Flight {
	readonly response: Promise<IncomingMessage>;
	readonly #request: JsonRequest | StreamRequest;
	readonly #outgoing: ClientRequest;
	readonly #timer: NodeJS.Timeout;
	readonly #onAbort: () => void;
	#response: IncomingMessage | undefined;
	/** Set when we broke it off ourselves. */
	#givenUp: unknown;

	constructor(request: JsonRequest | StreamRequest, outgoing: ClientRequest) {
		this.#request = request;
		this.#outgoing = outgoing;
		this.response = new Promise((resolve, reject) => {
			outgoing.once('response', (response) => {
				this.#response = response;
				resolve(response);
			});
			outgoing.once('error', reject);
		});
		// Whoever made the flight awaits `response` in a later tick; an error before that is not an unhandled one.
		this.response.catch(() => {});
		outgoing.on('error', () => {});
		const timedOut = (message: string) => this.#giveUp(new NoAnswerError(request, {reason: 'Timeout', message}));
		this.#timer = setTimeout(() => timedOut(`no complete answer within ${request.timeoutMs} ms`), request.timeoutMs);
		if ('idleTimeoutMs' in request) {
			outgoing.setTimeout(request.idleTimeoutMs, () => timedOut(`nothing came for ${request.idleTimeoutMs} ms`));
		}
		this.#onAbort = () => this.#giveUp(request.signal?.reason);
		request.signal?.addEventListener('abort', this.#onAbort);
	}

	#giveUp(why: unknown): void {
		this.#givenUp ??= why;
		this.#outgoing.destroy(why instanceof Error ? why : undefined);
	}

	/** The API server is taken at its word as to the type. */
	// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- what JSON.parse gives, with a name
	parse<T>(text: string): T {
		try {
			return JSON.parse(text);
		} catch (cause) {
			throw new NoAnswerError(this.#request, {reason: 'BrokenAnswer', message: 'the answer is not JSON', cause});
		}
	}

	/** What goes to the caller instead of the stream's or socket's error. */
	explain(error: unknown): unknown {
		if (this.#givenUp !== undefined) return this.#givenUp;
		if (error instanceof ApiError || error instanceof NoAnswerError) return error;
		const message = error instanceof Error ? error.message : String(error);
		const details = {reason: 'Connection', message, cause: error} as const;
		return !this.#response && this.#outgoing.reusedSocket
			? new ConnectionReused(this.#request, details)
			: new NoAnswerError(this.#request, details);
	}

	end(): void {
		clearTimeout(this.#timer);
		this.#request.signal?.removeEventListener('abort', this.#onAbort);
		// Does nothing after an answer that was read to its end: that connection is kept for the next request.
		this.#outgoing.destroy();
	}
}

function isSuccess(response: IncomingMessage): boolean {
	const code = response.statusCode ?? 0;
	return code >= 200 && code < 300;
}

async function readText(response: IncomingMessage): Promise<string> {
	const chunks: Buffer[] = [];
	for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
	return Buffer.concat(chunks).toString('utf8');
}

/** Splits at newlines, holding back an unfinished line; what is left at the end counts as a line (and fails to parse if cut). */
async function* splitLines(response: IncomingMessage): AsyncGenerator<string, void, undefined> {
	let pending: Buffer[] = [];
	for await (const chunk of response as AsyncIterable<Buffer>) {
		let start = 0;
		for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
			pending.push(chunk.subarray(start, end));
			start = end + 1;
			const line = Buffer.concat(pending).toString('utf8');
			pending = [];
			if (line.trim()) yield line;
		}
		if (start < chunk.length) pending.push(chunk.subarray(start));
	}
	const rest = Buffer.concat(pending).toString('utf8');
	if (rest.trim()) yield rest;
}

function queryString(query: HttpRequest['query'] = {}): string {
	const parameters = new URLSearchParams();
	for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, value);
	return parameters.size > 0 ? `?${parameters.toString()}` : '';
}
