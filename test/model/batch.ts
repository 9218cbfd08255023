/** A worker thread of main.ts: runs the batches that it is sent, and ends with the message that there is none. */
import {parentPort} from 'node:worker_threads';
import * as fc from 'fast-check';
import {live} from '../support/model/run.ts';
import {anySequence, worlds} from '../support/model/steps.ts';

export interface Batch {
	readonly seed: number;
	readonly sequences: number;
}

export interface BatchResult {
	readonly sequences: number;
	readonly counts: readonly (readonly [what: string, count: number])[];
	readonly failure:
		| {
				readonly seed: number;
				readonly sequences: number;
				readonly violation: string;
				readonly trace: readonly string[];
				/** As JSON. */
				readonly counterexample: string;
		  }
		| undefined;
}

async function run({seed, sequences}: Batch): Promise<BatchResult> {
	const counts = new Map<string, number>();
	const property = fc.asyncProperty(worlds, anySequence, async (options, steps) => {
		const {violation} = await live(options, steps, {counts});
		return violation === undefined;
	});
	const {failed, numRuns, counterexample} = await fc.check(property, {seed, numRuns: sequences});
	const results = {sequences: numRuns, counts: [...counts]};
	if (!failed || !counterexample) return {...results, failure: undefined};
	const [options, steps] = counterexample;
	const {violation = 'not violated when run again', trace} = await live(options, steps);
	return {...results, failure: {seed, sequences, violation, trace, counterexample: JSON.stringify(counterexample)}};
}

const port = parentPort;
if (!port) throw new Error('a worker thread of test/model/main.ts');
port.on('message', (batch: Batch | undefined) => {
	if (batch === undefined) return port.close();
	// A mistake in the model itself ends the worker, and with it the program.
	void run(batch).then((result) => port.postMessage(result));
});
