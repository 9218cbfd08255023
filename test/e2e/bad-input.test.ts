/**
 * What people get wrong. Each time: a sentence that they can act on where they look for it, a controller that goes on, and
 * nothing left after `kubectl delete`.
 */
import {beforeAll, describe, expect, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import * as resources from '../../src/kube/resources.ts';
import {run} from '../cluster/command.ts';
import {until} from '../cluster/until.ts';
import {reasonOf, waitForDataVolume, waitForSucceeded} from '../support/data-volumes.ts';
import {removePod, startDiskPod, waitForPod} from '../support/disk-pod.ts';
import {
	api,
	context,
	controllerRestarts,
	createDataVolume,
	deleteWithoutTrace,
	digest,
	httpSource,
	images,
	kubectl,
	makeDataVolume,
	makeNamespace,
	pvcSource,
	untilEmptyNamespace,
	type Wanted,
} from './world.ts';

let restarts: Readonly<Record<string, number>>;

beforeAll(async () => {
	restarts = await controllerRestarts();
	return async () => {
		expect(await controllerRestarts()).toEqual(restarts);
	};
});

/** `kubectl describe` as a person calls it, once the DataVolume says what is wrong. */
async function describeDataVolume(dataVolume: DataVolume, isSo: (dataVolume: DataVolume) => boolean): Promise<string> {
	const {namespace = '', name} = (await waitForDataVolume(api, dataVolume, isSo, 60_000)).metadata;
	// Events are written beside the status, not with it.
	return until('events in kubectl describe', async () => {
		const text = await kubectl('describe', 'dv', name, '-n', namespace);
		return /Events:\s+<none>/.test(text) ? undefined : text;
	});
}

const hasReason =
	(type: 'Bound' | 'Running' | 'Ready', reason: string) =>
	(dataVolume: DataVolume): boolean =>
		reasonOf(dataVolume, type).reason === reason;

const hasFailed = ({status}: DataVolume) => status?.phase === 'Failed';

/** An import that ends in the phase Failed, with this sentence. */
async function expectFailedImport(wanted: Omit<Wanted, 'namespace' | 'name'>, sentence: RegExp): Promise<void> {
	const namespace = await makeNamespace('bad');
	const dataVolume = await createDataVolume({...wanted, namespace, name: 'disk'});
	expect(await describeDataVolume(dataVolume, hasFailed)).toMatch(sentence);
	const failed = await api.get(resources.dataVolumes, dataVolume.metadata);
	expect(failed.status?.phase).toBe('Failed');
	expect(reasonOf(failed, 'Running').reason).toBe('Error');
	expect(await controllerRestarts()).toEqual(restarts);
	await deleteWithoutTrace(dataVolume);
}

async function createRefused(dataVolume: DataVolume, ...more: string[]): Promise<string> {
	try {
		await run(context.kubectl, ['--kubeconfig', context.kubeconfig, 'create', '-f', '-', ...more], {
			input: JSON.stringify(dataVolume),
		});
	} catch (error) {
		return error instanceof Error ? error.message : String(error);
	}
	throw new Error('it was not refused');
}

describe.concurrent('imports that cannot succeed', () => {
	test('a URL that answers 404', () =>
		expectFailedImport(
			{source: httpSource('/missing.qcow2')},
			/SourceNotFound: GET http.*\/missing\.qcow2 answered 404: there is no such file\. Check the URL/,
		));

	test('a body that is no image but a web page', () =>
		expectFailedImport(
			{source: httpSource(images.page.path)},
			/InvalidImage: .*\/page\.html is no disk image but text.*may lead to a web page/,
		));

	test('a qcow2 with a backing file', () =>
		expectFailedImport(
			{source: httpSource(images.overlay.path)},
			/ImageNotStandalone: .*needs a backing file.*qemu-img convert -O qcow2/,
		));

	test('an image that is larger than the claim', () =>
		expectFailedImport(
			{source: httpSource(images.qcow2.path), size: '100Mi'},
			/ImageTooLarge: .*its disk has 268435456 bytes.*or 256Mi in spec\.storage/,
		));

	test('an image that is larger than the Block claim', () =>
		expectFailedImport(
			{source: httpSource(images.raw.path), size: '100Mi', volumeMode: 'Block'},
			/ImageTooLarge: .*its disk has 268435456 bytes.*Ask for at least 268435456 bytes/,
		));
});

describe.concurrent('DataVolumes that wait for somebody', () => {
	test('a source claim that does not exist: says so, and clones when it is there', async () => {
		const namespace = await makeNamespace('bad');
		const golden = {namespace, name: 'golden', source: httpSource(images.qcow2.path)};
		const clone = await createDataVolume({namespace, name: 'clone', source: pvcSource(makeDataVolume(golden))});
		const text = await describeDataVolume(clone, hasReason('Bound', 'CloneWithoutSource'));
		expect(text).toContain(`The source pvc ${namespace}/golden doesn't exist`);
		const created = await createDataVolume(golden);
		await waitForSucceeded(api, [created, clone]);
		expect(await digest(clone)).toBe(images.qcow2.rawSha256);
		await kubectl('delete', 'dv', 'golden', '-n', namespace);
		await deleteWithoutTrace(clone);
	});

	test('a source claim that never comes', async () => {
		const namespace = await makeNamespace('bad');
		const source = {pvc: {namespace: 'default', name: 'nowhere'}};
		const clone = await createDataVolume({namespace, name: 'clone', source});
		const text = await describeDataVolume(clone, hasReason('Bound', 'CloneWithoutSource'));
		expect(text).toContain("The source pvc default/nowhere doesn't exist");
		await deleteWithoutTrace(clone);
	});

	test('a storage class that does not exist: says which there are', async () => {
		const namespace = await makeNamespace('bad');
		const source = httpSource(images.qcow2.path);
		const dataVolume = await createDataVolume({namespace, name: 'disk', source, storageClass: 'no-such-class'});
		const text = await describeDataVolume(dataVolume, hasReason('Bound', 'ErrClaimNotValid'));
		expect(text).toContain('StorageClass "no-such-class" does not exist; the cluster has: ');
		if (context.storageClass) expect(text).toContain(context.storageClass);
		expect(await controllerRestarts()).toEqual(restarts);
		await deleteWithoutTrace(dataVolume);
	});

	test('a source that is not supported yet', async () => {
		const namespace = await makeNamespace('bad');
		const source = {s3: {url: 'https://bucket.example.com/disk.qcow2'}};
		const dataVolume = await createDataVolume({namespace, name: 'disk', source});
		const text = await describeDataVolume(dataVolume, hasReason('Bound', 'NotSupported'));
		expect(text).toContain('spec.source.s3 is not supported yet');
		await deleteWithoutTrace(dataVolume);
	});

	test('a quota that is exceeded: says by how much, and goes on when it is raised', async () => {
		const namespace = await makeNamespace('bad');
		await kubectl('create', 'quota', 'small', '-n', namespace, '--hard=requests.storage=100Mi');
		const dataVolume = await createDataVolume({namespace, name: 'disk', source: {blank: {}}, size: '150Mi'});
		const text = await describeDataVolume(dataVolume, hasReason('Bound', 'ErrExceededQuota'));
		expect(text).toMatch(/exceeded quota: small, requested: requests\.storage=.*limited: requests\.storage=100Mi/);
		const hard = JSON.stringify({spec: {hard: {'requests.storage': '1Gi'}}});
		await kubectl('patch', 'quota', 'small', '-n', namespace, '--type=merge', '-p', hard);
		await waitForSucceeded(api, [dataVolume]);
		await deleteWithoutTrace(dataVolume);
	});

	test('a claim of its name that somebody else made', async () => {
		const namespace = await makeNamespace('bad');
		const claim = await api.create(resources.persistentVolumeClaims, {
			apiVersion: 'v1',
			kind: 'PersistentVolumeClaim',
			metadata: {namespace, name: 'disk'},
			spec: {accessModes: ['ReadWriteOnce'], resources: {requests: {storage: '16Mi'}}},
		});
		const dataVolume = await createDataVolume({namespace, name: 'disk', source: httpSource(images.qcow2.path)});
		const text = await describeDataVolume(dataVolume, hasReason('Bound', 'ErrResourceExists'));
		expect(text).toContain(`PersistentVolumeClaim ${namespace}/disk exists already and is not of this DataVolume`);
		await kubectl('delete', 'dv', 'disk', '-n', namespace);
		const left = await api.find(resources.persistentVolumeClaims, claim.metadata);
		expect(left?.metadata.uid).toBe(claim.metadata.uid);
		expect(left?.metadata.deletionTimestamp).toBeUndefined();
		await api.delete(resources.persistentVolumeClaims, claim.metadata);
		await untilEmptyNamespace(namespace);
	});

	test('a clone that is smaller than its source', async () => {
		const namespace = await makeNamespace('bad');
		const golden = await createDataVolume({namespace, name: 'golden', source: {blank: {}}, size: '64Mi'});
		const clone = await createDataVolume({namespace, name: 'clone', source: pvcSource(golden), size: '32Mi'});
		await waitForSucceeded(api, [golden]);
		const text = await describeDataVolume(clone, hasReason('Bound', 'CloneValidationFailed'));
		expect(text).toContain('target resources requests storage size is smaller than the source');
		await kubectl('delete', 'dv', 'golden', '-n', namespace);
		await deleteWithoutTrace(clone);
	});

	test('a source that somebody writes to, where quiet is asked for: names the Pod, and clones when it has gone', async () => {
		const namespace = await makeNamespace('bad');
		const golden = await createDataVolume({namespace, name: 'golden', source: {blank: {}}, size: '32Mi'});
		await waitForSucceeded(api, [golden]);
		const script = 'sleep 600';
		const user = {namespace, claim: 'golden', image: context.workerImage, script, name: 'machine'};
		const machine = await startDiskPod(api, user);
		await waitForPod(api, machine, 'Running');
		const annotations = {'onesnap.io/consistency': 'quiet'};
		const clone = await createDataVolume({namespace, name: 'clone', source: pvcSource(golden), annotations});
		const text = await describeDataVolume(clone, hasReason('Bound', 'CloneSourceInUse'));
		expect(text).toContain(`pod ${namespace}/machine using PersistentVolumeClaim golden`);
		await removePod(api, machine);
		await waitForSucceeded(api, [clone]);
		await kubectl('delete', 'dv', 'golden', '-n', namespace);
		await deleteWithoutTrace(clone);
	});
});

describe('DataVolumes that are refused when they are made', () => {
	test('two sources', async () => {
		const namespace = await makeNamespace('bad');
		const source = {...httpSource(images.qcow2.path), blank: {}};
		const answer = await createRefused(makeDataVolume({namespace, name: 'disk', source}));
		expect(answer).toContain('Multiple Data volume sources');
		await untilEmptyNamespace(namespace);
	});

	test('a clone that its author may not make: says which permission is missing, and where', async () => {
		const [source, target] = [await makeNamespace('source'), await makeNamespace('target')];
		const user = `user-of-${target}`;
		await kubectl('create', 'rolebinding', 'edit', '-n', target, '--clusterrole=edit', `--user=${user}`);
		const golden = await createDataVolume({namespace: source, name: 'golden', source: {blank: {}}, size: '32Mi'});
		await waitForSucceeded(api, [golden]);
		const clone = makeDataVolume({namespace: target, name: 'clone', source: pvcSource(golden), size: '32Mi'});
		const answer = await createRefused(clone, `--as=${user}`);
		expect(answer).toContain(
			`User ${user} has insufficient permissions in clone source namespace ${source}: needs "create" on datavolumes/source (group cdi.kubevirt.io) there`,
		);
		expect(answer).toContain('cdi.kubevirt.io:clone-sourcer');
		await untilEmptyNamespace(target);
		const role = '--clusterrole=cdi.kubevirt.io:clone-sourcer';
		await kubectl('create', 'rolebinding', 'sourcer', '-n', source, role, `--user=${user}`);
		await until('the clone is allowed', async () => {
			const flags = ['--kubeconfig', context.kubeconfig, 'create', '-f', '-', `--as=${user}`];
			await run(context.kubectl, flags, {input: JSON.stringify(clone)});
			return true;
		});
		await waitForSucceeded(api, [clone]);
		await deleteWithoutTrace(clone);
	});
});
