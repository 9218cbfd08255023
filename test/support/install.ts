/** Installs onesnap in a cluster as a user would (manifests/base with image names replaced), and waits until it leads. */
import path from 'node:path';
import {parseAllDocuments} from 'yaml';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {cdiVersion} from '../../src/api/names.ts';
import type {StorageProfileSpec} from '../../src/api/storage-profile.ts';
import {ensureImages} from '../../images/build.ts';
import type {ClusterHandle} from '../cluster/cluster.ts';
import {run} from '../cluster/command.ts';
import {Kubectl} from '../cluster/kubectl.ts';
import {withProgress} from '../cluster/progress.ts';
import {plainSets} from './builders.ts';

const base = path.resolve(import.meta.dirname, '../../manifests/base');

export interface Installed {
	/** Image with a shell, coreutils and qemu-img: also what test Pods run. */
	readonly workerImage: string;
}

/** A user's cluster cannot be handed image archives: it pulls what these variables name. */
function imagesOfUser(): {controller: string; worker: string} {
	const controller = process.env['ONESNAP_CONTROLLER_IMAGE'];
	const worker = process.env['ONESNAP_WORKER_IMAGE'];
	if (!controller || !worker) {
		throw new Error(
			'ONESNAP_KUBECONFIG names your cluster: set ONESNAP_CONTROLLER_IMAGE and ONESNAP_WORKER_IMAGE to images that it can pull (docker build --target controller, --target worker)',
		);
	}
	return {controller, worker};
}

async function localImages(
	cluster: Extract<ClusterHandle, {kind: 'local'}>,
): Promise<{controller: string; worker: string}> {
	const images = await ensureImages();
	await withProgress('loading the images into the cluster', async () => {
		for (const {archive} of [images.controller, images.worker]) await cluster.loadImage(archive);
	});
	return {controller: images.controller.reference, worker: images.worker.reference};
}

export interface InstallOptions {
	/** Settings of the controller, as variables. */
	readonly environment?: Readonly<Record<string, string>>;
	/** Installed with it. */
	readonly objects?: readonly KubeObject[];
}

interface DeploymentLike {
	readonly kind?: string;
	readonly spec?: {readonly template: {readonly spec: {readonly containers: [{readonly env: object[]}]}}};
}

/** Nobody knows the drivers of the local cluster. */
function profileOf(name: string): KubeObject & {readonly spec: StorageProfileSpec} {
	const metadata = {name};
	return {apiVersion: cdiVersion, kind: 'StorageProfile', metadata, spec: {claimPropertySets: plainSets}};
}

export async function installOnesnap(
	cluster: ClusterHandle,
	{environment = {}, objects: more = []}: InstallOptions = {},
): Promise<Installed> {
	const images = cluster.kind === 'local' ? await localImages(cluster) : imagesOfUser();
	const rendered = await run(cluster.kubectl, ['kustomize', base]);
	const named = rendered
		.replaceAll('localhost/onesnap/controller:dev', images.controller)
		.replaceAll('localhost/onesnap/worker:dev', images.worker);
	const objects = parseAllDocuments(named).map((document): KubeObject => document.toJS());
	const deployment = (objects as readonly DeploymentLike[]).find(({kind}) => kind === 'Deployment');
	const variables = Object.entries(environment).map(([name, value]) => ({name, value}));
	deployment?.spec?.template.spec.containers[0].env.push(...variables);
	const profiles = cluster.kind === 'local' ? Object.values(cluster.storageClasses).map(profileOf) : [];
	const kubectl = new Kubectl(cluster.kubectl, cluster.kubeconfig);
	await withProgress('installing onesnap', async () => {
		// Definitions first: what is of their kinds is refused until they are served.
		const definitions = objects.filter(({kind}) => kind === 'CustomResourceDefinition');
		await kubectl.apply(definitions);
		const names = definitions.map(({metadata}) => `crd/${metadata.name}`);
		await kubectl.run('wait', '--for=condition=Established', '--timeout=9s', ...names);
		await kubectl.apply([...objects.filter((object) => !definitions.includes(object)), ...profiles, ...more]);
	});
	await withProgress('starting the controller', async () => {
		await run(cluster.kubectl, [
			...['--kubeconfig', cluster.kubeconfig],
			...['-n', 'onesnap', 'rollout', 'status', 'deployment/onesnap-controller', '--timeout=120s'],
		]);
	});
	return {workerImage: images.worker};
}
