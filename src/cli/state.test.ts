import {describe, expect, test} from 'vitest';
import {dataVolume} from '../../test/support/builders.ts';
import type {DataVolumeStatus} from '../api/datavolume.ts';
import {rowOf} from './list.ts';
import {age, shownSize, table} from './printed.ts';
import {gistOf, progressLine} from './progress-bar.ts';
import {shownUrl} from './shown-url.ts';
import {heldUpBy, percentOf, sourceOf, wayOf} from './state.ts';
import {endOf} from './wait.ts';

const at = (status: DataVolumeStatus) => dataVolume({source: {blank: {}}, status});
const bound = (status: 'True' | 'False', reason: string, message = '') => ({type: 'Bound', status, reason, message});
const running = (status: 'True' | 'False', reason: string, message = '') => ({
	type: 'Running',
	status,
	reason,
	message,
});

describe('what holds a disk up', () => {
	test.each<[string, DataVolumeStatus, string | undefined]>([
		['nothing of one that is ready', {phase: 'Succeeded', conditions: [bound('False', 'ErrExceededQuota')]}, undefined],
		[
			'nothing that every disk goes through',
			{conditions: [bound('False', 'Pending'), running('False', '')]},
			undefined,
		],
		['its claim', {conditions: [bound('False', 'ErrExceededQuota')]}, 'ErrExceededQuota'],
		['its worker', {conditions: [bound('False', 'Pending'), running('False', 'ImagePullFailed')]}, 'ImagePullFailed'],
		['not a worker that works', {conditions: [running('True', 'Pod is running')]}, undefined],
		['nothing that is known yet', {}, undefined],
	])('is %s', (_, status, reason) => {
		expect(heldUpBy(at(status))?.reason).toBe(reason);
	});
});

describe('a disk', () => {
	test.each([
		[
			dataVolume({source: {http: {url: 'https://u:p@example.com/a.qcow2?signature=x#y'}}}),
			'https://example.com/a.qcow2?…',
			'import',
		],
		[dataVolume({source: {pvc: {namespace: 'g', name: 'd'}}}), 'pvc g/d', '-'],
		[dataVolume({source: {snapshot: {namespace: 'g', name: 's'}}}), 'snapshot g/s', '-'],
		[dataVolume({source: {blank: {}}}), 'blank', 'blank'],
		[dataVolume({spec: {sourceRef: {kind: 'DataSource', name: 'd'}}}), 'DataSource ns/d', '-'],
	])('shows its source and its way', (one, source, way) => {
		expect([sourceOf(one), wayOf(one)]).toEqual([source, way]);
	});

	test('that was cloned shows by which rule', () => {
		const notes = {'cdi.kubevirt.io/cloneType': 'snapshot', 'onesnap.io/reuse-rule': 'GroupCommit'};
		expect(wayOf(dataVolume({annotations: notes}))).toBe('snapshot (GroupCommit)');
	});

	test('has no secrets in its row', () => {
		expect(shownUrl('no URL')).toBe('no URL');
		const row = rowOf(
			dataVolume({
				source: {http: {url: 'https://u:secret@example.com/a?token=secret'}},
				size: '2Gi',
				status: {phase: 'ImportInProgress', progress: '12.50%'},
			}),
			Date.parse('2026-01-01T00:01:30Z'),
		);
		expect(row).toEqual(['disk', 'ImportInProgress', '12.50%', 'import', '2Gi', 'https://example.com/a?…', '90s', '']);
	});
});

describe('waiting ends', () => {
	test.each<[string, DataVolumeStatus, object | undefined]>([
		['when it is ready', {phase: 'Succeeded'}, {code: 0, sentence: 'disk is ready'}],
		[
			'when it has failed, with the reason',
			{phase: 'Failed', conditions: [running('False', 'Error', 'SourceNotFound: 404')]},
			{code: 1, sentence: 'disk failed (Error): SourceNotFound: 404'},
		],
		[
			'when nothing more happens before somebody uses it',
			{phase: 'PendingPopulation'},
			{code: 0, sentence: 'disk waits for its first consumer: it is made when a Pod or virtual machine uses it'},
		],
		['not while it is made', {phase: 'ImportInProgress'}, undefined],
	])('%s', (_, status, end) => {
		expect(endOf(at(status))).toEqual(end);
	});
});

describe('progress', () => {
	const doing = {name: 'disk', phase: 'ImportInProgress', percent: 50, elapsedMs: 65_000, note: undefined};

	test('is a bar where somebody counts', () => {
		expect(progressLine(doing, 200)).toBe('disk  [===============>              ]   50.0%  ImportInProgress  65s');
		expect(progressLine({...doing, percent: undefined, note: 'StorageBusy: wait'}, 200)).toBe(
			'disk  ImportInProgress  65s  StorageBusy: wait',
		);
		expect(progressLine({...doing, percent: 100, phase: 'Succeeded'}, 200)).toContain(`[${'='.repeat(30)}]  100.0%`);
	});

	test('fits the screen', () => {
		for (const columns of [3, 20, 40, 60]) expect(progressLine(doing, columns).length).toBeLessThan(columns);
	});

	test('makes a plain line for each ten percent, not for each', () => {
		expect(gistOf({...doing, percent: 51})).toBe(gistOf({...doing, percent: 59.9}));
		expect(gistOf({...doing, percent: 60})).not.toBe(gistOf({...doing, percent: 59.9}));
	});

	test('is read from the status', () => {
		expect([percentOf(at({progress: '12.34%'})), percentOf(at({progress: 'N/A'}))]).toEqual([12.34, undefined]);
	});
});

test('tables are as wide as their cells', () => {
	expect(
		table([
			['A', 'LONG', 'C'],
			['aaaa', 'b', ''],
		]),
	).toBe('A      LONG   C\naaaa   b\n');
});

test.each([
	[42_000, '42s'],
	[119_000, '119s'],
	[330_000, '5m30s'],
	[600_000, '10m'],
	[3 * 3_600_000, '3h'],
	[12 * 86_400_000, '12d'],
])('an age of %i ms is %s', (ms, words) => {
	expect(age(ms)).toBe(words);
});

test.each([
	['10Gi', '10Gi'],
	['1138166334', '1.06Gi'],
	['10737418240', '10Gi'],
	['2000000000000', '1.82Ti'],
	['1048576', '1Mi'],
	['512', '512'],
	['?', '?'],
])('the size %s is shown as %s', (quantity, shown) => {
	expect(shownSize(quantity)).toBe(shown);
});
