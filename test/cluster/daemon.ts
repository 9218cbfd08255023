/** A long-running program of the cluster: what to run, not how it is kept running. */
export type Daemon = {
	/** Unique in its cluster; also the name of its log file. */
	readonly name: string;
	/** Absolute path of the program. */
	readonly program: string;
	readonly args: readonly string[];
	/** Default: wherever the caller is. */
	readonly cwd?: string;
	/**
	 * Name of a daemon whose connection it holds. When that one was started anew, this one ends by itself, at a moment of
	 * its own choosing; so it is started anew as well. (A CSI sidecar and its driver: in a Pod the kubelet would see to it.)
	 */
	readonly startedAfter?: string;
};

/** Writes command-line flags as `--name=value`. */
export function flags(values: Readonly<Record<string, string | number | boolean | undefined>>): string[] {
	return Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`]));
}
