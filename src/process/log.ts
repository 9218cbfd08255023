import {type DestinationStream, type Logger, pino, stdTimeFunctions} from 'pino';
import type {LogLevel} from './plain-log.ts';

export type {Logger};

export interface LogOptions {
	/** Least severe level that is written. */
	readonly level: LogLevel;
	/** Fields on every line, for example the program and its version. */
	readonly fields?: Readonly<Record<string, unknown>>;
	/** Default: standard output, written synchronously, so that the last words before an exit are not lost. */
	readonly destination?: DestinationStream;
}

/** JSON lines with `level` as a word and `time` in RFC 3339, which is what log collectors and people read. */
export function makeLogger({
	level,
	fields = {},
	destination = pino.destination({fd: 1, sync: true}),
}: LogOptions): Logger {
	return pino(
		{
			level,
			base: fields,
			timestamp: stdTimeFunctions.isoTime,
			formatters: {level: (label) => ({level: label})},
			serializers: {error: pino.stdSerializers.errWithCause},
		},
		destination,
	);
}

/** For tests, and for library code when the caller gives no logger. */
export const silentLogger: Logger = pino({level: 'silent'});
