import type {IncomingHttpHeaders} from 'node:http';
import {parseRetryAfterMs} from './retry-delay.ts';
import {WorkerError} from '../worker-error.ts';

/** What an answer that carries no data means, as the failure that people see. */
export function failureOfStatus(
	status: number,
	{url, headers, now = Date.now()}: {url: string; headers: IncomingHttpHeaders; now?: number},
): WorkerError {
	const answered = `GET ${url} answered ${status}`;
	if (status === 404 || status === 410) {
		return new WorkerError(
			'SourceNotFound',
			`${answered}: there is no such file. Check the URL of the DataVolume's source.`,
		);
	}
	if (status === 407) {
		return new WorkerError(
			'SourceForbidden',
			`${answered}: the proxy wants other credentials. They are in the proxy's URL, in the settings of onesnap's controller.`,
		);
	}
	if (status === 401 || status === 403) {
		return new WorkerError(
			'SourceForbidden',
			`${answered}: the server does not let this worker read the file. Check the secretRef and the extra headers of the source, and that a signed URL has not expired.`,
		);
	}
	if (status >= 500 || status === 408 || status === 425 || status === 429) {
		return new WorkerError(
			'SourceUnavailable',
			`${answered}: the server is not ready to serve the file. It is asked again.`,
			{
				retryAfterMs: parseRetryAfterMs(headers['retry-after'], now),
			},
		);
	}
	return new WorkerError(
		'SourceRefused',
		`${answered}, which is no file. Check that the URL leads to the image itself.`,
	);
}

const trustCodes: ReadonlySet<string> = new Set([
	'CERT_HAS_EXPIRED',
	'CERT_NOT_YET_VALID',
	'CERT_REVOKED',
	'CERT_REJECTED',
	'CERT_UNTRUSTED',
	'DEPTH_ZERO_SELF_SIGNED_CERT',
	'HOSTNAME_MISMATCH',
	'INVALID_CA',
	'SELF_SIGNED_CERT_IN_CHAIN',
	'UNABLE_TO_GET_ISSUER_CERT',
	'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
	'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
	'EPROTO',
]);

/** A request that ended without an answer, or in the middle of one. */
export function failureOfConnection(error: unknown, url: string): WorkerError {
	for (let each = error; each instanceof Error; each = each.cause) if (each instanceof WorkerError) return each;
	const code = nodeError(error)?.code;
	const words = wordsOf(error);
	if (isDistrust(code)) {
		return new WorkerError(
			'SourceUntrusted',
			`GET ${url}: the TLS connection cannot be trusted (${code}: ${words}). Give the authority that signed the server's certificate in a certConfigMap, or correct the host name.`,
			{cause: bare(error)},
		);
	}
	if (code === 'ERR_INVALID_URL' || code === 'ERR_UNSUPPORTED_PROTOCOL') {
		return new WorkerError('SourceRefused', `GET ${url}: the URL cannot be used (${words}).`, {cause: bare(error)});
	}
	return new WorkerError(
		'SourceUnreachable',
		`GET ${url}: ${code === undefined ? words : `${code}: ${words}`}. Check that the host resolves and can be reached from Pods in this namespace.`,
		{cause: bare(error)},
	);
}

/** What a proxy's answer to CONNECT means, where it is no tunnel. */
export function failureOfProxy(
	status: number,
	{
		proxy,
		endpoint,
		headers,
		now = Date.now(),
	}: {proxy: string; endpoint: string; headers: IncomingHttpHeaders; now?: number},
): WorkerError {
	const answered = `The proxy ${proxy} answered ${status} when it was asked for a tunnel to ${endpoint}`;
	if (status === 401 || status === 403 || status === 407) {
		return new WorkerError(
			'SourceForbidden',
			`${answered}. Its credentials are in its URL, in the settings of onesnap's controller; it may also forbid this host or port.`,
		);
	}
	return new WorkerError('SourceUnavailable', `${answered}.`, {
		retryAfterMs: parseRetryAfterMs(headers['retry-after'], now),
	});
}

/** The proxy itself cannot be reached, or not be trusted. */
export function failureOfProxyConnection(
	error: unknown,
	{proxy, endpoint}: {proxy: string; endpoint: string},
): WorkerError {
	if (error instanceof WorkerError) return error;
	const code = nodeError(error)?.code;
	const words = `${code === undefined ? '' : `${code}: `}${wordsOf(error)}`;
	if (isDistrust(code)) {
		return new WorkerError(
			'SourceUntrusted',
			`The proxy ${proxy} cannot be trusted (${words}). Its authority belongs into the ConfigMap of the controller's setting --import-proxy-ca-configmap.`,
			{cause: bare(error)},
		);
	}
	return new WorkerError('SourceUnreachable', `The proxy ${proxy} opened no tunnel to ${endpoint} (${words}).`, {
		cause: bare(error),
	});
}

function isDistrust(code: string | undefined): boolean {
	return code !== undefined && (trustCodes.has(code) || code.startsWith('ERR_TLS_') || code.startsWith('ERR_SSL_'));
}

function wordsOf(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}

interface NodeError extends Error {
	readonly code: string;
}

/** The innermost of an error's causes that has a code: got wraps the errors of node. */
export function nodeError(error: unknown): NodeError | undefined {
	let found: NodeError | undefined;
	for (let each: unknown = error; each instanceof Error; each = each.cause) {
		if ('code' in each && typeof each.code === 'string') found = each as NodeError;
	}
	return found;
}

/** For the log. Errors of got carry the whole request, with its headers; node's repeat an invalid URL. */
function bare(error: unknown): Error {
	const {message = wordsOf(error), stack, code} = nodeError(error) ?? {};
	return Object.assign(new Error(message), {...(stack !== undefined && {stack}), ...(code !== undefined && {code})});
}
