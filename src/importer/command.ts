import {spawn} from 'node:child_process';

/** A program that ended otherwise than well. */
export class CommandError extends Error {
	override readonly name = 'CommandError';
	readonly program: string;
	readonly exitCode: number | null;
	readonly killedBy: NodeJS.Signals | null;
	/** The end of what it wrote to standard error. */
	readonly stderr: string;

	constructor(
		program: string,
		{exitCode, killedBy, stderr}: {exitCode: number | null; killedBy: NodeJS.Signals | null; stderr: string},
	) {
		const end = killedBy ? `was ended by ${killedBy}` : `ended with code ${exitCode}`;
		super(`${program} ${end}${stderr === '' ? '' : `: ${stderr}`}`);
		this.program = program;
		this.exitCode = exitCode;
		this.killedBy = killedBy;
		this.stderr = stderr;
	}
}

export interface CommandOptions {
	/** Kills the program. */
	readonly signal: AbortSignal;
	/** Kernel limits for programs that parse what strangers made. */
	readonly limits?: {readonly cpuSeconds: number; readonly addressSpaceBytes: number};
	/** Pieces of standard output as they come, instead of the whole at the end. */
	readonly onOutput?: (text: string) => void;
}

const mostOutputBytes = 1024 * 1024;
const keptErrorBytes = 2000;

/**
 * Runs a program to its end and returns what it printed. It dies with this process, also when that is killed: nothing may
 * still write to the target when the next try begins.
 */
export async function runCommand(program: string, args: readonly string[], options: CommandOptions): Promise<string> {
	const {signal, limits, onOutput} = options;
	signal.throwIfAborted();
	const limited = limits ? ['prlimit', `--cpu=${limits.cpuSeconds}`, `--as=${limits.addressSpaceBytes}`, '--'] : [];
	const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...limited, program, ...args], {
		stdio: ['ignore', 'pipe', 'pipe'],
		env: {PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C'},
	});
	const kill = () => child.kill('SIGKILL');
	signal.addEventListener('abort', kill, {once: true});
	let output = '';
	let stderr = '';
	child.stdout.setEncoding('utf8').on('data', (text: string) => {
		if (onOutput) onOutput(text);
		else output += text;
		if (output.length > mostOutputBytes) kill();
	});
	child.stderr.setEncoding('utf8').on('data', (text: string) => {
		stderr = `${stderr}${text}`.slice(-keptErrorBytes);
	});
	try {
		const [exitCode, killedBy] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
			child.once('error', reject);
			child.once('close', (code, signalName) => resolve([code, signalName]));
		});
		signal.throwIfAborted();
		if (exitCode !== 0) throw new CommandError(program, {exitCode, killedBy, stderr: stderr.trim()});
		return output;
	} finally {
		signal.removeEventListener('abort', kill);
	}
}
