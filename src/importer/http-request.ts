import {Agent as HttpAgent, type IncomingHttpHeaders} from 'node:http';
import {Agent as HttpsAgent} from 'node:https';
import {getCACertificates} from 'node:tls';
import got, {type Request} from 'got';
import {failureOfConnection, failureOfStatus} from './http-failure.ts';
import {shownUrl} from './shown-url.ts';
import {WorkerError} from './worker-error.ts';

/** How to speak to the source's server. */
export interface HttpAccess {
	/** Sent to the host that the user named only; they often carry tokens. */
	readonly headers: Readonly<Record<string, string>>;
	readonly credentials?: {readonly user: string; readonly password: string};
	/** PEM, trusted beside the well-known authorities. */
	readonly certificates: readonly string[];
	readonly insecureSkipVerify: boolean;
	/** Nothing received for so long: the connection is given up (and the request tried again). */
	readonly stallMs: number;
	/** Connections kept open to a host. */
	readonly connections: number;
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
	readonly #agents: {http: HttpAgent; https: HttpsAgent};

	constructor(named: URL, access: HttpAccess) {
		this.#named = named;
		this.#access = access;
		const options = {keepAlive: true, maxSockets: access.connections};
		this.#agents = {http: new HttpAgent(options), https: new HttpsAgent(options)};
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
				throw failureOfStatus(answer.status, {url: shownUrl(url), headers: answer.headers});
			}
			url = redirectTarget(url, answer);
			if (redirects === mostRedirects) {
				throw new WorkerError(
					'SourceRefused',
					`GET ${shownUrl(start)} led through ${mostRedirects} redirects and no file.`,
				);
			}
		}
	}

	close(): void {
		this.#agents.http.destroy();
		this.#agents.https.destroy();
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
		const {insecureSkipVerify, certificates, stallMs} = this.#access;
		const shown = shownUrl(url);
		const attempt = new AbortController();
		const silence = new Silence(stallMs, () => {
			attempt.abort(
				new WorkerError(
					'SourceUnreachable',
					`GET ${shown}: nothing received for ${stallMs / 1000} s. The server or the network is stuck.`,
				),
			);
		});
		const stream = got.stream(url, {
			headers: {'user-agent': 'onesnap-importer', ...headers},
			agent: this.#agents,
			decompress: false,
			followRedirect: false,
			throwHttpErrors: false,
			retry: {limit: 0},
			signal: AbortSignal.any([signal, attempt.signal]),
			https: {
				rejectUnauthorized: !insecureSkipVerify,
				...(certificates.length > 0 && {certificateAuthority: [...getCACertificates('default'), ...certificates]}),
			},
		});
		const translate = (error: unknown) => {
			silence.end();
			if (signal.aborted) return signal.reason;
			return failureOfConnection(attempt.signal.aborted ? attempt.signal.reason : error, shown);
		};
		silence.begin();
		return new Promise((resolve, reject) => {
			stream.once('error', (error) => reject(translate(error)));
			stream.once('response', ({statusCode, headers}: {statusCode: number; headers: IncomingHttpHeaders}) => {
				silence.end();
				resolve({status: statusCode, headers, url, ...bodyOf(stream, {silence, translate})});
			});
		});
	}
}

/** The three ways to take a body. Silence only counts while somebody waits for the next piece. */
function bodyOf(
	stream: Request,
	{silence, translate}: {silence: Silence; translate: (error: unknown) => unknown},
): Pick<HttpAnswer, 'receive' | 'pieces' | 'discard'> {
	return {
		receive: (deliver) =>
			new Promise((resolve, reject) => {
				stream.on('data', (chunk: Buffer) => {
					silence.begin();
					try {
						deliver(chunk);
					} catch (error) {
						reject(error);
						stream.destroy();
					}
				});
				stream.once('end', () => {
					silence.end();
					resolve();
				});
				stream.once('error', (error) => reject(translate(error)));
				stream.once('close', () =>
					reject(translate(new Error('the connection was closed in the middle of the answer'))),
				);
				silence.begin();
			}),
		async *pieces() {
			const iterator: AsyncIterator<Buffer> = stream[Symbol.asyncIterator]();
			try {
				for (;;) {
					silence.begin();
					const next = await iterator.next();
					silence.end();
					if (next.done === true) return;
					yield next.value;
				}
			} catch (error) {
				throw translate(error);
			} finally {
				silence.end();
				stream.destroy();
			}
		},
		discard() {
			silence.end();
			stream.on('error', () => {});
			stream.destroy();
		},
	};
}

/** One timer for a whole body: a new one per piece would cost more than the piece. */
class Silence {
	readonly #afterMs: number;
	readonly #onSilent: () => void;
	#timer: NodeJS.Timeout | undefined;

	constructor(afterMs: number, onSilent: () => void) {
		this.#afterMs = afterMs;
		this.#onSilent = onSilent;
	}

	begin(): void {
		if (this.#timer) this.#timer.refresh();
		else this.#timer = setTimeout(this.#onSilent, this.#afterMs);
	}

	end(): void {
		clearTimeout(this.#timer);
		this.#timer = undefined;
	}
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
