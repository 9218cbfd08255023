/** Clones of a claim that may change: a snapshot serves those who asked before it was cut, and nobody later. */
import {beforeAll, expect, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import {annotations} from '../../src/api/names.ts';
import type {SharedSnapshot} from '../../src/api/sharedsnapshot.ts';
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

async function sharedOfGolden(): Promise<SharedSnapshot[]> {
	const {items} = await api.list(resources.sharedSnapshots);
	return items.filter(({spec}) => spec.source.namespace === goldens);
}

async function untilNothingShared(): Promise<void> {
	await until('no shared snapshot', async () => ((await sharedOfGolden()).length === 0 ? true : undefined));
	await untilNoByproducts(goldens);
	await untilNoByproducts(team);
}

const ruleOf = async ({metadata}: DataVolume) =>
	(await api.get(resources.dataVolumes, metadata)).metadata.annotations?.[annotations.reuseRule];

test('a burst costs at most two snapshots, and a later clone none, as long as nobody writes', async () => {
	const clones = await clonesOf('burst', 8);
	await waitForSucceeded(api, clones);
	const cuts = local ? await cutsOf(await handleOf(golden)) : 1;
	expect(cuts).toBeGreaterThanOrEqual(1);
	expect(cuts).toBeLessThanOrEqual(2);
	const [later] = await clonesOf('after-burst', 1);
	const [first] = clones;
	if (!first || !later) throw new Error('too few clones');
	await waitForSucceeded(api, [later]);
	expect(await ruleOf(later)).toBe('WatchedQuiet');
	if (local) expect(await cutsOf(await handleOf(golden))).toBe(cuts);
	expect(await Promise.all([digest(first), digest(later)])).toEqual([images.qcow2.rawSha256, images.qcow2.rawSha256]);
});

test('a Pod that may write ends that: the snapshot goes', async () => {
	await until('one that may be reused', async () => {
		const [shared, ...others] = await sharedOfGolden();
		return others.length === 0 && shared?.status?.reuse === 'WatchedQuiet' ? true : undefined;
	});
	await write(golden, 'first words');
	await untilNothingShared();
	if (local) expect(await storedSnapshotsOf(await handleOf(golden))).toEqual([]);
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
	expect(['first words', words]).toContain(await read(earlier[0] ?? later, words.length));
});
