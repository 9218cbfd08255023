import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readFile, statfs, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {run} from '../command.ts';
import {type Behaviours, discard, inNewWorld, mebibyte, readAt, writeAt} from './behaviour-world.ts';
import {faultBehaviours} from './fault-behaviours.ts';
import {readJournal} from './journal.ts';
import {loopsUnder} from './loop.ts';
import {block, filesystem} from './test-node.ts';
import {bytesStored} from './usage.ts';

/** What csi-sanity does not look at: contents, sharing, growth, crashes, faults. Needs root; run by the e2e suite, or alone. */

/** Every case has to leave its pool as empty as it found it. */
const behaviours: Behaviours = {
	'a snapshot has what a pod wrote before it, and nothing of what it wrote after': async ({node}) => {
		await node.createVolume('golden', {capability: filesystem(), sizeMiB: 64});
		const mount = await node.publish('golden', filesystem());
		await writeFile(path.join(mount, 'file'), 'before');
		await node.createSnapshot('snapshot', 'golden');
		await writeFile(path.join(mount, 'file'), 'after');
		await node.createVolume('clone', {capability: filesystem(), sizeMiB: 64, fromSnapshot: 'snapshot'});
		const cloned = await node.publish('clone', filesystem());
		assert.equal(await readFile(path.join(cloned, 'file'), 'utf8'), 'before');
		await discard(node, ['golden', 'clone'], ['snapshot']);
	},
	'a snapshot of a block volume has what is still in the page cache': async ({node}) => {
		await node.createVolume('golden', {capability: block, sizeMiB: 16});
		await writeAt(await node.publish('golden', block), 'before', 5 * mebibyte);
		await node.createSnapshot('snapshot', 'golden');
		await node.createVolume('clone', {capability: block, sizeMiB: 32, fromSnapshot: 'snapshot'});
		assert.equal(await readAt(await node.publish('clone', block), 6, 5 * mebibyte), 'before');
		await discard(node, ['golden', 'clone'], ['snapshot']);
	},
	'a volume cloned while it is written has what was written so far': async ({node}) => {
		await node.createVolume('golden', {capability: block, sizeMiB: 16});
		await writeAt(await node.publish('golden', block), 'before', mebibyte);
		await node.createVolume('clone', {capability: block, sizeMiB: 16, fromVolume: 'golden'});
		assert.equal(await readAt(await node.publish('clone', block), 6, mebibyte), 'before');
		await discard(node, ['golden', 'clone'], []);
	},
	'a larger restore has a larger file system': async ({node}) => {
		for (const [fsType, sizeMiB] of [
			['ext4', 64],
			['xfs', 400],
		] as const) {
			await node.createVolume('golden', {capability: filesystem(fsType), sizeMiB});
			await node.publish('golden', filesystem(fsType));
			await node.createSnapshot('snapshot', 'golden');
			const larger = {capability: filesystem(fsType), sizeMiB: sizeMiB * 2, fromSnapshot: 'snapshot'};
			assert.equal(await node.createVolume('clone', larger), sizeMiB * 2 * mebibyte);
			const mount = await node.publish('clone', filesystem(fsType));
			assert.ok((await sizeOfFilesystem(mount)) > sizeMiB * 1.5 * mebibyte, `${fsType} did not grow`);
			await discard(node, ['golden', 'clone'], ['snapshot']);
		}
	},
	'a clone smaller than its source is OUT_OF_RANGE': async ({node}) => {
		await node.createVolume('golden', {capability: block, sizeMiB: 32});
		await node.createSnapshot('snapshot', 'golden');
		const small = {capability: block, sizeMiB: 16};
		await assert.rejects(node.createVolume('clone', {...small, fromSnapshot: 'snapshot'}), /OUT_OF_RANGE/);
		await assert.rejects(node.createVolume('clone', {...small, fromVolume: 'golden'}), /OUT_OF_RANGE/);
		await discard(node, ['golden'], ['snapshot']);
	},
	'a volume in use grows: block and xfs at once, ext4 at its next stage where it cannot be now': async ({node}) => {
		await node.createVolume('raw', {capability: block, sizeMiB: 16});
		const device = await node.publish('raw', block);
		await node.expand('raw', 32);
		assert.equal(Number(await run('blockdev', ['--getsize64', device])), 32 * mebibyte);

		await node.createVolume('xfs', {capability: filesystem('xfs'), sizeMiB: 400});
		const mount = await node.publish('xfs', filesystem('xfs'));
		await node.expand('xfs', 800);
		assert.ok((await sizeOfFilesystem(mount)) > 600 * mebibyte);

		await node.createVolume('ext4', {capability: filesystem(), sizeMiB: 64});
		await node.publish('ext4', filesystem());
		await node.expand('ext4', 128).catch((error: unknown) => assert.match(String(error), /FAILED_PRECONDITION/));
		await node.unpublish('ext4');
		await node.unstage('ext4');
		assert.ok((await sizeOfFilesystem(await node.publish('ext4', filesystem()))) > 96 * mebibyte);
		await discard(node, ['raw', 'xfs', 'ext4'], []);
	},
	'clones hold only what was written to them': async ({node, scratch}) => {
		await node.createVolume('golden', {capability: block, sizeMiB: 64});
		await writeAt(await node.publish('golden', block), 'x'.repeat(8 * mebibyte), 0);
		await node.createSnapshot('snapshot', 'golden');
		const clones = Array.from({length: 10}, (_, index) => `clone-${index}`);
		const restore = {capability: block, sizeMiB: 64, fromSnapshot: 'snapshot'};
		await Promise.all(clones.map((clone) => node.createVolume(clone, restore)));
		const question = {pool: scratch.pool, volumes: clones, excludingVolumes: ['golden']};
		assert.equal(await bytesStored(question), 0);
		await writeAt(await node.publish('clone-3', block), 'y'.repeat(mebibyte), 2 * mebibyte);
		assert.equal(await bytesStored(question), mebibyte);
		await run('blkdiscard', ['--offset', '0', '--length', String(8 * mebibyte), await node.publish('clone-3', block)]);
		assert.equal(await bytesStored(question), 0);
		await discard(node, ['golden', ...clones], ['snapshot']);
	},
	'several pods share a staged volume, one of them reading only': async ({node}) => {
		await node.createVolume('shared', {capability: filesystem(), sizeMiB: 64});
		const writer = await node.publish('shared', filesystem(), 'writer');
		const reader = await node.publish('shared', filesystem(), 'reader', true);
		await writeFile(path.join(writer, 'file'), 'seen by both');
		assert.equal(await readFile(path.join(reader, 'file'), 'utf8'), 'seen by both');
		await assert.rejects(writeFile(path.join(reader, 'other'), ''), /EROFS/);
		await node.unpublish('shared', 'reader');
		await writeFile(path.join(writer, 'file'), 'still there');
		await node.unpublish('shared', 'writer');
		await discard(node, ['shared'], []);
	},
	'a file called like our device node survives unstaging': async ({node}) => {
		await node.createVolume('volume', {capability: filesystem(), sizeMiB: 64});
		await writeFile(path.join(await node.publish('volume', filesystem()), 'device'), '');
		await node.unpublish('volume');
		await node.unstage('volume');
		assert.equal(await readFile(path.join(await node.publish('volume', filesystem()), 'device'), 'utf8'), '');
		await discard(node, ['volume'], []);
	},
	'what is no file system of ours is never formatted': async ({node}) => {
		await node.createVolume('disk', {capability: block, sizeMiB: 16});
		const bootSector = Buffer.alloc(512);
		bootSector.set([0x80, 0, 2, 0, 0x83, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0], 446);
		bootSector.set([0x55, 0xaa], 510);
		await writeAt(await node.publish('disk', block), bootSector, 0);
		await node.unpublish('disk');
		await node.unstage('disk');
		await assert.rejects(node.publish('disk', filesystem()), /FAILED_PRECONDITION.*partition table/);
		await discard(node, ['disk'], []);
	},
	'a volume that another mount namespace keeps mounted is shown again, not mounted twice': async ({node, scratch}) => {
		await node.createVolume('volume', {capability: filesystem(), sizeMiB: 64});
		await writeFile(path.join(await node.publish('volume', filesystem()), 'file'), 'same');
		const other = spawn('unshare', ['--mount', 'sleep', '60'], {stdio: 'ignore'});
		try {
			await sleep(300);
			await node.unpublish('volume');
			await node.unstage('volume');
			assert.equal(await readFile(path.join(await node.publish('volume', filesystem()), 'file'), 'utf8'), 'same');
			assert.equal((await loopsUnder(`${scratch.pool}/`)).length, 1);
			await node.unpublish('volume');
			await node.unstage('volume');
		} finally {
			other.kill('SIGKILL');
			await once(other, 'exit');
		}
		for (let attempt = 0; attempt < 50 && (await loopsUnder(`${scratch.pool}/`)).length > 0; attempt++)
			await sleep(100);
		assert.deepEqual(await loopsUnder(`${scratch.pool}/`), [], 'detached when the other namespace has gone');
		await discard(node, ['volume'], []);
	},
	'a mounted volume cannot be deleted': async ({node}) => {
		await node.createVolume('volume', {capability: block, sizeMiB: 16});
		await node.publish('volume', block);
		await assert.rejects(node.deleteVolume('volume'), /FAILED_PRECONDITION/);
		await discard(node, ['volume'], []);
	},
	'of calls for one name at the same time, one works and the others are ABORTED': async ({node, journal}) => {
		const before = (await readJournal(journal)).length;
		const calls = Array.from({length: 8}, () => node.createVolume('volume', {capability: block, sizeMiB: 16}));
		for (const result of await Promise.allSettled(calls)) {
			if (result.status === 'rejected') assert.match(String(result.reason), /ABORTED/);
		}
		const made = (await readJournal(journal)).slice(before).filter(({code, repeated}) => code === 'OK' && !repeated);
		assert.equal(made.length, 1);
		await discard(node, ['volume'], []);
	},
	'a driver killed at any moment finishes the job when it is asked again': async ({node, crash}) => {
		const names = Array.from({length: 12}, (_, index) => `volume-${index}`);
		await node.createVolume('golden', {capability: filesystem(), sizeMiB: 64});
		await node.publish('golden', filesystem());
		const work = async (name: string) => {
			await node.createSnapshot(`snapshot-of-${name}`, 'golden');
			const restore = {capability: filesystem(), sizeMiB: 64, fromSnapshot: `snapshot-of-${name}`};
			await node.createVolume(name, restore);
			await node.publish(name, filesystem());
		};
		let interrupted = 0;
		for (const afterMs of [5, 25, 45, 70, 110, 180]) {
			const attempts = Promise.allSettled(names.map(work));
			await sleep(afterMs);
			await crash();
			interrupted += (await attempts).filter(({status}) => status === 'rejected').length;
		}
		assert.ok(interrupted > 0, 'no kill hit a call');
		// A call of the last round that reached the new driver may still be at work: everybody repeats on ABORTED.
		for (const name of names) await repeatedly(() => work(name));
		await discard(
			node,
			['golden', ...names],
			names.map((name) => `snapshot-of-${name}`),
		);
	},
};

async function repeatedly(work: () => Promise<void>): Promise<void> {
	const deadline = Date.now() + 30_000;
	for (;;) {
		try {
			return await work();
		} catch (error) {
			const isAborted = error instanceof Error && error.message.includes('ABORTED');
			if (!isAborted || Date.now() > deadline) throw error;
			await sleep(100);
		}
	}
}

export type BehaviourResult = {readonly passed: number; readonly failed: number; readonly output: string};

/** Runs all cases, each with a driver and a pool of its own, and says what each came to. */
export async function runBehaviours(): Promise<BehaviourResult> {
	const lines: string[] = [];
	let failed = 0;
	for (const [name, behaviour] of Object.entries({...behaviours, ...faultBehaviours})) {
		try {
			await inNewWorld(behaviour);
			lines.push(`ok      ${name}`);
		} catch (error) {
			failed++;
			lines.push(`FAILED  ${name}: ${error instanceof Error ? error.stack : String(error)}`);
		}
	}
	return {passed: lines.length - failed, failed, output: lines.join('\n')};
}

async function sizeOfFilesystem(mountPoint: string): Promise<number> {
	const {blocks, bsize} = await statfs(mountPoint);
	return blocks * bsize;
}

if (import.meta.main) {
	const {passed, failed, output} = await runBehaviours();
	console.log(output);
	console.log(`${passed} passed, ${failed} failed`);
	process.exitCode = failed === 0 ? 0 : 1;
}
