/** onesnap comes where CDI was: no claim changes, nothing is imported again, no status falls back, and it takes over from there. */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterAll, beforeAll, expect, test} from 'vitest';
import type {KubeObject, PersistentVolumeClaim} from '../../src/api/kubernetes.ts';
import {primeClaimName} from '../../src/api/names.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import * as resources from '../../src/kube/resources.ts';
import {type ControlPlane, startControlPlane} from '../cluster/control-plane.ts';
import {until} from '../cluster/until.ts';
import {waitForDataVolume} from '../support/data-volumes.ts';
import {cdiKinds, disks, makeConfiguration, makeDisk, makeWaitingDisk} from './cdi-installation.ts';
import {makeNamespace} from './cluster.ts';
import {type ControllerProcess, startController} from './controller-process.ts';
import {installManifests} from './onesnap.ts';
import {bind, makePendingClaim, makeStorage} from './storage.ts';

let dir: string;
let controlPlane: ControlPlane;
let api: KubeClient;
let controller: ControllerProcess | undefined;
let namespace: string;
let waiting: PersistentVolumeClaim;
let before: Awaited<ReturnType<typeof snapshotOfWorld>>;

const byName = (objects: readonly KubeObject[]) =>
	Object.fromEntries(objects.map((object) => [`${object.metadata.namespace ?? ''}/${object.metadata.name}`, object]));

/** CDI once deleted DataVolumes that were done; their claims say so. */
const garbageCollected = {'cdi.kubevirt.io/garbageCollected': 'true'};

/** All that CDI made and users rely on, as it is on the server. */
async function snapshotOfWorld() {
	const claims = byName((await api.list(resources.persistentVolumeClaims, {namespace})).items);
	const volumes = byName((await api.list(resources.persistentVolumes, {})).items);
	const pods = byName((await api.list(resources.pods, {namespace})).items);
	const imports = byName((await api.list(resources.volumeImportSources, {namespace})).items);
	const clones = byName((await api.list(resources.volumeCloneSources, {namespace})).items);
	return {claims, volumes, pods, imports, clones};
}

beforeAll(async () => {
	dir = await mkdtemp(path.join(tmpdir(), 'onesnap-upgrade-'));
	controlPlane = await startControlPlane({dir});
	api = new KubeClient({connection: connect(controlPlane.kubeconfig), fieldManager: 'test'});
	// The definitions have CDI's names: what lies under them is CDI's.
	await installManifests(controlPlane.kubeconfig);
	await makeStorage(api);
	namespace = await makeNamespace(api);
	await makeConfiguration(api);
	for (const disk of disks(namespace)) await makeDisk(api, namespace, disk);
	waiting = await makeWaitingDisk(api, namespace);
	await bind(api, await makePendingClaim(api, {namespace, name: 'alone', annotations: garbageCollected}));
	before = await snapshotOfWorld();
	controller = await startController(controlPlane.kubeconfig, 'after-cdi');
	// Its turn comes after those of all that was there before: what is to happen to them has happened.
	const metadata = {namespace: await makeNamespace(api), name: 'probe'};
	await api.create(resources.dataVolumes, {
		apiVersion: 'cdi.kubevirt.io/v1beta1',
		kind: 'DataVolume',
		metadata,
		spec: {source: {blank: {}}, storage: {storageClassName: 'standard', resources: {requests: {storage: '1Gi'}}}},
	});
	await until('the claim of a new DataVolume', () => api.find(resources.persistentVolumeClaims, metadata));
	await waitForDataVolume(api, {metadata}, ({status}) => status?.phase !== undefined);
});

afterAll(async () => {
	await controller?.end('SIGKILL');
	api.close();
	await controlPlane.stop();
	await rm(dir, {recursive: true, force: true});
});

test('no claim and no volume of CDI is written to, and nothing is imported again', async () => {
	expect(await snapshotOfWorld()).toEqual(before);
});

test.each(disks('').map(({name}) => name))('a DataVolume of CDI stays Succeeded and Ready: %s', async (name) => {
	const {status} = await api.get(resources.dataVolumes, {namespace, name});
	expect(status).toMatchObject({phase: 'Succeeded', progress: '100.0%', claimName: name});
	const ready = status?.conditions?.find(({type}) => type === 'Ready');
	expect(ready).toMatchObject({status: 'True', lastTransitionTime: '2026-01-02T03:04:05Z'});
});

test('a DataVolume of CDI that waits for its consumer is filled by onesnap when there is one', async () => {
	const {metadata} = waiting;
	expect((await api.get(resources.dataVolumes, metadata)).status?.phase).toBe('PendingPopulation');
	await api.mergePatch(resources.persistentVolumeClaims, metadata, {
		metadata: {annotations: {'volume.kubernetes.io/selected-node': 'node-1'}},
	});
	const prime = {namespace, name: primeClaimName(metadata.uid ?? '')};
	await until('its prime claim', () => api.find(resources.persistentVolumeClaims, prime));
});

test("an admin's words are kept, and there is one CDI object", async () => {
	const profile = await api.get(cdiKinds.storageProfiles, {name: 'standard'});
	expect(profile['spec']).toEqual({
		claimPropertySets: [{accessModes: ['ReadWriteMany'], volumeMode: 'Block'}],
		cloneStrategy: 'csi-clone',
	});
	expect((await api.list(cdiKinds.cdis, {})).items.map(({metadata}) => metadata.name)).toEqual(['cdi']);
	const config = await api.get(cdiKinds.cdiConfigs, {name: 'config'});
	expect(config['status']).toMatchObject({filesystemOverhead: {global: '0.08'}});
	expect(config['spec']).toMatchObject({featureGates: ['HonorWaitForFirstConsumer']});
});
