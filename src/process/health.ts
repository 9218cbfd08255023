import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import type {Registry} from 'prom-client';

/** Undefined when well, otherwise what is wrong, in words. */
export type Check = () => string | undefined | Promise<string | undefined>;

export interface HealthServerOptions {
	/** 0 takes any free port. */
	readonly port: number;
	/** Default all addresses, as probes come from the node. */
	readonly host?: string;
	readonly registry: Registry;
	/** Failing one restarts the Pod: only what a restart would mend. */
	readonly alive?: Readonly<Record<string, Check>>;
	/** Failing one means that this replica cannot do its part yet. */
	readonly ready?: Readonly<Record<string, Check>>;
}

export interface HealthServer extends AsyncDisposable {
	readonly port: number;
	/** Answers the requests under way, then closes. */
	close(): Promise<void>;
}

const closeDeadlineMs = 1000;

/** Serves /metrics, /healthz and /readyz. */
export async function startHealthServer(options: HealthServerOptions): Promise<HealthServer> {
	let closing = false;
	const server = createServer((request, response) => {
		// A scraper that keeps its connection would keep it, and with it the program, for ever.
		if (closing) response.shouldKeepAlive = false;
		answer(request, response, options).catch((error: unknown) => {
			respond(response, 500, error instanceof Error ? error.message : String(error));
		});
	});
	await new Promise<void>((resolve, reject) => {
		server.once('error', reject);
		server.listen(options.port, options.host, () => {
			server.off('error', reject);
			resolve();
		});
	});
	const close = () =>
		new Promise<void>((resolve) => {
			closing = true;
			server.close(() => resolve());
			// Scrapers keep connections open between scrapes.
			server.closeIdleConnections();
			// One that was accepted and has not asked yet is not idle; one that does not read its answer never will be.
			setTimeout(() => server.closeAllConnections(), closeDeadlineMs).unref();
		});
	return {port: portOf(server.address()), close, [Symbol.asyncDispose]: close};
}

function portOf(address: AddressInfo | string | null): number {
	if (address === null || typeof address === 'string') throw new Error('the health server does not listen on TCP');
	return address.port;
}

async function answer(
	request: IncomingMessage,
	response: ServerResponse,
	{registry, alive = {}, ready = {}}: HealthServerOptions,
): Promise<void> {
	if (request.method !== 'GET' && request.method !== 'HEAD') {
		respond(response, 405, 'only GET');
		return;
	}
	switch (request.url?.split('?')[0]) {
		case '/metrics':
			respond(response, 200, await registry.metrics(), registry.contentType);
			break;
		case '/healthz':
			await respondChecks(response, alive);
			break;
		case '/readyz':
			await respondChecks(response, ready);
			break;
		default:
			respond(response, 404, 'not found');
	}
}

/** In the manner of the API server's own /readyz?verbose. */
async function respondChecks(response: ServerResponse, checks: Readonly<Record<string, Check>>): Promise<void> {
	const results = await Promise.all(
		Object.entries(checks).map(async ([name, check]) => ({name, problem: await outcomeOf(check)})),
	);
	const lines = results.map(({name, problem}) =>
		problem === undefined ? `[+] ${name}: ok` : `[-] ${name}: ${problem}`,
	);
	const isWell = results.every(({problem}) => problem === undefined);
	respond(response, isWell ? 200 : 503, [...lines, isWell ? 'ok' : 'failed'].join('\n'));
}

async function outcomeOf(check: Check): Promise<string | undefined> {
	try {
		return await check();
	} catch (error) {
		return error instanceof Error ? error.message : String(error);
	}
}

function respond(
	response: ServerResponse,
	status: number,
	text: string,
	contentType = 'text/plain; charset=utf-8',
): void {
	response.writeHead(status, {'content-type': contentType}).end(`${text}\n`);
}
