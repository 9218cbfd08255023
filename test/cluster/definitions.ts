import {randomUUID} from 'node:crypto';
import {cp, mkdir, rename, rm} from 'node:fs/promises';
import path from 'node:path';
import {cacheDir} from './cache-folder.ts';
import {downloadModule} from './go.ts';
import {moduleVersion} from './go-mod.ts';
import {withProgress} from './progress.ts';
import {fileExists} from './file-exists.ts';

/** Interface definitions that the Go modules of the cluster's tools carry, as absolute paths of files. */
export type Definitions = {
	readonly csiProto: string;
	/** pluginregistration v1: how a driver makes itself known to the kubelet. Plain proto3, no gogo options. */
	readonly registrationProto: string;
	/** The CRDs VolumeSnapshot, VolumeSnapshotContent, VolumeSnapshotClass. */
	readonly snapshotCrds: readonly string[];
};

const snapshotCrdNames = ['volumesnapshotclasses', 'volumesnapshotcontents', 'volumesnapshots'].map(
	(plural) => `snapshot.storage.k8s.io_${plural}.yaml`,
);

/** Copies the definitions into the user's cache, so that only the first call needs Go and a module proxy. */
export async function ensureDefinitions(): Promise<Definitions> {
	const csi = moduleVersion('csi-test', 'github.com/container-storage-interface/spec');
	const kubelet = moduleVersion('kubernetes', 'k8s.io/kubelet');
	const snapshotter = moduleVersion('external-snapshotter', 'github.com/kubernetes-csi/external-snapshotter/v8');
	const folder = path.join(cacheDir, `definitions-csi-${csi}-kubelet-${kubelet}-snapshotter-${snapshotter}`);
	const definitions: Definitions = {
		csiProto: path.join(folder, 'csi.proto'),
		registrationProto: path.join(folder, 'pluginregistration.proto'),
		snapshotCrds: snapshotCrdNames.map((name) => path.join(folder, name)),
	};
	if (await fileExists(folder)) return definitions;

	await withProgress('fetching csi.proto, pluginregistration and the snapshot CRDs', async () => {
		const csiDir = await downloadModule('csi-test', 'github.com/container-storage-interface/spec', csi);
		const kubeletDir = await downloadModule('kubernetes', 'k8s.io/kubelet', kubelet);
		// The client module is released together with the controllers; the controllers' go.mod may lag behind by one.
		const clientDir = await downloadModule(
			'external-snapshotter',
			'github.com/kubernetes-csi/external-snapshotter/client/v8',
			snapshotter,
		);
		const unfinished = `${folder}.${randomUUID()}`;
		await mkdir(unfinished, {recursive: true});
		await cp(path.join(csiDir, 'csi.proto'), path.join(unfinished, 'csi.proto'));
		await cp(
			path.join(kubeletDir, 'pkg/apis/pluginregistration/v1/api.proto'),
			path.join(unfinished, 'pluginregistration.proto'),
		);
		for (const name of snapshotCrdNames) {
			await cp(path.join(clientDir, 'config/crd', name), path.join(unfinished, name));
		}
		await moveIntoPlace(unfinished, folder);
	});
	return definitions;
}

/** Two processes may fetch at once: the first rename wins and the other's equal folder is thrown away. */
async function moveIntoPlace(unfinished: string, folder: string): Promise<void> {
	try {
		await rename(unfinished, folder);
	} catch (error) {
		await rm(unfinished, {recursive: true, force: true});
		if (!(await fileExists(folder))) throw error;
	}
}
