/**
 * Objects as the API server has them, for tests: a row says only what matters, the rest is whatever is usual. UIDs derive
 * from names, so that two builders agree without passing values about.
 */
import type {Cdi, CdiConfig, CdiConfigSpec, CdiConfigStatus, CdiSpec, CdiStatus} from '../../src/api/cdi-config.ts';
import type {DataSource, DataSourceSource, DataSourceStatus} from '../../src/api/data-source.ts';
import type {DataVolume, DataVolumeSource, DataVolumeSpec, DataVolumeStatus} from '../../src/api/datavolume.ts';
import type {Event} from '../../src/api/event.ts';
import type {
	CsiDriver,
	CsiNode,
	KubeObject,
	Node,
	ObjectMeta,
	PersistentVolume,
	PersistentVolumeClaim,
	PersistentVolumeClaimSpec,
	Pod,
	StorageClass,
	VolumeMode,
} from '../../src/api/kubernetes.ts';
import {
	annotations as known,
	cdiVersion,
	finalizers,
	labels as knownLabels,
	onesnapVersion,
	stripeName,
	targetNameAnnotation,
} from '../../src/api/names.ts';
import type {VolumeCloneSource, VolumeImportSource} from '../../src/api/populator.ts';
import type {ContentKey, SharedSnapshot} from '../../src/api/sharedsnapshot.ts';
import {
	defaultSnapshotClassAnnotation,
	type VolumeSnapshot,
	type VolumeSnapshotClass,
	type VolumeSnapshotContent,
} from '../../src/api/snapshot.ts';
import type {
	ClaimPropertySet,
	StorageProfile,
	StorageProfileSpec,
	StorageProfileStatus,
} from '../../src/api/storage-profile.ts';
import type {WorkerResult} from '../../src/api/worker-contract.ts';
import type {WorkerSettings} from '../../src/populate/objects.ts';
import {assignmentTo, type CloneRequest} from '../../src/smartclone/requests.ts';
import {sharedSnapshotName} from '../../src/smartclone/sharing.ts';

export const driver = 'csi.example.com';
const createdAt = '2026-01-01T00:00:00Z';
const deletedAt = '2026-01-02T00:00:00Z';

/** What any builder takes besides its own words. */
export interface Common {
	readonly name?: string;
	readonly namespace?: string;
	readonly uid?: string;
	readonly labels?: Readonly<Record<string, string>>;
	readonly annotations?: Readonly<Record<string, string>>;
	readonly finalizers?: readonly string[];
	readonly created?: string;
	/** Is being deleted. */
	readonly deleting?: boolean;
}

function metadata(common: Common, name: string, namespace: string | undefined): ObjectMeta {
	const given = common.name ?? name;
	const where = common.namespace ?? namespace;
	return {
		name: given,
		...(where !== undefined && {namespace: where}),
		uid: common.uid ?? `${given}-uid`,
		resourceVersion: '1',
		creationTimestamp: common.created ?? createdAt,
		...(common.deleting && {deletionTimestamp: deletedAt}),
		...(common.labels && {labels: common.labels}),
		...(common.annotations && {annotations: common.annotations}),
		...(common.finalizers && {finalizers: common.finalizers}),
	};
}

export interface ClaimOptions extends Common {
	/** Default Bound, with a volume called `volume`. */
	readonly phase?: 'Pending' | 'Bound' | 'Lost';
	readonly request?: string;
	readonly storageClass?: string;
	readonly volumeMode?: VolumeMode;
	readonly volumeName?: string;
	readonly dataSource?: PersistentVolumeClaimSpec['dataSource'];
	readonly dataSourceRef?: PersistentVolumeClaimSpec['dataSourceRef'];
	/** The controller that owns it. */
	readonly owner?: KubeObject;
}

/** As the controller makes them, they say which DataVolume they were made for. */
const madeForMark = ({kind, metadata}: KubeObject) =>
	kind === 'DataVolume' ? {[known.createdForDataVolume]: metadata.uid ?? ''} : undefined;

export function claim(options: ClaimOptions = {}): PersistentVolumeClaim {
	const {phase = 'Bound', request = '1Gi', storageClass: className = 'fast', volumeMode, owner} = options;
	const volumeName = options.volumeName ?? (phase === 'Pending' ? undefined : 'volume');
	return {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata: {
			...metadata(options, 'claim', 'ns'),
			...(owner && {
				annotations: {...madeForMark(owner), ...options.annotations},
				ownerReferences: [
					{
						apiVersion: owner.apiVersion,
						kind: owner.kind,
						name: owner.metadata.name,
						uid: owner.metadata.uid ?? '',
						controller: true,
					},
				],
			}),
		},
		spec: {
			accessModes: ['ReadWriteOnce'],
			storageClassName: className,
			resources: {requests: {storage: request}},
			...(volumeMode && {volumeMode}),
			...(volumeName && {volumeName}),
			...(options.dataSource && {dataSource: options.dataSource}),
			...(options.dataSourceRef && {dataSourceRef: options.dataSourceRef}),
		},
		status: {phase, ...(phase === 'Bound' && {capacity: {storage: request}})},
	};
}

export interface FailedOptions {
	readonly name?: string;
	readonly message: string;
	readonly reason?: string;
	/** Seen for the last time. */
	readonly at?: string;
	/** UID of another claim. */
	readonly about?: string;
	readonly resourceVersion?: string;
}

/** What the provisioner tells of a claim that it could not make a volume for. */
export function provisioningFailed({kind, metadata: of}: PersistentVolumeClaim, options: FailedOptions): Event {
	const {name, uid = '', namespace = ''} = of;
	const {reason = 'ProvisioningFailed', at = createdAt, about = uid, message} = options;
	return {
		apiVersion: 'v1',
		kind: 'Event',
		metadata: {
			...metadata({}, options.name ?? `${name}.event`, namespace),
			...(options.resourceVersion && {resourceVersion: options.resourceVersion}),
		},
		involvedObject: {kind, namespace, name, uid: about},
		reason,
		message,
		type: 'Warning',
		lastTimestamp: at,
	};
}

export interface VolumeOptions extends Common {
	readonly capacity?: string;
	readonly driver?: string;
	readonly handle?: string;
	readonly volumeMode?: VolumeMode;
	/** The claim it is bound to. */
	readonly boundTo?: PersistentVolumeClaim;
	/** Not a CSI volume. */
	readonly inTree?: boolean;
	readonly nodeAffinity?: PersistentVolume['spec']['nodeAffinity'];
}

export function volume(options: VolumeOptions = {}): PersistentVolume {
	const {capacity = '1Gi', handle = 'handle-1', volumeMode, boundTo, nodeAffinity} = options;
	return {
		apiVersion: 'v1',
		kind: 'PersistentVolume',
		metadata: metadata(options, 'volume', undefined),
		spec: {
			capacity: {storage: capacity},
			...(volumeMode && {volumeMode}),
			...(!options.inTree && {csi: {driver: options.driver ?? driver, volumeHandle: handle}}),
			...(boundTo && {
				claimRef: {
					kind: 'PersistentVolumeClaim',
					namespace: boundTo.metadata.namespace ?? '',
					name: boundTo.metadata.name,
					uid: boundTo.metadata.uid ?? '',
				},
			}),
			...(nodeAffinity && {nodeAffinity}),
		},
		status: {phase: boundTo ? 'Bound' : 'Available'},
	};
}

export interface StorageClassOptions extends Common {
	readonly provisioner?: string;
	readonly waitsForConsumer?: boolean;
	readonly expandable?: boolean;
}

export function storageClass(options: StorageClassOptions = {}): StorageClass {
	return {
		apiVersion: 'storage.k8s.io/v1',
		kind: 'StorageClass',
		metadata: metadata(options, 'fast', undefined),
		provisioner: options.provisioner ?? driver,
		volumeBindingMode: options.waitsForConsumer ? 'WaitForFirstConsumer' : 'Immediate',
		allowVolumeExpansion: options.expandable ?? true,
	};
}

/** For `spec.claimPropertySets`: a file system or a device, for one node at a time. */
export const plainSets: readonly ClaimPropertySet[] = [
	{accessModes: ['ReadWriteOnce'], volumeMode: 'Filesystem'},
	{accessModes: ['ReadWriteOnce'], volumeMode: 'Block'},
];

export interface StorageProfileOptions extends Common {
	readonly spec?: StorageProfileSpec;
	readonly status?: StorageProfileStatus;
	/** UID of the class that owns it. */
	readonly ofClass?: string;
}

export function storageProfile(options: StorageProfileOptions = {}): StorageProfile {
	const {spec = {}, status, ofClass} = options;
	const meta = metadata(options, 'fast', undefined);
	const owner = {apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', name: meta.name, uid: ofClass ?? ''};
	return {
		apiVersion: cdiVersion,
		kind: 'StorageProfile',
		metadata: {...meta, ...(ofClass !== undefined && {ownerReferences: [owner]})},
		spec,
		...(status && {status}),
	};
}

/** What worker Pods are made with, but for the image, where the cluster's admin says nothing. */
export const workerDefaults: Omit<WorkerSettings, 'image'> = {
	overheadOf: () => 0.06,
	imagePullSecrets: [],
	resources: {requests: {cpu: '100m', memory: '64Mi'}, limits: {memory: '600Mi'}},
	placement: {},
	honorsFirstConsumer: true,
	preallocation: false,
};

export interface CdiConfigOptions extends Common {
	readonly spec?: CdiConfigSpec;
	readonly status?: CdiConfigStatus;
}

export function cdiConfig(options: CdiConfigOptions = {}): CdiConfig {
	const {spec = {}, status} = options;
	const meta = metadata(options, 'config', undefined);
	return {apiVersion: cdiVersion, kind: 'CDIConfig', metadata: meta, spec, ...(status && {status})};
}

export interface CdiOptions extends Common {
	readonly config?: CdiConfigSpec;
	readonly spec?: CdiSpec;
	readonly status?: CdiStatus;
}

export function cdi(options: CdiOptions = {}): Cdi {
	const {config, spec, status} = options;
	return {
		apiVersion: cdiVersion,
		kind: 'CDI',
		metadata: metadata(options, 'cdi', undefined),
		spec: {...(config && {config}), ...spec},
		...(status && {status}),
	};
}

export interface SnapshotClassOptions extends Common {
	readonly driver?: string;
	readonly isDefault?: boolean;
}

export function snapshotClass(options: SnapshotClassOptions = {}): VolumeSnapshotClass {
	return {
		apiVersion: 'snapshot.storage.k8s.io/v1',
		kind: 'VolumeSnapshotClass',
		metadata: {
			...metadata(options, 'snapshots', undefined),
			...(options.isDefault && {annotations: {[defaultSnapshotClassAnnotation]: 'true'}}),
		},
		driver: options.driver ?? driver,
		deletionPolicy: 'Delete',
	};
}

export function csiDriver(name: string = driver): CsiDriver {
	return {apiVersion: 'storage.k8s.io/v1', kind: 'CSIDriver', metadata: metadata({}, name, undefined)};
}

export interface DataVolumeOptions extends Common {
	readonly source?: DataVolumeSource;
	readonly spec?: Partial<DataVolumeSpec>;
	/** Size of `spec.storage`, unless `spec` says otherwise. */
	readonly size?: string;
	readonly status?: DataVolumeStatus;
}

export function dataVolume(options: DataVolumeOptions = {}): DataVolume {
	const {source, spec, size = '1Gi', status} = options;
	return {
		apiVersion: cdiVersion,
		kind: 'DataVolume',
		metadata: metadata(options, 'disk', 'ns'),
		spec: {
			...(source && {source}),
			...(!spec?.pvc && {storage: {resources: {requests: {storage: size}}}}),
			...spec,
		},
		...(status && {status}),
	};
}

export interface DataSourceOptions extends Common {
	readonly source?: DataSourceSource;
	readonly status?: DataSourceStatus;
}

export function dataSource(options: DataSourceOptions = {}): DataSource {
	const {source = {}, status} = options;
	return {
		apiVersion: cdiVersion,
		kind: 'DataSource',
		metadata: metadata(options, 'os', 'ns'),
		spec: {source},
		...(status && {status}),
	};
}

/** The key of the content that `claim()` and `volume()` are. */
export function contentKey(overrides: Partial<ContentKey> = {}): ContentKey {
	return {
		driver,
		volumeHandle: 'handle-1',
		persistentVolumeUid: 'volume-uid',
		claimUid: 'claim-uid',
		volumeMode: 'Filesystem',
		capacity: '1Gi',
		...overrides,
	};
}

export interface SharedSnapshotOptions extends Common {
	readonly content?: Partial<ContentKey>;
	readonly generation?: number;
	readonly stripes?: number;
	/** Default true: cut, or about to be. */
	readonly closed?: boolean;
	/** The source was declared immutable before the cut. */
	readonly immutable?: boolean;
	readonly source?: {readonly namespace: string; readonly name: string};
	readonly status?: SharedSnapshot['status'];
}

export function sharedSnapshot(options: SharedSnapshotOptions = {}): SharedSnapshot {
	const content = contentKey(options.content);
	const name = options.name ?? sharedSnapshotName(content, options.generation ?? 1);
	const common = {finalizers: [finalizers.sharedSnapshot], ...options};
	return {
		apiVersion: onesnapVersion,
		kind: 'SharedSnapshot',
		metadata: metadata({...common, uid: options.uid ?? `shared-${options.generation ?? 1}`}, name, undefined),
		spec: {
			content,
			source: options.source ?? {namespace: 'ns', name: 'claim'},
			volumeSnapshotClassName: 'snapshots',
			stripes: options.stripes ?? 1,
			closed: options.closed ?? true,
			declaredImmutable: options.immutable ?? false,
		},
		...(options.status && {status: options.status}),
	};
}

export interface SnapshotOptions extends Common {
	/** Restored into, or cut from: a claim, else a content. */
	readonly ofClaim?: string;
	readonly ofContent?: string;
	/** Content it is bound to. Default `content`; undefined: not bound. */
	readonly boundTo?: string | undefined;
	readonly ready?: boolean;
	readonly restoreSize?: string;
	readonly error?: string;
	/** Never looked at by the snapshotter. */
	readonly untouched?: boolean;
}

export function snapshot(options: SnapshotOptions = {}): VolumeSnapshot {
	const {ofClaim = 'claim', ofContent, ready = true, restoreSize = '1Gi', error, untouched} = options;
	const boundTo = 'boundTo' in options ? options.boundTo : 'content';
	return {
		apiVersion: 'snapshot.storage.k8s.io/v1',
		kind: 'VolumeSnapshot',
		metadata: metadata(options, 'snapshot', 'ns'),
		spec: {
			source: ofContent ? {volumeSnapshotContentName: ofContent} : {persistentVolumeClaimName: ofClaim},
			volumeSnapshotClassName: 'snapshots',
		},
		...(!untouched && {
			status: {
				...(boundTo && {boundVolumeSnapshotContentName: boundTo}),
				readyToUse: ready,
				restoreSize,
				...(error && {error: {message: error}}),
			},
		}),
	};
}

export interface ContentOptions extends Common {
	readonly driver?: string;
	readonly volumeHandle?: string;
	/** Storage's handle of the snapshot; undefined: not cut yet. */
	readonly handle?: string | undefined;
	readonly of?: VolumeSnapshot;
	readonly volumeMode?: string;
	readonly policy?: 'Delete' | 'Retain';
}

export function snapshotContent(options: ContentOptions = {}): VolumeSnapshotContent {
	const {volumeHandle = 'handle-1', of = snapshot(), volumeMode = 'Filesystem', policy = 'Delete'} = options;
	const handle = 'handle' in options ? options.handle : 'snapshot-handle-1';
	const {namespace = '', name, uid = ''} = of.metadata;
	return {
		apiVersion: 'snapshot.storage.k8s.io/v1',
		kind: 'VolumeSnapshotContent',
		metadata: metadata(options, of.status?.boundVolumeSnapshotContentName ?? 'content', undefined),
		spec: {
			driver: options.driver ?? driver,
			deletionPolicy: policy,
			source: {volumeHandle},
			volumeSnapshotClassName: 'snapshots',
			sourceVolumeMode: volumeMode,
			volumeSnapshotRef: {namespace, name, uid},
		},
		status: {readyToUse: true, ...(handle && {snapshotHandle: handle})},
	};
}

/** A stripe of a shared snapshot that is cut, ready and protected: the snapshot and its content. */
export function readyStripe(
	shared: SharedSnapshot,
	stripe = 0,
	overrides: SnapshotOptions = {},
): {readonly snapshot: VolumeSnapshot; readonly content: VolumeSnapshotContent} {
	const name = stripeName(shared.metadata.uid ?? '', stripe);
	const cut = snapshot({
		name,
		namespace: shared.spec.source.namespace,
		ofClaim: shared.spec.source.name,
		boundTo: `content-of-${name}`,
		finalizers: [finalizers.sharedSnapshot],
		labels: {[knownLabels.sharedSnapshotUid]: shared.metadata.uid ?? ''},
		...overrides,
	});
	const ours = {labels: {[knownLabels.sharedSnapshotUid]: shared.metadata.uid ?? ''}, policy: 'Retain' as const};
	return {snapshot: cut, content: snapshotContent({of: cut, handle: `handle-of-${name}`, ...ours})};
}

export interface PodOptions extends Common {
	readonly phase?: NonNullable<Pod['status']>['phase'];
	/** Claims that it mounts. */
	readonly mounts?: readonly {readonly claim: string; readonly readOnly?: boolean; readonly device?: boolean}[];
	/** What its container wrote at its end. */
	readonly said?: WorkerResult | string;
	readonly exitCode?: number;
	readonly restarts?: number;
	readonly running?: boolean;
	readonly waiting?: {readonly reason: string; readonly message?: string};
	/** The try before the one that runs or waits now. */
	readonly lastTry?: {readonly exitCode: number; readonly message: string};
	readonly unschedulable?: string;
	readonly nodeName?: string;
}

const words = (said: WorkerResult | string) => (typeof said === 'string' ? said : JSON.stringify(said));

export function pod(options: PodOptions = {}): Pod {
	const {phase = 'Running', mounts = [], said, exitCode = 0, restarts = 0, running, waiting, lastTry} = options;
	const ended = said !== undefined || options.exitCode !== undefined;
	const state = ended
		? {terminated: {exitCode, ...(said !== undefined && {message: words(said)})}}
		: running
			? {running: {startedAt: createdAt}}
			: waiting && {waiting};
	const readOnlyMounts = mounts.filter(({device}) => !device);
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: metadata(options, 'pod', 'ns'),
		spec: {
			containers: [
				{
					name: 'main',
					image: 'image',
					volumeMounts: readOnlyMounts.map(({claim: name, readOnly}) => ({
						name,
						mountPath: `/${name}`,
						...(readOnly && {readOnly}),
					})),
					volumeDevices: mounts
						.filter(({device}) => device)
						.map(({claim: name}) => ({name, devicePath: `/dev/${name}`})),
				},
			],
			volumes: mounts.map(({claim: name}) => ({name, persistentVolumeClaim: {claimName: name}})),
			...(options.nodeName && {nodeName: options.nodeName}),
		},
		status: {
			phase,
			...(options.unschedulable && {
				conditions: [{type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: options.unschedulable}],
			}),
			containerStatuses: [
				{
					name: 'main',
					restartCount: restarts,
					...(state && {state}),
					...(lastTry && {lastState: {terminated: lastTry}}),
				},
			],
		},
	};
}

/** Labels and annotation of what is made to fill `target`. */
export function madeFor(target: PersistentVolumeClaim): Pick<Common, 'labels' | 'annotations'> {
	return {
		labels: {
			[knownLabels.targetUid]: target.metadata.uid ?? '',
			[knownLabels.targetNamespace]: target.metadata.namespace ?? '',
		},
		annotations: {[targetNameAnnotation]: target.metadata.name},
	};
}

export interface SourceOptions extends Common {
	readonly spec?: Partial<VolumeImportSource['spec']>;
}

export function importSource(options: SourceOptions = {}): VolumeImportSource {
	return {
		apiVersion: cdiVersion,
		kind: 'VolumeImportSource',
		metadata: metadata(options, 'import', 'ns'),
		spec: {source: {http: {url: 'http://example.com/disk.qcow2'}}, ...options.spec},
	};
}

export interface CloneSourceOptions extends Common {
	readonly of?: {readonly kind: 'PersistentVolumeClaim' | 'VolumeSnapshot'; readonly name: string};
	readonly spec?: Partial<VolumeCloneSource['spec']>;
}

export function cloneSource(options: CloneSourceOptions = {}): VolumeCloneSource {
	return {
		apiVersion: cdiVersion,
		kind: 'VolumeCloneSource',
		metadata: metadata(options, 'clone', 'ns'),
		spec: {source: options.of ?? {kind: 'PersistentVolumeClaim', name: 'golden'}, ...options.spec},
	};
}

export interface NodeOptions extends Common {
	readonly ready?: boolean;
	readonly unschedulable?: boolean;
}

export function node(options: NodeOptions = {}): Node {
	return {
		apiVersion: 'v1',
		kind: 'Node',
		metadata: metadata(options, 'node', undefined),
		spec: options.unschedulable ? {unschedulable: true} : {},
		status: {conditions: [{type: 'Ready', status: options.ready === false ? 'False' : 'True'}]},
	};
}

export function csiNode(name = 'node', drivers: readonly string[] = [driver]): CsiNode {
	return {
		apiVersion: 'storage.k8s.io/v1',
		kind: 'CSINode',
		metadata: metadata({}, name, undefined),
		spec: {drivers: drivers.map((each) => ({name: each, nodeID: name}))},
	};
}

/** A clone request of a DataVolume `name` in `namespace`. */
export function request(options: Partial<CloneRequest> = {}): CloneRequest {
	const name = options.name ?? 'disk';
	const namespace = options.namespace ?? 'ns';
	return {
		...{namespace, name, uid: `${name}-uid`, source: {namespace: 'ns', name: 'claim'}},
		...{way: 'snapshot', restoresIn: namespace},
		...options,
	};
}

/** What the DataVolume `disk`, or another of this UID, carries once it is assigned. */
export function assignedTo(shared: SharedSnapshot, uid = 'disk-uid'): Readonly<Record<string, string>> {
	return {[known.sharedSnapshot]: `${assignmentTo(shared)}/${uid}`};
}
