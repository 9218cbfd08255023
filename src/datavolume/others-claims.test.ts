/** Claims that somebody else made, and DataVolumes that somebody else fills: what is decided, reported and told. */
import {describe, expect, test} from 'vitest';
import {claim, type ClaimOptions, dataVolume, importSource, storageClass, volume} from '../../test/support/builders.ts';
import {observedClone, observedDataVolume} from '../../test/support/observed.ts';
import {findCondition} from '../api/conditions.ts';
import type {DataVolume} from '../api/datavolume.ts';
import {annotations} from '../api/names.ts';
import {decide} from './decide.ts';
import {decisionEvents, transitionEvents} from './events.ts';
import type {Observed} from './observe.ts';
import {statusOf} from './status.ts';

const golden = {pvc: {namespace: 'images', name: 'golden'}};
const adopts = {[annotations.allowClaimAdoption]: 'true'};
const restored = {[annotations.prePopulated]: 'disk'};
const populated = {[annotations.populatedFor]: 'disk'};
const adopting = dataVolume({source: golden, annotations: adopts});
const prePopulated = dataVolume({source: golden, annotations: restored});
const late = storageClass({waitsForConsumer: true});

const world = (of: DataVolume, given: Partial<Observed> = {}) =>
	observedDataVolume(of, {clone: observedClone(), ...given});
const on = (options: ClaimOptions): Partial<Observed> => ({claim: claim({name: 'disk', ...options})});
/** Controlled by the DataVolume, and made by somebody else. */
const adopted = (of: DataVolume, options: ClaimOptions = {}) =>
	on({...options, owner: of, annotations: {[annotations.createdForDataVolume]: 'old', ...options.annotations}});

interface Row {
	readonly what: string;
	readonly of: DataVolume;
	readonly given: Partial<Observed>;
	readonly plan: object;
	readonly phase: string;
	readonly bound: string;
}

const rows: readonly Row[] = [
	{
		what: 'a bound claim is taken over, and is the disk',
		of: adopting,
		given: on({}),
		plan: {do: 'adoptClaim', claim: {metadata: {name: 'disk'}}},
		phase: 'Succeeded',
		bound: 'Bound',
	},
	{
		what: 'a claim that is not bound is taken over, and is no disk yet',
		of: adopting,
		given: on({phase: 'Pending'}),
		plan: {do: 'adoptClaim'},
		phase: 'Pending',
		bound: 'Pending',
	},
	{
		what: 'what was taken over is not filled, whatever the source says',
		of: adopting,
		given: adopted(adopting),
		plan: {do: 'nothing'},
		phase: 'Succeeded',
		bound: 'Bound',
	},
	{
		what: 'what was taken over and is made from a snapshot is not given up, though no shared snapshot serves it',
		of: adopting,
		given: adopted(adopting, {phase: 'Pending', dataSource: {kind: 'VolumeSnapshot', name: 'of-a-restore'}}),
		plan: {do: 'wait', reason: 'Binding'},
		phase: 'Pending',
		bound: 'Pending',
	},
	{
		what: 'what was taken over is not grown',
		of: dataVolume({source: golden, annotations: adopts, size: '9Gi'}),
		given: {...adopted(adopting, {dataSource: {kind: 'VolumeSnapshot', name: 's'}}), volume: volume()},
		plan: {do: 'nothing'},
		phase: 'Succeeded',
		bound: 'Bound',
	},
	{
		what: 'what was taken over waits for its consumer by its own class',
		of: adopting,
		given: {...adopted(adopting, {phase: 'Pending', storageClass: 'late'}), claimClass: late},
		plan: {do: 'wait', reason: 'FirstConsumer'},
		phase: 'PendingPopulation',
		bound: 'Pending',
	},
	{
		what: 'what was taken over keeps no source object, which was made before it was seen',
		of: adopting,
		given: {...adopted(adopting, {phase: 'Pending'}), importSource: importSource()},
		plan: {do: 'deleteImportSource'},
		phase: 'Pending',
		bound: 'Pending',
	},
	{
		what: 'what was taken over and lost its volume',
		of: adopting,
		given: adopted(adopting, {phase: 'Lost'}),
		plan: {do: 'nothing'},
		phase: 'Failed',
		bound: 'ClaimLost',
	},
	{
		what: 'a claim that goes is not taken over',
		of: adopting,
		given: on({deleting: true}),
		plan: {do: 'wait', reason: 'ClaimTerminating'},
		phase: 'Pending',
		bound: 'ClaimTerminating',
	},
	{
		what: 'the claim of an earlier DataVolume is not taken over',
		of: adopting,
		given: on({owner: dataVolume({uid: 'old'})}),
		plan: {do: 'wait', reason: 'ClaimTerminating', message: expect.stringContaining('an earlier DataVolume') as string},
		phase: 'Pending',
		bound: 'ClaimTerminating',
	},
	{
		what: 'the claim of another controller is refused by its name',
		of: adopting,
		given: on({owner: {apiVersion: 'v1', kind: 'StatefulSet', metadata: {name: 'db', uid: 'db-uid'}}}),
		plan: {do: 'refuse', reason: 'ErrResourceExists', message: expect.stringContaining('of StatefulSet db') as string},
		phase: 'Pending',
		bound: 'ErrResourceExists',
	},
	{
		what: 'without permission the message says how to give it',
		of: dataVolume({source: golden}),
		given: on({}),
		plan: {do: 'refuse', message: expect.stringContaining(`${annotations.allowClaimAdoption}: "true"`) as string},
		phase: 'Pending',
		bound: 'ErrResourceExists',
	},
	{
		what: 'by the gate, where the DataVolume says nothing',
		of: dataVolume({source: golden}),
		given: {...on({}), adoptsByDefault: true},
		plan: {do: 'adoptClaim'},
		phase: 'Succeeded',
		bound: 'Bound',
	},
	{
		what: 'no claim is made for a DataVolume that somebody else fills',
		of: prePopulated,
		given: {},
		plan: {do: 'wait', reason: 'PrePopulated'},
		phase: 'Pending',
		bound: 'NotFound',
	},
	{
		what: 'nor where its source is one that is not supported',
		of: dataVolume({source: {vddk: {}}, annotations: restored}),
		given: {clone: undefined},
		plan: {do: 'wait', reason: 'PrePopulated'},
		phase: 'Pending',
		bound: 'NotFound',
	},
	{
		what: 'a claim with its content is taken over without permission',
		of: prePopulated,
		given: on({annotations: populated}),
		plan: {do: 'adoptClaim'},
		phase: 'Succeeded',
		bound: 'Bound',
	},
	{
		what: 'a claim without its content needs permission, though somebody else fills it',
		of: prePopulated,
		given: on({}),
		plan: {do: 'refuse', reason: 'ErrResourceExists'},
		phase: 'Pending',
		bound: 'ErrResourceExists',
	},
	{
		what: 'that the content is there is remembered on the DataVolume',
		of: adopting,
		given: adopted(adopting, {annotations: populated}),
		plan: {do: 'markDataVolume', annotations: {[annotations.prePopulated]: 'disk'}},
		phase: 'Succeeded',
		bound: 'Bound',
	},
	{
		what: 'that the content will be there is not',
		of: adopting,
		given: adopted(adopting, {phase: 'Pending', annotations: populated}),
		plan: {do: 'wait', reason: 'Binding'},
		phase: 'Pending',
		bound: 'Pending',
	},
	{
		what: 'its own claim is not given up any more once somebody else fills it',
		of: prePopulated,
		given: on({owner: prePopulated, phase: 'Pending', dataSource: {kind: 'VolumeSnapshot', name: 'gone'}}),
		plan: {do: 'wait', reason: 'Binding'},
		phase: 'Pending',
		bound: 'Pending',
	},
	{
		what: 'a volume that was made for its claim beforehand is all that a claim is made for, whatever the source says',
		of: dataVolume({source: {s3: {}}, annotations: {[annotations.checkStaticVolume]: ''}}),
		given: {clone: undefined, staticVolume: volume({name: 'static'})},
		plan: {do: 'createClaim', claim: {spec: {volumeName: 'static'}, metadata: {annotations: populated}}},
		phase: 'Pending',
		bound: 'NotFound',
	},
	{
		what: 'and that claim waits for nobody',
		of: adopting,
		given: {
			...adopted(adopting, {phase: 'Pending', volumeName: 'static', annotations: populated}),
			claimClass: late,
		},
		plan: {do: 'wait', reason: 'Binding'},
		phase: 'Pending',
		bound: 'Pending',
	},
	{
		what: 'its own claim that is in use and goes is the disk until then',
		of: prePopulated,
		given: on({owner: prePopulated, deleting: true}),
		plan: {do: 'wait', reason: 'ClaimMarkedForDeletion'},
		phase: 'Succeeded',
		bound: 'Bound',
	},
];

describe("somebody else's claim", () => {
	test.each(rows)('$what', ({of, given, plan, phase, bound}) => {
		const observed = world(of, given);
		const decided = decide(observed);
		expect(decided).toMatchObject(plan);
		const status = statusOf(observed, decided, {});
		expect(status?.phase).toBe(phase);
		expect(findCondition(status?.conditions, 'Bound')?.reason).toBe(bound);
	});

	const toldOf = (of: DataVolume, given: Partial<Observed>) => {
		const observed = world(of, given);
		const plan = decide(observed);
		const events = [...transitionEvents(observed, statusOf(observed, plan, {}) ?? {}), ...decisionEvents(plan)];
		return events.map(({type, reason, message}) => `${type} ${reason}: ${message}`);
	};

	test('is told to be that, not a clone', () => {
		expect(toldOf(adopting, adopted(adopting))).toEqual([
			'Normal ClaimAdopted: PVC disk has its content from somebody else, and is the disk of this DataVolume now',
		]);
	});

	test('that lost its volume is told once', () => {
		expect(toldOf(adopting, adopted(adopting, {phase: 'Lost'}))).toEqual(['Warning ErrClaimLost: PVC disk lost']);
	});

	test('that somebody deletes while it is used is told', () => {
		const events = toldOf(adopting, adopted(adopting, {deleting: true}));
		expect(events).toContain('Warning ErrResourceMarkedForDeletion: PersistentVolumeClaim ns/disk is being deleted');
	});
});

describe('a DataVolume with its disk and without any annotation', () => {
	const plain = dataVolume({source: {blank: {}}});
	const ofImport = {apiGroup: 'cdi.kubevirt.io', kind: 'VolumeImportSource', name: 'i'};
	const bound = {clone: undefined, ...on({owner: plain, dataSourceRef: ofImport})};

	test('gets one, last of all', () => {
		expect(decide(world(plain, {...bound, importSource: importSource()}))).toMatchObject({do: 'deleteImportSource'});
		expect(decide(world(plain, bound))).toEqual({
			do: 'markDataVolume',
			dataVolume: plain,
			annotations: {[annotations.annotated]: 'true'},
		});
	});

	test('keeps the one it has', () => {
		const named = dataVolume({source: {blank: {}}, annotations: {'example.com/team': 'a'}});
		expect(decide(world(named, {...bound, ...on({owner: named})}))).toEqual({do: 'nothing'});
	});
});
