/** Snapshots and restores of a VM, carried out step by step as KubeVirt's controllers do, with their rights. */
import {randomUUID} from 'node:crypto';
import * as resources from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {claimNameOf, storageProfiles, type VirtualMachine, virtualMachineInstances, virtualMachines} from './api.ts';
import {
	type Backup,
	decideRestore,
	type ObservedRestore,
	type Restore,
	restoredName,
	type RestoreStep,
	snapshotClassFor,
	snapshotProblem,
} from './restore.ts';
import type {VirtController} from './virt-controller.ts';

const snapshotApi = 'snapshot.storage.k8s.io/v1';

/** Of every disk of the VM; returns when all snapshots can be restored. */
export async function snapshotMachine(
	{api}: VirtController,
	{metadata}: Pick<VirtualMachine, 'metadata'>,
): Promise<Backup[]> {
	const vm = await api.get(virtualMachines, metadata);
	const {namespace = ''} = vm.metadata;
	const names = (vm.spec.template.spec.volumes ?? []).flatMap((volume) => {
		const name = claimNameOf(volume);
		return name === undefined ? [] : [{volume: volume.name, name}];
	});
	return Promise.all(
		names.map(async ({volume, name}) => {
			const claim = await until(`claim ${name} can be snapshotted`, async () => {
				const found = await api.get(resources.persistentVolumeClaims, {namespace, name});
				const problem = snapshotProblem(found, await api.find(resources.dataVolumes, {namespace, name}));
				if (problem !== undefined) throw new Error(problem);
				return found;
			});
			const storageClass = await api.get(resources.storageClasses, {name: claim.spec.storageClassName ?? ''});
			const profile = await api.find(storageProfiles, storageClass.metadata);
			const chosen = snapshotClassFor(storageClass, profile, (await api.list(resources.volumeSnapshotClasses)).items);
			if ('error' in chosen) throw new Error(chosen.error);
			const snapshot = await api.create(resources.volumeSnapshots, {
				apiVersion: snapshotApi,
				kind: 'VolumeSnapshot',
				metadata: {namespace, name: `vmsnapshot-${randomUUID()}-${volume}`},
				spec: {source: {persistentVolumeClaimName: name}, volumeSnapshotClassName: chosen.name},
			});
			const {status} = await until(`snapshot of ${name}`, async () => {
				const now = await api.get(resources.volumeSnapshots, snapshot.metadata);
				return now.status?.readyToUse ? now : undefined;
			});
			return {
				volume,
				claim,
				template: vm.spec.dataVolumeTemplates?.find((template) => template.metadata.name === name),
				snapshotName: snapshot.metadata.name,
				restoreSize: status?.restoreSize,
			};
		}),
	);
}

async function observe(
	{api}: VirtController,
	key: {readonly namespace: string; readonly name: string},
	{restore, backups}: {readonly restore: Restore; readonly backups: readonly Backup[]},
): Promise<ObservedRestore> {
	const {namespace} = key;
	return {
		restore,
		vm: await api.get(virtualMachines, key),
		instance: await api.find(virtualMachineInstances, key),
		volumes: await Promise.all(
			backups.map(async (backup) => {
				const name = restoredName(restore, backup);
				return {
					backup,
					claim: await api.find(resources.persistentVolumeClaims, {namespace, name}),
					dataVolume: await api.find(resources.dataVolumes, {namespace, name}),
					oldDataVolume: await api.find(resources.dataVolumes, {namespace, name: backup.claim.metadata.name}),
				};
			}),
		),
	};
}

async function execute({api}: VirtController, step: RestoreStep, vm: VirtualMachine): Promise<void> {
	switch (step.do) {
		case 'createClaim':
			await api.create(resources.persistentVolumeClaims, step.claim);
			return;
		case 'deleteClaim':
			await api.delete(resources.persistentVolumeClaims, step.claim.metadata, {uid: step.claim.metadata.uid});
			return;
		case 'createDataVolume':
			await api.create(resources.dataVolumes, step.dataVolume);
			return;
		case 'annotateDataVolume':
			await api.jsonPatch(resources.dataVolumes, step.dataVolume.metadata, step.patch);
			return;
		case 'patchVm':
			await api.mergePatch(virtualMachines, vm.metadata, {spec: step.spec});
			return;
		case 'deleteDataVolume':
			await api.delete(resources.dataVolumes, step.dataVolume.metadata, {uid: step.dataVolume.metadata.uid});
			return;
		case 'wait':
		case 'done':
			return;
		default:
			step satisfies never;
	}
}

/** Of a VM that is stopped, or is being stopped. */
export async function restoreMachine(
	double: VirtController,
	{metadata: {namespace = '', name}}: Pick<VirtualMachine, 'metadata'>,
	{backups, inPlace}: {readonly backups: readonly Backup[]; readonly inPlace: boolean},
): Promise<void> {
	const uid = randomUUID().slice(0, 8);
	const restore = {name: `restore-${uid}`, uid, inPlace};
	await until(
		`restore of ${namespace}/${name}`,
		async () => {
			double.assertAlive();
			const observed = await observe(double, {namespace, name}, {restore, backups});
			const step = decideRestore(observed);
			await execute(double, step, observed.vm);
			if (step.do === 'done') return true;
			throw new Error(JSON.stringify(step));
		},
		{timeoutMs: 120_000, intervalMs: 200},
	);
}
