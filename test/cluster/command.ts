import {spawn} from 'node:child_process';

/** A command that could not be started, or that ended with another code than 0. The message carries the end of its standard error. */
export class CommandError extends Error {
	override readonly name = 'CommandError';

	constructor(
		message: string,
		options: {
			readonly exitCode: number | undefined;
			readonly stderr: string;
			readonly cause?: unknown;
		},
	) {
		super(message, {cause: options.cause});
		this.exitCode = options.exitCode;
		this.stderr = options.stderr;
	}

	/** Undefined when the command never ran or was killed by a signal. */
	readonly exitCode: number | undefined;
	readonly stderr: string;
}

export type CommandOptions = {
	readonly cwd?: string;
	/** Added to this process's environment. */
	readonly env?: Readonly<Record<string, string>>;
	readonly input?: string;
	/** Called with each chunk of standard error, for commands that report progress there. */
	readonly onStderr?: (chunk: string) => void;
};

/** Runs a command to its end and returns its standard output. */
export function run(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
	return new Promise((resolve, reject) => {
		const child = spawn(command, args, {
			cwd: options.cwd,
			env: {...process.env, ...options.env},
			stdio: ['pipe', 'pipe', 'pipe'],
		});
		let stdout = '';
		let stderr = '';
		child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
		child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
			stderr += chunk;
			options.onStderr?.(chunk);
		});
		// A command that does not read its input closes the pipe; its exit code tells what matters.
		child.stdin.on('error', () => {});
		child.stdin.end(options.input ?? '');
		child.on('error', (cause) =>
			reject(new CommandError(`${command}: ${cause.message}`, {exitCode: undefined, stderr, cause})),
		);
		child.on('close', (code, signal) => {
			if (code === 0) return resolve(stdout);
			const ended = signal ? `was killed by ${signal}` : `ended with code ${code}`;
			reject(
				new CommandError(`${[command, ...args].join(' ')} ${ended}: ${stderr.trim().slice(-2000)}`, {
					exitCode: code ?? undefined,
					stderr,
				}),
			);
		});
	});
}

/** Like `run`, for a command whose failure is an answer. */
export async function tryRun(
	command: string,
	args: readonly string[],
	options: CommandOptions = {},
): Promise<string | undefined> {
	try {
		return await run(command, args, options);
	} catch (error) {
		if (error instanceof CommandError) return undefined;
		throw error;
	}
}
