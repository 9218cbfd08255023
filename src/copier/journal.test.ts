import fc from 'fast-check';
import {mkdtemp, open, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterEach, beforeEach, expect, test} from 'vitest';
import {decodeSlot, encodeSlot, journalBytes, type JournalRecord, JournalWriter, readJournal} from './journal.ts';

const record = (doneBytes: number): JournalRecord => ({
	content: 'source-uid/target-uid',
	sourceBytes: 1000,
	targetBytes: 2000,
	doneBytes,
	targetIsZero: true,
	chain: 'ab',
});

let folder = '';
beforeEach(async () => {
	folder = await mkdtemp(path.join(tmpdir(), 'onesnap-journal-'));
});
afterEach(() => rm(folder, {recursive: true}));

test('the newest record is read, wherever it lies', async () => {
	await using handle = await open(path.join(folder, 'journal'), 'w+');
	expect(await readJournal(handle, 0)).toBeUndefined();
	const writer = new JournalWriter(handle, {position: 512, sequence: 0});
	for (const done of [1, 2, 3]) {
		await writer.write(record(done));
		expect(await readJournal(handle, 512)).toMatchObject(record(done));
	}
	// The next try goes on counting: what it writes is newer.
	await new JournalWriter(handle, {position: 512, sequence: 3}).write(record(4));
	expect(await readJournal(handle, 512)).toMatchObject({doneBytes: 4, sequence: 4});
});

test('a write that was torn anywhere leaves the record before it', async () => {
	await using handle = await open(path.join(folder, 'journal'), 'w+');
	const writer = new JournalWriter(handle, {position: 0, sequence: 0});
	await writer.write(record(1));
	const older = Buffer.alloc(journalBytes);
	await handle.read(older, 0, journalBytes, 0);
	await writer.write(record(2));
	const newer = Buffer.alloc(journalBytes);
	await handle.read(newer, 0, journalBytes, 0);
	for (const torn of [1, 10, 60, 100, 150]) {
		await handle.write(Buffer.concat([newer.subarray(0, torn), older.subarray(torn)]), 0, journalBytes, 0);
		expect(await readJournal(handle, 0)).toMatchObject({doneBytes: 1});
	}
});

test('a slot with any bit changed is none', () => {
	const slot = encodeSlot(record(7), 5);
	expect(decodeSlot(slot)).toEqual({...record(7), sequence: 5});
	fc.assert(
		fc.property(fc.integer({min: 0, max: slot.length * 8 - 1}), (bit) => {
			const changed = Buffer.from(slot);
			changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
			expect(decodeSlot(changed)).toBeUndefined();
		}),
	);
});

test.each([Buffer.alloc(4096), Buffer.alloc(10), Buffer.alloc(4096, 255)])('a disk is no journal', (bytes) => {
	expect(decodeSlot(bytes)).toBeUndefined();
});
