/** The API server takes what CDI's takes of CDI's kinds, stores all of it, and refuses the rest in CDI's words. */
import {beforeAll, describe, expect, inject, onTestFinished, test} from 'vitest';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import type {Resource} from '../../src/kube/resources.ts';
import {ensureBinary} from '../cluster/binaries.ts';
import {run} from '../cluster/command.ts';
import {definitions, makeClient, makeNamespace} from './cluster.ts';
import {answerTo, installManifests} from './onesnap.ts';

type Loose = KubeObject & {readonly spec?: unknown; readonly status?: unknown};

function cdiKind(kind: string, plural: string, {namespaced, version = 'v1beta1'}: Scope): Resource<Loose> {
	return {group: 'cdi.kubevirt.io', version, plural, kind, namespaced};
}

interface Scope {
	readonly namespaced: boolean;
	readonly version?: string;
}

const kinds = {
	DataVolume: cdiKind('DataVolume', 'datavolumes', {namespaced: true}),
	DataSource: cdiKind('DataSource', 'datasources', {namespaced: true}),
	DataImportCron: cdiKind('DataImportCron', 'dataimportcrons', {namespaced: true}),
	VolumeImportSource: cdiKind('VolumeImportSource', 'volumeimportsources', {namespaced: true}),
	VolumeUploadSource: cdiKind('VolumeUploadSource', 'volumeuploadsources', {namespaced: true}),
	VolumeCloneSource: cdiKind('VolumeCloneSource', 'volumeclonesources', {namespaced: true}),
	StorageProfile: cdiKind('StorageProfile', 'storageprofiles', {namespaced: false}),
	CDIConfig: cdiKind('CDIConfig', 'cdiconfigs', {namespaced: false}),
	CDI: cdiKind('CDI', 'cdis', {namespaced: false}),
	ObjectTransfer: cdiKind('ObjectTransfer', 'objecttransfers', {namespaced: false}),
} as const;
type Kind = keyof typeof kinds;

let namespace: string;

beforeAll(async () => {
	await installManifests(inject('kubeconfig'));
	const client = new KubeClient({connection: connect(inject('kubeconfig')), fieldManager: 'test'});
	namespace = await makeNamespace(client);
	client.close();
});

let made = 0;
/** Of names that no other test has: cluster-scoped kinds are shared by all. */
function object(kind: Kind, content: object, name = `cdi-kinds-${made++}`): Loose {
	const {namespaced, version} = kinds[kind];
	return {
		apiVersion: `cdi.kubevirt.io/${version}`,
		kind,
		metadata: {...(namespaced && {namespace}), name},
		...content,
	};
}

async function create(client: KubeClient, kind: Kind, content: Loose): Promise<Loose> {
	const created = await client.create(kinds[kind], content);
	onTestFinished(async () => {
		await client.delete(kinds[kind], created.metadata);
	});
	return created;
}

const at = '2026-11-21T19:00:00Z';
const condition = {
	type: 'Ready',
	status: 'True',
	reason: 'Ready',
	message: 'it is',
	lastTransitionTime: at,
	lastHeartbeatTime: at,
};
const pvc = {namespace: 'golden', name: 'fedora'};
const storage = {resources: {requests: {storage: '5Gi'}}};
const registryTemplate = {
	metadata: {
		creationTimestamp: null,
		annotations: {'cdi.kubevirt.io/storage.bind.immediate.requested': 'true'},
		labels: {a: 'b'},
	},
	spec: {source: {registry: {url: 'docker://quay.io/containerdisks/fedora:latest', pullMethod: 'node'}}, storage},
	status: {},
};
const cron = {template: registryTemplate, schedule: '0 */12 * * *', managedDataSource: 'fedora'};
const requirements = {
	limits: {cpu: '750m', memory: '600M', 'example.com/widgets': 2},
	requests: {cpu: 1, memory: 60_000_000},
	claims: [{name: 'gpu', request: 'one'}],
};
const selector = {matchLabels: {a: 'b'}, matchExpressions: [{key: 'c', operator: 'In', values: ['d']}]};
const nodeTerm = {
	matchExpressions: [{key: 'a', operator: 'Exists'}],
	matchFields: [{key: 'metadata.name', operator: 'In', values: ['n']}],
};
const podTerm = {
	labelSelector: selector,
	namespaceSelector: selector,
	namespaces: ['x'],
	topologyKey: 'kubernetes.io/hostname',
};
const podAffinity = {
	requiredDuringSchedulingIgnoredDuringExecution: [podTerm],
	preferredDuringSchedulingIgnoredDuringExecution: [{weight: 5, podAffinityTerm: podTerm}],
};
const nodePlacement = {
	nodeSelector: {'kubernetes.io/os': 'linux'},
	tolerations: [{key: 'infra', operator: 'Equal', value: 'yes', effect: 'NoExecute', tolerationSeconds: 60}],
	affinity: {
		nodeAffinity: {
			requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [nodeTerm]},
			preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: nodeTerm}],
		},
		podAffinity,
		podAntiAffinity: podAffinity,
	},
};
const config = {
	uploadProxyURLOverride: 'https://upload.example.com',
	importProxy: {HTTPProxy: 'http://p:3128', HTTPSProxy: 'http://p:3129', noProxy: '10.0.0.0/8', trustedCAProxy: 'ca'},
	scratchSpaceStorageClass: 'scratch',
	podResourceRequirements: requirements,
	featureGates: ['HonorWaitForFirstConsumer'],
	webhookPvcRendering: 'Disabled',
	filesystemOverhead: {global: '0.06', storageClass: {fast: '0', slow: '1', other: '0.055'}},
	preallocation: true,
	insecureRegistries: ['registry.example.com:5000'],
	dataVolumeTTLSeconds: -1,
	tlsSecurityProfile: {
		type: 'Custom',
		custom: {ciphers: ['ECDHE-RSA-AES128-GCM-SHA256'], minTLSVersion: 'VersionTLS12'},
	},
	imagePullSecrets: [{name: 'pull'}],
	logVerbosity: 3,
};
const sets = [
	{accessModes: ['ReadWriteMany', 'ReadWriteOnce', 'ReadOnlyMany', 'ReadWriteOncePod'], volumeMode: 'Block'},
	{accessModes: [], volumeMode: 'Filesystem'},
];
const profile = {
	claimPropertySets: sets,
	cloneStrategy: 'csi-clone',
	dataImportCronSourceFormat: 'snapshot',
	snapshotClass: 'fast',
};

/** Everything that a kind can hold, or what clients are known to send. */
const accepted: [string, Kind, {readonly spec: object; readonly status?: object}][] = [
	['to a claim', 'DataSource', {spec: {source: {pvc}}, status: {source: {pvc}, conditions: [condition]}}],
	['to a snapshot', 'DataSource', {spec: {source: {snapshot: pvc}}, status: {source: {snapshot: pvc}}}],
	['to another', 'DataSource', {spec: {source: {dataSource: pvc}}, status: {source: {}}}],
	['to nothing yet', 'DataSource', {spec: {source: {}}}],
	['to two, which its controller judges', 'DataSource', {spec: {source: {pvc, snapshot: pvc}}}],
	['without a namespace in its source', 'DataSource', {spec: {source: {pvc: {namespace: '', name: 'fedora'}}}}],
	[
		'with all fields',
		'DataImportCron',
		{
			spec: {
				...cron,
				garbageCollect: 'Outdated',
				importsToKeep: 2,
				retentionPolicy: 'None',
				serviceAccountName: 'importer',
			},
			status: {
				currentImports: [{DataVolumeName: 'fedora-0123', Digest: 'sha256:0123'}],
				lastImportedPVC: pvc,
				lastExecutionTimestamp: at,
				lastImportTimestamp: at,
				sourceFormat: 'snapshot',
				conditions: [{...condition, type: 'UpToDate'}],
			},
		},
	],
	['of a claim', 'DataImportCron', {spec: {...cron, template: {spec: {source: {pvc}, storage: {}}}}}],
	['without a schedule', 'DataImportCron', {spec: {...cron, schedule: ''}}],
	['with a named schedule', 'DataImportCron', {spec: {...cron, schedule: '@daily'}}],
	['with a long schedule', 'DataImportCron', {spec: {...cron, schedule: '0 0/5 8-18 ? JAN,MAR MON#2 2026-2030'}}],
	[
		'with spec.pvc',
		'DataImportCron',
		{
			spec: {
				...cron,
				template: {spec: {source: registryTemplate.spec.source, pvc: {accessModes: ['ReadWriteOnce'], ...storage}}},
			},
		},
	],
	[
		'with all fields',
		'StorageProfile',
		{
			spec: profile,
			status: {...profile, storageClass: 'fast', provisioner: 'csi.example.com', conditions: [condition]},
		},
	],
	['that wishes nothing', 'StorageProfile', {spec: {}, status: {}}],
	['with a strategy that nobody knows', 'StorageProfile', {spec: {cloneStrategy: 'none'}}],
	[
		'with all fields',
		'CDIConfig',
		{
			spec: config,
			status: {
				uploadProxyURL: 'https://upload.example.com',
				uploadProxyCA: 'PEM',
				importProxy: config.importProxy,
				scratchSpaceStorageClass: 'scratch',
				defaultPodResourceRequirements: requirements,
				filesystemOverhead: config.filesystemOverhead,
				preallocation: true,
				imagePullSecrets: [{name: 'pull'}],
			},
		},
	],
	['that wishes nothing', 'CDIConfig', {spec: {}}],
	[
		'with a TLS profile as OpenShift has it',
		'CDIConfig',
		{spec: {tlsSecurityProfile: {type: 'Old', old: {}, custom: null}}},
	],
	[
		'with all fields',
		'CDI',
		{
			spec: {
				imagePullPolicy: 'IfNotPresent',
				uninstallStrategy: 'BlockUninstallIfWorkloadsExist',
				infra: {...nodePlacement, deploymentReplicas: 2, apiServerReplicas: 2, uploadProxyReplicas: 2},
				workload: nodePlacement,
				customizeComponents: {
					patches: [{resourceName: 'cdi-deployment', resourceType: 'Deployment', patch: '{}', type: 'strategic'}],
					flags: {api: {v: '5'}, controller: {v: '6'}, uploadProxy: {v: '7'}},
				},
				cloneStrategyOverride: 'copy',
				certConfig: {ca: {duration: '48h0m0s', renewBefore: '24h0m0s'}, server: {duration: '24h'}, client: {}},
				priorityClass: 'system-cluster-critical',
				config,
			},
			status: {
				phase: 'Deployed',
				conditions: [{...condition, type: 'Available'}],
				operatorVersion: 'v1.66.0',
				targetVersion: 'v1.66.0',
				observedVersion: 'v1.66.0',
			},
		},
	],
	['that wishes nothing', 'CDI', {spec: {}}],
	[
		'with all fields',
		'ObjectTransfer',
		{
			spec: {
				source: {apiVersion: 'v1', kind: 'PersistentVolumeClaim', ...pvc, requiredAnnotations: {a: 'b'}},
				target: {namespace: 'lab', name: 'disk'},
				parentName: 'other',
			},
			status: {data: {a: 'b'}, phase: 'Complete', conditions: [{...condition, type: 'Complete'}]},
		},
	],
	['of an archive', 'VolumeUploadSource', {spec: {contentType: 'archive', preallocation: true}, status: {}}],
	['that wishes nothing', 'VolumeUploadSource', {spec: {}}],
	[
		'of a snapshot',
		'VolumeCloneSource',
		{
			spec: {
				source: {apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: 'fedora'},
				preallocation: false,
				priorityClassName: 'high',
			},
		},
	],
	[
		'in several steps',
		'VolumeImportSource',
		{
			spec: {
				source: {
					vddk: {
						url: 'https://vcenter.example.com',
						uuid: '52d4',
						backingFile: '[store] a/a.vmdk',
						thumbprint: '20:6C',
						secretRef: 'vcenter',
						certConfigMap: 'ca',
						initImageURL: 'registry.example.com/vddk',
						extraArgs: 'arguments',
					},
				},
				contentType: 'kubevirt',
				preallocation: true,
				targetClaim: 'disk',
				checkpoints: [{previous: '', current: 'snapshot-1'}],
				finalCheckpoint: false,
			},
			status: {},
		},
	],
	[
		'of oVirt',
		'VolumeImportSource',
		{
			spec: {
				source: {
					imageio: {url: 'https://o', diskId: '1', secretRef: 's', certConfigMap: 'c', insecureSkipVerify: true},
				},
			},
		},
	],
	[
		'of a registry',
		'VolumeImportSource',
		{
			spec: {
				source: {
					registry: {
						url: 'docker://r/i',
						pullMethod: 'node',
						secretRef: 's',
						certConfigMap: 'c',
						platform: {architecture: 'arm64'},
					},
				},
			},
		},
	],
	[
		'of a bucket',
		'VolumeImportSource',
		{spec: {source: {s3: {url: 'https://s3/b', secretRef: 's', certConfigMap: 'c'}}}},
	],
	['of Google', 'VolumeImportSource', {spec: {source: {gcs: {url: 'gs://b/o', secretRef: 's'}}}}],
	[
		'with all fields',
		'DataVolume',
		{
			spec: {
				source: {
					http: {
						url: 'http://a',
						secretRef: 's',
						certConfigMap: 'c',
						extraHeaders: ['a: b'],
						secretExtraHeaders: ['h'],
						checksum: `sha256:${'a'.repeat(64)}`,
						insecureSkipVerify: true,
					},
				},
				pvc: {
					accessModes: ['ReadWriteOnce'],
					resources: {requests: {storage: 1_073_741_824}, limits: {storage: '2Gi'}},
					volumeMode: 'Block',
					storageClassName: 'fast',
					volumeName: 'pv-1',
					selector,
					volumeAttributesClassName: 'gold',
				},
				contentType: 'kubevirt',
				preallocation: true,
				priorityClassName: 'high',
				serviceAccountName: 'worker',
				checkpoints: [{previous: 'a', current: 'b'}],
				finalCheckpoint: true,
			},
			status: {
				claimName: 'disk',
				phase: 'Succeeded',
				progress: '100.0%',
				restartCount: 2,
				conditions: [condition],
			},
		},
	],
];

/** Null is nothing to the API server where the schema does not say otherwise. */
function withoutNulls(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(withoutNulls);
	if (typeof value !== 'object' || value === null) return value;
	const members = Object.entries(value).filter(([, member]) => member !== null);
	return Object.fromEntries(members.map(([name, member]) => [name, withoutNulls(member)]));
}

const withStatus: ReadonlySet<Kind> = new Set(['DataVolume', 'StorageProfile', 'ObjectTransfer']);

describe('stored as it was sent, the status where CDI writes it', () => {
	test.each(accepted)('%s: %s', async (_, kind, {spec, status}) => {
		const client = makeClient();
		const created = await create(client, kind, object(kind, {spec}));
		expect(withoutNulls(created.spec)).toEqual(withoutNulls(spec));
		if (!status) return;
		const patch = {status};
		const write = withStatus.has(kind)
			? client.mergePatchStatus(kinds[kind], created.metadata, patch)
			: client.mergePatch(kinds[kind], created.metadata, patch);
		expect((await write).status).toEqual(status);
		expect((await client.get(kinds[kind], created.metadata)).status).toEqual(status);
	});
});

const refused: [string, Kind, object | undefined, string][] = [
	...Object.keys(kinds).map((kind): (typeof refused)[number] => [
		'without a spec',
		kind as Kind,
		undefined,
		'spec: Required value',
	]),
	['without a source', 'DataSource', {}, 'spec.source: Required value'],
	[
		'without a name in its source',
		'DataSource',
		{source: {pvc: {namespace: 'a'}}},
		'spec.source.pvc.name: Required value',
	],
	['without a template', 'DataImportCron', {...cron, template: undefined}, 'spec.template: Required value'],
	[
		'of an address',
		'DataImportCron',
		{...cron, template: {spec: {source: {http: {url: 'http://a'}}, storage}}},
		'Missing source',
	],
	['of nothing', 'DataImportCron', {...cron, template: {spec: {storage}}}, 'Missing source'],
	[
		'of two',
		'DataImportCron',
		{...cron, template: {spec: {source: {...registryTemplate.spec.source, pvc}, storage}}},
		'Multiple Data volume sources',
	],
	[
		'that says what it cannot',
		'DataImportCron',
		{...cron, template: {spec: {...registryTemplate.spec, contentType: 'archive'}}},
		'Unsettable fields: SourceRef, ContentType, Checkpoints, FinalCheckpoint',
	],
	['without a claim', 'DataImportCron', {...cron, template: {spec: {source: {pvc}}}}, 'Missing Data volume PVC'],
	['of four fields', 'DataImportCron', {...cron, schedule: '* * * *'}, 'Illegal cron schedule'],
	['of no fields', 'DataImportCron', {...cron, schedule: 'every: day'}, 'Illegal cron schedule'],
	['that keeps less than none', 'DataImportCron', {...cron, importsToKeep: -1}, 'Illegal ImportsToKeep value'],
	['that keeps a part', 'DataImportCron', {...cron, importsToKeep: 1.5}, 'spec.importsToKeep: Invalid value'],
	['that collects sometimes', 'DataImportCron', {...cron, garbageCollect: 'Sometimes'}, 'Illegal GarbageCollect value'],
	['of no DataSource', 'DataImportCron', {...cron, managedDataSource: ''}, 'Illegal ManagedDataSource value'],
	['for nobody', 'DataImportCron', {...cron, serviceAccountName: ''}, 'spec.serviceAccountName: Invalid value'],
	[
		'of an access mode that is none',
		'StorageProfile',
		{claimPropertySets: [{accessModes: ['ReadOften'], volumeMode: 'Block'}]},
		'Illegal AccessMode',
	],
	[
		'of a volume mode that is none',
		'StorageProfile',
		{claimPropertySets: [{accessModes: [], volumeMode: 'Tape'}]},
		'Unsupported value: "Tape"',
	],
	[
		'without a volume mode',
		'StorageProfile',
		{claimPropertySets: [{accessModes: ['ReadWriteOnce']}]},
		'volumeMode: Required value',
	],
	['of nine sets', 'StorageProfile', {claimPropertySets: Array(9).fill(sets[0])}, 'must have at most 8 items'],
	[
		'of more overhead than there is',
		'CDIConfig',
		{filesystemOverhead: {global: '1.5'}},
		'spec.filesystemOverhead.global',
	],
	['of an overhead that is a number', 'CDIConfig', {filesystemOverhead: {global: 0.06}}, 'must be of type string'],
	['of a class with a wrong overhead', 'CDIConfig', {filesystemOverhead: {storageClass: {a: '6%'}}}, 'storageClass.a'],
	['of a memory that is none', 'CDIConfig', {podResourceRequirements: {limits: {memory: 'much'}}}, 'should match'],
	['that may render', 'CDIConfig', {webhookPvcRendering: 'Maybe'}, 'Unsupported value: "Maybe"'],
	['of a TLS profile that is none', 'CDIConfig', {tlsSecurityProfile: {type: 'Tight'}}, 'Unsupported value: "Tight"'],
	['of a strategy that is none', 'CDI', {cloneStrategyOverride: 'csi'}, 'Unsupported value: "csi"'],
	['that is uninstalled somehow', 'CDI', {uninstallStrategy: 'Somehow'}, 'Unsupported value: "Somehow"'],
	['that pulls at times', 'CDI', {imagePullPolicy: 'Sometimes'}, 'Unsupported value: "Sometimes"'],
	[
		'of a wrong overhead',
		'CDI',
		{config: {filesystemOverhead: {global: '6%'}}},
		'spec.config.filesystemOverhead.global',
	],
	[
		'to nowhere',
		'ObjectTransfer',
		{source: {kind: 'DataVolume', ...pvc}, target: {}},
		'Target namespace and/or target name must be supplied',
	],
	[
		'of a snapshot',
		'ObjectTransfer',
		{source: {kind: 'VolumeSnapshot', ...pvc}, target: {name: 'a'}},
		'Unsupported kind "VolumeSnapshot"',
	],
	['of a tape', 'VolumeUploadSource', {contentType: 'tape'}, 'Unsupported value: "tape"'],
	['of nothing', 'VolumeImportSource', {}, 'Missing VolumeImport source'],
	['of an empty source', 'VolumeImportSource', {source: {}}, 'Missing VolumeImport source'],
	['of two', 'VolumeImportSource', {source: {blank: {}, http: {url: 'http://a'}}}, 'Multiple VolumeImport sources'],
	[
		'in several steps into no claim',
		'VolumeImportSource',
		{source: {blank: {}}, checkpoints: [{previous: '', current: 'a'}]},
		'Unable to do multi-stage import without specifying a target claim',
	],
	['of nothing', 'VolumeCloneSource', {}, 'spec.source: Required value'],
	['without a kind', 'VolumeCloneSource', {source: {name: 'a'}}, 'spec.source.kind: Required value'],
];

describe('refused with 422 and a sentence', () => {
	test.each(refused)('%s: %s', async (_, kind, spec, sentence) => {
		const client = makeClient();
		const answer = await answerTo(client.create(kinds[kind], object(kind, {spec}), {dryRun: true}));
		expect(answer).toContain('422 Invalid');
		expect(answer).toContain(sentence);
	});

	test('a DataImportCron with a name of more than 63 characters', async () => {
		const client = makeClient();
		const long = object('DataImportCron', {spec: cron}, 'a'.repeat(64));
		expect(await answerTo(client.create(kinds.DataImportCron, long, {dryRun: true}))).toContain(
			'Name cannot be longer than 63 characters',
		);
	});

	test.each<[Kind, object, object, string]>([
		['DataImportCron', cron, {schedule: '0 0 * * *'}, 'Cannot update DataImportCron Spec'],
		['VolumeUploadSource', {}, {preallocation: true}, 'Cannot update VolumeUploadSource Spec'],
		['VolumeImportSource', {source: {blank: {}}}, {contentType: 'archive'}, 'Cannot update VolumeImportSource Spec'],
		[
			'ObjectTransfer',
			{source: {kind: 'DataVolume', ...pvc}, target: {name: 'a'}},
			{target: {name: 'b'}},
			'ObjectTransfer spec is immutable',
		],
	])('a change of the spec of a %s', async (kind, spec, change, sentence) => {
		const client = makeClient();
		const created = await create(client, kind, object(kind, {spec}));
		const answer = await answerTo(client.mergePatch(kinds[kind], created.metadata, {spec: change}));
		expect(answer).toContain('422 Invalid');
		expect(answer).toContain(sentence);
	});

	test('but the checkpoints of a VolumeImportSource go on', async () => {
		const client = makeClient();
		const spec = {source: {vddk: {}}, targetClaim: 'disk', checkpoints: [{previous: '', current: 'a'}]};
		const created = await create(client, 'VolumeImportSource', object('VolumeImportSource', {spec}));
		const more = {checkpoints: [...spec.checkpoints, {previous: 'a', current: 'b'}], finalCheckpoint: true};
		const changed = await client.mergePatch(kinds.VolumeImportSource, created.metadata, {spec: more});
		expect(changed.spec).toMatchObject(more);
	});

	test.each<[Kind, object]>([
		['DataVolume', {restartCount: '1'}],
		['DataVolume', {conditions: [{...condition, lastHeartbeatTime: 'now'}]}],
		['DataSource', {conditions: [{...condition, lastTransitionTime: 1}]}],
		['DataImportCron', {lastImportTimestamp: 'yesterday'}],
		['DataImportCron', {currentImports: [{dataVolumeName: 'a', digest: 'b'}]}],
		['StorageProfile', {claimPropertySets: [{accessModes: ['ReadWriteOnce']}]}],
		['CDIConfig', {filesystemOverhead: {global: 0.06}}],
		['CDIConfig', {preallocation: 'true'}],
		['CDI', {phase: 1}],
		['ObjectTransfer', {data: {a: 1}}],
	])('a status that a Go client could not read: %s %j', async (kind, status) => {
		const client = makeClient();
		const [, , content] = accepted.find(([, each]) => each === kind) ?? [];
		const created = await create(client, kind, object(kind, {spec: content?.spec}));
		const write = withStatus.has(kind)
			? client.mergePatchStatus(kinds[kind], created.metadata, {status})
			: client.mergePatch(kinds[kind], created.metadata, {status});
		expect(await answerTo(write)).toContain('422 Invalid');
	});
});

test('a CDI of v1alpha1 is one of v1beta1', async () => {
	const client = makeClient();
	const old = cdiKind('CDI', 'cdis', {namespaced: false, version: 'v1alpha1'});
	const spec = {config: {featureGates: ['HonorWaitForFirstConsumer']}};
	const sent = {...object('CDI', {spec}), apiVersion: 'cdi.kubevirt.io/v1alpha1'};
	const created = await client.create(old, sent);
	onTestFinished(async () => {
		await client.delete(old, created.metadata);
	});
	expect(await client.get(kinds.CDI, created.metadata)).toMatchObject({apiVersion: 'cdi.kubevirt.io/v1beta1', spec});
});

test('CDI §13.1: who looks for CDI finds its group, with every kind that KubeVirt waits for', async () => {
	const program = await ensureBinary('kubectl');
	const args = ['--kubeconfig', inject('kubeconfig'), 'api-resources', '--api-group=cdi.kubevirt.io', '-o', 'name'];
	const served = (await run(program, args)).trim().split('\n');
	for (const plural of ['datavolumes', 'datasources', 'cdis', 'cdiconfigs', 'storageprofiles']) {
		expect(served).toContain(`${plural}.cdi.kubevirt.io`);
	}
	const definition = await makeClient().get(definitions, {name: 'datavolumes.cdi.kubevirt.io'});
	expect(definition.spec).toMatchObject({group: 'cdi.kubevirt.io', names: {kind: 'DataVolume'}});
});

test('CDI §13.12: kubectl shows phase, progress, restarts and age, and waits for conditions', async () => {
	const client = makeClient();
	const storage = {resources: {requests: {storage: '1Gi'}}};
	const disk = object('DataVolume', {spec: {source: {blank: {}}, storage}}, 'columns');
	const {metadata} = await create(client, 'DataVolume', disk);
	const status = {phase: 'ImportInProgress', progress: '45.31%', restartCount: 2, conditions: [condition]};
	await client.mergePatchStatus(kinds.DataVolume, metadata, {status});
	const program = await ensureBinary('kubectl');
	const kubectl = (...parameters: string[]) =>
		run(program, ['--kubeconfig', inject('kubeconfig'), '-n', namespace, ...parameters]);
	const shown = (await kubectl('get', 'dv', 'columns')).trim().split('\n');
	expect(shown.map((line) => line.split(/ +/).slice(0, 4))).toEqual([
		['NAME', 'PHASE', 'PROGRESS', 'RESTARTS'],
		['columns', 'ImportInProgress', '45.31%', '2'],
	]);
	expect(shown[0]).toMatch(/AGE$/);
	expect(await kubectl('wait', '--for=condition=Ready', 'dv/columns', '--timeout=5s')).toContain('condition met');
	expect(
		await kubectl('wait', '--for=jsonpath={.status.phase}=ImportInProgress', 'dv/columns', '--timeout=5s'),
	).toContain('condition met');
});

test('kubectl knows the short names, the category and the columns, and explains each kind and field', async () => {
	const client = makeClient();
	await create(client, 'DataImportCron', object('DataImportCron', {spec: cron}, 'short-names'));
	await create(client, 'DataSource', object('DataSource', {spec: {source: {}}}, 'short-names'));
	const program = await ensureBinary('kubectl');
	const kubectl = (...parameters: string[]) =>
		run(program, ['--kubeconfig', inject('kubeconfig'), '-n', namespace, ...parameters]);
	const known = (await kubectl('api-resources', '--api-group=cdi.kubevirt.io', '--no-headers')).trim().split('\n');
	const shortNames = known.map((line) => line.split(/ {2,}/)).filter((columns) => columns.length === 5);
	expect(Object.fromEntries(shortNames.map(([plural, names]) => [plural, names]))).toEqual({
		cdis: 'cdi,cdis',
		dataimportcrons: 'dic,dics',
		datasources: 'das',
		datavolumes: 'dv,dvs',
		objecttransfers: 'ot,ots',
	});
	const all = await kubectl('get', 'all', '-o', 'name');
	expect(all).toContain('datasource.cdi.kubevirt.io/short-names');
	expect(all).toContain('dataimportcron.cdi.kubevirt.io/short-names');
	expect(await kubectl('get', 'dic')).toMatch(/^NAME +FORMAT\s/);
	expect(await kubectl('get', 'das')).toMatch(/^NAME +AGE\s/);
	for (const {plural} of Object.values(kinds)) {
		const explained = await kubectl('explain', `${plural}.cdi.kubevirt.io`, '--recursive');
		expect(explained).not.toContain('<empty>');
		expect(await kubectl('explain', `${plural}.cdi.kubevirt.io.spec`)).toMatch(/DESCRIPTION:\n +\S+ \S+/);
	}
});
