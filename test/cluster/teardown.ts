import {rmdir, unlink} from 'node:fs/promises';
import {cgroupFolders, removeCgroup} from './cgroups.ts';
import {run, tryRun} from './command.ts';
import {auditHost, clusterProcesses, describeHostUse} from './host-audit.ts';
import {restoreKernelSettings} from './kernel-settings.ts';
import {type Layout, ownFolders} from './layout.ts';
import {foreignMountsInside, loopDevicesInside, mountsInside} from './mounts.ts';
import {removeShimSockets, removeStrayFiles} from './stray-files.ts';
import {signal} from './supervisor.ts';
import {until} from './until.ts';

/**
 * Removes whatever the host holds for the cluster. It works from what the audit finds, not from what `up` remembers, so it does the same
 * after a crash, half-way through an `up`, after a reboot, or a second time.
 *
 * Nothing is asked to end politely: pods and data are thrown away as a whole.
 */
export async function tearDown(layout: Layout): Promise<void> {
	await killProcesses(layout);
	await releaseMounts(layout);
	await removeShimSockets(layout);
	await tryRun('ip', ['link', 'delete', layout.hostInterface]);
	await until('the cgroups are gone', async () => {
		await removeCgroup(layout.cgroup);
		return (await cgroupFolders(layout.cgroup)).length === 0 || undefined;
	});
	// The option is a second belt: releaseMounts has made sure that nothing is mounted there.
	await run('rm', ['-rf', '--one-file-system', ...ownFolders(layout)]);
	await removeStrayFiles(layout);
	await restoreKernelSettings();
	const left = describeHostUse(await auditHost(layout));
	if (left.length > 0) throw new Error(`the cluster could not be removed entirely:\n${left.join('\n')}`);
}

/** In rounds, as a dying program may just have started another. */
async function killProcesses(layout: Layout): Promise<void> {
	await until(
		'the processes of the cluster end',
		async () => {
			const processes = await clusterProcesses(layout);
			for (const {pid} of processes) signal(pid, 'SIGKILL');
			return processes.length === 0 ? true : undefined;
		},
		{timeoutMs: 30_000, intervalMs: 50},
	);
}

/**
 * Also in rounds: a volume's loop device comes free when its mount is gone, and the pool when its volumes' loop devices are.
 *
 * A mount point is removed as soon as nothing is mounted there: that makes the kernel detach copies of the mount in other namespaces
 * too. Programs that make themselves a mount namespace (buildah, sandboxes) have such copies, and would keep our loop devices busy.
 */
async function releaseMounts(layout: Layout): Promise<void> {
	const folders = ownFolders(layout);
	const mountPoints = new Set<string>((await foreignMountsInside(folders)).map(({mountPoint}) => mountPoint));
	await until(
		'mounts and loop devices of the cluster are released',
		async () => {
			let problem: unknown;
			for (const point of await mountsInside(folders)) {
				mountPoints.add(point);
				await run('umount', [point]).catch((error: unknown) => (problem = error));
			}
			for (const point of mountPoints) await removeMountPoint(point);
			for (const {device} of await loopDevicesInside(folders)) {
				await run('losetup', ['--detach', device]).catch((error: unknown) => (problem = error));
			}
			const isReleased = (await mountsInside(folders)).length === 0 && (await loopDevicesInside(folders)).length === 0;
			if (!isReleased && problem) throw problem;
			return isReleased || undefined;
		},
		{timeoutMs: 30_000, intervalMs: 50},
	);
}

/** Leaves it if it is still a mount point, or a folder with something in it. */
async function removeMountPoint(point: string): Promise<void> {
	await rmdir(point).catch(() => unlink(point).catch(() => {}));
}
