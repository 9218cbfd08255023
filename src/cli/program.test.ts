import {expect, test} from 'vitest';
import {createDv, dv, type Program} from './program.ts';
import type {Terminal} from './terminal.ts';

async function helpOf(program: Program, args: readonly string[]): Promise<string> {
	let shown = '';
	const terminal: Terminal = {
		out: (text) => (shown += text),
		err: (text) => (shown += text),
		isScreen: false,
		columns: 80,
		outColumns: Infinity,
		now: Date.now,
		signal: new AbortController().signal,
	};
	expect(await program([...args, '--help'], terminal)).toBe(0);
	return shown;
}

test.each([
	['kubectl create dv', createDv, []],
	...['create', 'list', 'wait', 'tree', 'explain'].map((name): [string, Program, string[]] => [
		`kubectl dv ${name}`,
		dv,
		[name],
	]),
])('%s --help has examples that can be typed as they are', async (command, program, args) => {
	const help = await helpOf(program, args);
	const examples = help.split('\n').filter((line) => line.startsWith('  kubectl'));
	expect(examples.length).toBeGreaterThan(1);
	expect(examples.filter((example) => !example.startsWith(`  ${command}`))).toEqual([]);
	// As the command ends, so would a repetition begin.
	const last = command.split(' ').at(-1);
	expect(examples.filter((example) => example.includes(` ${last} ${last}`))).toEqual([]);
});
