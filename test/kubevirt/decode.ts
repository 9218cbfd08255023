/**
 * CDI's objects as typed Go lists take them. One object with a field of the wrong type breaks the list and the watch for
 * everybody: fields that Go does not know are skipped, null is the zero value, a wrong type is an error.
 */
import {z} from 'zod';
import type {KubeObject} from '../../src/api/kubernetes.ts';

/** RFC 3339 with seconds, as metav1.Time reads it. */
const time = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/, 'not a time');
const text = z.string();
const flag = z.boolean();
const int = (bits: 32 | 64) =>
	z
		.number()
		.int()
		.min(-(2 ** (bits - 1)))
		.max(2 ** (bits - 1));
/** A string or a bare number. */
const quantity = z.union([
	z.number(),
	z.string().regex(/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+|[numkMGTPE]|[KMGTPE]i)?$/),
]);
const texts = z.array(text);
const textMap = z.record(z.string(), text);

type Shape = Readonly<Record<string, z.ZodType>>;

/** Every field may be absent or null; others are not looked at. */
function fields(shape: Shape): z.ZodType {
	return z.looseObject(Object.fromEntries(Object.entries(shape).map(([name, type]) => [name, type.nullish()])));
}

const list = (type: z.ZodType) => z.array(type);

const metadata = fields({
	name: text,
	namespace: text,
	generateName: text,
	uid: text,
	resourceVersion: text,
	generation: int(64),
	creationTimestamp: time,
	deletionTimestamp: time,
	deletionGracePeriodSeconds: int(64),
	labels: textMap,
	annotations: textMap,
	finalizers: texts,
	ownerReferences: list(
		fields({apiVersion: text, kind: text, name: text, uid: text, controller: flag, blockOwnerDeletion: flag}),
	),
});

const condition = fields({
	type: text,
	status: text,
	reason: text,
	message: text,
	lastTransitionTime: time,
	lastHeartbeatTime: time,
});

const object = fields({namespace: text, name: text});
const reference = fields({apiGroup: text, kind: text, name: text, namespace: text});
const resources = fields({requests: z.record(z.string(), quantity), limits: z.record(z.string(), quantity)});
const selector = fields({
	matchLabels: textMap,
	matchExpressions: list(fields({key: text, operator: text, values: texts})),
});
const claim = {
	accessModes: texts,
	volumeMode: text,
	resources,
	storageClassName: text,
	volumeName: text,
	selector,
	dataSource: reference,
	dataSourceRef: reference,
};
const remote = {url: text, secretRef: text, certConfigMap: text};

const dataVolumeSource = fields({
	http: fields({
		...remote,
		extraHeaders: texts,
		secretExtraHeaders: texts,
		checksum: text,
		insecureSkipVerify: flag,
	}),
	s3: fields(remote),
	gcs: fields(remote),
	registry: fields({...remote, imageStream: text, pullMethod: text, platform: fields({architecture: text})}),
	imageio: fields({...remote, diskId: text, insecureSkipVerify: flag}),
	vddk: fields({...remote, uuid: text, backingFile: text, thumbprint: text, initImageURL: text, extraArgs: text}),
	pvc: object,
	snapshot: object,
	blank: fields({}),
	upload: fields({}),
});

const dataVolume = fields({
	metadata,
	spec: fields({
		source: dataVolumeSource,
		sourceRef: reference,
		pvc: fields({...claim, volumeAttributesClassName: text}),
		storage: fields(claim),
		contentType: text,
		preallocation: flag,
		priorityClassName: text,
		serviceAccountName: text,
		checkpoints: list(fields({current: text, previous: text})),
		finalCheckpoint: flag,
	}),
	status: fields({
		claimName: text,
		phase: text,
		progress: text,
		restartCount: int(32),
		conditions: list(condition),
	}),
});

const dataSourceSource = fields({pvc: object, snapshot: object, dataSource: object});

const proxy = fields({HTTPProxy: text, HTTPSProxy: text, noProxy: text, trustedCAProxy: text});
const overhead = fields({global: text, storageClass: textMap});
const secrets = list(fields({name: text}));
const placement = {nodeSelector: textMap, affinity: fields({}), tolerations: list(fields({key: text, value: text}))};

const configSpec = fields({
	uploadProxyURLOverride: text,
	importProxy: proxy,
	scratchSpaceStorageClass: text,
	podResourceRequirements: resources,
	featureGates: texts,
	webhookPvcRendering: text,
	filesystemOverhead: overhead,
	preallocation: flag,
	insecureRegistries: texts,
	dataVolumeTTLSeconds: int(32),
	tlsSecurityProfile: fields({type: text, custom: fields({ciphers: texts, minTLSVersion: text})}),
	imagePullSecrets: secrets,
	logVerbosity: int(32),
});

const claimPropertySets = list(fields({accessModes: texts, volumeMode: text}));
const profile = {claimPropertySets, cloneStrategy: text, dataImportCronSourceFormat: text, snapshotClass: text};

const shapes: Readonly<Record<string, z.ZodType>> = {
	DataVolume: dataVolume,
	DataSource: fields({
		metadata,
		spec: fields({source: dataSourceSource}),
		status: fields({source: dataSourceSource, conditions: list(condition)}),
	}),
	CDI: fields({
		metadata,
		spec: fields({
			imagePullPolicy: text,
			uninstallStrategy: text,
			infra: fields({
				...placement,
				deploymentReplicas: int(32),
				apiServerReplicas: int(32),
				uploadProxyReplicas: int(32),
			}),
			workload: fields(placement),
			customizeComponents: fields({
				patches: list(fields({resourceName: text, resourceType: text, patch: text, type: text})),
				flags: fields({api: textMap, controller: textMap, uploadProxy: textMap}),
			}),
			cloneStrategyOverride: text,
			config: configSpec,
			certConfig: fields({
				ca: fields({duration: text, renewBefore: text}),
				server: fields({duration: text, renewBefore: text}),
				client: fields({duration: text, renewBefore: text}),
			}),
			priorityClass: text,
		}),
		status: fields({
			phase: text,
			conditions: list(condition),
			operatorVersion: text,
			targetVersion: text,
			observedVersion: text,
		}),
	}),
	CDIConfig: fields({
		metadata,
		spec: configSpec,
		status: fields({
			uploadProxyURL: text,
			uploadProxyCA: text,
			importProxy: proxy,
			scratchSpaceStorageClass: text,
			defaultPodResourceRequirements: resources,
			filesystemOverhead: overhead,
			preallocation: flag,
			imagePullSecrets: secrets,
		}),
	}),
	StorageProfile: fields({
		metadata,
		spec: fields(profile),
		status: fields({...profile, storageClass: text, provisioner: text, conditions: list(condition)}),
	}),
};

/** What a typed list would say to this object, or undefined. */
export function decodingError(value: KubeObject): string | undefined {
	const shape = shapes[value.kind];
	if (!shape) throw new Error(`nobody decodes the kind ${value.kind}`);
	const {error} = shape.safeParse(value);
	const {namespace, name} = value.metadata;
	return (
		error &&
		`cannot decode ${value.kind} ${namespace ? `${namespace}/` : ''}${name}: ${error.issues
			.map(({path, message}) => `${path.join('.')}: ${message}`)
			.join('; ')}`
	);
}
