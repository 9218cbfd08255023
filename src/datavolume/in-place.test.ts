/** DataVolumes whose claims are filled in place: being Bound means nothing there. */
import {describe, expect, test} from 'vitest';
import {
	claim,
	type ClaimOptions,
	cloneSource,
	csiDriver,
	dataVolume,
	type DataVolumeOptions,
	importSource,
	plainSets,
	storageClass,
	storageProfile,
	volume,
} from '../../test/support/builders.ts';
import {MemoryCaches} from '../../test/support/memory-caches.ts';
import {findCondition} from '../api/conditions.ts';
import type {DataVolume} from '../api/datavolume.ts';
import type {KubeObject, PersistentVolumeClaim} from '../api/kubernetes.ts';
import {annotations, cdiGroup} from '../api/names.ts';
import {fillFrom, fillFromOf} from '../populate/in-place.ts';
import type {Population, PopulationStage} from '../populate/population.ts';
import {addSharingIndexes} from '../smartclone/observe.ts';
import {WaitingRequests} from '../smartclone/requests.ts';
import {clonePolicies} from './authorization.ts';
import {decide} from './decide.ts';
import {addIndexes, observe} from './observe.ts';
import {statusOf} from './status.ts';

const isDefault = {annotations: {[annotations.defaultStorageClass]: 'true'}};
const plainClass = storageClass({provisioner: 'example.com/nfs', ...isDefault});
const csiClass = storageClass(isDefault);

const importing = (options: DataVolumeOptions = {}) =>
	dataVolume({source: {http: {url: 'http://example.com/disk'}}, ...options});
const cloning = (namespace = 'ns', options: DataVolumeOptions = {}) =>
	dataVolume({source: {pvc: {namespace, name: 'golden'}}, ...options});
const golden = (options: ClaimOptions = {}) => claim({name: 'golden', volumeName: 'golden-volume', ...options});

const population = (stage: PopulationStage, way: Population['way'] = 'import'): Population => ({
	stage,
	inPlace: true,
	way,
	reason: undefined,
	message: '',
	restarts: 0,
	lastFailure: undefined,
	podReason: undefined,
	podMessage: undefined,
	podRunning: stage === 'running',
});

function see(objects: readonly KubeObject[], populated: Population = population('running')) {
	const {caches} = new MemoryCaches([...objects, storageProfile({spec: {claimPropertySets: plainSets}})]);
	addIndexes(caches);
	addSharingIndexes(caches);
	return observe('ns/disk', {
		caches,
		waiting: new WaitingRequests(() => {}),
		lost: {messageOf: () => undefined},
		populationOf: () => populated,
		percentOf: () => undefined,
		now: () => Date.parse('2026-01-01T01:00:00Z'),
	});
}
const planOf = (...parameters: Parameters<typeof see>) => decide(see(...parameters));

function claimPlanned(...objects: readonly KubeObject[]): PersistentVolumeClaim {
	const plan = planOf(objects);
	if (plan.do !== 'createClaim') throw new Error(JSON.stringify(plan));
	return plan.claim;
}

const ofDataVolume = importSource({name: 'volume-import-source-disk-uid'});

describe('which claims are filled in place', () => {
	const wish = (usePopulator: string) => ({annotations: {[annotations.usePopulator]: usePopulator}});
	test.each<[string, DataVolume, readonly KubeObject[], boolean]>([
		['whose provisioner has no CSIDriver object', importing(), [plainClass], true],
		['of a CSI driver', importing(), [csiClass, csiDriver()], false],
		['of a CSI driver, where populators are forbidden', importing(wish('false')), [csiClass, csiDriver()], true],
		['whose driver does without that object, says its owner', importing(wish('true')), [plainClass], false],
	])('one %s', (_, of, cluster, inPlace) => {
		const made = claimPlanned(of, ofDataVolume, ...cluster);
		if (inPlace) {
			expect(fillFromOf(made)).toEqual({kind: 'VolumeImportSource', name: 'volume-import-source-disk-uid'});
			expect(made.spec.dataSourceRef).toBeUndefined();
			expect(made.metadata.annotations?.[annotations.usePopulator]).toBe('false');
		} else {
			expect(fillFromOf(made)).toBeUndefined();
			expect(made.spec.dataSourceRef).toMatchObject({apiGroup: cdiGroup, kind: 'VolumeImportSource'});
		}
	});

	test('no annotation of a DataVolume makes its claim look filled, or filled from elsewhere', () => {
		const forged = {
			...fillFrom({kind: 'VolumeCloneSource', name: 'theirs'}),
			[annotations.populated]: 'true',
			[annotations.podPhase]: 'Succeeded',
		};
		const made = claimPlanned(importing({annotations: forged}), ofDataVolume, plainClass);
		expect(fillFromOf(made)?.name).toBe('volume-import-source-disk-uid');
		expect(made.metadata.annotations).not.toHaveProperty([annotations.populated]);
		expect(made.metadata.annotations).not.toHaveProperty([annotations.podPhase]);
	});
});

describe('the phase of a DataVolume whose claim is filled in place', () => {
	const of = importing();
	const own = (phase: 'Bound' | 'Pending', owner = of) =>
		claim({
			name: 'disk',
			phase,
			owner,
			annotations: fillFrom({kind: 'VolumeImportSource', name: ofDataVolume.metadata.name}),
		});
	const seen = (stage: PopulationStage, phase: 'Bound' | 'Pending' = 'Bound') => {
		const observed = see([of, ofDataVolume, own(phase), plainClass], population(stage));
		return statusOf(observed, decide(observed), {});
	};

	test.each<[string, PopulationStage, 'Bound' | 'Pending', string]>([
		['its volume is waited for', 'binding', 'Pending', 'Pending'],
		['its worker is starting', 'scheduled', 'Bound', 'ImportScheduled'],
		['its worker is at work', 'running', 'Bound', 'ImportInProgress'],
		['its worker leaves', 'moving', 'Bound', 'ImportInProgress'],
		['its worker can never succeed', 'failed', 'Bound', 'Failed'],
		['it is complete', 'done', 'Bound', 'Succeeded'],
	])('while %s', (_, stage, bound, phase) => {
		const status = seen(stage, bound);
		expect(status?.phase).toBe(phase);
		expect(findCondition(status?.conditions, 'Bound')).toMatchObject(
			bound === 'Bound' ? {status: 'True', reason: 'Bound'} : {status: 'False', reason: 'Pending'},
		);
		expect(findCondition(status?.conditions, 'Ready')?.status).toBe(phase === 'Succeeded' ? 'True' : 'False');
	});

	test('KubeVirt §1.4 WaitForFirstConsumer: said of a claim without a populator that waits for its consumer', () => {
		expect(seen('firstConsumer', 'Pending')?.phase).toBe('WaitForFirstConsumer');
	});

	/** It was complete once, and the DataVolume remembers. */
	const remembers = importing({annotations: {[annotations.filled]: 'disk-uid'}});

	test('what describes its source stays until it is complete, and that is on record', () => {
		const objects = [of, ofDataVolume, own('Bound'), plainClass];
		expect(planOf(objects, population('moving'))).toMatchObject({do: 'wait', reason: 'Population'});
		expect(planOf(objects, population('done'))).toMatchObject({
			do: 'markDataVolume',
			annotations: {[annotations.filled]: 'disk-uid'},
		});
		expect(planOf([remembers, ofDataVolume, own('Bound'), plainClass], population('done'))).toMatchObject({
			do: 'deleteImportSource',
		});
		// Somebody deleted it while it was needed.
		expect(planOf([of, own('Bound'), plainClass])).toMatchObject({do: 'createImportSource'});
	});
});

describe('a claim in place', () => {
	const marked = fillFrom({kind: 'VolumeImportSource', name: ofDataVolume.metadata.name});
	const seen = (of: DataVolume, options: ClaimOptions, stage: PopulationStage) => {
		const disk = claim({name: 'disk', owner: of, ...options, annotations: {...marked, ...options.annotations}});
		const observed = see([of, disk, plainClass], population(stage));
		const plan = decide(observed);
		return {plan, phase: statusOf(observed, plan, {})?.phase};
	};

	test('that lost its mark is not filled again by a DataVolume that remembers', () => {
		const remembers = importing({annotations: {[annotations.filled]: 'disk-uid'}});
		expect(seen(remembers, {}, 'waiting')).toEqual({plan: {do: 'nothing'}, phase: 'Succeeded'});
		const another = importing({annotations: {[annotations.filled]: 'another-uid'}});
		expect(seen(another, {}, 'waiting').plan).toMatchObject({do: 'createImportSource'});
	});

	test.each([
		['half-filled is no disk', {}, {}, 'Pending'],
		['complete is the disk until it is gone', {[annotations.populated]: 'true'}, {}, 'Succeeded'],
		['complete by the record is that, too', {}, {[annotations.filled]: 'disk-uid'}, 'Succeeded'],
	])('that is deleted %s', (_, onClaim, onDataVolume, phase) => {
		const of = importing({annotations: onDataVolume});
		expect(seen(of, {deleting: true, finalizers: ['x'], annotations: onClaim}, 'running').phase).toBe(phase);
	});

	test.each<[string, PopulationStage, string]>([
		['is no disk while a worker is at it', 'running', 'ImportInProgress'],
		['is its disk when that is done', 'done', 'Succeeded'],
		['is its disk where nobody is at it, as after a restore', 'waiting', 'Succeeded'],
	])('that a DataVolume took over %s', (_, stage, phase) => {
		const of = importing({annotations: {[annotations.allowClaimAdoption]: 'true'}});
		const from = {[annotations.createdForDataVolume]: 'an-earlier-one'};
		expect(seen(of, {annotations: from}, stage).phase).toBe(phase);
	});
});

/** Without it no clone from another namespace is begun. */
const admission = clonePolicies.flatMap((name) =>
	['ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'].map(
		(kind): KubeObject => ({
			apiVersion: 'admissionregistration.k8s.io/v1',
			kind,
			metadata: {name, creationTimestamp: '2025-01-01T00:00:00Z'},
		}),
	),
);

describe('a clone in place', () => {
	const boundTo = (of: PersistentVolumeClaim) => volume({name: 'golden-volume', boundTo: of});
	const here = (owner = 'ns/disk') =>
		cloneSource({name: 'volume-clone-source-disk-uid', annotations: {[annotations.ownedByDataVolume]: owner}});
	const there = () => ({...here(), metadata: {...here().metadata, namespace: 'images'}});

	test('is copied, and says why', () => {
		const made = claimPlanned(cloning(), here(), golden(), boundTo(golden()), plainClass);
		expect(fillFromOf(made)).toEqual({kind: 'VolumeCloneSource', name: 'volume-clone-source-disk-uid'});
		expect(made.metadata.annotations?.[annotations.cloneType]).toBe('copy');
		expect(made.metadata.annotations?.[annotations.cloneFallbackReason]).toMatch(
			/^NoPopulator: In tree storage class does not support snapshot\/clone/,
		);
	});

	test('waits for a source that is bound, and still being filled', () => {
		const source = golden({annotations: fillFrom({kind: 'VolumeImportSource', name: 'import'})});
		expect(planOf([cloning(), source, boundTo(source), plainClass])).toMatchObject({
			do: 'wait',
			reason: 'CloneSourceNotReady',
			message: 'The source pvc ns/golden is still being filled',
		});
	});

	test('from another namespace has a clone source on either side, and leaves none', () => {
		const source = golden({namespace: 'images'});
		const of = dataVolume({...cloning('images'), source: {pvc: {namespace: 'images', name: 'golden'}}});
		const own = claim({
			name: 'disk',
			owner: of,
			annotations: {
				...fillFrom({kind: 'VolumeCloneSource', name: here().metadata.name}),
				[annotations.dataSourceNamespace]: 'images',
			},
		});
		const world = [of, own, source, boundTo(source), plainClass, ...admission];
		const cloned = (stage: PopulationStage) => population(stage, 'copy');
		const [first, second] = [planOf(world, cloned('waiting')), planOf([...world, there()], cloned('waiting'))];
		expect(first).toMatchObject({do: 'createCloneSource', source: {metadata: {namespace: 'images'}}});
		expect(second).toMatchObject({
			do: 'createCloneSource',
			source: {metadata: {namespace: 'ns', ownerReferences: [{kind: 'DataVolume'}]}},
		});
		const all = [...world, there(), here()];
		expect(planOf(all, cloned('running'))).toMatchObject({do: 'wait', reason: 'Population'});
		const filled = {...of, metadata: {...of.metadata, annotations: {[annotations.filled]: 'disk-uid'}}};
		const then = (...left: readonly KubeObject[]) => planOf([filled, ...world.slice(1), ...left], cloned('done'));
		// Not told as its own way before: the claim says none here.
		expect(then(there(), here())).toMatchObject({do: 'deleteCloneSource', source: there()});
		expect(then(here())).toMatchObject({do: 'deleteCloneSource', source: here()});
	});
});
