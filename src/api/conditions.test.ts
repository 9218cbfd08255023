import {describe, expect, test} from 'vitest';
import {type Condition, findCondition, upsertCondition} from './conditions.ts';

const early = '2026-01-01T00:00:00Z';
const late = '2026-01-01T00:01:00Z';

const pending: Condition = {
	type: 'Bound',
	status: 'False',
	reason: 'Pending',
	message: 'PVC x Pending',
	lastTransitionTime: early,
	lastHeartbeatTime: early,
};
const ready: Condition = {...pending, type: 'Ready', reason: '', message: ''};

describe('upsertCondition', () => {
	test('a new type is added at the end, both times set', () => {
		const list = upsertCondition([pending], {type: 'Ready', status: 'False'}, late);
		expect(list).toEqual([
			pending,
			{type: 'Ready', status: 'False', reason: '', message: '', lastTransitionTime: late, lastHeartbeatTime: late},
		]);
	});

	test('nothing new is the same list: no write', () => {
		const list = [pending, ready];
		expect(upsertCondition(list, {type: 'Ready', status: 'False'}, late)).toBe(list);
	});

	test('an absent reason and an empty one are the same', () => {
		const list: Condition[] = [{type: 'Ready', status: 'False', lastTransitionTime: early}];
		expect(upsertCondition(list, {type: 'Ready', status: 'False', reason: '', message: ''}, late)).toBe(list);
	});

	test('other words move the heartbeat, not the transition', () => {
		const [condition] = upsertCondition([pending], {...pending, message: 'still'}, late);
		expect(condition).toMatchObject({message: 'still', lastTransitionTime: early, lastHeartbeatTime: late});
	});

	test('another status moves both, in place', () => {
		const list = upsertCondition([pending, ready], {type: 'Bound', status: 'True', reason: 'Bound'}, late);
		expect(list.map(({type}) => type)).toEqual(['Bound', 'Ready']);
		expect(list[0]).toMatchObject({status: 'True', message: '', lastTransitionTime: late, lastHeartbeatTime: late});
		expect(list[1]).toBe(ready);
	});
});

describe('findCondition', () => {
	test('finds by type, nothing in nothing', () => {
		expect(findCondition([pending, ready], 'Ready')).toBe(ready);
		expect(findCondition([pending], 'Ready')).toBeUndefined();
		expect(findCondition(undefined, 'Ready')).toBeUndefined();
	});
});
