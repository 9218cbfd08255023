import type {JournalResult} from './journal.ts';
import type {Snapshot, Volume} from './messages.ts';

/** What a journal line keeps of a request: everything but the fields csi.proto marks csi_secret, which are all called `secrets`. */
export function summarizeRequest(request: object): Readonly<Record<string, unknown>> {
	return Object.fromEntries(Object.entries(request).filter(([name]) => name !== 'secrets'));
}

/** The object a request names, whichever field has it. */
export function subjectOf(request: object): string | undefined {
	const {volume_id, snapshot_id, name} = request as {volume_id?: string; snapshot_id?: string; name?: string};
	return volume_id || snapshot_id || name || undefined;
}

type Response = {
	readonly volume?: Volume;
	readonly snapshot?: Snapshot;
	readonly capacity_bytes?: number;
	readonly entries?: readonly object[];
};

/** The figures and ids of a response, in one flat object; nothing for an empty response. */
export function summarizeResult(response: object): JournalResult | undefined {
	const {volume, snapshot, capacity_bytes: capacityBytes, entries} = response as Response;
	if (volume) return summarizeVolume(volume);
	if (snapshot) return summarizeSnapshot(snapshot);
	if (capacityBytes !== undefined) return {capacityBytes};
	if (entries) return {entries: entries.length};
	return undefined;
}

function summarizeVolume({volume_id, capacity_bytes, content_source: source}: Volume): JournalResult {
	const sourceVolumeId = source?.volume?.volume_id;
	const sourceSnapshotId = source?.snapshot?.snapshot_id;
	return {
		volumeId: volume_id,
		capacityBytes: capacity_bytes,
		...(sourceVolumeId !== undefined && {sourceVolumeId}),
		...(sourceSnapshotId !== undefined && {sourceSnapshotId}),
	};
}

function summarizeSnapshot(snapshot: Snapshot): JournalResult {
	return {
		snapshotId: snapshot.snapshot_id,
		sourceVolumeId: snapshot.source_volume_id,
		sizeBytes: snapshot.size_bytes,
		readyToUse: snapshot.ready_to_use,
	};
}
