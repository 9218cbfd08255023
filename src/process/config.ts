import {parseArgs} from 'node:util';

/**
 * Options of a program, each from a flag (`--metrics-port=8080`), else from its environment variable, else its default.
 * All mistakes are told at once, by the name that the user wrote.
 */
export interface Option<Value> {
	/** One sentence for --help, with the unit. */
	readonly help: string;
	readonly env?: string;
	/** Flags without a value: `--verbose`, `--no-verbose`. */
	readonly isSwitch?: boolean;
	/** What is wrong is not repeated: there may be a password in it. */
	readonly isSecret?: boolean;
	/** Shown in --help. */
	readonly defaultText?: string;
	readonly defaultValue: Value | Required;
	/** Throws an Error whose message completes "must be …". */
	readonly parse: (text: string) => Value;
}

export type OptionSet = Readonly<Record<string, Option<unknown>>>;

export type Values<Set extends OptionSet> = {readonly [Name in keyof Set]: ReturnType<Set[Name]['parse']>};

const required = Symbol('required');
type Required = typeof required;

interface Describing {
	readonly help: string;
	readonly env?: string;
}

export class ConfigError extends Error {
	override readonly name = 'ConfigError';
	/** One line per mistake. */
	readonly mistakes: readonly string[];

	constructor(mistakes: readonly string[]) {
		super(mistakes.join('\n'));
		this.mistakes = mistakes;
	}
}

export function text(options: Describing & {readonly default?: string}): Option<string> {
	const parse = (input: string) => {
		if (input === '') throw new Error('not empty');
		return input;
	};
	return {...describe(options, options.default), defaultValue: options.default ?? required, parse};
}

export function optionalText(options: Describing): Option<string | undefined> {
	return {...describe(options), defaultValue: undefined, parse: (input) => (input === '' ? undefined : input)};
}

/** A text that may have a password in it. @param check throws an Error whose message completes "must be …" */
export function optionalSecret(options: Describing, check: (input: string) => unknown): Option<string | undefined> {
	const parse = (input: string) => {
		if (input === '') return undefined;
		check(input);
		return input;
	};
	return {...describe(options), isSecret: true, defaultValue: undefined, parse};
}

export function choice<const Choice extends string>(
	options: Describing & {readonly choices: readonly Choice[]; readonly default?: Choice},
): Option<Choice> {
	const parse = (input: string) => {
		const found = options.choices.find((choice) => choice === input);
		if (found === undefined) throw new Error(`one of ${options.choices.join(', ')}`);
		return found;
	};
	return {...describe(options, options.default), defaultValue: options.default ?? required, parse};
}

export function integer(
	options: Describing & {readonly min?: number; readonly max?: number; readonly default?: number},
): Option<number> {
	const {min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER} = options;
	const parse = (input: string) => {
		const value = Number(input);
		if (!/^-?\d+$/.test(input) || value < min || value > max) throw new Error(`a whole number${rangeText(options)}`);
		return value;
	};
	return {...describe(options, options.default?.toString()), defaultValue: options.default ?? required, parse};
}

/** `--name`, `--no-name`; in the environment true or false. */
export function toggle(options: Describing & {readonly default: boolean}): Option<boolean> {
	const parse = (input: string) => {
		if (input !== 'true' && input !== 'false') throw new Error('true or false');
		return input === 'true';
	};
	return {...describe(options, String(options.default)), isSwitch: true, defaultValue: options.default, parse};
}

const unitMs: Readonly<Record<string, number>> = {ms: 1, s: 1000, m: 60_000, h: 3_600_000};

/** `500ms`, `15s`, `5m`, `1h`; the value is in milliseconds. */
export function duration(options: Describing & {readonly default?: number; readonly minMs?: number}): Option<number> {
	const {minMs = 0} = options;
	const parse = (input: string) => {
		const [, digits, unit] = /^(\d+)(ms|s|m|h)$/.exec(input) ?? [];
		const valueMs = Number(digits) * (unitMs[unit ?? ''] ?? Number.NaN);
		if (!(valueMs >= minMs))
			throw new Error(`a duration such as 500ms, 15s, 5m${minMs > 0 ? `, at least ${minMs}ms` : ''}`);
		return valueMs;
	};
	const defaultText = options.default === undefined ? undefined : `${options.default}ms`;
	return {...describe(options, defaultText), defaultValue: options.default ?? required, parse};
}

/** Throws ConfigError. */
export function parseConfig<Set extends OptionSet>(
	set: Set,
	{args, env}: {readonly args: readonly string[]; readonly env: Readonly<Record<string, string | undefined>>},
): Values<Set> {
	const flags = parseFlags(set, args);
	const mistakes = [...flags.mistakes];
	const values: Record<string, unknown> = {};
	for (const [name, option] of Object.entries(set)) {
		const given = flags.given[name];
		const input = given ?? (option.env && env[option.env] !== '' ? env[option.env] : undefined);
		const writtenAs = given === undefined ? (option.env ?? `--${name}`) : `--${name}`;
		if (input === undefined) {
			if (option.defaultValue === required)
				mistakes.push(`--${name}${option.env ? ` (or ${option.env})` : ''} is missing`);
			values[name] = option.defaultValue;
			continue;
		}
		try {
			values[name] = option.parse(input);
		} catch (error) {
			const given = option.isSecret ? '' : `, not "${input}"`;
			mistakes.push(`${writtenAs} must be ${error instanceof Error ? error.message : String(error)}${given}`);
		}
	}
	if (mistakes.length > 0) throw new ConfigError(mistakes);
	// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- one value per option, each from its own parse
	return values as Values<Set>;
}

function parseFlags(
	set: OptionSet,
	args: readonly string[],
): {readonly given: Readonly<Record<string, string | undefined>>; readonly mistakes: readonly string[]} {
	const options = Object.fromEntries(
		Object.entries(set).map(([name, {isSwitch}]) => [name, {type: isSwitch ? 'boolean' : 'string'} as const]),
	);
	try {
		const {values} = parseArgs({args: [...args], options, allowNegative: true, strict: true, allowPositionals: false});
		const given = Object.entries(values).map(([name, value]) => [name, value?.toString()] as const);
		return {given: Object.fromEntries(given), mistakes: []};
	} catch (error) {
		return {given: {}, mistakes: [error instanceof Error ? error.message : String(error)]};
	}
}

/** Text for --help. */
export function describeOptions(set: OptionSet): string {
	return Object.entries(set)
		.map(([name, {help, env, defaultText}]) => {
			const extras = [env && `environment ${env}`, defaultText !== undefined && `default ${defaultText}`].filter(
				Boolean,
			);
			return `  --${name}\n      ${help}${extras.length > 0 ? ` (${extras.join(', ')})` : ''}`;
		})
		.join('\n');
}

function describe({help, env}: Describing, defaultText?: string): Describing & {readonly defaultText?: string} {
	return {help, ...(env !== undefined && {env}), ...(defaultText !== undefined && {defaultText})};
}

function rangeText({min, max}: {readonly min?: number; readonly max?: number}): string {
	if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`;
	if (min !== undefined) return ` of at least ${min}`;
	return max === undefined ? '' : ` of at most ${max}`;
}
