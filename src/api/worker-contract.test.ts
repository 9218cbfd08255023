import * as fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {
	formatTerminationMessage,
	parseTerminationMessage,
	terminationMessageMaxBytes,
	workerFailures,
	type WorkerResult,
} from './worker-contract.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text).length;
const failed = (message: string): WorkerResult => ({
	outcome: 'failed',
	reason: 'SourceNotFound',
	retryable: false,
	message,
});

describe('formatTerminationMessage', () => {
	test('a short message is kept as it is', () => {
		const result: WorkerResult = {outcome: 'succeeded', message: 'done', bytesRead: '12', virtualBytes: '34'};
		expect(JSON.parse(formatTerminationMessage(result))).toEqual(result);
	});

	test('a message that just fits is not shortened', () => {
		const room = terminationMessageMaxBytes - bytesOf(JSON.stringify(failed('')));
		const text = formatTerminationMessage(failed('x'.repeat(room)));
		expect(bytesOf(text)).toBe(terminationMessageMaxBytes);
		expect(parseTerminationMessage(text)).toEqual(failed('x'.repeat(room)));
	});

	test.each([
		['plain text', 'x'],
		['two bytes a character', 'ä'],
		['three bytes a character', '語'],
		['four bytes a character', '😀'],
		['what JSON escapes', '"'],
		['what JSON escapes at length', '\u0001'],
	])('a message too long is cut at its end and uses the room there is: %s', (_, character) => {
		const text = formatTerminationMessage(failed(`begin ${character.repeat(20_000)}`));
		expect(bytesOf(text)).toBeLessThanOrEqual(terminationMessageMaxBytes);
		expect(bytesOf(text)).toBeGreaterThan(terminationMessageMaxBytes * 0.9);
		const shown = parseTerminationMessage(text)?.message ?? '';
		expect(shown).toMatch(/^begin .*…$/su);
		expect(shown.isWellFormed()).toBe(true);
	});

	test('whatever the message, the text fits, is parsed again, and keeps its beginning', () => {
		const texts = fc.string({unit: 'binary', maxLength: 3000, size: 'max'});
		fc.assert(
			fc.property(texts, (message) => {
				const text = formatTerminationMessage(failed(message));
				expect(bytesOf(text)).toBeLessThanOrEqual(terminationMessageMaxBytes);
				const shown = parseTerminationMessage(text)?.message ?? '';
				expect(shown === message || (shown.endsWith('…') && message.startsWith(shown.slice(0, -1)))).toBe(true);
			}),
			{numRuns: 50},
		);
	});
});

describe('parseTerminationMessage', () => {
	test.each(workerFailures)('a failure of reason %s is understood', (reason) => {
		const result: WorkerResult = {outcome: 'failed', reason, retryable: true, message: 'm'};
		expect(parseTerminationMessage(formatTerminationMessage(result))).toEqual(result);
	});

	test.each([
		undefined,
		'',
		'panic: runtime error',
		'null',
		'"done"',
		'[]',
		'{"outcome":"succeeded"}',
		'{"outcome":"failed","message":"m"}',
		'{"outcome":"failed","message":"m","reason":"Moonphase"}',
		'{"outcome":"maybe","message":"m"}',
		'{"outcome":"succeeded","message":7}',
	])('%s is not one of ours', (text) => {
		expect(parseTerminationMessage(text)).toBeUndefined();
	});
});
