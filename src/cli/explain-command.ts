import {openCluster} from './cluster.ts';
import type {Command} from './command.ts';
import {connectionFlags} from './connection-flags.ts';
import {explain} from './explain/explanation.ts';
import {look} from './explain/look.ts';
import {render} from './explain/render.ts';
import {choice, parseFlags, UsageError} from './flags.ts';
import {bareName} from './names.ts';
import {exitCodes, type Terminal} from './terminal.ts';

const explainFlags = {
	output: choice({help: 'Print it as this', short: 'o'}, ['json']),
	...connectionFlags,
};

async function run(args: readonly string[], terminal: Terminal) {
	const {values, positionals} = parseFlags(explainFlags, args);
	const [given, ...more] = positionals;
	if (given === undefined) throw new UsageError(['what to explain is missing: kubectl dv explain NAME']);
	if (more.length > 0) throw new UsageError([`one at a time: "${more.join(' ')}" is too many`]);
	using cluster = openCluster(values);
	const {api, namespace} = cluster;
	const sight = await look({api, namespace, name: bareName(given), nowMs: terminal.now(), signal: terminal.signal});
	const explanation = explain(sight);
	terminal.out(
		values.output === 'json'
			? `${JSON.stringify(explanation, undefined, 4)}\n`
			: render(explanation, terminal.outColumns),
	);
	return exitCodes.done;
}

export const explainCommand: Command = {
	usage: 'NAME [flags]',
	summary:
		'Explain a DataVolume: which way a clone goes and why not the others, which snapshot serves it by which rule, what is waited for, what to do, and how long each step took',
	examples: [['One clone', 'vm-1 -n team-a']],
	flags: explainFlags,
	positional: 'dataVolumes',
	run,
};
