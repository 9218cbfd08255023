import {checkBeyondHeader} from '../formats/check-header.ts';
import {failureOfReading} from './image-failure.ts';
import type {ContainerFormat, Serving} from '../formats/image-header.ts';
import {socketDescriptor} from '../command.ts';
import {NbdServer} from './nbd-server.ts';
import type {ServedNode} from './qemu-img.ts';
import type {ReadWindow} from '../window/window.ts';

export interface ServedAs {
	readonly format: ContainerFormat;
	readonly serving: Serving;
	readonly shown: string;
}

/** An image as qemu-img may see it: a format on top of a private socket, and nothing else. */
export class ServedImage implements Disposable {
	readonly #window: ReadWindow;
	readonly #server: NbdServer;
	readonly #as: ServedAs;

	private constructor(window: ReadWindow, server: NbdServer, as: ServedAs) {
		this.#window = window;
		this.#server = server;
		this.#as = as;
	}

	/** Refuses what must not be opened. */
	static async serve(window: ReadWindow, as: ServedAs): Promise<ServedImage> {
		await checkBeyondHeader(as.format, (offset, length) => readWindow(window, offset, length), as.shown);
		return new ServedImage(window, new NbdServer(window, as.serving), as);
	}

	/** Runs qemu-img on the image; says why it could not be read, where it could not. */
	async use<T>(run: (image: ServedNode) => Promise<T>): Promise<T> {
		try {
			return await run({
				node: {driver: this.#as.format, file: {driver: 'nbd', descriptor: socketDescriptor}},
				onSocket: (socket) => this.#server.serve(socket),
			});
		} catch (error) {
			throw failureOfReading(error, {
				shown: this.#as.shown,
				lengthBytes: this.#window.lengthBytes,
				sourceFailure: this.#window.failure,
				readPastEnd: this.#server.readPastEnd,
			});
		}
	}

	[Symbol.dispose](): void {
		this.#server[Symbol.dispose]();
	}
}

/** A copy of the bytes, fewer where the source has fewer. */
export async function readWindow(window: ReadWindow, offset: number, length: number): Promise<Buffer> {
	const present = Math.min(length, window.lengthBytes - offset);
	if (present <= 0) return Buffer.alloc(0);
	const lease = await window.read(offset, present);
	try {
		return Buffer.concat(lease.parts);
	} finally {
		lease.release();
	}
}
