/** What the storage did, read in the driver's own journal. Only the local cluster has one: ask only where `local` is set. */
import {type JournalRecord, liveObjects, readJournal} from '../cluster/csi/journal.ts';
import {local} from './world.ts';

async function records(): Promise<readonly JournalRecord[]> {
	if (!local) throw new Error('the storage of this cluster keeps no journal');
	return (await Promise.all(Object.values(local.journals).map(readJournal))).flat();
}

const isNew = ({code, repeated}: JournalRecord) => code === 'OK' && repeated !== true;

/** How many snapshots the storage has ever cut of this volume. */
export async function cutsOf(volumeHandle: string): Promise<number> {
	const cuts = (await records()).filter((record) => record.rpc === 'CreateSnapshot' && isNew(record));
	return cuts.filter(({result}) => result?.sourceVolumeId === volumeHandle).length;
}

/** Snapshots of this volume that the storage still has. */
export async function storedSnapshotsOf(volumeHandle: string): Promise<readonly string[]> {
	const {snapshots} = liveObjects(await records());
	return snapshots.filter(({sourceVolumeId}) => sourceVolumeId === volumeHandle).map(({snapshotId}) => snapshotId);
}

/** The call that made this volume. */
export async function birthOf(volumeHandle: string): Promise<JournalRecord | undefined> {
	return (await records()).find(
		(record) => record.rpc === 'CreateVolume' && isNew(record) && record.result?.volumeId === volumeHandle,
	);
}
