import {describe, expect, test} from 'vitest';
import {
	choice,
	describeFlags,
	duration,
	pairs,
	parseFlags,
	quantity,
	text,
	texts,
	toggle,
	UsageError,
} from './flags.ts';

const set = {
	size: quantity({help: 'How large'}),
	name: text({help: 'Which', value: 'NAME', short: 'n'}),
	header: texts({help: 'Lines', value: 'LINE'}),
	wait: toggle({help: 'Stay', short: 'w'}),
	output: choice({help: 'How', short: 'o'}, ['yaml', 'Json']),
	timeout: duration({help: 'How long'}),
	label: pairs({help: 'Labels', short: 'l'}),
};

const values = (...args: string[]) => parseFlags(set, args).values;

function mistakes(...args: string[]): readonly string[] {
	try {
		parseFlags(set, args);
		return [];
	} catch (error) {
		if (!(error instanceof UsageError)) throw error;
		return error.mistakes;
	}
}

describe('flags', () => {
	test('are read wherever they stand, long and short, with = or without', () => {
		const {values, positionals} = parseFlags(set, [
			'vm-1',
			'--size=1Gi',
			'-n',
			'a',
			'-w',
			'vm-2',
			'-o=yaml',
			'--',
			'-x',
		]);
		expect(values).toEqual({
			...{size: '1Gi', name: 'a', header: [], wait: true, output: 'yaml', timeout: undefined, label: {}},
		});
		expect(positionals).toEqual(['vm-1', 'vm-2', '-x']);
	});

	test('that are switches take true and false, as those of kubectl', () => {
		expect([values('--wait').wait, values('--wait=true').wait, values('--wait=false').wait, values().wait]).toEqual([
			true,
			true,
			false,
			false,
		]);
	});

	test('may be repeated where it makes sense', () => {
		expect(values('--header', 'A: 1', '--header=B: 2', '-l', 'a=b', '--label=c=d=e', '-l', 'f=')).toMatchObject({
			header: ['A: 1', 'B: 2'],
			label: {a: 'b', c: 'd=e', f: ''},
		});
	});

	test.each([
		['30s', 30_000],
		['1h30m', 5_400_000],
		['1.5s', 1500],
		['250ms', 250],
		['0', 0],
	])('take the duration %s', (given, ms) => {
		expect(values('--timeout', given).timeout).toBe(ms);
	});

	test.each<[string, readonly string[], string]>([
		['an unknown flag', ['--sise', '1Gi'], '--sise is not a flag of this command: do you mean --size?'],
		['the beginning of one', ['--time=1s'], '--time is not a flag of this command: do you mean --timeout?'],
		['a flag like no other', ['--quux'], '--quux is not a flag of this command, see --help'],
		['an unknown letter', ['-z'], '-z is not a flag of this command, see --help'],
		['no value', ['--name'], '--name needs a value: --name=NAME'],
		['a flag for a value', ['--name', '--wait'], '--name needs a value: --name=NAME'],
		['an empty value', ['--name='], '--name is empty: give it a value, or leave it out'],
		['two values', ['-n', 'a', '-n', 'b'], '--name is given twice: keep one'],
		['a size in other words', ['--size', '10GB'], '--size is a quantity such as 10Gi or 500Mi, not "10GB"; write 10G'],
		['a size in lower case', ['--size=10gib'], '--size is a quantity such as 10Gi or 500Mi, not "10gib"; write 10Gi'],
		['no size at all', ['--size=big'], '--size is a quantity such as 10Gi or 500Mi, not "big"'],
		['a size of nothing', ['--size=0'], '--size is more than nothing, not "0"'],
		['another choice', ['-o', 'xml'], '--output is yaml or Json, not "xml"'],
		['no duration', ['--timeout', '5 minutes'], '--timeout is a duration such as 30s, 5m or 1h30m, not "5 minutes"'],
		['no pair', ['-l', 'a'], '--label is KEY=VALUE, not "a"'],
		['no switch', ['--wait=maybe'], '--wait is true or false, not "maybe"'],
	])('say what is wrong with %s', (_, args, mistake) => {
		expect(mistakes(...args)).toEqual([mistake]);
	});

	test('tell all mistakes at once', () => {
		expect(mistakes('--size=x', '-o', 'y', '--quux')).toHaveLength(3);
	});

	test('describe themselves', () => {
		expect(describeFlags({name: set.name, wait: set.wait, size: set.size})).toBe(
			[
				'  -n, --name NAME\n          Which',
				'  -w, --wait\n          Stay',
				'      --size SIZE\n          How large',
			].join('\n'),
		);
	});
});
