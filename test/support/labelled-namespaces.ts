/** Namespaces that carry a label of the test that made them, so that a later run finds what a killed one left. */
import type {KubeObject} from '../../src/api/kubernetes.ts';
import type {KubeApi} from '../../src/kube/client.ts';
import {namespaces} from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';

/** external-provisioner sweeps a finalizer that it forgot after five minutes. */
const goneMs = 360_000;

export async function makeNamespace(
	api: KubeApi,
	name: string,
	labels: Readonly<Record<string, string>>,
): Promise<void> {
	const namespace: KubeObject = {apiVersion: 'v1', kind: 'Namespace', metadata: {name, labels}};
	await api.create(namespaces, namespace);
}

/** Resolves when they are gone, with everything in them. */
export async function removeNamespaces(api: KubeApi, label: string): Promise<void> {
	const list = async () => (await api.list(namespaces, {labelSelector: label})).items;
	await Promise.all((await list()).map(({metadata}) => api.delete(namespaces, metadata)));
	await until(`namespaces with the label ${label} gone`, async () => ((await list()).length === 0 ? true : undefined), {
		timeoutMs: goneMs,
		intervalMs: 500,
	});
}
