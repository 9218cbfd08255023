/** The cluster as tests see it: clients, namespaces that go away after the file, DataVolumes, and what became of them. */
import {randomBytes} from 'node:crypto';
import {afterAll, expect, inject} from 'vitest';
import type {DataVolume, DataVolumeSource, DataVolumeSpec} from '../../src/api/datavolume.ts';
import type {
	KubeObject,
	PersistentVolume,
	PersistentVolumeClaim,
	StorageClass,
	VolumeMode,
} from '../../src/api/kubernetes.ts';
import {annotations, cdiVersion, labels} from '../../src/api/names.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import * as resources from '../../src/kube/resources.ts';
import {run} from '../cluster/command.ts';
import {until} from '../cluster/until.ts';
import {digestOf, onDisk} from '../support/disk-pod.ts';
import {testLabels} from './labels.ts';

export const context = inject('e2e');
export const {images, local} = context;
export const api = new KubeClient({connection: connect(context.kubeconfig), fieldManager: 'onesnap-e2e'});

export function kubectl(...args: string[]): Promise<string> {
	return run(context.kubectl, ['--kubeconfig', context.kubeconfig, ...args]);
}

const made: string[] = [];

/**
 * Deletion is waited for once, at the end of the run: Kubernetes takes ten seconds for the emptiest namespace, and what the
 * next file does meanwhile is told from it by names and handles.
 */
/**
 * A claim that is deleted while it is being restored leaves external-provisioner's finalizer on its snapshot, and that one
 * is swept away five minutes later at most. Nearly always everything is gone within a second.
 */
export const sweptMs = 360_000;

afterAll(async () => {
	await Promise.all(made.map((name) => api.delete(resources.namespaces, {name})));
	api.close();
});

/** Of a generated name; deleted after the last test of the file. */
export async function makeNamespace(purpose: string): Promise<string> {
	const name = `e2e-${purpose}-${randomBytes(3).toString('hex')}`;
	made.push(name);
	const namespace: KubeObject = {apiVersion: 'v1', kind: 'Namespace', metadata: {name, labels: testLabels}};
	await api.create(resources.namespaces, namespace);
	return name;
}

export const httpSource = (path: string): DataVolumeSource => ({http: {url: `${context.serverUrl}${path}`}});
export const pvcSource = ({metadata: {namespace = '', name}}: Pick<DataVolume, 'metadata'>): DataVolumeSource => ({
	pvc: {namespace, name},
});

export interface Wanted {
	readonly namespace: string;
	readonly name: string;
	readonly source: DataVolumeSource;
	/** Of the disk. Undefined: not given. Default 300Mi. */
	readonly size?: string | undefined;
	/** Undefined means the class with snapshots. */
	readonly storageClass?: string | undefined;
	/** Default Filesystem. */
	readonly volumeMode?: VolumeMode;
	readonly annotations?: Readonly<Record<string, string>>;
}

const defaultSize = '300Mi';

/** With `spec.storage`. */
export function makeDataVolume(wanted: Wanted): DataVolume {
	const {namespace, name, source, volumeMode = 'Filesystem', storageClass = context.storageClass} = wanted;
	const size = 'size' in wanted ? wanted.size : defaultSize;
	const storage: DataVolumeSpec['storage'] = {
		accessModes: ['ReadWriteOnce'],
		volumeMode,
		...(size !== undefined && {resources: {requests: {storage: size}}}),
		...(storageClass !== undefined && {storageClassName: storageClass}),
	};
	return {
		apiVersion: cdiVersion,
		kind: 'DataVolume',
		metadata: {name, namespace, ...(wanted.annotations && {annotations: wanted.annotations})},
		spec: {source, storage},
	};
}

export function createDataVolume(wanted: Wanted): Promise<DataVolume> {
	return api.create(resources.dataVolumes, makeDataVolume(wanted));
}

export const immutable = {[annotations.immutable]: 'true'};
export const bindImmediate = {[annotations.bindImmediate]: ''};

/** The class that tests use, with changes, under a generated name. Removed at the end of the run: until then it may be needed. */
export async function makeStorageClass(
	purpose: string,
	changes: Pick<StorageClass, 'volumeBindingMode'> & {readonly annotations?: Readonly<Record<string, string>>},
): Promise<string> {
	const classes = (await api.list(resources.storageClasses)).items;
	const model = classes.find(({metadata}) =>
		context.storageClass === undefined
			? metadata.annotations?.[annotations.defaultStorageClass] === 'true'
			: metadata.name === context.storageClass,
	);
	if (!model) throw new Error('the cluster has no storage class to work with: set ONESNAP_STORAGE_CLASS');
	const name = `e2e-${purpose}-${randomBytes(3).toString('hex')}`;
	const {metadata: _, ...rest} = model;
	const {annotations: added = {}, ...fields} = changes;
	await api.create(resources.storageClasses, {
		...rest,
		...fields,
		metadata: {name, labels: testLabels, annotations: added},
	});
	return name;
}

type Named = {readonly metadata: {readonly namespace?: string; readonly name: string}};

export function claimOf({metadata}: Named): Promise<PersistentVolumeClaim> {
	return api.get(resources.persistentVolumeClaims, metadata);
}

export async function volumeOf(dataVolume: Named): Promise<PersistentVolume> {
	const {spec} = await claimOf(dataVolume);
	return api.get(resources.persistentVolumes, {name: spec.volumeName ?? ''});
}

/** As the storage calls it. */
export async function handleOf(dataVolume: Named): Promise<string> {
	return (await volumeOf(dataVolume)).spec.csi?.volumeHandle ?? '';
}

function on({metadata: {namespace = '', name}}: Named) {
	return {namespace, claim: name, image: context.workerImage};
}

/** SHA-256 of the first bytes of the disk, as many as the image has, read by a Pod. */
export function digest(dataVolume: Named, bytes: number = images.qcow2.virtualBytes): Promise<string> {
	return digestOf(api, on(dataVolume), BigInt(bytes));
}

/** What the script wrote to /dev/termination-log; `$DISK` is the disk. */
export function runOn(dataVolume: Named, script: string): Promise<string> {
	return onDisk(api, {...on(dataVolume), script});
}

/** As a virtual machine would: some bytes in the middle of the disk. */
export async function write(dataVolume: Named, words: string): Promise<void> {
	await runOn(dataVolume, `printf '%s' '${words}' | dd of="$DISK" bs=1 seek=100000000 conv=notrunc,fsync status=none`);
}

export function read(dataVolume: Named, length: number): Promise<string> {
	return runOn(
		dataVolume,
		`dd if="$DISK" bs=1 skip=100000000 count=${length} status=none | tr -d '\\000' > /dev/termination-log`,
	);
}

export interface SeenEvent {
	readonly type: string;
	readonly reason: string;
	readonly message: string;
}

export async function eventsOf({metadata: {namespace, name}}: Named): Promise<SeenEvent[]> {
	const fieldSelector = `involvedObject.kind=DataVolume,involvedObject.name=${name}`;
	const {items} = await api.list(resources.events, {namespace, fieldSelector});
	return items.map(({type = '', reason = '', message = ''}) => ({type, reason, message}));
}

/** Events are written beside the status, not with it. */
export async function untilEvents(dataVolume: Named, ...wanted: readonly Partial<SeenEvent>[]): Promise<void> {
	await until(
		`events of ${dataVolume.metadata.name}`,
		async () => {
			const seen = await eventsOf(dataVolume);
			const missing = wanted.filter(
				({type, reason, message = ''}) =>
					!seen.some(
						(event) =>
							(type ?? event.type) === event.type && reason === event.reason && event.message.includes(message),
					),
			);
			if (missing.length > 0) throw new Error(`no ${JSON.stringify(missing)} in ${JSON.stringify(seen)}`);
			return true;
		},
		{timeoutMs: 20_000, intervalMs: 200},
	);
}

/** Everything that is made on the way to a disk, in one namespace: what is not a DataVolume or its claim. */
async function byproductsIn(namespace: string): Promise<string[]> {
	const kinds = [
		resources.volumeImportSources,
		resources.volumeCloneSources,
		resources.volumeSnapshots,
		resources.pods,
		resources.persistentVolumeClaims,
	] as const;
	const lists = await Promise.all(
		kinds.map(async (kind): Promise<KubeObject[]> => [...(await api.list<KubeObject>(kind, {namespace})).items]),
	);
	return lists
		.flat()
		.filter(({kind, metadata}) => kind !== 'PersistentVolumeClaim' || metadata.labels?.[labels.targetUid] !== undefined)
		.map(({kind, metadata}) => `${kind} ${metadata.name}`);
}

async function untilEmpty(what: string, list: () => Promise<string[]>): Promise<void> {
	await until(
		what,
		async () => {
			const left = await list();
			if (left.length > 0) throw new Error(`there is still ${left.join(', ')}`);
			return true;
		},
		// Sidecars whose finalizer met a conflict try again after a minute.
		{timeoutMs: sweptMs, intervalMs: 250},
	);
}

/** No worker, no prime claim, no source object, no alias. */
export function untilNoByproducts(namespace: string): Promise<void> {
	return untilEmpty(`nothing but claims in ${namespace}`, () => byproductsIn(namespace));
}

/** No claim either, and no volume that one of them had. */
export async function untilEmptyNamespace(namespace: string): Promise<void> {
	await untilEmpty(`nothing in ${namespace}`, async () => {
		const claims = (await api.list(resources.persistentVolumeClaims, {namespace})).items;
		const volumes = (await api.list(resources.persistentVolumes)).items.filter(
			({spec}) => spec.claimRef?.namespace === namespace,
		);
		return [
			...[...claims, ...volumes].map(({kind, metadata}) => `${kind} ${metadata.name}`),
			...(await byproductsIn(namespace)),
		];
	});
}

/** As a person does it, and what must then be the case. */
export async function deleteWithoutTrace({metadata: {namespace = '', name}}: Named): Promise<void> {
	await kubectl('delete', 'dv', name, '-n', namespace, '--timeout=60s');
	await untilEmptyNamespace(namespace);
}

/** Restarts of the controller's containers, by Pod. */
export async function controllerRestarts(): Promise<Readonly<Record<string, number>>> {
	const {items} = await api.list(resources.pods, {
		namespace: 'onesnap',
		labelSelector: 'app.kubernetes.io/name=onesnap-controller',
	});
	// An installation that was there before takes its time to leave.
	const staying = items.filter(({metadata}) => !metadata.deletionTimestamp);
	expect(staying.length).toBeGreaterThan(0);
	return Object.fromEntries(
		staying.map(({metadata, status}) => [metadata.name, status?.containerStatuses?.[0]?.restartCount ?? 0]),
	);
}
