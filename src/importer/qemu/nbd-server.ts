/**
 * An NBD server (fixed newstyle, read-only, one export): how qemu-img reads a window. Each client is the other end of a pair of
 * sockets that has no name: nobody else can connect, and nothing is left of it when this process is killed.
 *
 * NBD is made for this: requests are pipelined and answered in any order, so qemu-img's coroutines really are as
 * many reads of the window. Simple replies are enough for a container format, which says itself what is a hole.
 * Protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
 *
 * The export is announced larger than the source. qemu's block layer reads zeros beyond the end of a file it knows, so that a
 * truncated image would convert without a word; here such a read arrives, is refused, and is remembered in `readPastEnd`.
 * Zeros are only answered where a format reads more than there is in earnest. Compressed clusters of qcow2 begin anywhere and
 * are read by whole sectors: the last one may be incomplete. What a format looks for at the end of its file is there too, at the
 * end of what is announced.
 */
import type {Socket} from 'node:net';
import type {Serving} from '../formats/image-header.ts';
import type {ReadWindow, WindowLease} from '../window/window.ts';

const handshakeMagic = 0x4e42444d41474943n;
const optionMagic = 0x49484156454f5054n;
const optionReplyMagic = 0x3e889045565a9n;
const requestMagic = 0x25609513;
const replyMagic = 0x67446698;

const option = {exportName: 1, abort: 2, info: 6, go: 7} as const;
const optionReply = {ack: 1, info: 3, unsupported: 0x80000001, invalid: 0x80000003, tooBig: 0x80000009} as const;
const info = {export: 0, blockSize: 3} as const;
const command = {read: 0, write: 1, disconnect: 2, flush: 3} as const;
const nbdError = {notPermitted: 1, io: 5, invalid: 22} as const;

const handshakeFlags = 0b11; // fixed newstyle, no zeroes
const exportFlags = 0b11; // has flags, read-only
const longestOption = 4096;
const longestRead = 32 * 1024 * 1024;

/** Size of the export, whatever the source has; large enough for any offset a damaged table may name in earnest. */
const announcedBytes = 2 ** 50;
const sectorBytes = 512;

export class NbdServer implements Disposable {
	readonly #window: ReadWindow;
	readonly #serving: Required<Serving>;
	readonly #sockets = new Set<Socket>();
	#readPastEnd: number | undefined;

	constructor(window: ReadWindow, serving: Serving = {}) {
		this.#window = window;
		this.#serving = {openReadBytes: 0, firstReadBytes: 0, footerBytes: 0, ...serving};
	}

	/** Where the image first referred to bytes that the source does not have: it is truncated or damaged. */
	get readPastEnd(): number | undefined {
		return this.#readPastEnd;
	}

	[Symbol.dispose](): void {
		for (const socket of this.#sockets) socket.destroy();
	}

	/** Speaks with the client at the other end, until one of the two closes it. */
	serve(socket: Socket): void {
		this.#sockets.add(socket);
		socket.once('close', () => this.#sockets.delete(socket));
		const connection = new NbdConnection(socket, {
			sizeBytes: announcedBytes,
			read: (request) => this.#answerRead(socket, request),
		});
		socket.on('data', (data) => {
			// What was asked for together is answered together.
			socket.cork();
			connection.receive(data);
			socket.uncork();
		});
		// The client went away: qemu-img's exit code tells why.
		socket.on('error', () => socket.destroy());
	}

	#answerRead(socket: Socket, {cookie, offset: asked, length}: ReadRequest): void {
		const {openReadBytes, firstReadBytes, footerBytes} = this.#serving;
		const {lengthBytes} = this.#window;
		const offset = asked < announcedBytes - footerBytes ? asked : asked - announcedBytes + lengthBytes;
		const isCompressed = offset % sectorBytes !== 0;
		const sourceEnd = isCompressed ? Math.ceil(lengthBytes / sectorBytes) * sectorBytes : lengthBytes;
		const isOpen = (offset === 0 && length <= firstReadBytes) || (offset < lengthBytes && length === openReadBytes);
		if (offset < 0 || (offset + length > sourceEnd && !isOpen)) {
			this.#readPastEnd ??= offset;
			reply(socket, cookie, nbdError.io);
			return;
		}
		const present = Math.min(length, Math.max(0, lengthBytes - offset));
		if (present === 0) {
			reply(socket, cookie, 0, [Buffer.alloc(length)]);
			return;
		}
		const padding = present < length ? [Buffer.alloc(length - present)] : [];
		const pass = (lease: WindowLease) => reply(socket, cookie, 0, [...lease.parts, ...padding], () => lease.release());
		const ready = this.#window.readNow(offset, present);
		if (ready) pass(ready);
		// The window remembers why it failed; the client only needs to stop.
		else this.#window.read(offset, present).then(pass, () => reply(socket, cookie, nbdError.io));
	}
}

interface ReadRequest {
	readonly cookie: Buffer;
	readonly offset: number;
	readonly length: number;
}

function reply(socket: Socket, cookie: Buffer, error: number, parts: readonly Buffer[] = [], release = () => {}): void {
	if (socket.destroyed) {
		release();
		return;
	}
	const header = Buffer.alloc(16);
	header.writeUInt32BE(replyMagic, 0);
	header.writeUInt32BE(error, 4);
	cookie.copy(header, 8);
	const pieces = [header, ...parts];
	socket.cork();
	for (const [index, piece] of pieces.entries()) {
		// Called on success and on failure alike: either way the socket no longer looks at the memory.
		if (index === pieces.length - 1) socket.write(piece, () => release());
		else socket.write(piece);
	}
	socket.uncork();
}

interface ConnectionOptions {
	readonly sizeBytes: number;
	readonly read: (request: ReadRequest) => void;
}

/** One client: takes bytes as they come, answers options, passes reads on. Whatever is not the protocol ends the connection. */
class NbdConnection {
	readonly #socket: Socket;
	readonly #options: ConnectionOptions;
	#phase: 'flags' | 'options' | 'requests' = 'flags';
	#received: Buffer = Buffer.alloc(0);

	constructor(socket: Socket, options: ConnectionOptions) {
		this.#socket = socket;
		this.#options = options;
		const greeting = Buffer.alloc(18);
		greeting.writeBigUInt64BE(handshakeMagic, 0);
		greeting.writeBigUInt64BE(optionMagic, 8);
		greeting.writeUInt16BE(handshakeFlags, 16);
		socket.write(greeting);
	}

	receive(data: Buffer): void {
		this.#received = this.#received.length === 0 ? data : Buffer.concat([this.#received, data]);
		while (!this.#socket.destroyed) {
			const taken = this.#take(this.#received);
			if (taken === 0) return;
			this.#received = this.#received.subarray(taken);
		}
	}

	/** Consumes one message; returns how long it was, 0 when it is not complete. */
	#take(data: Buffer): number {
		switch (this.#phase) {
			case 'flags':
				if (data.length < 4) return 0;
				this.#phase = 'options';
				return 4;
			case 'options':
				return this.#takeOption(data);
			case 'requests':
				return this.#takeRequest(data);
		}
		return this.#phase satisfies never;
	}

	#takeOption(data: Buffer): number {
		if (data.length < 16) return 0;
		const code = data.readUInt32BE(8);
		const length = data.readUInt32BE(12);
		if (data.readBigUInt64BE(0) !== optionMagic || length > longestOption) {
			this.#socket.destroy();
			return 0;
		}
		if (data.length < 16 + length) return 0;
		switch (code) {
			case option.exportName: {
				const answer = Buffer.alloc(10);
				answer.writeBigUInt64BE(BigInt(this.#options.sizeBytes), 0);
				answer.writeUInt16BE(exportFlags, 8);
				this.#socket.write(answer);
				this.#phase = 'requests';
				break;
			}
			case option.info:
			case option.go:
				this.#replyToOption(code, optionReply.info, this.#exportInfo());
				this.#replyToOption(code, optionReply.info, blockSizeInfo());
				this.#replyToOption(code, optionReply.ack);
				if (code === option.go) this.#phase = 'requests';
				break;
			case option.abort:
				this.#replyToOption(code, optionReply.ack);
				this.#socket.end();
				break;
			default:
				this.#replyToOption(code, optionReply.unsupported);
		}
		return 16 + length;
	}

	#exportInfo(): Buffer {
		const answer = Buffer.alloc(12);
		answer.writeUInt16BE(info.export, 0);
		answer.writeBigUInt64BE(BigInt(this.#options.sizeBytes), 2);
		answer.writeUInt16BE(exportFlags, 10);
		return answer;
	}

	#replyToOption(code: number, type: number, data: Buffer = Buffer.alloc(0)): void {
		const header = Buffer.alloc(20);
		header.writeBigUInt64BE(optionReplyMagic, 0);
		header.writeUInt32BE(code, 8);
		header.writeUInt32BE(type, 12);
		header.writeUInt32BE(data.length, 16);
		this.#socket.write(Buffer.concat([header, data]));
	}

	#takeRequest(data: Buffer): number {
		if (data.length < 28) return 0;
		if (data.readUInt32BE(0) !== requestMagic) {
			this.#socket.destroy();
			return 0;
		}
		const type = data.readUInt16BE(6);
		const cookie = Buffer.from(data.subarray(8, 16));
		const offset = Number(data.readBigUInt64BE(16));
		const length = data.readUInt32BE(24);
		switch (type) {
			case command.read:
				if (length === 0 || length > longestRead || offset + length > this.#options.sizeBytes) {
					reply(this.#socket, cookie, nbdError.invalid);
				} else this.#options.read({cookie, offset, length});
				break;
			case command.disconnect:
				this.#socket.end();
				break;
			case command.flush:
				reply(this.#socket, cookie, 0);
				break;
			case command.write:
				// Its data would follow: the stream cannot be read on.
				reply(this.#socket, cookie, nbdError.notPermitted);
				this.#socket.destroySoon();
				break;
			default:
				reply(this.#socket, cookie, nbdError.invalid);
		}
		return 28;
	}
}

function blockSizeInfo(): Buffer {
	const answer = Buffer.alloc(14);
	answer.writeUInt16BE(info.blockSize, 0);
	answer.writeUInt32BE(1, 2);
	answer.writeUInt32BE(4096, 6);
	answer.writeUInt32BE(longestRead, 10);
	return answer;
}
