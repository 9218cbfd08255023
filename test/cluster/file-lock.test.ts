import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {expect, it} from 'vitest';
import {withFileLock} from './file-lock.ts';

it('lets one in at a time, and the next one after a failure too', async () => {
	const dir = await mkdtemp(path.join(tmpdir(), 'onesnap-lock-'));
	const lock = path.join(dir, 'deep', 'lock');
	let inside = 0;
	let most = 0;
	const work = async () => {
		most = Math.max(most, ++inside);
		await sleep(5);
		inside--;
	};
	const failing = withFileLock(lock, 'the test', async () => {
		await work();
		throw new Error('broken');
	});
	const others = [1, 2, 3].map(() => withFileLock(lock, 'the test', work));
	await expect(failing).rejects.toThrow('broken');
	await Promise.all(others);
	expect(most).toBe(1);
	await rm(dir, {recursive: true});
});
