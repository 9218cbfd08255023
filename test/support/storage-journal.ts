/** What the storage did, in the words of its driver's journal. */
import type {JournalRecord} from '../cluster/csi/journal.ts';
import {readJournal} from '../cluster/csi/journal.ts';

/** Of all drivers, each in the order in which calls ended. */
export async function readJournals(journals: Readonly<Record<string, string>>): Promise<readonly JournalRecord[]> {
	return (await Promise.all(Object.values(journals).map(readJournal))).flat();
}

/** The call made something: a repeated one only says what an earlier one made. */
export const isNew = ({code, repeated}: JournalRecord): boolean => code === 'OK' && repeated !== true;

/** Calls that cut a snapshot, by the volume that was cut. */
export function cutsBySource(records: readonly JournalRecord[]): ReadonlyMap<string, number> {
	const cuts = new Map<string, number>();
	for (const record of records) {
		if (record.rpc !== 'CreateSnapshot' || !isNew(record)) continue;
		const source = record.result?.sourceVolumeId ?? '';
		cuts.set(source, (cuts.get(source) ?? 0) + 1);
	}
	return cuts;
}
