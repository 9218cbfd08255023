/** Runs a program in this process: its streams, Ctrl-C, and a reader who has left. */
import type {Program} from './program.ts';
import {exitCodes, type Terminal} from './terminal.ts';

const defaultColumns = 80;

export async function start(program: Program): Promise<void> {
	const stop = new AbortController();
	// A second Ctrl-C ends it at once.
	process.once('SIGINT', () => stop.abort(new Error('interrupted')));
	for (const stream of [process.stdout, process.stderr]) {
		stream.on('error', (error: NodeJS.ErrnoException) => {
			// `| head` has seen enough: no mistake of anybody.
			if (error.code === 'EPIPE') process.exit(exitCodes.done);
			throw error;
		});
	}
	const terminal: Terminal = {
		out: (text) => process.stdout.write(text),
		err: (text) => process.stderr.write(text),
		isScreen: process.stderr.isTTY && process.env['TERM'] !== 'dumb',
		columns: process.stderr.columns ?? defaultColumns,
		outColumns: process.stdout.isTTY ? process.stdout.columns : Infinity,
		now: () => Date.now(),
		signal: stop.signal,
	};
	process.exitCode = await program(process.argv.slice(2), terminal);
}
