import type {DataVolume} from '../api/datavolume.ts';
import {openCluster} from './cluster.ts';
import type {Command} from './command.ts';
import {connectionFlags} from './connection-flags.ts';
import {parseFlags, toggle, UsageError} from './flags.ts';
import {follow} from './follow.ts';
import {age, table, widthsOf} from './printed.ts';
import {askedSizeOf, heldUpBy, sourceOf, wayOf} from './state.ts';
import {exitCodes, type Terminal} from './terminal.ts';

const listFlags = {
	'all-namespaces': toggle({help: 'Of all namespaces', short: 'A'}),
	watch: toggle({help: 'Go on, with a line for every change', short: 'w'}),
	...connectionFlags,
};

const head = ['NAME', 'PHASE', 'PROGRESS', 'MADE BY', 'SIZE', 'SOURCE', 'AGE', 'REASON'];

/** Cells in the order of {@link head}. */
export function rowOf(dataVolume: DataVolume, nowMs: number): string[] {
	const {metadata, status} = dataVolume;
	return [
		metadata.name,
		status?.phase || '-',
		status?.progress ?? '-',
		wayOf(dataVolume),
		askedSizeOf(dataVolume),
		sourceOf(dataVolume),
		age(nowMs - Date.parse(metadata.creationTimestamp ?? '')),
		heldUpBy(dataVolume)?.reason ?? '',
	];
}

async function run(args: readonly string[], terminal: Terminal) {
	const {values, positionals} = parseFlags(listFlags, args);
	if (positionals.length > 0) {
		throw new UsageError([`list takes no name: kubectl dv explain ${positionals[0]} tells of one`]);
	}
	using cluster = openCluster(values);
	const isAll = values['all-namespaces'];
	const namespace = isAll ? undefined : cluster.namespace;
	const row = (dataVolume: DataVolume) => [
		...(isAll ? [dataVolume.metadata.namespace ?? ''] : []),
		...rowOf(dataVolume, terminal.now()),
	];
	const header = isAll ? ['NAMESPACE', ...head] : head;
	const first: string[][] = [];
	let widths: readonly number[] | undefined;
	for await (const sighting of follow(cluster.api, {namespace}, terminal.signal)) {
		if (sighting.is === 'complete') {
			if (first.length === 0) {
				terminal.err(isAll ? 'No DataVolumes found.\n' : `No DataVolumes found in namespace ${cluster.namespace}.\n`);
			} else terminal.out(table([header, ...first]));
			if (!values.watch) return exitCodes.done;
			widths = widthsOf([header, ...first]);
			continue;
		}
		const cells = row(sighting.dataVolume);
		if (!widths) first.push(cells);
		else terminal.out(table([sighting.is === 'gone' ? [...cells.slice(0, -1), 'Deleted'] : cells], widths));
	}
	return exitCodes.done;
}

export const list: Command = {
	usage: '[-A] [-w] [flags]',
	summary: 'List DataVolumes: where each stands, how it is made and of what',
	examples: [
		['Of this namespace', ''],
		['Of all namespaces, and every change', '-A -w'],
	],
	flags: listFlags,
	positional: 'none',
	run,
};
