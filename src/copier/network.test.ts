/** The two halves of a copy between nodes, as two sides of the loopback, with everything between them that goes wrong. */
import {type ChildProcess, execFile, spawn} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, writeFile} from 'node:fs/promises';
import {type AddressInfo, connect, createServer, type Server, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';
import {attachLoop, digestOf, makeRawDisk} from '../../test/support/disk-images.ts';
import {
	copyKeyBytes,
	type ReceiveTask,
	type WorkerResult,
	workerTaskVariable,
	type WorkerVolume,
} from '../api/worker-contract.ts';
import {makeLogger, silentLogger} from '../process/log.ts';
import {connectTls, readKey, serveTls} from './copy-tls.ts';
import {FrameReader, type PieceFrame, sendFrame, sha256} from './frames.ts';
import {RemoteSource, type RemoteSourceOptions} from './remote-source.ts';
import {runCopy} from './run.ts';
import {runSend} from './send.ts';

vi.setConfig({testTimeout: 120_000});

const MiB = 1024 * 1024;
const diskBytes = 24 * MiB;
const dataBytes = 16 * MiB;
/** By a connection that is cut. */
const mostPassed = 5 * MiB;
const isRoot = process.getuid?.() === 0;

let folder = '';
let source: WorkerVolume;
let target: WorkerVolume;
let keyFile = '';
let digest = '';

beforeEach(async () => {
	folder = await mkdtemp(path.join(tmpdir(), 'onesnap-network-'));
	source = {volumeMode: 'Filesystem', path: path.join(folder, 'source')};
	target = {volumeMode: 'Filesystem', path: path.join(folder, 'target')};
	await mkdir(source.path);
	await mkdir(target.path);
	keyFile = path.join(folder, 'key');
	await writeFile(keyFile, randomBytes(copyKeyBytes));
});
afterEach(() => rm(folder, {recursive: true}));

async function makeDisk(): Promise<void> {
	const disk = path.join(source.path, 'disk.img');
	await makeRawDisk(disk, {sizeBytes: diskBytes, dataBytes});
	digest = await digestOf(disk);
}

interface Sender extends AsyncDisposable {
	readonly port: number;
}

async function startSender(options: {keyFile?: string; stallMs?: number} = {}): Promise<Sender> {
	const stop = new AbortController();
	const {promise: listening, resolve} = Promise.withResolvers<number>();
	const task = {role: 'send', source, ownerUid: 'uid', port: 0, keyFile: options.keyFile ?? keyFile} as const;
	const {stallMs = 5000} = options;
	const ended = runSend({task, log: silentLogger, signal: stop.signal, stallMs, onListening: resolve});
	const port = await Promise.race([listening, ended.then(() => 0)]);
	return {
		port,
		async [Symbol.asyncDispose]() {
			stop.abort();
			expect(await ended).toMatchObject({outcome: 'succeeded'});
		},
	};
}

function taskOf(port: number, content?: string): ReceiveTask {
	return {
		role: 'receive',
		sender: {host: '127.0.0.1', port},
		keyFile,
		target,
		ownerUid: 'uid',
		requestedBytes: String(32 * MiB),
		filesystemOverhead: 0,
		preallocation: false,
		...(content !== undefined && {content}),
	};
}

async function receive(port: number, options: Partial<RemoteSourceOptions> = {}): Promise<WorkerResult> {
	const task = taskOf(port);
	const log = silentLogger;
	const tuning = {log, keyFile, stallMs: 5000, tries: 3, retryMs: 20, ...options};
	await using remote = new RemoteSource({...task.sender, ...tuning});
	return await runCopy({task, source: remote, log, progress: {report() {}}, signal: AbortSignal.timeout(60_000)});
}

async function expectCopied(): Promise<void> {
	expect(await digestOf(path.join(target.path, 'disk.img'), diskBytes)).toBe(digest);
	expect(await readdir(target.path)).toEqual(['disk.img']);
}

/** Between the two: may spoil, count, hold back or cut what passes from the sender to the receiver. */
async function startProxy(
	port: number,
	pass: (bytes: Buffer, state: {total: number; connections: number}, down: Socket) => Buffer | undefined,
) {
	const state = {total: 0, connections: 0};
	const sockets = new Set<Socket>();
	const server: Server = createServer((down) => {
		state.connections++;
		const up = connect(port, '127.0.0.1');
		for (const socket of [down, up]) {
			sockets.add(socket);
			socket.on('error', () => {});
			socket.once('close', () => {
				down.destroy();
				up.destroy();
			});
		}
		down.pipe(up);
		up.on('data', (bytes: Buffer) => {
			state.total += bytes.length;
			const passed = pass(bytes, state, down);
			if (!passed || down.writableEnded || down.destroyed || down.write(passed)) return;
			up.pause();
			down.once('drain', () => up.resume());
		});
	});
	await new Promise<void>((resolve) => {
		server.listen(0, '127.0.0.1', resolve);
	});
	return {
		port: (server.address() as AddressInfo).port,
		state,
		async [Symbol.asyncDispose]() {
			for (const socket of sockets) socket.destroy();
			await new Promise((resolve) => {
				server.close(resolve);
			});
		},
	};
}

describe('a disk', () => {
	beforeEach(makeDisk);

	test('arrives, and holes are neither sent nor written', async () => {
		await using sender = await startSender();
		await using proxy = await startProxy(sender.port, (bytes) => bytes);
		expect(await receive(proxy.port)).toMatchObject({outcome: 'succeeded', virtualBytes: String(32 * MiB)});
		await expectCopied();
		expect(proxy.state.total).toBeGreaterThan(dataBytes);
		expect(proxy.state.total).toBeLessThan(dataBytes * 1.1);
		expect((await stat(path.join(target.path, 'disk.img'))).blocks * 512).toBeLessThan(dataBytes * 1.1);
	});

	test('is not to be seen by whoever listens', async () => {
		const secret = Buffer.from('the password of the database'.repeat(100));
		await writeFile(path.join(source.path, 'disk.img'), Buffer.concat([secret, Buffer.alloc(MiB)]));
		await using sender = await startSender();
		const seen: Buffer[] = [];
		await using proxy = await startProxy(sender.port, (bytes) => {
			seen.push(bytes);
			return bytes;
		});
		await receive(proxy.port);
		expect(Buffer.concat(seen).includes('the password')).toBe(false);
		expect(seen.length).toBeGreaterThan(0);
	});

	test('that is cut off again and again arrives, going on where it was', async () => {
		await using sender = await startSender();
		const passed = new Map<Socket, number>();
		let cuts = 0;
		await using proxy = await startProxy(sender.port, (bytes, _, down) => {
			const soFar = passed.get(down) ?? 0;
			passed.set(down, soFar + bytes.length);
			if (soFar + bytes.length < mostPassed) return bytes;
			// Once a connection; what still comes for it is dropped.
			if (soFar >= mostPassed) return undefined;
			cuts++;
			// By FIN and by RST: the second takes what is on its way with it, which may be all there was.
			if (cuts % 2 === 0) down.resetAndDestroy();
			else down.end();
			return undefined;
		});
		expect(await receive(proxy.port, {tries: 10})).toMatchObject({outcome: 'succeeded'});
		await expectCopied();
		// No connection could carry the whole disk: it arrived because each went on after the one before.
		expect(cuts).toBeGreaterThanOrEqual(Math.floor(dataBytes / mostPassed));
	});

	test('that is changed on the way is not believed', async () => {
		await using sender = await startSender();
		let spoilt = false;
		await using proxy = await startProxy(sender.port, (bytes, {total}) => {
			if (spoilt || total < 4 * MiB) return bytes;
			spoilt = true;
			const changed = Buffer.from(bytes);
			changed.writeUInt8(changed.readUInt8(changed.length >> 1) ^ 1, changed.length >> 1);
			return changed;
		});
		expect(await receive(proxy.port)).toMatchObject({outcome: 'succeeded'});
		expect(spoilt).toBe(true);
		expect(proxy.state.connections).toBeGreaterThan(2);
		await expectCopied();
	});

	test('from a sender that falls silent is given up, with the reason', async () => {
		await using sender = await startSender();
		await using proxy = await startProxy(sender.port, (bytes, {total}) => (total < 4 * MiB ? bytes : undefined));
		await expect(receive(proxy.port, {stallMs: 300})).rejects.toMatchObject({
			reason: 'SourceUnreachable',
			retryable: true,
			message: expect.stringContaining('nothing came or went for 0.3 s'),
		});
	});

	test('is not given to whoever has another key, nor taken from them', async () => {
		const otherKey = path.join(folder, 'other');
		await writeFile(otherKey, randomBytes(copyKeyBytes));
		await using sender = await startSender();
		await expect(receive(sender.port, {keyFile: otherKey})).rejects.toMatchObject({reason: 'SourceUnreachable'});
		await using impostor = await startSender({keyFile: otherKey});
		await expect(receive(impostor.port)).rejects.toMatchObject({reason: 'SourceUnreachable'});
		expect(await readdir(target.path)).toEqual([]);
		// The sender still serves the one that has the key.
		await receive(sender.port);
		await expectCopied();
	});

	test('a key of another length is refused by both', async () => {
		await writeFile(keyFile, 'short');
		await expect(startSender()).rejects.toMatchObject({
			reason: 'Internal',
			message: expect.stringContaining('5 bytes'),
		});
		await expect(receive(1)).rejects.toMatchObject({message: expect.stringContaining('5 bytes')});
	});

	test('nobody there: the reason says whom it asked', async () => {
		await expect(receive(1)).rejects.toMatchObject({
			reason: 'SourceUnreachable',
			message: expect.stringMatching(/127\.0\.0\.1:1 .*NetworkPolicy/) as string,
		});
	});

	test.runIf(isRoot).each(['Filesystem', 'Block'] as const)(
		'after the receiver was killed, the next one goes on, to %s; and after the sender was',
		async (volumeMode) => {
			const file = path.join(folder, 'device');
			await writeFile(file, '');
			await truncate(file, 32 * MiB);
			await using device = await attachLoop(file);
			if (volumeMode === 'Block') target = {volumeMode, path: device.path};
			let sender = await spawnSender();
			const killed = await runReceiver(taskOf(sender.port, 'source/target'), 6);
			expect(killed.signal).toBe('SIGKILL');
			sender.process.kill('SIGKILL');
			sender = await spawnSender();
			const last = await runReceiver(taskOf(sender.port, 'source/target'));
			sender.process.kill('SIGKILL');
			const result = JSON.parse(last.stdout) as WorkerResult;
			expect(result).toMatchObject({outcome: 'succeeded', message: expect.stringContaining('went on at')});
			if (result.outcome === 'succeeded') expect(Number(result.bytesRead)).toBeLessThan(dataBytes - 3 * MiB);
			const disk = volumeMode === 'Block' ? device.path : path.join(target.path, 'disk.img');
			expect(await digestOf(disk, diskBytes)).toBe(digest);
		},
	);
});

const programs = path.resolve(import.meta.dirname, '../..');

/** As its Pod starts it. */
async function spawnSender(): Promise<{process: ChildProcess; port: number}> {
	const task = {role: 'send', source, ownerUid: 'uid', port: 0, keyFile};
	const child = spawn(process.execPath, [path.join(programs, 'src/bin/copier.ts')], {
		env: {
			...process.env,
			[workerTaskVariable]: JSON.stringify(task),
			ONESNAP_METRICS_PORT: '0',
			ONESNAP_TERMINATION_LOG: path.join(folder, 'termination'),
		},
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	const port = await new Promise<number>((resolve, reject) => {
		let text = '';
		child.stdout.setEncoding('utf8').on('data', (more: string) => {
			text += more;
			const found = /"port":(\d+)/.exec(text)?.[1];
			if (found) resolve(Number(found));
		});
		child.once('exit', () => reject(new Error(text)));
	});
	return {process: child, port};
}

async function runReceiver(task: ReceiveTask, killAtMiB?: number): Promise<{signal: string | null; stdout: string}> {
	return new Promise((resolve) => {
		const env = {
			...process.env,
			[workerTaskVariable]: JSON.stringify(task),
			...(killAtMiB !== undefined && {KILL_AT_BYTES: String(killAtMiB * MiB)}),
		};
		execFile(process.execPath, [path.join(programs, 'test/support/kill-copy.ts')], {env}, (error, stdout) => {
			resolve({signal: error?.signal ?? null, stdout});
		});
	});
}

describe('a sender that has the key and does not tell the truth', () => {
	const piece = (start: number, more: Partial<PieceFrame> = {}): PieceFrame => ({
		...{is: 'piece', start, end: start + MiB, runs: [], digest: '', bytes: 0},
		...more,
	});
	const bytes = Buffer.alloc(4096, 1);
	const data = {runs: [0, 4096], digest: sha256(bytes), bytes: 4096};

	test.each<[string, Array<[PieceFrame | {is: 'end'; chain: string}, Buffer[]]>, RegExp]>([
		['leaves a gap', [[piece(MiB), []]], /not the one that is due at 0/],
		['sends beyond the end', [[piece(0, {end: 3 * MiB}), []]], /not the one that is due/],
		['sends a run beyond its piece', [[piece(0, {...data, runs: [MiB - 100, MiB + 3996]}), [bytes]]], /not the one/],
		[
			'sends other bytes than their checksum says',
			[[piece(0, data), [Buffer.alloc(4096, 2)]]],
			/checksum of the piece/,
		],
		[
			'ends too early',
			[
				[piece(0), []],
				[{is: 'end', chain: ''}, []],
			],
			/ended at byte 1048576/,
		],
		[
			'has another checksum of the whole',
			[
				[piece(0), []],
				[piece(MiB), []],
				[{is: 'end', chain: 'wrong'}, []],
			],
			/checksum of the whole disk/,
		],
	])('%s: refused', async (_, frames, message) => {
		const server = serveTls(await readKey(keyFile), (socket) => {
			socket.on('error', () => {});
			const reader = new FrameReader(socket);
			void (async () => {
				const request = await reader.next();
				if ('do' in request && request.do === 'measure') {
					const volume = {volumeMode: 'Filesystem', diskBytes: 2 * MiB, otherEntries: []} as const;
					await sendFrame(socket, {is: 'volume', volume});
				} else for (const [frame, payload] of frames) await sendFrame(socket, frame, payload);
				socket.end();
			})().catch(() => socket.destroy());
		});
		await new Promise<void>((resolve) => {
			server.listen(0, '127.0.0.1', resolve);
		});
		const said: string[] = [];
		const log = makeLogger({level: 'warn', destination: {write: (line) => said.push(line)}});
		await expect(receive((server.address() as AddressInfo).port, {tries: 2, log})).rejects.toMatchObject({
			reason: 'SourceUnreachable',
		});
		expect(said.join('\n')).toMatch(message);
		server.close();
	});
});

test('a receiver that asks for nothing sensible is left, and the sender goes on', async () => {
	await makeDisk();
	await using sender = await startSender();
	const key = await readKey(keyFile);
	const open = () =>
		connectTls({host: '127.0.0.1', port: sender.port}, {key, stallMs: 5000, signal: AbortSignal.timeout(60_000)});
	const closed = async (first: Buffer) => {
		const socket = await open();
		socket.write(first);
		await expect(new FrameReader(socket).next()).rejects.toThrow(/ended|ECONNRESET|hang up/);
		socket.destroy();
	};
	await closed(Buffer.from([255, 255, 255, 255]));
	await closed(Buffer.from([0, 0, 0, 2, 120, 120]));
	await closed(Buffer.concat([Buffer.from([0, 0, 0, 12]), Buffer.from('{"do":"rm"} ')]));
	await receive(sender.port);
	await expectCopied();
});

test('a disk that cannot be read is the failure of the receiver, in the words of the sender', async () => {
	await using sender = await startSender();
	await mkdir(path.join(source.path, 'disk.img'));
	await expect(receive(sender.port)).rejects.toMatchObject({
		reason: 'Internal',
		message: expect.stringContaining('The sender: Reading the source claim failed'),
	});
});

test('an empty volume makes an empty volume', async () => {
	await using sender = await startSender();
	expect(await receive(sender.port)).toMatchObject({outcome: 'succeeded'});
	expect(await readdir(target.path)).toEqual([]);
});

test('a tree of files arrives with modes, links and holes', async () => {
	await mkdir(path.join(source.path, 'sub'));
	await writeFile(path.join(source.path, 'sub/-odd name'), 'contents', {mode: 0o640});
	await symlink('/etc/passwd', path.join(source.path, 'link'));
	await writeFile(path.join(source.path, 'sparse'), 'x');
	await truncate(path.join(source.path, 'sparse'), 20 * MiB);
	await writeFile(path.join(source.path, 'large'), randomBytes(3 * MiB));
	await using sender = await startSender();
	await receive(sender.port);
	expect((await readdir(target.path)).sort()).toEqual(['large', 'link', 'sparse', 'sub']);
	expect(await readFile(path.join(target.path, 'sub/-odd name'), 'utf8')).toBe('contents');
	expect((await stat(path.join(target.path, 'sub/-odd name'))).mode & 0o777).toBe(0o640);
	expect((await stat(path.join(target.path, 'sparse'))).blocks * 512).toBeLessThan(MiB);
	expect(await digestOf(path.join(target.path, 'large'))).toBe(await digestOf(path.join(source.path, 'large')));
});
