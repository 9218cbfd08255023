/**
 * Three ways to many disks with the content of one golden claim: by onesnap; as CDI goes, with a snapshot for each clone;
 * and bare restores of one snapshot, which is the least that any way has to do.
 */
import PQueue from 'p-queue';
import type {DataVolume, DataVolumeSource} from '../../src/api/datavolume.ts';
import type {PersistentVolumeClaim} from '../../src/api/kubernetes.ts';
import {annotations} from '../../src/api/names.ts';
import type {VolumeSnapshot} from '../../src/api/snapshot.ts';
import type {ObjectKey} from '../../src/kube/client.ts';
import * as resources from '../../src/kube/resources.ts';
import type {WatchedApi} from './watched-api.ts';

/** Enough at once that no way waits for the client that asks for it. */
const creates = 32;
export const snapshotClassName = 'reflink';

export interface Golden {
	readonly namespace: string;
	readonly name: string;
	readonly storageClassName: string;
	readonly size: string;
}

export interface Place {
	readonly namespace: string;
	readonly name: string;
}

export function makeDataVolume(
	{namespace, name}: Place,
	source: DataVolumeSource,
	{storageClassName, size}: Pick<Golden, 'storageClassName' | 'size'>,
): DataVolume {
	return {
		apiVersion: 'cdi.kubevirt.io/v1beta1',
		kind: 'DataVolume',
		metadata: {name, namespace},
		spec: {source, storage: {storageClassName, resources: {requests: {storage: size}}}},
	};
}

function makeSnapshot(golden: Golden, name: string): VolumeSnapshot {
	return {
		apiVersion: 'snapshot.storage.k8s.io/v1',
		kind: 'VolumeSnapshot',
		metadata: {name, namespace: golden.namespace},
		spec: {source: {persistentVolumeClaimName: golden.name}, volumeSnapshotClassName: snapshotClassName},
	};
}

function makeClaim({namespace, name}: Place, golden: Golden, storage: string, more: object): PersistentVolumeClaim {
	const {storageClassName} = golden;
	return {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata: {name, namespace},
		spec: {accessModes: ['ReadWriteOnce'], storageClassName, resources: {requests: {storage}}, ...more},
	};
}

const isBound = (claim: PersistentVolumeClaim | undefined) => claim?.status?.phase === 'Bound';
const isReady = (snapshot: VolumeSnapshot | undefined) => snapshot?.status?.readyToUse === true;
const restoredFrom = (name: string) => ({
	dataSource: {apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name},
});

async function cut({api, untilAll}: Bound, golden: Golden, name: string): Promise<VolumeSnapshot> {
	const {metadata} = await api.create(resources.volumeSnapshots, makeSnapshot(golden, name));
	const [snapshot] = await untilAll(resources.volumeSnapshots, [metadata], isReady);
	if (!snapshot) throw new Error(`snapshot ${name} went away`);
	return snapshot;
}

type Bound = {readonly api: WatchedApi['api']; readonly untilAll: WatchedApi['untilAll']};
const bind = (world: WatchedApi): Bound => ({api: world.api, untilAll: world.untilAll.bind(world)});

function sizeOf({status}: VolumeSnapshot, golden: Golden): string {
	return status?.restoreSize ?? golden.size;
}

/** All DataVolumes at once. Resolves to how many failed. */
export async function cloneByOnesnap(world: WatchedApi, golden: Golden, places: readonly Place[]): Promise<number> {
	const {api} = world;
	const {namespace, name} = golden;
	await new PQueue({concurrency: creates}).addAll(
		places.map(
			(place) => () => api.create(resources.dataVolumes, makeDataVolume(place, {pvc: {namespace, name}}, golden)),
		),
	);
	const ended = await world.untilAll(resources.dataVolumes, places, (dataVolume) =>
		['Succeeded', 'Failed'].includes(dataVolume?.status?.phase ?? ''),
	);
	return ended.filter(({status}) => status?.phase === 'Failed').length;
}

/** One snapshot, and claims of its namespace restored from it, so many at a time. */
export async function restoreBare(
	world: WatchedApi,
	golden: Golden,
	places: readonly Place[],
	{snapshotName, inFlight}: {readonly snapshotName: string; readonly inFlight: number},
): Promise<number> {
	const {api, untilAll} = bind(world);
	const snapshot = await cut({api, untilAll}, golden, snapshotName);
	await new PQueue({concurrency: inFlight}).addAll(
		places.map((place) => async () => {
			await api.create(
				resources.persistentVolumeClaims,
				makeClaim(place, golden, sizeOf(snapshot, golden), restoredFrom(snapshotName)),
			);
			await untilAll(resources.persistentVolumeClaims, [place], isBound);
		}),
	);
	return 0;
}

/**
 * A clone as CDI makes it, with no request more than that takes: a snapshot of its own, a claim restored from it in the
 * golden claim's namespace, whose volume is given to the target's claim; then both go.
 */
async function cloneByOwnSnapshot(world: WatchedApi, golden: Golden, place: Place): Promise<void> {
	const {api, untilAll} = bind(world);
	const temporary: ObjectKey & Place = {namespace: golden.namespace, name: `tmp-${place.namespace}-${place.name}`};
	const snapshot = await cut({api, untilAll}, golden, temporary.name);
	const claims = resources.persistentVolumeClaims;
	await api.create(claims, makeClaim(temporary, golden, sizeOf(snapshot, golden), restoredFrom(temporary.name)));
	const [restored] = await untilAll(claims, [temporary], isBound);
	const volumeName = restored?.spec.volumeName ?? '';
	const target = await api.create(claims, makeClaim(place, golden, sizeOf(snapshot, golden), {volumeName}));
	const {uid = '', resourceVersion = ''} = target.metadata;
	const claimRef = {apiVersion: 'v1', kind: 'PersistentVolumeClaim', ...place, uid, resourceVersion};
	await api.mergePatch(resources.persistentVolumes, {name: volumeName}, {spec: {claimRef}});
	await untilAll(claims, [place], isBound);
	await api.delete(claims, temporary);
	await api.delete(resources.volumeSnapshots, temporary);
}

export async function cloneByOwnSnapshots(
	world: WatchedApi,
	golden: Golden,
	places: readonly Place[],
	inFlight: number,
): Promise<number> {
	await new PQueue({concurrency: inFlight}).addAll(
		places.map((place) => () => cloneByOwnSnapshot(world, golden, place)),
	);
	return 0;
}

/** Declares what each way may count on: the content of the golden claim does not change. */
export const immutable = {[annotations.immutable]: 'true'};
