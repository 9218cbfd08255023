import {failureOfReading} from './image-failure.ts';
import {NbdServer} from './nbd-server.ts';
import type {ImageNode} from './image-options.ts';
import type {ReadWindow} from './window.ts';

/** An image as qemu-img may see it: a format on top of a private socket, and nothing else. */
export class ServedImage implements AsyncDisposable {
	readonly #window: ReadWindow;
	readonly #server: NbdServer;
	readonly #shown: string;

	private constructor(window: ReadWindow, {server, shown}: {server: NbdServer; shown: string}) {
		this.#window = window;
		this.#server = server;
		this.#shown = shown;
	}

	static async serve(window: ReadWindow, shown: string): Promise<ServedImage> {
		return new ServedImage(window, {server: await NbdServer.listen(window), shown});
	}

	/** Runs qemu-img on the image; says why it could not be read, where it could not. */
	async use<T>(run: (image: ImageNode) => Promise<T>): Promise<T> {
		try {
			return await run({driver: 'qcow2', file: {driver: 'nbd', socketPath: this.#server.socketPath}});
		} catch (error) {
			throw failureOfReading(error, {
				shown: this.#shown,
				lengthBytes: this.#window.lengthBytes,
				sourceFailure: this.#window.failure,
				readPastEnd: this.#server.readPastEnd,
			});
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#server[Symbol.asyncDispose]();
	}
}
