import {expect, test} from 'vitest';
import {KubeEventRecorder} from '../../src/kube/events.ts';
import {configMaps, events, persistentVolumes} from '../../src/kube/resources.ts';
import {silentLogger} from '../../src/process/log.ts';
import {configMap, makeClient, makeNamespace} from './cluster.ts';

test('the same words about an object become one Event with a count, as kubectl describe looks for it', async () => {
	const client = makeClient();
	const namespace = await makeNamespace(client);
	const about = await client.create(configMaps, configMap(namespace, 'a'));
	const recorder = new KubeEventRecorder({api: client, component: 'onesnap', instance: 'onesnap-0', log: silentLogger});
	const started = {type: 'Normal', reason: 'ImportStarted', message: 'from there'} as const;
	recorder.record(about, started);
	await recorder.idle();
	recorder.record(about, started);
	recorder.record(about, started);
	recorder.record(about, {type: 'Warning', reason: 'ImportFailed', message: 'no'});
	await recorder.close();
	const fieldSelector = `involvedObject.kind=ConfigMap,involvedObject.name=a,involvedObject.uid=${about.metadata.uid}`;
	const {items} = await client.list(events, {namespace, fieldSelector});
	expect(items.map(({type, reason, count, source}) => ({type, reason, count, source}))).toEqual(
		expect.arrayContaining([
			{type: 'Normal', reason: 'ImportStarted', count: 3, source: {component: 'onesnap'}},
			{type: 'Warning', reason: 'ImportFailed', count: 1, source: {component: 'onesnap'}},
		]),
	);
	expect(items).toHaveLength(2);
});

test('an Event that was deleted is begun anew; about a cluster-scoped object it goes to the namespace default', async () => {
	const client = makeClient();
	const name = `volume-${Date.now()}`;
	const about = {apiVersion: 'v1', kind: 'PersistentVolume', metadata: {name, uid: 'some-uid'}, spec: {}};
	expect(persistentVolumes.kind).toBe(about.kind);
	const recorder = new KubeEventRecorder({api: client, component: 'onesnap', instance: 'onesnap-0', log: silentLogger});
	const find = () => client.list(events, {namespace: 'default', fieldSelector: `involvedObject.name=${name}`});
	recorder.record(about, {type: 'Normal', reason: 'Moved', message: 'm'});
	await recorder.idle();
	const [first] = (await find()).items;
	if (!first) throw new Error('no event');
	await client.delete(events, first.metadata);
	recorder.record(about, {type: 'Normal', reason: 'Moved', message: 'm'});
	await recorder.close();
	expect((await find()).items).toMatchObject([{reason: 'Moved', count: 2}]);
});
