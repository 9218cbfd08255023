import {readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {z} from 'zod';
import {withFileLock} from './file-lock.ts';

/**
 * Settings of the whole machine that a kubelet changes and does not change back. The first cluster that starts after boot writes down
 * what they were, the last one that goes restores them.
 */
const settings = [
	'vm/overcommit_memory',
	'vm/panic_on_oom',
	'kernel/panic',
	'kernel/panic_on_oops',
	'kernel/keys/root_maxkeys',
	'kernel/keys/root_maxbytes',
];

const recordFile = '/run/onesnap-kernel-settings.json';
const lockFile = '/run/lock/onesnap-kernel-settings.lock';
const recordSchema = z.record(z.string(), z.string());

export async function recordKernelSettings(): Promise<void> {
	await withFileLock(lockFile, 'it records kernel settings', async () => {
		const record: Record<string, string> = {};
		for (const setting of settings) {
			const value = await readFile(`/proc/sys/${setting}`, 'utf8').catch(() => undefined);
			if (value !== undefined) record[setting] = value.trim();
		}
		// Exclusive: what an earlier cluster wrote down is older than its kubelet, what we see now may not be.
		await writeFile(recordFile, JSON.stringify(record), {flag: 'wx'}).catch((error: NodeJS.ErrnoException) => {
			if (error.code !== 'EEXIST') throw error;
		});
	});
}

/** To be called when the folders of the caller's cluster are gone; another cluster is seen by its runtime folder. */
export async function restoreKernelSettings(): Promise<void> {
	await withFileLock(lockFile, 'it restores kernel settings', async () => {
		if ((await readdir('/run')).some((name) => /^onesnap-[0-9a-f]{8}$/.test(name))) return;
		const text = await readFile(recordFile, 'utf8').catch(() => undefined);
		if (text === undefined) return;
		for (const [setting, value] of Object.entries(recordSchema.parse(JSON.parse(text)))) {
			// In a container they may be read-only; then the kubelet did not change them either.
			await writeFile(`/proc/sys/${setting}`, value).catch(() => {});
		}
		await rm(recordFile);
	});
}
