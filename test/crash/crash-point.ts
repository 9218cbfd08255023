/** Where the controller is to end, and how it is told. */

/** After the write of this number, or after the first of this kind (see writes.ts). */
export interface CrashPoint {
	readonly after: number | string;
	/** `killed`: SIGKILL. `answer lost`: the process lives on and must find out whether it was written. */
	readonly how: 'killed' | 'answer lost';
}

export interface CrashOrders {
	readonly point: CrashPoint;
	/** Gets a line per write. */
	readonly writesFile: string;
}

const variable = 'ONESNAP_CRASH_ORDERS';

export function crashEnvironment(orders: CrashOrders): Record<string, string> {
	return {[variable]: JSON.stringify(orders)};
}

export function parseCrashOrders(environment: NodeJS.ProcessEnv): CrashOrders {
	const text = environment[variable];
	if (!text) throw new Error(`${variable} is not set: this module is loaded by the crash tests only`);
	return JSON.parse(text) as CrashOrders;
}

/** @param seen all writes so far, the last one just now. */
export function isThere({after}: CrashPoint, seen: readonly string[]): boolean {
	if (typeof after === 'number') return seen.length === after;
	return seen.at(-1) === after && seen.indexOf(after) === seen.length - 1;
}
