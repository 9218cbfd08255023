import {execFile} from 'node:child_process';
import path from 'node:path';
import {Writable} from 'node:stream';
import {promisify} from 'node:util';
import {expect, test} from 'vitest';
import {makeLogger} from './log.ts';
import {makePlainLog} from './plain-log.ts';

function both(level: 'debug' | 'info') {
	const plain: unknown[] = [];
	const pino: unknown[] = [];
	const fields = {program: 'copier'};
	const destination = new Writable({
		write(chunk: Buffer, _, callback) {
			pino.push(JSON.parse(chunk.toString()));
			callback();
		},
	});
	return {
		plain,
		pino,
		logs: [
			makePlainLog({level, fields, write: (line) => plain.push(JSON.parse(line))}),
			makeLogger({level, fields, destination}),
		],
	};
}

const withoutTimes = (lines: readonly unknown[]) => lines.map((line) => ({...(line as object), time: 'then'}));

test('writes what the other logger writes', () => {
	const {plain, pino, logs} = both('info');
	const error = new TypeError('upper', {cause: new Error('lower')});
	for (const log of logs) {
		log.debug({bytes: 1}, 'too quiet');
		log.info({bytes: 3, result: {outcome: 'succeeded'}, nothing: undefined}, 'copied');
		log.warn('no fields');
		log.error({error: Object.assign(new Error('one'), {code: 'ENOSPC'})}, 'failed');
	}
	expect(plain).toHaveLength(3);
	expect(withoutTimes(plain)).toEqual(withoutTimes(pino));
	for (const line of plain) expect(line).toMatchObject({time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/)});
	for (const log of logs) log.error({error}, 'failed');
	expect(plain.at(-1)).toMatchObject({error: {type: 'TypeError', message: 'upper', cause: {message: 'lower'}}});
});

test('several errors in one are all told, and what is no JSON does not end the work', () => {
	const {plain, logs} = both('debug');
	const circle: Record<string, unknown> = {};
	circle['self'] = circle;
	logs[0]?.error({error: new AggregateError([new Error('a'), new Error('b')], 'all')}, 'failed');
	logs[0]?.info({bytes: 3n}, 'big');
	logs[0]?.info({circle}, 'round');
	expect(plain).toMatchObject([
		{error: {message: 'all', aggregateErrors: [{message: 'a'}, {message: 'b'}]}},
		{bytes: '3', msg: 'big'},
		{msg: expect.stringContaining('no log line')},
	]);
});

test('standard output has every line before the process ends, and its absence ends nothing', async () => {
	const program = `
		const {makePlainLog} = await import(${JSON.stringify(path.join(import.meta.dirname, 'plain-log.ts'))});
		const log = makePlainLog({level: 'info'});
		for (let index = 0; index < 2000; index++) log.info({index, filling: 'x'.repeat(100)}, 'line');
		process.exit(7);`;
	const node = [process.execPath, '--input-type=module', '--eval', program];
	const [bin = '', ...args] = node;
	const ended = await promisify(execFile)(bin, args).catch((error: unknown) => error as {code: number; stdout: string});
	expect(ended).toMatchObject({code: 7});
	expect(ended.stdout.trim().split('\n')).toHaveLength(2000);
	const closed = promisify(execFile)('sh', ['-c', 'exec "$@" >&-', 'sh', ...node]);
	await expect(closed).rejects.toMatchObject({code: 7});
});
