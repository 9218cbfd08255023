/** Prime claims, worker Pods and their Secrets, as they are written. Pure. */
import type {
	AccessMode,
	Container,
	OwnerReference,
	PersistentVolume,
	PersistentVolumeClaim,
	Pod,
	PodVolume,
	StorageClass,
	VolumeMode,
} from '../api/kubernetes.ts';
import {
	annotations,
	cdiVersion,
	copierPodName,
	copyClaimName,
	copyKeyName,
	copySourceClaimName,
	importPrivateName,
	importerPodName,
	labels,
	managedByValue,
	primeClaimName,
	senderPodName,
	sizeDetectionPodName,
	targetNameAnnotation,
} from '../api/names.ts';
import type {NodePlacement} from '../api/cdi-config.ts';
import {parseQuantity} from '../api/quantity.ts';
import {parseProxyUrl, type ProxySettings} from '../api/import-proxy.ts';
import type {VolumeCloneSource, VolumeImportSource} from '../api/populator.ts';
import type {VolumeSnapshot} from '../api/snapshot.ts';
import type {PodResources} from '../cdiconfig/settings.ts';
import type {DataObject} from '../kube/resources.ts';
import {placeWorker} from './placement.ts';
import {
	type CopierTask,
	copyKeyFile,
	copyPort,
	type CopyTask,
	importPrivateFiles,
	type ImportTask,
	type MeasureTask,
	type ReceiveTask,
	type SendTask,
	terminationMessagePath,
	type WorkerVolume,
	workerMetricsPort,
	workerPaths,
	workerTaskVariable,
} from '../api/worker-contract.ts';

/** qemu's user in KubeVirt's images: what it must be able to open. */
const workerUser = 107;

export interface WorkerSettings {
	readonly image: string;
	/** Share of a Filesystem claim of this class that the file system needs for itself. */
	readonly overheadOf: (storageClassName: string | undefined) => number;
	readonly imagePullSecrets: readonly string[];
	readonly resources: PodResources;
	readonly placement: NodePlacement;
	/** Whether a claim of a class that waits for consumers is filled only when one has a node. */
	readonly honorsFirstConsumer: boolean;
	/** Where the source object does not say. */
	readonly preallocation: boolean;
	readonly importProxy?: ImportProxy | undefined;
}

export interface ImportProxy extends ProxySettings {
	/** PEM. Trusted for the proxies themselves and for what comes through them. */
	readonly certificates?: string;
	/** Why it cannot be asked. No import is begun. */
	readonly problem?: {readonly reason: 'ProxyCertificatesMissing' | 'ImportProxyNotValid'; readonly message: string};
}

function requestOf(claim: PersistentVolumeClaim): string {
	return claim.spec.resources?.requests?.['storage'] ?? '0';
}

/** 0 where it says nothing that is a quantity. */
export function requestBytes(claim: PersistentVolumeClaim): bigint {
	return parseQuantity(requestOf(claim)) ?? 0n;
}

export function volumeModeOf(claim: PersistentVolumeClaim): VolumeMode {
	return claim.spec.volumeMode ?? 'Filesystem';
}

function uidOf(object: PersistentVolumeClaim): string {
	if (!object.metadata.uid)
		throw new Error(`claim ${object.metadata.name} has no UID: it does not come from the API server`);
	return object.metadata.uid;
}

/** How everything that is made for a target is found again, also in another namespace and after a crash. */
function bookkeeping(target: PersistentVolumeClaim, component: string) {
	return {
		labels: {
			[labels.app]: 'containerized-data-importer',
			[labels.cdiComponent]: component,
			[labels.managedBy]: managedByValue,
			[labels.targetUid]: uidOf(target),
			[labels.targetNamespace]: target.metadata.namespace ?? '',
		},
		annotations: {[targetNameAnnotation]: target.metadata.name},
	};
}

function ownedBy(claim: PersistentVolumeClaim): OwnerReference {
	return {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		name: claim.metadata.name,
		uid: uidOf(claim),
		controller: true,
		blockOwnerDeletion: true,
	};
}

/** A claim that is filled in place stays: what is needed only to fill it goes with the object that says with what. */
function ownedForFilling(
	{target, filled}: {readonly target: PersistentVolumeClaim; readonly filled: PersistentVolumeClaim},
	source: VolumeImportSource | VolumeCloneSource,
): OwnerReference {
	if (filled.metadata.uid !== target.metadata.uid) return ownedBy(filled);
	const {name, uid = ''} = source.metadata;
	return {apiVersion: cdiVersion, kind: source.kind, name, uid};
}

export interface PrimeWanted {
	readonly target: PersistentVolumeClaim;
	/** Where it must be: the target's namespace for an import, the source's for a clone. */
	readonly namespace: string;
	readonly kind: 'import' | 'clone';
	/** Restored from this snapshot of the same namespace instead of being filled by a worker. */
	readonly snapshot?: VolumeSnapshot;
	/** At least the target's request. */
	readonly request: string;
	/** Of a restore that is to bind although nobody uses the target yet: a worker's Pod would be scheduled, a restore has none. */
	readonly node?: string | undefined;
}

export function primeNameOf(target: PersistentVolumeClaim, kind: PrimeWanted['kind']): string {
	return kind === 'import' ? primeClaimName(uidOf(target)) : copyClaimName(uidOf(target));
}

/** As the target, but for its data source; on the node that was selected for the target's consumer. */
export function makePrimeClaim({target, namespace, kind, snapshot, request, node}: PrimeWanted): PersistentVolumeClaim {
	const {accessModes, volumeMode, storageClassName, volumeAttributesClassName} = target.spec;
	const selectedNode = target.metadata.annotations?.[annotations.selectedNode] ?? node;
	const book = bookkeeping(target, '');
	const sameNamespace = namespace === target.metadata.namespace;
	return {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata: {
			name: primeNameOf(target, kind),
			namespace,
			labels: {...book.labels, [labels.excludeFromBackup]: 'true'},
			annotations: {
				...book.annotations,
				[annotations.bindImmediate]: '',
				...(selectedNode && {[annotations.selectedNode]: selectedNode}),
			},
			...(sameNamespace && {ownerReferences: [ownedBy(target)]}),
		},
		spec: {
			...(accessModes && {accessModes}),
			...(volumeMode && {volumeMode}),
			...(storageClassName && {storageClassName}),
			...(volumeAttributesClassName && {volumeAttributesClassName}),
			resources: {requests: {storage: request}},
			...(snapshot && {
				dataSource: {apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: snapshot.metadata.name},
			}),
		},
	};
}

/** A snapshot that cannot be restored into the target itself is restored beside it, to be read by a copy. */
export function makeCopySourceClaim(
	target: PersistentVolumeClaim,
	snapshot: VolumeSnapshot,
	wanted: {readonly storageClass: StorageClass; readonly volumeMode: VolumeMode; readonly request: string},
): PersistentVolumeClaim {
	const book = bookkeeping(target, 'cdi-clone-from-snapshot-source-host-assisted-fallback-pvc');
	const accessModes: readonly AccessMode[] = ['ReadWriteOnce'];
	return {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata: {
			name: copySourceClaimName(uidOf(target)),
			namespace: snapshot.metadata.namespace ?? '',
			labels: {...book.labels, [labels.excludeFromBackup]: 'true'},
			annotations: {...book.annotations, [annotations.bindImmediate]: ''},
		},
		spec: {
			accessModes,
			volumeMode: wanted.volumeMode,
			storageClassName: wanted.storageClass.metadata.name,
			resources: {requests: {storage: wanted.request}},
			dataSource: {apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: snapshot.metadata.name},
		},
	};
}

interface WorkerPod {
	readonly name: string;
	readonly namespace: string;
	readonly component: 'importer' | 'cdi-clone-source';
	readonly program: 'importer' | 'copier';
	readonly target: PersistentVolumeClaim;
	readonly owner: OwnerReference;
	readonly task: ImportTask | CopierTask;
	readonly volumes: readonly PodVolume[];
	readonly mounts: Pick<Container, 'volumeMounts' | 'volumeDevices'>;
	readonly priorityClassName: string | undefined;
	/** Must be mountable where it runs, though the Pod's own claims do not say so (yet). */
	readonly beside?: PersistentVolume | undefined;
	/** Default: the node that was selected for the target's consumer. */
	readonly onTargetNode?: boolean;
	/** This one, whatever else is said. */
	readonly onNode?: string | undefined;
	readonly settings: WorkerSettings;
}

/** A sidecar would keep a Pod from ending. */
const withoutSidecars = {'sidecar.istio.io/inject': 'false', 'linkerd.io/inject': 'disabled'};
/** Of the target's author, who may not say them for another namespace. */
const passedToPods = [
	'k8s.v1.cni.cncf.io/networks',
	'v1.multus-cni.io/default-network',
	...Object.keys(withoutSidecars),
];

function pick(from: Readonly<Record<string, string>> = {}, names: readonly string[]): Record<string, string> {
	return Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)));
}

/** Restricted by the Pod Security Standards: also a block device needs no privilege. No token, no service links. */
function makeWorkerPod(worker: WorkerPod): Pod {
	const {target, settings} = worker;
	const {onTargetNode = true} = worker;
	const node = worker.onNode ?? (onTargetNode ? target.metadata.annotations?.[annotations.selectedNode] : undefined);
	const terms = node
		? [{matchFields: [{key: 'metadata.name', operator: 'In', values: [node]}]}]
		: worker.beside?.spec.nodeAffinity?.required?.nodeSelectorTerms;
	// An account of the target's namespace; a copy runs in the source's.
	const isAtHome = worker.namespace === target.metadata.namespace;
	const asked = isAtHome ? target.metadata.annotations : undefined;
	const book = bookkeeping(target, worker.component);
	const serviceAccountName = isAtHome ? target.metadata.annotations?.[annotations.podServiceAccount] : undefined;
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: {
			name: worker.name,
			namespace: worker.namespace,
			...book,
			annotations: {...book.annotations, ...withoutSidecars, ...pick(asked, passedToPods)},
			ownerReferences: [worker.owner],
		},
		spec: {
			restartPolicy: 'OnFailure',
			automountServiceAccountToken: false,
			enableServiceLinks: false,
			terminationGracePeriodSeconds: 10,
			...(serviceAccountName && {serviceAccountName}),
			...(worker.priorityClassName && {priorityClassName: worker.priorityClassName}),
			...(settings.imagePullSecrets.length > 0 && {
				imagePullSecrets: settings.imagePullSecrets.map((name) => ({name})),
			}),
			// By affinity and not by nodeName: the scheduler still says why a node cannot take it.
			...placeWorker(settings.placement, terms),
			securityContext: {
				runAsNonRoot: true,
				runAsUser: workerUser,
				runAsGroup: workerUser,
				fsGroup: workerUser,
				// Changing the owner of every file of a large archive at each start would take minutes.
				fsGroupChangePolicy: 'OnRootMismatch',
				seccompProfile: {type: 'RuntimeDefault'},
			},
			containers: [
				{
					name: worker.program,
					image: settings.image,
					imagePullPolicy: 'IfNotPresent',
					command: ['node', `/app/dist/bin/${worker.program}.js`],
					env: [{name: workerTaskVariable, value: JSON.stringify(worker.task)}],
					ports: [{name: 'metrics', containerPort: workerMetricsPort}],
					resources: settings.resources,
					...worker.mounts,
					terminationMessagePath,
					terminationMessagePolicy: 'FallbackToLogsOnError',
					securityContext: {
						allowPrivilegeEscalation: false,
						readOnlyRootFilesystem: true,
						capabilities: {drop: ['ALL']},
					},
				},
			],
			volumes: worker.volumes,
		},
	};
}

/** The private socket between the worker and qemu-img lives here; the root file system is read-only. */
const scratch = {volume: {name: 'tmp', emptyDir: {sizeLimit: '64Mi'}}, mount: {name: 'tmp', mountPath: '/tmp'}};

/** Where an image is put down that cannot be read in place, because a device has no room beside the disk. */
const spool = {volume: {name: 'scratch', emptyDir: {}}, mount: {name: 'scratch', mountPath: workerPaths.scratch}};

function attach(
	name: string,
	claim: PersistentVolumeClaim,
	paths: {readonly filesystem: string; readonly device: string},
) {
	const volumeMode = volumeModeOf(claim);
	const block = volumeMode === 'Block';
	const path = block ? paths.device : paths.filesystem;
	const worker: WorkerVolume = {volumeMode, path};
	return {
		worker,
		volume: {name, persistentVolumeClaim: {claimName: claim.metadata.name}},
		mounts: block ? [] : [{name, mountPath: path}],
		devices: block ? [{name, devicePath: path}] : [],
	};
}

const targetPaths = {filesystem: workerPaths.targetFilesystem, device: workerPaths.targetDevice};
const sourcePaths = {filesystem: workerPaths.sourceFilesystem, device: workerPaths.sourceDevice};

/** @param filled the prime claim, or the target itself where it is filled in place */
export function makeImporterPod(
	target: PersistentVolumeClaim,
	filled: PersistentVolumeClaim,
	source: VolumeImportSource,
	settings: WorkerSettings,
): Pod {
	const {http} = source.spec.source;
	const disk = attach('target', filled, targetPaths);
	const isPrivate = Object.keys(privateFilesOf(source, settings)).length > 0;
	const {importProxy} = settings;
	const headers = http?.secretExtraHeaders ?? [];
	const mayPutDown = http !== undefined && disk.worker.volumeMode === 'Block';
	const mounted = [
		...(http?.secretRef
			? [{volume: {name: 'credentials', secret: {secretName: http.secretRef}}, path: workerPaths.credentials}]
			: []),
		...(http?.certConfigMap
			? [{volume: {name: 'certs', configMap: {name: http.certConfigMap}}, path: workerPaths.certificates}]
			: []),
		...headers.map((secretName, index) => ({
			volume: {name: `extraheaders-${index}`, secret: {secretName}},
			path: `${workerPaths.extraHeaders}/${index}`,
		})),
		...(isPrivate
			? [
					{
						volume: {name: 'private', secret: {secretName: importPrivateName(uidOf(target))}},
						path: workerPaths.importPrivate,
					},
				]
			: []),
	];
	const task: ImportTask = {
		source: http
			? {
					kind: 'http',
					url: openly(http.url),
					...(http.extraHeaders && {extraHeaders: http.extraHeaders}),
					...(headers.length > 0 && {
						extraHeaderDirs: headers.map((_, index) => `${workerPaths.extraHeaders}/${index}`),
					}),
					...(http.secretRef && {credentialsDir: workerPaths.credentials}),
					...(http.certConfigMap && {certificatesDir: workerPaths.certificates}),
					...(http.insecureSkipVerify !== undefined && {insecureSkipVerify: http.insecureSkipVerify}),
					...(importProxy && {proxy: openlyProxies(importProxy)}),
					...(isPrivate && {privateDir: workerPaths.importPrivate}),
				}
			: {kind: 'blank'},
		target: disk.worker,
		...(source.spec.contentType === 'archive' && {contentType: 'archive' as const}),
		ownerUid: uidOf(target),
		...(http?.checksum && {checksum: http.checksum}),
		...sizing(filled, disk.worker.volumeMode, settings),
		preallocation: source.spec.preallocation ?? settings.preallocation,
		...(mayPutDown && {scratchDir: workerPaths.scratch}),
	};
	return makeWorkerPod({
		name: importerPodName(uidOf(target)),
		namespace: filled.metadata.namespace ?? '',
		component: 'importer',
		program: 'importer',
		target,
		owner: ownedBy(filled),
		task,
		volumes: [disk.volume, scratch.volume, ...(mayPutDown ? [spool.volume] : []), ...mounted.map(({volume}) => volume)],
		mounts: {
			volumeMounts: [
				...disk.mounts,
				scratch.mount,
				...(mayPutDown ? [spool.mount] : []),
				...mounted.map(({volume, path}) => ({name: volume.name, mountPath: path, readOnly: true})),
			],
			volumeDevices: disk.devices,
		},
		priorityClassName: target.metadata.annotations?.[annotations.podPriorityClass],
		settings,
	});
}

/** Without user, password and query, where signatures are. What is no URL stays: the worker says so. */
function openly(text: string): string {
	const url = URL.parse(text);
	if (!url) return text;
	[url.username, url.password, url.search, url.hash] = ['', '', '', ''];
	return hasSecrets(text) ? url.href : text;
}

function hasSecrets(text: string): boolean {
	const url = URL.parse(text);
	return url !== null && [url.username, url.password, url.search].some((part) => part !== '');
}

function openlyProxies({http, https, noProxy}: ImportProxy): ProxySettings {
	const shown = (text: string) => openly(parseProxyUrl(text).href);
	return {
		...(http !== undefined && {http: shown(http)}),
		...(https !== undefined && {https: shown(https)}),
		...(noProxy !== undefined && {noProxy}),
	};
}

/** What of an import many could read in its Pod: whoever may view the namespace, and what collects Pods. By file name. */
function privateFilesOf(source: VolumeImportSource, {importProxy = {}}: WorkerSettings): Record<string, string> {
	const {http} = source.spec.source;
	if (!http) return {};
	const {http: httpProxy, https: httpsProxy, certificates} = importProxy;
	const hasPassword = (proxy: string | undefined) => proxy !== undefined && hasSecrets(parseProxyUrl(proxy).href);
	return {
		...(hasSecrets(http.url) && {[importPrivateFiles.url]: http.url}),
		...(httpProxy !== undefined && hasPassword(httpProxy) && {[importPrivateFiles.httpProxy]: httpProxy}),
		...(httpsProxy !== undefined && hasPassword(httpsProxy) && {[importPrivateFiles.httpsProxy]: httpsProxy}),
		...(certificates !== undefined && {[importPrivateFiles.proxyCertificates]: certificates}),
	};
}

/** The Secret that an importer Pod mounts, if it needs one. */
export function makeImportPrivate(
	target: PersistentVolumeClaim,
	filled: PersistentVolumeClaim,
	source: VolumeImportSource,
	settings: WorkerSettings,
): DataObject | undefined {
	const files = Object.entries(privateFilesOf(source, settings));
	if (files.length === 0) return undefined;
	return {
		...secretOf(target, {
			name: importPrivateName(uidOf(target)),
			namespace: filled.metadata.namespace,
			component: 'importer',
			owner: ownedForFilling({target, filled}, source),
		}),
		data: Object.fromEntries(files.map(([name, text]) => [name, Buffer.from(text).toString('base64')])),
	};
}

/** Without data. */
function secretOf(
	target: PersistentVolumeClaim,
	wanted: {
		readonly name: string;
		readonly namespace: string | undefined;
		readonly component: Parameters<typeof bookkeeping>[1];
		readonly owner: OwnerReference;
	},
): DataObject {
	return {
		apiVersion: 'v1',
		kind: 'Secret',
		metadata: {
			name: wanted.name,
			namespace: wanted.namespace ?? '',
			...bookkeeping(target, wanted.component),
			ownerReferences: [wanted.owner],
		},
	};
}

export interface CopyWanted {
	readonly target: PersistentVolumeClaim;
	/** The prime claim, or the target itself where it is filled in place. */
	readonly filled: PersistentVolumeClaim;
	readonly source: PersistentVolumeClaim;
	/** What says that it is cloned: beside the source, and beside what is filled. */
	readonly orders: {readonly atSource: VolumeCloneSource; readonly atTarget: VolumeCloneSource};
	/** Nobody can write to the source while it is copied: a next try may go on where one ended. */
	readonly sourceIsFixed: boolean;
	/** Tells where the source can be read, also before it is bound. */
	readonly readFrom: PersistentVolume | undefined;
	readonly preallocation: boolean;
	readonly priorityClassName: string | undefined;
	readonly settings: WorkerSettings;
}

/** What every Pod of a copy has in common. Its label tells that it only reads its source. */
function copyPod({target, filled, priorityClassName, settings}: CopyWanted) {
	return {
		namespace: filled.metadata.namespace ?? '',
		component: 'cdi-clone-source',
		program: 'copier',
		target,
		owner: ownedBy(filled),
		priorityClassName,
		settings,
	} as const;
}

/** In another namespace than the claim that is filled, which cannot own it there. */
function isSentFromElsewhere({filled, source}: CopyWanted): boolean {
	return filled.metadata.namespace !== source.metadata.namespace;
}

/** What the task says of the claim that is filled. */
function copyTarget({target, filled, source, sourceIsFixed, preallocation, settings}: CopyWanted) {
	const disk = attach('target', filled, targetPaths);
	return {
		disk,
		task: {
			target: disk.worker,
			ownerUid: uidOf(target),
			...sizing(filled, disk.worker.volumeMode, settings),
			preallocation,
			...(sourceIsFixed && {content: `${uidOf(source)}/${uidOf(filled)}`}),
		},
	};
}

const readOnly = <Mount>(mounts: readonly Mount[]) => mounts.map((mount) => ({...mount, readOnly: true}));

/** Reads one claim and writes the other, on a node that has both. */
export function makeCopierPod(wanted: CopyWanted): Pod {
	const {disk, task: filled} = copyTarget(wanted);
	const from = attach('source', wanted.source, sourcePaths);
	const task: CopyTask = {role: 'copy', source: from.worker, ...filled};
	return makeWorkerPod({
		...copyPod(wanted),
		name: copierPodName(uidOf(wanted.target)),
		task,
		volumes: [disk.volume, from.volume, scratch.volume],
		mounts: {
			volumeMounts: [...disk.mounts, ...readOnly(from.mounts), scratch.mount],
			volumeDevices: [...disk.devices, ...from.devices],
		},
		beside: wanted.readFrom,
	});
}

const keyFile = `${workerPaths.copyKey}/${copyKeyFile}`;
const keyVolumeName = 'copy-key';

function keyVolume(secretName: string) {
	return {
		volume: {name: keyVolumeName, secret: {secretName}},
		mount: {name: keyVolumeName, mountPath: workerPaths.copyKey, readOnly: true},
	};
}

/**
 * The Secrets of a copy's two Pods, one in the namespace of each, without their one key. When they are written they get it, and
 * another name: see copy-keys.ts.
 */
export function makeCopyKeys(wanted: CopyWanted): readonly DataObject[] {
	const {target, filled, source, orders} = wanted;
	const name = copyKeyName(uidOf(target));
	const keyIn = (namespace: string | undefined, order: VolumeCloneSource) =>
		secretOf(target, {name, namespace, component: 'cdi-clone-source', owner: ownedForFilling(wanted, order)});
	const atTarget = keyIn(filled.metadata.namespace, orders.atTarget);
	return isSentFromElsewhere(wanted) ? [atTarget, keyIn(source.metadata.namespace, orders.atSource)] : [atTarget];
}

/** Of a copy by two Pods: where the source is. */
export function makeSenderPod(wanted: CopyWanted): Pod {
	const {source, orders} = wanted;
	const from = attach('source', source, sourcePaths);
	const key = keyVolume(copyKeyName(uidOf(wanted.target)));
	const ownerUid = uidOf(wanted.target);
	const task: SendTask = {role: 'send', source: from.worker, ownerUid, port: copyPort, keyFile};
	return makeWorkerPod({
		...copyPod(wanted),
		...(isSentFromElsewhere(wanted) && {
			namespace: source.metadata.namespace ?? '',
			owner: ownedForFilling(wanted, orders.atSource),
		}),
		name: senderPodName(ownerUid),
		task,
		volumes: [from.volume, key.volume, scratch.volume],
		mounts: {
			volumeMounts: [...readOnly(from.mounts), key.mount, scratch.mount],
			volumeDevices: from.devices,
		},
		beside: wanted.readFrom,
		onTargetNode: false,
	});
}

/** How a receiver reaches its sender. */
export interface SenderContact {
	readonly address: string;
	/** Name of the Secret with the key that the sender has, in the namespace of either. */
	readonly keyName: string;
}

/** Of a copy by two Pods: where the target is. */
export function makeReceiverPod(wanted: CopyWanted, {address, keyName}: SenderContact): Pod {
	const {disk, task: filled} = copyTarget(wanted);
	const key = keyVolume(keyName);
	const task: ReceiveTask = {role: 'receive', sender: {host: address, port: copyPort}, keyFile, ...filled};
	return makeWorkerPod({
		...copyPod(wanted),
		name: copierPodName(uidOf(wanted.target)),
		task,
		volumes: [disk.volume, key.volume, scratch.volume],
		mounts: {volumeMounts: [...disk.mounts, key.mount, scratch.mount], volumeDevices: disk.devices},
	});
}

function taskOf(worker: Pod): CopierTask | ImportTask | undefined {
	const text = worker.spec.containers[0]?.env?.find(({name}) => name === workerTaskVariable)?.value;
	return text === undefined ? undefined : (JSON.parse(text) as CopierTask | ImportTask);
}

/** Whether it was told to allocate every block. */
export function hasPreallocated(worker: Pod): boolean {
	const task = taskOf(worker);
	return task !== undefined && 'preallocation' in task && task.preallocation;
}

const keyNameOf = ({spec}: Pod) => spec.volumes?.find(({name}) => name === keyVolumeName)?.secret?.secretName;

/** How a running sender is reached; undefined where it cannot be yet. */
export function contactOf(sender: Pod): SenderContact | undefined {
	const address = sender.status?.podIP;
	const keyName = keyNameOf(sender);
	return sender.status?.phase === 'Running' && address && keyName ? {address, keyName} : undefined;
}

/** What a receiver was told of its sender; undefined of any other worker. */
export function toldContactOf(worker: Pod): SenderContact | undefined {
	const task = taskOf(worker);
	const keyName = keyNameOf(worker);
	if (!task || !('role' in task) || task.role !== 'receive' || !keyName) return undefined;
	return {address: task.sender.host, keyName};
}

export interface SizePodWanted {
	/** Filesystem, bound. */
	readonly claim: PersistentVolumeClaim;
	readonly volume: PersistentVolume | undefined;
	/** A node where it is used now: only there can one that is used by a node at a time be mounted. */
	readonly usedOn: string | undefined;
	/** Of the claim, now. */
	readonly capacity: string;
	readonly settings: WorkerSettings;
}

/** Looks once how large the disk in a claim is, and reads nothing else of it. Goes with the claim. */
export function makeSizePod({claim, volume, usedOn, capacity, settings}: SizePodWanted): Pod {
	const from = attach('source', claim, sourcePaths);
	const task: MeasureTask = {role: 'measure', source: from.worker};
	const ofManyNodes = claim.spec.accessModes?.some((mode) => mode === 'ReadWriteMany' || mode === 'ReadOnlyMany');
	const pod = makeWorkerPod({
		name: sizeDetectionPodName(uidOf(claim)),
		namespace: claim.metadata.namespace ?? '',
		component: 'cdi-clone-source',
		program: 'copier',
		target: claim,
		owner: ownedBy(claim),
		task,
		volumes: [from.volume, scratch.volume],
		mounts: {volumeMounts: [...readOnly(from.mounts), scratch.mount], volumeDevices: from.devices},
		priorityClassName: undefined,
		beside: volume,
		onTargetNode: false,
		onNode: ofManyNodes ? undefined : usedOn,
		settings,
	});
	const {metadata} = pod;
	return {
		...pod,
		metadata: {...metadata, annotations: {...metadata.annotations, [annotations.sourceCapacity]: capacity}},
	};
}

function sizing(filled: PersistentVolumeClaim, volumeMode: VolumeMode, settings: WorkerSettings) {
	return {
		requestedBytes: requestBytes(filled).toString(),
		filesystemOverhead: volumeMode === 'Block' ? 0 : settings.overheadOf(filled.spec.storageClassName),
	};
}
