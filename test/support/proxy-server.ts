/** A real HTTP proxy for tests: forwards plain requests, opens tunnels, asks for credentials, and misbehaves where told. */
import {
	createServer as createHttpServer,
	type IncomingMessage,
	request as requestHttp,
	type RequestListener,
} from 'node:http';
import {createServer as createHttpsServer} from 'node:https';
import {type AddressInfo, connect, type Socket} from 'node:net';
import type {Duplex} from 'node:stream';

export interface ProxyServerOptions {
	/** Default 127.0.0.1. */
	readonly host?: string;
	/** Default any free one. */
	readonly port?: number;
	readonly tls?: {readonly key: string; readonly cert: string};
	readonly credentials?: {readonly user: string; readonly password: string};
	/** Host that names under `.test` stand for: such a name means nothing to whoever asks without the proxy. */
	readonly testHost?: string;
	/** Where the ports of such names really are. */
	readonly testPorts?: Readonly<Record<number, number>>;
}

export interface SeenByProxy {
	/** `GET http://host/path` or `CONNECT host:port`. */
	readonly line: string;
	readonly headers: IncomingMessage['headers'];
}

export interface ProxyServer extends AsyncDisposable {
	/** Without credentials. */
	readonly url: string;
	/** What it let through. */
	readonly seen: readonly SeenByProxy[];
	/** From now on: what is sent in place of a tunnel; nothing at all where empty. Undefined: tunnels again. */
	answerConnect(raw: string | undefined): void;
	close(): Promise<void>;
}

export async function startProxyServer({
	host = '127.0.0.1',
	port = 0,
	tls,
	credentials,
	testHost = '127.0.0.1',
	testPorts = {},
}: ProxyServerOptions = {}): Promise<ProxyServer> {
	const seen: SeenByProxy[] = [];
	let rawAnswer: string | undefined;
	const sockets = new Set<Duplex>();
	const keep = (socket: Duplex) => {
		sockets.add(socket);
		socket.on('error', () => {}).once('close', () => sockets.delete(socket));
	};
	const real = (name: string, port: number) =>
		name.endsWith('.test') ? {host: testHost, port: testPorts[port] ?? port} : {host: name, port};
	const token = credentials && Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64');
	const isKnown = ({headers}: IncomingMessage) =>
		token === undefined || headers['proxy-authorization'] === `Basic ${token}`;

	const forward: RequestListener = (request, response) => {
		const url = URL.parse(request.url ?? '');
		if (!url) {
			response.writeHead(400).end();
			return;
		}
		if (!isKnown(request)) {
			response.writeHead(407, {'proxy-authenticate': 'Basic'}).end();
			return;
		}
		seen.push({line: `${request.method} ${request.url}`, headers: request.headers});
		const {'proxy-authorization': _, ...headers} = request.headers;
		const onward = requestHttp(
			{...real(url.hostname, Number(url.port || 80)), path: `${url.pathname}${url.search}`, headers},
			(answer) => {
				response.writeHead(answer.statusCode ?? 502, answer.headers);
				answer.on('error', () => response.destroy()).pipe(response);
			},
		);
		onward.once('error', () => response.destroy());
		response.once('close', () => onward.destroy());
		onward.end();
	};
	const server = tls ? createHttpsServer(tls, forward) : createHttpServer(forward);
	server.on('connection', keep);
	server.on('connect', (request: IncomingMessage, socket: Duplex) => {
		keep(socket);
		if (!isKnown(request)) {
			socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n');
			return;
		}
		seen.push({line: `CONNECT ${request.url}`, headers: request.headers});
		if (rawAnswer !== undefined) {
			if (rawAnswer !== '') socket.end(rawAnswer);
			return;
		}
		const [name = '', port] = (request.url ?? '').split(':');
		const onward: Socket = connect(real(name, Number(port)), () => {
			socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
			onward.pipe(socket).pipe(onward);
		});
		keep(onward);
		onward.once('close', () => socket.destroy());
		socket.once('close', () => onward.destroy());
	});
	await new Promise<void>((resolve, reject) => {
		server.once('error', reject);
		server.listen(port, host, resolve);
	});
	// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
	const {port: actualPort} = server.address() as AddressInfo;
	const close = () =>
		new Promise<void>((resolve) => {
			server.close(() => resolve());
			for (const socket of sockets) socket.destroy();
		});
	return {
		url: `${tls ? 'https' : 'http'}://${host}:${actualPort}`,
		seen,
		answerConnect(raw) {
			rawAnswer = raw;
		},
		close,
		[Symbol.asyncDispose]: close,
	};
}
