/**
 * Deletion in any order: each thing that a clone rests on is deleted while its snapshot is cut, while it is restored, and
 * while a copy of it is made. Nobody who still needs it may lose anything, and nothing may be left that nobody needs: what
 * the storage and the API server still hold at the end of the run fails it (setup.ts).
 */
import {beforeAll, describe, expect, test} from 'vitest';
import {findCondition} from '../../src/api/conditions.ts';
import type {DataVolume} from '../../src/api/datavolume.ts';
import {annotations, copyClaimName} from '../../src/api/names.ts';
import type {SharedSnapshot} from '../../src/api/sharedsnapshot.ts';
import type {VolumeSnapshotClass} from '../../src/api/snapshot.ts';
import * as resources from '../../src/kube/resources.ts';
import {ensureLocalCluster, type LocalCluster} from '../cluster/cluster.ts';
import type {FaultSet} from '../cluster/csi/faults.ts';
import {until} from '../cluster/until.ts';
import {waitForDataVolume, waitForSucceeded} from '../support/data-volumes.ts';
import {setFaults} from '../support/storage-faults.ts';
import {storedSnapshotsOf} from './journal.ts';
import {
	api,
	createDataVolume,
	digest,
	handleOf,
	httpSource,
	images,
	immutable,
	kubectl,
	local,
	makeNamespace,
	makeStorageClass,
	pvcSource,
	sweptMs,
	untilEvents,
	untilNoByproducts,
} from './world.ts';

interface World {
	readonly golden: DataVolume;
	/** In the golden's namespace and in another one. */
	readonly own: DataVolume;
	readonly other: DataVolume;
	readonly storageClass: string;
}

const slowMs = 4000;
type Moment = 'its snapshot is cut' | 'they are restored' | 'they are copied';
const moments: Readonly<Record<Moment, FaultSet>> = {
	'its snapshot is cut': {cutMs: slowMs},
	'they are restored': {delay: [{method: 'CreateVolume', source: 'snapshot', ms: slowMs, times: 'always'}]},
	'they are copied': {delay: [{method: 'CreateVolume', source: 'snapshot', ms: 1000, times: 'always'}]},
};

const sharedOf = async ({golden}: World): Promise<SharedSnapshot | undefined> =>
	(await api.list(resources.sharedSnapshots)).items.find(
		({spec}) =>
			spec.source.namespace === golden.metadata.namespace && spec.source.name === golden.metadata.name && spec.closed,
	);

async function stripeOf(world: World) {
	const shared = await sharedOf(world);
	const {namespace} = world.golden.metadata;
	return shared && api.find(resources.volumeSnapshots, {namespace, name: `onesnap-${shared.metadata.uid}-0`});
}

const claimOf = ({metadata}: DataVolume) => api.find(resources.persistentVolumeClaims, metadata);

async function hasCome(moment: Moment, world: World): Promise<boolean> {
	switch (moment) {
		case 'its snapshot is cut':
			return (await stripeOf(world)) !== undefined;
		case 'they are restored':
			return (await claimOf(world.own)) !== undefined && (await claimOf(world.other)) !== undefined;
		case 'they are copied': {
			const target = await claimOf(world.other);
			const name = copyClaimName(target?.metadata.uid ?? '');
			return (await api.find(resources.persistentVolumeClaims, {...world.golden.metadata, name})) !== undefined;
		}
		default:
			return moment satisfies never;
	}
}

type Clone = 'own' | 'other';
/** What must become of a clone: its disk; or its disk unless it says that this is what it waits for; or it is gone as well. */
type End = 'disk' | 'gone' | RegExp;
/** Who looks first differs: the DataVolume, the claim that is filled, or the provisioner. */
const classGone = /ErrClaimNotValid|StorageClassMissing|ProvisioningFailed/;
const sourceGone = /CloneWithoutSource|CloneSourceNotReady|SourceObjectMissing|ProvisioningFailed/;

interface Deletion {
	readonly what: string;
	readonly remove: (world: World) => Promise<unknown>;
	readonly ends: Readonly<Record<Clone, End>>;
}

const deletions: readonly Deletion[] = [
	{
		what: 'the golden DataVolume',
		remove: ({golden}) => api.delete(resources.dataVolumes, golden.metadata),
		ends: {own: sourceGone, other: sourceGone},
	},
	{
		what: 'the golden claim',
		remove: ({golden}) => api.delete(resources.persistentVolumeClaims, golden.metadata),
		ends: {own: sourceGone, other: sourceGone},
	},
	{
		what: 'another clone',
		remove: ({own}) => api.delete(resources.dataVolumes, own.metadata),
		ends: {own: 'gone', other: 'disk'},
	},
	{
		what: "the other clone's namespace",
		remove: ({other}) => api.delete(resources.namespaces, {name: other.metadata.namespace ?? ''}),
		ends: {own: 'disk', other: 'gone'},
	},
	{
		what: "the golden image's namespace",
		remove: ({golden}) => api.delete(resources.namespaces, {name: golden.metadata.namespace ?? ''}),
		ends: {own: 'gone', other: sourceGone},
	},
	{
		what: 'the VolumeSnapshot',
		remove: async (world) => {
			const stripe = await stripeOf(world);
			return stripe && api.delete(resources.volumeSnapshots, stripe.metadata);
		},
		ends: {own: 'disk', other: 'disk'},
	},
	{
		what: 'the SharedSnapshot',
		remove: async (world) => {
			const shared = await sharedOf(world);
			return shared && kubectl('delete', 'shs', shared.metadata.name, '--wait=false');
		},
		ends: {own: 'disk', other: 'disk'},
	},
	{
		what: 'the StorageClass',
		remove: ({storageClass}) => api.delete(resources.storageClasses, {name: storageClass}),
		ends: {own: classGone, other: classGone},
	},
];

async function makeWorld(moment: Moment, base: DataVolume): Promise<World> {
	const storageClass = await makeStorageClass('deletions', {});
	const [here, there] = [await makeNamespace('golden'), await makeNamespace('team')];
	const make = (namespace: string, name: string, source: DataVolume, rest: object = {}) =>
		createDataVolume({namespace, name, source: pvcSource(source), storageClass, ...rest});
	const golden = await make(here, 'golden', base, {annotations: immutable});
	await waitForSucceeded(api, [golden]);
	return {golden, storageClass, ...(await clonesOf(moment, {golden, here, there, make}))};
}

async function clonesOf(
	moment: Moment,
	given: {
		readonly golden: DataVolume;
		readonly here: string;
		readonly there: string;
		readonly make: (namespace: string, name: string, source: DataVolume, rest?: object) => Promise<DataVolume>;
	},
): Promise<Pick<World, 'own' | 'other'>> {
	const {golden, here, there, make} = given;
	const faults = await setFaults(cluster, {volumes: {[await handleOf(golden)]: moments[moment]}});
	disposables.push(faults);
	const mode = moment === 'they are copied' ? {volumeMode: 'Block'} : {};
	const [own, other] = await Promise.all([make(here, 'own', golden, mode), make(there, 'other', golden, mode)]);
	return {own, other};
}

const disposables: AsyncDisposable[] = [];
let cluster: LocalCluster;

async function expectEnd(clone: DataVolume, end: End): Promise<void> {
	if (end === 'gone') {
		await until(
			`${clone.metadata.name} is gone`,
			async () => ((await api.find(resources.dataVolumes, clone.metadata)) ? undefined : true),
			{timeoutMs: 120_000},
		);
		return;
	}
	const now = await waitForDataVolume(api, clone, (dataVolume) => {
		if (dataVolume.status?.phase === 'Succeeded') return true;
		const reason = findCondition(dataVolume.status?.conditions, 'Bound')?.reason ?? '';
		return end !== 'disk' && end.test(reason);
	});
	if (now.status?.phase !== 'Succeeded') return;
	expect(await digest(clone)).toBe(images.qcow2.rawSha256);
}

if (local) {
	let base: DataVolume;
	beforeAll(async () => {
		cluster = await ensureLocalCluster();
		const namespace = await makeNamespace('base');
		const source = httpSource(images.qcow2.path);
		base = await createDataVolume({namespace, name: 'base', source, annotations: immutable});
		await waitForSucceeded(api, [base]);
		return async () => {
			for (const each of disposables) await each[Symbol.asyncDispose]();
		};
	});

	describe.each(Object.keys(moments) as Moment[])('deleted while %s:', (moment) => {
		describe.concurrent('at the same time', () => {
			test.each(deletions)('$what', async ({remove, ends}) => {
				const world = await makeWorld(moment, base);
				const handle = await handleOf(world.golden);
				await until(moment, async () => ((await hasCome(moment, world)) ? true : undefined), {intervalMs: 20});
				await remove(world);
				await Promise.all([expectEnd(world.own, ends.own), expectEnd(world.other, ends.other)]);
				await Promise.all(
					[world.own, world.other, world.golden].map(({metadata}) => api.delete(resources.dataVolumes, metadata)),
				);
				await untilNoByproducts(world.golden.metadata.namespace ?? '');
				await untilNoByproducts(world.other.metadata.namespace ?? '');
				await until(
					'the storage has no snapshot of the golden volume',
					async () => ((await storedSnapshotsOf(handle)).length === 0 ? true : undefined),
					{timeoutMs: sweptMs},
				);
			});
		});
	});

	describe('deleted while the VolumeSnapshotClass is needed:', () => {
		const names = {name: 'reflink'};
		async function without<T>(work: () => Promise<T>): Promise<T> {
			const {metadata, ...rest} = await api.get(resources.volumeSnapshotClasses, names);
			const again: VolumeSnapshotClass = {
				...rest,
				metadata: {...names, ...(metadata.annotations && {annotations: metadata.annotations})},
			};
			await api.delete(resources.volumeSnapshotClasses, names);
			try {
				return await work();
			} finally {
				await api.create(resources.volumeSnapshotClasses, again);
			}
		}

		test('clones are made all the same; one that comes now goes another way, and says why', async () => {
			const world = await makeWorld('its snapshot is cut', base);
			await until('the cut', async () => ((await stripeOf(world)) ? true : undefined), {intervalMs: 20});
			await without(async () => {
				await waitForSucceeded(api, [world.own, world.other]);
				const {namespace = ''} = world.golden.metadata;
				const late = await createDataVolume({
					...{namespace, name: 'late', source: httpSource(images.qcow2.path)},
					storageClass: world.storageClass,
				});
				await waitForSucceeded(api, [late]);
				const clone = await createDataVolume({
					...{namespace, name: 'late-clone', source: pvcSource(late)},
					storageClass: world.storageClass,
				});
				await waitForSucceeded(api, [clone]);
				await untilEvents(clone, {reason: 'NoVolumeSnapshotClass'});
				expect((await claimOf(clone))?.metadata.annotations?.[annotations.cloneType]).not.toBe('snapshot');
			});
			expect(await digest(world.other)).toBe(images.qcow2.rawSha256);
		});
	});
} else {
	test('deletions need the fault switches of the local storage', () => undefined);
}
