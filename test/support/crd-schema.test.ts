/**
 * The definitions in manifests/base/crd, field by field: what CDI's Go clients read and write. A field of another type breaks the
 * list and the watch of everybody who has typed clients, so each is written down here as well.
 */
import {globSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {describe, expect, test} from 'vitest';
import {parse} from 'yaml';

interface Schema {
	readonly type?: string;
	readonly format?: string;
	readonly description?: string;
	readonly enum?: readonly string[];
	readonly required?: readonly string[];
	readonly properties?: Readonly<Record<string, Schema>>;
	readonly items?: Schema;
	readonly additionalProperties?: Schema;
	readonly maxItems?: number;
	readonly minLength?: number;
	readonly pattern?: string;
	readonly 'x-kubernetes-int-or-string'?: boolean;
	readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
	readonly 'x-kubernetes-validations'?: readonly {readonly rule: string; readonly message: string}[];
}

interface Column {
	readonly name: string;
	readonly type: string;
	readonly jsonPath: string;
}

interface Definition {
	readonly metadata: {readonly name: string};
	readonly spec: {
		readonly group: string;
		readonly scope: string;
		readonly names: {
			readonly kind: string;
			readonly plural: string;
			readonly shortNames?: readonly string[];
			readonly categories?: readonly string[];
		};
		readonly versions: readonly {
			readonly name: string;
			readonly served: boolean;
			readonly storage: boolean;
			readonly subresources?: {readonly status?: object};
			readonly additionalPrinterColumns?: readonly Column[];
			readonly schema: {readonly openAPIV3Schema: Schema};
		}[];
	};
}

const root = path.resolve(import.meta.dirname, '../..');
const definitions = globSync('manifests/base/crd/*.yaml', {cwd: root}).map(
	(file): Definition => parse(readFileSync(path.join(root, file), 'utf8')),
);

function definitionOf(kind: string): Definition {
	const definition = definitions.find(({spec}) => spec.names.kind === kind);
	if (!definition) throw new Error(`no definition of ${kind}`);
	return definition;
}

/**
 * A schema as a table would have it. An object is its members, those that must be there with a `!` behind; a map has one member `*`;
 * a list is a list of one; a string of few values has them between bars.
 */
type Shape = string | readonly [Shape] | {readonly [member: string]: Shape};

function shapeOf(schema: Schema): Shape {
	if (schema['x-kubernetes-int-or-string']) return schema.pattern ? 'quantity' : 'int-or-string';
	if (schema['x-kubernetes-preserve-unknown-fields']) return 'anything';
	if (schema.type === 'array') return [shapeOf(schema.items ?? {})];
	if (schema.additionalProperties) return {'*': shapeOf(schema.additionalProperties)};
	if (schema.type === 'object') {
		const required = new Set(schema.required);
		const members = Object.entries(schema.properties ?? {});
		return Object.fromEntries(
			members.map(([name, member]) => [required.has(name) ? `${name}!` : name, shapeOf(member)]),
		);
	}
	return schema.enum?.join('|') ?? schema.format ?? schema.type ?? 'nothing';
}

const reference = {'namespace!': 'string', 'name!': 'string'};
const importSources = {
	http: {
		'url!': 'string',
		secretRef: 'string',
		certConfigMap: 'string',
		extraHeaders: ['string'],
		secretExtraHeaders: ['string'],
		checksum: 'string',
		insecureSkipVerify: 'boolean',
	},
	s3: {'url!': 'string', secretRef: 'string', certConfigMap: 'string'},
	gcs: {'url!': 'string', secretRef: 'string'},
	registry: {
		url: 'string',
		imageStream: 'string',
		pullMethod: 'string',
		secretRef: 'string',
		certConfigMap: 'string',
		platform: {architecture: 'string'},
	},
	imageio: {
		'url!': 'string',
		'diskId!': 'string',
		secretRef: 'string',
		certConfigMap: 'string',
		insecureSkipVerify: 'boolean',
	},
	vddk: {
		url: 'string',
		uuid: 'string',
		backingFile: 'string',
		thumbprint: 'string',
		secretRef: 'string',
		certConfigMap: 'string',
		initImageURL: 'string',
		extraArgs: 'string',
	},
	blank: {},
} as const;
const nodeRequirements: Shape = [{'key!': 'string', 'operator!': 'string', values: ['string']}];
const labelSelector: Shape = {matchLabels: {'*': 'string'}, matchExpressions: nodeRequirements};
/** In CDI any strings in the schema, and these by the webhook, which names them in this order. */
const accessModes: Shape = ['ReadOnlyMany|ReadWriteMany|ReadWriteOnce|ReadWriteOncePod'];
const storage = {
	accessModes,
	volumeMode: 'Filesystem|Block',
	resources: {requests: {'*': 'quantity'}, limits: {'*': 'quantity'}},
	storageClassName: 'string',
	volumeName: 'string',
	selector: labelSelector,
	dataSource: {apiGroup: 'string', 'kind!': 'string', 'name!': 'string'},
	dataSourceRef: {apiGroup: 'string', 'kind!': 'string', 'name!': 'string', namespace: 'string'},
} as const;
const checkpoints: Shape = [{'current!': 'string', 'previous!': 'string'}];
const dataVolumeSpec: Shape = {
	source: {...importSources, upload: {}, pvc: reference, snapshot: reference},
	sourceRef: {'kind!': 'string', 'name!': 'string', namespace: 'string'},
	pvc: {...storage, volumeAttributesClassName: 'string'},
	storage,
	contentType: 'kubevirt|archive',
	preallocation: 'boolean',
	priorityClassName: 'string',
	serviceAccountName: 'string',
	checkpoints,
	finalCheckpoint: 'boolean',
};
const conditions: Shape = [
	{
		'type!': 'string',
		'status!': 'string',
		reason: 'string',
		message: 'string',
		lastTransitionTime: 'date-time',
		lastHeartbeatTime: 'date-time',
	},
];
const dataVolumeStatus: Shape = {
	claimName: 'string',
	phase: 'string',
	progress: 'string',
	restartCount: 'int32',
	conditions,
};
const dataSource: Shape = {pvc: reference, snapshot: reference, dataSource: reference};
const profile = {
	claimPropertySets: [{'accessModes!': ['string'], 'volumeMode!': 'Block|Filesystem'}],
	cloneStrategy: 'string',
	dataImportCronSourceFormat: 'string',
	snapshotClass: 'string',
} as const;
const importProxy = {HTTPProxy: 'string', HTTPSProxy: 'string', noProxy: 'string', trustedCAProxy: 'string'};
const resourceRequirements: Shape = {
	claims: [{'name!': 'string', request: 'string'}],
	limits: {'*': 'quantity'},
	requests: {'*': 'quantity'},
};
const filesystemOverhead = {global: 'string', storageClass: {'*': 'string'}};
const config: Shape = {
	uploadProxyURLOverride: 'string',
	importProxy,
	scratchSpaceStorageClass: 'string',
	podResourceRequirements: resourceRequirements,
	featureGates: ['string'],
	webhookPvcRendering: 'Enabled|Disabled',
	filesystemOverhead,
	preallocation: 'boolean',
	insecureRegistries: ['string'],
	dataVolumeTTLSeconds: 'int32',
	tlsSecurityProfile: {
		type: 'Old|Intermediate|Modern|Custom',
		old: {},
		intermediate: {},
		modern: {},
		custom: {ciphers: ['string'], minTLSVersion: 'VersionTLS10|VersionTLS11|VersionTLS12|VersionTLS13'},
	},
	imagePullSecrets: [{name: 'string'}],
	logVerbosity: 'int32',
};
const nodeSelectorTerm: Shape = {matchExpressions: nodeRequirements, matchFields: nodeRequirements};
const podAffinityTerm: Shape = {
	labelSelector,
	namespaceSelector: labelSelector,
	namespaces: ['string'],
	matchLabelKeys: ['string'],
	mismatchLabelKeys: ['string'],
	'topologyKey!': 'string',
};
const podAffinity: Shape = {
	requiredDuringSchedulingIgnoredDuringExecution: [podAffinityTerm],
	preferredDuringSchedulingIgnoredDuringExecution: [{'podAffinityTerm!': podAffinityTerm, 'weight!': 'int32'}],
};
const nodePlacement = {
	nodeSelector: {'*': 'string'},
	affinity: {
		nodeAffinity: {
			requiredDuringSchedulingIgnoredDuringExecution: {'nodeSelectorTerms!': [nodeSelectorTerm]},
			preferredDuringSchedulingIgnoredDuringExecution: [{'preference!': nodeSelectorTerm, 'weight!': 'int32'}],
		},
		podAffinity,
		podAntiAffinity: podAffinity,
	},
	tolerations: [{key: 'string', operator: 'string', value: 'string', effect: 'string', tolerationSeconds: 'int64'}],
} as const;
const certificate = {duration: 'string', renewBefore: 'string'};
const flags = {'*': 'string'};

interface Row {
	readonly plural: string;
	readonly scope: 'Namespaced' | 'Cluster';
	readonly shortNames?: readonly string[];
	readonly categories?: readonly string[];
	/** Whether the status is written apart from the object. */
	readonly status?: boolean;
	readonly columns?: readonly string[];
	/** All that are served; the first is stored. */
	readonly versions?: readonly string[];
	readonly shape: {readonly 'spec!': Shape; readonly status?: Shape};
}

const all = ['all'];
const age = 'Age date .metadata.creationTimestamp';
const phase = 'Phase string .status.phase';

const table: Readonly<Record<string, Row>> = {
	DataVolume: {
		plural: 'datavolumes',
		scope: 'Namespaced',
		shortNames: ['dv', 'dvs'],
		categories: all,
		status: true,
		columns: [phase, 'Progress string .status.progress', 'Restarts integer .status.restartCount', age],
		shape: {'spec!': dataVolumeSpec, status: dataVolumeStatus},
	},
	DataSource: {
		plural: 'datasources',
		scope: 'Namespaced',
		shortNames: ['das'],
		categories: all,
		shape: {'spec!': {'source!': dataSource}, status: {source: dataSource, conditions}},
	},
	DataImportCron: {
		plural: 'dataimportcrons',
		scope: 'Namespaced',
		shortNames: ['dic', 'dics'],
		categories: all,
		columns: ['Format string .status.sourceFormat'],
		shape: {
			'spec!': {
				'template!': {
					apiVersion: 'string',
					kind: 'string',
					metadata: 'anything',
					'spec!': dataVolumeSpec,
					status: dataVolumeStatus,
				},
				'schedule!': 'string',
				'managedDataSource!': 'string',
				garbageCollect: 'string',
				importsToKeep: 'int32',
				retentionPolicy: 'string',
				serviceAccountName: 'string',
				// Of some versions of CDI only.
				createdBy: 'string',
			},
			status: {
				currentImports: [{'DataVolumeName!': 'string', 'Digest!': 'string'}],
				lastImportedPVC: reference,
				lastExecutionTimestamp: 'date-time',
				lastImportTimestamp: 'date-time',
				sourceFormat: 'string',
				conditions,
			},
		},
	},
	StorageProfile: {
		plural: 'storageprofiles',
		scope: 'Cluster',
		status: true,
		shape: {'spec!': profile, status: {...profile, storageClass: 'string', provisioner: 'string', conditions}},
	},
	CDIConfig: {
		plural: 'cdiconfigs',
		scope: 'Cluster',
		shape: {
			'spec!': config,
			status: {
				uploadProxyURL: 'string',
				uploadProxyCA: 'string',
				importProxy,
				scratchSpaceStorageClass: 'string',
				defaultPodResourceRequirements: resourceRequirements,
				filesystemOverhead,
				preallocation: 'boolean',
				imagePullSecrets: [{name: 'string'}],
			},
		},
	},
	CDI: {
		plural: 'cdis',
		scope: 'Cluster',
		shortNames: ['cdi', 'cdis'],
		columns: [age, phase],
		versions: ['v1beta1', 'v1alpha1'],
		shape: {
			'spec!': {
				imagePullPolicy: 'Always|IfNotPresent|Never',
				uninstallStrategy: 'RemoveWorkloads|BlockUninstallIfWorkloadsExist',
				infra: {
					...nodePlacement,
					deploymentReplicas: 'int32',
					apiServerReplicas: 'int32',
					uploadProxyReplicas: 'int32',
				},
				workload: nodePlacement,
				customizeComponents: {
					patches: [{'resourceName!': 'string', 'resourceType!': 'string', 'patch!': 'string', 'type!': 'string'}],
					flags: {api: flags, controller: flags, uploadProxy: flags},
				},
				cloneStrategyOverride: 'copy|snapshot|csi-clone',
				config,
				certConfig: {ca: certificate, server: certificate, client: certificate},
				priorityClass: 'string',
			},
			status: {
				phase: 'string',
				conditions,
				operatorVersion: 'string',
				targetVersion: 'string',
				observedVersion: 'string',
			},
		},
	},
	ObjectTransfer: {
		plural: 'objecttransfers',
		scope: 'Cluster',
		shortNames: ['ot', 'ots'],
		status: true,
		columns: [age, phase],
		shape: {
			'spec!': {
				'source!': {
					apiVersion: 'string',
					'kind!': 'string',
					...reference,
					requiredAnnotations: {'*': 'string'},
				},
				'target!': {namespace: 'string', name: 'string'},
				parentName: 'string',
			},
			status: {data: {'*': 'string'}, phase: 'string', conditions},
		},
	},
	VolumeImportSource: {
		plural: 'volumeimportsources',
		scope: 'Namespaced',
		shape: {
			'spec!': {
				source: importSources,
				contentType: 'kubevirt|archive',
				preallocation: 'boolean',
				targetClaim: 'string',
				checkpoints,
				finalCheckpoint: 'boolean',
			},
			status: {},
		},
	},
	VolumeUploadSource: {
		plural: 'volumeuploadsources',
		scope: 'Namespaced',
		shape: {'spec!': {contentType: 'kubevirt|archive', preallocation: 'boolean'}, status: {}},
	},
	VolumeCloneSource: {
		plural: 'volumeclonesources',
		scope: 'Namespaced',
		shape: {
			'spec!': {
				'source!': {apiGroup: 'string', 'kind!': 'string', 'name!': 'string'},
				preallocation: 'boolean',
				priorityClassName: 'string',
			},
			status: {},
		},
	},
};

const fieldOf = (kind: string, ...way: readonly string[]): Schema => {
	let schema = definitionOf(kind).spec.versions[0]?.schema.openAPIV3Schema ?? {};
	for (const step of way) schema = (step === '[]' ? schema.items : schema.properties?.[step]) ?? {};
	return schema;
};

test('there is a definition for each kind of the table, and none besides but our own', () => {
	const ofCdi = definitions.filter(({spec}) => spec.group === 'cdi.kubevirt.io').map(({spec}) => spec.names.kind);
	expect(ofCdi.toSorted()).toEqual(Object.keys(table).toSorted());
});

describe.each(Object.entries(table))('%s', (kind, row) => {
	const {metadata, spec} = definitionOf(kind);

	test('is called as in CDI', () => {
		expect(metadata.name).toBe(`${row.plural}.cdi.kubevirt.io`);
		expect(spec.names).toEqual({
			kind,
			listKind: `${kind}List`,
			plural: row.plural,
			singular: kind.toLowerCase(),
			...(row.shortNames && {shortNames: row.shortNames}),
			...(row.categories && {categories: row.categories}),
		});
		expect(spec.scope).toBe(row.scope);
	});

	test('has the versions, subresources and columns of CDI', () => {
		const versions = row.versions ?? ['v1beta1'];
		expect(spec.versions.filter(({served}) => served).map(({name}) => name)).toEqual(versions);
		expect(spec.versions.filter((version) => version.storage).map(({name}) => name)).toEqual([versions[0]]);
		for (const {subresources = {}, additionalPrinterColumns: columns = []} of spec.versions) {
			expect(Object.keys(subresources)).toEqual(row.status ? ['status'] : []);
			const shown = columns.map(({name, type, jsonPath}) => `${name} ${type} ${jsonPath}`);
			expect(shown).toEqual(row.columns ?? []);
		}
	});

	test('has the fields of CDI, of its types', () => {
		for (const {schema} of spec.versions) {
			const shape = {apiVersion: 'string', kind: 'string', metadata: {}, ...row.shape};
			expect(shapeOf(schema.openAPIV3Schema)).toEqual(shape);
		}
	});

	test('tells of itself and of each field of spec and status', () => {
		const schema = fieldOf(kind);
		const mute = ['spec', 'status'].flatMap((part) =>
			Object.entries(schema.properties?.[part]?.properties ?? {})
				.filter(([, {description}]) => !description)
				.map(([name]) => `${part}.${name}`),
		);
		expect([schema.description ?? '', schema.properties?.['spec']?.description ?? '']).not.toContain('');
		expect(mute).toEqual([]);
	});
});

describe("limits that are in CDI's schema", () => {
	test.each(['spec', 'status'])('of the sets of a StorageProfile (%s)', (part) => {
		const sets = fieldOf('StorageProfile', part, 'claimPropertySets');
		const modes = fieldOf('StorageProfile', part, 'claimPropertySets', '[]', 'accessModes');
		expect([sets.maxItems, modes.maxItems]).toEqual([8, 4]);
		expect(modes['x-kubernetes-validations']).toEqual([
			{
				rule: "self.all(am, am in ['ReadWriteOnce', 'ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOncePod'])",
				message: 'Illegal AccessMode',
			},
		]);
	});

	test('of shares and names', () => {
		const share = '^(0(?:\\.\\d{1,3})?|1)$';
		for (const [kind, ...way] of [
			['CDIConfig', 'spec'],
			['CDIConfig', 'status'],
			['CDI', 'spec', 'config'],
		] as const) {
			expect(fieldOf(kind, ...way, 'filesystemOverhead', 'global').pattern).toBe(share);
			const byClass = fieldOf(kind, ...way, 'filesystemOverhead', 'storageClass');
			expect(byClass.additionalProperties?.pattern).toBe(share);
		}
		expect(fieldOf('DataImportCron', 'spec', 'serviceAccountName').minLength).toBe(1);
	});
});

test('the settings of a CDI are those of a CDIConfig, word by word', () => {
	const {description: _, ...settings} = fieldOf('CDI', 'spec', 'config');
	const {description: __, ...spec} = fieldOf('CDIConfig', 'spec');
	expect(settings).toEqual(spec);
});
