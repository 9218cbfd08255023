/** Clones of a claim that may change: a snapshot serves those who asked before it was cut, and nobody later. */
import {beforeAll, expect, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import * as resources from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {waitForSucceeded} from '../support/data-volumes.ts';
import {cutsOf, storedSnapshotsOf} from './journal.ts';
import {
	api,
	createDataVolume,
	digest,
	handleOf,
	httpSource,
	images,
	local,
	makeNamespace,
	pvcSource,
	read,
	untilNoByproducts,
	write,
} from './world.ts';

let goldens: string;
let team: string;
let golden: DataVolume;

beforeAll(async () => {
	goldens = await makeNamespace('golden');
	team = await makeNamespace('team');
	golden = await createDataVolume({namespace: goldens, name: 'golden', source: httpSource(images.qcow2.path)});
	await waitForSucceeded(api, [golden]);
});

const clonesOf = (prefix: string, count: number) =>
	Promise.all(
		Array.from({length: count}, (_, index) =>
			createDataVolume({
				namespace: index % 2 === 0 ? team : goldens,
				name: `${prefix}-${index}`,
				source: pvcSource(golden),
			}),
		),
	);

async function untilNothingShared(): Promise<void> {
	await until('no shared snapshot', async () => {
		const {items} = await api.list(resources.sharedSnapshots);
		return items.some(({spec}) => spec.source.namespace === goldens) ? undefined : true;
	});
	await untilNoByproducts(goldens);
	await untilNoByproducts(team);
}

test('a burst costs at most two snapshots, and they go when the clones are made', async () => {
	const clones = await clonesOf('burst', 8);
	await waitForSucceeded(api, clones);
	await untilNothingShared();
	if (local) {
		const handle = await handleOf(golden);
		const cuts = await cutsOf(handle);
		expect(cuts).toBeGreaterThanOrEqual(1);
		expect(cuts).toBeLessThanOrEqual(2);
		await until('the storage has no snapshot of it', async () =>
			(await storedSnapshotsOf(handle)).length === 0 ? true : undefined,
		);
	}
	const [first, second] = clones;
	if (!first || !second) throw new Error('too few clones');
	expect(await Promise.all([digest(first), digest(second)])).toEqual([images.qcow2.rawSha256, images.qcow2.rawSha256]);
});

test('a clone asked for after a write shows what was written, also while older ones are being made', async () => {
	const words = 'a newer kernel';
	const [earlier] = await Promise.all([clonesOf('earlier', 4), write(golden, words)]);
	const [later] = await clonesOf('later', 1);
	if (!later) throw new Error('no clone');
	await waitForSucceeded(api, [...earlier, later]);
	expect(await read(golden, words.length)).toBe(words);
	expect(await read(later, words.length)).toBe(words);
	// One that was asked for before or during the write has either.
	expect(['', words]).toContain(await read(earlier[0] ?? later, words.length));
	await untilNothingShared();
});
