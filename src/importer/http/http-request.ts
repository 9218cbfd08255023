import type {IncomingHttpHeaders} from 'node:http';
import type {Log} from '../../process/plain-log.ts';
import {type ConnectionOptions, type Exchange, HttpConnections} from './http-connections.ts';
import {failureOfConnection, failureOfStatus} from './http-failure.ts';
import {Patience, slowest, type Slowness} from './patience.ts';
import {shownUrl} from './shown-url.ts';
import {WorkerError} from '../worker-error.ts';

/** How to speak to the source's server. */
export interface HttpAccess extends ConnectionOptions {
	/** Sent to the host that the user named only; they often carry tokens. */
	readonly headers: Readonly<Record<string, string>>;
	readonly credentials?: {readonly user: string; readonly password: string};
	/** Nothing received for so long: the connection is given up (and the request tried again). */
	readonly stallMs: number;
	/** The same for an answer that is slower than this. Default {@link slowest}. */
	readonly slow?: Slowness;
}

export interface HttpAnswer {
	readonly status: number;
	readonly headers: IncomingHttpHeaders;
	/** Where the redirects ended. */
	readonly url: URL;
	/** Calls back with each piece; resolves at the end of the body, rejects with a WorkerError if it does not come. */
	receive(deliver: (chunk: Buffer) => void): Promise<void>;
	/** The body in order, with back-pressure. */
	pieces(): AsyncGenerator<Buffer>;
	/** The body is not wanted. */
	discard(): void;
}

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const mostRedirects = 10;

/** GET requests with credentials that never follow a redirect to another host, and a deadline for silence. */
export class HttpRequester {
	readonly #access: HttpAccess;
	/** The URL that the user named: the one host that may see the credentials, wherever a request begins. */
	readonly #named: URL;
	readonly #connections: HttpConnections;
	readonly #warned = new Set<string>();
	readonly #log: Pick<Log, 'warn'>;

	constructor(named: URL, access: HttpAccess, log: Pick<Log, 'warn'>) {
		this.#named = named;
		this.#log = log;
		this.#access = access;
		this.#connections = new HttpConnections(access);
	}

	/** Follows redirects from `start`; resolves with an answer of status 2xx or 416, rejects with a WorkerError otherwise. */
	async get(
		start: URL,
		{headers, signal}: {headers: Record<string, string>; signal: AbortSignal},
	): Promise<HttpAnswer> {
		let url = start;
		for (let redirects = 0; ; redirects++) {
			const answer = await this.#getOnce(url, {headers: {...headers, ...this.#private(url)}, signal});
			if (answer.status === 416 || (answer.status >= 200 && answer.status < 300)) return answer;
			answer.discard();
			if (!redirectStatuses.has(answer.status)) {
				throw failureOfStatus(answer.status, {url: this.#connections.shown(url), headers: answer.headers});
			}
			const target = redirectTarget(url, answer);
			this.#warnOfOpenLink(url, target);
			url = target;
			if (redirects === mostRedirects) {
				throw new WorkerError(
					'SourceRefused',
					`GET ${shownUrl(start)} led through ${mostRedirects} redirects and no file.`,
				);
			}
		}
	}

	/** Mirrors do so, and clients follow: once for each host, not for each range. */
	#warnOfOpenLink(from: URL, target: URL): void {
		if (from.protocol !== 'https:' || target.protocol !== 'http:' || this.#warned.has(target.origin)) return;
		this.#warned.add(target.origin);
		this.#log.warn(
			{from: shownUrl(from), to: shownUrl(target)},
			'a redirect leads from https to http: nobody vouches for these bytes but a checksum',
		);
	}

	close(): void {
		this.#connections.close();
	}

	/** Headers that only the host the user named may see. */
	#private(url: URL): Record<string, string> {
		if (!isSameHost(this.#named, url)) return {};
		const {credentials, headers} = this.#access;
		if (!credentials) return headers;
		const token = Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64');
		return {...headers, authorization: `Basic ${token}`};
	}

	async #getOnce(
		url: URL,
		{headers, signal}: {headers: Record<string, string>; signal: AbortSignal},
	): Promise<HttpAnswer> {
		const {stallMs, slow = slowest} = this.#access;
		const shown = this.#connections.shown(url);
		const attempt = new AbortController();
		const patience = new Patience({stallMs, slow}, (words) =>
			attempt.abort(
				new WorkerError('SourceUnreachable', `GET ${shown}: ${words}. The server or the network is stuck.`),
			),
		);
		const translate = (error: unknown) => {
			patience.end();
			if (signal.aborted) return signal.reason;
			return failureOfConnection(attempt.signal.aborted ? attempt.signal.reason : error, shown);
		};
		patience.begin();
		try {
			const exchange = await this.#connections.exchange(url, {
				headers: {'user-agent': 'onesnap-importer', ...headers},
				signal: AbortSignal.any([signal, attempt.signal]),
			});
			patience.end();
			const {status, headers: answered} = exchange;
			return {status, headers: answered, url, ...bodyOf(exchange, {patience, translate})};
		} catch (error) {
			throw translate(error);
		}
	}
}

/** The three ways to take a body. Time only counts while somebody waits for the next piece. */
function bodyOf(
	{body, isCut}: Exchange,
	{patience, translate}: {patience: Patience; translate: (error: unknown) => unknown},
): Pick<HttpAnswer, 'receive' | 'pieces' | 'discard'> {
	let receivedBytes = 0;
	const received = (bytes: number) => {
		receivedBytes += bytes;
		patience.received(bytes);
	};
	const cut = () => new Error('the connection was closed in the middle of the answer');
	return {
		receive: (deliver) =>
			new Promise((resolve, reject) => {
				body.on('data', (chunk: Buffer) => {
					received(chunk.length);
					try {
						deliver(chunk);
					} catch (error) {
						reject(error);
						body.destroy();
					}
				});
				body.once('end', () => {
					patience.end();
					if (isCut(receivedBytes)) reject(translate(cut()));
					else resolve();
				});
				body.once('error', (error) => reject(translate(error)));
				body.once('close', () => reject(translate(cut())));
				patience.begin();
			}),
		async *pieces() {
			const iterator: AsyncIterator<Buffer> = body[Symbol.asyncIterator]();
			try {
				for (;;) {
					patience.begin();
					const next = await iterator.next();
					if (next.done === true && isCut(receivedBytes)) throw cut();
					if (next.done === true) return;
					received(next.value.length);
					patience.end();
					yield next.value;
				}
			} catch (error) {
				throw translate(error);
			} finally {
				patience.end();
				body.destroy();
			}
		},
		discard() {
			patience.end();
			body.on('error', () => {});
			body.destroy();
		},
	};
}

function redirectTarget(from: URL, {status, headers}: HttpAnswer): URL {
	const location = headers.location;
	const target = location === undefined ? null : URL.parse(location, from.href);
	if (target && (target.protocol === 'http:' || target.protocol === 'https:')) return target;
	throw new WorkerError(
		'SourceRefused',
		`GET ${shownUrl(from)} answered ${status} with ${location === undefined ? 'no Location' : 'a Location that is no http or https URL'}.`,
	);
}

/** The same host, or the same host's TLS side: where credentials given for the one may go. */
function isSameHost(named: URL, url: URL): boolean {
	if (named.origin === url.origin) return true;
	return named.hostname === url.hostname && named.port === '' && url.port === '' && url.protocol === 'https:';
}
