/** What is served and not carried out says so: the controller as a program. */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {beforeAll, expect, onTestFinished, test} from 'vitest';
import {findCondition} from '../../src/api/conditions.ts';
import type {DataImportCron} from '../../src/api/data-import-cron.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import {dataImportCrons} from '../../src/kube/resources.ts';
import {startControlPlane} from '../cluster/control-plane.ts';
import {until} from '../cluster/until.ts';
import {makeNamespace} from './cluster.ts';
import {startController} from './controller-process.ts';
import {answerTo, installManifests, makeClientAs} from './onesnap.ts';

let api: KubeClient;
let namespace: string;
let kubeconfig: string;

beforeAll(async () => {
	const dir = await mkdtemp(path.join(tmpdir(), 'onesnap-unsupported-'));
	const controlPlane = await startControlPlane({dir});
	({kubeconfig} = controlPlane);
	await installManifests(kubeconfig);
	api = new KubeClient({connection: connect(kubeconfig), fieldManager: 'test'});
	namespace = await makeNamespace(api);
	const controller = await startController(kubeconfig, 'only');
	return async () => {
		await controller.end('SIGKILL');
		api.close();
		await controlPlane.stop();
		await rm(dir, {recursive: true, force: true});
	};
});

const storage = {resources: {requests: {storage: '5Gi'}}};
const template = {spec: {source: {registry: {url: 'docker://registry.example.com/fedora'}}, storage}};
const spec = {template, schedule: '@daily', managedDataSource: 'fedora'};
const at = '2026-11-01T00:00:00Z';

function settled(name: string): Promise<DataImportCron> {
	return until(`${name} says that it is not supported`, async () => {
		const cron = await api.get(dataImportCrons, {namespace, name});
		const of = (type: string) => findCondition(cron.status?.conditions, type);
		const isTold = [of('Progressing'), of('UpToDate')].every((condition) => condition?.reason === 'NotSupported');
		return isTold ? cron : undefined;
	});
}

test.each<[string, object]>([
	['new', {}],
	[
		'left-by-cdi',
		{
			status: {
				lastImportedPVC: {namespace: 'golden', name: 'fedora-0123'},
				lastImportTimestamp: at,
				sourceFormat: 'pvc',
				conditions: [
					{type: 'UpToDate', status: 'True', reason: 'UpToDate', lastTransitionTime: at, lastHeartbeatTime: at},
				],
			},
		},
	],
])('a DataImportCron, %s, is told that nothing is imported, and what to do', async (name, left) => {
	await api.create(dataImportCrons, {
		apiVersion: 'cdi.kubevirt.io/v1beta1',
		kind: 'DataImportCron',
		metadata: {namespace, name},
		spec,
		...left,
	});
	const cron = await settled(name);
	expect(cron).toMatchObject({spec, ...('status' in left && {status: {lastImportTimestamp: at, sourceFormat: 'pvc'}})});
	const upToDate = findCondition(cron.status?.conditions, 'UpToDate');
	expect(upToDate).toMatchObject({status: 'False', reason: 'NotSupported'});
	expect(upToDate?.message).toContain('let DataSource fedora point to its claim');
	expect(upToDate?.lastTransitionTime).not.toBe(at);
});

test('and once more where somebody writes over it', async () => {
	const before = await settled('new');
	const {metadata} = await api.mergePatch(dataImportCrons, before.metadata, {status: {conditions: []}});
	expect((await settled('new')).metadata.resourceVersion).not.toBe(metadata.resourceVersion);
});

test('the controller may say so', async () => {
	const {metadata} = await settled('new');
	const controller = makeClientAs('system:serviceaccount:onesnap:onesnap-controller', kubeconfig);
	onTestFinished(() => controller.close());
	const patch = {status: {conditions: []}};
	expect(await answerTo(controller.mergePatch(dataImportCrons, metadata, patch, {dryRun: true}))).toBe('admitted');
});
