import {cgroupFolders} from './cgroups.ts';
import {tryRun} from './command.ts';
import {type Layout, ownFolders} from './layout.ts';
import {type ForeignMount, foreignMountsInside, type LoopDevice, loopDevicesInside, mountsInside} from './mounts.ts';
import {isCgroupMember, listProcesses, type Process} from './processes.ts';
import {strayFiles} from './stray-files.ts';
import {isMarked} from './supervisor.ts';
import {fileExists} from './file-exists.ts';

/** What the machine holds for one cluster, as the machine tells it: no state file is believed. */
export type HostUse = {
	readonly processes: readonly Process[];
	/** Mount points, the last mounted first. The network namespaces of the cluster and of its pods are among them. */
	readonly mounts: readonly string[];
	/** The same in mount namespaces that other programs made meanwhile. */
	readonly foreignMounts: readonly ForeignMount[];
	readonly loopDevices: readonly LoopDevice[];
	readonly interfaces: readonly string[];
	readonly iptablesRules: readonly string[];
	readonly cgroups: readonly string[];
	/** The cluster's folders, and what its programs leave in places that they share with others. */
	readonly files: readonly string[];
};

export async function auditHost(layout: Layout): Promise<HostUse> {
	const folders = ownFolders(layout);
	return {
		processes: await clusterProcesses(layout),
		mounts: await mountsInside(folders),
		foreignMounts: await foreignMountsInside(folders),
		loopDevices: await loopDevicesInside(folders),
		interfaces: (await fileExists(`/sys/class/net/${layout.hostInterface}`)) ? [layout.hostInterface] : [],
		iptablesRules: await iptablesRules(layout),
		cgroups: await cgroupFolders(layout.cgroup),
		files: [...(await existing(folders)), ...(await strayFiles(layout))],
	};
}

/** Our daemons and their children by their mark, processes in pods by their cgroup. */
export async function clusterProcesses(layout: Layout): Promise<Process[]> {
	return (await listProcesses()).filter(
		(process) => isMarked(process, layout) || isCgroupMember(process, layout.cgroup),
	);
}

/** One line per thing; nothing when the host holds nothing for the cluster. */
export function describeHostUse(use: HostUse): string[] {
	return [
		...use.processes.map(({pid, argv}) => `process ${pid}: ${argv.join(' ').slice(0, 120)}`),
		...use.mounts.map((point) => `mount ${point}`),
		...use.foreignMounts.map(({mountPoint, pid}) => `mount ${mountPoint} in the namespace of process ${pid}`),
		...use.loopDevices.map(({device, backingFile}) => `loop device ${device} on ${backingFile}`),
		...use.interfaces.map((name) => `network interface ${name}`),
		...use.iptablesRules.map((rule) => `iptables rule ${rule}`),
		...use.cgroups.map((folder) => `cgroup ${folder}`),
		...use.files.map((file) => `file ${file}`),
	];
}

async function iptablesRules(layout: Layout): Promise<string[]> {
	const rules = (await tryRun('iptables-save', [])) ?? '';
	return rules.split('\n').filter((rule) => rule.includes(layout.hostInterface) || rule.includes(layout.cniNetwork));
}

async function existing(files: readonly string[]): Promise<string[]> {
	const found: string[] = [];
	for (const file of files) if (await fileExists(file)) found.push(file);
	return found;
}
