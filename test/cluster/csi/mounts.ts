import {mkdir, readFile, realpath, rmdir, stat, unlink, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {run} from '../command.ts';
import {hasErrno} from './errors.ts';

/** A line of /proc/self/mountinfo, proc_pid_mountinfo(5). */
export type Mount = {
	readonly path: string;
	/** `major:minor` of the file system's device. */
	readonly deviceNumber: string;
	/** The part of the file system that is mounted: `/`, or what was bind-mounted. */
	readonly root: string;
	readonly fsType: string;
	readonly readOnly: boolean;
};

/** In the order of mounting: where two share a path, the later one hides the earlier. */
export function parseMountinfo(text: string): readonly Mount[] {
	return text
		.split('\n')
		.filter((line) => line !== '')
		.map((line) => {
			const [, , deviceNumber = '', root = '', mountPoint = '', options = '', ...rest] = line.split(' ');
			const fsType = rest[rest.indexOf('-') + 1] ?? '';
			return {
				path: unescapeOctal(mountPoint),
				deviceNumber,
				root: unescapeOctal(root),
				fsType,
				readOnly: options.split(',').includes('ro'),
			};
		});
}

/** The kernel writes blanks and backslashes as `\040`. */
function unescapeOctal(text: string): string {
	return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

async function readMounts(): Promise<readonly Mount[]> {
	return parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'));
}

/** What is mounted at the path, if anything. */
export async function mountAt(target: string): Promise<Mount | undefined> {
	const resolved = await resolveMountPoint(target);
	return (await readMounts()).findLast((mount) => mount.path === resolved);
}

/** Mount points are listed by their real paths; a caller's path may lead through a symbolic link. */
async function resolveMountPoint(target: string): Promise<string> {
	const parent = await realpath(path.dirname(target)).catch(() => path.dirname(target));
	return path.join(parent, path.basename(target));
}

/** Everything that keeps a block device in use by a mount: file systems on it, and bind mounts of its node in /dev. */
export async function mountsOfDevice(device: string): Promise<readonly Mount[]> {
	const {rdev} = await stat(device);
	// Device numbers below 2^20 minors, which holds for loop devices: glibc's encoding is major << 8 | minor there.
	const number = `${(rdev >> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >> 12) & 0xfff00)}`;
	const name = `/${path.basename(device)}`;
	return (await readMounts()).filter(
		(mount) => mount.deviceNumber === number || (mount.fsType === 'devtmpfs' && mount.root === name),
	);
}

/** Whether it is this device, or the file system on it, that is mounted at the path. */
export async function isMountOf(device: string, target: string): Promise<boolean> {
	const resolved = await resolveMountPoint(target);
	return (await mountsOfDevice(device)).some((mount) => mount.path === resolved);
}

export async function mountFilesystem(device: string, target: string, options: readonly string[]): Promise<void> {
	await mkdir(target, {recursive: true});
	await run('mount', [...(options.length > 0 ? ['-o', options.join(',')] : []), device, target]);
}

/** In the order of mounting. */
export async function mountsUnder(folder: string): Promise<readonly Mount[]> {
	return (await readMounts()).filter((mount) => mount.path.startsWith(`${folder}/`));
}

/** Makes a folder, or the node of a block device, appear at another path as well. */
export async function bindMount(source: string, target: string, readOnly: boolean): Promise<void> {
	await mkdir(path.dirname(target), {recursive: true});
	if ((await stat(source)).isDirectory()) await mkdir(target, {recursive: true});
	else await writeFile(target, '', {flag: 'a'});
	if (!(await mountAt(target))) await run('mount', ['--bind', source, target]);
	// The kernel takes `ro` of a bind mount only in a second step, which a repeated call makes up for after a crash between them.
	if (readOnly) await run('mount', ['-o', 'remount,bind,ro', target]);
}

/**
 * Unmounts whatever is at the path and removes the path itself, as CSI demands. Only the empty file or folder that was made to
 * mount on: anything more is somebody's data.
 */
export async function unmountAndRemove(target: string): Promise<void> {
	await unmount(target);
	try {
		const stats = await stat(target);
		if (stats.isDirectory()) await rmdir(target);
		else if (stats.isFile() && stats.size === 0) await unlink(target);
		else throw new Error(`${target} is not mounted, and not the empty file it was before; it is left alone`);
	} catch (error) {
		if (!hasErrno(error, 'ENOENT')) throw error;
	}
}

export async function unmount(target: string): Promise<void> {
	while (await mountAt(target)) await run('umount', [target]);
}
