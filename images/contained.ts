import {type CommandOptions, run} from '../test/cluster/command.ts';

/**
 * Runs a command that mounts things (debootstrap, buildah) in mount and process namespaces of its own. When it ends, or when
 * this process ends in whatever way (SIGKILL too), the kernel takes its children and its mounts down: nothing is left to
 * unmount. Needs root.
 */
export function runContained(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
	const namespaces = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
	return run('setpriv', ['--pdeathsig', 'KILL', ...namespaces, command, ...args], options);
}
