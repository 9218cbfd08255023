import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {KubeObject, Status} from '../api/kubernetes.ts';
import type {Connection} from './connection.ts';

/**
 * For tests: lists and watches of one kind (ConfigMaps) over real HTTP on loopback, with the API server's rules about
 * versions and history, and with faults on request. What a real API server does is tested in test/integration; this one does
 * what a real one does on its bad days.
 */

/** What happens to one request instead of the proper answer. */
export type Fault =
	| {readonly do: 'answer'; readonly code: number; readonly retryAfter?: string}
	/** The connection is reset before any answer. */
	| {readonly do: 'reset'}
	/** Watch: an ERROR event with 410 after the headers. */
	| {readonly do: 'goneInStream'}
	/** Watch: everything due is sent, but the last event only half, and the connection is reset, or ended as if all were well. */
	| {readonly do: 'cutMidLine'; readonly endsWell: boolean}
	/** Watch: headers, and then never anything. */
	| {readonly do: 'stall'}
	/** Watch: ended at once. */
	| {readonly do: 'end'};

interface HistoryEntry {
	readonly version: number;
	readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
	readonly object: KubeObject;
}

export class LoopbackApiServer implements AsyncDisposable {
	readonly #server: Server;
	readonly #objects = new Map<string, KubeObject>();
	readonly #history: HistoryEntry[] = [];
	readonly #watches = new Set<ServerResponse>();
	readonly #pages = new Map<string, readonly KubeObject[]>();
	readonly #faults: {list: Fault[]; watch: Fault[]} = {list: [], watch: []};
	#version = 100;
	#oldestVersion = 0;
	#uids = 0;
	/** False: the kind does not exist. */
	installed = true;
	lists = 0;
	/** Called before a list request is answered. */
	onList: (() => void) | undefined;
	watchRequests = 0;
	/** resourceVersion of each watch request. */
	readonly watchedFrom: string[] = [];
	connection: Connection;

	private constructor(server: Server, port: number) {
		this.#server = server;
		this.connection = {
			server: new URL(`http://127.0.0.1:${port}`),
			namespace: undefined,
			credentials: () => Promise.resolve({headers: {authorization: 'Bearer token'}, tls: {}}),
			rejected: () => {},
		};
		server.on('request', (request, response) => this.#answer(request, response));
	}

	static async start(): Promise<LoopbackApiServer> {
		const server = createServer();
		await new Promise<void>((resolve) => {
			server.listen(0, '127.0.0.1', resolve);
		});
		const address = server.address();
		if (address === null || typeof address === 'string') throw new Error('not listening on TCP');
		return new LoopbackApiServer(server, address.port);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#server.closeAllConnections();
		await new Promise((resolve) => {
			this.#server.close(resolve);
		});
	}

	/** Watches that are being answered now. */
	get openWatches(): number {
		return this.#watches.size;
	}

	get version(): string {
		return String(this.#version);
	}

	get objects(): readonly KubeObject[] {
		return [...this.#objects.values()];
	}

	put(name: string, labels: Record<string, string> = {}): void {
		const old = this.#objects.get(name);
		const uid = old?.metadata.uid ?? `uid-${++this.#uids}`;
		const metadata = {namespace: 'ns', name, uid, labels, resourceVersion: String(++this.#version)};
		const object = {apiVersion: 'v1', kind: 'ConfigMap', metadata};
		this.#objects.set(name, object);
		this.#happen({version: this.#version, type: old ? 'MODIFIED' : 'ADDED', object});
	}

	remove(name: string): void {
		const old = this.#objects.get(name);
		if (!old) return;
		this.#objects.delete(name);
		const object = {...old, metadata: {...old.metadata, resourceVersion: String(++this.#version)}};
		this.#happen({version: this.#version, type: 'DELETED', object});
	}

	/** Versions go on for other kinds too. */
	elsewhere(): void {
		this.#version++;
	}

	bookmark(): void {
		const object = {apiVersion: 'v1', kind: 'ConfigMap', metadata: {resourceVersion: this.version}};
		for (const response of this.#watches) response.write(`${JSON.stringify({type: 'BOOKMARK', object})}\n`);
	}

	/** Forgets history and pages: who is not up to date must list again. */
	compact(): void {
		this.#history.length = 0;
		this.#pages.clear();
		this.#oldestVersion = this.#version;
	}

	/** Breaks all watches. */
	dropWatches(): void {
		for (const response of this.#watches) response.destroy();
		this.#watches.clear();
	}

	/** The next requests get these instead of a proper answer. */
	fail(verb: 'list' | 'watch', ...faults: readonly Fault[]): void {
		this.#faults[verb].push(...faults);
	}

	#happen(entry: HistoryEntry): void {
		this.#history.push(entry);
		for (const response of this.#watches)
			response.write(`${JSON.stringify({type: entry.type, object: entry.object})}\n`);
	}

	#answer(request: IncomingMessage, response: ServerResponse): void {
		const url = new URL(request.url ?? '/', this.connection.server);
		if (!this.installed) {
			refuse(response, 404);
			return;
		}
		if (url.searchParams.get('watch') === 'true') this.#watch(url.searchParams, response);
		else this.#list(url.searchParams, response);
	}

	#list(query: URLSearchParams, response: ServerResponse): void {
		this.lists++;
		this.onList?.();
		const fault = this.#faults.list.shift();
		if (fault) {
			misbehave(response, fault);
			return;
		}
		const limit = Number(query.get('limit') ?? Number.MAX_SAFE_INTEGER);
		const token = query.get('continue');
		const [version = '', offset = 0] = token ? [token.split(':')[0], Number(token.split(':')[1])] : [this.version];
		if (!token) this.#pages.set(version, this.objects);
		const all = this.#pages.get(version);
		if (!all) {
			refuse(response, 410);
			return;
		}
		const isLast = offset + limit >= all.length;
		const metadata = {resourceVersion: version, ...(!isLast && {continue: `${version}:${offset + limit}`})};
		// As the real one does, built-in kinds come without apiVersion and kind in a list.
		const items = all.slice(offset, offset + limit).map(({metadata}) => ({metadata}));
		response.setHeader('content-type', 'application/json');
		response.end(JSON.stringify({kind: 'ConfigMapList', apiVersion: 'v1', metadata, items}));
	}

	#watch(query: URLSearchParams, response: ServerResponse): void {
		this.watchRequests++;
		this.watchedFrom.push(query.get('resourceVersion') ?? '');
		const fault = this.#faults.watch.shift();
		if (fault?.do === 'answer' || fault?.do === 'reset') {
			misbehave(response, fault);
			return;
		}
		const from = Number(query.get('resourceVersion'));
		response.setHeader('content-type', 'application/json');
		response.flushHeaders();
		if (from < this.#oldestVersion || fault?.do === 'goneInStream') {
			response.end(`${JSON.stringify({type: 'ERROR', object: makeStatus(410)})}\n`);
			return;
		}
		if (fault?.do === 'stall') return;
		if (fault?.do === 'end') {
			response.end();
			return;
		}
		const due = this.#history.filter(({version}) => version > from);
		const lines = due.map(({type, object}) => `${JSON.stringify({type, object})}\n`).join('');
		if (fault?.do === 'cutMidLine') {
			const half = lines.slice(0, -20) || '{"type":"ADD';
			if (fault.endsWell) response.end(half);
			else response.write(half, () => response.destroy());
			return;
		}
		response.write(lines);
		this.#watches.add(response);
		response.on('close', () => this.#watches.delete(response));
	}
}

function misbehave(response: ServerResponse, fault: Fault): void {
	if (fault.do === 'answer') refuse(response, fault.code, fault.retryAfter);
	else response.destroy();
}

function refuse(response: ServerResponse, code: number, retryAfter?: string): void {
	if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter);
	response.writeHead(code, {'content-type': 'application/json'}).end(JSON.stringify(makeStatus(code)));
}

function makeStatus(code: number): Status {
	return {kind: 'Status', code, reason: `Reason${code}`, message: `answered with ${code}`};
}
