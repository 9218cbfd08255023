/** What the API server itself says to a DataVolume, before any controller sees it. */
import {beforeAll, expect, inject, onTestFinished, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import {dataVolumes, namespaces} from '../../src/kube/resources.ts';
import {makeClient, makeNamespace} from './cluster.ts';
import {answerTo, installManifests} from './onesnap.ts';

let namespace: string;

beforeAll(async () => {
	await installManifests(inject('kubeconfig'));
	const client = new KubeClient({connection: connect(inject('kubeconfig')), fieldManager: 'test'});
	namespace = await makeNamespace(client);
	expect(await client.find(namespaces, {name: namespace})).toBeDefined();
	client.close();
});

const http = {url: 'http://images.example.com/disk.qcow2'};
const resources = {requests: {storage: '1Gi'}};
const pvc = {accessModes: ['ReadWriteOnce'], resources};
const apiGroup = 'snapshot.storage.k8s.io';
const dataSource = {apiGroup, kind: 'VolumeSnapshot', name: 'snapshot'};

function dataVolume(name: string, spec: object): DataVolume {
	return {apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: {namespace, name}, spec};
}

test.each<[string, object]>([
	['an import with spec.storage', {source: {http}, storage: {resources}}],
	['an import with spec.pvc', {source: {http}, pvc}],
	['a size that is a number', {source: {blank: {}}, storage: {resources: {requests: {storage: 1_073_741_824}}}}],
	['a clone without a size', {source: {pvc: {namespace: 'default', name: 'golden'}}, storage: {}}],
	['a clone of a snapshot without a size', {source: {snapshot: {namespace: 'default', name: 'golden'}}, storage: {}}],
	['a source that comes later (s3)', {source: {s3: {url: 'https://s3.example.com/b/o'}}, storage: {resources}}],
	['a claim that Kubernetes fills', {pvc: {...pvc, dataSource}}],
	['a source by reference', {sourceRef: {kind: 'DataSource', name: 'fedora'}, storage: {resources}}],
])('%s is admitted', async (_, spec) => {
	const client = makeClient();
	expect(await answerTo(client.create(dataVolumes, dataVolume('disk', spec), {dryRun: true}))).toBe('admitted');
});

test.each<[string, object, string]>([
	['no source', {storage: {resources}}, 'Data volume should have either Source or SourceRef'],
	['an empty source', {source: {}, storage: {resources}}, 'Missing Data volume source'],
	['two sources', {source: {http, blank: {}}, storage: {resources}}, 'Multiple Data volume sources'],
	[
		'three sources',
		{source: {http, blank: {}, pvc: {namespace: 'a', name: 'b'}}, storage: {resources}},
		'Multiple Data volume sources',
	],
	[
		'a source and a reference',
		{source: {http}, sourceRef: {kind: 'DataSource', name: 'a'}, storage: {resources}},
		'Multiple Data volume sources',
	],
	[
		'a source and a claim that Kubernetes fills',
		{source: {http}, pvc: {...pvc, dataSource}},
		'External population is incompatible with Source and SourceRef',
	],
	['neither pvc nor storage', {source: {http}}, 'Missing Data volume PVC'],
	['both pvc and storage', {source: {http}, pvc, storage: {resources}}, 'Duplicate storage definition'],
	['an import without a size', {source: {http}, storage: {}}, 'PVC size is missing'],
	['a blank disk without a size', {source: {blank: {}}, storage: {resources: {}}}, 'PVC size is missing'],
	['spec.pvc without a size', {source: {http}, pvc: {accessModes: ['ReadWriteOnce']}}, 'PVC size is missing'],
	['spec.pvc without an access mode', {source: {http}, pvc: {resources}}, 'at least 1 access mode is required'],
	[
		'spec.pvc with two access modes',
		{source: {http}, pvc: {...pvc, accessModes: ['ReadWriteOnce', 'ReadOnlyMany']}},
		'PVC multiple accessModes',
	],
	['a size that is none', {source: {http}, storage: {resources: {requests: {storage: 'much'}}}}, 'should match'],
	['a volumeMode that is none', {source: {http}, storage: {resources, volumeMode: 'Tape'}}, 'Unsupported value'],
	['http without a URL', {source: {http: {}}, storage: {resources}}, 'spec.source.http.url: Required value'],
	[
		'a blank archive',
		{source: {blank: {}}, contentType: 'archive', storage: {resources}},
		'SourceType cannot be blank and the contentType be archive',
	],
])('%s is refused', async (_, spec, sentence) => {
	const client = makeClient();
	const answer = await answerTo(client.create(dataVolumes, dataVolume('disk', spec), {dryRun: true}));
	expect(answer).toContain('422 Invalid');
	expect(answer).toContain(sentence);
});

test.each<[string, object]>([
	['the source', {source: {http: {url: 'http://elsewhere.example.com/'}}}],
	['the kind of source', {source: {http: null, blank: {}}}],
	['the size', {storage: {resources: {requests: {storage: '2Gi'}}}}],
	['the storage class', {storage: {storageClassName: 'other'}}],
	['pvc for storage', {storage: null, pvc}],
])('once made, %s cannot be changed', async (what, spec) => {
	const client = makeClient();
	const name = `immutable-${what.replaceAll(' ', '-')}`;
	const made = await client.create(dataVolumes, dataVolume(name, {source: {http}, storage: {resources}}));
	onTestFinished(async () => {
		await client.delete(dataVolumes, made.metadata);
	});
	const answer = await answerTo(client.mergePatch(dataVolumes, made.metadata, {spec}));
	expect(answer).toContain('422 Invalid');
	expect(answer).toContain('Cannot update DataVolume Spec');
});

test('labels, annotations, finalizers and checkpoints can be changed, and the status only by its subresource', async () => {
	const client = makeClient();
	const made = await client.create(dataVolumes, dataVolume('mutable', {source: {http}, storage: {resources}}));
	const metadata = {labels: {a: 'b'}, annotations: {c: 'd'}, finalizers: ['example.com/mine']};
	const changed = await client.mergePatch(dataVolumes, made.metadata, {
		metadata,
		spec: {finalCheckpoint: true},
		status: {phase: 'Succeeded'},
	});
	expect(changed.metadata).toMatchObject(metadata);
	expect(changed.status?.phase).toBeUndefined();
	const reported = await client.mergePatchStatus(dataVolumes, made.metadata, {
		spec: {source: null},
		status: {phase: 'Succeeded', progress: '100.0%'},
	});
	expect(reported.status).toMatchObject({phase: 'Succeeded', progress: '100.0%'});
	expect(reported.spec).toEqual(changed.spec);
	await client.mergePatch(dataVolumes, made.metadata, {metadata: {finalizers: []}});
	await client.delete(dataVolumes, made.metadata);
});
