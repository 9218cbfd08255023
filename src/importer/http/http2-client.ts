/**
 * HTTP/2 to one origin, for servers that speak nothing else: one connection has one congestion window, and what a server
 * limits by connection counts once.
 */
import {type ClientHttp2Session, connect} from 'node:http2';
import type {TLSSocket} from 'node:tls';
import type {Exchange} from './http-connections.ts';

/** As much as may be on its way: enough for 100 ms at some hundred MB/s. Node's 64 KiB would be 640 KB/s there. */
const streamWindowBytes = 4 * 1024 * 1024;
const sessionWindowBytes = 32 * 1024 * 1024;

/** Of the connection, not of the request: HTTP/2 refuses them. */
const connectionHeaders = new Set([
	'host',
	'connection',
	'keep-alive',
	'proxy-connection',
	'transfer-encoding',
	'upgrade',
]);

export class Http2Client {
	readonly #origin: string;
	readonly #connect: (signal: AbortSignal) => Promise<TLSSocket>;
	/** The one for new requests. */
	#current: Promise<ClientHttp2Session> | undefined;
	/** With those whose last answers are still on their way. */
	readonly #sessions = new Set<ClientHttp2Session>();

	constructor(origin: string, connect: (signal: AbortSignal) => Promise<TLSSocket>) {
		this.#origin = origin;
		this.#connect = connect;
	}

	async exchange(
		url: URL,
		{headers, signal}: {headers: Readonly<Record<string, string>>; signal: AbortSignal},
	): Promise<Exchange> {
		const opening = (this.#current ??= this.#open(signal));
		const forget = () => this.#forget(opening);
		const session = await opening.catch((error: unknown) => {
			forget();
			throw error;
		});
		const sent = Object.entries(headers).filter(([name]) => !connectionHeaders.has(name));
		const stream = session.request(
			{
				...Object.fromEntries(sent),
				':method': 'GET',
				':path': `${url.pathname}${url.search}`,
				':authority': headers['host'] ?? url.host,
			},
			{endStream: true, signal},
		);
		// Given up for its silence: perhaps the connection is dead, and the next try shall not wait for it again.
		signal.addEventListener('abort', forget, {once: true});
		stream.once('close', () => signal.removeEventListener('abort', forget));
		return new Promise((resolve, reject) => {
			stream.once('error', reject);
			stream.once('close', () => reject(new Error('the connection was closed before the answer')));
			stream.once('response', ({':status': status = 0, ...answered}) => {
				const announced = Number(answered['content-length'] ?? 0);
				// To Node, some resets are an end like any other. One without an error code, of an answer that told no length,
				// cannot be told from its end: then only the image itself or a checksum shows that it was cut.
				const isCut = (receivedBytes: number) => stream.rstCode !== 0 || receivedBytes < announced;
				resolve({status, headers: answered, body: stream, isCut});
			});
		});
	}

	close(): void {
		this.#current = undefined;
		for (const session of this.#sessions) session.destroy();
	}

	async #open(signal: AbortSignal): Promise<ClientHttp2Session> {
		const socket = await this.#connect(signal);
		const session = connect(this.#origin, {
			createConnection: () => socket,
			settings: {enablePush: false, initialWindowSize: streamWindowBytes},
		});
		this.#sessions.add(session);
		const forget = () => {
			if (this.#current === opening) this.#current = undefined;
		};
		const opening = this.#current;
		// Its streams tell of the error.
		session.on('error', forget).once('goaway', forget);
		session.once('close', () => {
			forget();
			this.#sessions.delete(session);
		});
		session.once('connect', () => session.setLocalWindowSize(sessionWindowBytes));
		return session;
	}

	#forget(opening: Promise<ClientHttp2Session>): void {
		if (this.#current === opening) this.#current = undefined;
		opening.then(
			(session) => session.close(),
			() => {},
		);
	}
}
