/**
 * The gate in front of Hyper-V's disk format: whether the image has a parent. That is said in the metadata, whose place is
 * said in the region table. Format: [MS-VHDX].
 */
import type {ReadAt} from './image-header.ts';
import {WorkerError} from '../worker-error.ts';

export const vhdxMagic = Buffer.from('vhdxfile');

const regionTableAt = 192 * 1024;
const tableBytes = 64 * 1024;
const entryBytes = 32;
const metadataRegion = Buffer.from('06a27c8b90479a4bb8fe575f050f886e', 'hex');
const fileParameters = Buffer.from('3767a1ca36fa434db3b633f0aa44e76b', 'hex');
const hasParentBit = 0b10;

/** What it does not find, qemu-img does not find either, and says so. */
export async function checkVhdxMetadata(read: ReadAt, shown: string): Promise<void> {
	const regions = await read(regionTableAt, tableBytes);
	const region = findEntry(regions, {signature: 'regi', countAt: 8, entriesAt: 16, id: metadataRegion});
	if (!region) return;
	const regionAt = Number(region.readBigUInt64LE(16));
	const metadata = await read(regionAt, tableBytes);
	const item = findEntry(metadata, {signature: 'metadata', countAt: 10, entriesAt: 32, id: fileParameters});
	if (!item) return;
	const parameters = await read(regionAt + item.readUInt32LE(16), 8);
	if (parameters.length < 8 || (parameters.readUInt32LE(4) & hasParentBit) === 0) return;
	throw new WorkerError(
		'ImageNotStandalone',
		`${shown} is a differencing vhdx image, which needs a parent that is never opened. Merge it into its parent (Hyper-V: Merge-VHD) and import that.`,
	);
}

function findEntry(
	table: Buffer,
	{signature, countAt, entriesAt, id}: {signature: string; countAt: number; entriesAt: number; id: Buffer},
): Buffer | undefined {
	if (table.length < tableBytes || table.toString('latin1', 0, signature.length) !== signature) return undefined;
	const count = Math.min(table.readUInt16LE(countAt), Math.floor((tableBytes - entriesAt) / entryBytes));
	for (let index = 0; index < count; index++) {
		const entry = table.subarray(entriesAt + index * entryBytes, entriesAt + (index + 1) * entryBytes);
		if (entry.subarray(0, id.length).equals(id)) return entry;
	}
	return undefined;
}
