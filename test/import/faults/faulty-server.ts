/**
 * An HTTP server of one image that does to its clients what a scenario says. It counts requests over all tries, and tells
 * whoever asks which version of the file, and which faults, a try has seen.
 */
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';
import type {FileVersion} from './images.ts';
import type {Fault, FaultKind, ServerNature, WrongRange} from './scenario.ts';
import {drained} from '../../support/drained.ts';

export interface FaultyServerOptions {
	readonly nature: ServerNature;
	readonly faults: readonly Fault[];
	/** What is served from this request on; the first begins with request 0. A status instead of a file: it is gone. */
	readonly versions: readonly {readonly from: number; readonly served: FileVersion | number}[];
	/** With each piece of a body, how much this try was sent. */
	readonly onBytes: (servedToThisTry: number) => void;
}

/** What a try was given. */
export interface SeenByTry {
	readonly requests: number;
	readonly bytes: number;
	readonly versions: ReadonlySet<string>;
	readonly faults: ReadonlySet<FaultKind | 'gone' | 'placeGone'>;
}

export interface FaultyServer extends AsyncDisposable {
	readonly url: string;
	/** Ends the account of the try before. */
	beginTry(): void;
	readonly seen: SeenByTry;
}

const pieceBytes = 64 * 1024;
const limitedBytes = 100_000;
/** So many places after it, a place is forbidden: it was good for a while. */
const placesGood = 4;

export async function startFaultyServer(options: FaultyServerOptions): Promise<FaultyServer> {
	const server = new ScenarioServer(options);
	await server.listen();
	return server;
}

interface Answering {
	readonly request: IncomingMessage;
	readonly response: ServerResponse;
	readonly fault: Fault | undefined;
	readonly file: FileVersion;
	/** It is the first of its try that asks for the file. */
	readonly isFirst: boolean;
}

interface Body {
	readonly status: 200 | 206;
	readonly start: number;
	/** Exclusive. */
	readonly end: number;
	readonly contentRange?: string;
}

class ScenarioServer implements FaultyServer {
	readonly #options: FaultyServerOptions;
	#server: Server | undefined;
	#port = 0;
	#closed = false;
	#restarting: Promise<void> | undefined;
	#requests = 0;
	#placed = 0;
	/** By place: redirects to it that nobody followed yet. Whoever comes late from one is let in. */
	readonly #expected = new Map<number, number>();
	#seen = emptySeen();

	constructor(options: FaultyServerOptions) {
		this.#options = options;
	}

	get url(): string {
		return `http://127.0.0.1:${this.#port}/image`;
	}

	get seen(): SeenByTry {
		return this.#seen;
	}

	beginTry(): void {
		this.#seen = emptySeen();
	}

	async listen(): Promise<void> {
		const server = createServer((request, response) => {
			response.on('error', () => {});
			this.#answer(request, response).catch(() => response.destroy());
		});
		// A connection kept by a client that is dead would keep the server from its end.
		server.keepAliveTimeout = 60_000;
		await new Promise<void>((resolve, reject) => {
			server.once('error', reject);
			server.listen(this.#port, '127.0.0.1', resolve);
		});
		// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
		this.#port = (server.address() as AddressInfo).port;
		this.#server = server;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#closed = true;
		await this.#restarting;
		await this.#goAway();
	}

	async #goAway(): Promise<void> {
		const server = this.#server;
		this.#server = undefined;
		if (!server) return;
		await new Promise<void>((resolve) => {
			server.close(() => resolve());
			server.closeAllConnections();
		});
	}

	#restart(downMs: number): void {
		if (this.#restarting) return;
		this.#restarting = (async () => {
			await this.#goAway();
			await sleep(downMs);
			if (!this.#closed) await this.listen();
			this.#restarting = undefined;
		})();
	}

	async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const number = this.#requests++;
		const isFirst = this.#seen.requests === 0;
		this.#seen.requests++;
		const {faults, versions} = this.#options;
		const fault = faults.find(({at, lasts}) => number >= at && number < at + lasts);
		const served = versions.findLast(({from}) => number >= from)?.served;
		if (served === undefined) throw new Error('no version to serve');
		if (fault && this.#endsBefore(fault, response)) return;
		if (typeof served === 'number') {
			this.#note('gone');
			response.writeHead(served).end(`${served}\n`);
			return;
		}
		if (this.#leadsOn(request, response)) return;
		await this.#serve({request, response, fault, file: served, isFirst});
	}

	/** The faults that leave no answer, or one without a file. */
	#endsBefore(fault: Fault, response: ServerResponse): boolean {
		switch (fault.kind) {
			case 'refuse':
				this.#note(fault.kind);
				response
					.writeHead(fault.status, fault.retryAfter === undefined ? {} : {'retry-after': fault.retryAfter})
					.end(`${fault.status}\n`);
				return true;
			case 'restart':
				this.#note(fault.kind);
				this.#restart(fault.downMs);
				return true;
			case 'reset':
				if (fault.afterBytes !== 'before') return false;
				this.#note(fault.kind);
				response.socket?.resetAndDestroy();
				return true;
			case 'stall':
				if (fault.afterBytes !== 'before') return false;
				this.#note(fault.kind);
				return true;
			case 'truncate':
			case 'overlong':
			case 'wrongRange':
			case 'goodbye':
				return false;
		}
		return fault satisfies never;
	}

	/** From the URL that the user named, over some hops, to the place of the file. */
	#leadsOn(request: IncomingMessage, response: ServerResponse): boolean {
		const {redirects, placeLasts} = this.#options.nature;
		if (redirects === 0) return false;
		const place = placeLasts === undefined ? 0 : Math.floor(this.#placed / placeLasts);
		const [, kind, numberText] = /^\/(image|hop|place)\/?(\d*)$/.exec(request.url ?? '') ?? [];
		if (kind === 'place') {
			const isOld = place - Number(numberText) >= placesGood;
			if (!isOld || this.#follows(Number(numberText))) {
				this.#placed++;
				return false;
			}
			this.#note('placeGone');
			response.writeHead(403).end('expired\n');
			return true;
		}
		const hop = kind === 'hop' ? Number(numberText) : 0;
		if (hop + 1 >= redirects) this.#expected.set(place, (this.#expected.get(place) ?? 0) + 1);
		const location = hop + 1 < redirects ? `/hop/${hop + 1}` : `/place/${place}`;
		response.writeHead(hop % 2 === 0 ? 302 : 307, {location}).end();
		return true;
	}

	#follows(place: number): boolean {
		const expected = this.#expected.get(place) ?? 0;
		this.#expected.set(place, Math.max(0, expected - 1));
		return expected > 0;
	}

	async #serve({request, response, fault, file, isFirst}: Answering): Promise<void> {
		const {nature} = this.#options;
		const size = file.bytes.length;
		const validator = validatorHeaders(file, nature);
		const wrong = fault?.kind === 'wrongRange' ? fault.how : undefined;
		const asked = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
		if (asked && wrong) this.#note('wrongRange');
		if (asked && (wrong === 'unsatisfiable' || Number(asked[1]) >= size)) {
			response.writeHead(416, {'content-range': `bytes */${size}`}).end();
			return;
		}
		const ifRange = request.headers['if-range'];
		const isSame = ifRange === undefined || Object.values(validator).includes(String(ifRange));
		const gives =
			isSame &&
			wrong !== 'whole' &&
			nature.ranges !== 'no' &&
			nature.ranges !== 'boasts' &&
			(nature.ranges !== 'forgets' || isFirst);
		const body: Body =
			asked && gives
				? partOf({start: Number(asked[1]), last: Number(asked[2]), size, nature, wrong})
				: {status: 200, start: 0, end: size};
		this.#seen.versions.add(file.name);
		const lengthBytes = body.end - body.start;
		const extraBytes = this.#extraBytes(fault, body);
		if (nature.length === 'untilClose') {
			response.shouldKeepAlive = false;
			response.useChunkedEncodingByDefault = false;
		}
		response.writeHead(body.status, {
			'content-type': 'application/octet-stream',
			...(nature.ranges !== 'no' && {'accept-ranges': 'bytes'}),
			...validator,
			...(body.contentRange !== undefined && {'content-range': body.contentRange}),
			...(nature.length === 'told' && {'content-length': lengthBytes + extraBytes}),
		});
		const bytes = Buffer.concat([file.bytes.subarray(body.start, body.end), Buffer.alloc(extraBytes, 0x55)]);
		await this.#send(response, bytes, fault);
	}

	/** Only where the client can know that they are too many. */
	#extraBytes(fault: Fault | undefined, {status}: Body): number {
		if (fault?.kind !== 'overlong' || status !== 206) return 0;
		this.#note(fault.kind);
		return fault.extraBytes;
	}

	async #send(response: ServerResponse, bytes: Buffer, fault: Fault | undefined): Promise<void> {
		const {bytesPerSecond} = this.#options.nature;
		const ends = fault && 'afterBytes' in fault && fault.afterBytes !== 'before' ? fault.afterBytes : undefined;
		const limit = Math.min(bytes.length, ends ?? Number.POSITIVE_INFINITY);
		const startedMs = performance.now();
		response.flushHeaders();
		for (let at = 0; at < limit; ) {
			if (response.destroyed) return;
			const piece = bytes.subarray(at, Math.min(limit, at + pieceBytes));
			at += piece.length;
			this.#seen.bytes += piece.length;
			if (!response.write(piece)) await drained(response);
			this.#options.onBytes(this.#seen.bytes);
			const earlyMs = bytesPerSecond === undefined ? 0 : (at / bytesPerSecond) * 1000 - (performance.now() - startedMs);
			if (earlyMs > 1) await sleep(earlyMs);
		}
		if (fault && ends !== undefined && ends < bytes.length) await this.#breakOff(response, fault);
		else await this.#finish(response, fault);
	}

	async #breakOff(response: ServerResponse, fault: Fault): Promise<void> {
		this.#note(fault.kind);
		if (fault.kind === 'stall') return;
		// What was written reaches the other side first: that is what the number of bytes is about.
		await sleep(2);
		if (fault.kind === 'reset') response.socket?.resetAndDestroy();
		else response.socket?.end();
	}

	async #finish(response: ServerResponse, fault: Fault | undefined): Promise<void> {
		const socket = response.socket;
		response.end();
		if (fault?.kind !== 'goodbye') return;
		this.#note(fault.kind);
		await sleep(0);
		socket?.end();
	}

	#note(fault: FaultKind | 'gone' | 'placeGone'): void {
		this.#seen.faults.add(fault);
	}
}

function emptySeen(): {
	requests: number;
	bytes: number;
	versions: Set<string>;
	faults: Set<FaultKind | 'gone' | 'placeGone'>;
} {
	return {requests: 0, bytes: 0, versions: new Set(), faults: new Set()};
}

function partOf({
	start,
	last,
	size,
	nature,
	wrong,
}: {
	start: number;
	last: number;
	size: number;
	nature: ServerNature;
	wrong: WrongRange | undefined;
}): Body {
	const most = nature.ranges === 'limited' ? limitedBytes : Number.POSITIVE_INFINITY;
	const end = Math.min(size, last + 1, start + most);
	const how = nature.ranges === 'misplaces' ? 'shifted' : wrong;
	const contentRange = rangeHeader({start, end, size, how});
	return {status: 206, start, end, ...(contentRange !== undefined && {contentRange})};
}

function rangeHeader({
	start,
	end,
	size,
	how,
}: {
	start: number;
	end: number;
	size: number;
	how: WrongRange | undefined;
}): string | undefined {
	switch (how) {
		case 'shifted':
			return `bytes ${start + 512}-${end + 511}/${size + 4096}`;
		case 'total':
			return `bytes ${start}-${end - 1}/${size + 512}`;
		case 'missing':
			return undefined;
		case 'garbage':
			return `bytes ${end}-${start}/x`;
		case 'otherUnit':
			return `sectors ${start}-${end - 1}/${size}`;
		case 'whole':
		case 'unsatisfiable':
		case undefined:
			return `bytes ${start}-${end - 1}/${size}`;
	}
	return how satisfies never;
}

function validatorHeaders({name}: FileVersion, {validator}: ServerNature): Record<string, string> {
	// A date for every name, a day apart at least.
	const day = Buffer.from(name).reduce((sum, letter) => sum + letter, 0);
	const lastModified = new Date(Date.UTC(2024, 0, day)).toUTCString();
	switch (validator) {
		case 'etag':
			return {etag: `"${name}"`};
		case 'weak':
			return {etag: `W/"${name}"`};
		case 'lastModified':
			return {'last-modified': lastModified};
		case 'both':
			return {etag: `"${name}"`, 'last-modified': lastModified};
		case 'none':
			return {};
	}
	return validator satisfies never;
}
