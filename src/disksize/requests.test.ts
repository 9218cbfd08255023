import {expect, test} from 'vitest';
import {DiskSizeRequests} from './requests.ts';

const nobody = () => {};

test('who asks wakes the one who looks, once; the last to stop does so again', () => {
	const woken: string[] = [];
	const requests = new DiskSizeRequests((key) => woken.push(key));
	requests.ask('images/golden', 'a', nobody);
	requests.ask('images/golden', 'a', nobody);
	requests.ask('images/golden', 'b', nobody);
	expect(woken).toEqual(['images/golden', 'images/golden']);
	requests.stop('a');
	expect(requests.has('images/golden')).toBe(true);
	expect(woken).toHaveLength(2);
	requests.stop('b');
	expect(requests.has('images/golden')).toBe(false);
	expect(woken).toHaveLength(3);
	requests.stop('b');
	expect(woken).toHaveLength(3);
});

test('all who ask hear why nobody can look, once, and when that is over', () => {
	const heard: string[] = [];
	const requests = new DiskSizeRequests(nobody);
	requests.ask('images/golden', 'a', () => heard.push('a'));
	requests.ask('images/golden', 'b', () => heard.push('b'));
	requests.ask('images/other', 'c', () => heard.push('c'));
	requests.report('images/golden', 'exceeded quota');
	requests.report('images/golden', 'exceeded quota');
	expect(heard).toEqual(['a', 'b']);
	expect(requests.problemOf('images/golden')).toBe('exceeded quota');
	requests.report('images/golden', undefined);
	expect(requests.problemOf('images/golden')).toBeUndefined();
	expect(heard).toEqual(['a', 'b', 'a', 'b']);
	requests.report('images/nobody-asks', 'x');
	expect(requests.problemOf('images/nobody-asks')).toBeUndefined();
});
