/** What csi-sanity does not look at: contents, sharing, growth, crashes. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readFile, statfs, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {expect, test} from 'vitest';
import {readJournal} from '../cluster/csi/journal.ts';
import {loopsUnder} from '../cluster/csi/loop.ts';
import {bytesStored} from '../cluster/csi/usage.ts';
import {run} from '../cluster/command.ts';
import {until} from '../cluster/until.ts';
import {block, filesystem} from './test-node.ts';
import {discard, mebibyte, onOneNode, readAt, repeatedly, writeAt} from './world.ts';

test.concurrent(
	'a snapshot has what a pod wrote before it, and nothing of what it wrote after',
	onOneNode(async ({node}) => {
		await node.createVolume('golden', {capability: filesystem(), sizeMiB: 64});
		const mount = await node.publish('golden', filesystem());
		await writeFile(path.join(mount, 'file'), 'before');
		await node.createSnapshot('snapshot', 'golden');
		await writeFile(path.join(mount, 'file'), 'after');
		await node.createVolume('clone', {capability: filesystem(), sizeMiB: 64, fromSnapshot: 'snapshot'});
		const cloned = await node.publish('clone', filesystem());
		expect(await readFile(path.join(cloned, 'file'), 'utf8')).toBe('before');
		await discard(node, ['golden', 'clone'], ['snapshot']);
	}),
);

test.concurrent(
	'a snapshot of a block volume has what is still in the page cache',
	onOneNode(async ({node}) => {
		await node.createVolume('golden', {capability: block, sizeMiB: 16});
		await writeAt(await node.publish('golden', block), 'before', 5 * mebibyte);
		await node.createSnapshot('snapshot', 'golden');
		await node.createVolume('clone', {capability: block, sizeMiB: 32, fromSnapshot: 'snapshot'});
		expect(await readAt(await node.publish('clone', block), 6, 5 * mebibyte)).toBe('before');
		await discard(node, ['golden', 'clone'], ['snapshot']);
	}),
);

test.concurrent(
	'a volume cloned while it is written has what was written so far',
	onOneNode(async ({node}) => {
		await node.createVolume('golden', {capability: block, sizeMiB: 16});
		await writeAt(await node.publish('golden', block), 'before', mebibyte);
		await node.createVolume('clone', {capability: block, sizeMiB: 16, fromVolume: 'golden'});
		expect(await readAt(await node.publish('clone', block), 6, mebibyte)).toBe('before');
		await discard(node, ['golden', 'clone']);
	}),
);

test.concurrent(
	'a larger restore has a larger file system',
	onOneNode(async ({node}) => {
		for (const [fsType, sizeMiB] of [
			['ext4', 64],
			['xfs', 400],
		] as const) {
			await node.createVolume('golden', {capability: filesystem(fsType), sizeMiB});
			await node.publish('golden', filesystem(fsType));
			await node.createSnapshot('snapshot', 'golden');
			const larger = {capability: filesystem(fsType), sizeMiB: sizeMiB * 2, fromSnapshot: 'snapshot'};
			expect(await node.createVolume('clone', larger)).toBe(sizeMiB * 2 * mebibyte);
			const mount = await node.publish('clone', filesystem(fsType));
			expect(await sizeOfFilesystem(mount)).toBeGreaterThan(sizeMiB * 1.5 * mebibyte);
			await discard(node, ['golden', 'clone'], ['snapshot']);
		}
	}),
);

test.concurrent(
	'a clone smaller than its source is OUT_OF_RANGE',
	onOneNode(async ({node}) => {
		await node.createVolume('golden', {capability: block, sizeMiB: 32});
		await node.createSnapshot('snapshot', 'golden');
		const small = {capability: block, sizeMiB: 16};
		await expect(node.createVolume('clone', {...small, fromSnapshot: 'snapshot'})).rejects.toThrow(/OUT_OF_RANGE/);
		await expect(node.createVolume('clone', {...small, fromVolume: 'golden'})).rejects.toThrow(/OUT_OF_RANGE/);
		await discard(node, ['golden'], ['snapshot']);
	}),
);

test.concurrent(
	'a volume in use grows: block and xfs at once, ext4 at its next stage where it cannot be now',
	onOneNode(async ({node}) => {
		await node.createVolume('raw', {capability: block, sizeMiB: 16});
		const device = await node.publish('raw', block);
		await node.expand('raw', 32);
		expect(Number(await run('blockdev', ['--getsize64', device]))).toBe(32 * mebibyte);

		await node.createVolume('xfs', {capability: filesystem('xfs'), sizeMiB: 400});
		const mount = await node.publish('xfs', filesystem('xfs'));
		await node.expand('xfs', 800);
		expect(await sizeOfFilesystem(mount)).toBeGreaterThan(600 * mebibyte);

		await node.createVolume('ext4', {capability: filesystem(), sizeMiB: 64});
		await node.publish('ext4', filesystem());
		await node.expand('ext4', 128).catch((error: unknown) => expect(String(error)).toMatch(/FAILED_PRECONDITION/));
		await node.unpublish('ext4');
		await node.unstage('ext4');
		expect(await sizeOfFilesystem(await node.publish('ext4', filesystem()))).toBeGreaterThan(96 * mebibyte);
		await discard(node, ['raw', 'xfs', 'ext4']);
	}),
);

test.concurrent(
	'clones hold only what was written to them',
	onOneNode(async ({node, scratch}) => {
		await node.createVolume('golden', {capability: block, sizeMiB: 64});
		await writeAt(await node.publish('golden', block), 'x'.repeat(8 * mebibyte), 0);
		await node.createSnapshot('snapshot', 'golden');
		const clones = Array.from({length: 10}, (_, index) => `clone-${index}`);
		const restore = {capability: block, sizeMiB: 64, fromSnapshot: 'snapshot'};
		await Promise.all(clones.map((clone) => node.createVolume(clone, restore)));
		const question = {pool: scratch.pool, volumes: clones, excludingVolumes: ['golden']};
		expect(await bytesStored(question)).toBe(0);
		await writeAt(await node.publish('clone-3', block), 'y'.repeat(mebibyte), 2 * mebibyte);
		expect(await bytesStored(question)).toBe(mebibyte);
		await run('blkdiscard', ['--offset', '0', '--length', String(8 * mebibyte), await node.publish('clone-3', block)]);
		expect(await bytesStored(question)).toBe(0);
		await discard(node, ['golden', ...clones], ['snapshot']);
	}),
);

test.concurrent(
	'several pods share a staged volume, one of them reading only',
	onOneNode(async ({node}) => {
		await node.createVolume('shared', {capability: filesystem(), sizeMiB: 64});
		const writer = await node.publish('shared', filesystem(), 'writer');
		const reader = await node.publish('shared', filesystem(), 'reader', true);
		await writeFile(path.join(writer, 'file'), 'seen by both');
		expect(await readFile(path.join(reader, 'file'), 'utf8')).toBe('seen by both');
		await expect(writeFile(path.join(reader, 'other'), '')).rejects.toThrow(/EROFS/);
		await node.unpublish('shared', 'reader');
		await writeFile(path.join(writer, 'file'), 'still there');
		await node.unpublish('shared', 'writer');
		await discard(node, ['shared']);
	}),
);

test.concurrent(
	'a file called like our device node survives unstaging',
	onOneNode(async ({node}) => {
		await node.createVolume('volume', {capability: filesystem(), sizeMiB: 64});
		await writeFile(path.join(await node.publish('volume', filesystem()), 'device'), '');
		await node.unpublish('volume');
		await node.unstage('volume');
		expect(await readFile(path.join(await node.publish('volume', filesystem()), 'device'), 'utf8')).toBe('');
		await discard(node, ['volume']);
	}),
);

test.concurrent(
	'what is no file system of ours is never formatted',
	onOneNode(async ({node}) => {
		await node.createVolume('disk', {capability: block, sizeMiB: 16});
		const bootSector = Buffer.alloc(512);
		bootSector.set([0x80, 0, 2, 0, 0x83, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0], 446);
		bootSector.set([0x55, 0xaa], 510);
		await writeAt(await node.publish('disk', block), bootSector, 0);
		await node.unpublish('disk');
		await node.unstage('disk');
		await expect(node.publish('disk', filesystem())).rejects.toThrow(/FAILED_PRECONDITION.*partition table/);
		await discard(node, ['disk']);
	}),
);

test.concurrent(
	'a mounted volume cannot be deleted',
	onOneNode(async ({node}) => {
		await node.createVolume('volume', {capability: block, sizeMiB: 16});
		await node.publish('volume', block);
		await expect(node.deleteVolume('volume')).rejects.toThrow(/FAILED_PRECONDITION/);
		await discard(node, ['volume']);
	}),
);

test.concurrent(
	'of calls for one name at the same time, one works and the others are ABORTED',
	onOneNode(async ({node, journal}) => {
		const before = (await readJournal(journal)).length;
		const calls = Array.from({length: 8}, () => node.createVolume('volume', {capability: block, sizeMiB: 16}));
		for (const result of await Promise.allSettled(calls)) {
			if (result.status === 'rejected') expect(String(result.reason)).toMatch(/ABORTED/);
		}
		const made = (await readJournal(journal)).slice(before).filter(({code, repeated}) => code === 'OK' && !repeated);
		expect(made.length).toBe(1);
		await discard(node, ['volume']);
	}),
);

test.concurrent(
	'a driver killed at any moment finishes the job when it is asked again',
	onOneNode(async ({node, crash}) => {
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
		expect(interrupted, 'calls that a kill hit').toBeGreaterThan(0);
		// A call of the last round that reached the new driver may still be at work: everybody repeats on ABORTED.
		for (const name of names) await repeatedly(() => work(name));
		await discard(
			node,
			['golden', ...names],
			names.map((name) => `snapshot-of-${name}`),
		);
	}),
);

// By itself: the other namespace would hold on to what is mounted in any other world too.
test(
	'a volume that another mount namespace keeps mounted is shown again, not mounted twice',
	onOneNode(async ({node, scratch}) => {
		await node.createVolume('volume', {capability: filesystem(), sizeMiB: 64});
		await writeFile(path.join(await node.publish('volume', filesystem()), 'file'), 'same');
		const other = spawn('unshare', ['--mount', 'sh', '-c', 'echo there; exec sleep 600'], {
			stdio: ['ignore', 'pipe', 'ignore'],
		});
		try {
			await once(other.stdout, 'data');
			await node.unpublish('volume');
			await node.unstage('volume');
			expect(await readFile(path.join(await node.publish('volume', filesystem()), 'file'), 'utf8')).toBe('same');
			expect((await loopsUnder(`${scratch.pool}/`)).length).toBe(1);
			await node.unpublish('volume');
			await node.unstage('volume');
		} finally {
			other.kill('SIGKILL');
			await once(other, 'exit');
		}
		await until('detached when the other namespace has gone', async () => {
			expect(await loopsUnder(`${scratch.pool}/`)).toEqual([]);
			return true;
		});
		await discard(node, ['volume']);
	}),
);

async function sizeOfFilesystem(mountPoint: string): Promise<number> {
	const {blocks, bsize} = await statfs(mountPoint);
	return blocks * bsize;
}
