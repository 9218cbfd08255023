import {expect, it} from 'vitest';
import {wantedNodes} from './node-count.ts';

it.each([
	[{}, 1],
	[{NODES: ''}, 1],
	[{NODES: '1'}, 1],
	[{NODES: '2'}, 2],
] as const)('%o means %i', (environment, count) => expect(wantedNodes(environment)).toBe(count));

it.each(['0', '-1', '1.5', '5', 'two', '2 '.concat('nodes')])('refuses NODES=%s', (text) => {
	expect(() => wantedNodes({NODES: text})).toThrow(`NODES=${text}: the local cluster can have 1 to 4 nodes`);
});
