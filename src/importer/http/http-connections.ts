/** Connections to the hosts that a source leads to: direct or through a proxy, HTTP/1.1 or, where a server has only that, HTTP/2. */
import {Agent as HttpAgent, type IncomingHttpHeaders, type IncomingMessage} from 'node:http';
import {Agent as HttpsAgent} from 'node:https';
import {isIP, type Socket} from 'node:net';
import type {Readable} from 'node:stream';
import {
	connect as connectTls,
	createSecureContext,
	getCACertificates,
	type SecureContext,
	type TLSSocket,
} from 'node:tls';
import got from 'got';
import type {ProxySettings} from '../../api/import-proxy.ts';
import {nodeError} from './http-failure.ts';
import type {Http2Client} from './http2-client.ts';
import {chooseProxy, portOf, withoutBrackets} from './proxy-choice.ts';
import type {Forwarder, Proxy, TunnelAgent} from './proxy-tunnel.ts';
import {reuseReads} from './reused-reads.ts';
import {shownUrl} from './shown-url.ts';

export interface ProxyAccess extends ProxySettings {
	/** PEM. Trusted beside the well-known authorities, for the proxy itself and for what comes through it. */
	readonly certificates: readonly string[];
}

export interface ConnectionOptions {
	/** PEM, trusted beside the well-known authorities. */
	readonly certificates: readonly string[];
	readonly insecureSkipVerify: boolean;
	readonly proxy?: ProxyAccess;
	/** Most at a time to one host. */
	readonly connections: number;
	/** Of a tunnel through a proxy. */
	readonly stallMs: number;
}

/** An answer whose body has not been read yet. */
export interface Exchange {
	readonly status: number;
	readonly headers: IncomingHttpHeaders;
	readonly body: Readable;
	/** At the end of the body, which had so many bytes: whether there should have been more. */
	readonly isCut: (receivedBytes: number) => boolean;
}

interface Asking {
	readonly headers: Readonly<Record<string, string>>;
	readonly signal: AbortSignal;
}

/** What is kept for one way to a host: none, or a proxy. */
interface Route {
	readonly proxy: Proxy | undefined;
	readonly secureContext: SecureContext | undefined;
	readonly agents: {readonly http?: HttpAgent; readonly https: HttpsAgent | TunnelAgent};
	readonly forwarder: Forwarder | undefined;
}

const refusalStatuses: ReadonlySet<number> = new Set([426, 505]);

/** The one protocol that we offered is one that the server does not have: it says so, or it answers in another. */
function isRefusal(error: unknown): boolean {
	const {code, message} = nodeError(error) ?? {};
	if (code === 'HPE_INVALID_CONSTANT') return true;
	return /alert no application protocol|NO_APPLICATION_PROTOCOL/.test(`${code} ${message}`);
}

export class HttpConnections {
	readonly #options: ConnectionOptions;
	/** By the proxy's URL; '' is the direct way. */
	readonly #routes = new Map<string, Promise<Route>>();
	/** By origin: servers that speak nothing but HTTP/2. */
	readonly #http2 = new Map<string, Http2Client>();
	readonly #closed = new AbortController();

	constructor(options: ConnectionOptions) {
		this.#options = options;
	}

	/** For messages: the URL, and the proxy that it is asked through. */
	shown(url: URL): string {
		const proxy = this.#proxyFor(url);
		return proxy ? `${shownUrl(url)} through the proxy ${shownUrl(proxy)}` : shownUrl(url);
	}

	/** GET. Rejects with whatever the connection failed of. */
	async exchange(url: URL, asking: Asking): Promise<Exchange> {
		const known = this.#http2.get(url.origin);
		if (known) return known.exchange(url, asking);
		const route = await this.#routeTo(url);
		try {
			const answer = await exchangeHttp1(url, {...asking, route, rejectUnauthorized: this.#rejectUnauthorized});
			if (url.protocol === 'http:' || !refusalStatuses.has(answer.status)) return answer;
			return (await this.#tryHttp2(url, asking, route)) ?? answer;
		} catch (error) {
			if (url.protocol === 'http:' || !isRefusal(error)) throw error;
			const answer = await this.#tryHttp2(url, asking, route);
			if (answer) return answer;
			throw error;
		}
	}

	close(): void {
		this.#closed.abort(new Error('the source was closed'));
		for (const client of this.#http2.values()) client.close();
		for (const opening of this.#routes.values()) {
			opening.then(closeRoute, () => {});
		}
	}

	get #rejectUnauthorized(): boolean {
		return !this.#options.insecureSkipVerify;
	}

	#proxyFor(url: URL): URL | undefined {
		const {proxy} = this.#options;
		return proxy && chooseProxy(url, proxy);
	}

	#routeTo(url: URL): Promise<Route> {
		const proxy = this.#proxyFor(url);
		const key = proxy?.href ?? '';
		const known = this.#routes.get(key);
		if (known) return known;
		const opening = this.#makeRoute(proxy);
		this.#routes.set(key, opening);
		return opening;
	}

	async #makeRoute(proxyUrl: URL | undefined): Promise<Route> {
		const {certificates, proxy: access, connections, stallMs} = this.#options;
		const kept = {keepAlive: true, maxSockets: connections};
		if (!proxyUrl) {
			const secureContext = trust(certificates);
			const agents = {
				http: new HttpAgent(kept),
				https: new HttpsAgent({...kept, ...(secureContext && {secureContext})}),
			};
			reuseReads(agents.http);
			reuseReads(agents.https);
			return {proxy: undefined, secureContext, agents, forwarder: undefined};
		}
		const {Forwarder, TunnelAgent} = await import('./proxy-tunnel.ts');
		const ofProxy = access?.certificates ?? [];
		const proxy = {url: proxyUrl, secureContext: trust(ofProxy), deadlineMs: stallMs, signal: this.#closed.signal};
		const secureContext = trust([...certificates, ...ofProxy]);
		const agents = {https: new TunnelAgent(proxy, {...kept, ...(secureContext && {secureContext})})};
		return {proxy, secureContext, agents, forwarder: new Forwarder(proxy, kept)};
	}

	/** Undefined where the server does not speak that either. */
	async #tryHttp2(url: URL, asking: Asking, route: Route): Promise<Exchange | undefined> {
		const {Http2Client} = await import('./http2-client.ts');
		const client = new Http2Client(url.origin, (signal) => this.#connectHttp2(url, route, signal));
		try {
			const answer = await client.exchange(url, asking);
			this.#http2.set(url.origin, client);
			return answer;
		} catch {
			client.close();
			return undefined;
		}
	}

	async #connectHttp2(url: URL, {proxy, secureContext}: Route, signal: AbortSignal): Promise<TLSSocket> {
		const host = withoutBrackets(url.hostname);
		const port = portOf(url);
		const tunnel = proxy && (await openTunnelTo(proxy, `${url.hostname}:${port}`));
		const socket = connectTls({
			host,
			...(tunnel ? {socket: tunnel} : {port}),
			servername: isIP(host) ? '' : host,
			ALPNProtocols: ['h2'],
			rejectUnauthorized: this.#rejectUnauthorized,
			...(secureContext && {secureContext}),
		});
		const giveUp = () => socket.destroy(new Error('given up'));
		signal.addEventListener('abort', giveUp, {once: true});
		try {
			await new Promise<void>((resolve, reject) => {
				socket.once('secureConnect', resolve).once('error', reject);
				socket.once('close', () => reject(new Error('the connection was closed before it was secured')));
			});
		} finally {
			signal.removeEventListener('abort', giveUp);
		}
		if (socket.alpnProtocol === 'h2') return socket;
		socket.destroy();
		throw new Error('the server does not speak HTTP/2');
	}
}

async function openTunnelTo(proxy: Proxy, endpoint: string): Promise<Socket> {
	const {openTunnel} = await import('./proxy-tunnel.ts');
	return openTunnel(proxy, endpoint);
}

/** Made once: with its certificates in each request's options, each would be parsed again. Undefined: only the well-known. */
function trust(certificates: readonly string[]): SecureContext | undefined {
	if (certificates.length === 0) return undefined;
	return createSecureContext({ca: [...getCACertificates('default'), ...certificates]});
}

function closeRoute({agents, forwarder}: Route): void {
	agents.http?.destroy();
	agents.https.destroy();
	forwarder?.destroy();
}

function exchangeHttp1(
	url: URL,
	{headers, signal, route, rejectUnauthorized}: Asking & {route: Route; rejectUnauthorized: boolean},
): Promise<Exchange> {
	const forwarder = url.protocol === 'http:' ? route.forwarder : undefined;
	const stream = got.stream(url, {
		headers,
		agent: route.agents,
		...(forwarder && {request: forwarder.request}),
		decompress: false,
		followRedirect: false,
		throwHttpErrors: false,
		retry: {limit: 0},
		signal,
		// Said aloud: a server that has only HTTP/2 then refuses at once, with a code of its own.
		https: {rejectUnauthorized, alpnProtocols: ['http/1.1']},
	});
	return new Promise((resolve, reject) => {
		stream.once('error', reject);
		stream.once('response', ({statusCode, headers, socket}: IncomingMessage) => {
			// To Node, the reset of a connection is the end of an answer that no length and no chunks tell the end of.
			let isReset = false;
			const onReset = () => {
				isReset = true;
			};
			const forget = () => socket.off('error', onReset);
			socket.once('error', onReset);
			// An answer that was read to its end is not closed; the connection goes on with the next one.
			stream.once('end', forget).once('close', forget);
			resolve({status: statusCode ?? 0, headers, body: stream, isCut: () => isReset});
		});
	});
}
