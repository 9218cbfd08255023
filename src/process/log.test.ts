import {Writable} from 'node:stream';
import {expect, test} from 'vitest';
import {makeLogger} from './log.ts';

function start(level: 'debug' | 'info') {
	const lines: unknown[] = [];
	const destination = new Writable({
		write(chunk: Buffer, _, callback) {
			lines.push(JSON.parse(chunk.toString()));
			callback();
		},
	});
	return {lines, log: makeLogger({level, fields: {program: 'controller'}, destination})};
}

test('a line is JSON with the level as a word, the time, and the fields of program and child', () => {
	const {lines, log} = start('info');
	log.child({name: 'a'}).info({bytes: 3}, 'imported');
	log.debug('too quiet');
	expect(lines).toEqual([
		{
			level: 'info',
			time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
			program: 'controller',
			name: 'a',
			bytes: 3,
			msg: 'imported',
		},
	]);
});

test('an error shows its message, and what caused it', () => {
	const {lines, log} = start('debug');
	log.error({error: new Error('upper', {cause: new Error('lower')})}, 'failed');
	expect(lines).toMatchObject([{error: {type: 'Error', message: 'upper', cause: {message: 'lower'}}}]);
});
