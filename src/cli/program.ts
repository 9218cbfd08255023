/** The programs: which command the words name, what it prints where, and how it ends. */
import type {Command} from './command.ts';
import {helpOf} from './command.ts';
import {complete, formatChoices} from './completion.ts';
import {create} from './create.ts';
import {explainCommand} from './explain-command.ts';
import {sentenceOf} from './failure.ts';
import {listed, UsageError} from './flags.ts';
import {list} from './list.ts';
import {type ExitCode, exitCodes, type Terminal} from './terminal.ts';
import {tree} from './tree.ts';
import {wait} from './wait.ts';

/** `create` is there too, because kubectl completes no plugin under a command of its own. */
const commands: Readonly<Record<string, Command>> = {list, explain: explainCommand, tree, wait, create};

export type Program = (args: readonly string[], terminal: Terminal) => Promise<ExitCode>;

const isHelp = (word: string | undefined) => word === '--help' || word === '-h' || word === 'help';

async function runCommand(
	name: string,
	command: Command,
	args: readonly string[],
	terminal: Terminal,
): Promise<ExitCode> {
	if (args.some((word) => word === '--help' || word === '-h')) {
		terminal.out(helpOf(name, command));
		return exitCodes.done;
	}
	try {
		return await command.run(args, terminal);
	} catch (error) {
		if (terminal.signal.aborted) {
			terminal.err('Interrupted; what was begun in the cluster goes on.\n');
			return exitCodes.interrupted;
		}
		if (error instanceof UsageError) {
			for (const mistake of error.mistakes) terminal.err(`error: ${mistake}\n`);
			terminal.err(`See ${name} --help\n`);
			return exitCodes.usedWrongly;
		}
		terminal.err(`error: ${sentenceOf(error)}\n`);
		return exitCodes.failed;
	}
}

export const createDv: Program = (args, terminal) => runCommand('kubectl create dv', create, args, terminal);

function overview(): string {
	const rows = Object.entries(commands).map(([name, {summary}]) => `  ${name.padEnd(9)}${summary}`);
	return `Disks of virtual machines: DataVolumes, and what onesnap makes of them.\n\nUsage:\n  kubectl dv COMMAND [flags]\n\nCommands:\n${rows.join('\n')}\n\nkubectl dv COMMAND --help tells more of one; kubectl create dv is the same as kubectl dv create.\n`;
}

export const dv: Program = async (args, terminal) => {
	const [first, ...rest] = args;
	const command = first === undefined ? undefined : commands[first];
	if (first !== undefined && command) return runCommand(`kubectl dv ${first}`, command, rest, terminal);
	if (first === undefined || isHelp(first)) {
		const [of] = rest;
		const about = of === undefined ? undefined : commands[of];
		terminal.out(of !== undefined && about ? helpOf(`kubectl dv ${of}`, about) : overview());
		return first === undefined ? exitCodes.usedWrongly : exitCodes.done;
	}
	terminal.err(`error: kubectl dv has no command "${first}": use ${listed(Object.keys(commands))}\n`);
	return exitCodes.usedWrongly;
};

export const completeCreateDv: Program = async (args, terminal) => {
	terminal.out(formatChoices(await complete(create, args)));
	return exitCodes.done;
};

export const completeDv: Program = async (args, terminal) => {
	const [first = '', ...rest] = args;
	const command = commands[first];
	const choices =
		rest.length > 0
			? command && (await complete(command, rest))
			: {
					words: Object.entries(commands)
						.filter(([name]) => name.startsWith(first))
						.map(([name, {summary}]) => `${name}\t${summary}`),
					directive: 4,
				};
	terminal.out(formatChoices(choices ?? {words: [], directive: 4}));
	return exitCodes.done;
};
