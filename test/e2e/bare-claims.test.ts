/** Claims that no DataVolume makes: whoever makes one names what fills it, in this namespace or in another one. */
import {beforeAll, describe, expect, test} from 'vitest';
import type {PersistentVolumeClaim} from '../../src/api/kubernetes.ts';
import {annotations, cdiGroup, cdiVersion} from '../../src/api/names.ts';
import * as resources from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {waitForSucceeded} from '../support/data-volumes.ts';
import {
	api,
	bindImmediate,
	context,
	createDataVolume,
	digest,
	httpSource,
	images,
	makeNamespace,
	untilNoByproducts,
} from './world.ts';

let goldens: string;
let team: string;

beforeAll(async () => {
	[goldens, team] = await Promise.all([makeNamespace('golden'), makeNamespace('team')]);
	const golden = await createDataVolume({namespace: goldens, name: 'golden', source: httpSource(images.qcow2.path)});
	const source = {kind: 'PersistentVolumeClaim', name: 'golden'};
	await api.create(resources.volumeCloneSources, {
		...{apiVersion: cdiVersion, kind: 'VolumeCloneSource', metadata: {namespace: goldens, name: 'golden'}},
		spec: {source},
	});
	await api.create(resources.volumeImportSources, {
		...{apiVersion: cdiVersion, kind: 'VolumeImportSource', metadata: {namespace: team, name: 'web'}},
		spec: {source: httpSource(images.qcow2.path)},
	});
	await waitForSucceeded(api, [golden]);
	return () => Promise.all([untilNoByproducts(goldens), untilNoByproducts(team)]);
});

interface Bare {
	readonly namespace: string;
	readonly name: string;
	readonly from: {readonly kind: 'VolumeImportSource' | 'VolumeCloneSource'; readonly name: string};
	readonly elsewhere?: string;
}

async function makeBound({namespace, name, from, elsewhere}: Bare): Promise<PersistentVolumeClaim> {
	const where = elsewhere === undefined ? {} : {[annotations.dataSourceNamespace]: elsewhere};
	const {metadata} = await api.create(resources.persistentVolumeClaims, {
		...{apiVersion: 'v1', kind: 'PersistentVolumeClaim'},
		metadata: {namespace, name, annotations: {...bindImmediate, ...where}},
		spec: {
			accessModes: ['ReadWriteOnce'],
			...(context.storageClass !== undefined && {storageClassName: context.storageClass}),
			resources: {requests: {storage: '400Mi'}},
			dataSourceRef: {apiGroup: cdiGroup, ...from},
		},
	});
	return until(
		`${name} is bound`,
		async () => {
			const claim = await api.get(resources.persistentVolumeClaims, metadata);
			return claim.status?.phase === 'Bound' ? claim : undefined;
		},
		{timeoutMs: 180_000},
	);
}

describe.concurrent('CDI §4: a claim without a DataVolume', () => {
	test('is filled from a VolumeImportSource', async () => {
		const from = {kind: 'VolumeImportSource', name: 'web'} as const;
		expect(await digest(await makeBound({namespace: team, name: 'imported', from}))).toBe(images.qcow2.rawSha256);
	});

	const from = {kind: 'VolumeCloneSource', name: 'golden'} as const;

	test('is cloned by a VolumeCloneSource', async () => {
		expect(await digest(await makeBound({namespace: goldens, name: 'clone', from}))).toBe(images.qcow2.rawSha256);
	});

	test('is cloned by a VolumeCloneSource of another namespace', async () => {
		const claim = await makeBound({namespace: team, name: 'clone', from, elsewhere: goldens});
		expect(await digest(claim)).toBe(images.qcow2.rawSha256);
	});
});
