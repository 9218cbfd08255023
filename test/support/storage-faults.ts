/**
 * Fault switches of the local cluster's storage, for tests: `await using faults = await setFaults(cluster, {...})` sets them
 * and takes them back at the end. See test/cluster/csi/faults.ts for what there is.
 *
 * Tests of different volumes work side by side: each owns the keys under `volumes` that it sets. `all` and `noListSnapshots`
 * are for one test at a time.
 */
import {randomUUID} from 'node:crypto';
import {readFile, rename, writeFile} from 'node:fs/promises';
import type {LocalCluster} from '../cluster/cluster.ts';
import {hasErrno} from '../cluster/csi/errors.ts';
import {type FaultSet, type FaultSettings, parseFaultSettings} from '../cluster/csi/faults.ts';
import {withFileLock} from '../cluster/file-lock.ts';

/** Of the driver with snapshots. */
const driver = 'reflink.csi.onesnap.io';
/** Asks for the driver's capabilities when it starts. */
const snapshotter = 'csi-snapshotter-reflink';

type Cluster = Pick<LocalCluster, 'faultFiles' | 'stopDaemon' | 'startDaemon'>;

export interface StorageFaults extends AsyncDisposable {
	/** In place of what was set with this object so far. The driver obeys from its next call on. */
	change(settings: FaultSettings): Promise<void>;
}

export async function setFaults(cluster: Cluster, settings: FaultSettings): Promise<StorageFaults> {
	let mine: FaultSettings = {};
	const change = async (wanted: FaultSettings) => {
		const next = withIds(wanted);
		await rewrite(cluster, (now) => merge(without(now, mine), next));
		const listingChanges = (mine.noListSnapshots ?? false) !== (next.noListSnapshots ?? false);
		mine = next;
		if (listingChanges) await restart(cluster, snapshotter);
	};
	await change(settings);
	return {change, [Symbol.asyncDispose]: () => change({})};
}

/** For the start of a run: what a run that was killed has left set. */
export async function clearFaults(cluster: Cluster): Promise<void> {
	let listed = true;
	await rewrite(cluster, (now) => {
		listed = now.noListSnapshots !== true;
		return {};
	});
	if (!listed) await restart(cluster, snapshotter);
}

async function restart(cluster: Cluster, daemon: string): Promise<void> {
	await cluster.stopDaemon(daemon);
	await cluster.startDaemon(daemon);
}

/** Each setting counts its calls anew, also when the same is set again. */
function withIds(settings: FaultSettings): FaultSettings {
	const each = (set: FaultSet): FaultSet => ({
		...set,
		...(set.fail && {fail: set.fail.map((entry) => ({id: randomUUID(), ...entry}))}),
		...(set.delay && {delay: set.delay.map((entry) => ({id: randomUUID(), ...entry}))}),
	});
	const {all, volumes} = settings;
	return {
		...settings,
		...(all && {all: each(all)}),
		...(volumes && {volumes: Object.fromEntries(Object.entries(volumes).map(([id, set]) => [id, each(set)]))}),
	};
}

function without({volumes = {}, ...now}: FaultSettings, mine: FaultSettings): FaultSettings {
	const others = Object.entries(volumes).filter(([id]) => mine.volumes?.[id] === undefined);
	return {
		...(mine.all === undefined && now.all && {all: now.all}),
		...(mine.noListSnapshots === undefined && now.noListSnapshots && {noListSnapshots: true}),
		volumes: Object.fromEntries(others),
	};
}

function merge(others: FaultSettings, mine: FaultSettings): FaultSettings {
	const taken = [
		...(others.all && mine.all ? ['all'] : []),
		...(others.noListSnapshots && mine.noListSnapshots ? ['noListSnapshots'] : []),
		...Object.keys(mine.volumes ?? {}).filter((id) => others.volumes?.[id] !== undefined),
	];
	if (taken.length > 0) throw new Error(`faults are set by another test already: ${taken.join(', ')}`);
	return {...others, ...mine, volumes: {...others.volumes, ...mine.volumes}};
}

/** Read, change and replace, with no one else in between; the driver sees the old file or the new one. */
async function rewrite(cluster: Cluster, change: (now: FaultSettings) => FaultSettings): Promise<void> {
	const file = cluster.faultFiles[driver];
	if (file === undefined) throw new Error(`the cluster has no driver ${driver}`);
	await withFileLock(`${file}.lock`, 'it changes fault switches', async () => {
		const settings = change(await readSettings(file));
		parseFaultSettings(JSON.stringify(settings));
		const temporary = `${file}.new`;
		await writeFile(temporary, `${JSON.stringify(settings, undefined, '\t')}\n`);
		await rename(temporary, file);
	});
}

async function readSettings(file: string): Promise<FaultSettings> {
	try {
		return parseFaultSettings(await readFile(file, 'utf8'));
	} catch (error) {
		if (hasErrno(error, 'ENOENT')) return {};
		throw error;
	}
}
