import type {DataVolume} from '../api/datavolume.ts';
import * as resources from '../kube/resources.ts';
import {openCluster} from './cluster.ts';
import type {Command} from './command.ts';
import {connectionFlags} from './connection-flags.ts';
import {choice, duration, parseFlags, toggle, UsageError} from './flags.ts';
import {makeNewDisk, newDiskFlags} from './new-disk.ts';
import {printed} from './printed.ts';
import {exitCodes, type Terminal} from './terminal.ts';
import {waitFor} from './wait.ts';

const createFlags = {
	...newDiskFlags,
	wait: toggle({help: 'Wait until the disk is ready, with its progress'}),
	timeout: duration({help: 'Of --wait: give up after so long'}),
	output: choice({help: 'Print the object as this', short: 'o'}, ['yaml', 'json', 'name']),
	'dry-run': choice({help: 'Only print (client), or have the server check it without storing it (server)'}, [
		'none',
		'client',
		'server',
	]),
	...connectionFlags,
};

const dryRunWords = {none: '', client: ' (dry run)', server: ' (server dry run)'} as const;

function report(dataVolume: DataVolume, output: 'yaml' | 'json' | 'name' | undefined, words: string): string {
	if (output !== undefined) return printed(dataVolume, output);
	return `datavolume.cdi.kubevirt.io/${dataVolume.metadata.name} created${words}\n`;
}

async function run(args: readonly string[], terminal: Terminal) {
	const {values, positionals} = parseFlags(createFlags, args);
	const [name, ...more] = positionals;
	if (more.length > 0) throw new UsageError([`one name is enough: "${more.join(' ')}" is too many`]);
	const {'dry-run': dryRun = 'none', output, wait, timeout} = values;
	if (timeout !== undefined && !wait) throw new UsageError(['--timeout is of use with --wait only: add it']);
	if (wait && dryRun !== 'none') throw new UsageError(['--wait has nothing to wait for with --dry-run: leave one out']);
	using cluster = openCluster(values);
	const {api, namespace} = cluster;
	const wanted = makeNewDisk(name, namespace, values);
	if (dryRun === 'client') {
		terminal.out(report(wanted, output, dryRunWords.client));
		return exitCodes.done;
	}
	const options = {dryRun: dryRun === 'server', signal: terminal.signal};
	const created = await api.create(resources.dataVolumes, wanted, options);
	terminal.out(report(created, output, dryRunWords[dryRun]));
	if (!wait) return exitCodes.done;
	return waitFor({api, namespace, names: [created.metadata.name], timeoutMs: timeout, terminal});
}

export const create: Command = {
	usage:
		'NAME (--http URL | --pvc [NAMESPACE/]NAME | --snapshot [NAMESPACE/]NAME | --from DATASOURCE | --blank) [flags]',
	summary: 'Make a disk: import it, clone it, restore it or begin it empty',
	examples: [
		[
			'A golden disk from an image; its content never changes again',
			'debian --http https://images.example.com/debian.qcow2 --size 10Gi --annotation onesnap.io/immutable=true --wait',
		],
		['A clone of it', 'vm-1 --pvc golden/debian'],
		['What that would be', 'vm-1 --pvc golden/debian --dry-run=client -o yaml'],
	],
	flags: createFlags,
	positional: 'none',
	run,
};
