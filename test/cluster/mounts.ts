import {readdir, readFile, readlink} from 'node:fs/promises';
import {isInside} from './layout.ts';

/** Mount points inside any of the folders, the last mounted first: the order in which they come off. */
export async function mountsInside(folders: readonly string[], pid: number | 'self' = 'self'): Promise<string[]> {
	const mountPoints = parseMountInfo(await readFile(`/proc/${pid}/mountinfo`, 'utf8'));
	return mountPoints.filter((point) => folders.some((folder) => isInside(point, folder))).toReversed();
}

export type ForeignMount = {
	readonly mountPoint: string;
	/** A process in the mount namespace that has it. */
	readonly pid: number;
};

/**
 * Mounts inside the folders in other mount namespaces than ours. A program that makes itself a namespace (buildah, a sandbox) gets a copy
 * of every mount there is, ours too, and keeps file systems and loop devices busy until it ends.
 */
export async function foreignMountsInside(folders: readonly string[]): Promise<ForeignMount[]> {
	const namespaceOf = (pid: string) => readlink(`/proc/${pid}/ns/mnt`).catch(() => undefined);
	const seen = new Set([await namespaceOf('self'), undefined]);
	const found: ForeignMount[] = [];
	for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
		const namespace = await namespaceOf(pid);
		if (seen.has(namespace)) continue;
		const mountPoints = await mountsInside(folders, Number(pid)).catch(() => []);
		// A process in a chroot sees none of them; another one in its namespace may.
		if (mountPoints.length === 0) continue;
		seen.add(namespace);
		found.push(...mountPoints.map((mountPoint) => ({mountPoint, pid: Number(pid)})));
	}
	return found;
}

export function parseMountInfo(text: string): string[] {
	return text
		.trim()
		.split('\n')
		.map((line) => line.split(' ')[4] ?? '')
		.map((point) => point.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))));
}

export type LoopDevice = {
	readonly device: string;
	readonly backingFile: string;
};

/** Loop devices whose file lies (or lay, when it is deleted) inside any of the folders. */
export async function loopDevicesInside(folders: readonly string[]): Promise<LoopDevice[]> {
	const found: LoopDevice[] = [];
	for (const name of await readdir('/sys/block')) {
		if (!name.startsWith('loop')) continue;
		const text = await readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').catch(() => undefined);
		const backingFile = text?.trim().replace(/ \(deleted\)$/, '');
		if (backingFile && folders.some((folder) => isInside(backingFile, folder))) {
			found.push({device: `/dev/${name}`, backingFile});
		}
	}
	return found;
}
