/** The half of a copy on the source's node: serves its volume to whoever has the key, as often as it is asked. */
import {constants} from 'node:fs';
import type {AddressInfo} from 'node:net';
import type {TLSSocket} from 'node:tls';
import type {SendTask, WorkerResult} from '../api/worker-contract.ts';
import {diskPath} from '../importer/target/target.ts';
import {asWorkerError, WorkerError} from '../importer/worker-error.ts';
import type {Log} from '../process/plain-log.ts';
import {limitSilence, readKey, serveTls, stallMs as defaultStallMs} from './copy-tls.ts';
import {DirectFile} from './direct-file.ts';
import {chunkBytes, type Piece, readPieces} from './disk-reader.ts';
import {ConnectionError, extendChain, type Frame, FrameReader, type PieceFrame, sendFrame, sha256} from './frames.ts';
import {otherEntries} from './files.ts';
import {measureVolume} from './local-source.ts';
import {PageBuffers} from './page-buffers.ts';
import {sourceExtents} from './source-extents.ts';
import {packTree} from './tree.ts';

/** Each is a connection's whole memory: read ahead, and on its way out. */
const bufferCount = 9;
/** One receiver has one connection; a second may overlap with one that is dying. */
const mostConnections = 4;

export interface SendOptions {
	readonly task: SendTask;
	readonly log: Log;
	readonly signal: AbortSignal;
	readonly stallMs?: number;
	/** For tests: told the port. */
	readonly onListening?: (port: number) => void;
}

/** Ends when it is told to stop: the controller does so when the copy is complete. */
export async function runSend({
	task,
	log,
	signal,
	stallMs = defaultStallMs,
	onListening,
}: SendOptions): Promise<WorkerResult> {
	signal.throwIfAborted();
	const key = await readKey(task.keyFile);
	const sockets = new Set<TLSSocket>();
	const server = serveTls(key, (socket) => {
		sockets.add(socket);
		socket.once('close', () => sockets.delete(socket));
		socket.on('error', (error) => log.debug({error}, 'a connection ended badly'));
		limitSilence(socket, stallMs);
		answer(socket, task, signal).catch((error: unknown) => {
			log.info({error}, 'an answer was not finished');
			socket.destroy();
		});
	});
	server.maxConnections = mostConnections;
	server.on('tlsClientError', (error) => log.warn({error}, 'refused a connection: it does not have the key'));
	await new Promise<void>((resolve, reject) => {
		server.once('error', (error) => {
			reject(new WorkerError('Internal', `Cannot listen on port ${task.port}: ${error.message}.`, {cause: error}));
		});
		server.listen(task.port, resolve);
	});
	const {port} = server.address() as AddressInfo;
	log.info({port}, 'waiting for the receiver');
	onListening?.(port);
	await new Promise<void>((resolve) => {
		signal.addEventListener('abort', () => resolve(), {once: true});
	});
	for (const socket of sockets) socket.destroy();
	await new Promise<void>((resolve) => {
		server.close(() => resolve());
	});
	return {outcome: 'succeeded', message: 'Served until it was told to stop.'};
}

async function answer(socket: TLSSocket, task: SendTask, signal: AbortSignal): Promise<void> {
	const request = await new FrameReader(socket).next();
	if (!('do' in request)) throw new ConnectionError('the receiver asked for nothing');
	try {
		switch (request.do) {
			case 'measure':
				await sendFrame(socket, {is: 'volume', volume: await measureVolume(task.source, signal)});
				break;
			case 'disk':
				await sendDisk(socket, task, {...request, signal});
				break;
			case 'files':
				await sendTree(socket, task, signal);
				break;
			default:
				throw new ConnectionError(`the receiver asked for ${JSON.stringify(request)}`);
		}
	} catch (error) {
		if (error instanceof ConnectionError || signal.aborted) throw error;
		const {reason, message} = asWorkerError(error);
		await sendFrame(socket, {is: 'fail', reason, message});
	}
	socket.end();
}

async function sendDisk(
	socket: TLSSocket,
	{source}: SendTask,
	{fromBytes, sizeBytes, chain, signal}: {fromBytes: number; sizeBytes: number; chain: string; signal: AbortSignal},
): Promise<void> {
	const extents = await sourceExtents(source, {sizeBytes, signal});
	await using file = await DirectFile.open(diskPath(source), constants.O_RDONLY);
	const buffers = new PageBuffers({count: bufferCount, bufferBytes: chunkBytes});
	const sending = new Set<Promise<void>>();
	let failure: unknown;
	let sent = chain;
	try {
		for await (const piece of readPieces(file, {
			extents: () => extents,
			buffers,
			fromBytes,
			sizeBytes,
			onRead: () => {},
			signal,
		})) {
			const {frame, payload} = frameOf(piece);
			sent = extendChain(sent, frame, chunkBytes);
			const one = sendFrame(socket, frame, payload)
				.catch((error: unknown) => {
					failure ??= error;
				})
				.finally(() => {
					sending.delete(one);
					piece.release();
				});
			sending.add(one);
			// Holes hold no buffer, and would be written faster than they are sent.
			while (sending.size >= bufferCount) await Promise.race(sending);
			if (failure !== undefined) throw failure;
		}
	} finally {
		await Promise.all(sending);
	}
	if (failure !== undefined) throw failure;
	await sendFrame(socket, {is: 'end', chain: sent});
}

function frameOf({start, end, buffer, runs}: Piece): {frame: PieceFrame; payload: Buffer[]} {
	const payload = buffer ? runs.map((run) => buffer.subarray(run.start, run.end)) : [];
	return {
		frame: {
			is: 'piece',
			start,
			end,
			runs: runs.flatMap((run) => [run.start, run.end]),
			digest: payload.length === 0 ? '' : sha256(...payload),
			bytes: payload.reduce((sum, part) => sum + part.length, 0),
		},
		payload,
	};
}

async function sendTree(socket: TLSSocket, {source}: SendTask, signal: AbortSignal): Promise<void> {
	let chain = '';
	for await (const part of packTree(source.path, {entries: await otherEntries(source.path), signal})) {
		const frame: Frame = {is: 'archive', digest: sha256(part), bytes: part.length};
		chain = sha256(chain, frame.digest);
		await sendFrame(socket, frame, [part]);
	}
	await sendFrame(socket, {is: 'end', chain});
}
