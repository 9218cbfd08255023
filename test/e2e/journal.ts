/** What the storage did, read in the driver's own journal. Only the local cluster has one: ask only where `local` is set. */
import {type JournalRecord, liveObjects} from '../cluster/csi/journal.ts';
import {cutsBySource, isNew, readJournals} from '../support/storage-journal.ts';
import {local} from './world.ts';

async function records(): Promise<readonly JournalRecord[]> {
	if (!local) throw new Error('the storage of this cluster keeps no journal');
	return readJournals(local.journals);
}

/** How many snapshots the storage has ever cut of this volume. */
export async function cutsOf(volumeHandle: string): Promise<number> {
	return cutsBySource(await records()).get(volumeHandle) ?? 0;
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
