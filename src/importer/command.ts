import {spawn} from 'node:child_process';
import type {Socket} from 'node:net';

/** A program that ended otherwise than well. */
export class CommandError extends Error {
	override readonly name = 'CommandError';
	readonly program: string;
	readonly exitCode: number | null;
	readonly killedBy: NodeJS.Signals | null;
	/** The end of what it wrote to standard error. */
	readonly stderr: string;
	/** The limit that ended it, as far as it can be told. */
	readonly exceeded: 'time' | 'memory' | 'output' | undefined;

	constructor(program: string, {exitCode, killedBy, stderr, exceeded}: CommandEnd) {
		const end = killedBy ? `was ended by ${killedBy}` : `ended with code ${exitCode}`;
		super(`${program} ${end}${stderr === '' ? '' : `: ${stderr}`}`);
		this.program = program;
		this.exitCode = exitCode;
		this.killedBy = killedBy;
		this.stderr = stderr;
		this.exceeded = exceeded;
	}
}

type CommandEnd = Readonly<
	Pick<CommandError, 'exitCode' | 'killedBy' | 'stderr'> & Partial<Pick<CommandError, 'exceeded'>>
>;

/** Kept by the kernel. */
export interface CommandLimits {
	readonly cpuSeconds: number;
	/** What the program may write to: heap and stacks, touched or not. */
	readonly dataBytes: number;
}

export interface CommandOptions {
	/** Kills the program. */
	readonly signal: AbortSignal;
	/** For programs that parse what strangers made. */
	readonly limits?: CommandLimits;
	/** Pieces of standard output as they come, instead of the whole at the end. */
	readonly onOutput?: (text: string) => void;
	/** Is given one end of a pair of sockets; the program has the other as {@link socketDescriptor}. */
	readonly onSocket?: (socket: Socket) => void;
}

/** Number of the program's end, after those of standard input, output and error. */
export const socketDescriptor = 3;

const mostOutputBytes = 1024 * 1024;
const keptErrorBytes = 2000;
/** Of a thread: by default 8 MiB each, which counts as data. */
const stackBytes = 512 * 1024;
/** At the soft limit a signal that tells why; at the hard one, in case the program ignores it, one that cannot be ignored. */
const graceSeconds = 1;

/**
 * Runs a program to its end and returns what it printed. It dies with this process, also when that is killed: nothing may
 * still write to the target when the next try begins.
 */
export async function runCommand(program: string, args: readonly string[], options: CommandOptions): Promise<string> {
	const {signal, limits, onOutput, onSocket} = options;
	signal.throwIfAborted();
	const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...limiting(limits), program, ...args], {
		// What node calls a pipe is a pair of sockets.
		stdio: ['ignore', 'pipe', 'pipe', onSocket ? 'pipe' : 'ignore'],
		env: {
			PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
			LC_ALL: 'C',
			// Threads would have heaps of their own otherwise, of which little is used.
			...(limits && {MALLOC_ARENA_MAX: '2'}),
		},
	});
	const {stdout, stderr: errors} = child;
	if (!stdout || !errors) throw new Error(`${program} was started without its outputs`);
	// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is read and written
	onSocket?.(child.stdio[socketDescriptor] as Socket);
	const kill = () => child.kill('SIGKILL');
	signal.addEventListener('abort', kill, {once: true});
	let output = '';
	let stderr = '';
	stdout.setEncoding('utf8').on('data', (text: string) => {
		if (onOutput) onOutput(text);
		else output += text;
		if (output.length > mostOutputBytes) kill();
	});
	errors.setEncoding('utf8').on('data', (text: string) => {
		stderr = `${stderr}${text}`.slice(-keptErrorBytes);
	});
	try {
		const [exitCode, killedBy] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
			child.once('error', reject);
			child.once('close', (code, signalName) => resolve([code, signalName]));
		});
		signal.throwIfAborted();
		if (exitCode !== 0) {
			const end = {exitCode, killedBy, stderr: stderr.trim()};
			throw new CommandError(program, {...end, exceeded: exceededBy(end, {outputLength: output.length})});
		}
		return output;
	} finally {
		signal.removeEventListener('abort', kill);
	}
}

function limiting(limits: CommandLimits | undefined): readonly string[] {
	if (!limits) return [];
	const {cpuSeconds, dataBytes} = limits;
	return [
		'prlimit',
		`--cpu=${cpuSeconds}:${cpuSeconds + graceSeconds}`,
		`--data=${dataBytes}`,
		`--stack=${stackBytes}`,
		'--',
	];
}

/** Without memory, programs abort themselves or say it in the words of the C library. */
function exceededBy({killedBy, stderr}: CommandEnd, {outputLength}: {outputLength: number}): CommandError['exceeded'] {
	if (outputLength > mostOutputBytes) return 'output';
	if (killedBy === 'SIGXCPU') return 'time';
	return /Cannot allocate memory|failed to allocate|Failed to allocate/.test(stderr) ? 'memory' : undefined;
}
