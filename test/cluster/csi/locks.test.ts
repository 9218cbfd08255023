import {describe, expect, it} from 'vitest';
import {Locks} from './locks.ts';
import {lockInterceptor, locksOf} from './rpc-locks.ts';

const exclusive = (...keys: string[]) => ({exclusive: keys, shared: []});
const shared = (...keys: string[]) => ({exclusive: [], shared: keys});

function acquire(locks: Locks, set: Parameters<Locks['tryAcquire']>[0]): () => void {
	const release = locks.tryAcquire(set);
	if (typeof release !== 'function') throw new Error(`${release.busy} is busy`);
	return release;
}

describe('Locks', () => {
	it('keeps a second holder away until the first lets go', () => {
		const locks = new Locks();
		const release = acquire(locks, exclusive('a'));
		expect(locks.tryAcquire(exclusive('b', 'a'))).toEqual({busy: 'a'});
		expect(locks.tryAcquire(shared('a'))).toEqual({busy: 'a'});
		release();
		expect(locks.tryAcquire(exclusive('a'))).toBeTypeOf('function');
	});

	it('lets readers in together, and a writer when the last of them has left', () => {
		const locks = new Locks();
		const releases = [acquire(locks, shared('a')), acquire(locks, shared('a'))];
		releases[0]?.();
		expect(locks.tryAcquire(exclusive('a'))).toEqual({busy: 'a'});
		releases[1]?.();
		expect(locks.tryAcquire(exclusive('a'))).toBeTypeOf('function');
	});

	it('takes nothing when one key of many is busy', () => {
		const locks = new Locks();
		acquire(locks, exclusive('a'));
		locks.tryAcquire(exclusive('b', 'a'));
		expect(locks.tryAcquire(exclusive('b'))).toBeTypeOf('function');
	});
});

describe('locksOf', () => {
	const conflict = (a: Parameters<typeof locksOf>, b: Parameters<typeof locksOf>) => {
		const locks = new Locks();
		locks.tryAcquire(locksOf(...a));
		return typeof locks.tryAcquire(locksOf(...b)) !== 'function';
	};
	const restore = (name: string) => ({name, volume_content_source: {snapshot: {snapshot_id: 's'}}});

	it.each<[string, Parameters<typeof locksOf>, Parameters<typeof locksOf>, boolean]>([
		['two restores of one snapshot', ['CreateVolume', restore('a')], ['CreateVolume', restore('b')], false],
		['two creations of one volume', ['CreateVolume', {name: 'a'}], ['CreateVolume', {name: 'a'}], true],
		[
			'a restore and the deletion of its snapshot',
			['CreateVolume', restore('a')],
			['DeleteSnapshot', {snapshot_id: 's'}],
			true,
		],
		['creation and deletion of a volume', ['CreateVolume', {name: 'a'}], ['DeleteVolume', {volume_id: 'a'}], true],
		[
			'two snapshots of one volume',
			['CreateSnapshot', {name: 's', source_volume_id: 'a'}],
			['CreateSnapshot', {name: 't', source_volume_id: 'a'}],
			false,
		],
		[
			'a snapshot and the deletion of its volume',
			['CreateSnapshot', {name: 's', source_volume_id: 'a'}],
			['DeleteVolume', {volume_id: 'a'}],
			true,
		],
		[
			'a snapshot while the volume is staged',
			['NodeStageVolume', {volume_id: 'a'}],
			['CreateSnapshot', {name: 's', source_volume_id: 'a'}],
			false,
		],
		[
			'two pods of one volume',
			['NodePublishVolume', {volume_id: 'a', target_path: '/x'}],
			['NodePublishVolume', {volume_id: 'a', target_path: '/y'}],
			false,
		],
		[
			'publishing to a path that is being unpublished',
			['NodePublishVolume', {volume_id: 'a', target_path: '/x'}],
			['NodeUnpublishVolume', {volume_id: 'a', target_path: '/x'}],
			true,
		],
		[
			'unstaging while a pod is being published',
			['NodePublishVolume', {volume_id: 'a', target_path: '/x'}],
			['NodeUnstageVolume', {volume_id: 'a'}],
			true,
		],
		['lists', ['ListVolumes', {}], ['ListVolumes', {}], false],
	])('%s: in each other’s way %#', (_, a, b, expected) => expect(conflict(a, b)).toBe(expected));
});

describe('lockInterceptor', () => {
	const call = {service: 'csi.v1.Controller', rpc: 'DeleteVolume', request: {volume_id: 'a'}, notes: {}};

	it('answers ABORTED to a second call, and lets go also after a failure', async () => {
		const intercept = lockInterceptor(new Locks());
		const first = Promise.withResolvers<object>();
		const running = intercept(call, () => first.promise);
		await expect(intercept(call, async () => ({}))).rejects.toMatchObject({code: 'ABORTED'});
		first.reject(new Error('disk on fire'));
		await expect(running).rejects.toThrow('disk on fire');
		await expect(intercept(call, async () => ({}))).resolves.toEqual({});
	});
});
