/**
 * Virtual machines whose disks onesnap makes. The double of KubeVirt's virt-controller does with DataVolumes and claims what
 * KubeVirt does; launchers are Pods that mount the disks, check that they are there, and stay.
 */
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {annotations} from '../../src/api/names.ts';
import type {Resource} from '../../src/kube/resources.ts';
import * as resources from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {type DataSource, dataSources, type VirtualMachine} from '../kubevirt/api.ts';
import type {Machines} from '../kubevirt/machines.ts';
import {restoreMachine, snapshotMachine} from '../kubevirt/restore-loop.ts';
import {reasonOf, waitForDataVolume, waitForSucceeded} from '../support/data-volumes.ts';
import {cutsOf, storedSnapshotsOf} from './journal.ts';
import {disk, type DiskWanted, type Kubevirt, letClone, startKubevirt} from './kubevirt-world.ts';
import {
	api,
	bindImmediate,
	claimOf,
	createDataVolume,
	digest,
	handleOf,
	httpSource,
	images,
	immutable,
	local,
	makeNamespace,
	makeStorageClass,
	pvcSource,
	read,
	write,
} from './world.ts';

let kubevirt: Kubevirt;
let machines: Machines;
let namespaces: Readonly<Record<'golden' | 'lab' | 'many' | 'denied' | 'quota', string>>;
let golden: DataVolume;
let lateClass: string;

const cutName = 'golden-2026-11';
const small = {source: {blank: {}}, size: '32Mi'};

async function makeDataSource(name: string, source: DataSource['spec']['source']): Promise<void> {
	await api.create(dataSources, {
		apiVersion: 'cdi.kubevirt.io/v1beta1',
		kind: 'DataSource',
		metadata: {namespace: namespaces.golden, name},
		spec: {source},
	});
}

beforeAll(async () => {
	const [started, ...made] = await Promise.all([
		startKubevirt(),
		...(['vm-golden', 'vm-lab', 'vm-many', 'vm-denied', 'vm-quota'] as const).map(makeNamespace),
	]);
	const [goldenNamespace = '', lab = '', many = '', denied = '', quota = ''] = made;
	kubevirt = started;
	({machines} = started);
	namespaces = {golden: goldenNamespace, lab, many, denied, quota};
	await letClone(goldenNamespace, lab);
	await letClone(goldenNamespace, many);
	lateClass =
		local?.storageClasses.waitForFirstConsumer ??
		(await makeStorageClass('vm-wffc', {volumeBindingMode: 'WaitForFirstConsumer'}));
	golden = await createDataVolume({
		namespace: goldenNamespace,
		name: 'golden',
		source: httpSource(images.qcow2.path),
		annotations: {...immutable, ...bindImmediate},
	});
	await makeDataSource('os-2026', {pvc: {namespace: goldenNamespace, name: 'golden'}});
	await makeDataSource('os', {dataSource: {namespace: goldenNamespace, name: 'os-2026'}});
	await waitForSucceeded(api, [golden]);
	await api.create(resources.volumeSnapshots, {
		apiVersion: 'snapshot.storage.k8s.io/v1',
		kind: 'VolumeSnapshot',
		metadata: {namespace: goldenNamespace, name: cutName},
		spec: {source: {persistentVolumeClaimName: 'golden'}},
	});
});

afterAll(async () => {
	await kubevirt.remove(Object.values(namespaces));
});

const of = (namespace: string, name: string) => ({metadata: {namespace, name}});
const diskOf = ({metadata: {namespace = '', name}}: Pick<KubeObject, 'metadata'>) => of(namespace, `${name}-root`);

const dataVolumeOf = (vm: Pick<KubeObject, 'metadata'>): Promise<DataVolume> =>
	api.get(resources.dataVolumes, diskOf(vm).metadata);

/** With the disk `NAME-root`. */
function create(name: string, wanted: DiskWanted, more: Partial<Parameters<Machines['create']>[0]> = {}) {
	return machines.create({namespace: namespaces.lab, name, templates: [disk(`${name}-root`, wanted)], ...more});
}

const hasFailure = ({status}: VirtualMachine) =>
	status?.conditions?.some(
		({type, status: is, reason}) => type === 'Failure' && is === 'True' && reason === 'FailedCreate',
	) === true;

async function untilEvent(vm: VirtualMachine, reason: string): Promise<void> {
	const {namespace, name} = vm.metadata;
	const fieldSelector = `involvedObject.kind=VirtualMachine,involvedObject.name=${name},reason=${reason}`;
	await until(`event ${reason} of VM ${name}`, async () =>
		(await api.list(resources.events, {namespace, fieldSelector})).items.length > 0 ? true : undefined,
	);
}

async function untilGone<T extends KubeObject>(resource: Resource<T>, {metadata}: Pick<KubeObject, 'metadata'>) {
	await until(`${resource.kind} ${metadata.name} gone`, async () =>
		(await api.find(resource, metadata)) ? undefined : true,
	);
}

const sources: Readonly<Record<string, {readonly wanted: () => DiskWanted; readonly hasImage: boolean}>> = {
	http: {wanted: () => ({source: httpSource(images.qcow2.path)}), hasImage: true},
	blank: {wanted: () => small, hasImage: false},
	pvc: {wanted: () => ({source: pvcSource(golden), size: undefined}), hasImage: true},
	snapshot: {
		wanted: () => ({source: {snapshot: {namespace: namespaces.golden, name: cutName}}, size: undefined}),
		hasImage: true,
	},
	sourceref: {wanted: () => ({dataSource: {namespace: namespaces.golden, name: 'os-2026'}}), hasImage: true},
	reference: {wanted: () => ({dataSource: {namespace: namespaces.golden, name: 'os'}}), hasImage: true},
};

// The longest first: they run a few at a time.
describe.concurrent('a VM', () => {
	test('of one template, 50 at once and all Halted, have disks that share one snapshot, and are Stopped', async () => {
		const namespace = namespaces.many;
		const numbers = Array.from({length: 50}, (_, index) => index);
		await Promise.all(
			numbers.map((number) =>
				create(`vm-${number}`, {source: pvcSource(golden), size: undefined}, {namespace, runStrategy: 'Halted'}),
			),
		);
		await until(
			'all disks are made',
			async () => {
				const {items} = await api.list(resources.dataVolumes, {namespace});
				const open = items.filter(({status}) => status?.phase !== 'Succeeded');
				if (items.length < 50 || open.length > 0)
					throw new Error(
						`of ${items.length}: ${open.map(({metadata, status}) => `${metadata.name} ${status?.phase}`).join(', ')}`,
					);
				return true;
			},
			{timeoutMs: 300_000, intervalMs: 500},
		);
		await Promise.all(numbers.map((number) => machines.untilStatus(of(namespace, `vm-${number}`), 'Stopped')));
	});

	test('KubeVirt §3 restore: goes back to a snapshot in place, and to new volumes', async () => {
		const vm = await create('saved', {source: pvcSource(golden), size: undefined});
		await machines.untilStatus(vm, 'Running');
		await write(diskOf(vm), 'before');
		await machines.stop(vm);
		await machines.untilStatus(vm, 'Stopped');
		const backups = await snapshotMachine(kubevirt.double, vm);
		await write(diskOf(vm), 'later!');
		const {uid} = (await claimOf(diskOf(vm))).metadata;
		await restoreMachine(kubevirt.double, vm, {backups, inPlace: true});
		await machines.start(vm);
		await machines.untilStatus(vm, 'Running');
		expect((await claimOf(diskOf(vm))).metadata.uid).not.toBe(uid);
		expect(await read(diskOf(vm), 6)).toBe('before');
		await write(diskOf(vm), 'again!');
		await machines.stop(vm);
		await restoreMachine(kubevirt.double, vm, {backups, inPlace: false});
		await machines.start(vm);
		await machines.untilStatus(vm, 'Running');
		const [volume] = (await machines.get(vm)).spec.template.spec.volumes ?? [];
		const restored = of(namespaces.lab, volume?.dataVolume?.name ?? '');
		expect(restored.metadata.name).toMatch(/^restore-/);
		expect(await read(restored, 6)).toBe('before');
		const dataVolume = await api.get(resources.dataVolumes, restored.metadata);
		expect(dataVolume.metadata.ownerReferences).toEqual([
			expect.objectContaining({kind: 'VirtualMachine', uid: vm.metadata.uid}),
		]);
		await untilGone(resources.dataVolumes, diskOf(vm));
		await untilGone(resources.persistentVolumeClaims, diskOf(vm));
		await machines.remove(vm);
		await untilGone(resources.persistentVolumeClaims, restored);
		for (const {snapshotName} of backups) {
			await api.delete(resources.volumeSnapshots, {namespace: namespaces.lab, name: snapshotName});
		}
	});

	test.each(Object.keys(sources))(
		'with a disk by %s is created, started, restarted, stopped and deleted',
		async (way) => {
			const {wanted, hasImage} = sources[way] ?? {wanted: () => small, hasImage: false};
			const vm = await create(way, wanted(), {runStrategy: 'Halted'});
			await machines.until(vm, 'has its disk, and is Stopped', async ({status}) => {
				const made = await api.find(resources.dataVolumes, diskOf(vm).metadata);
				return made?.status?.phase === 'Succeeded' && status?.printableStatus === 'Stopped';
			});
			await machines.start(vm);
			await machines.untilStatus(vm, 'Running');
			const instance = await machines.instanceOf(vm);
			expect(instance?.status?.conditions).toContainEqual(
				expect.objectContaining({type: 'DataVolumesReady', status: 'True', reason: 'AllDVsReady'}),
			);
			expect(instance?.status?.volumeStatus).toEqual([
				{name: `${way}-root`, claimName: `${way}-root`, filesystemOverhead: '0.06'},
			]);
			if (hasImage) expect(await digest(diskOf(vm))).toBe(images.qcow2.rawSha256);
			await machines.restart(vm);
			await machines.stop(vm);
			await machines.untilStatus(vm, 'Stopped');
			expect((await dataVolumeOf(vm)).status?.phase).toBe('Succeeded');
			await machines.remove(vm);
			await untilGone(resources.dataVolumes, diskOf(vm));
			await untilGone(resources.persistentVolumeClaims, diskOf(vm));
		},
	);

	test('KubeVirt §1.4 PendingPopulation: disks that wait for a consumer are made for the launcher itself', async () => {
		const templates = [
			disk('late-root', {source: httpSource(images.qcow2.path), storageClass: lateClass}),
			disk('late-data', {source: pvcSource(golden), size: undefined, storageClass: lateClass}),
		];
		const vm = await machines.create({namespace: namespaces.lab, name: 'late', templates, runStrategy: 'Halted'});
		for (const {metadata} of templates) {
			const waiting = of(namespaces.lab, metadata.name);
			await waitForDataVolume(api, waiting, ({status}) => status?.phase === 'PendingPopulation');
		}
		await machines.untilStatus(vm, 'Stopped');
		await machines.start(vm);
		await machines.untilStatus(vm, 'Running');
		expect(kubevirt.double.notes(`${namespaces.lab}/late createPod`)).toHaveLength(1);
		expect(kubevirt.double.notes(`${namespaces.lab}/late createPod temporary`)).toEqual([]);
		expect(await digest(diskOf(vm))).toBe(images.qcow2.rawSha256);
	});

	if (local) {
		const {notCsi} = local.storageClasses;

		test('KubeVirt §1.4 WaitForFirstConsumer: a Pod that only mounts binds the disk, the launcher comes when it is filled', async () => {
			const wanted = {source: httpSource(images.qcow2.path), storageClass: notCsi};
			const vm = await create('folder', wanted, {runStrategy: 'Halted'});
			await waitForDataVolume(api, diskOf(vm), ({status}) => status?.phase === 'WaitForFirstConsumer');
			await machines.untilStatus(vm, 'Stopped');
			await machines.start(vm);
			await machines.untilStatus(vm, 'Running');
			const pods = kubevirt.double.notes(`${namespaces.lab}/folder createPod`);
			expect(pods.map((note) => note.endsWith(' temporary'))).toEqual([true, false]);
			expect(await digest(diskOf(vm))).toBe(images.qcow2.rawSha256);
		});
	}

	test('with two templates, a clone and an empty disk, runs with both', async () => {
		const templates = [disk('two-root', {source: pvcSource(golden), size: undefined}), disk('two-data', small)];
		const vm = await machines.create({namespace: namespaces.lab, name: 'two', templates});
		await machines.untilStatus(vm, 'Running');
	});

	test('of a source that is not there yet waits, and runs when it is', async () => {
		const source = pvcSource(of(namespaces.lab, 'later'));
		const vm = await create('missing', {source, size: '32Mi'});
		await untilEvent(vm, 'SourcePVCNotAvailabe');
		const waiting = await waitForDataVolume(api, diskOf(vm), (dataVolume) => {
			expect(dataVolume.status?.phase).not.toBe('Failed');
			return reasonOf(dataVolume, 'Bound').reason === 'CloneWithoutSource';
		});
		expect(waiting.status?.phase).toBe('Pending');
		await machines.untilStatus(vm, 'Provisioning');
		await createDataVolume({namespace: namespaces.lab, name: 'later', ...small});
		await machines.untilStatus(vm, 'Running');
	});

	test('of a claim that is not there yet says so, and runs when it is', async () => {
		const vm = await machines.create({namespace: namespaces.lab, name: 'claimless', claims: ['by-hand']});
		await machines.untilStatus(vm, 'ErrorPvcNotFound');
		await createDataVolume({namespace: namespaces.lab, name: 'by-hand', ...small});
		await machines.untilStatus(vm, 'Running');
	});

	test('KubeVirt §1.4 Failed: of an image that is not there has a DataVolumeError, and can be stopped', async () => {
		const vm = await create('broken', {source: httpSource('/nothing.qcow2')});
		await machines.untilStatus(vm, 'DataVolumeError');
		await untilEvent(vm, 'FailedDataVolumeImport');
		await machines.stop(vm);
		await machines.untilStatus(vm, 'DataVolumeError');
		await machines.remove(vm);
		await untilGone(resources.dataVolumes, diskOf(vm));
	});

	test('of a disk by hand that fails is tried again, and runs when there is a better one', async () => {
		const bad = await createDataVolume({namespace: namespaces.lab, name: 'bad', source: httpSource('/nothing.qcow2')});
		const vm = await machines.create({namespace: namespaces.lab, name: 'retry', dataVolumes: ['bad']});
		await machines.untilStatus(vm, 'DataVolumeError');
		await machines.until(vm, 'waits between two starts', ({status}) => status?.startFailure !== undefined);
		await api.delete(resources.dataVolumes, bad.metadata);
		await untilGone(resources.persistentVolumeClaims, bad);
		await createDataVolume({namespace: namespaces.lab, name: 'bad', ...small});
		await machines.untilStatus(vm, 'Running');
		expect((await machines.get(vm)).status?.startFailure).toBeUndefined();
	});

	test('that is deleted while its disk is being made leaves nothing', async () => {
		const vm = await create('hasty', {source: httpSource(images.qcow2.path)});
		await waitForDataVolume(api, diskOf(vm), ({status}) => status?.phase?.startsWith('Import') === true);
		await machines.untilStatus(vm, 'Provisioning');
		await machines.remove(vm);
		await untilGone(resources.dataVolumes, diskOf(vm));
		await untilGone(resources.persistentVolumeClaims, diskOf(vm));
	});

	test('whose DataVolume somebody deletes gets another one', async () => {
		const vm = await create('again', small, {runStrategy: 'Halted'});
		await waitForDataVolume(api, diskOf(vm), ({status}) => status?.phase === 'Succeeded');
		const {metadata} = await dataVolumeOf(vm);
		await api.delete(resources.dataVolumes, metadata);
		await waitForDataVolume(
			api,
			diskOf(vm),
			(now) => now.metadata.uid !== metadata.uid && now.status?.phase === 'Succeeded',
		);
		await machines.untilStatus(vm, 'Stopped');
	});

	test('may not clone from a namespace where its service account has no right to, and may with it', async () => {
		const vm = await create('guest', {source: pvcSource(golden), size: undefined}, {namespace: namespaces.denied});
		await machines.until(vm, 'is denied', hasFailure);
		await untilEvent(vm, 'UnauthorizedDataVolumeCreate');
		expect(await api.find(resources.dataVolumes, diskOf(vm).metadata)).toBeUndefined();
		await letClone(namespaces.golden, namespaces.denied);
		await machines.untilStatus(vm, 'Running');
		expect(hasFailure(await machines.get(vm))).toBe(false);
	});

	test('KubeVirt §1.4 Pending with ErrExceededQuota: fails to be created until there is room for its disk', async () => {
		const namespace = namespaces.quota;
		const quotas: Resource<KubeObject & {readonly spec: object; readonly status?: {readonly hard?: object}}> = {
			...{group: '', version: 'v1', plural: 'resourcequotas', kind: 'ResourceQuota', namespaced: true},
		};
		const metadata = {namespace, name: 'disks'};
		const hard = {persistentvolumeclaims: '0'};
		await api.create(quotas, {apiVersion: 'v1', kind: 'ResourceQuota', metadata, spec: {hard}});
		await until('the quota counts', async () => ((await api.get(quotas, metadata)).status?.hard ? true : undefined));
		const vm = await create('large', small, {namespace});
		await machines.until(vm, 'fails for its quota', (now) => hasFailure(now));
		await machines.untilStatus(vm, 'DataVolumeError');
		expect(reasonOf(await dataVolumeOf(vm), 'Bound')).toMatchObject({
			reason: 'ErrExceededQuota',
			message: expect.stringContaining('exceeded quota'),
		});
		await api.mergePatch(quotas, metadata, {spec: {hard: {persistentvolumeclaims: '9'}}});
		await machines.untilStatus(vm, 'Running');
		expect(hasFailure(await machines.get(vm))).toBe(false);
	});

	test('KubeVirt §1.5 allowClaimAdoption: takes a claim over that was there before, with its content', async () => {
		const before = await createDataVolume({namespace: namespaces.lab, name: 'kept-root', ...small});
		await waitForSucceeded(api, [before]);
		await api.delete(resources.dataVolumes, before.metadata, {propagationPolicy: 'Orphan'});
		await untilGone(resources.dataVolumes, before);
		const claim = await until('the claim is nobody’s', async () => {
			const now = await claimOf(before);
			return now.metadata.ownerReferences?.length ? undefined : now;
		});
		const vm = await create('kept', {source: httpSource('/nothing.qcow2')});
		await machines.untilStatus(vm, 'Running');
		const adopted = await claimOf(before);
		expect(adopted.metadata.uid).toBe(claim.metadata.uid);
		const {metadata, status} = await dataVolumeOf(vm);
		expect(status?.phase).toBe('Succeeded');
		expect(adopted.metadata.ownerReferences).toEqual([
			expect.objectContaining({kind: 'DataVolume', uid: metadata.uid, controller: true}),
		]);
	});
});

test('all clones said that they share, and shared one snapshot', async () => {
	const shared = (await api.list(resources.sharedSnapshots)).items.filter(
		({spec}) => spec.source.namespace === namespaces.golden,
	);
	expect(shared.map(({spec}) => spec.source.name)).toEqual(['golden']);
	const {items} = await api.list(resources.dataVolumes, {namespace: namespaces.many});
	expect(items.map(({metadata}) => metadata.annotations?.[annotations.cloneType])).toEqual(items.map(() => 'snapshot'));
	if (!local) return;
	const handle = await handleOf(golden);
	// Of which one is the snapshot that the source of a VM names.
	expect(await cutsOf(handle)).toBe(2);
	expect(await storedSnapshotsOf(handle)).toHaveLength(2);
});

test('KubeVirt §1.4 Succeeded: is never left again', () => {
	expect(kubevirt.double.notes(' left Succeeded for ')).toEqual([]);
});

test('KubeVirt §3 restore in place: needs an annotation on every DataVolume that Succeeded', async () => {
	await until('all have one', async () => {
		const {items} = await api.list(resources.dataVolumes, {namespace: namespaces.lab});
		const bare = items.filter(
			({metadata, status}) => status?.phase === 'Succeeded' && Object.keys(metadata.annotations ?? {}).length === 0,
		);
		if (bare.length > 0) throw new Error(bare.map(({metadata}) => metadata.name).join(', '));
		return true;
	});
});

test('KubeVirt §1.4 readiness: every claim is controlled by its DataVolume', async () => {
	const {items} = await api.list(resources.dataVolumes, {namespace: namespaces.lab});
	const claims = (await api.list(resources.persistentVolumeClaims, {namespace: namespaces.lab})).items;
	const ofDataVolumes = claims.filter(({metadata}) => items.some((one) => one.metadata.name === metadata.name));
	expect(ofDataVolumes.length).toBeGreaterThan(0);
	for (const {metadata} of ofDataVolumes) {
		const uid = items.find((one) => one.metadata.name === metadata.name)?.metadata.uid;
		expect(metadata.ownerReferences?.filter(({controller}) => controller)).toEqual([
			expect.objectContaining({kind: 'DataVolume', uid}),
		]);
	}
});
