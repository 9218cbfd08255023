/** Numbers that look random and are the same for the same seed. */
export class Dice {
	#state: number;

	/** Each pair has a sequence of its own. */
	constructor(seed: number, run: number) {
		this.#state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(run + 1, 0x85ebca6b)) >>> 0;
		// Near seeds begin alike otherwise.
		for (let round = 0; round < 4; round++) this.#next();
	}

	/** From `least` to `most`, both included. */
	whole(least: number, most: number): number {
		return least + Math.floor(this.#next() * (most - least + 1));
	}

	/** True in so many of 100 cases. */
	percent(share: number): boolean {
		return this.#next() * 100 < share;
	}

	pick<T>(choices: readonly T[]): T {
		return this.weighted(choices.map((choice) => [1, choice]));
	}

	/** Each with its weight. */
	weighted<T>(choices: readonly (readonly [weight: number, choice: T])[]): T {
		let left = this.#next() * choices.reduce((sum, [weight]) => sum + weight, 0);
		for (const [weight, choice] of choices) {
			left -= weight;
			if (left < 0) return choice;
		}
		throw new Error('nothing to pick from');
	}

	bytes(length: number): Buffer {
		return Buffer.from(Array.from({length}, () => this.whole(0, 255)));
	}

	/** 0 to 1, 1 excluded: mulberry32. */
	#next(): number {
		this.#state = (this.#state + 0x6d2b79f5) >>> 0;
		let mixed = this.#state;
		mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	}
}
