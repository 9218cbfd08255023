/**
 * Aliases that the API server refused: a quota on VolumeSnapshots in the target's namespace, for example. They are tried
 * again after a while, and meanwhile the clones of all other namespaces go on: one tenant's quota must not hold up the
 * golden image of everybody.
 */
import type {Clock} from '../process/clock.ts';

const retryMs = 10_000;

export class RefusedAliases {
	readonly #until = new Map<string, number>();
	readonly #clock: Clock;

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	add(alias: string): void {
		this.#until.set(alias, this.#clock.monotonicMs() + retryMs);
	}

	/** Those whose time is not over yet. */
	current(): ReadonlySet<string> {
		const now = this.#clock.monotonicMs();
		for (const [alias, until] of this.#until) if (until <= now) this.#until.delete(alias);
		return new Set(this.#until.keys());
	}

	static readonly retryMs = retryMs;
}
