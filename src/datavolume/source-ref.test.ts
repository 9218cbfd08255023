import {describe, expect, test} from 'vitest';
import {
	assignedTo,
	cdiConfig,
	claim,
	cloneSource,
	csiDriver,
	dataSource,
	dataVolume,
	type DataVolumeOptions,
	plainSets,
	pod,
	readyStripe,
	sharedSnapshot,
	snapshotClass,
	storageClass,
	storageProfile,
	volume,
} from '../../test/support/builders.ts';
import {MemoryCaches, resourceOf} from '../../test/support/memory-caches.ts';
import {makeModelApi} from '../../test/support/model/client.ts';
import {ModelServer} from '../../test/support/model/server.ts';
import type {KubeObject} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import * as resources from '../kube/resources.ts';
import {addSharingIndexes} from '../smartclone/observe.ts';
import {WaitingRequests} from '../smartclone/requests.ts';
import {RestoreWindow} from '../smartclone/restore-window.ts';
import {clonePolicies, referencePolicy} from './authorization.ts';
import {decide} from './decide.ts';
import {execute} from './execute.ts';
import {addIndexes, observe} from './observe.ts';
import {cloneSourceOf, formatRecord, recordedSource} from './source-ref.ts';

const golden = {namespace: 'ns', name: 'golden'};
const later = {namespace: 'ns', name: 'later'};
const asSource = (pvc: typeof golden) => ({kind: 'pvc', pvc}) as const;
const recordOf = (pvc: typeof golden, uid = 'disk-uid') => ({
	[annotations.resolvedSource]: formatRecord(uid, asSource(pvc)),
});

const referring = ({namespace = 'ns', ...options}: DataVolumeOptions & {readonly namespace?: string} = {}) =>
	dataVolume({...options, spec: {sourceRef: {kind: 'DataSource', namespace, name: 'os'}}});
const pointing = (pvc: typeof golden, namespace = 'ns') => dataSource({namespace, source: {pvc}});

const boundClaim = (at: typeof golden) => {
	const made = claim({...at, uid: `${at.name}-uid`, volumeName: `${at.name}-volume`});
	return [made, volume({name: `${at.name}-volume`, uid: `${at.name}-volume-uid`, boundTo: made, handle: 'handle-1'})];
};
const policies = [...clonePolicies, referencePolicy].flatMap((name): KubeObject[] =>
	['ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'].map((kind) => ({
		apiVersion: 'admissionregistration.k8s.io/v1',
		kind,
		metadata: {name, creationTimestamp: '2026-01-01T00:00:00Z'},
	})),
);
const cluster = [
	storageClass({annotations: {[annotations.defaultStorageClass]: 'true'}}),
	storageProfile({spec: {claimPropertySets: plainSets}}),
	cdiConfig({status: {filesystemOverhead: {global: '0'}}}),
	snapshotClass(),
	csiDriver(),
	...policies,
];

function see(...objects: readonly KubeObject[]) {
	const {caches} = new MemoryCaches([...cluster, ...objects]);
	addIndexes(caches);
	addSharingIndexes(caches);
	return observe('ns/disk', {
		caches,
		waiting: new WaitingRequests(() => {}),
		lost: {messageOf: () => undefined},
		populationOf: () => {
			throw new Error('nothing is populated here');
		},
		percentOf: () => undefined,
		now: () => Date.parse('2026-01-01T01:00:00Z'),
	});
}
const planFor = (...objects: readonly KubeObject[]) => decide(see(...objects));

describe('the record of what a reference came to', () => {
	test('is of this DataVolume only', () => {
		expect(recordedSource(referring({annotations: recordOf(golden)}))).toEqual(asSource(golden));
		expect(recordedSource(referring({annotations: recordOf(golden, 'another-uid')}))).toBeUndefined();
		expect(recordedSource(referring())).toBeUndefined();
	});

	test.each([
		'',
		'disk-uid',
		'disk-uid/PersistentVolumeClaim/ns',
		'disk-uid/Pod/ns/golden',
		'disk-uid/PersistentVolumeClaim/ns/a/b',
		'/PersistentVolumeClaim/ns/a',
	])('is nothing where it is %o', (text) => {
		expect(recordedSource(referring({annotations: {[annotations.resolvedSource]: text}}))).toBeUndefined();
	});

	test('is nothing where the reference cannot lead there', () => {
		const secret = {namespace: 'secret', name: 'golden'};
		expect(recordedSource(referring({annotations: recordOf(secret)}))).toBeUndefined();
		expect(recordedSource(referring({namespace: 'secret', annotations: recordOf(secret)}))).toEqual(asSource(secret));
		expect(recordedSource(referring({namespace: 'secret', annotations: recordOf(golden)}))).toEqual(asSource(golden));
	});

	test('says nothing about a DataVolume that names its source itself', () => {
		const plain = dataVolume({source: {pvc: golden}, annotations: recordOf(later)});
		expect(recordedSource(plain)).toBeUndefined();
		expect(cloneSourceOf(plain)).toEqual({pvc: golden});
	});

	test('of a snapshot is one', () => {
		const source = {kind: 'snapshot', snapshot: golden} as const;
		const record = {[annotations.resolvedSource]: formatRecord('disk-uid', source)};
		expect(recordedSource(referring({annotations: record}))).toEqual(source);
	});
});

describe('a DataVolume with a sourceRef waits', () => {
	test.each<[string, readonly KubeObject[], string, string]>([
		['for a DataSource that does not exist', [], 'CloneWithoutSource', "The DataSource ns/os doesn't exist"],
		[
			'for a DataSource that names nothing',
			[dataSource()],
			'CloneWithoutSource',
			'The DataSource ns/os leads to no source: No source PVC set',
		],
		[
			'for the DataSource that its DataSource refers to',
			[dataSource({source: {dataSource: {namespace: 'ns', name: 'b'}}})],
			'CloneWithoutSource',
			'The DataSource ns/os leads to no source: DataSource ns/b not found',
		],
		[
			'for a claim that does not exist',
			[pointing(golden)],
			'CloneWithoutSource',
			"The source pvc ns/golden doesn't exist",
		],
		[
			'for a claim that is not bound',
			[pointing(golden), claim({...golden, phase: 'Pending'})],
			'CloneSourceNotReady',
			'The source pvc ns/golden is not bound yet',
		],
	])('%s', (_, objects, reason, message) => {
		expect(planFor(referring(), ...objects)).toEqual({do: 'wait', reason, message});
	});

	test('for a source that is not in use, where it asks for quiet', () => {
		const quiet = referring({annotations: {[annotations.consistency]: 'quiet'}});
		const writer = pod({mounts: [{claim: 'golden'}]});
		expect(planFor(quiet, pointing(golden), ...boundClaim(golden), writer)).toMatchObject({reason: 'CloneSourceInUse'});
	});
});

describe('what a DataSource leads to', () => {
	const moved = [pointing(later), ...boundClaim(golden), ...boundClaim(later)];

	test('is recorded when it can be cloned, before anything else', () => {
		expect(planFor(referring(), pointing(golden), ...boundClaim(golden))).toMatchObject({
			do: 'recordSource',
			source: asSource(golden),
		});
	});

	test('is recorded through a DataSource of a DataSource', () => {
		const reference = dataSource({source: {dataSource: {namespace: '', name: 'b'}}});
		const other = dataSource({name: 'b', source: {pvc: golden}});
		expect(planFor(referring(), reference, other, ...boundClaim(golden))).toMatchObject({
			do: 'recordSource',
			source: asSource(golden),
		});
	});

	test('is cloned once it is recorded', () => {
		expect(planFor(referring({annotations: recordOf(golden)}), pointing(golden), ...boundClaim(golden))).toMatchObject({
			do: 'askForSnapshot',
			request: {source: golden},
		});
	});

	test('counts no more when it moves after that', () => {
		expect(planFor(referring({annotations: recordOf(golden)}), ...moved)).toMatchObject({
			do: 'askForSnapshot',
			request: {source: golden},
		});
	});

	test('counts no more when the DataSource is deleted, or leads out of reach, after that', () => {
		const recorded = referring({annotations: recordOf(golden)});
		const ask = {do: 'askForSnapshot', request: {source: golden}};
		expect(planFor(recorded, ...boundClaim(golden))).toMatchObject(ask);
		expect(planFor(recorded, pointing({namespace: 'secret', name: 'x'}), ...boundClaim(golden))).toMatchObject(ask);
	});

	test('is taken anew where what was recorded is gone before anything was made of it', () => {
		const recorded = referring({annotations: recordOf(golden)});
		expect(planFor(recorded, pointing(later), ...boundClaim(later))).toMatchObject({
			do: 'recordSource',
			source: asSource(later),
		});
		expect(planFor(recorded, pointing(golden))).toMatchObject({do: 'wait', reason: 'CloneWithoutSource'});
		expect(planFor(recorded)).toMatchObject({do: 'wait', reason: 'CloneWithoutSource'});
	});

	test('is not taken anew while a snapshot of what was recorded serves', () => {
		const shared = sharedSnapshot({
			source: golden,
			content: {claimUid: 'golden-uid', persistentVolumeUid: 'golden-volume-uid'},
		});
		const stripe = readyStripe(shared);
		const assigned = referring({
			annotations: {...recordOf(golden), ...assignedTo(shared), [annotations.cloneType]: 'snapshot'},
		});
		expect(
			planFor(assigned, pointing(later), ...boundClaim(later), shared, stripe.snapshot, stripe.content),
		).toMatchObject({
			do: 'restoreClaim',
			claim: {spec: {dataSource: {name: stripe.snapshot.metadata.name}}},
		});
	});

	test('replaces the source object of what was recorded before, also of the same name in another namespace', () => {
		const block = {storage: {volumeMode: 'Block', resources: {requests: {storage: '1Gi'}}}} as const;
		const [elsewhere, own] = [{namespace: 'images', name: 'golden'}, golden];
		const copying = dataVolume({
			annotations: recordOf(own),
			spec: {...block, sourceRef: {kind: 'DataSource', namespace: 'images', name: 'os'}},
		});
		const stale = cloneSource({
			name: 'volume-clone-source-disk-uid',
			namespace: elsewhere.namespace,
			annotations: {[annotations.ownedByDataVolume]: 'ns/disk'},
		});
		const observed = see(copying, pointing(own, 'images'), ...boundClaim(own), stale);
		const {clone} = observed;
		if (!clone) throw new Error('nothing is cloned');
		const byCopy = {way: 'copy', route: 'copyClaim', declined: []} as const;
		expect(decide({...observed, clone: {...clone, decision: byCopy}})).toMatchObject({
			do: 'deleteCloneSource',
			source: stale,
		});
	});
});

describe('recordSource', () => {
	/** The DataVolume after the plan was carried out on this server. */
	async function written(seen: KubeObject, ...onServer: readonly KubeObject[]) {
		const server = new ModelServer(
			() => 0,
			() => {},
		);
		server.create(resources.namespaces, {apiVersion: 'v1', kind: 'Namespace', metadata: {name: 'ns', uid: 'ns-uid'}});
		for (const object of onServer) server.create(resourceOf(object), object);
		const own = server.create(resources.dataVolumes, referring());
		const plan = planFor(own, seen, ...boundClaim(golden), ...boundClaim(later));
		if (plan.do !== 'recordSource') throw new Error(plan.do);
		const context = {
			api: makeModelApi(server, async (write) => write()),
			waiting: new WaitingRequests(() => {}),
			window: new RestoreWindow(() => ({shown: new Set(), restoring: new Set()})),
			uid: own.metadata.uid ?? '',
			wake: () => true,
			signal: new AbortController().signal,
		};
		await execute(context, plan);
		return server.get(resources.dataVolumes, own.metadata);
	}

	/** What its record says. */
	async function recorded(seen: KubeObject, ...onServer: readonly KubeObject[]) {
		const after = await written(seen, ...onServer);
		return after && recordedSource(after);
	}

	test('writes the labels of the instance type with it, as they are on the DataSource', async () => {
		const labels = {'instancetype.kubevirt.io/default-preference': 'fedora'};
		const labelled = dataSource({source: {pvc: golden}, labels: {...labels, team: 'golden'}});
		expect((await written(labelled, labelled))?.metadata.labels).toEqual(labels);
		expect((await written(pointing(golden), pointing(golden)))?.metadata.labels).toBeUndefined();
	});

	test('writes what the DataSource still says', async () => {
		expect(await recorded(pointing(golden), pointing(golden))).toEqual(asSource(golden));
		const reference = dataSource({source: {dataSource: {namespace: 'ns', name: 'b'}}});
		const other = dataSource({name: 'b', source: {pvc: golden}});
		expect(await recorded(pointing(golden), reference, other)).toEqual(asSource(golden));
	});

	test('writes nothing where the cache was late: the next round sees what the DataSource says now', async () => {
		expect(await recorded(pointing(golden), pointing(later))).toBeUndefined();
		expect(await recorded(pointing(golden))).toBeUndefined();
		expect(await recorded(pointing(golden), dataSource({source: {dataSource: golden}}))).toBeUndefined();
	});
});

describe('a claim that is there', () => {
	const made = (own: ReturnType<typeof referring>, dataSourceName?: string) =>
		claim({
			name: 'disk',
			phase: 'Pending',
			owner: own,
			...(dataSourceName && {dataSource: {kind: 'VolumeSnapshot', name: dataSourceName}}),
		});

	test('is never given up because the DataSource moved', () => {
		const shared = sharedSnapshot({
			source: golden,
			content: {claimUid: 'golden-uid', persistentVolumeUid: 'golden-volume-uid'},
		});
		const stripe = readyStripe(shared);
		const cut = [shared, stripe.snapshot, stripe.content];
		const assigned = referring({
			annotations: {...recordOf(golden), ...assignedTo(shared), [annotations.cloneType]: 'snapshot'},
		});
		const restoring = made(assigned, stripe.snapshot.metadata.name);
		const moved = [pointing(later), ...boundClaim(golden), ...boundClaim(later)];
		expect(planFor(assigned, restoring, ...cut, ...moved)).toMatchObject({do: 'wait', reason: 'Restoring'});
	});

	test('is left alone where the record was taken away', () => {
		const bare = referring();
		expect(see(bare, made(bare, 'some-snapshot'), pointing(later), ...boundClaim(later))).toMatchObject({
			source: {kind: 'reference'},
			clone: undefined,
		});
		expect(planFor(bare, made(bare, 'some-snapshot'), pointing(later), ...boundClaim(later))).toMatchObject({
			do: 'wait',
			reason: 'Binding',
		});
	});
});

describe('a DataSource leads no further than admission asked', () => {
	const elsewhere = {namespace: 'images', name: 'golden'};
	const fromImages = (options: DataVolumeOptions = {}) => referring({namespace: 'images', ...options});

	test.each<[string, KubeObject, KubeObject, string]>([
		['of the own namespace to another one', referring(), pointing(elsewhere), 'namespace images'],
		[
			'of another namespace to a third one',
			fromImages(),
			pointing({namespace: 'secret', name: 'x'}, 'images'),
			'namespace secret',
		],
	])('%s', (_, reader, reference, where) => {
		const plan = planFor(reader, reference, ...boundClaim(elsewhere));
		expect(plan).toMatchObject({do: 'wait', reason: 'CloneNotAuthorized', message: expect.stringContaining(where)});
		expect(plan).toMatchObject({message: expect.stringContaining('spec.source')});
	});

	test('but to its own namespace, and back to that of the DataVolume', () => {
		const there = planFor(fromImages(), pointing(elsewhere, 'images'), ...boundClaim(elsewhere));
		expect(there).toMatchObject({do: 'recordSource', source: asSource(elsewhere)});
		const back = planFor(fromImages(), pointing(golden, 'images'), ...boundClaim(golden));
		expect(back).toMatchObject({do: 'recordSource', source: asSource(golden)});
	});

	test('and nowhere else while the policy that asks about references is not there, or younger', () => {
		const without = see(fromImages(), pointing(elsewhere, 'images'), ...boundClaim(elsewhere));
		expect(without.clone?.problem).toBeUndefined();
		const old = fromImages({created: '2025-12-31T00:00:00Z'});
		expect(planFor(old, pointing(elsewhere, 'images'), ...boundClaim(elsewhere))).toMatchObject({
			reason: 'CloneNotAuthorized',
			message: expect.stringContaining('is younger than this DataVolume'),
		});
	});
});
