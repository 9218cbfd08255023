import {expect, test} from 'vitest';
import {node, volume} from '../../test/support/builders.ts';
import {areApart, type TargetPlace} from './topology.ts';

const nodes = ['one', 'two', 'three'].map((name) =>
	node({name, labels: {host: name, zone: name === 'three' ? 'b' : 'a'}}),
);
const on = (key: string, ...values: string[]) =>
	volume({
		nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key, operator: 'In', values}]}]}},
	});
const anywhere: TargetPlace = {selectedNode: undefined, volume: undefined};

test.each<[string, ReturnType<typeof volume> | undefined, Partial<TargetPlace>, boolean]>([
	['a consumer on the node of the source', on('host', 'one'), {selectedNode: 'one'}, false],
	['a consumer on another node', on('host', 'one'), {selectedNode: 'two'}, true],
	['a consumer in the zone of the source', on('zone', 'a'), {selectedNode: 'two'}, false],
	['a consumer in another zone', on('zone', 'a'), {selectedNode: 'three'}, true],
	['a volume on the node of the source', on('host', 'one'), {volume: on('host', 'one')}, false],
	['a volume on another node', on('host', 'one'), {volume: on('host', 'two')}, true],
	['a volume that shares a node of several', on('host', 'one', 'two'), {volume: on('host', 'two', 'three')}, false],
	['a volume that is everywhere', on('host', 'one'), {volume: volume()}, false],
	['a target that may be anywhere', on('host', 'one'), {}, false],
	['a source that is everywhere', volume(), {selectedNode: 'two'}, false],
	['a source that is not known', undefined, {selectedNode: 'two'}, false],
	['a source whose node is gone', on('host', 'gone'), {selectedNode: 'two'}, true],
])('%s', (_, source, target, apart) => {
	expect(areApart(nodes, source, {...anywhere, ...target})).toBe(apart);
});
