import {describe, expect, test} from 'vitest';
import {claim, dataSource, type DataSourceOptions, dataVolume, snapshot} from '../../test/support/builders.ts';
import {MemoryCaches} from '../../test/support/memory-caches.ts';
import type {DataSource} from '../api/data-source.ts';
import type {KubeObject} from '../api/kubernetes.ts';
import * as resources from '../kube/resources.ts';
import {decide} from './decide.ts';
import {dataSourcesByTarget, dataSourcesOf, observe} from './observe.ts';

const now = '2026-01-01T01:00:00Z';
const golden = {namespace: 'ns', name: 'golden'};
const ofClaim = (options: DataSourceOptions = {}) => dataSource({source: {pvc: golden}, ...options});
const ofSnapshot = (options: DataSourceOptions = {}) => dataSource({source: {snapshot: golden}, ...options});
const ofOther = (name: string, namespace = 'ns') => dataSource({source: {dataSource: {namespace, name}}});

function cachesOf(objects: readonly KubeObject[]) {
	const {caches} = new MemoryCaches(objects);
	caches.addIndex(resources.dataSources, dataSourcesByTarget);
	return caches;
}

/** What is planned for the DataSource ns/os. */
const planFor = (...objects: KubeObject[]) =>
	decide(observe('ns/os', {caches: cachesOf(objects), now: () => Date.parse(now)}));

function reportOn(...objects: KubeObject[]) {
	const plan = planFor(...objects);
	if (plan.do !== 'report') throw new Error('nothing is reported');
	return plan;
}

function readyOf(...objects: KubeObject[]) {
	const {status, reason, message} = reportOn(...objects).status.conditions?.[0] ?? {};
	return {status, reason, message};
}

const theClaim = claim({name: 'golden'});
const theSnapshot = snapshot({name: 'golden'});
const yes = {status: 'True', reason: 'Ready', message: 'DataSource is ready to be consumed'};
const no = (reason: string, message: string) => ({status: 'False', reason, message});

describe('CDI §9: DataSource Ready', () => {
	test.each<[string, readonly KubeObject[], object]>([
		['a claim', [ofClaim(), theClaim], yes],
		['no claim', [ofClaim()], no('NotFound', 'PVC not found')],
		[
			'a claim that is being deleted',
			[ofClaim(), claim({name: 'golden', deleting: true})],
			no('NotFound', 'PVC not found'),
		],
		[
			'a claim that is being imported',
			[ofClaim(), theClaim, dataVolume({name: 'golden', status: {phase: 'ImportInProgress'}})],
			no('ImportInProgress', 'Import DataVolume phase ImportInProgress'),
		],
		[
			'a DataVolume that nobody has looked at',
			[ofClaim(), dataVolume({name: 'golden'})],
			no('Pending', 'Import DataVolume phase Pending'),
		],
		[
			'a claim that was imported',
			[ofClaim(), theClaim, dataVolume({name: 'golden', status: {phase: 'Succeeded'}})],
			yes,
		],
		[
			'a DataVolume whose claim is gone',
			[ofClaim(), dataVolume({name: 'golden', status: {phase: 'Succeeded'}})],
			no('NotFound', 'PVC not found'),
		],
		['a snapshot', [ofSnapshot(), theSnapshot], yes],
		['no snapshot', [ofSnapshot(), theClaim], no('NotFound', 'Snapshot not found')],
		[
			'a snapshot that is not ready',
			[ofSnapshot(), snapshot({name: 'golden', ready: false})],
			no('SnapshotNotReady', 'Snapshot is not ready to use'),
		],
		['nothing', [dataSource()], no('NoSource', 'No source PVC set')],
	])('of %s', (_, objects, condition) => {
		expect(readyOf(...objects)).toEqual(condition);
	});

	test.each<[string, readonly KubeObject[], string, string]>([
		['that does not exist', [ofOther('b')], 'NotFound', 'DataSource ns/b not found'],
		['that is itself', [ofOther('os')], 'SelfReference', 'The DataSource refers to itself'],
		[
			'of another namespace',
			[ofOther('b', 'other')],
			'CrossNamespaceReference',
			'DataSource other/b is in another namespace',
		],
		[
			'that refers to another one',
			[ofOther('b'), {...ofOther('c'), metadata: {namespace: 'ns', name: 'b'}}],
			'MaxReferenceDepthReached',
			'DataSource ns/b refers to another one',
		],
		['that names nothing', [ofOther('b'), dataSource({name: 'b'})], 'NoSource', 'DataSource ns/b names no source'],
	])('of a DataSource %s', (_, objects, reason, message) => {
		const plan = reportOn(...objects);
		expect(plan.status.source).toBeUndefined();
		expect(plan.status.conditions?.[0]).toMatchObject({
			status: 'False',
			reason,
			message: expect.stringContaining(message),
		});
	});

	test('of a DataSource that names a claim', () => {
		const other = dataSource({name: 'b', source: {pvc: golden}});
		expect(readyOf(ofOther('b'), other, theClaim)).toEqual(yes);
		expect(readyOf(ofOther('b'), other)).toEqual(no('NotFound', 'PVC not found'));
	});
});

describe('KubeVirt §1.3: status.source', () => {
	test('is in the write that says Ready, with the namespace that is meant', () => {
		const bare = dataSource({source: {pvc: {namespace: '', name: 'golden'}}});
		expect(reportOn(bare, theClaim).status).toMatchObject({source: {pvc: golden}, conditions: [yes]});
	});

	test('of a DataSource of a DataSource is the claim or snapshot in the end', () => {
		const other = dataSource({name: 'b', source: {snapshot: golden}});
		expect(reportOn(ofOther('b'), other, theSnapshot).status.source).toEqual({snapshot: golden});
	});

	test('is there before the source is, and goes where nothing is named any more', () => {
		expect(reportOn(ofClaim()).status.source).toEqual({pvc: golden});
		const emptied = dataSource({status: {source: {pvc: golden}}});
		expect(reportOn(emptied).status.source).toBeUndefined();
	});

	test('follows spec.source', () => {
		const before = reportOn(ofClaim(), theClaim).status;
		const moved = ofSnapshot({status: before});
		expect(reportOn(moved, theClaim, theSnapshot).status.source).toEqual({snapshot: golden});
	});
});

describe('KubeVirt §3.1 4: labels of the source', () => {
	const given = {
		'instancetype.kubevirt.io/default-instancetype': 'u1.small',
		'kubevirt.io/os': 'linux',
		app: 'mine',
		'notkubevirt.io/a': 'b',
		'kubevirt.io': 'no prefix',
	};
	const wanted = {'instancetype.kubevirt.io/default-instancetype': 'u1.small', 'kubevirt.io/os': 'linux'};
	const labelled = claim({name: 'golden', labels: given});

	test.each<[string, readonly KubeObject[]]>([
		['a claim', [ofClaim(), labelled]],
		['a DataVolume', [ofClaim(), theClaim, dataVolume({name: 'golden', labels: given, status: {phase: 'Succeeded'}})]],
		['a snapshot', [ofSnapshot(), snapshot({name: 'golden', labels: given})]],
		['a claim, through another DataSource', [ofOther('b'), dataSource({name: 'b', source: {pvc: golden}}), labelled]],
	])('are copied from %s', (_, objects) => {
		expect(reportOn(...objects).labels).toEqual(wanted);
	});

	test('are not copied before it is ready', () => {
		const importing = dataVolume({name: 'golden', labels: given, status: {phase: 'ImportInProgress'}});
		expect(reportOn(ofClaim(), labelled, importing).labels).toEqual({});
	});

	test('replace those of a source before', () => {
		const labels = {'kubevirt.io/os': 'windows'};
		expect(reportOn(ofClaim({labels}), labelled).labels).toEqual(wanted);
		const {status} = reportOn(ofClaim(), theClaim);
		const moved = dataSource({source: {snapshot: golden}, status, labels});
		expect(reportOn(moved, snapshot({name: 'golden', labels: given})).labels).toEqual(wanted);
	});

	test('leave alone what somebody wrote on the DataSource since it is ready, and add what comes later', () => {
		const {status} = reportOn(ofClaim(), theClaim);
		const changed = ofClaim({status, labels: {'kubevirt.io/os': 'mine'}});
		expect(reportOn(changed, labelled).labels).toEqual({'instancetype.kubevirt.io/default-instancetype': 'u1.small'});
		expect(planFor(ofClaim({status, labels: {...wanted, 'kubevirt.io/os': 'mine'}}), labelled)).toEqual({
			do: 'nothing',
		});
	});
});

describe('nothing is written', () => {
	test('where all is said already', () => {
		const {status} = reportOn(ofClaim(), theClaim);
		expect(planFor(ofClaim({status}), theClaim)).toEqual({do: 'nothing'});
	});

	test('of a DataSource that is gone or going', () => {
		expect(planFor()).toEqual({do: 'nothing'});
		expect(planFor(ofClaim({deleting: true}), theClaim)).toEqual({do: 'nothing'});
	});
});

test('a condition of somebody else stays', () => {
	const others = {type: 'Scanned', status: 'True'} as const;
	const {status} = reportOn(ofClaim({status: {conditions: [others]}}), theClaim);
	expect(status.conditions).toMatchObject([others, yes]);
});

describe('dataSourcesOf', () => {
	const names = (list: readonly DataSource[]) => list.map(({metadata}) => metadata.name).toSorted();

	test('has those that name it, and those that refer to these', () => {
		const caches = cachesOf([
			ofClaim({name: 'a'}),
			dataSource({name: 'b', source: {pvc: {namespace: '', name: 'golden'}}}),
			dataSource({name: 'c', source: {dataSource: {namespace: 'ns', name: 'a'}}}),
			dataSource({name: 'd', source: {pvc: {namespace: 'ns', name: 'other'}}}),
			ofSnapshot({name: 'e'}),
			dataSource({name: 'f', namespace: 'elsewhere', source: {pvc: golden}}),
		]);
		expect(names(dataSourcesOf(caches, 'PersistentVolumeClaim', golden))).toEqual(['a', 'b', 'c', 'f']);
		expect(names(dataSourcesOf(caches, 'VolumeSnapshot', golden))).toEqual(['e']);
	});
});
