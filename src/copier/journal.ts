/**
 * What of a copy is on the target for good, so that the next try goes on from there instead of from nothing.
 *
 * It is believed only if it is of this very copy (`content`), and it is only written after the bytes it speaks of were
 * synced. Two slots are written in turns, each with a checksum: a write that a power cut tore leaves the other one.
 *
 * A Filesystem claim has it in a file beside disk.img. A Block claim has no room beside the disk, so it lies in the
 * last bytes of the device, which are written last: whoever finds the disk's own bytes there has a copy that was nearly
 * complete, takes them for no journal, and begins anew.
 */
import type {FileHandle} from 'node:fs/promises';

export interface JournalRecord {
	/** What is copied, and to where: see CopyTask.content. */
	readonly content: string;
	readonly sourceBytes: number;
	readonly targetBytes: number;
	/** Everything before this byte is on the target, synced. */
	readonly doneBytes: number;
	/** What was not written yet reads as zeros. */
	readonly targetIsZero: boolean;
	/** Checksum over everything before `doneBytes`, where the disk comes over the network. */
	readonly chain: string;
}

const slotBytes = 4096;
const slots = 2;
export const journalBytes = slots * slotBytes;
const magic = 'onesnap copy journal 1\n';
const digestBytes = 32;

function digestOf(text: Buffer): Buffer {
	// Most copies are over before anything is written down: what takes 10 ms to load is loaded for those that are not.
	const {createHash} = process.getBuiltinModule('node:crypto');
	return createHash('sha256').update(text).digest();
}

/** Magic, SHA-256 of the rest, sequence and record as JSON, zeros to the end of the slot. */
export function encodeSlot(record: JournalRecord, sequence: number): Buffer {
	const slot = Buffer.alloc(slotBytes);
	const body = Buffer.from(JSON.stringify({...record, sequence}));
	const start = magic.length + digestBytes + 4;
	if (start + body.length > slotBytes) throw new RangeError('the journal does not fit its slot');
	slot.write(magic, 0, 'latin1');
	slot.writeUInt32BE(body.length, magic.length + digestBytes);
	body.copy(slot, start);
	digestOf(slot.subarray(magic.length + digestBytes)).copy(slot, magic.length);
	return slot;
}

export function decodeSlot(slot: Buffer): (JournalRecord & {readonly sequence: number}) | undefined {
	if (slot.length < slotBytes || slot.toString('latin1', 0, magic.length) !== magic) return undefined;
	const rest = slot.subarray(magic.length + digestBytes, slotBytes);
	if (!digestOf(rest).equals(slot.subarray(magic.length, magic.length + digestBytes))) return undefined;
	// Written by this program: the checksum holds.
	return JSON.parse(rest.toString('utf8', 4, 4 + rest.readUInt32BE(0))) as JournalRecord & {sequence: number};
}

/** The newer of the two slots, or undefined where neither is whole. */
export async function readJournal(
	handle: FileHandle,
	position: number,
): Promise<(JournalRecord & {readonly sequence: number}) | undefined> {
	const bytes = Buffer.alloc(journalBytes);
	await handle.read(bytes, 0, journalBytes, position);
	const found = [0, 1].map((slot) => decodeSlot(bytes.subarray(slot * slotBytes, (slot + 1) * slotBytes)));
	return found.toSorted((a, b) => (b?.sequence ?? 0) - (a?.sequence ?? 0))[0];
}

export class JournalWriter {
	readonly #handle: FileHandle;
	readonly #position: number;
	#sequence: number;

	constructor(handle: FileHandle, {position, sequence}: {readonly position: number; readonly sequence: number}) {
		this.#handle = handle;
		this.#position = position;
		this.#sequence = sequence;
	}

	/** Durable when it resolves. */
	async write(record: JournalRecord): Promise<void> {
		this.#sequence++;
		const slot = encodeSlot(record, this.#sequence);
		await this.#handle.write(slot, 0, slot.length, this.#position + (this.#sequence % slots) * slotBytes);
		await this.#handle.datasync();
	}
}
