/** Three stories that the controller is killed in. Each can be told again and again in the same namespaces. */
import type {DataVolume} from '../../src/api/datavolume.ts';
import {annotations} from '../../src/api/names.ts';
import {assignmentOf} from '../../src/datavolume/requests.ts';
import * as resources from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {readCounter, startCounterWriter} from '../support/counter-writer.ts';
import {waitForSucceeded} from '../support/data-volumes.ts';
import {onDisk} from '../support/disk-pod.ts';
import {createBlockClaim, createDisk, type Disk} from '../support/small-disks.ts';
import {diskDigest, volumeImageOf} from '../support/volume-image.ts';
import type {CrashWorld} from './world.ts';

export interface Story {
	/** Asks for disks, and resolves when all of them are Succeeded. */
	tell(): Promise<void>;
	/** What the disks hold, by name: the same words in every run. */
	contents(): Promise<Readonly<Record<string, string>>>;
	/** What that must be. */
	readonly expected: Readonly<Record<string, string>>;
	/** CreateSnapshot calls per source, in any order. */
	readonly cuts: readonly number[];
	/** Deletes all that was asked for. */
	forget(): Promise<void>;
}

export interface Scenario {
	readonly name: string;
	/** Makes what all runs have in common; needs no controller. Disposed of at the end. */
	prepare(world: CrashWorld): Promise<Story & AsyncDisposable>;
}

/** Far more than a busy machine takes: a story that has not ended by then never will. */
const storyMs = 300_000;

const claimSource = (namespace: string, name: string) => ({pvc: {namespace, name}});

async function deleteDisks({api}: CrashWorld, disks: readonly DataVolume[]): Promise<void> {
	await Promise.all(disks.map(({metadata}) => api.delete(resources.dataVolumes, metadata)));
}

function digest({api, cluster}: CrashWorld, {metadata}: DataVolume, lengthBytes: number): Promise<string> {
	return volumeImageOf(api, cluster, metadata).then((image) => diskDigest(image, lengthBytes));
}

async function digests(
	world: CrashWorld,
	disks: readonly DataVolume[],
	lengthBytes: number,
): Promise<Record<string, string>> {
	const entries = disks.map(async (disk) => [disk.metadata.name, await digest(world, disk, lengthBytes)] as const);
	return Object.fromEntries(await Promise.all(entries));
}

const same = (names: readonly string[], what: string) => Object.fromEntries(names.map((name) => [name, what]));

/** A golden image that never changes is imported, and cloned into three namespaces from one snapshot. */
const importAndClones: Scenario = {
	name: 'import and clones',
	async prepare(world) {
		const {api, namespaces, image} = world;
		const names = ['golden-clone', 'a-clone', 'b-clone'];
		let disks: DataVolume[] = [];
		return {
			async tell() {
				const golden = await createDisk(world, {
					namespace: namespaces.golden,
					name: 'golden',
					source: {http: {url: image.url}},
					annotations: {[annotations.immutable]: 'true'},
				});
				disks = [golden];
				await waitForSucceeded(api, disks, storyMs);
				const source = claimSource(namespaces.golden, 'golden');
				const wanted = Object.values(namespaces).map((namespace, index) => ({
					namespace,
					name: names[index] ?? '',
					source,
				}));
				disks.push(...(await Promise.all(wanted.map((disk) => createDisk(world, disk)))));
				await waitForSucceeded(api, disks, storyMs);
			},
			contents: () => digests(world, disks, image.virtualBytes),
			expected: same(['golden', ...names], image.sha256),
			cuts: [1],
			forget: () => deleteDisks(world, disks),
			async [Symbol.asyncDispose]() {},
		};
	},
};

/** Two clones whose blocks cannot be shared: of another volume mode, copied from a snapshot; and of a class without any. */
const copies: Scenario = {
	name: 'fallback to copy',
	async prepare(world) {
		const {api, cluster, namespaces, workerImage, image} = world;
		const {snapshots, noSnapshots} = cluster.storageClasses;
		const script = 'head -c 3000000 /dev/urandom | dd of="$DISK" conv=notrunc,fsync bs=64k seek=16 status=none';
		const makeSource = async (name: string, storageClass: string) => {
			const key = {namespace: namespaces.golden, name};
			await createBlockClaim(world, key, storageClass);
			await onDisk(api, {namespace: key.namespace, claim: name, image: workerImage, script});
			return {key, digest: await diskDigest(await volumeImageOf(api, cluster, key), image.virtualBytes)};
		};
		const [shared, plain] = await Promise.all([makeSource('source', snapshots), makeSource('plain', noSnapshots)]);
		let disks: DataVolume[] = [];
		return {
			async tell() {
				const wanted: Disk[] = [
					{
						namespace: namespaces.a,
						name: 'other-mode',
						source: {pvc: shared.key},
						volumeMode: 'Filesystem',
						sizeMebibytes: 32,
					},
					{namespace: namespaces.golden, name: 'no-snapshots', source: {pvc: plain.key}},
				];
				disks = await Promise.all(wanted.map((disk) => createDisk(world, disk)));
				await waitForSucceeded(api, disks, storyMs);
				// Who has watched since before the cut would keep the snapshot, who was killed cannot. Now nobody may.
				await onDisk(api, {
					namespace: shared.key.namespace,
					claim: shared.key.name,
					image: workerImage,
					script: 'true',
				});
			},
			contents: () => digests(world, disks, image.virtualBytes),
			expected: {'other-mode': shared.digest, 'no-snapshots': plain.digest},
			cuts: [1],
			forget: () => deleteDisks(world, disks),
			async [Symbol.asyncDispose]() {
				for (const {key} of [shared, plain]) await api.delete(resources.persistentVolumeClaims, key);
			},
		};
	},
};

/** A disk that is being written is cloned, and cloned again as soon as nobody may join the first cut any more. */
const rotation: Scenario = {
	name: 'rotation of a busy source',
	async prepare(world) {
		const {api, cluster, namespaces, workerImage} = world;
		const source = {namespace: namespaces.golden, name: 'busy'};
		const claim = await createBlockClaim(world, source);
		const writer = await startCounterWriter(api, {namespace: source.namespace, claim: source.name, image: workerImage});
		let asked: {readonly disk: DataVolume; readonly durable: number}[] = [];
		const disks = () => asked.map(({disk}) => disk);
		const ask = async (namespace: string, name: string): Promise<DataVolume> => {
			const durable = await writer.durable();
			const disk = await createDisk(world, {namespace, name, source: claimSource(source.namespace, source.name)});
			asked.push({disk, durable});
			return disk;
		};
		const untilClosed = ({metadata}: DataVolume) =>
			until(
				`the snapshot of ${metadata.name} is closed`,
				async () => {
					const [name] = assignmentOf(await api.get(resources.dataVolumes, metadata))?.split('/', 1) ?? [];
					if (name === undefined) return undefined;
					const shared = await api.find(resources.sharedSnapshots, {name});
					return !shared || shared.spec.closed ? true : undefined;
				},
				{timeoutMs: storyMs, intervalMs: 50},
			);
		return {
			async tell() {
				asked = [];
				await untilClosed(await ask(namespaces.a, 'before'));
				await ask(namespaces.b, 'after');
				await waitForSucceeded(api, disks(), storyMs);
			},
			async contents() {
				const entries = asked.map(async ({disk: {metadata}, durable}) => {
					const shown = await readCounter(await volumeImageOf(api, cluster, metadata));
					return [metadata.name, shown >= durable ? 'fresh' : `stale: ${shown}, although ${durable} was durable`];
				});
				return Object.fromEntries(await Promise.all(entries)) as Record<string, string>;
			},
			expected: same(['before', 'after'], 'fresh'),
			cuts: [2],
			forget: () => deleteDisks(world, disks()),
			async [Symbol.asyncDispose]() {
				await writer[Symbol.asyncDispose]();
				await api.delete(resources.persistentVolumeClaims, claim.metadata);
			},
		};
	},
};

export const scenarios: readonly Scenario[] = [importAndClones, copies, rotation];
