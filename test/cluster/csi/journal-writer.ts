import {closeSync, fstatSync, mkdirSync, openSync, readSync, writeSync} from 'node:fs';
import path from 'node:path';
import type {Interceptor, RpcCall} from './chain.ts';
import {type CsiError, toCsiError} from './errors.ts';
import type {JournalRecord} from './journal.ts';
import {subjectOf, summarizeRequest, summarizeResult} from './journal-summary.ts';

/** Asked for again and again and changing nothing: they would bury the calls that count. */
const quiet = /^(Probe|Get.*|.*GetCapabilities|NodeGet.*)$/;

/** Appends journal records to a file, each with one write before its call is answered: an answer that was seen is journaled. */
export class JournalWriter {
	readonly #file: number;

	constructor(file: string) {
		mkdirSync(path.dirname(file), {recursive: true});
		this.#file = openSync(file, 'a+');
		if (endsInsideLine(this.#file)) writeSync(this.#file, '\n');
	}

	append(record: JournalRecord): void {
		writeSync(this.#file, `${JSON.stringify(record)}\n`);
	}

	close(): void {
		closeSync(this.#file);
	}
}

/** After a kill in the middle of a line, the next record must not become a part of it. */
function endsInsideLine(file: number): boolean {
	const {size} = fstatSync(file);
	if (size === 0) return false;
	const last = Buffer.alloc(1);
	readSync(file, last, 0, 1, size - 1);
	return last.toString() !== '\n';
}

/** Writes down every call with its end. */
export function journalInterceptor(append: (record: JournalRecord) => void): Interceptor {
	return async (call, next) => {
		if (quiet.test(call.rpc)) return next();
		const startedAt = Date.now();
		try {
			const response = await next();
			append(toRecord(call, startedAt, {response}));
			return response;
		} catch (error) {
			append(toRecord(call, startedAt, {error: toCsiError(error)}));
			throw error;
		}
	};
}

type Outcome = {readonly response: object} | {readonly error: CsiError};

function toRecord({rpc, request, notes}: RpcCall, startedAt: number, outcome: Outcome): JournalRecord {
	const id = subjectOf(request);
	const result = 'response' in outcome ? summarizeResult(outcome.response) : undefined;
	return {
		at: new Date(startedAt).toISOString(),
		rpc,
		durationMs: Date.now() - startedAt,
		...(id !== undefined && {id}),
		request: summarizeRequest(request),
		...('error' in outcome ? {code: outcome.error.code, message: outcome.error.message} : {code: 'OK'}),
		...(result && {result}),
		...(notes.repeated && {repeated: true}),
		...(notes.faults && {faults: notes.faults}),
	};
}
