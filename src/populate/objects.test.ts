import {readFileSync} from 'node:fs';
import {describe, expect, test} from 'vitest';
import {parseAllDocuments} from 'yaml';
import {
	claim,
	cloneSource,
	importSource,
	snapshot,
	storageClass,
	volume,
	workerDefaults,
} from '../../test/support/builders.ts';
import type {Pod} from '../api/kubernetes.ts';
import {annotations, labels} from '../api/names.ts';
import {type CopierTask, type ImportTask, workerTaskVariable} from '../api/worker-contract.ts';
import {
	contactOf,
	makeCopierPod,
	makeCopySourceClaim,
	makeImporterPod,
	makeImportPrivate,
	makeCopyKeys,
	makePrimeClaim,
	makeReceiverPod,
	makeSenderPod,
	requestBytes,
	toldContactOf,
	type WorkerSettings,
} from './objects.ts';
import {targetKeyOf} from './observe.ts';

const settings: WorkerSettings = {...workerDefaults, image: 'registry/worker:1', imagePullSecrets: ['pull']};
const target = claim({name: 'target', phase: 'Pending', request: '1.5Gi'});
const prime = claim({name: 'prime', phase: 'Pending', request: '1.5Gi'});
const block = claim({name: 'prime', phase: 'Pending', volumeMode: 'Block'});
const source = claim({name: 'golden'});

const http = {
	url: 'https://example.com/disk.qcow2',
	secretRef: 'credentials',
	certConfigMap: 'authorities',
	extraHeaders: ['X-One: 1'],
	secretExtraHeaders: ['header-a', 'header-b'],
	checksum: 'md5:d41d8cd98f00b204e9800998ecf8427e',
};
const importer = makeImporterPod(target, prime, importSource({spec: {source: {http}}}), settings);
const unpacker = makeImporterPod(
	target,
	prime,
	importSource({spec: {source: {http}, contentType: 'archive'}}),
	settings,
);
const blank = makeImporterPod(
	target,
	block,
	importSource({spec: {source: {blank: {}}, preallocation: true}}),
	settings,
);
const local = volume({
	nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: 'host', operator: 'In', values: ['one']}]}]}},
});
const atSource = cloneSource();
const copy = {
	target,
	filled: prime,
	source,
	orders: {atSource, atTarget: atSource},
	sourceIsFixed: true,
	readFrom: local,
	preallocation: false,
	priorityClassName: 'urgent',
	settings,
};
const copier = makeCopierPod(copy);
const blockCopier = makeCopierPod({
	...copy,
	filled: block,
	source: claim({name: 'golden', volumeMode: 'Block'}),
	sourceIsFixed: false,
});
const keyName = 'copy-key-target-uid';
const sender = makeSenderPod(copy);
const receiver = makeReceiverPod(copy, {address: '10.0.0.1', keyName});

function taskOf(pod: Pod): ImportTask | CopierTask {
	const [{env = []} = {}] = pod.spec.containers;
	// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the worker does
	return JSON.parse(env.find(({name}) => name === workerTaskVariable)?.value ?? 'null') as ImportTask | CopierTask;
}

describe.each([
	['importer', importer],
	['importer to a device', blank],
	['copier', copier],
	['copier between devices', blockCopier],
	['sender', sender],
	['receiver', receiver],
])('worker Pod: %s', (_, pod) => {
	const [container] = pod.spec.containers;

	test("is 'restricted' by the Pod Security Standards", () => {
		expect(pod.spec.securityContext).toMatchObject({
			runAsNonRoot: true,
			runAsUser: 107,
			fsGroup: 107,
			seccompProfile: {type: 'RuntimeDefault'},
		});
		expect(container?.securityContext).toEqual({
			allowPrivilegeEscalation: false,
			readOnlyRootFilesystem: true,
			capabilities: {drop: ['ALL']},
		});
		const kinds = pod.spec.volumes?.flatMap((volume) => Object.keys(volume)) ?? [];
		const allowed = new Set(['name', 'persistentVolumeClaim', 'secret', 'configMap', 'emptyDir']);
		expect(kinds.filter((kind) => !allowed.has(kind))).toEqual([]);
	});

	test('takes no more of its node than it may', () => {
		expect(container?.resources?.limits).toMatchObject({memory: '600Mi'});
		expect(container?.resources?.requests).toEqual({cpu: '100m', memory: '64Mi'});
		const folders = pod.spec.volumes?.filter(({emptyDir}) => emptyDir) ?? [];
		expect(folders.map(({emptyDir}) => emptyDir?.sizeLimit)).not.toContain(undefined);
		const writable = container?.volumeMounts?.filter(({readOnly}) => !readOnly).map(({name}) => name) ?? [];
		const own = new Set(['target', ...folders.map(({name}) => name)]);
		expect(writable.filter((name) => !own.has(name))).toEqual([]);
	});

	test('has nothing of its node', () => {
		for (const shared of ['hostNetwork', 'hostPID', 'hostIPC'] as const) expect(pod.spec).not.toHaveProperty(shared);
		expect(container?.securityContext).not.toHaveProperty('privileged');
		expect(container?.ports).toEqual([{name: 'metrics', containerPort: 8080}]);
	});

	test('has no token and hears of no service', () => {
		expect(pod.spec).toMatchObject({automountServiceAccountToken: false, enableServiceLinks: false});
	});

	test('is started again after a failure, and its last words are read', () => {
		expect(pod.spec.restartPolicy).toBe('OnFailure');
		expect(container).toMatchObject({
			terminationMessagePath: '/dev/termination-log',
			terminationMessagePolicy: 'FallbackToLogsOnError',
		});
	});

	test('goes with the claim that it fills, and its target is found from it', () => {
		expect(pod.metadata.ownerReferences).toMatchObject([{name: 'prime', uid: 'prime-uid', controller: true}]);
		expect(targetKeyOf(pod)).toBe('ns/target');
		expect(pod.metadata.labels?.[labels.targetUid]).toBe('target-uid');
	});

	test('gets no sidecar, which would keep it from ending', () => {
		expect(pod.metadata.annotations).toMatchObject({
			'sidecar.istio.io/inject': 'false',
			'linkerd.io/inject': 'disabled',
		});
	});

	test('is told sizes as decimal bytes', () => {
		const task = taskOf(pod);
		if ('requestedBytes' in task) expect(task.requestedBytes).toMatch(/^\d+$/);
		else expect(pod).toBe(sender);
		expect(task).toHaveProperty('ownerUid', 'target-uid');
	});
});

describe('importer', () => {
	test('is told of an archive, and of nothing where it is a disk', () => {
		expect(taskOf(unpacker)).toMatchObject({contentType: 'archive'});
		expect(taskOf(importer)).not.toHaveProperty('contentType');
	});

	test('is told where secrets are mounted, not what is in them', () => {
		expect(taskOf(importer)).toEqual({
			source: {
				kind: 'http',
				url: http.url,
				extraHeaders: ['X-One: 1'],
				extraHeaderDirs: ['/extraheaders/0', '/extraheaders/1'],
				credentialsDir: '/credentials',
				certificatesDir: '/certs',
			},
			target: {volumeMode: 'Filesystem', path: '/data'},
			ownerUid: 'target-uid',
			checksum: http.checksum,
			requestedBytes: '1610612736',
			filesystemOverhead: 0.06,
			preallocation: false,
		});
		const [container] = importer.spec.containers;
		expect(container?.env?.map(({name}) => name)).toEqual([workerTaskVariable]);
		expect(container?.volumeMounts).toEqual(
			expect.arrayContaining([
				{name: 'credentials', mountPath: '/credentials', readOnly: true},
				{name: 'extraheaders-1', mountPath: '/extraheaders/1', readOnly: true},
			]),
		);
		expect(importer.spec.volumes).toEqual(
			expect.arrayContaining([
				{name: 'credentials', secret: {secretName: 'credentials'}},
				{name: 'certs', configMap: {name: 'authorities'}},
			]),
		);
	});

	describe('passwords and signatures', () => {
		const url = 'https://me:s3cret@example.com/disk.qcow2?X-Signature=s1gned';
		const importProxy = {
			http: 'http://proxy:3128/',
			https: 'http://me:pr0xy@proxy:3128/',
			noProxy: '.example.org',
			certificates: 'PEM',
		};
		const withProxy = {...settings, importProxy};
		const asked = importSource({spec: {source: {http: {url}}}});

		test('are in a Secret, not in the Pod', () => {
			const pod = makeImporterPod(target, prime, asked, withProxy);
			expect(JSON.stringify(pod)).not.toMatch(/s3cret|s1gned|pr0xy|me:/);
			expect(taskOf(pod)).toMatchObject({
				source: {
					url: 'https://example.com/disk.qcow2',
					proxy: {http: 'http://proxy:3128/', https: 'http://proxy:3128/', noProxy: '.example.org'},
					privateDir: '/import-private',
				},
			});
			const secret = makeImportPrivate(target, prime, asked, withProxy);
			expect(secret?.metadata.ownerReferences).toMatchObject([{uid: 'prime-uid'}]);
			const files = Object.entries(secret?.data ?? {}).map(([name, text]) => [
				name,
				Buffer.from(text, 'base64').toString(),
			]);
			expect(Object.fromEntries(files)).toEqual({
				url,
				httpsProxy: importProxy.https,
				'proxyCertificates.pem': 'PEM',
			});
			expect(pod.spec.volumes).toContainEqual({name: 'private', secret: {secretName: secret?.metadata.name}});
			expect(pod.spec.containers[0]?.volumeMounts).toContainEqual({
				name: 'private',
				mountPath: '/import-private',
				readOnly: true,
			});
		});

		test('no Secret where there are none, and no proxy for a blank disk', () => {
			const open = importSource({spec: {source: {http}}});
			expect(makeImportPrivate(target, prime, open, settings)).toBeUndefined();
			const plain = {...settings, importProxy: {http: 'http://proxy:3128/'}};
			expect(makeImportPrivate(target, prime, open, plain)).toBeUndefined();
			expect(taskOf(makeImporterPod(target, prime, open, plain))).not.toHaveProperty('source.privateDir');
			const nothing = importSource({spec: {source: {blank: {}}}});
			expect(makeImportPrivate(target, prime, nothing, withProxy)).toBeUndefined();
			expect(taskOf(makeImporterPod(target, prime, nothing, withProxy))).toMatchObject({source: {kind: 'blank'}});
		});
	});

	test('is what the example of a NetworkPolicy is about', () => {
		const file = new URL('../../manifests/samples/import-network-policy.yaml', import.meta.url);
		const [policy] = parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS() as unknown);
		const {matchLabels} = (policy as {spec: {podSelector: {matchLabels: Record<string, string>}}}).spec.podSelector;
		expect(importer.metadata.labels).toMatchObject(matchLabels);
		expect(copier.metadata.labels).not.toMatchObject(matchLabels);
	});

	test('writes to a device whole, without overhead', () => {
		expect(taskOf(blank)).toMatchObject({
			source: {kind: 'blank'},
			target: {volumeMode: 'Block', path: '/dev/cdi-block-volume'},
			filesystemOverhead: 0,
			preallocation: true,
		});
		expect(blank.spec.containers[0]?.volumeDevices).toEqual([{name: 'target', devicePath: '/dev/cdi-block-volume'}]);
	});

	test('has a folder to put an image down in, where its target is a device', () => {
		const pod = makeImporterPod(target, block, importSource({spec: {source: {http}}}), settings);
		expect(taskOf(pod)).toMatchObject({scratchDir: '/scratch'});
		expect(pod.spec.volumes).toContainEqual({name: 'scratch', emptyDir: {}});
		expect(pod.spec.containers[0]?.volumeMounts).toContainEqual({name: 'scratch', mountPath: '/scratch'});
		for (const other of [importer, blank]) {
			expect(taskOf(other)).not.toHaveProperty('scratchDir');
			expect(other.spec.volumes?.map(({name}) => name)).not.toContain('scratch');
		}
	});

	test('runs on the node of the consumer, by affinity', () => {
		const placed = claim({name: 'target', annotations: {[annotations.selectedNode]: 'node-7'}});
		const pod = makeImporterPod(placed, prime, importSource(), settings);
		expect(JSON.stringify(pod.spec.affinity)).toContain('"values":["node-7"]');
		expect(pod.spec.nodeName).toBeUndefined();
		expect(importer.spec.affinity).toBeUndefined();
	});
});

describe('annotations of the target', () => {
	const asked = {
		'k8s.v1.cni.cncf.io/networks': 'storage',
		'v1.multus-cni.io/default-network': 'other',
		'sidecar.istio.io/inject': 'true',
	};
	const annotated = claim({name: 'target', annotations: {...asked, 'example.com/a': 'b'}});

	test('about networks and sidecars are those of its worker Pods, and no others', () => {
		const made = makeImporterPod(annotated, prime, importSource(), settings);
		expect(made.metadata.annotations).toMatchObject(asked);
		expect(made.metadata.annotations).not.toHaveProperty(['example.com/a']);
	});

	test('are not passed to another namespace', () => {
		const made = makeCopierPod({...copy, target: annotated, filled: claim({name: 'prime', namespace: 'images'})});
		expect(made.metadata.annotations).toMatchObject({'sidecar.istio.io/inject': 'false'});
		expect(made.metadata.annotations).not.toHaveProperty(['k8s.v1.cni.cncf.io/networks']);
	});
});

describe('copier', () => {
	test('mounts its source read-only', () => {
		expect(copier.spec.containers[0]?.volumeMounts).toContainEqual({
			name: 'source',
			mountPath: '/source',
			readOnly: true,
		});
		expect(taskOf(copier)).toMatchObject({source: {volumeMode: 'Filesystem', path: '/source'}});
		expect(taskOf(blockCopier)).toMatchObject({
			source: {volumeMode: 'Block', path: '/dev/cdi-source-volume'},
		});
	});

	test('may go on where it was killed only if nobody can write to the source', () => {
		expect(taskOf(copier)).toMatchObject({content: 'golden-uid/prime-uid'});
		expect(taskOf(receiver)).toMatchObject({content: 'golden-uid/prime-uid'});
		expect(taskOf(blockCopier)).not.toHaveProperty('content');
	});

	test('runs where its source can be read', () => {
		expect(JSON.stringify(copier.spec.affinity)).toContain('"one"');
	});

	test('between two nodes: each half has one of the claims, and neither has the key in its task', () => {
		const claimsOf = ({spec}: Pod) =>
			(spec.volumes ?? []).flatMap((each) => each.persistentVolumeClaim?.claimName ?? []);
		expect(claimsOf(sender)).toEqual(['golden']);
		expect(claimsOf(receiver)).toEqual(['prime']);
		for (const {spec} of [sender, receiver]) {
			expect(spec.volumes).toContainEqual({name: 'copy-key', secret: {secretName: keyName}});
			expect(spec.containers[0]?.volumeMounts).toContainEqual({
				name: 'copy-key',
				mountPath: '/copy-key',
				readOnly: true,
			});
		}
		expect(sender.spec.containers[0]?.volumeMounts).toContainEqual({
			name: 'source',
			mountPath: '/source',
			readOnly: true,
		});
		expect(taskOf(sender)).toMatchObject({role: 'send', keyFile: '/copy-key/key'});
		expect(toldContactOf(receiver)).toEqual({address: '10.0.0.1', keyName});
		for (const other of [copier, importer, sender]) expect(toldContactOf(other)).toBeUndefined();
		const running = {...sender, status: {phase: 'Running' as const, podIP: '10.0.0.1'}};
		expect(contactOf(running)).toEqual({address: '10.0.0.1', keyName});
		expect(contactOf(sender)).toBeUndefined();
	});

	test('the Secret of a copy goes with the prime claim, and has no key before it is written', () => {
		const [key, ...others] = makeCopyKeys(copy);
		expect(key?.metadata).toMatchObject({name: keyName, namespace: 'ns', ownerReferences: [{uid: 'prime-uid'}]});
		expect(key?.data).toBeUndefined();
		expect(others).toEqual([]);
	});

	test('into a claim that stays, nothing that only the copy needs stays with it', () => {
		const inPlace = {...copy, filled: target};
		expect(makeCopierPod(inPlace).metadata.ownerReferences).toMatchObject([{uid: 'target-uid'}]);
		const [key] = makeCopyKeys(inPlace);
		expect(key?.metadata.ownerReferences).toEqual([
			{apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'VolumeCloneSource', name: 'clone', uid: 'clone-uid'},
		]);
		const signed = importSource({spec: {source: {http: {url: 'https://example.com/disk?signature=1'}}}});
		expect(makeImportPrivate(target, target, signed, settings)?.metadata.ownerReferences).toMatchObject([
			{kind: 'VolumeImportSource', uid: 'import-uid'},
		]);
		expect(makeImporterPod(target, target, signed, settings).metadata.ownerReferences).toMatchObject([
			{kind: 'PersistentVolumeClaim', uid: 'target-uid'},
		]);
	});

	test('into a claim of another namespace, each Pod and its Secret are beside its claim', () => {
		const elsewhere = cloneSource({namespace: 'images', uid: 'there'});
		const inPlace = {
			...copy,
			filled: target,
			source: claim({name: 'golden', namespace: 'images'}),
			orders: {atSource: elsewhere, atTarget: atSource},
		};
		const [sends, receives] = [makeSenderPod(inPlace), makeReceiverPod(inPlace, {address: '::1', keyName})];
		expect(sends.metadata).toMatchObject({namespace: 'images', ownerReferences: [{uid: 'there'}]});
		expect(receives.metadata).toMatchObject({namespace: 'ns', ownerReferences: [{uid: 'target-uid'}]});
		expect(
			makeCopyKeys(inPlace).map(({metadata: {name, namespace, ownerReferences}}) => [
				name,
				namespace,
				ownerReferences?.[0]?.uid,
			]),
		).toEqual([
			[keyName, 'ns', 'clone-uid'],
			[keyName, 'images', 'there'],
		]);
	});

	test('has the priority that was asked for', () => {
		expect(copier.spec).toMatchObject({priorityClassName: 'urgent', imagePullSecrets: [{name: 'pull'}]});
	});
});

describe('makePrimeClaim', () => {
	const wanted = {target, kind: 'import', request: '2Gi'} as const;

	test('is as the target but for its source, and goes with it where it can', () => {
		const made = makePrimeClaim({...wanted, namespace: 'ns'});
		expect(made.spec).toEqual({
			accessModes: ['ReadWriteOnce'],
			storageClassName: 'fast',
			resources: {requests: {storage: '2Gi'}},
		});
		expect(made.metadata.ownerReferences).toMatchObject([{uid: 'target-uid'}]);
	});

	test('in another namespace has no owner: it is found by its labels', () => {
		const made = makePrimeClaim({...wanted, namespace: 'images', kind: 'clone'});
		expect(made.metadata.ownerReferences).toBeUndefined();
		expect(targetKeyOf(made)).toBe('ns/target');
	});

	test('is bound where the consumer of the target will run', () => {
		const placed = claim({name: 'target', annotations: {[annotations.selectedNode]: 'node-7'}});
		const made = makePrimeClaim({...wanted, target: placed, namespace: 'ns'});
		expect(made.metadata.annotations?.[annotations.selectedNode]).toBe('node-7');
	});

	test('is not made for a claim that the server has not seen', () => {
		const {uid: _, ...metadata} = target.metadata;
		expect(() => makePrimeClaim({...wanted, target: {...target, metadata}, namespace: 'ns'})).toThrow('has no UID');
	});
});

test('makeCopySourceClaim restores the snapshot where it is', () => {
	const of = snapshot({namespace: 'images'});
	const made = makeCopySourceClaim(target, of, {storageClass: storageClass(), volumeMode: 'Block', request: '1Gi'});
	expect(made.metadata.namespace).toBe('images');
	expect(made.spec).toMatchObject({volumeMode: 'Block', dataSource: {kind: 'VolumeSnapshot', name: 'snapshot'}});
});

test('requestBytes is 0 where nothing is asked for', () => {
	expect(requestBytes({...target, spec: {}})).toBe(0n);
	expect(requestBytes(target)).toBe(1_610_612_736n);
});
