/**
 * KubeVirt's snapshots and restores of a VM, as far as they touch disks (§3): what may be snapshotted, and the steps of a
 * restore to new volumes and in place. Pure.
 */
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {PersistentVolumeClaim, StorageClass} from '../../src/api/kubernetes.ts';
import {parseQuantity} from '../../src/api/quantity.ts';
import {defaultSnapshotClassAnnotation, type VolumeSnapshotClass} from '../../src/api/snapshot.ts';
import type {JsonPatch} from '../../src/kube/client.ts';
import {
	claimNameOf,
	controllerOf,
	type DataVolumeTemplate,
	names,
	type StorageProfile,
	type VirtualMachine,
	type VirtualMachineInstance,
} from './api.ts';

/** What a snapshot of a VM keeps of one volume. */
export interface Backup {
	/** Of the volume in the VM. */
	readonly volume: string;
	readonly claim: PersistentVolumeClaim;
	readonly template: DataVolumeTemplate | undefined;
	readonly snapshotName: string;
	readonly restoreSize?: string | undefined;
}

/** Why the claim of a volume cannot be snapshotted now, or undefined. */
export function snapshotProblem(
	claim: PersistentVolumeClaim | undefined,
	dataVolume: DataVolume | undefined,
): string | undefined {
	if (claim?.status?.phase !== 'Bound') return 'the claim is not Bound';
	if (controllerOf(claim)?.kind !== 'DataVolume') return undefined;
	const phase = dataVolume?.status?.phase ?? '';
	return phase === 'Succeeded' ? undefined : `the DataVolume is ${phase || 'without a phase'}`;
}

export type ClassChoice = {readonly name: string} | {readonly error: string};

/** The profile's word counts, and must be true; else the driver's only class, or its default. */
export function snapshotClassFor(
	{provisioner}: StorageClass,
	profile: StorageProfile | undefined,
	classes: readonly VolumeSnapshotClass[],
): ClassChoice {
	const wanted = profile?.status?.snapshotClass;
	if (wanted !== undefined) {
		return classes.some(({metadata}) => metadata.name === wanted)
			? {name: wanted}
			: {error: `the StorageProfile names VolumeSnapshotClass ${wanted}, which is not there`};
	}
	const fitting = classes.filter(({driver}) => driver === provisioner);
	const chosen =
		fitting.find(({metadata}) => metadata.annotations?.[defaultSnapshotClassAnnotation] === 'true') ??
		(fitting.length === 1 ? fitting[0] : undefined);
	return chosen ? {name: chosen.metadata.name} : {error: `no VolumeSnapshotClass for ${provisioner}`};
}

export interface Restore {
	readonly name: string;
	readonly uid: string;
	readonly inPlace: boolean;
}

export interface ObservedRestore {
	readonly restore: Restore;
	readonly vm: VirtualMachine;
	readonly instance: VirtualMachineInstance | undefined;
	readonly volumes: readonly {
		readonly backup: Backup;
		/** Of the name that the restored volume has. */
		readonly claim: PersistentVolumeClaim | undefined;
		readonly dataVolume: DataVolume | undefined;
		/** What is replaced; the same as `dataVolume` in place. */
		readonly oldDataVolume: DataVolume | undefined;
	}[];
}

export type RestoreStep =
	| {readonly do: 'wait'; readonly on: string}
	| {readonly do: 'createClaim'; readonly claim: PersistentVolumeClaim}
	| {readonly do: 'deleteClaim'; readonly claim: PersistentVolumeClaim}
	| {readonly do: 'createDataVolume'; readonly dataVolume: DataVolume}
	| {readonly do: 'annotateDataVolume'; readonly dataVolume: DataVolume; readonly patch: JsonPatch}
	| {readonly do: 'patchVm'; readonly spec: Pick<VirtualMachine['spec'], 'dataVolumeTemplates' | 'template'>}
	| {readonly do: 'deleteDataVolume'; readonly dataVolume: DataVolume}
	| {readonly do: 'done'};

/** The name of the restored volume, a claim's and a DataVolume's. */
export function restoredName({uid, inPlace}: Restore, {volume, claim}: Backup): string {
	return inPlace ? claim.metadata.name : `restore-${uid}-${volume}`;
}

/** What the volume binder and provisioners wrote is about the old volume. */
const ofTheVolume = ['pv.kubernetes.io/', 'volume.kubernetes.io/', 'volume.beta.kubernetes.io/'];

function keptAnnotations({metadata}: PersistentVolumeClaim): Readonly<Record<string, string>> {
	return Object.fromEntries(
		Object.entries(metadata.annotations ?? {}).filter(
			([key]) =>
				key === names.contentType || ![names.cdiPrefix, ...ofTheVolume].some((prefix) => key.startsWith(prefix)),
		),
	);
}

function larger(one: string, other: string | undefined): string {
	return other !== undefined && (parseQuantity(other) ?? 0n) > (parseQuantity(one) ?? 0n) ? other : one;
}

export function makeRestoredClaim(restore: Restore, backup: Backup): PersistentVolumeClaim {
	const {metadata, spec} = backup.claim;
	const name = restoredName(restore, backup);
	const {accessModes, volumeMode, storageClassName, resources} = spec;
	const storage = larger(resources?.requests?.['storage'] ?? '0', backup.restoreSize);
	return {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata: {
			name,
			namespace: metadata.namespace ?? '',
			...(metadata.labels && {labels: metadata.labels}),
			annotations: {...keptAnnotations(backup.claim), [names.restore]: restore.name, [names.populatedFor]: name},
		},
		spec: {
			...(accessModes && {accessModes}),
			...(volumeMode && {volumeMode}),
			...(storageClassName !== undefined && {storageClassName}),
			resources: {requests: {storage}},
			dataSource: {apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: backup.snapshotName},
		},
	};
}

/** Nobody's: the VM takes it over when its spec names it. */
function makeRestoredDataVolume(restore: Restore, backup: Backup, template: DataVolumeTemplate): DataVolume {
	const {labels, annotations} = template.metadata;
	return {
		apiVersion: 'cdi.kubevirt.io/v1beta1',
		kind: 'DataVolume',
		metadata: {
			name: restoredName(restore, backup),
			namespace: backup.claim.metadata.namespace ?? '',
			...(labels && {labels}),
			annotations: {
				...annotations,
				[names.restore]: restore.name,
				[names.prePopulated]: 'true',
				[names.allowClaimAdoption]: 'true',
			},
		},
		spec: template.spec,
		status: {},
	};
}

const pointer = (key: string) => `/metadata/annotations/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;

/** Fails on an object without any annotation: there is nothing to add to. */
function annotate(restore: Restore, {metadata}: DataVolume): JsonPatch {
	return [
		{op: 'add', path: pointer(names.restore), value: restore.name},
		{op: 'add', path: pointer(names.prePopulated), value: metadata.name},
	];
}

const isOf = (object: PersistentVolumeClaim | DataVolume | undefined, {name}: Restore) =>
	object?.metadata.annotations?.[names.restore] === name;

const settled: ReadonlySet<string> = new Set(['Succeeded', 'WaitForFirstConsumer', 'PendingPopulation']);

/** The VM with the names of the restored volumes. */
function renamed({
	restore,
	vm,
	volumes,
}: ObservedRestore): Pick<VirtualMachine['spec'], 'dataVolumeTemplates' | 'template'> {
	const nameOf = new Map(volumes.map(({backup}) => [backup.claim.metadata.name, restoredName(restore, backup)]));
	const {dataVolumeTemplates = [], template} = vm.spec;
	const to = (name: string) => nameOf.get(name) ?? name;
	return {
		dataVolumeTemplates: dataVolumeTemplates.map(({metadata, spec}) => ({
			metadata: {...metadata, name: to(metadata.name)},
			spec,
		})),
		template: {
			...template,
			spec: {
				...template.spec,
				volumes: (template.spec.volumes ?? []).map((volume) => ({
					...volume,
					...(volume.dataVolume && {dataVolume: {name: to(volume.dataVolume.name)}}),
					...(volume.persistentVolumeClaim && {
						persistentVolumeClaim: {claimName: to(volume.persistentVolumeClaim.claimName)},
					}),
				})),
			},
		},
	};
}

const isNamed = ({restore, vm}: ObservedRestore, backup: Backup) =>
	vm.spec.template.spec.volumes?.some((volume) => claimNameOf(volume) === restoredName(restore, backup)) ?? false;

function waitForDisks({volumes}: ObservedRestore): RestoreStep | undefined {
	const waiting = volumes.find(
		({backup, dataVolume}) => backup.template && !settled.has(dataVolume?.status?.phase ?? ''),
	);
	return waiting && {do: 'wait', on: `DataVolume of ${waiting.backup.volume} (${waiting.dataVolume?.status?.phase})`};
}

function toNewVolumes(observed: ObservedRestore): RestoreStep {
	const {restore, volumes} = observed;
	for (const {backup, claim, dataVolume} of volumes) {
		if (!claim) return {do: 'createClaim', claim: makeRestoredClaim(restore, backup)};
		if (!dataVolume && backup.template) {
			return {do: 'createDataVolume', dataVolume: makeRestoredDataVolume(restore, backup, backup.template)};
		}
	}
	const waiting = waitForDisks(observed);
	if (waiting) return waiting;
	if (!volumes.every(({backup}) => isNamed(observed, backup))) return {do: 'patchVm', spec: renamed(observed)};
	const old = volumes.find(({oldDataVolume}) => oldDataVolume && !oldDataVolume.metadata.deletionTimestamp);
	return old?.oldDataVolume ? {do: 'deleteDataVolume', dataVolume: old.oldDataVolume} : {do: 'done'};
}

function inPlace(observed: ObservedRestore): RestoreStep {
	const {restore, volumes} = observed;
	for (const {backup, claim, dataVolume} of volumes) {
		if (dataVolume && !isOf(dataVolume, restore)) {
			return {do: 'annotateDataVolume', dataVolume, patch: annotate(restore, dataVolume)};
		}
		if (!claim) return {do: 'createClaim', claim: makeRestoredClaim(restore, backup)};
		if (isOf(claim, restore)) continue;
		if (claim.metadata.deletionTimestamp) return {do: 'wait', on: `claim ${claim.metadata.name} to go`};
		return {do: 'deleteClaim', claim};
	}
	return waitForDisks(observed) ?? {do: 'done'};
}

export function decideRestore(observed: ObservedRestore): RestoreStep {
	if (observed.instance) return {do: 'wait', on: 'the VM to stop'};
	return observed.restore.inPlace ? inPlace(observed) : toNewVolumes(observed);
}
