/** The kubectl plugins in this process, with what they write kept. */
import type {Program} from '../../src/cli/program.ts';
import type {ExitCode} from '../../src/cli/terminal.ts';

export interface Said {
	readonly code: ExitCode;
	readonly out: string;
	readonly err: string;
}

/** @param signal Ctrl-C. */
export async function say(
	program: Program,
	args: readonly string[],
	signal: AbortSignal = new AbortController().signal,
): Promise<Said> {
	let out = '';
	let err = '';
	const code = await program(args, {
		out: (text) => (out += text),
		err: (text) => (err += text),
		isScreen: false,
		columns: 80,
		outColumns: Infinity,
		now: () => Date.now(),
		signal,
	});
	return {code, out, err};
}
