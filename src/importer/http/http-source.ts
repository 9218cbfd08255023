/**
 * A file on an HTTP server, as ranges or as one stream.
 *
 * The first request is a GET with Range for the first bytes, not a HEAD: presigned URLs are signed for one method only, and
 * one round trip then tells the length, whether ranges are honoured (206 with the Content-Range that was asked for), the
 * validator, and the bytes that format detection needs. A server that answers 200 has just started the one stream
 * that a file without ranges is read by.
 *
 * Everything after is pinned to what the first answer said (strong ETag or Last-Modified by If-Range, length by
 * Content-Range): a source that changes midway is an error, never a mixture of two versions.
 */
import {setTimeout as sleep} from 'node:timers/promises';
import type {Log} from '../../process/plain-log.ts';
import type {ByteRange, RangeSource} from '../window/byte-source.ts';
import {type HttpAccess, type HttpAnswer, HttpRequester} from './http-request.ts';
import {getsOn} from './patience.ts';
import {defaultRetryPolicy, type RetryPolicy, retryDelayMs} from './retry-delay.ts';
import {shownUrl} from './shown-url.ts';
import {asWorkerError, RangesRefused, WorkerError} from '../worker-error.ts';

export type HttpTuning = Pick<HttpAccess, 'stallMs' | 'connections'>;

/** As many connections as the window may have requests, and those that somebody waits for. */
export const defaultHttpTuning: HttpTuning = {stallMs: 30_000, connections: 28};

export interface HttpSourceOptions {
	readonly url: string;
	readonly access: HttpAccess;
	readonly retry?: RetryPolicy;
	readonly log: Log;
}

/** What identifies one version of the file. */
export interface Validator {
	readonly etag?: string;
	readonly lastModified?: string;
}

export interface OpenedHttpSource {
	/** The first bytes, fewer only where the file has fewer. */
	readonly head: Buffer;
	/** Undefined when the server does not say (chunked, no Content-Length). */
	readonly lengthBytes: number | undefined;
	readonly contentType: string | undefined;
	readonly shown: string;
	/** Where the server honours Range. */
	readonly ranges?: RangeSource;
	/** Where it does not: the whole body from its first byte, once. A cut cannot be mended. */
	readonly stream?: AsyncIterable<Buffer>;
	close(): void;
}

/**
 * Asks for the first `headBytes` and finds out what the server can do. Rejects with {@link RangesRefused} where it answers Range
 * with something else, again and again; without `ranges` it is asked for the one stream only.
 */
export async function openHttpSource(
	options: HttpSourceOptions,
	{headBytes, ranges = true, signal}: {headBytes: number; ranges?: boolean; signal: AbortSignal},
): Promise<OpenedHttpSource> {
	const {retry = defaultRetryPolicy, log} = options;
	const url = parseUrl(options.url);
	const credentials = options.access.credentials ?? credentialsOf(url);
	url.username = '';
	url.password = '';
	const requester = new HttpRequester(url, {...options.access, ...(credentials && {credentials})}, log);
	try {
		return await withRetries({retry, log, signal}, () =>
			probe({url, requester, retry, log, headBytes, ranges, signal}),
		);
	} catch (error) {
		requester.close();
		throw error;
	}
}

interface Opening {
	readonly url: URL;
	readonly requester: HttpRequester;
	readonly retry: RetryPolicy;
	readonly log: Log;
	readonly headBytes: number;
	readonly ranges: boolean;
	readonly signal: AbortSignal;
}

async function probe(opening: Opening): Promise<OpenedHttpSource> {
	const {url, requester, headBytes, ranges, signal} = opening;
	const headers = ranges ? {range: `bytes=0-${headBytes - 1}`} : {};
	const answer = await requester.get(url, {headers, signal});
	const shown = shownUrl(answer.url);
	const common = {contentType: answer.headers['content-type'], shown, close: () => requester.close()};
	if (answer.status === 416) {
		answer.discard();
		// Only an empty file has no first byte.
		if (totalOfWhole(answer) !== 0) throw brokenRange(shown, answer, {start: 0, end: headBytes});
		return {...common, head: Buffer.alloc(0), lengthBytes: 0, stream: emptyStream()};
	}
	if (answer.status === 206) {
		const range = parseContentRange(answer.headers['content-range']);
		if (range?.start !== 0 || range.totalBytes === undefined || range.end > headBytes) {
			answer.discard();
			throw brokenRange(shown, answer, {start: 0, end: headBytes});
		}
		const head = await bodyOfLength(answer, {lengthBytes: range.end, shown});
		const ranges = new HttpRangeSource({
			...opening,
			pinned: {lengthBytes: range.totalBytes, ...validatorOf(answer)},
			resolved: answer.url,
		});
		return {...common, head, lengthBytes: range.totalBytes, ranges};
	}
	const length = answer.headers['content-length'];
	const pieces = answer.pieces();
	const {head, stream} = await peek(pieces, headBytes);
	return {...common, head, lengthBytes: length === undefined ? undefined : Number(length), stream};
}

interface Pinned extends Validator {
	readonly lengthBytes: number;
}

class HttpRangeSource implements RangeSource {
	readonly lengthBytes: number;
	readonly shown: string;
	readonly #opening: Opening;
	readonly #pinned: Pinned;
	/** Where the redirects led. Asked directly from then on; the named URL again when that stops working (it may be signed for minutes). */
	#resolved: URL;

	constructor(opening: Opening & {pinned: Pinned; resolved: URL}) {
		this.#opening = opening;
		this.#pinned = opening.pinned;
		this.#resolved = opening.resolved;
		this.lengthBytes = opening.pinned.lengthBytes;
		this.shown = shownUrl(opening.resolved);
	}

	async fetch(
		range: ByteRange,
		deliver: (chunk: Buffer) => void,
		signal: AbortSignal,
		onSetback?: () => void,
	): Promise<void> {
		const {retry, log} = this.#opening;
		let position = range.start;
		await withRetries({retry, log, signal, progress: () => position, onSetback}, async () => {
			// More than one answer where the server limits how much it gives at a time.
			while (position < range.end) {
				await this.#fetchOnce(
					{start: position, end: range.end},
					{
						signal,
						deliver(chunk) {
							deliver(chunk);
							position += chunk.length;
						},
					},
				);
			}
		});
	}

	async #fetchOnce(
		range: ByteRange,
		{deliver, signal}: {deliver: (chunk: Buffer) => void; signal: AbortSignal},
	): Promise<void> {
		const {start, end} = range;
		const answer = await this.#get({range: `bytes=${start}-${end - 1}`, ...this.#ifRange()}, signal);
		const shown = shownUrl(answer.url);
		const served = answer.status === 206 ? parseContentRange(answer.headers['content-range']) : undefined;
		const change = this.#change(answer, served?.totalBytes);
		if (change !== undefined) {
			answer.discard();
			throw new WorkerError(
				'SourceChanged',
				`GET ${shown}: the file changed while it was read (${change}). The next try reads the new content from its start.`,
			);
		}
		if (served?.start !== start || served.end > end) {
			answer.discard();
			throw brokenRange(shown, answer, range);
		}
		let received = 0;
		const expected = served.end - start;
		await answer.receive((chunk) => {
			received += chunk.length;
			if (received > expected) throw brokenRange(shown, answer, range);
			deliver(chunk);
		});
		if (received < expected) throw cutShort(shown, received, expected);
	}

	async #get(headers: Record<string, string>, signal: AbortSignal): Promise<HttpAnswer> {
		const {url, requester} = this.#opening;
		try {
			return await requester.get(this.#resolved, {headers, signal});
		} catch (error) {
			if (signal.aborted || asWorkerError(error).retryable || this.#resolved.href === url.href) throw error;
			const answer = await requester.get(url, {headers, signal});
			this.#resolved = answer.url;
			return answer;
		}
	}

	/** If-Range takes a strong ETag or a date. */
	#ifRange(): Record<string, string> {
		const {etag, lastModified} = this.#pinned;
		if (etag !== undefined && !etag.startsWith('W/')) return {'if-range': etag};
		return lastModified === undefined ? {} : {'if-range': lastModified};
	}

	/** In words, what differs from the first answer. */
	#change(answer: HttpAnswer, totalBytes: number | undefined): string | undefined {
		const pinned = this.#pinned;
		const now = validatorOf(answer);
		if (pinned.etag !== undefined && now.etag !== undefined && pinned.etag !== now.etag) {
			return `ETag ${now.etag}, was ${pinned.etag}`;
		}
		// Of several servers behind one name, some may send no ETag.
		const dateCounts = pinned.etag === undefined || (now.etag === undefined && pinned.lastModified !== undefined);
		if (dateCounts && now.lastModified !== undefined && pinned.lastModified !== now.lastModified) {
			return `Last-Modified ${now.lastModified}, was ${pinned.lastModified ?? 'absent'}`;
		}
		const total = totalBytes ?? totalOfWhole(answer);
		if (total !== undefined && total !== pinned.lengthBytes) return `${total} bytes, was ${pinned.lengthBytes}`;
		return undefined;
	}
}

/** So many answers in a row that are not the range asked for: the next one will not be either. */
const mostBrokenRanges = 3;

/** Length of the file from an answer that is not partial: a 200, or a 416 with its `bytes * /total`. */
function totalOfWhole({status, headers}: HttpAnswer): number | undefined {
	if (status === 200) return headers['content-length'] === undefined ? undefined : Number(headers['content-length']);
	const total = /^bytes \*\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1];
	return total === undefined ? undefined : Number(total);
}

interface Retrying {
	readonly retry: RetryPolicy;
	readonly log: Log;
	readonly signal: AbortSignal;
	/** Bytes. Where a try brought some, and not too slowly, the count of failures begins anew. */
	readonly progress?: () => number;
	readonly onSetback?: (() => void) | undefined;
}

async function withRetries<T>(
	{retry, log, signal, progress = () => 0, onSetback}: Retrying,
	attempt: () => Promise<T>,
): Promise<T> {
	let failures = 0;
	let brokenRanges = 0;
	let sinceMs = performance.now();
	for (;;) {
		const before = progress();
		try {
			return await attempt();
		} catch (error) {
			signal.throwIfAborted();
			const failure = asWorkerError(error);
			const curable = failure.reason === 'SourceUnavailable' || failure.reason === 'SourceUnreachable';
			const now = performance.now();
			const received = progress() - before;
			// A server that sends a few bytes and falls silent, again and again, is not asked for ever.
			failures = getsOn(received, now - sinceMs) ? 1 : failures + 1;
			sinceMs = now;
			if (!curable) throw failure;
			brokenRanges = !(failure instanceof RangesRefused) ? 0 : received > 0 ? 1 : brokenRanges + 1;
			if (brokenRanges >= mostBrokenRanges) throw failure;
			if (failures >= retry.attempts) {
				throw new WorkerError(failure.reason, `${failure.message} Tried ${failures} times in a row.`, {cause: failure});
			}
			const delayMs = retryDelayMs(retry, failures, {retryAfterMs: failure.retryAfterMs});
			onSetback?.();
			log.warn({reason: failure.reason, failures, delayMs, detail: failure.message}, 'request failed, trying again');
			await sleep(delayMs, undefined, {signal}).catch(() => signal.throwIfAborted());
		}
	}
}

function parseUrl(text: string): URL {
	const url = URL.parse(text);
	if (url && (url.protocol === 'http:' || url.protocol === 'https:')) return url;
	throw new WorkerError(
		'SourceRefused',
		`The URL of the source cannot be used: it must begin with http:// or https:// and name a host.`,
	);
}

function credentialsOf(url: URL): {user: string; password: string} | undefined {
	if (url.username === '') return undefined;
	return {user: decodeURIComponent(url.username), password: decodeURIComponent(url.password)};
}

function validatorOf({headers}: HttpAnswer): Validator {
	return {
		...(headers.etag !== undefined && {etag: headers.etag}),
		...(headers['last-modified'] !== undefined && {lastModified: headers['last-modified']}),
	};
}

export interface ContentRange extends ByteRange {
	readonly totalBytes: number | undefined;
}

/** `bytes 0-99/1000` with an exclusive end; undefined where it is anything else. */
export function parseContentRange(value: string | undefined): ContentRange | undefined {
	const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/i.exec(value?.trim() ?? '');
	if (!match) return undefined;
	const [start, last] = [Number(match[1]), Number(match[2])];
	const totalBytes = match[3] === '*' ? undefined : Number(match[3]);
	if (last < start || (totalBytes !== undefined && last >= totalBytes)) return undefined;
	return {start, end: last + 1, totalBytes};
}

function brokenRange(shown: string, {status, headers}: HttpAnswer, {start, end}: ByteRange): RangesRefused {
	return new RangesRefused(
		`GET ${shown} with Range bytes=${start}-${end - 1} answered ${status} with Content-Range ${headers['content-range'] ?? 'absent'}, which is not what was asked for.`,
	);
}

function cutShort(shown: string, received: number, expected: number): WorkerError {
	return new WorkerError('SourceUnreachable', `GET ${shown}: the answer ended after ${received} of ${expected} bytes.`);
}

async function bodyOfLength(
	answer: HttpAnswer,
	{lengthBytes, shown}: {lengthBytes: number; shown: string},
): Promise<Buffer> {
	const body = Buffer.allocUnsafe(lengthBytes);
	let received = 0;
	await answer.receive((chunk) => {
		if (received + chunk.length > lengthBytes) throw brokenRange(shown, answer, {start: 0, end: lengthBytes});
		chunk.copy(body, received);
		received += chunk.length;
	});
	if (received < lengthBytes) throw cutShort(shown, received, lengthBytes);
	return body;
}

/** Takes the first bytes off a stream and gives back a stream that still has them. */
export async function peek(
	pieces: AsyncGenerator<Buffer>,
	headBytes: number,
): Promise<{head: Buffer; stream: AsyncIterable<Buffer>}> {
	const taken: Buffer[] = [];
	let takenBytes = 0;
	while (takenBytes < headBytes) {
		const next = await pieces.next();
		if (next.done === true) break;
		taken.push(next.value);
		takenBytes += next.value.length;
	}
	const begun = Buffer.concat(taken);
	return {
		head: begun.subarray(0, headBytes),
		stream: (async function* () {
			if (begun.length > 0) yield begun;
			yield* pieces;
		})(),
	};
}

async function* emptyStream(): AsyncGenerator<Buffer> {}
