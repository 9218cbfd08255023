import {describe, expect, test} from 'vitest';
import {parseProgress} from './progress.ts';

const name = 'kubevirt_cdi_import_progress_total';
const text = (value: string, uid = 'me') =>
	`# HELP ${name} x\n# TYPE ${name} counter\n${name}{ownerUID="${uid}"} ${value}\n`;

describe('parseProgress', () => {
	test.each([
		['45.31', 45.31],
		['1e+01', 10],
		['0', 0],
		['100.0001', 100],
		['-3', 0],
		['42 1700000000000', 42],
	])('%s is %d percent', (value, percent) => {
		expect(parseProgress(text(value), 'me')).toBe(percent);
	});

	test('a copy has a metric of its own', () => {
		expect(parseProgress('kubevirt_cdi_clone_progress_total{a="b",ownerUID="me"} 7', 'me')).toBe(7);
	});

	test.each([
		['of another claim', text('45', 'you')],
		['that is no number', text('NaN')],
		['that is missing', text('').trimEnd()],
		['in an empty answer', ''],
		['of another metric', 'other_total{ownerUID="me"} 3'],
	])('a value %s says nothing', (_, answer) => {
		expect(parseProgress(answer, 'me')).toBeUndefined();
	});
});
