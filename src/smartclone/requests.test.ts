import {beforeEach, describe, expect, test} from 'vitest';
import {request} from '../../test/support/builders.ts';
import {sourceKey, WaitingRequests} from './requests.ts';

const one = request({name: 'one'});
const two = request({name: 'two'});
const elsewhere = request({name: 'three', source: {namespace: 'other', name: 'claim'}});

describe('WaitingRequests', () => {
	let woken: string[];
	let waiting: WaitingRequests;
	beforeEach(() => {
		woken = [];
		waiting = new WaitingRequests((key) => woken.push(key));
	});

	test('who asks waits with its source, which is woken', () => {
		waiting.ask(one);
		waiting.ask(elsewhere);
		expect(waiting.of('ns/claim')).toEqual([{...one, asked: 1}]);
		expect(waiting.of('other/claim')).toEqual([{...elsewhere, asked: 2}]);
		expect(woken).toEqual(['ns/claim', 'other/claim']);
	});

	test('who asks again is not counted twice and wakes nobody', () => {
		waiting.ask(one);
		waiting.ask({...one});
		expect(waiting.of('ns/claim')).toHaveLength(1);
		expect(woken).toHaveLength(1);
	});

	test('who asks again after another assignment of his ended waits where he was', () => {
		waiting.ask(one);
		waiting.ask(two);
		const again = {...one, assigned: 'shared-1'};
		waiting.ask(again);
		expect(waiting.of('ns/claim')).toEqual([
			{...again, asked: 1},
			{...two, asked: 2},
		]);
	});

	test('one that is not assigned after all goes on waiting, and holds nothing', () => {
		waiting.ask(one);
		waiting.assigning(one, 'shared-1');
		expect(waiting.unconfirmed('shared-1')).toHaveLength(1);
		waiting.notAssigned(one.uid);
		expect(waiting.unconfirmed('shared-1')).toEqual([]);
		expect(waiting.of('ns/claim')).toHaveLength(1);
		waiting.assigned(one, 'shared-1');
		waiting.notAssigned(one.uid);
		expect(waiting.assignmentOf(one.uid)).toBe('shared-1');
	});

	test('who withdraws waits no longer, and the source hears of it', () => {
		waiting.ask(one);
		waiting.ask(two);
		waiting.withdraw(one.uid);
		expect(waiting.of('ns/claim')).toEqual([{...two, asked: 2}]);
		expect(woken).toHaveLength(3);
		waiting.withdraw(two.uid);
		expect(waiting.of('ns/claim')).toEqual([]);
	});

	test('nobody is woken for one who did not wait', () => {
		waiting.withdraw('nobody');
		expect(woken).toEqual([]);
	});

	test('an assignment counts until the cache shows it', () => {
		waiting.ask(one);
		waiting.assigned(one, 'shared-1');
		expect(waiting.assignmentOf(one.uid)).toBe('shared-1');
		expect(waiting.unconfirmed('shared-1')).toEqual([one]);
		expect(waiting.unconfirmed('shared-2')).toEqual([]);
		waiting.confirm(one.uid, 'shared-0');
		expect(waiting.assignmentOf(one.uid)).toBe('shared-1');
		waiting.confirm(one.uid, 'shared-1');
		expect(waiting.assignmentOf(one.uid)).toBeUndefined();
		expect(waiting.unconfirmed('shared-1')).toEqual([]);
	});

	test('an assignment whose write was not answered keeps its snapshot, and is made again', () => {
		waiting.ask(one);
		waiting.assigning(one, 'shared-1');
		expect(waiting.unconfirmed('shared-1')).toEqual([one]);
		expect(waiting.assignmentOf(one.uid)).toBeUndefined();
		expect(waiting.of('ns/claim')).toEqual([{...one, asked: 1}]);
		waiting.assigned(one, 'shared-1');
		expect(waiting.of('ns/claim')).toEqual([]);
	});

	test('a write that was not answered holds no snapshot once its request goes another way', () => {
		waiting.ask(one);
		waiting.assigning(one, 'shared-1');
		waiting.stop(one.uid);
		expect(waiting.unconfirmed('shared-1')).toEqual([]);
		expect(woken).toEqual(['ns/claim', 'ns/claim']);
		waiting.assigned(two, 'shared-1');
		waiting.stop(two.uid);
		expect(waiting.unconfirmed('shared-1')).toEqual([two]);
	});

	test('a request that goes away is not assigned to anything', () => {
		waiting.assigned(one, 'shared-1');
		waiting.withdraw(one.uid);
		expect(waiting.unconfirmed('shared-1')).toEqual([]);
	});
});

test('a source is found by namespace and name', () => {
	expect(sourceKey({namespace: 'ns', name: 'claim'})).toBe('ns/claim');
});
