/** What crash scenarios stand on: three namespaces, a small image on a server, and the way to see everything in them. */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import type {KubeClient} from '../../src/kube/client.ts';
import * as resources from '../../src/kube/resources.ts';
import type {LocalCluster} from '../cluster/cluster.ts';
import {convertToQcow2, digestOf, makeRawDisk} from '../support/disk-images.ts';
import {startImageServer} from '../support/image-server.ts';
import {makeNamespace} from '../support/labelled-namespaces.ts';

const mebibyte = 1024 ** 2;
const imageBytes = 8 * mebibyte;

export interface CrashWorld extends AsyncDisposable {
	readonly api: KubeClient;
	readonly cluster: LocalCluster;
	readonly workerImage: string;
	/** Sources are in `golden`. */
	readonly namespaces: {readonly golden: string; readonly a: string; readonly b: string};
	readonly image: {readonly url: string; readonly virtualBytes: number; readonly sha256: string};
}

export interface CrashWorldOptions extends Pick<CrashWorld, 'api' | 'cluster' | 'workerImage'> {
	/** Of the namespaces: prefix of their names, and what they are recognized by later. */
	readonly prefix: string;
	readonly labels: Readonly<Record<string, string>>;
}

export async function openCrashWorld({
	api,
	cluster,
	workerImage,
	prefix,
	labels,
}: CrashWorldOptions): Promise<CrashWorld> {
	const folder = await mkdtemp(path.join(tmpdir(), 'onesnap-crash-'));
	const raw = path.join(folder, 'disk.raw');
	const qcow2 = path.join(folder, 'disk.qcow2');
	await makeRawDisk(raw, {sizeBytes: imageBytes, dataBytes: 2 * mebibyte});
	await convertToQcow2(raw, qcow2);
	const server = await startImageServer({host: cluster.hostAddress, files: {'/disk.qcow2': qcow2}});
	const namespaces = {golden: `${prefix}-golden`, a: `${prefix}-a`, b: `${prefix}-b`};
	const made = Object.values(namespaces);
	for (const name of made) await makeNamespace(api, name, labels);
	return {
		api,
		cluster,
		workerImage,
		namespaces,
		image: {url: `${server.url}/disk.qcow2`, virtualBytes: imageBytes, sha256: await digestOf(raw)},
		async [Symbol.asyncDispose]() {
			await Promise.all(made.map((name) => api.delete(resources.namespaces, {name})));
			await server.close();
			await rm(folder, {recursive: true, force: true});
		},
	};
}

const isIn = (world: CrashWorld, namespace: string | undefined) =>
	Object.values(world.namespaces).some((name) => name === namespace);

/** Everything in the namespaces or about something in them. */
export async function everything(world: CrashWorld): Promise<readonly KubeObject[]> {
	const {api} = world;
	const namespaced = [
		resources.dataVolumes,
		resources.persistentVolumeClaims,
		resources.pods,
		resources.volumeImportSources,
		resources.volumeCloneSources,
		resources.volumeSnapshots,
	] as const;
	const inNamespaces = namespaced.map(async (kind): Promise<readonly KubeObject[]> => {
		const {items} = await api.list<KubeObject>(kind);
		return items.filter(({metadata}) => isIn(world, metadata.namespace));
	});
	const lists = await Promise.all<readonly KubeObject[]>([
		...inNamespaces,
		api
			.list(resources.persistentVolumes)
			.then(({items}) => items.filter(({spec}) => isIn(world, spec.claimRef?.namespace))),
		api
			.list(resources.volumeSnapshotContents)
			.then(({items}) => items.filter(({spec}) => isIn(world, spec.volumeSnapshotRef.namespace))),
		api.list(resources.sharedSnapshots).then(({items}) => items.filter(({spec}) => isIn(world, spec.source.namespace))),
	]);
	return lists.flat();
}
