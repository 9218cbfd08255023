import {expect, test} from 'vitest';
import type {Condition} from '../api/conditions.ts';
import type {DataImportCron} from '../api/data-import-cron.ts';
import {decide} from './decide.ts';

const now = '2026-11-21T19:00:00Z';
const before = '2026-11-20T08:00:00Z';

const cron = (conditions?: readonly Condition[], metadata = {}): DataImportCron => ({
	apiVersion: 'cdi.kubevirt.io/v1beta1',
	kind: 'DataImportCron',
	metadata: {namespace: 'golden', name: 'fedora', ...metadata},
	spec: {managedDataSource: 'fedora-latest'},
	...(conditions && {status: {conditions}}),
});

function reported(object: DataImportCron): readonly Condition[] {
	const plan = decide({cron: object, now});
	return plan.do === 'report' ? plan.conditions : [];
}

test('one that nobody has looked at is neither up to date nor on its way, and says what to do', () => {
	const [progressing, upToDate, ...others] = reported(cron());
	expect([progressing, upToDate]).toMatchObject([
		{type: 'Progressing', status: 'False', reason: 'NotSupported', lastTransitionTime: now},
		{type: 'UpToDate', status: 'False', reason: 'NotSupported', lastTransitionTime: now},
	]);
	expect(upToDate?.message).toContain('not supported yet');
	expect(upToDate?.message).toContain('let DataSource fedora-latest point to its claim');
	expect(others).toEqual([]);
});

test('what is said already is not said again', () => {
	expect(decide({cron: cron(reported(cron())), now: before})).toEqual({do: 'nothing'});
});

test('one that CDI has left as up to date is so no longer, since nobody looks; other conditions stay', () => {
	const at = {lastTransitionTime: before, lastHeartbeatTime: before};
	const other: Condition = {type: 'Admired', status: 'True', ...at};
	const conditions = reported(
		cron([
			other,
			{type: 'UpToDate', status: 'True', reason: 'UpToDate', message: 'Latest import is up to date', ...at},
		]),
	);
	expect(conditions).toMatchObject([
		other,
		{type: 'UpToDate', status: 'False', reason: 'NotSupported', lastTransitionTime: now, lastHeartbeatTime: now},
		{type: 'Progressing', status: 'False'},
	]);
});

test('one that leaves, or has left, is let go', () => {
	expect(decide({cron: undefined, now})).toEqual({do: 'nothing'});
	expect(decide({cron: cron(undefined, {deletionTimestamp: now}), now})).toEqual({do: 'nothing'});
});
