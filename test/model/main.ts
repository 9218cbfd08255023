/**
 * `make test-model`: many sequences through the model of the sharing protocol, on all processors. Prints how it gets on, how
 * often what happened, and where something is violated the smallest sequence that does it, with its trace.
 *
 *     node test/model/main.ts [--sequences 100000] [--seed N] [--workers N]
 *
 * A seed is of one batch: `--seed N --sequences 1` runs that batch alone.
 */
import {availableParallelism} from 'node:os';
import {parseArgs} from 'node:util';
import {Worker} from 'node:worker_threads';
import {table} from '../support/table.ts';
import type {Batch, BatchResult} from './batch.ts';

const {values} = parseArgs({
	options: {
		sequences: {type: 'string', default: '100000'},
		seed: {type: 'string', default: String(Date.now() % 2 ** 31)},
		workers: {type: 'string', default: String(Math.max(1, availableParallelism()))},
	},
});

function whole(name: keyof typeof values): number {
	const number = Number(values[name]);
	if (!Number.isSafeInteger(number) || number < 1)
		throw new Error(`--${name} is ${values[name]}: give a whole number of at least 1`);
	return number;
}

const wanted = whole('sequences');
const seed = whole('seed');
const batchSize = 500;
const secondsBetweenLines = 10;

const counts = new Map<string, number>();
const startedAt = performance.now();
let done = 0;
let begun = 0;
let failure: BatchResult['failure'];
let toldAt = startedAt;

const rate = () => Math.round((done / (performance.now() - startedAt)) * 1000);

function add(result: BatchResult): void {
	done += result.sequences;
	failure ??= result.failure;
	for (const [what, count] of result.counts) counts.set(what, (counts.get(what) ?? 0) + count);
	if (performance.now() - toldAt < secondsBetweenLines * 1000) return;
	toldAt = performance.now();
	console.log(`${done} of ${wanted} sequences, ${rate()} a second`);
}

/** One batch after the other, until all are done or one failed. */
function work(): Promise<void> {
	const worker = new Worker(new URL('batch.ts', import.meta.url));
	const next = (): void => {
		const left = wanted - begun * batchSize;
		if (failure || left <= 0) {
			worker.postMessage(undefined);
			return;
		}
		worker.postMessage({seed: seed + begun, sequences: Math.min(batchSize, left)} satisfies Batch);
		begun += 1;
	};
	return new Promise((resolve, reject) => {
		worker.on('message', (result: BatchResult) => {
			add(result);
			next();
		});
		worker.once('error', reject);
		worker.once('exit', () => resolve());
		next();
	});
}

console.log(`seeds from ${seed} on, ${values.workers} workers`);
await Promise.all(Array.from({length: whole('workers')}, work));

const seconds = Math.round((performance.now() - startedAt) / 1000);
const rows = [...counts].toSorted(([a], [b]) => a.localeCompare(b)).map(([what, count]) => [what, String(count)]);
console.log(`\n${table([['WHAT HAPPENED', 'HOW OFTEN'], ...rows])}`);
console.log(`\n${done} sequences in ${seconds} s, ${rate()} a second`);
if (failure) {
	console.log(`\nviolated: ${failure.violation}\n\n${failure.trace.join('\n')}`);
	console.log(`\nthe smallest sequence, for a row of src/smartclone/sharing-model.test.ts:\n${failure.counterexample}`);
	console.log(`again: ${process.argv0} test/model/main.ts --seed ${failure.seed} --sequences ${failure.sequences}`);
}
process.exitCode = failure ? 1 : 0;
