/**
 * The same lines as log.ts writes, without a library: pino takes 10 ms to load, and a worker's whole work may take 300.
 * Written synchronously, so that the last words before an exit are not lost.
 */
import {writeSync} from 'node:fs';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

interface LogFunction {
	(message: string): void;
	/** What is an Error among the fields is written with its causes. */
	(fields: object, message: string): void;
}

/** What code that runs in a worker may ask of a logger; pino's has it as well. */
export type Log = Readonly<Record<'debug' | 'info' | 'warn' | 'error', LogFunction>>;

export interface PlainLogOptions {
	/** Least severe level that is written. */
	readonly level: LogLevel;
	/** Fields on every line. */
	readonly fields?: Readonly<Record<string, unknown>>;
	/** Default: standard output. Gets a line with its end. */
	readonly write?: (line: string) => void;
}

export function makePlainLog({level, fields = {}, write = writeOut}: PlainLogOptions): Log {
	const of = (name: keyof Log): LogFunction => {
		if (logLevels.indexOf(name) < logLevels.indexOf(level)) return () => {};
		return (first: string | object, message?: string) => {
			const [own, msg] = typeof first === 'string' ? [{}, first] : [first, message];
			write(`${toJson({level: name, time: new Date().toISOString(), ...fields, ...own, msg})}\n`);
		};
	};
	return {debug: of('debug'), info: of('info'), warn: of('warn'), error: of('error')};
}

/** Never throws: a log line is not worth a copy. */
function toJson(line: object): string {
	try {
		return JSON.stringify(line, (_, value: unknown) => {
			if (typeof value === 'bigint') return String(value);
			return value instanceof Error ? errorFields(value) : value;
		});
	} catch (error) {
		return JSON.stringify({level: 'error', time: new Date().toISOString(), msg: `no log line: ${String(error)}`});
	}
}

function errorFields(error: Error): object {
	const {message, stack, cause} = error;
	return {
		...Object.fromEntries(Object.entries(error)),
		type: error.constructor.name,
		message,
		stack,
		...(cause !== undefined && {cause}),
		...(error instanceof AggregateError && {aggregateErrors: error.errors as unknown[]}),
	};
}

function writeOut(line: string): void {
	const bytes = Buffer.from(line);
	for (let at = 0; at < bytes.length; ) {
		try {
			at += writeSync(1, bytes, at);
		} catch (error) {
			// A reader of the pipe that is slow is waited for; one that is gone is not.
			if (!(error instanceof Error) || !('code' in error) || error.code !== 'EAGAIN') return;
			Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
		}
	}
}
