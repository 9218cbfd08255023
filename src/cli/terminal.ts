/** What a command sees of the world besides the cluster: where it writes to, and what ends it. */
export interface Terminal {
	/** Standard output: what was asked for. */
	readonly out: (text: string) => void;
	/** Standard error: progress, and what went wrong. */
	readonly err: (text: string) => void;
	/** Whether a person reads standard error on a screen whose lines can be written over. */
	readonly isScreen: boolean;
	/** Of that screen, in characters. */
	readonly columns: number;
	/** Of standard output; Infinity where no person reads it. */
	readonly outColumns: number;
	/** Milliseconds since 1970. */
	readonly now: () => number;
	/** Ctrl-C. */
	readonly signal: AbortSignal;
}

/** How a command ends; documented in docs/kubectl.md. */
export const exitCodes = {done: 0, failed: 1, usedWrongly: 2, timedOut: 3, interrupted: 130} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
