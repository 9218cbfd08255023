/**
 * Brings up what every end-to-end test stands on: a cluster, onesnap in it, a server of disk images. At the end removes
 * what the tests made, and fails the run for everything that is left then.
 */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {TestProject} from 'vitest/node';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import * as resources from '../../src/kube/resources.ts';
import {type ClusterHandle, ensureCluster} from '../cluster/cluster.ts';
import {report, withProgress} from '../cluster/progress.ts';
import {until} from '../cluster/until.ts';
import {makeCertificate} from '../support/certificate.ts';
import {startImageServer} from '../support/image-server.ts';
import {installOnesnap} from '../support/install.ts';
import {auditLeaks} from '../support/leak-audit.ts';
import {clearFaults} from '../support/storage-faults.ts';
import {makeTestImages, type TestImages} from './images.ts';
import {testLabel, testLabels} from './labels.ts';

/** What tests need to know of the cluster that only the local one tells. */
export interface LocalFacts {
	readonly storageClasses: {
		readonly waitForFirstConsumer: string;
		readonly noSnapshots: string;
		readonly notCsi: string;
		/** Only in a cluster of several nodes. */
		readonly nodeLocal?: string;
		readonly nodeLocalImmediate?: string;
	};
	readonly nodes: readonly string[];
	/** CSI driver name to the file in which it writes down every call. */
	readonly journals: Readonly<Record<string, string>>;
}

/** What the controller is told of the import proxy; a test that wants one starts it. URLs with addresses do without. */
export interface ImportProxyFacts {
	/** At `hostAddress`. */
	readonly port: number;
	readonly tls: {readonly key: string; readonly cert: string};
	readonly credentials: {readonly user: string; readonly password: string};
}

/** The same each time, so that a second run need not start the controllers anew. */
const proxyPort = 3128;

function throughProxy(hostAddress: string, {port, tls, credentials: {user, password}}: ImportProxyFacts) {
	const url = `https://${user}:${password}@${hostAddress}:${port}`;
	const name = 'import-proxy-authorities';
	const metadata = {namespace: 'onesnap', name, labels: testLabels};
	return {
		environment: {
			ONESNAP_IMPORT_HTTP_PROXY: url,
			ONESNAP_IMPORT_HTTPS_PROXY: url,
			ONESNAP_IMPORT_NO_PROXY: '0.0.0.0/0,::/0',
			ONESNAP_IMPORT_PROXY_CA_CONFIGMAP: name,
		},
		objects: [{apiVersion: 'v1', kind: 'ConfigMap', metadata, data: {'ca.crt': tls.cert}}],
	};
}

export interface E2eContext {
	readonly kubeconfig: string;
	readonly kubectl: string;
	/** With snapshots; undefined means the cluster's default class. */
	readonly storageClass: string | undefined;
	/** Undefined on a cluster that the user named. */
	readonly local: LocalFacts | undefined;
	readonly workerImage: string;
	/** An address of this machine that Pods reach: for tests that start an image server of their own. */
	readonly hostAddress: string;
	readonly proxy: ImportProxyFacts;
	/** Of the well-behaved image server. */
	readonly serverUrl: string;
	readonly images: TestImages;
}

declare module 'vitest' {
	export interface ProvidedContext {
		e2e: E2eContext;
	}
}

/** See `sweptMs` in world.ts. */
const goneMs = 360_000;
const auditMs = 360_000;
/** vitest ends the process after its own `teardownTimeout`, whatever is going on. */
const teardownMs = goneMs + auditMs + 30_000;

function hostAddressOf(cluster: ClusterHandle): string {
	const address = cluster.kind === 'local' ? cluster.hostAddress : process.env['ONESNAP_HOST_ADDRESS'];
	if (!address)
		throw new Error('set ONESNAP_HOST_ADDRESS to an address of this machine that Pods of your cluster can reach');
	return address;
}

/** Everything carries the label, so a run also cleans up after one that was killed. */
async function removeTestObjects(api: KubeClient): Promise<void> {
	const kinds = [resources.namespaces, resources.storageClasses] as const;
	const left = async () => {
		const lists = await Promise.all(
			kinds.map(async (kind) => {
				const {items} = await api.list(kind, {labelSelector: testLabel});
				return items.map(({metadata}) => ({kind, metadata}));
			}),
		);
		return lists.flat();
	};
	for (const {kind, metadata} of await left()) await api.delete(kind, metadata);
	await until(
		'namespaces of the e2e tests gone',
		async () => {
			const names = (await left()).map(({metadata}) => metadata.name);
			if (names.length > 0) throw new Error(`there are still ${names.join(', ')}`);
			return true;
		},
		{timeoutMs: goneMs, intervalMs: 500},
	);
}

/** Deletion takes its time, so a leak is what is still there at the end of it. */
async function findLeaks(api: KubeClient, cluster: ClusterHandle): Promise<readonly string[]> {
	if (cluster.kind === 'user') return [];
	let leaks: readonly string[] = [];
	const deadline = Date.now() + auditMs;
	do {
		leaks = await auditLeaks(api, cluster);
		if (leaks.length === 0) return [];
		await new Promise((resolve) => setTimeout(resolve, 1000));
	} while (Date.now() < deadline);
	return leaks;
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
	return setUpOn(await ensureCluster(), project);
}

export async function setUpOn(cluster: ClusterHandle, project: TestProject): Promise<() => Promise<void>> {
	project.vitest.config.teardownTimeout = teardownMs;
	if (cluster.kind === 'local') await clearFaults(cluster);
	const hostAddress = hostAddressOf(cluster);
	const proxy: ImportProxyFacts = {
		port: proxyPort,
		tls: await makeCertificate(`IP:${hostAddress}`),
		credentials: {user: 'imports', password: 'pr0xy-s3cret'},
	};
	const {workerImage} = await installOnesnap(cluster, throughProxy(hostAddress, proxy));
	const api = new KubeClient({connection: connect(cluster.kubeconfig), fieldManager: 'onesnap-e2e'});
	await withProgress('removing what an earlier run left', () => removeTestObjects(api));
	const folder = await mkdtemp(path.join(tmpdir(), 'onesnap-e2e-'));
	const images = await withProgress('making disk images', () => makeTestImages(folder));
	const server = await startImageServer({
		host: hostAddress,
		files: Object.fromEntries(Object.values(images).map((image) => [image.path, image.file])),
	});
	project.provide('e2e', {
		kubeconfig: cluster.kubeconfig,
		kubectl: cluster.kubectl,
		storageClass: cluster.kind === 'local' ? cluster.storageClasses.snapshots : cluster.storageClass,
		local:
			cluster.kind === 'local'
				? {storageClasses: cluster.storageClasses, nodes: cluster.nodes, journals: cluster.journals}
				: undefined,
		workerImage,
		hostAddress,
		proxy,
		serverUrl: server.url,
		images,
	});
	return async () => {
		await server.close();
		await rm(folder, {recursive: true, force: true});
		await withProgress('removing what the tests made', () => removeTestObjects(api));
		const leaks = await withProgress('looking for leaks', () => findLeaks(api, cluster));
		api.close();
		if (leaks.length === 0) return;
		for (const leak of leaks) report(`leak: ${leak}`);
		process.exitCode = 1;
		throw new Error(`the end-to-end tests leaked:\n${leaks.join('\n')}`);
	};
}
