import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {Logger} from '../../../src/process/log.ts';
import type {Locks} from './locks.ts';
import {loopsUnder, releaseLoop} from './loop.ts';
import type {Pool} from './pool.ts';
import {stagingLock} from './rpc-locks.ts';

const sweepEveryMs = 1000;

/**
 * Devices of volumes that were unstaged here while another mount namespace kept them mounted (loop.ts). Nobody who unstages can
 * do anything about that, so the call succeeds, and the device is detached when the other namespace has gone. Meanwhile it stays
 * good for staging the volume again.
 */
export class LingeringLoops {
	readonly #pool: Pool;
	readonly #locks: Locks;
	readonly #volumeIds = new Set<string>();
	readonly #stop = new AbortController();

	constructor(pool: Pool, locks: Locks) {
		this.#pool = pool;
		this.#locks = locks;
	}

	add(volumeId: string): void {
		this.#volumeIds.add(volumeId);
	}

	/** Sweeps until it is stopped. Begins with every device of the pool: a driver killed while staging may have left one. */
	async run(logger: Logger): Promise<void> {
		const prefix = this.#pool.volumeImage('');
		for (const {backingFile} of await loopsUnder(prefix)) this.add(path.basename(backingFile));
		while (!this.#stop.signal.aborted) {
			await this.#sweep().catch((error: unknown) => logger.warn({error}, 'a lingering loop device was not detached'));
			await sleep(sweepEveryMs, undefined, {signal: this.#stop.signal}).catch(() => {});
		}
	}

	stop(): void {
		this.#stop.abort();
	}

	async #sweep(): Promise<void> {
		for (const id of this.#volumeIds) {
			const unlock = this.#locks.tryAcquire({exclusive: [stagingLock(id)], shared: []});
			if (typeof unlock !== 'function') continue;
			try {
				// Mounted here again means that the volume was staged again, and will be unstaged again.
				if ((await releaseLoop(this.#pool.volumeImage(id))) !== 'mounted elsewhere') this.#volumeIds.delete(id);
			} finally {
				unlock();
			}
		}
	}
}
