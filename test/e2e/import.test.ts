import {beforeAll, describe, expect, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import {importSourceName, importerPodName, primeClaimName} from '../../src/api/names.ts';
import * as resources from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {reasonOf, waitForDataVolume, waitForSucceeded} from '../support/data-volumes.ts';
import {startImageServer} from '../support/image-server.ts';
import {
	api,
	claimOf,
	context,
	createDataVolume,
	digest,
	httpSource,
	images,
	kubectl,
	makeDataVolume,
	makeNamespace,
	runOn,
	untilEvents,
	volumeOf,
} from './world.ts';

let namespace: string;

beforeAll(async () => {
	namespace = await makeNamespace('import');
});

const get = ({metadata}: DataVolume) => api.get(resources.dataVolumes, metadata);

describe.concurrent('an import', () => {
	test('of a qcow2 with spec.storage fills a Filesystem claim, and nothing but the claim stays', async () => {
		const source = httpSource(images.qcow2.path);
		const dataVolume = await createDataVolume({namespace, name: 'storage', source, size: '300Mi'});
		await kubectl('wait', '-n', namespace, '--for=condition=Ready', '--timeout=120s', 'dv/storage');
		const {status, metadata} = await get(dataVolume);
		expect(status).toMatchObject({phase: 'Succeeded', progress: '100.0%', claimName: 'storage'});
		expect(status?.conditions?.map(({type, status, reason, message}) => ({type, status, reason, message}))).toEqual(
			expect.arrayContaining([
				{type: 'Bound', status: 'True', reason: 'Bound', message: 'PVC storage Bound'},
				{type: 'Running', status: 'False', reason: 'Completed', message: 'Import Complete'},
				expect.objectContaining({type: 'Ready', status: 'True'}),
			]),
		);
		const claim = await claimOf(dataVolume);
		const uid = claim.metadata.uid ?? '';
		expect(claim).toMatchObject({
			spec: {accessModes: ['ReadWriteOnce'], volumeMode: 'Filesystem'},
			// 300 MiB of disk and what the file system needs for itself.
			status: {phase: 'Bound', capacity: {storage: '318Mi'}},
		});
		expect(claim.metadata.ownerReferences).toMatchObject([{kind: 'DataVolume', name: 'storage', uid: metadata.uid}]);
		expect((await volumeOf(dataVolume)).spec).toMatchObject({
			claimRef: {namespace, name: 'storage', uid},
			persistentVolumeReclaimPolicy: 'Delete',
		});
		await until('neither worker nor prime claim nor source object', async () => {
			const left = [
				await api.find(resources.pods, {namespace, name: importerPodName(uid)}),
				await api.find(resources.persistentVolumeClaims, {namespace, name: primeClaimName(uid)}),
				await api.find(resources.volumeImportSources, {namespace, name: importSourceName(metadata.uid ?? '')}),
			];
			return left.every((object) => object === undefined) ? true : undefined;
		});
		expect(await digest(dataVolume)).toBe(images.qcow2.rawSha256);
		const reasons = ['ImportScheduled', 'ImportInProgress', 'ImportSucceeded'];
		await untilEvents(dataVolume, ...reasons.map((reason) => ({type: 'Normal', reason})));
		const size = await runOn(dataVolume, 'stat -c %s "$DISK" > /dev/termination-log');
		expect(Number(size)).toBeGreaterThanOrEqual(images.qcow2.virtualBytes);
	});

	test('with spec.pvc takes the claim as it is written', async () => {
		const {apiVersion, kind} = makeDataVolume({namespace, name: 'pvc', source: {blank: {}}});
		const pvc: DataVolume['spec']['pvc'] = {
			accessModes: ['ReadWriteOnce'],
			resources: {requests: {storage: '320Mi'}},
			...(context.storageClass !== undefined && {storageClassName: context.storageClass}),
		};
		const dataVolume = await api.create(resources.dataVolumes, {
			apiVersion,
			kind,
			metadata: {namespace, name: 'pvc', labels: {team: 'a'}, annotations: {note: 'kept'}},
			spec: {source: httpSource(images.qcow2.path), pvc},
		});
		await waitForSucceeded(api, [dataVolume]);
		const claim = await claimOf(dataVolume);
		expect(claim.spec).toMatchObject({resources: {requests: {storage: '320Mi'}}, volumeMode: 'Filesystem'});
		expect(claim.metadata).toMatchObject({labels: {team: 'a'}, annotations: {note: 'kept'}});
		expect(await digest(dataVolume)).toBe(images.qcow2.rawSha256);
	});

	test('fills a Block claim, which is as large as the disk', async () => {
		const source = httpSource(images.qcow2.path);
		const dataVolume = await createDataVolume({namespace, name: 'block', source, volumeMode: 'Block', size: '300Mi'});
		await waitForSucceeded(api, [dataVolume]);
		expect((await claimOf(dataVolume)).status?.capacity).toEqual({storage: '300Mi'});
		expect(await digest(dataVolume)).toBe(images.qcow2.rawSha256);
	});

	test('of a raw image is its bytes', async () => {
		const dataVolume = await createDataVolume({namespace, name: 'raw', source: httpSource(images.raw.path)});
		await waitForSucceeded(api, [dataVolume]);
		expect(await digest(dataVolume)).toBe(images.raw.fileSha256);
	});

	test('of a blank disk is zeros, Filesystem and Block', async () => {
		const all = await Promise.all(
			(['Filesystem', 'Block'] as const).map((volumeMode) =>
				createDataVolume({
					namespace,
					name: `blank-${volumeMode.toLowerCase()}`,
					source: {blank: {}},
					volumeMode,
					size: '64Mi',
				}),
			),
		);
		await waitForSucceeded(api, all);
		const count = 'head -c 67108864 "$DISK" | tr -d "\\000" | wc -c > /dev/termination-log';
		expect(await Promise.all(all.map((dataVolume) => runOn(dataVolume, count)))).toEqual(['0', '0']);
	});

	test('with the right checksum succeeds', async () => {
		const url = `${context.serverUrl}${images.qcow2.path}`;
		const source = {http: {url, checksum: `sha256:${images.qcow2.fileSha256}`}};
		const dataVolume = await createDataVolume({namespace, name: 'checksum', source});
		await waitForSucceeded(api, [dataVolume]);
		expect(await digest(dataVolume)).toBe(images.qcow2.rawSha256);
	});

	test('with the wrong checksum fails, says both, and publishes nothing', async () => {
		const url = `${context.serverUrl}${images.qcow2.path}`;
		const wrong = '0'.repeat(64);
		const source = {http: {url, checksum: `sha256:${wrong}`}};
		const dataVolume = await createDataVolume({namespace, name: 'wrong-checksum', source});
		const failed = await waitForDataVolume(api, dataVolume, ({status}) => status?.phase === 'Failed');
		const {reason, message} = reasonOf(failed, 'Running');
		expect(reason).toBe('ChecksumError');
		expect(message).toContain(
			`have the sha256 checksum ${images.qcow2.fileSha256}, but the DataVolume asks for ${wrong}`,
		);
		expect((await claimOf(dataVolume)).status?.phase).toBe('Pending');
		await untilEvents(dataVolume, {type: 'Warning', reason: 'ChecksumError', message});
		await api.delete(resources.dataVolumes, dataVolume.metadata);
	});

	test('tells its progress, which grows to 100.0%, and reads the image once', async () => {
		await using server = await startImageServer({
			host: context.hostAddress,
			files: {'/slow.raw': images.raw.file},
			// Slow enough that the kubelet tells of the worker's address long before the end.
			behaviour: {bytesPerSecond: 2 * 1024 ** 2},
		});
		const source = {http: {url: `${server.url}/slow.raw`}};
		const dataVolume = await createDataVolume({namespace, name: 'slow', source});
		const seen: string[] = [];
		await waitForDataVolume(api, dataVolume, ({status}) => {
			const progress = status?.progress ?? '';
			if (progress && progress !== seen.at(-1)) seen.push(progress);
			return status?.phase === 'Succeeded';
		});
		expect(seen.at(-1)).toBe('100.0%');
		const percents = seen.filter((text) => text !== 'N/A').map((text) => Number(text.replace('%', '')));
		expect(percents.length).toBeGreaterThan(1);
		expect(percents).toEqual(percents.toSorted((a, b) => a - b));
		expect(server.bytesServed('/slow.raw')).toBeLessThan(1.02 * images.raw.fileBytes);
	});
});

test('kubectl get dv shows the columns that CDI shows', async () => {
	const dataVolume = await createDataVolume({namespace, name: 'columns', source: {blank: {}}, size: '16Mi'});
	await waitForSucceeded(api, [dataVolume]);
	const [header = '', row = ''] = (await kubectl('get', 'dv', 'columns', '-n', namespace)).split('\n');
	expect(header.trim().split(/\s+/)).toEqual(['NAME', 'PHASE', 'PROGRESS', 'RESTARTS', 'AGE']);
	expect(row).toMatch(/^columns\s+Succeeded\s+100\.0%\s+(\d+\s+)?\d+s\s*$/);
});
