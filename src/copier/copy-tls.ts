/**
 * The connection between the two halves of a copy: TLS with a key that was made for this copy and that only its two Pods
 * have. Who knows it is the other half, in both directions; there are no certificates. The key agreement is ephemeral, so
 * a key that leaks later opens no copy that was recorded before.
 */
import {readFile} from 'node:fs/promises';
import {connect, createServer, type Server, type TLSSocket} from 'node:tls';
import {copyKeyBytes} from '../api/worker-contract.ts';
import {WorkerError} from '../importer/worker-error.ts';
import {ConnectionError} from './frames.ts';

/** The one cipher suite of TLS 1.2 that OpenSSL has with ECDHE, a pre-shared key and authenticated encryption. */
const protocol = {ciphers: 'ECDHE-PSK-CHACHA20-POLY1305', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2'} as const;
const identity = 'onesnap-copy';

/** Nothing came or went for so long: the other side is gone, or stuck. */
export const stallMs = 30_000;

/** Read for each connection: the kubelet replaces the file where the Secret was made again. */
export async function readKey(keyFile: string): Promise<Buffer> {
	const key = await readFile(keyFile).catch((error: unknown) => {
		throw new WorkerError('Internal', `The key of the copy cannot be read: ${String(error)}.`, {cause: error});
	});
	if (key.length === copyKeyBytes) return key;
	throw new WorkerError('Internal', `The key of the copy has ${key.length} bytes instead of ${copyKeyBytes}.`);
}

export function serveTls(key: Buffer, onConnection: (socket: TLSSocket) => void): Server {
	return createServer(
		{...protocol, handshakeTimeout: stallMs, pskCallback: (_, name) => (name === identity ? key : null)},
		onConnection,
	);
}

export async function connectTls(
	{host, port}: {readonly host: string; readonly port: number},
	{key, stallMs, signal}: {readonly key: Buffer; readonly stallMs: number; readonly signal: AbortSignal},
): Promise<TLSSocket> {
	signal.throwIfAborted();
	const socket = connect({
		...protocol,
		host,
		port,
		pskCallback: () => ({psk: key, identity}),
		// There is no certificate: the key says who it is.
		checkServerIdentity: () => undefined,
	});
	const abort = () => socket.destroy(new ConnectionError('stopped'));
	signal.addEventListener('abort', abort, {once: true});
	socket.once('close', () => signal.removeEventListener('abort', abort));
	limitSilence(socket, stallMs);
	await new Promise<void>((resolve, reject) => {
		socket.once('secureConnect', resolve);
		socket.on('error', (error) => reject(new ConnectionError(error.message, {cause: error})));
		socket.once('close', () => reject(new ConnectionError('the connection was closed during the handshake')));
	});
	return socket;
}

export function limitSilence(socket: TLSSocket, stallMs: number): void {
	socket.setTimeout(stallMs, () => {
		socket.destroy(new ConnectionError(`nothing came or went for ${stallMs / 1000} s`));
	});
}
