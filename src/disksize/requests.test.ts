import {expect, test} from 'vitest';
import {DiskSizeRequests} from './requests.ts';

test('who asks wakes the one who looks, once; the last to stop does so again', () => {
	const woken: string[] = [];
	const requests = new DiskSizeRequests((key) => woken.push(key));
	requests.ask('images/golden', 'a');
	requests.ask('images/golden', 'a');
	requests.ask('images/golden', 'b');
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
