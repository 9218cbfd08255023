/**
 * rancher's local-path-provisioner: volumes are folders of a node, made by a helper pod there. It is no CSI driver, so it
 * stands for all that know nothing of snapshots, populators and `dataSourceRef`.
 */
import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {stringify} from 'yaml';
import {type Daemon, flags} from './daemon.ts';
import type {Layout} from './layout.ts';
import type {ClusterNode} from './node.ts';
import {commandOf, volumeFolderImage} from './static-images.ts';
import {poolDir} from './storage.ts';

export const localPathClass = 'local-path';
const provisioner = 'rancher.io/local-path';
/** Of the helper pods. */
const namespace = 'local-path-storage';

/** Holds a folder for each node, and that one for each volume. */
export function localPathDir(layout: Layout): string {
	return path.join(poolDir(layout), 'local-path');
}

function configDir(layout: Layout): string {
	return path.join(layout.runDir, 'local-path');
}

const configFile = (layout: Layout) => path.join(configDir(layout), 'config.json');
const helperPodFile = (layout: Layout) => path.join(configDir(layout), 'helper-pod.yaml');

/** Writes what the provisioner reads. Its example runs a shell with two scripts; an image with one program does as well. */
export async function prepareLocalPath(layout: Layout, nodes: readonly ClusterNode[]): Promise<void> {
	const command = commandOf(volumeFolderImage);
	const nodePathMap = nodes.map(({name}) => ({node: name, paths: [path.join(localPathDir(layout), name)]}));
	for (const {paths} of nodePathMap) for (const folder of paths) await mkdir(folder, {recursive: true});
	const helperPod = {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: {name: 'helper-pod'},
		spec: {
			automountServiceAccountToken: false,
			containers: [{name: 'helper-pod', image: volumeFolderImage.name, imagePullPolicy: 'Never'}],
		},
	};
	await mkdir(configDir(layout), {recursive: true});
	await writeFile(configFile(layout), JSON.stringify({nodePathMap, setupCommand: command, teardownCommand: command}));
	await writeFile(helperPodFile(layout), stringify(helperPod));
}

export function localPathDaemon(layout: Layout, program: string, kubeconfig: string): Daemon {
	return {
		name: 'local-path-provisioner',
		program,
		args: [
			'start',
			...flags({
				kubeconfig,
				'provisioner-name': provisioner,
				namespace,
				'service-account-name': 'default',
				config: configFile(layout),
				'helper-pod-file': helperPodFile(layout),
			}),
		],
	};
}

export function localPathObjects(): unknown[] {
	return [
		{apiVersion: 'v1', kind: 'Namespace', metadata: {name: namespace}},
		{
			apiVersion: 'storage.k8s.io/v1',
			kind: 'StorageClass',
			metadata: {name: localPathClass},
			provisioner,
			volumeBindingMode: 'WaitForFirstConsumer',
			reclaimPolicy: 'Delete',
		},
	];
}
