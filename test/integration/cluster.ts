import {randomBytes} from 'node:crypto';
import {inject, onTestFinished} from 'vitest';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import {type DataObject, namespaces, type Resource} from '../../src/kube/resources.ts';

/** A client of the real API server, closed when the test has ended. */
export function makeClient(): KubeClient {
	const client = new KubeClient({connection: connect(inject('kubeconfig')), fieldManager: 'test'});
	onTestFinished(() => client.close());
	return client;
}

/** Without a controller manager nothing empties a namespace, so it is left behind. */
export async function makeNamespace(client: KubeClient): Promise<string> {
	const name = `test-${randomBytes(5).toString('hex')}`;
	await client.create(namespaces, {apiVersion: 'v1', kind: 'Namespace', metadata: {name}});
	return name;
}

const serviceAccounts: Resource<KubeObject> = {
	group: '',
	version: 'v1',
	plural: 'serviceaccounts',
	kind: 'ServiceAccount',
	namespaced: true,
};

/** Every Pod has a service account, which a controller manager would make. */
export async function allowPods(client: KubeClient, namespace: string): Promise<void> {
	const metadata = {namespace, name: 'default'};
	await client.create(serviceAccounts, {apiVersion: 'v1', kind: 'ServiceAccount', metadata});
}

export function configMap(namespace: string, name: string, data: Record<string, string> = {}): DataObject {
	return {apiVersion: 'v1', kind: 'ConfigMap', metadata: {namespace, name}, data};
}

/** CustomResourceDefinitions come and go in tests of optional kinds. */
export const definitions: Resource<
	KubeObject & {
		readonly spec: object;
		readonly status?: {readonly conditions?: readonly {readonly type: string; readonly status: string}[]};
	}
> = {
	group: 'apiextensions.k8s.io',
	version: 'v1',
	plural: 'customresourcedefinitions',
	kind: 'CustomResourceDefinition',
	namespaced: false,
};
