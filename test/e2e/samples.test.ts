/**
 * Every sample is applied as it is and ends as it says; only the names of namespaces, of the storage class and of the image
 * server are those of this cluster.
 */
import {globSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {parseAllDocuments} from 'yaml';
import {findCondition} from '../../src/api/conditions.ts';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import * as resources from '../../src/kube/resources.ts';
import {Kubectl} from '../cluster/kubectl.ts';
import {until} from '../cluster/until.ts';
import {dataSources} from '../kubevirt/api.ts';
import {makeCertificate} from '../support/certificate.ts';
import {waitForSucceeded} from '../support/data-volumes.ts';
import {type ImageServer, startImageServer} from '../support/image-server.ts';
import {type Kubevirt, startKubevirt} from './kubevirt-world.ts';
import {api, context, digest, images, makeNamespace} from './world.ts';

const samples = path.resolve(import.meta.dirname, '../../manifests/samples');
const files = globSync('*.yaml', {cwd: samples}).sort();

let namespaces: Readonly<Record<'golden' | 'team-a', string>>;
let server: ImageServer;
let kubevirt: Kubevirt;

/** The default class of the cluster stands for all that a sample does not name. */
async function nameOfClass(): Promise<string> {
	if (context.storageClass !== undefined) return context.storageClass;
	const {items} = await api.list(resources.storageClasses);
	const isDefault = ({metadata}: KubeObject) =>
		metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true';
	return items.find(isDefault)?.metadata.name ?? '';
}

async function objectsOf(file: string): Promise<KubeObject[]> {
	const text = readFileSync(path.join(samples, file), 'utf8')
		.replaceAll(/^#.*$/gm, '')
		.replaceAll(/\bgolden\b/g, namespaces.golden)
		.replaceAll(/\bteam-a\b/g, namespaces['team-a'])
		.replaceAll(/\bstorageClassName: fast\b/g, `storageClassName: ${await nameOfClass()}`)
		.replaceAll(/https:\/\/images\.example\.com\/\S+/g, (url) =>
			url.endsWith('/web.qcow2') ? `${server.url}/web.qcow2` : `${context.serverUrl}${images.qcow2.path}`,
		);
	return parseAllDocuments(text).map((document): KubeObject => document.toJS());
}

async function apply(file: string): Promise<KubeObject[]> {
	const objects = await objectsOf(file);
	await new Kubectl(context.kubectl, context.kubeconfig).apply(objects);
	return objects;
}

const isMachine = ({kind}: KubeObject) => kind === 'VirtualMachine';

async function untilReady({metadata}: KubeObject): Promise<void> {
	await until(`DataSource ${metadata.name} is Ready`, async () => {
		const {status} = await api.get(dataSources, metadata);
		return findCondition(status?.conditions, 'Ready')?.status === 'True' ? true : undefined;
	});
}

async function ends(objects: readonly KubeObject[]): Promise<void> {
	await waitForSucceeded(
		api,
		objects.filter(({kind}) => kind === 'DataVolume'),
	);
	await Promise.all(objects.filter(isMachine).map((vm) => kubevirt.machines.untilStatus(vm, 'Running')));
	await Promise.all(objects.filter(({kind}) => kind === 'DataSource').map(untilReady));
}

beforeAll(async () => {
	const tls = await makeCertificate(`IP:${context.hostAddress}`);
	[kubevirt, server, namespaces] = await Promise.all([
		startKubevirt(),
		startImageServer({host: context.hostAddress, files: {'/web.qcow2': images.qcow2.file}, tls}),
		Promise.all([makeNamespace('golden'), makeNamespace('team-a')]).then(([golden, team]) => ({
			golden,
			'team-a': team,
		})),
	]);
	await api.create(resources.configMaps, {
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: {namespace: namespaces['team-a'], name: 'images-ca'},
		data: {'ca.pem': tls.cert},
	});
	await ends(await apply('import.yaml'));
	await api.create(resources.volumeSnapshots, {
		apiVersion: 'snapshot.storage.k8s.io/v1',
		kind: 'VolumeSnapshot',
		metadata: {namespace: namespaces.golden, name: 'debian-2026-11'},
		spec: {source: {persistentVolumeClaimName: 'debian'}},
	});
	// The right to clone is for those that come after it.
	const [binding] = await objectsOf('clone-other-namespace.yaml');
	if (binding) await new Kubectl(context.kubectl, context.kubeconfig).apply([binding]);
});

afterAll(async () => {
	await kubevirt.remove(Object.values(namespaces));
	await server.close();
});

describe.concurrent('the sample', () => {
	test.each(files)('%s ends as it says', async (file) => {
		const objects = await apply(file);
		expect(objects.length).toBeGreaterThan(0);
		await ends(objects);
	});
});

// Not concurrent itself: then it would begin beside the samples.
describe('the disk', () => {
	test.each(['web-disk', 'web-disk-copy', 'from-os-stable', 'demo-root'])('%s is the image', async (name) => {
		const disk = {metadata: {namespace: namespaces['team-a'], name}};
		expect(await digest(disk)).toBe(images.qcow2.rawSha256);
	});
});
