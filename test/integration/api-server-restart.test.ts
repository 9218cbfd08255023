import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {expect, onTestFinished, test, vi} from 'vitest';
import {Caches} from '../../src/kube/caches.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import {isGone} from '../../src/kube/errors.ts';
import {Controller, watch} from '../../src/kube/controller.ts';
import {keyOf} from '../../src/kube/object-key.ts';
import {configMaps} from '../../src/kube/resources.ts';
import {silentLogger} from '../../src/process/log.ts';
import {startControlPlane} from '../cluster/control-plane.ts';
import {configMap, makeNamespace} from './cluster.ts';

test('caches and controllers go on after the API server went away and came back', async () => {
	const dir = await mkdtemp(path.join(tmpdir(), 'onesnap-restart-'));
	const controlPlane = await startControlPlane({dir});
	const client = new KubeClient({connection: connect(controlPlane.kubeconfig)});
	const stop = new AbortController();
	const caches = new Caches({api: client, kinds: [{resource: configMaps}], log: silentLogger});
	const reconciled: string[] = [];
	const controller = new Controller({
		name: 'test',
		caches,
		watches: [watch(configMaps, (object) => [keyOf(object)])],
		reconcile: (key) => {
			reconciled.push(key);
			return Promise.resolve('done');
		},
		log: silentLogger,
	});
	const ending = Promise.all([caches.start(stop.signal), controller.run(stop.signal)]);
	onTestFinished(async () => {
		stop.abort();
		await ending;
		client.close();
		await controlPlane.stop();
		await rm(dir, {recursive: true, force: true});
	});
	await caches.synced(stop.signal);
	const namespace = await makeNamespace(client);
	await client.create(configMaps, configMap(namespace, 'before'));
	await vi.waitFor(() => expect(reconciled).toContain(`${namespace}/before`));
	await controlPlane.restartApiServer();
	await client.create(configMaps, configMap(namespace, 'after'));
	await vi.waitFor(() => expect(reconciled).toContain(`${namespace}/after`), {timeout: 40_000});
	expect(caches.store(configMaps).get(namespace, 'before')).toBeDefined();

	// The new process has no history from before its start.
	const watching = async () => {
		for await (const event of client.watch(configMaps, {resourceVersion: '1'})) expect(event).toBeUndefined();
	};
	await expect(watching()).rejects.toSatisfy(isGone);
});
