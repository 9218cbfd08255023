/** An answer that brings fewer bytes than this within that time of waiting for it. */
export interface Slowness {
	readonly bytes: number;
	readonly withinMs: number;
}

/**
 * 1 KiB/s over a minute. A modem was faster; below that, a server drips to keep the connection, or a middlebox does, and
 * another connection is more likely to bring the rest.
 */
export const slowest: Slowness = {bytes: 64 * 1024, withinMs: 60_000};

/** Whether bytes that came within this time count as getting on; fewer do not. */
export function getsOn(bytes: number, ms: number): boolean {
	return bytes > 0 && bytes * slowest.withinMs >= slowest.bytes * ms;
}

/**
 * How long one answer is waited for: not longer than `stallMs` without a byte, and not for long with hardly any. Only the
 * time between `begin` and `end` counts: who takes his time with the pieces does not make the server slow.
 */
export class Patience {
	readonly #stallMs: number;
	readonly #slow: Slowness;
	readonly #onLost: (words: string) => void;
	/** One timer for a whole body: a new one per piece would cost more than the piece. */
	#silence: NodeJS.Timeout | undefined;
	#waitingSince: number | undefined;
	#waitedMs = 0;
	#bytes = 0;

	/** @param onLost what was waited for in vain, in words */
	constructor({stallMs, slow}: {stallMs: number; slow: Slowness}, onLost: (words: string) => void) {
		this.#stallMs = stallMs;
		this.#slow = slow;
		this.#onLost = onLost;
	}

	begin(): void {
		this.#waitingSince ??= performance.now();
		if (this.#silence) this.#silence.refresh();
		else
			this.#silence = setTimeout(() => this.#onLost(`nothing received for ${this.#stallMs / 1000} s`), this.#stallMs);
	}

	/** Counts as a new beginning. */
	received(bytes: number): void {
		this.#bytes += bytes;
		const now = performance.now();
		this.#waitedMs += now - (this.#waitingSince ?? now);
		this.#waitingSince = now;
		this.#silence?.refresh();
		const {bytes: least, withinMs} = this.#slow;
		if (this.#waitedMs < withinMs) return;
		if (this.#bytes < least)
			this.#onLost(`only ${this.#bytes} bytes received in ${Math.round(this.#waitedMs / 1000)} s`);
		this.#waitedMs = 0;
		this.#bytes = 0;
	}

	end(): void {
		if (this.#waitingSince !== undefined) this.#waitedMs += performance.now() - this.#waitingSince;
		this.#waitingSince = undefined;
		clearTimeout(this.#silence);
		this.#silence = undefined;
	}
}
