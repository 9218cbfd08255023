/** What the API server itself says to a DataVolume, before any controller sees it. */
import {beforeAll, expect, inject, onTestFinished, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {ApiError} from '../../src/kube/errors.ts';
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

const golden = {namespace: 'a', name: 'b'};
const sized = (size: string | number) => ({resources: {requests: {storage: size}}});
const imports = (given: object) => ({source: {http: {...http, ...given}}, storage: {resources}});
const ofKind = (kind: string, source: object) => ({source: {[kind]: source}, storage: {resources}});
const refers = (given: object) => ({sourceRef: {kind: 'DataSource', name: 'fedora', ...given}, storage: {}});
const tooLong = 'a'.repeat(254);

test.each<[string, object]>([
	['an import with spec.storage', {source: {http}, storage: {resources}}],
	['an import with spec.pvc', {source: {http}, pvc}],
	['a size that is a number', {source: {blank: {}}, storage: {resources: {requests: {storage: 1_073_741_824}}}}],
	['a clone without a size', {source: {pvc: {namespace: 'default', name: 'golden'}}, storage: {}}],
	['a clone of a snapshot without a size', {source: {snapshot: {namespace: 'default', name: 'golden'}}, storage: {}}],
	['a source that comes later (s3)', {source: {s3: {url: 'https://s3.example.com/b/o'}}, storage: {resources}}],
	['a claim that Kubernetes fills', {pvc: {...pvc, dataSource}}],
	['a source by reference', {sourceRef: {kind: 'DataSource', name: 'fedora'}, storage: {resources}}],
	['all kinds of checksums', imports({checksum: `sha512:${'aB'.repeat(64)}`})],
	['a scheme in capitals', imports({url: 'HTTPS://images.example.com/disk.qcow2'})],
	['a size of 1 MiB', {source: {blank: {}}, storage: sized('1Mi')}],
	['gs for Google', ofKind('gcs', {url: 'gs://bucket/object'})],
	['a dataSource that is the dataSourceRef', {pvc: {...pvc, dataSource, dataSourceRef: dataSource}}],
	['a reference to another namespace, without a size', refers({namespace: 'images'})],
])('%s is admitted', async (_, spec) => {
	const client = makeClient();
	expect(await answerTo(client.create(dataVolumes, dataVolume('disk', spec), {dryRun: true}))).toBe('admitted');
});

/** CDI's words for what its webhook refuses (cdi-api §1.4), here by CEL rules of the schema and by the schema itself. */
test.each<[string, object, string]>([
	[
		'no source',
		{storage: {resources}},
		'Data volume should have either Source or SourceRef, or be externally populated',
	],
	['an empty source', {source: {}, storage: {resources}}, 'Missing Data volume source'],
	['two sources', {source: {http, blank: {}}, storage: {resources}}, 'Multiple Data volume sources'],
	['three sources', {source: {http, blank: {}, pvc: golden}, storage: {resources}}, 'Multiple Data volume sources'],
	['a source and a reference', {...refers({}), source: {http}}, 'Multiple Data volume sources'],
	[
		'a source and a claim that Kubernetes fills',
		{source: {http}, pvc: {...pvc, dataSource}},
		'External population is incompatible with Source and SourceRef',
	],
	[
		'a reference and a claim that Kubernetes fills',
		{...refers({}), storage: {resources, dataSource}},
		'External population is incompatible with Source and SourceRef',
	],
	[
		'a dataSource that is not the dataSourceRef',
		{pvc: {...pvc, dataSource, dataSourceRef: {...dataSource, name: 'other'}}},
		'DataSourceRef and DataSource must match',
	],
	[
		'a dataSource of another group than the dataSourceRef, in spec.storage',
		{storage: {resources, dataSource, dataSourceRef: {kind: 'VolumeSnapshot', name: 'snapshot'}}},
		'DataSourceRef and DataSource must match',
	],
	[
		'a dataSourceRef of another namespace',
		{storage: {resources, dataSourceRef: {...dataSource, namespace: 'other'}}},
		'DataSourceRef namespace not supported',
	],
	['neither pvc nor storage', {source: {http}}, 'Missing Data volume PVC'],
	[
		'both pvc and storage',
		{source: {http}, pvc, storage: {resources}},
		'Duplicate storage definition, both target storage and target pvc defined',
	],
	['an import without a size', {source: {http}, storage: {}}, 'PVC size is missing'],
	['a blank disk without a size', {source: {blank: {}}, storage: {resources: {}}}, 'PVC size is missing'],
	['spec.pvc without a size', {source: {http}, pvc: {accessModes: ['ReadWriteOnce']}}, 'PVC size is missing'],
	[
		'spec.pvc of a clone without a size',
		{source: {pvc: golden}, pvc: {accessModes: ['ReadWriteOnce']}},
		'PVC size is missing',
	],
	['a size of nothing', {source: {http}, pvc: {...pvc, ...sized('0')}}, "PVC size can't be equal or less than zero"],
	['a negative size', {source: {http}, storage: sized('-1Gi')}, "Storage size can't be equal or less than zero"],
	[
		'a size of nothing, as a number',
		{source: {http}, storage: sized(0)},
		"Storage size can't be equal or less than zero",
	],
	['a size below 1 MiB', {source: {http}, pvc: {...pvc, ...sized('1023Ki')}}, 'PVC size should be at least 1MiB'],
	[
		'a size below 1 MiB in spec.storage',
		{source: {http}, storage: sized('1e3')},
		'Storage size should be at least 1MiB',
	],
	[
		'a size below 1 MiB, as a number',
		{source: {http}, storage: sized(1_048_575)},
		'Storage size should be at least 1MiB',
	],
	[
		'spec.pvc without an access mode',
		{source: {http}, pvc: {resources}},
		'Required value: at least 1 access mode is required',
	],
	[
		'spec.pvc with two access modes',
		{source: {http}, pvc: {...pvc, accessModes: ['ReadWriteOnce', 'ReadOnlyMany']}},
		'PVC multiple accessModes',
	],
	[
		'an access mode that is none',
		{source: {http}, pvc: {...pvc, accessModes: ['ReadNever']}},
		'Unsupported value: "ReadNever": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
	],
	[
		'a storage class with a name too long',
		{source: {http}, storage: {resources, storageClassName: tooLong}},
		'Name cannot be longer than 253 characters',
	],
	['a size that is none', {source: {http}, storage: sized('much')}, 'should match'],
	['a volumeMode that is none', {source: {http}, storage: {resources, volumeMode: 'Tape'}}, 'Unsupported value'],
	['http without a URL', {source: {http: {}}, storage: {resources}}, 'spec.source.http.url: Required value'],
	['http with an empty URL', imports({url: ''}), 'spec.source source URL is empty'],
	['http with something else', imports({url: 'disk.qcow2'}), 'Invalid source URL: '],
	['http with a path', imports({url: '/disk.qcow2'}), 'Invalid source URL scheme: '],
	[
		'http with another scheme',
		imports({url: 'ftp://example.com/d'}),
		'Invalid source URL scheme: http and https are possible',
	],
	['s3 with an empty URL', ofKind('s3', {url: ''}), 'spec.source source URL is empty'],
	[
		's3 with its own scheme',
		ofKind('s3', {url: 's3://bucket/object'}),
		'Invalid source URL scheme: http and https are possible',
	],
	['gcs with something else', ofKind('gcs', {url: 'bucket'}), 'Invalid source URL: '],
	['registry with nothing', ofKind('registry', {}), 'Source registry should have either URL or ImageStream'],
	[
		'registry with both',
		ofKind('registry', {url: 'docker://example.com/a', imageStream: 'a'}),
		'Source registry should have either URL or ImageStream',
	],
	['a checksum without an algorithm', imports({checksum: 'abc'}), 'Invalid checksum format: '],
	['a checksum of another algorithm', imports({checksum: 'crc32:00000000'}), 'Invalid checksum format: '],
	['a checksum that is too short', imports({checksum: `sha256:${'a'.repeat(63)}`}), 'Invalid checksum format: '],
	['a checksum that is not hexadecimal', imports({checksum: `md5:${'g'.repeat(32)}`}), 'Invalid checksum format: '],
	['a claim without a name', ofKind('pvc', {...golden, name: ''}), 'spec.source.pvc.name'],
	['a snapshot without a namespace', ofKind('snapshot', {...golden, namespace: ''}), 'spec.source.snapshot.namespace'],
	['a reference without a kind', refers({kind: ''}), 'Missing sourceRef kind'],
	[
		'a reference to another kind',
		refers({kind: 'Other'}),
		'Unsupported sourceRef kind Other, currently only DataSource is supported',
	],
	['a reference without a name', refers({name: ''}), 'Missing sourceRef name'],
	['another contentType', {...imports({}), contentType: 'iso'}, 'supported values: "kubevirt", "archive"'],
	[
		'a blank archive',
		{source: {blank: {}}, contentType: 'archive', storage: {resources}},
		'SourceType cannot be blank and the contentType be archive',
	],
])('CDI §13.13: %s is refused', async (_, spec, sentence) => {
	const client = makeClient();
	const answer = await answerTo(client.create(dataVolumes, dataVolume('disk', spec), {dryRun: true}));
	expect(answer).toContain('422 Invalid');
	expect(answer).toContain(sentence);
});

test('CDI §13.13: a name that is too long is refused', async () => {
	const client = makeClient();
	const answer = await answerTo(client.create(dataVolumes, dataVolume(tooLong, imports({})), {dryRun: true}));
	expect(answer).toContain('422 Invalid');
	expect(answer).toContain('Name cannot be longer than 253 characters');
});

test('CDI §13.13: each mistake is a cause of its own', async () => {
	const client = makeClient();
	const spec = {...imports({url: '', checksum: 'abc'}), storage: sized('1Ki')};
	const error: unknown = await client.create(dataVolumes, dataVolume('disk', spec), {dryRun: true}).catch((no) => no);
	if (!(error instanceof ApiError)) throw new Error('it was not refused');
	expect(error.code).toBe(422);
	expect(error.details?.causes?.map(({message = ''}) => message)).toEqual([
		expect.stringContaining('spec.source source URL is empty'),
		expect.stringContaining('Invalid checksum format'),
		expect.stringContaining('Storage size should be at least 1MiB'),
	]);
});

test.each<[string, object]>([
	['the source', {source: {http: {url: 'http://elsewhere.example.com/'}}}],
	['the kind of source', {source: {http: null, blank: {}}}],
	['the size', {storage: {resources: {requests: {storage: '2Gi'}}}}],
	['the storage class', {storage: {storageClassName: 'other'}}],
	['pvc for storage', {storage: null, pvc}],
	['the service account', {serviceAccountName: 'other'}],
	['the checkpoints of what has none', {checkpoints: [{current: 'a', previous: ''}]}],
	['the end of checkpoints of what has none', {finalCheckpoint: true}],
])('CDI §13.13: once made, %s cannot be changed', async (what, spec) => {
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

test('CDI §13.13: labels, annotations, finalizers and checkpoints can be changed, and the status only by its subresource', async () => {
	const client = makeClient();
	const source = {imageio: {url: 'https://engine.example.com/api', diskId: '1'}};
	const made = await client.create(dataVolumes, dataVolume('mutable', {source, storage: {resources}}));
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
