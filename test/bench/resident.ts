/** How much memory a program and all that it starts have at a time. */
import {readFile} from 'node:fs/promises';

const sampleMs = 50;
const pageBytes = 4096;

/** Samples until it is disposed of. */
export class ResidentPeak implements Disposable {
	readonly #pid: number;
	readonly #timer: NodeJS.Timeout;
	#peakBytes = 0;

	constructor(pid: number) {
		this.#pid = pid;
		this.#timer = setInterval(() => void this.#sample(), sampleMs);
	}

	/** Sum over the processes, so that a page they share counts for each. */
	get bytes(): number {
		return this.#peakBytes;
	}

	async #sample(): Promise<void> {
		this.#peakBytes = Math.max(this.#peakBytes, await residentBytes(this.#pid));
	}

	[Symbol.dispose](): void {
		clearInterval(this.#timer);
	}
}

/** Zero for a process that is gone. */
async function residentBytes(pid: number): Promise<number> {
	const [sizes, children] = await Promise.all([
		readFile(`/proc/${pid}/statm`, 'utf8').catch(() => ''),
		// Node starts its children from its first thread.
		readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => ''),
	]);
	const own = Number(sizes.split(' ')[1] ?? 0) * pageBytes;
	const below = await Promise.all(
		children
			.split(' ')
			.filter(Boolean)
			.map((child) => residentBytes(Number(child))),
	);
	return below.reduce((sum, bytes) => sum + bytes, own);
}
