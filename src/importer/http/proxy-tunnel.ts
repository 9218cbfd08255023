/**
 * Through a proxy: plain HTTP is asked of the proxy itself, everything else goes through a tunnel (CONNECT).
 *
 * Ours, because an answer that is no tunnel must never be taken for the source's: packages that hand it on as the
 * response let anybody between here and the proxy answer for an https server.
 */
import {Agent as HttpAgent, type ClientRequest, request as requestHttp} from 'node:http';
import {Agent as HttpsAgent, request as requestHttps, type RequestOptions} from 'node:https';
import {isIP, type Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import type {SecureContext} from 'node:tls';
import {failureOfProxy, failureOfProxyConnection} from './http-failure.ts';
import {portOf, withoutBrackets} from './proxy-choice.ts';
import {shownUrl} from './shown-url.ts';
import {WorkerError} from '../worker-error.ts';

export interface Proxy {
	readonly url: URL;
	/** What the proxy's own certificate is checked with. */
	readonly secureContext: SecureContext | undefined;
	/** A tunnel that is not there by then is given up. */
	readonly deadlineMs: number;
	/** Tunnels that are being opened end with it. */
	readonly signal: AbortSignal;
}

/** How to reach the proxy. The name is given for TLS, which would otherwise take it from the Host header. */
function addressOf({url, secureContext}: Proxy) {
	const host = withoutBrackets(url.hostname);
	return {
		protocol: url.protocol,
		host,
		port: portOf(url),
		...(url.protocol === 'https:' && {servername: isIP(host) ? '' : host, ...(secureContext && {secureContext})}),
	};
}

function authorizationOf({username, password}: URL): Record<string, string> {
	if (username === '' && password === '') return {};
	const token = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64');
	return {'proxy-authorization': `Basic ${token}`};
}

/** @param endpoint `host:port` that the other end of the tunnel shall be */
export function openTunnel(proxy: Proxy, endpoint: string): Promise<Socket> {
	const {url, deadlineMs, signal} = proxy;
	const shown = shownUrl(url);
	return new Promise((resolve, reject) => {
		const options: RequestOptions = {
			...addressOf(proxy),
			method: 'CONNECT',
			path: endpoint,
			headers: {host: endpoint, ...authorizationOf(url)},
			agent: false,
			signal,
		};
		const request: ClientRequest = url.protocol === 'https:' ? requestHttps(options) : requestHttp(options);
		const words = `The proxy ${shown} opened no tunnel to ${endpoint} within ${deadlineMs / 1000} s.`;
		const deadline = setTimeout(() => request.destroy(new WorkerError('SourceUnreachable', words)), deadlineMs);
		request.once('connect', ({statusCode = 0, headers}, socket: Duplex, early: Buffer) => {
			clearTimeout(deadline);
			if (statusCode >= 200 && statusCode < 300 && early.length === 0) {
				resolve(socket as Socket);
				return;
			}
			socket.destroy();
			reject(failureOfProxy(statusCode, {proxy: shown, endpoint, headers}));
		});
		request.once('error', (error) => {
			clearTimeout(deadline);
			reject(failureOfProxyConnection(error, {proxy: shown, endpoint}));
		});
		request.end();
	});
}

type Callback = (error: Error | null, socket: Duplex) => void;

/** Connections to https servers at the other end of tunnels, kept as those of any agent. */
export class TunnelAgent extends HttpsAgent {
	readonly #proxy: Proxy;

	constructor(proxy: Proxy, options: ConstructorParameters<typeof HttpsAgent>[0]) {
		super(options);
		this.#proxy = proxy;
	}

	override createConnection(options: RequestOptions, callback?: Callback): Duplex | null | undefined {
		const host = options.host ?? '';
		const endpoint = `${isIP(host) === 6 ? `[${host}]` : host}:${options.port ?? 443}`;
		void this.#tunnel(endpoint, {options, callback});
		return undefined;
	}

	async #tunnel(
		endpoint: string,
		{options, callback}: {options: RequestOptions; callback: Callback | undefined},
	): Promise<void> {
		try {
			const socket = await openTunnel(this.#proxy, endpoint);
			const secured = super.createConnection(Object.assign({}, options, {socket}));
			if (secured) callback?.(null, secured);
		} catch (error) {
			// The agent looks at no socket where there is an error.
			(callback as ((error: unknown) => void) | undefined)?.(error);
		}
	}
}

/** For plain HTTP: sends requests to the proxy, with the whole URL. */
export class Forwarder {
	readonly #proxy: Proxy;
	readonly #agent: HttpAgent;

	constructor(proxy: Proxy, options: {keepAlive: boolean; maxSockets: number}) {
		this.#proxy = proxy;
		this.#agent = proxy.url.protocol === 'https:' ? new HttpsAgent(options) : new HttpAgent(options);
	}

	readonly request = (
		url: URL,
		options: RequestOptions,
		callback?: Parameters<typeof requestHttp>[2],
	): ClientRequest => {
		const proxied: RequestOptions = {
			...options,
			...addressOf(this.#proxy),
			// Whether the source's certificate matters is another question.
			rejectUnauthorized: true,
			agent: this.#agent,
			path: `${url.origin}${url.pathname}${url.search}`,
			headers: {host: url.host, ...(options.headers as Record<string, string>), ...authorizationOf(this.#proxy.url)},
		};
		return this.#proxy.url.protocol === 'https:' ? requestHttps(proxied, callback) : requestHttp(proxied, callback);
	};

	destroy(): void {
		this.#agent.destroy();
	}
}
