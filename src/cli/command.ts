import type {Completes, FlagSet} from './flags.ts';
import {describeFlags} from './flags.ts';
import type {ExitCode, Terminal} from './terminal.ts';

export interface Command {
	/** What comes after the command's name. */
	readonly usage: string;
	/** One sentence. */
	readonly summary: string;
	/** What it shows, and the words after the command's name. */
	readonly examples: readonly (readonly [what: string, words: string])[];
	readonly flags: FlagSet;
	/** What its words are that belong to no flag, for shell completion. */
	readonly positional: Completes;
	/** Throws UsageError, or whatever the cluster said. */
	readonly run: (args: readonly string[], terminal: Terminal) => Promise<ExitCode>;
}

/** @param name how the command is called, `kubectl create dv` for example. */
export function helpOf(name: string, {usage, summary, examples, flags}: Command): string {
	const shown = examples.map(([what, words]) => `  # ${what}\n  ${`${name} ${words}`.trimEnd()}`).join('\n\n');
	return `${summary}.\n\nUsage:\n  ${name} ${usage}\n\nExamples:\n${shown}\n\nFlags:\n${describeFlags(flags)}\n`;
}
