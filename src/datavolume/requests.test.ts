import {describe, expect, test} from 'vitest';
import {assignedTo, claim, dataVolume, request, sharedSnapshot} from '../../test/support/builders.ts';
import {ModelApiServer} from '../../test/support/model/api-server.ts';
import type {DataVolume} from '../api/datavolume.ts';
import type {PersistentVolumeClaim} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import * as resources from '../kube/resources.ts';
import {fillFrom} from '../populate/in-place.ts';
import {assignmentTo} from '../smartclone/requests.ts';
import type {CloneWay} from '../smartclone/strategy.ts';
import {formatGaveUp} from './gave-up.ts';
import {makeCloneRequests, requestOf} from './requests.ts';

const shared = sharedSnapshot();
const assignment = assignmentTo(shared);
const source = {pvc: {namespace: 'ns', name: 'claim'}};
const assigned = (options: Parameters<typeof dataVolume>[0] = {}) =>
	dataVolume({source, annotations: assignedTo(shared), ...options});
const inPlace = fillFrom({kind: 'VolumeCloneSource', name: 'clone'});
const {signal} = new AbortController();

function requestsOf(dataVolumes: DataVolume[], claims: PersistentVolumeClaim[] = []) {
	const server = new ModelApiServer();
	for (const each of dataVolumes) server.create(resources.dataVolumes, each);
	for (const each of claims) server.create(resources.persistentVolumeClaims, each);
	server.deliverAll();
	return {server, requests: makeCloneRequests(server.api, server.memory.caches)};
}

describe('requestOf', () => {
	test('is a DataVolume that clones a claim, nothing else', () => {
		expect(requestOf(dataVolume({source}))).toEqual(request());
		expect(requestOf(dataVolume({source: {blank: {}}}))).toBeUndefined();
	});
});

const gaveUp = (way: CloneWay, uid = 'disk-uid') => ({
	annotations: {
		...assignedTo(shared),
		[annotations.cloneType]: way,
		[annotations.gaveUp]: formatGaveUp(uid, {ways: [{way, code: 'OutOfRange', message: 'm'}]}),
	},
});

const prePopulated = {annotations: {...assignedTo(shared), [annotations.prePopulated]: ''}};
const taken = claim({
	name: 'disk',
	phase: 'Pending',
	owner: assigned(),
	annotations: {[annotations.createdForDataVolume]: 'old'},
});

describe('assignedTo', () => {
	test.each<CloneWay>(['snapshot', 'copy'])(
		'a request that gave up its way, %s, needs the snapshot no longer',
		(way) => {
			const {requests} = requestsOf([assigned(gaveUp(way))], [claim({name: 'disk', phase: 'Pending'})]);
			expect(requests.assignedTo(assignment)).toMatchObject([{way, state: 'done'}]);
			const inherited = requestsOf([assigned(gaveUp(way, 'another-uid'))]);
			expect(inherited.requests.assignedTo(assignment)).toMatchObject([{way, state: 'open'}]);
		},
	);

	test.each<[string, DataVolume, PersistentVolumeClaim[], string]>([
		['open without a claim', assigned(), [], 'open'],
		['open while its claim is restored', assigned(), [claim({name: 'disk', phase: 'Pending'})], 'open'],
		['done when its claim is bound', assigned(), [claim({name: 'disk'})], 'done'],
		['done when somebody else fills it', assigned(prePopulated), [], 'done'],
		['done when it took over a claim of somebody else', assigned(), [taken], 'done'],
		[
			'open while its bound claim is filled in place',
			assigned(),
			[claim({name: 'disk', annotations: inPlace})],
			'open',
		],
		[
			'done when that is complete',
			assigned(),
			[claim({name: 'disk', annotations: {...inPlace, [annotations.populated]: 'true'}})],
			'done',
		],
		['done when it is being deleted', assigned({deleting: true, finalizers: ['x']}), [], 'done'],
	])('a request is %s', (_, dataVolume_, claims, state) => {
		expect(requestsOf([dataVolume_], claims).requests.assignedTo(assignment)).toEqual([
			{...request(), assigned: assignment, state, parked: false},
		]);
	});

	test('is by name and UID of the shared snapshot: a later one may have the name', () => {
		const later = sharedSnapshot({uid: 'later'});
		expect(later.metadata.name).toBe(shared.metadata.name);
		expect(requestsOf([assigned()]).requests.assignedTo(assignmentTo(later))).toEqual([]);
		expect(requestsOf([dataVolume({source})]).requests.assignedTo(assignment)).toEqual([]);
	});
});

describe('assign', () => {
	test('is written on the DataVolume, and read from it again', async () => {
		const {server, requests} = requestsOf([dataVolume({source})]);
		expect(await requests.assign(request(), assignment, 'GroupCommit', signal)).toBe('assigned');
		server.deliverAll();
		expect(requests.assignedTo(assignment)).toHaveLength(1);
	});

	const instancetype = {'instancetype.kubevirt.io/default-instancetype': 'u1.medium'};
	const preference = {'instancetype.kubevirt.io/default-preference': 'fedora'};

	test.each([
		['gets the labels of the instance type', {team: 'a'}, {team: 'a', ...instancetype}],
		['keeps its own', preference, preference],
	] as const)('is one write, in which the DataVolume %s', async (_, labels, after) => {
		const golden = claim({name: 'claim', labels: {...instancetype, team: 'golden'}});
		const {server, requests} = requestsOf([dataVolume({source, labels})], [golden]);
		const last = server.get(resources.persistentVolumeClaims, {namespace: 'ns', name: 'claim'});
		await requests.assign(request(), assignment, 'GroupCommit', signal);
		const written = server.get(resources.dataVolumes, {namespace: 'ns', name: 'disk'});
		expect(written?.metadata.labels).toEqual(after);
		expect(Number(written?.metadata.resourceVersion) - Number(last?.metadata.resourceVersion)).toBe(1);
	});

	test.each<[string, DataVolume[]]>([
		['is gone', []],
		['was replaced by a namesake', [dataVolume({source, uid: 'other'})]],
	])('says so where the DataVolume %s', async (_, there) => {
		const {requests} = requestsOf(there);
		expect(await requests.assign(request(), assignment, 'GroupCommit', signal)).toBe('gone');
	});

	test('overwrites nothing that a leader before this one has assigned, also where the cache does not show it', async () => {
		const {server, requests} = requestsOf([dataVolume({source})]);
		expect(await requests.assign(request(), assignment, 'GroupCommit', signal)).toBe('assigned');
		const other = assignmentTo(sharedSnapshot({uid: 'other'}));
		expect(await requests.assign(request(), other, 'GroupCommit', signal)).toBe('changed');
		// The same again, because its answer was lost.
		expect(await requests.assign(request(), assignment, 'GroupCommit', signal)).toBe('assigned');
		server.deliverAll();
		expect(await requests.assign(request(), other, 'GroupCommit', signal)).toBe('changed');
		expect(requests.assignedTo(other)).toEqual([]);
		// Who was assigned and asks again, because that snapshot is lost, is assigned anew.
		const again = {...request(), assigned: assignment};
		expect(await requests.assign(again, other, 'GroupCommit', signal)).toBe('assigned');
	});

	test('does not count for a copy of the DataVolume that was made from its YAML: it was asked for after the cut', async () => {
		const {server, requests} = requestsOf([dataVolume({source})]);
		await requests.assign(request(), assignment, 'GroupCommit', signal);
		const original = server.get(resources.dataVolumes, {namespace: 'ns', name: 'disk'});
		const {annotations: carried = {}} = original?.metadata ?? {};
		const copy = requestsOf([dataVolume({source, name: 'copy', annotations: carried})]);
		expect(copy.requests.assignedTo(assignment)).toEqual([]);
	});
});
