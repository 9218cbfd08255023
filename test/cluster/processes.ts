import {readdir, readFile} from 'node:fs/promises';

export type Process = {
	readonly pid: number;
	readonly argv: readonly string[];
	readonly environment: ReadonlyMap<string, string>;
	/** The text of /proc/PID/cgroup. */
	readonly cgroups: string;
	/** When it began, in clock ticks since the machine booted. */
	readonly startTicks: number;
};

/** All processes of the machine whose environment we may read. Kernel threads and zombies have none and are left out. */
export async function listProcesses(): Promise<Process[]> {
	const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
	const processes = await Promise.all(pids.map(readProcess));
	return processes.filter((process) => process !== undefined);
}

async function readProcess(pid: number): Promise<Process | undefined> {
	try {
		const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'utf8');
		const [cmdline, environ, cgroups, stat] = await Promise.all(['cmdline', 'environ', 'cgroup', 'stat'].map(read));
		if (cmdline === undefined || environ === undefined || cgroups === undefined || stat === undefined) return undefined;
		if (cmdline === '') return undefined;
		return {
			pid,
			argv: splitZeroTerminated(cmdline),
			environment: parseEnvironment(environ),
			cgroups,
			startTicks: parseStartTicks(stat),
		};
	} catch {
		// It ended while we looked, or it is not ours to look at.
		return undefined;
	}
}

/** The 22nd field of /proc/PID/stat. The second is the program's name, in parentheses, and may hold anything. */
export function parseStartTicks(stat: string): number {
	return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
}

export function splitZeroTerminated(text: string): string[] {
	return text.replace(/\0$/, '').split('\0');
}

export function parseEnvironment(environ: string): Map<string, string> {
	return new Map(
		splitZeroTerminated(environ).map((entry) => {
			const equals = entry.indexOf('=');
			return equals < 0 ? [entry, ''] : [entry.slice(0, equals), entry.slice(equals + 1)];
		}),
	);
}

export function isCgroupMember(process: Process, cgroup: string): boolean {
	return process.cgroups.split('\n').some((line) => {
		const own = line.split(':').slice(2).join(':');
		return own === cgroup || own.startsWith(`${cgroup}/`);
	});
}
