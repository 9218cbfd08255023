/** The audit at the end of the run is worth what it finds: here it has something to find. */
import {beforeAll, expect, test} from 'vitest';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {annotations, labels} from '../../src/api/names.ts';
import * as resources from '../../src/kube/resources.ts';
import {ensureLocalCluster, type LocalCluster} from '../cluster/cluster.ts';
import {until} from '../cluster/until.ts';
import {auditLeaks} from '../support/leak-audit.ts';
import {api, context, local, makeNamespace} from './world.ts';

let namespace: string;

beforeAll(async () => {
	namespace = await makeNamespace('leaks');
});

test('namespaces of tests are told from others', async () => {
	const {metadata} = await api.get(resources.namespaces, {name: namespace});
	expect(metadata.labels).toMatchObject({'onesnap.io/e2e': 'true'});
});

if (local) {
	let cluster: LocalCluster;
	const leaks = async () => (await auditLeaks(api, cluster)).filter((leak) => leak.includes(namespace));

	beforeAll(async () => {
		cluster = await ensureLocalCluster();
	});

	test('a forgotten prime claim, worker and source object are leaks', async () => {
		const metadata = {namespace, name: 'left', labels: {[labels.targetUid]: 'gone'}};
		await api.create(resources.persistentVolumeClaims, {
			apiVersion: 'v1',
			kind: 'PersistentVolumeClaim',
			metadata: {...metadata, labels: {}, annotations: {[annotations.createdForDataVolume]: 'gone'}},
			spec: {accessModes: ['ReadWriteOnce'], resources: {requests: {storage: '16Mi'}}},
		});
		await api.create(resources.volumeImportSources, {
			apiVersion: 'cdi.kubevirt.io/v1beta1',
			kind: 'VolumeImportSource',
			metadata: {namespace, name: 'left'},
			spec: {source: {blank: {}}},
		});
		expect(await leaks()).toEqual([`PersistentVolumeClaim ${namespace}/left`, `VolumeImportSource ${namespace}/left`]);
		await api.delete(resources.volumeImportSources, metadata);
		await api.delete(resources.persistentVolumeClaims, metadata);
		await expect.poll(leaks, {timeout: 30_000}).toEqual([]);
	});

	test('a volume that the storage has and no claim is a leak, in the API and in the journal', async () => {
		const claim = await api.create(resources.persistentVolumeClaims, {
			apiVersion: 'v1',
			kind: 'PersistentVolumeClaim',
			metadata: {namespace, name: 'kept'},
			spec: {
				accessModes: ['ReadWriteOnce'],
				resources: {requests: {storage: '16Mi'}},
				storageClassName: context.storageClass ?? '',
			},
		});
		const bound = await until('a bound claim', async () => {
			const now = await api.get(resources.persistentVolumeClaims, claim.metadata);
			return now.status?.phase === 'Bound' ? now : undefined;
		});
		const key = {name: bound.spec.volumeName ?? ''};
		const volume = await api.get(resources.persistentVolumes, key);
		const handle = volume.spec.csi?.volumeHandle ?? '';
		const ofThis = async () =>
			(await auditLeaks(api, cluster)).filter((leak) => leak.includes(key.name) || leak.includes(handle));
		expect(await ofThis()).toEqual([]);
		await api.mergePatch(resources.persistentVolumes, key, {spec: {persistentVolumeReclaimPolicy: 'Retain'}});
		await api.delete(resources.persistentVolumeClaims, claim.metadata);
		await expect.poll(ofThis, {timeout: 30_000}).toEqual([`PersistentVolume ${key.name}`]);
		// Forgotten by the API, the storage still has it.
		await api.mergePatch(resources.persistentVolumes, key, {metadata: {finalizers: null}});
		await api.delete(resources.persistentVolumes, key);
		await expect.poll(ofThis, {timeout: 30_000}).toEqual([`stored volume ${handle}`]);
		await adopt(volume);
		await expect.poll(ofThis, {timeout: 60_000}).toEqual([]);
	});

	/** A PersistentVolume of policy Delete for a claim that is gone: the provisioner deletes what it stands for. */
	async function adopt(volume: KubeObject & {readonly spec: object}): Promise<void> {
		const {name, annotations: given = {}} = volume.metadata;
		await api.create(resources.persistentVolumes, {
			apiVersion: 'v1',
			kind: 'PersistentVolume',
			metadata: {
				name,
				annotations: given,
				finalizers: ['kubernetes.io/pv-protection', 'external-provisioner.volume.kubernetes.io/finalizer'],
			},
			spec: {...volume.spec, persistentVolumeReclaimPolicy: 'Delete'},
		});
	}
}
