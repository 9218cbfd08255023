/**
 * The sharing protocol against the model cluster in test/support/model: any order of events, any crash. More sequences, and
 * other ones, by `make test-model`.
 */
import * as fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {type NamedMutant, mutants} from '../../test/support/model/mutants.ts';
import {live} from '../../test/support/model/run.ts';
import {SharingModel} from '../../test/support/model/sharing-model.ts';
import {
	everyDay,
	type ModelOptions,
	sequencesOf,
	type Step,
	type Theme,
	themes,
	worlds,
} from '../../test/support/model/steps.ts';

/** The same sequences every time: a change is judged by what it changed. ONESNAP_MODEL_SEED looks elsewhere. */
const seed = Number(process.env['ONESNAP_MODEL_SEED'] ?? 20_261_121);
/** 2,000 over all themes. Under a heavy load fewer are run; the time never decides. */
const numRuns = Math.ceil(2000 / (Object.keys(themes).length + 1));
const interruptAfterTimeLimit = 30_000;
const timeout = 120_000;

async function problemOf(options: ModelOptions, steps: readonly Step[]): Promise<string | undefined> {
	const {violation, trace} = await live(options, steps);
	return violation === undefined ? undefined : [violation, ...trace].join('\n');
}

async function holds(sequence: fc.Arbitrary<Step[]>): Promise<void> {
	const property = fc.asyncProperty(worlds, sequence, async (options, steps) => {
		expect(await problemOf(options, steps)).toBeUndefined();
	});
	await fc.assert(property, {numRuns, seed, interruptAfterTimeLimit});
}

/** N requests, all asked for before the first round. */
async function many(count: number, options: ModelOptions): Promise<SharingModel> {
	const model = new SharingModel(options);
	for (let request = 0; request < count; request++) await model.step({do: 'request', namespace: 'ns'});
	await model.settle();
	model.checkServed();
	return model;
}

describe('no clone is stale, all are served, nothing is left: any order of events, any crash, and', () => {
	const words: Readonly<Record<Theme, string>> = {
		writers: 'Pods write to the source',
		quiet: 'watches hang and have gaps while hardly anybody writes',
		bursts: 'requests come faster than restores end',
		source: 'the source grows, goes, or is replaced by a namesake',
		references: 'clones go by a DataSource, which is pointed elsewhere and back',
		byHand: 'snapshots, aliases, contents, namespaces and classes are deleted by hand',
		declared: 'the source is declared immutable late, and the word is taken back',
		failover: 'leaders change, and leave writes behind',
		storage: 'the storage fails, hesitates and forgets',
	};

	test.each(Object.entries(themes))(
		'%s',
		async (theme, steps) => {
			expect(words).toHaveProperty(theme);
			await holds(sequencesOf(...everyDay, ...steps));
		},
		timeout,
	);

	test(
		'all of this together',
		async () => {
			await holds(sequencesOf(...everyDay, ...Object.values(themes).flat()));
		},
		timeout,
	);
});

describe('in the model cluster', () => {
	test.each([
		[1, 1, false],
		[40, 1, false],
		[40, 4, false],
		[40, 1, true],
		[40, 4, true],
	])('%i clones at once cost one cut of %i stripes; declared immutable: %s', async (count, stripes, immutable) => {
		const model = await many(count, {stripes, immutable});
		expect(model.storage.cutCount).toBe(stripes);
	});

	test.each([true, false])('clones one after the other cost one cut; declared immutable: %s', async (immutable) => {
		const model = new SharingModel({stripes: 1, immutable});
		const quietly: Step = {do: 'turns', count: 9, restore: true};
		await model.step(quietly);
		for (let request = 0; request < 5; request++) {
			await model.step({do: 'request', namespace: request % 2 === 0 ? 'ns' : 'tenant'});
			await model.step(quietly);
			await model.step(quietly);
		}
		await model.settle();
		model.checkServed();
		expect(model.storage.cutCount).toBe(1);
	});
});

describe('clones by a DataSource', () => {
	const moments = Array.from({length: 14}, (_, turns) => turns);

	test.each(moments)('that is pointed elsewhere after %i turns are made once', async (turns) => {
		const counts = new Map<string, number>();
		const model = new SharingModel({stripes: 1, immutable: false}, {}, counts);
		const namespaces = ['ns', 'tenant', 'ns'];
		for (const namespace of namespaces) await model.step({do: 'request', namespace, byReference: true});
		await model.step({do: 'point', to: 'source'});
		await model.step({do: 'turns', count: turns});
		await model.step({do: 'point', to: 'nowhere'});
		await model.step({do: 'failover'});
		await model.step({do: 'turns', count: 14, restore: true});
		await model.settle();
		model.checkServed();
		expect(counts.get('data volume recordSource ')).toBe(namespaces.length);
		expect(counts.get('data volume abandonClaim ')).toBeUndefined();
		expect(model.storage.cutCount).toBe(1);
	});
});

/** Sequences that went wrong once, as small as they got. */
describe('sharing goes right where', () => {
	const request: Step = {do: 'request', namespace: 'ns'};
	const elsewhere: Step = {do: 'request', namespace: 'tenant'};
	const turn: Step = {do: 'turn'};
	const sharing: Step = {do: 'sharing'};
	const turns = (count: number) => Array.from({length: count}, () => turn);
	const one: ModelOptions = {stripes: 1, immutable: false};
	const three: ModelOptions = {stripes: 3, immutable: false};
	const declared: ModelOptions = {stripes: 1, immutable: true};
	const byHand = (what: Extract<Step, {do: 'deleteByHand'}>['what'], index = 0): Step => ({
		...{do: 'deleteByHand', what},
		index,
	});

	test.each<[string, ModelOptions, readonly Step[]]>([
		[
			'a declaration is taken back while the watch of claims hangs',
			one,
			[
				...([{do: 'declareImmutable'}, {do: 'restart'}, request, {do: 'turns', count: 3}, turn] as const),
				...([{do: 'revokeImmutable'}, {do: 'stall', index: 4, standby: true}] as const),
				...([{do: 'sharing', fault: 'die'}, {do: 'snapshotter'}, request, {do: 'turns', count: 3}] as const),
			],
		],
		[
			'a snapshot is created again and again while its watch hangs, and a writer comes and goes',
			one,
			[
				...([{do: 'stall', index: 2}, request, {do: 'turns', count: 5}, {do: 'briefWriter'}] as const),
				...([{do: 'turns', count: 4}, {do: 'sharing', fault: 'refused'}, request] as const),
			],
		],
		[
			'a new leader has not heard that the shared snapshot is gone, and makes an alias of it',
			one,
			[
				...([elsewhere, {do: 'briefWriter'}, {do: 'turns', count: 6}, {do: 'sharing', fault: 'held'}] as const),
				...([
					{do: 'turns', count: 4, restore: true},
					turn,
					{do: 'turns', count: 6},
					{do: 'failover'},
					sharing,
				] as const),
			],
		],
		[
			'a snapshot is deleted by hand just before it is protected',
			one,
			[
				...([request, {do: 'turns', count: 5}, byHand('snapshot'), {do: 'deliver', index: 3}] as const),
				...([{do: 'snapshotter', index: 0}, sharing] as const),
			],
		],
		[
			'an assignment is lost on its way to the server',
			one,
			[request, turn, {do: 'dataVolume', index: 0}, {do: 'deliverAll'}, {do: 'sharing', fault: 'refused'}],
		],
		[
			'one stripe is restored from while another is not cut yet, and the source grows',
			three,
			[request, ...turns(4), {do: 'snapshotter'}, {do: 'grow'}],
		],
		[
			'one stripe is restored from while another is deleted by hand',
			three,
			[request, turn, {do: 'deliverAll'}, sharing, sharing, turn, turn, byHand('snapshot', 1)],
		],
		[
			'a snapshot is deleted by hand while a claim is restored from it',
			one,
			[request, ...turns(8), byHand('snapshot')],
		],
		[
			'a snapshot is deleted by hand while a claim in another namespace is restored from its alias',
			declared,
			[elsewhere, ...turns(10), byHand('snapshot')],
		],
		[
			'an alias is deleted by hand before the cache shows it, and a claim is restored from it',
			one,
			[elsewhere, ...turns(9), {do: 'deliver', index: 0}, byHand('alias'), {do: 'dataVolume', index: 0}],
		],
		[
			'a source is replaced before the cache shows the snapshot that was just begun',
			one,
			[request, turn, turn, sharing, turn, request, {do: 'snapshotter'}, {do: 'replaceSource'}, sharing, turn],
		],
		[
			'a source is deleted after it was cut, before the clone is made',
			one,
			[request, ...turns(6), {do: 'removeSource'}],
		],
		[
			'a source is declared immutable after it was cut and written to',
			one,
			[request, ...turns(8), {do: 'briefWriter'}, {do: 'declareImmutable'}, request],
		],
		[
			'one that is retired has stripes that nobody is served from: they are not protected again',
			three,
			[
				...([request, turn, turn, {do: 'sharing', fault: 'crash'}, {do: 'sharing', fault: 'held'}] as const),
				...([sharing, turn, turn] as const),
			],
		],
		[
			'the storage lost a snapshot that waits for its last request',
			one,
			[request, ...turns(6), {do: 'vanish', index: 0}],
		],
		[
			'what was cut is of a namesake, and that is deleted, too',
			one,
			[
				...([request, ...turns(3), {do: 'deliverAll'}, sharing, {do: 'replaceSource'}, turn] as const),
				...([{do: 'removeSource'}, {do: 'snapshotter'}] as const),
			],
		],
		[
			'an alias ends before it has said that it is bound: nobody else tells the sidecar',
			one,
			[
				...([request, turn, turn, sharing, ...turns(3), elsewhere, turn, turn] as const),
				...([{do: 'removeRequest', index: 3}, sharing, {do: 'snapshotter'}] as const),
			],
		],
		[
			'a leader still sees as cutting what the one before has retired and released',
			one,
			[
				...([request, turn, turn, sharing, {do: 'sharing', fault: 'crash'}] as const),
				...([{do: 'sharing', fault: 'die'}, {do: 'sharing', fault: 'held'}, sharing] as const),
			],
		],
		[
			'a claim is restored from a snapshot that is deleted, and its request is assigned to another one by now',
			three,
			[
				...([request, turn, request, {do: 'deliverAll', standby: true}] as const),
				...([
					{do: 'stall', index: 0, standby: true},
					{do: 'stall', index: 4, standby: true},
				] as const),
				...([...turns(6), {do: 'sharing', fault: 'crash'}, sharing, ...turns(8)] as const),
			],
		],
		[
			'a late leader begins to copy from the claim, and that goes: what was cut serves it',
			one,
			[
				...([elsewhere, ...turns(4), {do: 'stall', index: 1, standby: true}, {do: 'failover'}] as const),
				...([{do: 'deleteByHand', what: 'class', index: 0}, ...turns(3), {do: 'removeSource'}] as const),
			],
		],
		[
			'a VolumeSnapshot is made after its SharedSnapshot, deleted by hand, is gone',
			one,
			[
				...([request, ...turns(3), {do: 'deliver', index: 0}, {do: 'sharing', fault: 'held'}] as const),
				...([{do: 'deleteByHand', what: 'shared', index: 0}, turn] as const),
			],
		],
		[
			'a leader does not see yet what the one before has assigned, nor the claim that was made from it',
			one,
			[
				...([request, ...turns(5), request, {do: 'deliverAll', standby: true}] as const),
				...([{do: 'stall', index: 0, standby: true}, ...turns(4), request, turn] as const),
				...([
					{do: 'stall', index: 4, standby: true},
					{do: 'sharing', fault: 'crash'},
				] as const),
				...([{do: 'briefWriter'}, ...turns(3)] as const),
			],
		],
		[
			'a late leader makes a claim from a snapshot that is gone, and its request is assigned to another one by now',
			one,
			[
				...([request, ...turns(3), {do: 'turns', count: 3}, {do: 'deliverAll', standby: true}] as const),
				...([
					{do: 'vanish', index: 0},
					{do: 'turns', count: 3, restore: true},
				] as const),
				...([{do: 'turns', count: 4}, {do: 'deliver', index: 0}, {do: 'provisioner'}] as const),
				...([
					{do: 'sharing', fault: 'held'},
					{do: 'dataVolume', index: 0},
				] as const),
			],
		],
	])('%s', async (_, options, steps) => {
		expect(await problemOf(options, steps)).toBeUndefined();
	});
});

describe('the model finds', () => {
	const enough = 1000;

	async function findings({mutant, words, theme, immutable = false}: NamedMutant): Promise<string | undefined> {
		const sequence = sequencesOf(...everyDay, ...themes[theme]);
		const property = fc.asyncProperty(sequence, async (steps) => {
			const {violation} = await live({stripes: 1, immutable}, steps, {mutant});
			expect(violation ?? '').not.toMatch(words);
		});
		const {failed, counterexample} = await fc.check(property, {numRuns: enough, endOnFailure: true, seed});
		return failed ? JSON.stringify(counterexample) : undefined;
	}

	test.each(mutants.map((mutant) => [mutant.name, mutant] as const))(
		'%s',
		async (_, mutant) => {
			expect(await findings(mutant)).toBeDefined();
		},
		timeout,
	);
});
