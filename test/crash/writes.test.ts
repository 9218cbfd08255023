import {expect, test} from 'vitest';
import {type ApiWrite, describeWrite} from './writes.ts';

const snapshots = '/apis/snapshot.storage.k8s.io/v1/namespaces/golden/volumesnapshots';
const contents = '/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents';
const claims = '/api/v1/namespaces/golden/persistentvolumeclaims';
const shareds = '/apis/onesnap.io/v1alpha1/sharedsnapshots';
const dataVolumes = '/apis/cdi.kubevirt.io/v1beta1/namespaces/a/datavolumes';

const named = (name: string) => ({metadata: {name}});

test.each<[ApiWrite, string | undefined]>([
	[{method: 'GET', path: claims}, undefined],
	[{method: 'PUT', path: '/apis/coordination.k8s.io/v1/namespaces/onesnap/leases/onesnap-controller'}, undefined],
	[{method: 'POST', path: '/api/v1/namespaces/a/events', body: named('x')}, undefined],
	[{method: 'POST', path: `${shareds}?fieldManager=x`, body: named('x')}, 'SharedSnapshot created'],
	[{method: 'PATCH', path: `${shareds}/x?fieldManager=x`, body: {spec: {closed: true}}}, 'SharedSnapshot closed'],
	[{method: 'PATCH', path: `${shareds}/x`, body: {metadata: {finalizers: []}}}, 'finalizer of sharedsnapshots removed'],
	[{method: 'PATCH', path: `${shareds}/x/status`, body: {status: {}}}, 'status of sharedsnapshots'],
	[{method: 'DELETE', path: `${shareds}/x`, body: {kind: 'DeleteOptions'}}, 'sharedsnapshots deleted'],
	[
		{method: 'PATCH', path: `${dataVolumes}/x`, body: {metadata: {annotations: {'onesnap.io/shared-snapshot': 'y'}}}},
		'request assigned',
	],
	[{method: 'PATCH', path: `${dataVolumes}/x/status`, body: {}}, 'status of datavolumes'],
	[
		{method: 'POST', path: snapshots, body: {spec: {source: {persistentVolumeClaimName: 'golden'}}}},
		'VolumeSnapshot created',
	],
	[
		{method: 'POST', path: snapshots, body: {spec: {source: {volumeSnapshotContentName: 'x'}}}},
		'alias snapshot created',
	],
	[{method: 'POST', path: contents}, 'alias content created'],
	[{method: 'PATCH', path: `${contents}/x`, body: {spec: {deletionPolicy: 'Retain'}}}, 'content protected'],
	[{method: 'PATCH', path: `${contents}/x`, body: {spec: {deletionPolicy: 'Delete'}}}, 'content unprotected'],
	[{method: 'POST', path: claims, body: named('prime-1')}, 'prime claim created'],
	[{method: 'POST', path: claims, body: named('tmp-pvc-1')}, 'prime claim created'],
	[{method: 'POST', path: claims, body: named('tmp-source-pvc-1')}, 'copy source created'],
	[{method: 'POST', path: claims, body: {...named('disk'), spec: {}}}, 'claim created'],
	[
		{method: 'POST', path: claims, body: {...named('disk'), spec: {dataSource: {kind: 'VolumeSnapshot'}}}},
		'restored claim created',
	],
	[
		{method: 'PATCH', path: `${claims}/x`, body: {metadata: {annotations: {'onesnap.io/populated': 'true'}}}},
		'population recorded',
	],
	[{method: 'POST', path: '/api/v1/namespaces/a/pods', body: named('x')}, 'worker Pod created'],
	[{method: 'PATCH', path: '/api/v1/persistentvolumes/x', body: {spec: {claimRef: {}}}}, 'volume moved'],
	[{method: 'DELETE', path: '/api/v1/namespaces/x'}, 'namespaces deleted'],
])('%j is: %s', (write, description) => {
	expect(describeWrite(write)).toBe(description);
});
