import type {Log} from './plain-log.ts';

export interface ShutdownOptions {
	readonly log: Log;
	/** The process exits by force after so long. Less than the Pod's terminationGracePeriodSeconds. Default 25 s. */
	readonly deadlineMs?: number;
	/** For tests. Default process.exit. */
	readonly exit?: (code: number) => void;
	/** For tests. Default the process's own signals. */
	readonly signals?: SignalSource;
}

type SignalName = (typeof watched)[number];

interface SignalSource {
	on(name: SignalName, listener: (name: SignalName) => void): unknown;
	off(name: SignalName, listener: (name: SignalName) => void): unknown;
}

export interface Shutdown extends Disposable {
	/** Aborts at the first SIGTERM or SIGINT. */
	readonly signal: AbortSignal;
	/** Begins the same shutdown for a reason of our own, for example lost leadership. */
	begin(why: string): void;
}

const watched = ['SIGTERM', 'SIGINT'] as const;
/** What shells report for a process killed by SIGINT; any non-zero code would do. */
const forcedExitCode = 130;

/**
 * The first signal asks everything to stop; the second, or the deadline, exits at once. Dispose of it when the program has
 * stopped in good order.
 */
export function listenForShutdown({
	log,
	deadlineMs = 25_000,
	exit = (code) => process.exit(code),
	signals = process,
}: ShutdownOptions): Shutdown {
	const controller = new AbortController();
	let deadline: NodeJS.Timeout | undefined;

	function begin(why: string): void {
		if (controller.signal.aborted) return;
		log.info({why, deadlineMs}, 'shutting down');
		// Not unref'd: a program that hangs on nothing at all should still end.
		deadline = setTimeout(() => {
			log.error({deadlineMs}, 'did not stop in time, exiting');
			exit(1);
		}, deadlineMs);
		controller.abort(new DOMException(`shutting down: ${why}`, 'AbortError'));
	}

	function onSignal(name: SignalName): void {
		if (controller.signal.aborted) {
			log.warn({signal: name}, 'second signal, exiting at once');
			exit(forcedExitCode);
			return;
		}
		begin(name);
	}

	for (const name of watched) signals.on(name, onSignal);
	return {
		signal: controller.signal,
		begin,
		[Symbol.dispose]() {
			clearTimeout(deadline);
			for (const name of watched) signals.off(name, onSignal);
		},
	};
}
