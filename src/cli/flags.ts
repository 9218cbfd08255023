/**
 * The flags of a command as one table: node:util splits the words by it, --help prints it, and shell completion completes
 * from it. All mistakes are told at once, each by the flag that the user wrote and with what to do.
 */
import {parseArgs} from 'node:util';
import {parseQuantity} from '../api/quantity.ts';

/** What may stand after a flag, for shell completion. */
export type Completes =
	| readonly string[]
	| 'none'
	| 'file'
	| 'namespaces'
	| 'contexts'
	| 'clusters'
	| 'users'
	| 'storageClasses'
	| 'claims'
	| 'snapshots'
	| 'dataSources'
	| 'dataVolumes';

export interface Flag<Value> {
	/** One sentence for --help. */
	readonly help: string;
	/** What its value is called in --help; absent: a switch. */
	readonly value?: string;
	/** One letter. */
	readonly short?: string;
	readonly completes: Completes;
	/** Each time that it was given, in order. Throws {@link Mistake} with words that complete "--flag …". */
	readonly read: (texts: readonly string[]) => Value;
}

export type FlagSet = Readonly<Record<string, Flag<unknown>>>;
export type FlagValues<Set extends FlagSet> = {readonly [Name in keyof Set]: ReturnType<Set[Name]['read']>};

/** Completes "--flag …". */
export class Mistake extends Error {
	override readonly name = 'Mistake';
}

/** The command was used wrongly; nothing was done. */
export class UsageError extends Error {
	override readonly name = 'UsageError';
	readonly mistakes: readonly string[];

	constructor(mistakes: readonly string[]) {
		super(mistakes.join('\n'));
		this.mistakes = mistakes;
	}
}

interface Describing {
	readonly help: string;
	readonly value: string;
	readonly short?: string;
	readonly completes?: Completes;
}

function once<Value>(describing: Describing, parse: (text: string) => Value): Flag<Value | undefined> {
	const read = (texts: readonly string[]) => {
		const [first, second] = texts;
		if (second !== undefined && second !== first) throw new Mistake(`is given twice: keep one`);
		return first === undefined ? undefined : parse(first);
	};
	return {completes: 'none', ...describing, read};
}

function notEmpty(text: string): string {
	if (text === '') throw new Mistake('is empty: give it a value, or leave it out');
	return text;
}

export function text(describing: Describing): Flag<string | undefined> {
	return once(describing, notEmpty);
}

/** May be given several times. */
export function texts(describing: Describing): Flag<readonly string[]> {
	return {completes: 'none', ...describing, read: (all) => all.map(notEmpty)};
}

export function toggle(describing: Pick<Describing, 'help' | 'short'>): Flag<boolean> {
	const read = (all: readonly string[]) => {
		const last = all.at(-1) ?? 'false';
		if (last !== 'true' && last !== 'false') throw new Mistake(`is true or false, not "${last}"`);
		return last === 'true';
	};
	return {...describing, completes: 'none', read};
}

export function choice<const Choice extends string>(
	describing: Omit<Describing, 'value' | 'completes'>,
	choices: readonly Choice[],
): Flag<Choice | undefined> {
	return once({...describing, value: choices.join('|'), completes: choices}, (given) => {
		const found = choices.find((each) => each === given);
		if (found === undefined) throw new Mistake(`is ${listed(choices)}, not "${given}"`);
		return found;
	});
}

const unitMs: Readonly<Record<string, number>> = {ms: 1, s: 1000, m: 60_000, h: 3_600_000};

/** As kubectl has them: `30s`, `1m30s`, `0`. The value is in milliseconds. */
export function duration(describing: Omit<Describing, 'value'>): Flag<number | undefined> {
	return once({...describing, value: 'DURATION'}, (given) => {
		const parts = [...given.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
		const isWhole = parts.map(([part]) => part).join('') === given && parts.length > 0;
		if (given !== '0' && !isWhole) throw new Mistake(`is a duration such as 30s, 5m or 1h30m, not "${given}"`);
		return parts.reduce((sum, [, number = '', unit = '']) => sum + Number(number) * (unitMs[unit] ?? 0), 0);
	});
}

/** A size of at least one byte, as it was written. */
export function quantity(describing: Omit<Describing, 'value'>): Flag<string | undefined> {
	return once({...describing, value: 'SIZE'}, (given) => {
		const bytes = parseQuantity(given);
		// GB and GiB are how people write what Kubernetes calls G and Gi.
		const meant = /^(\d+(?:\.\d+)?)\s*([kmgtp]i?)b?$/i.exec(given);
		const hint = meant ? `; write ${meant[1]}${canonicalUnit(meant[2] ?? '')}` : '';
		if (bytes === undefined) throw new Mistake(`is a quantity such as 10Gi or 500Mi, not "${given}"${hint}`);
		if (bytes <= 0n) throw new Mistake(`is more than nothing, not "${given}"`);
		return given;
	});
}

function canonicalUnit(unit: string): string {
	const [letter = '', binary = ''] = unit;
	return `${binary === '' && letter.toLowerCase() === 'k' ? 'k' : letter.toUpperCase()}${binary.toLowerCase()}`;
}

/** `key=value`, several times. */
export function pairs(describing: Omit<Describing, 'value'>): Flag<Readonly<Record<string, string>>> {
	const read = (all: readonly string[]) =>
		Object.fromEntries(
			all.map((given) => {
				const at = given.indexOf('=');
				if (at < 1) throw new Mistake(`is KEY=VALUE, not "${given}"`);
				return [given.slice(0, at), given.slice(at + 1)];
			}),
		);
	return {completes: 'none', ...describing, value: 'KEY=VALUE', read};
}

export interface Parsed<Set extends FlagSet> {
	readonly values: FlagValues<Set>;
	readonly positionals: readonly string[];
}

/** Throws UsageError. */
export function parseFlags<Set extends FlagSet>(set: Set, args: readonly string[]): Parsed<Set> {
	const {given, positionals, mistakes} = split(set, args);
	const values: Record<string, unknown> = {};
	for (const [name, flag] of Object.entries(set)) {
		try {
			values[name] = flag.read(given.get(name) ?? []);
		} catch (error) {
			if (!(error instanceof Mistake)) throw error;
			mistakes.push(`--${name} ${error.message}`);
		}
	}
	if (mistakes.length > 0) throw new UsageError(mistakes);
	// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- one value per flag, each from its own read
	return {values: values as FlagValues<Set>, positionals};
}

/** Words to flags and the rest, without looking at what the values say. */
export function split(set: FlagSet, args: readonly string[]) {
	const options = Object.fromEntries(
		Object.entries(set).map(([name, {value, short}]) => [
			name,
			{type: value ? 'string' : 'boolean', multiple: true, ...(short && {short})} as const,
		]),
	);
	// Strict, it would stop at the first mistake.
	const {tokens} = parseArgs({args: [...args], options, strict: false, tokens: true, allowPositionals: true});
	const given = new Map<string, string[]>();
	const positionals: string[] = [];
	const mistakes: string[] = [];
	for (const token of tokens) {
		if (token.kind === 'positional') positionals.push(token.value);
		if (token.kind !== 'option') continue;
		const flag = set[token.name];
		const isShort = !token.rawName.startsWith('--');
		if (!flag) {
			mistakes.push(unknownFlag(set, token.rawName));
			continue;
		}
		const value = isShort ? token.value?.replace(/^=/, '') : token.value;
		const isNext = token.inlineValue === false && value?.startsWith('-') && value !== '-';
		if (flag.value && (value === undefined || isNext)) {
			mistakes.push(`${token.rawName} needs a value: ${token.rawName}=${flag.value}`);
			continue;
		}
		given.set(token.name, [...(given.get(token.name) ?? []), value ?? 'true']);
	}
	return {given, positionals, mistakes};
}

function unknownFlag(set: FlagSet, rawName: string): string {
	const name = rawName.replace(/^-+/, '');
	const [nearest] = Object.keys(set)
		.map((known) => ({known, distance: known.startsWith(name) ? 0 : editDistance(known, name)}))
		.filter(({distance}) => distance <= 2 && name.length > 1)
		.toSorted((a, b) => a.distance - b.distance);
	return `${rawName} is not a flag of this command${nearest ? `: do you mean --${nearest.known}?` : ', see --help'}`;
}

/** Letters to insert, drop or change. */
function editDistance(a: string, b: string): number {
	let above = Array.from({length: b.length + 1}, (_, index) => index);
	for (const [row, letter] of a.split('').entries()) {
		const line = [row + 1];
		for (const [column, other] of b.split('').entries()) {
			const changed = (above[column] ?? 0) + (letter === other ? 0 : 1);
			line.push(Math.min(changed, (above[column + 1] ?? 0) + 1, (line[column] ?? 0) + 1));
		}
		above = line;
	}
	return above.at(-1) ?? 0;
}

export function listed(words: readonly string[]): string {
	return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** Two columns, as kubectl has them. */
export function describeFlags(set: FlagSet): string {
	const rows = Object.entries(set).map(([name, {short, value, help}]) => {
		const long = `--${name}${value ? ` ${value}` : ''}`;
		return [short ? `-${short}, ${long}` : `    ${long}`, help] as const;
	});
	return rows.map(([names, help]) => `  ${names}\n          ${help}`).join('\n');
}
