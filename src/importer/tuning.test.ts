import {expect, test} from 'vitest';
import {defaultImportTuning} from './run.ts';
import {parseTuning} from './tuning.ts';

const parse = (text?: string) => parseTuning({ONESNAP_IMPORT_TUNING: text}, {defaults: defaultImportTuning});

test('without the variable, the defaults', () => {
	expect(parse()).toBe(defaultImportTuning);
	expect(parse('')).toBe(defaultImportTuning);
});

test('what is named is set, the rest stays', () => {
	expect(parse('{"http":{"stallMs":500},"window":{"budgetBytes":1048576}}')).toEqual({
		http: {...defaultImportTuning.http, stallMs: 500},
		retry: defaultImportTuning.retry,
		window: {...defaultImportTuning.window, budgetBytes: 1048576},
	});
});

test.each([
	['{', 'it is no JSON'],
	['7', 'it must be an object'],
	['{"http":7}', 'http must be an object'],
	['{"htpp":{}}', 'htpp is no part of it'],
	['{"http":{"stall":1}}', 'http.stall is no part of it'],
	['{"http":{"stallMs":"1"}}', 'http.stallMs must be a number above 0'],
	['{"http":{"stallMs":0}}', 'http.stallMs must be a number above 0'],
])('%s is refused', (text, why) => {
	expect(() => parse(text)).toThrow(`ONESNAP_IMPORT_TUNING: ${why}.`);
});
