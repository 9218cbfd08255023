import {describe, expect, test} from 'vitest';
import {
	claim,
	type ClaimOptions,
	cloneSource,
	dataVolume,
	driver,
	importSource,
	request,
	snapshot,
	storageClass,
	volume,
} from '../../test/support/builders.ts';
import {observedClone, observedDataVolume, plainClasses} from '../../test/support/observed.ts';
import type {PersistentVolumeClaim} from '../api/kubernetes.ts';
import {annotations, cdiGroup} from '../api/names.ts';
import type {Population} from '../populate/population.ts';
import {defaultPolicy} from '../smartclone/driver-policy.ts';
import type {CloneDecision} from '../smartclone/strategy.ts';
import {type DataVolumePlan, decide} from './decide.ts';
import {decisionEvents, transitionEvents} from './events.ts';
import type {Observed} from './observe.ts';
import type {ObservedClone} from './observe-clone.ts';
import {renderClaim, type RenderProblem} from './render.ts';
import {type Outcome, statusOf} from './status.ts';

const golden = {pvc: {namespace: 'images', name: 'golden'}};
/** Of any user's: a DataVolume without annotations gets one in the end. */
const some = {'example.com/team': 'a'};
const importing = dataVolume({source: {http: {url: 'http://example.com/x'}}, annotations: some});
const cloning = dataVolume({source: golden, annotations: some});
const restoring = dataVolume({source: {snapshot: {namespace: 'ns', name: 'snapshot'}}});
const external = dataVolume({
	spec: {storage: {dataSource: {kind: 'Other', name: 'x'}, resources: {requests: {storage: '1Gi'}}}},
});
const classes = [storageClass({annotations: {[annotations.defaultStorageClass]: 'true'}})];
const waitingClass = storageClass({waitsForConsumer: true, annotations: {[annotations.defaultStorageClass]: 'true'}});
const unmeasured: RenderProblem = {reason: 'SizeUnknown', message: 'not known yet'};
const missing: RenderProblem = {reason: 'ErrClaimNotValid', message: 'no class'};

const byCopy: CloneDecision = {
	way: 'copy',
	route: 'copyClaim',
	declined: [{way: 'snapshot', code: 'NoVolumeSnapshotClass', message: 'create one'}],
};

const byDriver: CloneDecision = {way: 'csi-clone', route: 'csiClone', declined: []};

const clone = observedClone;
const ready = (minimumBytes = 1n << 30n): Partial<ObservedClone> => ({
	serving: {state: 'ready', sharedSnapshot: 'shared', snapshotName: 'onesnap-1-0', minimumBytes},
	minimumBytes,
});

const world = (given: Partial<Observed> = {}) => observedDataVolume(given.dataVolume ?? importing, given);

const planOf = (given: Partial<Observed> = {}) => decide(world(given));
const owned = (options: ClaimOptions = {}, owner = importing) =>
	claim({name: 'disk', phase: 'Pending', owner, ...options});
const ours = {dataSourceRef: {apiGroup: cdiGroup, kind: 'VolumeImportSource', name: 'i'}};
const restored = (options: ClaimOptions = {}) =>
	owned({dataSource: {kind: 'VolumeSnapshot', name: 's'}, ...options}, cloning);
const population = (given: Partial<Population> = {}): Population => ({
	stage: 'running',
	inPlace: false,
	way: 'import',
	reason: undefined,
	message: '',
	restarts: 0,
	lastFailure: undefined,
	podReason: undefined,
	podMessage: undefined,
	podRunning: false,
	...given,
});
const done = population({stage: 'done'});

describe('decide: an import', () => {
	test('makes what describes the source, then the claim, then waits for it to be filled', () => {
		expect(planOf()).toMatchObject({
			do: 'createImportSource',
			source: {metadata: {name: 'volume-import-source-disk-uid'}},
		});
		const there = {importSource: importSource()};
		expect(planOf(there)).toMatchObject({
			do: 'createClaim',
			claim: {metadata: {name: 'disk'}, spec: {dataSourceRef: {kind: 'VolumeImportSource'}}},
		});
		const filling = {...there, claim: owned(ours), population: population()};
		expect(planOf(filling)).toMatchObject({do: 'wait', reason: 'Population'});
	});

	test('makes the source object again where somebody deleted it while it is needed', () => {
		expect(planOf({claim: owned(ours), population: population()})).toMatchObject({do: 'createImportSource'});
	});

	test('cleans up when the claim is filled, not before', () => {
		const bound = {claim: owned({phase: 'Bound', ...ours}), importSource: importSource()};
		expect(planOf({...bound, population: population({stage: 'moving'})})).toEqual({do: 'nothing'});
		expect(planOf({...bound, population: done})).toMatchObject({do: 'deleteImportSource'});
		expect(planOf({...bound, importSource: importSource({deleting: true}), population: done})).toEqual({do: 'nothing'});
		expect(planOf({claim: bound.claim, population: done})).toEqual({do: 'nothing'});
	});

	test('of nothing is an import too', () => {
		expect(planOf({dataVolume: dataVolume({source: {blank: {}}})})).toMatchObject({
			do: 'createImportSource',
			source: {spec: {source: {blank: {}}}},
		});
	});
});

describe('decide: a smart clone', () => {
	const of = (given: Partial<ObservedClone>, rest: Partial<Observed> = {}) =>
		planOf({dataVolume: cloning, clone: clone(given), ...rest});

	test('asks for a snapshot, waits for it, is restored from it', () => {
		const asked = {
			do: 'askForSnapshot',
			request: {...request(), source: golden.pvc},
			writer: undefined,
			quiet: undefined,
		};
		expect(of({})).toEqual(asked);
		const pending = {serving: {state: 'pending', sharedSnapshot: 's', message: 'being cut'}} as const;
		expect(of(pending)).toEqual({do: 'wait', reason: 'SnapshotNotReady', message: 'being cut'});
		expect(of(ready())).toMatchObject({
			do: 'restoreClaim',
			pace: {start: 8, most: 32},
			claim: {spec: {dataSource: {kind: 'VolumeSnapshot', name: 'onesnap-1-0'}}},
		});
	});

	test.each<[string, bigint, boolean, string]>([
		['what is wanted', 1n << 20n, false, '1Gi'],
		['what the snapshot needs, if that is more', 2n << 30n, false, '2Gi'],
		['the size of the source, where the driver wants that', 1n << 29n, true, '512Mi'],
	])('asks for %s', (_, minimumBytes, equalSizeRestore, storage) => {
		const policy = {...defaultPolicy, equalSizeRestore};
		expect(of({...ready(minimumBytes), policy})).toMatchObject({
			claim: {spec: {resources: {requests: {storage}}}},
		});
	});

	test('grows after an equal-size restore, before it is said to be there', () => {
		const grows = {phase: 'Bound', annotations: {[annotations.growTo]: '1Gi'}} as const;
		const small = {claim: restored({...grows, request: '512Mi'}), volume: volume({capacity: '512Mi'})};
		expect(of({}, small)).toMatchObject({do: 'growClaim', request: '1Gi'});
		const asked = {claim: restored(grows), volume: volume({capacity: '512Mi'})};
		expect(of({}, asked)).toMatchObject({do: 'wait', reason: 'Growing'});
		expect(of({}, {...asked, volume: volume()})).toEqual({do: 'nothing'});
	});

	test('has the labels of the instance type: on its claim at once, on itself with the next write', () => {
		const labels = {'instancetype.kubevirt.io/default-instancetype': 'u1.medium'};
		for (const decision of [undefined, byDriver, byCopy]) {
			const given = decision ? {decision} : ready();
			const plan = of(
				{...given, inherits: labels},
				{cloneSource: cloneSource({namespace: 'images', of: {kind: 'PersistentVolumeClaim', name: 'golden'}})},
			);
			expect(plan).toMatchObject({claim: {metadata: {labels}}});
		}
		const made = restored({phase: 'Bound', labels, annotations: {[annotations.cloneType]: 'csi-clone'}});
		expect(of({}, {claim: made, volume: volume()})).toEqual({
			do: 'markDataVolume',
			dataVolume: cloning,
			annotations: {[annotations.cloneType]: 'csi-clone'},
			labels,
		});
	});

	test('is grown once: what becomes of its source, or of the claim itself, later is none of this', () => {
		const grown = {claim: restored({phase: 'Bound', annotations: {[annotations.growTo]: '1Gi'}}), volume: volume()};
		const larger = renderClaim(dataVolume({source: golden, size: '5Gi'}), {
			storageClasses: classes,
			...plainClasses,
		});
		expect(of({}, {...grown, rendered: larger})).toEqual({do: 'nothing'});
		const asksMore = {claim: restored({phase: 'Bound', request: '5Gi'}), volume: volume()};
		expect(of({}, {...asksMore, rendered: larger})).toEqual({do: 'nothing'});
		expect(of({}, {claim: restored({phase: 'Bound'}), volume: volume(), rendered: larger})).toEqual({do: 'nothing'});
	});

	test('is restored at once where its class waits for a consumer and its user does not', () => {
		const rendered = renderClaim(cloning, {storageClasses: [waitingClass], ...plainClasses});
		const hurried = restored({annotations: {[annotations.bindImmediate]: ''}});
		expect(of(ready(), {rendered, claim: restored()})).toMatchObject({do: 'wait', reason: 'FirstConsumer'});
		expect(of(ready(), {rendered, claim: hurried})).toMatchObject({do: 'wait', reason: 'NoNode'});
		expect(of(ready(), {rendered, claim: hurried, node: 'node-1'})).toMatchObject({do: 'selectNode', node: 'node-1'});
		const placed = restored({annotations: {[annotations.bindImmediate]: '', [annotations.selectedNode]: 'node-1'}});
		expect(of(ready(), {rendered, claim: placed})).toMatchObject({do: 'wait', reason: 'Restoring'});
	});

	test.each([
		['Immediate', classes, {'volume.kubernetes.io/storage-provisioner': driver}],
		['WaitForFirstConsumer', [waitingClass], {}],
	] as const)('of a class with binding mode %s is given to the provisioner accordingly', (_, storageClasses, given) => {
		const rendered = renderClaim(cloning, {storageClasses, ...plainClasses});
		const {claim: made} = of(ready(), {rendered}) as {claim: PersistentVolumeClaim};
		const named = Object.entries(made.metadata.annotations ?? {}).filter(([name]) =>
			name.startsWith('volume.kubernetes'),
		);
		expect(Object.fromEntries(named)).toEqual(given);
	});

	test('whose snapshot is gone gives its claim up, which held nothing, and asks anew', () => {
		const gone = {claim: restored()};
		expect(of({serving: {state: 'none'}}, gone)).toMatchObject({do: 'abandonClaim', claim: {metadata: {name: 'disk'}}});
		expect(of(ready(), gone)).toMatchObject({do: 'wait', reason: 'Restoring'});
		const pending = {state: 'pending', sharedSnapshot: 'shared', message: 'why'} as const;
		expect(of({serving: pending}, gone)).toMatchObject({do: 'wait', reason: 'Restoring'});
		expect(of({serving: pending}, {...gone, snapshotLost: true})).toMatchObject({do: 'abandonClaim'});
		expect(of({serving: {state: 'none'}}, {...gone, claim: restored({phase: 'Bound'}), volume: volume()}).do).toBe(
			'nothing',
		);
	});

	test.each(['CloneNotAuthorized', 'CloneWithoutSource', 'CloneSourceNotReady', 'CloneValidationFailed'] as const)(
		'waits where the source is in the way: %s',
		(reason) => {
			expect(of({problem: {reason, message: 'why'}, decision: undefined})).toEqual({
				do: 'wait',
				reason,
				message: 'why',
			});
		},
	);

	test('a source that is missing comes before a size that cannot be told without it', () => {
		const problem = {reason: 'CloneWithoutSource', message: 'why'} as const;
		expect(of({problem}, {rendered: missing})).toMatchObject({do: 'wait', reason: 'CloneWithoutSource'});
	});

	test('a size that nobody knows is asked for, unless the source may not be cloned', () => {
		const looks = 'Pod images/size-detection-golden-uid looks';
		expect(of({}, {rendered: unmeasured, measuring: looks})).toMatchObject({
			do: 'measureSource',
			source: {namespace: 'images', name: 'golden'},
			message: looks,
		});
		const problem = {reason: 'CloneNotAuthorized', message: 'no'} as const;
		expect(of({problem}, {rendered: unmeasured})).toMatchObject({do: 'wait', reason: 'CloneNotAuthorized'});
	});

	test('CDI §4.5: where the gate HonorWaitForFirstConsumer is shut, a claim asks to be bound at once', () => {
		const asked = {claim: {metadata: {annotations: {[annotations.bindImmediate]: ''}}}};
		const shut = {bindsAtOnce: true};
		expect(of(ready(), shut)).toMatchObject({do: 'restoreClaim', ...asked});
		expect(of(ready())).not.toMatchObject(asked);
		const imported = {dataVolume: importing, importSource: importSource(), clone: undefined};
		expect(planOf({...imported, ...shut})).toMatchObject({do: 'createClaim', ...asked});
		expect(planOf(imported)).not.toMatchObject(asked);
	});

	test('CDI §5.7: a copy whose size is that of the disk may be smaller than the claim of its source', () => {
		const copied = clone({decision: byCopy});
		const rendered = renderClaim(cloning, {storageClasses: classes, ...plainClasses});
		if ('reason' in rendered) throw new Error(rendered.message);
		const plan = (sizedByDisk: boolean) =>
			planOf({
				dataVolume: cloning,
				clone: copied,
				rendered: {...rendered, ...(sizedByDisk && {sizedByDisk})},
				cloneSource: cloneSource({namespace: 'images', of: {kind: 'PersistentVolumeClaim', name: 'golden'}}),
			});
		const permissive = {[annotations.permissiveClone]: 'true'};
		expect(plan(true)).toMatchObject({do: 'createClaim', claim: {metadata: {annotations: permissive}}});
		expect(plan(false)).not.toMatchObject({claim: {metadata: {annotations: permissive}}});
		expect(plan(false)).toMatchObject({do: 'createClaim'});
	});
});

describe('decide: the other clones', () => {
	test('a copy gets a clone source, then a claim to be filled, with the reason on it', () => {
		const copied = clone({decision: byCopy});
		expect(planOf({dataVolume: cloning, clone: copied})).toMatchObject({
			do: 'createCloneSource',
			source: {metadata: {namespace: 'images'}},
		});
		const plan = planOf({dataVolume: cloning, clone: copied, cloneSource: cloneSource({namespace: 'images'})});
		expect(plan).toMatchObject({do: 'createClaim', claim: {spec: {dataSourceRef: {kind: 'VolumeCloneSource'}}}});
		expect(plan.do === 'createClaim' && plan.claim.metadata.annotations).toMatchObject({
			[annotations.cloneType]: 'copy',
			[annotations.cloneFallbackReason]: 'NoVolumeSnapshotClass: create one',
			[annotations.dataSourceNamespace]: 'images',
		});
		expect(decisionEvents(plan)).toEqual([
			{type: 'Warning', reason: 'NoVolumeSnapshotClass', message: 'Not cloned by snapshot: create one'},
		]);
	});

	const origin = {kind: 'VolumeSnapshot', namespace: 'ns', name: 'snapshot'} as const;

	test('a snapshot of the same namespace is restored as it is', () => {
		const given = {origin, serving: undefined, snapshot: snapshot()};
		expect(planOf({dataVolume: restoring, clone: clone(given)})).toMatchObject({
			do: 'restoreClaim',
			claim: {spec: {dataSource: {kind: 'VolumeSnapshot', name: 'snapshot'}}},
		});
	});

	test('a snapshot of another namespace is restored there and moved', () => {
		const given = clone({origin: {...origin, namespace: 'images'}, serving: undefined});
		expect(planOf({dataVolume: restoring, clone: given})).toMatchObject({do: 'createCloneSource'});
		const named = cloneSource({namespace: 'images', of: {kind: 'VolumeSnapshot', name: 'snapshot'}});
		expect(planOf({dataVolume: restoring, clone: given, cloneSource: named})).toMatchObject({
			do: 'createClaim',
			claim: {metadata: {annotations: {[annotations.cloneType]: 'snapshot'}}},
		});
	});

	test('what somebody else fills is made, and waited for', () => {
		expect(planOf({dataVolume: external})).toMatchObject({
			do: 'createClaim',
			claim: {spec: {dataSource: {kind: 'Other'}}},
		});
		expect(planOf({dataVolume: external, claim: owned({}, external)})).toMatchObject({do: 'wait', reason: 'Binding'});
	});
});

describe('decide: what is refused or left alone', () => {
	test.each<[string, Partial<Observed>, object]>([
		[
			'a source that is not supported',
			{dataVolume: dataVolume({source: {s3: {}}})},
			{do: 'refuse', reason: 'NotSupported'},
		],
		['a source that is none', {dataVolume: dataVolume({source: {}})}, {do: 'refuse', reason: 'Invalid'}],
		[
			'a claim that cannot be rendered',
			{rendered: missing},
			{do: 'refuse', reason: 'ErrClaimNotValid', message: 'no class'},
		],
		[
			'a claim of somebody else in its place',
			{claim: claim({name: 'disk'})},
			{do: 'refuse', reason: 'ErrResourceExists'},
		],
		[
			'a claim of its predecessor',
			{claim: claim({name: 'disk', owner: dataVolume({uid: 'old'})})},
			{do: 'wait', reason: 'ClaimTerminating'},
		],
		['a claim that is being deleted', {claim: owned({deleting: true})}, {do: 'wait', reason: 'ClaimTerminating'}],
		['a claim that lost its volume', {claim: owned({phase: 'Lost'})}, {do: 'nothing'}],
		['a DataVolume that is being deleted', {dataVolume: dataVolume({source: golden, deleting: true})}, {do: 'nothing'}],
	])('%s', (_, given, plan) => {
		expect(planOf(given)).toMatchObject(plan);
	});

	test('clone sources of a DataVolume that is gone go, whatever is there now', () => {
		const orphanSources = [cloneSource({deleting: true}), cloneSource({name: 'stray'})];
		const plan = {do: 'deleteCloneSource', source: {metadata: {name: 'stray'}}};
		expect(planOf({orphanSources})).toMatchObject(plan);
		expect(decide({...world({orphanSources}), dataVolume: undefined})).toMatchObject(plan);
	});
});

/** CDI's phases, conditions and reasons: reference/cdi-api.md §2. */
describe('status', () => {
	const report = (given: Partial<Observed>, outcome: Outcome = {}) => {
		const observed = world(given);
		return statusOf(observed, decide(observed), outcome);
	};
	const condition = (status: ReturnType<typeof report>, type: string) => {
		const found = status?.conditions?.find((each) => each.type === type);
		return found && `${found.status} ${found.reason}: ${found.message}`;
	};

	type Row = readonly [
		phase: string,
		when: string,
		given: Partial<Observed>,
		bound: string,
		running: string,
		ready: string,
	];
	const pending = 'False Pending: PVC disk Pending';
	const filling = (given: Partial<Population>, rest: Partial<Observed> = {}): Partial<Observed> => ({
		claim: owned(ours),
		importSource: importSource(),
		population: population(given),
		...rest,
	});
	const copying = (given: Partial<Population>): Partial<Observed> => ({
		dataVolume: cloning,
		clone: clone({decision: byCopy}),
		cloneSource: cloneSource(),
		claim: owned(ours, cloning),
		population: population({way: 'copy', ...given}),
	});
	const bound = (of: PersistentVolumeClaim, rest: Partial<Observed>): Partial<Observed> => ({
		claim: of,
		volume: volume(),
		...rest,
	});
	const none = 'False : ';
	const rows: readonly Row[] = [
		['Pending', 'nothing is made', {}, 'False NotFound: No PVC found', none, none],
		[
			'Pending',
			'a source object is missing',
			filling({stage: 'waiting', reason: 'SourceObjectMissing', message: 'gone'}),
			'False SourceObjectMissing: gone',
			none,
			none,
		],
		['PendingPopulation', 'a consumer is waited for', filling({stage: 'firstConsumer'}), pending, none, none],
		[
			'ImportScheduled',
			'the worker starts',
			filling({stage: 'scheduled', podReason: 'ContainerCreating'}),
			pending,
			'False ContainerCreating: ',
			none,
		],
		[
			'ImportScheduled',
			'its image cannot be pulled',
			filling({stage: 'scheduled', podReason: 'ErrImagePull', podMessage: '401'}),
			pending,
			'False ImagePullFailed: 401',
			'False ImagePullFailed: 401',
		],
		[
			'ImportInProgress',
			'the worker runs',
			filling({podRunning: true}),
			pending,
			'True Pod is running: ',
			'False TransferRunning: ',
		],
		[
			'ImportInProgress',
			'a try failed and is made again',
			filling({restarts: 2, lastFailure: '503'}),
			pending,
			'False Error: 503',
			'False Error: 503',
		],
		['ImportInProgress', 'the volume is moved', filling({stage: 'moving'}), pending, none, none],
		[
			'Failed',
			'the checksum differs',
			filling({stage: 'failed', reason: 'ChecksumMismatch', message: 'x'}),
			pending,
			'False ChecksumError: ChecksumMismatch: x',
			'False ChecksumError: ChecksumMismatch: x',
		],
		[
			'Failed',
			'the image is none',
			filling({stage: 'failed', reason: 'InvalidImage', message: 'x'}),
			pending,
			'False Error: InvalidImage: x',
			'False Error: InvalidImage: x',
		],
		[
			'Succeeded',
			'the disk is there',
			bound(owned({phase: 'Bound', ...ours}), {population: done}),
			'True Bound: PVC disk Bound',
			'False Completed: Import Complete',
			'True : ',
		],
		[
			'CloneScheduled',
			'the source of a copy is in use',
			copying({stage: 'waiting', reason: 'CloneSourceInUse', message: 'pod x'}),
			'False CloneSourceInUse: pod x',
			none,
			none,
		],
		['CloneScheduled', 'the copier starts', copying({stage: 'scheduled'}), pending, none, none],
		[
			'CloneInProgress',
			'the copier runs',
			copying({podRunning: true}),
			pending,
			'True Pod is running: ',
			'False TransferRunning: ',
		],
		['RebindInProgress', 'the copy is moved', copying({stage: 'moving'}), pending, none, none],
		[
			'CloneFromSnapshotSourceInProgress',
			'a restore beside it goes on',
			copying({stage: 'scheduled', way: 'restore'}),
			pending,
			none,
			none,
		],
		[
			'SnapshotForSmartCloneInProgress',
			'a snapshot is asked for',
			{dataVolume: cloning, clone: clone()},
			'False NotFound: No PVC found',
			none,
			none,
		],
		[
			'CloneFromSnapshotSourceInProgress',
			'the restore goes on',
			{dataVolume: cloning, clone: clone(ready()), claim: restored()},
			pending,
			'True Populator is running: ',
			'False TransferRunning: ',
		],
		[
			'PrepClaimInProgress',
			'the restored disk grows',
			bound(restored({phase: 'Bound', request: '512Mi', annotations: {[annotations.growTo]: '1Gi'}}), {
				dataVolume: cloning,
				clone: clone(),
				volume: volume({capacity: '512Mi'}),
			}),
			'True Bound: PVC disk Bound',
			none,
			none,
		],
		[
			'Succeeded',
			'the clone is there',
			bound(restored({phase: 'Bound'}), {dataVolume: cloning, clone: clone()}),
			'True Bound: PVC disk Bound',
			'False Completed: Clone Complete',
			'True : ',
		],
		[
			'Pending',
			'the source is missing',
			{dataVolume: cloning, clone: clone({problem: {reason: 'CloneWithoutSource', message: 'm'}})},
			'False CloneWithoutSource: m',
			none,
			'False CloneWithoutSource: m',
		],
		[
			'CloneScheduled',
			'the source is not there yet',
			{dataVolume: cloning, clone: clone({problem: {reason: 'CloneSourceNotReady', message: 'm'}})},
			'False CloneSourceNotReady: m',
			none,
			'False CloneSourceNotReady: m',
		],
		[
			'Pending',
			'nobody knows its size',
			{dataVolume: cloning, clone: clone(), rendered: unmeasured, measuring: 'a Pod looks'},
			'False SizeDetectionPodNotReady: a Pod looks',
			none,
			'False SizeDetectionPodNotReady: a Pod looks',
		],
		[
			'',
			'no claim can be rendered',
			{rendered: missing},
			'False ErrClaimNotValid: no class',
			none,
			'False ErrClaimNotValid: no class',
		],
		['Failed', 'the volume is lost', {claim: owned({phase: 'Lost'})}, 'False ClaimLost: Claim Lost', none, none],
		['Pending', 'somebody else fills it', {dataVolume: external, claim: owned({}, external)}, pending, none, none],
	];

	test.each(rows)('%s: %s', (phase, _, given, boundText, runningText, readyText) => {
		const status = report(given);
		expect(status?.phase).toBe(phase);
		expect(condition(status, 'Bound')).toBe(boundText);
		expect(condition(status, 'Running')).toBe(runningText);
		expect(condition(status, 'Ready')).toBe(readyText);
		expect(status?.claimName).toBe(given.claim && 'disk');
	});

	/** From a template's DataVolume, as KubeVirt reads it; `goes on` is to begin the machine. */
	function machineStatusOf(status: ReturnType<typeof report>): string {
		const [running, boundOf] = [condition(status, 'Running') ?? '', condition(status, 'Bound') ?? ''];
		const {phase = ''} = status ?? {};
		if (phase === 'Pending' && boundOf.startsWith('False ErrExceededQuota')) return 'refused';
		if (phase === 'Failed' || /^False (Error|ImagePullFailed):/.test(running)) return 'DataVolumeError';
		return ['Succeeded', 'PendingPopulation'].includes(phase) ? 'goes on' : 'Provisioning';
	}

	test.each<[string, Partial<Observed>, string, Outcome?]>([
		['nothing is made', {}, 'Provisioning'],
		['the worker runs', filling({podRunning: true}), 'Provisioning'],
		['a try failed and is made again', filling({restarts: 2, lastFailure: '503'}), 'DataVolumeError'],
		['the image cannot be pulled', filling({stage: 'scheduled', podReason: 'ErrImagePull'}), 'DataVolumeError'],
		['the image is none', filling({stage: 'failed', reason: 'InvalidImage'}), 'DataVolumeError'],
		['the volume is lost', {claim: owned({phase: 'Lost'})}, 'DataVolumeError'],
		['a quota refuses the claim', {importSource: importSource()}, 'refused', {quota: 'exceeded quota: q'}],
		['a quota refuses the worker', filling({stage: 'waiting', reason: 'ErrExceededQuota'}), 'refused'],
		['a quota refuses the copier', copying({stage: 'waiting', reason: 'ErrExceededQuota'}), 'refused'],
		['a clone waits for its source', {dataVolume: cloning, clone: clone()}, 'Provisioning'],
		['a consumer is waited for', filling({stage: 'firstConsumer'}), 'goes on'],
		['the disk is there', bound(owned({phase: 'Bound', ...ours}), {population: done}), 'goes on'],
	])('CDI §13.4: where %s, a machine %s', (...[, given, expected, outcome]) => {
		expect(machineStatusOf(report(given, outcome))).toBe(expected);
	});

	test.each(rows.map((row) => [row[0], row[1], row[2]] as const))(
		'CDI §13.5: Ready is True in phase Succeeded only, not in %s (%s)',
		(phase, _, given) => {
			expect(condition(report(given), 'Ready')?.startsWith('True')).toBe(phase === 'Succeeded');
		},
	);

	test('what the API server refuses is said in its words', () => {
		const quota = report({importSource: importSource()}, {quota: 'exceeded quota: q'});
		expect(quota?.phase).toBe('Pending');
		expect(condition(quota, 'Bound')).toBe('False ErrExceededQuota: exceeded quota: q');
		const invalid = report({importSource: importSource()}, {invalid: 'spec is wrong'});
		expect(invalid?.phase).toBe('');
		expect(condition(invalid, 'Ready')).toBe('False ErrClaimNotValid: spec is wrong');
	});

	test.each<[string, number | undefined, string | undefined, string]>([
		['not known', undefined, undefined, 'N/A'],
		['two digits', 45.314, undefined, '45.31%'],
		['never back', 10, '45.31%', '45.31%'],
		['forward', 50, '45.31%', '50.00%'],
		['not 100 before the disk can be used', 100, undefined, '99.99%'],
		['kept while the worker says nothing', undefined, '45.31%', '45.31%'],
		['begun anew after a disk that was complete', undefined, '100.0%', 'N/A'],
	])('progress is %s', (_, percent, before, progress) => {
		const of = dataVolume({source: {blank: {}}, status: before === undefined ? {} : {progress: before}});
		expect(report({dataVolume: of, percent})?.progress).toBe(progress);
	});

	test('progress is 100.0% at the end, with one digit', () => {
		expect(report({claim: owned({phase: 'Bound'}), percent: 3})?.progress).toBe('100.0%');
	});

	test('restarts are never counted down', () => {
		const of = dataVolume({source: {blank: {}}, status: {restartCount: 3}});
		expect(report({dataVolume: of, claim: owned(ours, of), population: population({restarts: 1})})?.restartCount).toBe(
			3,
		);
		expect(report(filling({restarts: 4}))?.restartCount).toBe(4);
		expect(report({})).not.toHaveProperty('restartCount');
	});

	test('there is none of what is being deleted', () => {
		expect(report({dataVolume: dataVolume({source: golden, deleting: true})})).toBeUndefined();
	});

	test('the same world twice is the same status', () => {
		const first = report(filling({podRunning: true}));
		const again = dataVolume({
			...importing.metadata,
			source: {http: {url: 'http://example.com/x'}},
			...(first && {status: first}),
		});
		expect(
			report({...filling({podRunning: true}), dataVolume: again, claim: owned(ours, again), now: 'later'}),
		).toEqual(first);
	});

	test('a transition is an event, once', () => {
		const observed = world(filling({podRunning: true}));
		const status = statusOf(observed, decide(observed), {});
		if (!status) throw new Error('no status');
		expect(transitionEvents(observed, status).map(({type, reason}) => `${type} ${reason}`)).toEqual([
			'Normal ImportInProgress',
		]);
		const told = {...observed, dataVolume: {...importing, status}};
		expect(transitionEvents(told, status)).toEqual([]);
	});

	test.each<[string, Partial<Observed>, string]>([
		['a failed try', filling({lastFailure: '503'}), 'Warning Error'],
		[
			'a source that is missing',
			{dataVolume: cloning, clone: clone({problem: {reason: 'CloneWithoutSource', message: 'm'}})},
			'Warning CloneWithoutSource',
		],
		['a claim that cannot be rendered', {rendered: missing}, 'Warning ErrClaimNotValid'],
		[
			'a clone that is there',
			bound(restored({phase: 'Bound'}), {dataVolume: cloning, clone: clone()}),
			'Normal CloneSucceeded',
		],
		['an import that is there', bound(owned({phase: 'Bound', ...ours}), {population: done}), 'Normal ImportSucceeded'],
		[
			'what somebody else filled',
			bound(owned({phase: 'Bound'}, external), {dataVolume: external}),
			'Normal ExternalPopulationSucceeded',
		],
	])('%s is told', (_, given, event) => {
		const observed = world(given);
		const status = statusOf(observed, decide(observed), {}) ?? {};
		expect(transitionEvents(observed, status).map(({type, reason}) => `${type} ${reason}`)).toContain(event);
	});

	test('nothing is declined where nothing is decided', () => {
		const plan: DataVolumePlan = {do: 'nothing'};
		expect(decisionEvents(plan)).toEqual([]);
	});
});
