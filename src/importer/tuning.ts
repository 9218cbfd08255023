/** Numbers that a test of the whole program sets lower, so that it waits for deadlines on purpose and not for long. */
import type {ImportTuning} from './run.ts';
import {WorkerError} from './worker-error.ts';

/** JSON of any part of {@link ImportTuning}: `{"http":{"stallMs":500}}`. The controller never sets it. */
export const tuningVariable = 'ONESNAP_IMPORT_TUNING';

/** The defaults with what the variable says instead. Throws a WorkerError for a name that is none, or a value that is no number. */
export function parseTuning(
	env: Readonly<Record<string, string | undefined>>,
	{defaults}: {readonly defaults: ImportTuning},
): ImportTuning {
	const text = env[tuningVariable];
	if (text === undefined || text === '') return defaults;
	const given = asObject(parseJson(text), 'it');
	const unknown = Object.keys(given).find((group) => !(group in defaults));
	if (unknown !== undefined) throw wrong(`${unknown} is no part of it`);
	return {
		http: overlay(defaults.http, given['http'], 'http'),
		retry: overlay(defaults.retry, given['retry'], 'retry'),
		window: overlay(defaults.window, given['window'], 'window'),
	};
}

function overlay<Group extends object>(defaults: Group, given: unknown, name: string): Group {
	if (given === undefined) return defaults;
	const numbers = asObject(given, name);
	for (const [key, value] of Object.entries(numbers)) {
		if (!(key in defaults)) throw wrong(`${name}.${key} is no part of it`);
		if (typeof value !== 'number' || !(value > 0)) throw wrong(`${name}.${key} must be a number above 0`);
	}
	return {...defaults, ...numbers};
}

function asObject(value: unknown, name: string): Readonly<Record<string, unknown>> {
	if (typeof value !== 'object' || value === null) throw wrong(`${name} must be an object`);
	// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an object from JSON has string keys
	return value as Record<string, unknown>;
}

function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		throw wrong('it is no JSON');
	}
}

function wrong(why: string): WorkerError {
	return new WorkerError('Internal', `${tuningVariable}: ${why}.`);
}
