/** A sequence from its first step to the end of everything. */
import {Violation} from './invariants.ts';
import type {Mutant} from './replica.ts';
import {SharingModel} from './sharing-model.ts';
import type {ModelOptions, Step} from './steps.ts';

export interface Life {
	/** What was violated; undefined where all held. */
	readonly violation: string | undefined;
	readonly trace: readonly string[];
}

/** @param counts how often what happened is added here. */
export async function live(
	options: ModelOptions,
	steps: readonly Step[],
	{mutant, counts}: {readonly mutant?: Mutant; readonly counts?: Map<string, number>} = {},
): Promise<Life> {
	const model = new SharingModel(options, mutant, counts);
	try {
		for (const step of steps) await model.step(step);
		await model.settle();
		model.checkServed();
		await model.mend();
		await model.removeAll();
		return {violation: undefined, trace: []};
	} catch (error) {
		if (!(error instanceof Violation)) throw error;
		return {violation: error.message, trace: model.trace};
	}
}
